//! Builds programs with a given Go release. The programs print how Go's runtime symbolises their addresses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use goflame::gobin::Binary;
use tempfile::TempDir;

/// A Go release, as a value of GOTOOLCHAIN: the go command finds it on PATH under this name, or downloads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Toolchain(pub(crate) &'static str);

impl Toolchain {
    pub(crate) fn go(self) -> Command {
        let go = which::which("go").expect("this test needs go: `make test` installs it");
        let mut command = Command::new(go);
        command.env("GOTOOLCHAIN", self.0).env("GOFLAGS", "-buildvcs=false").env("GOWORK", "off").env("LC_ALL", "C");
        command
    }
}

/// The directory of the Go code of these tests.
fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/symbols")
}

/// Runs a command and returns its standard output.
pub(crate) fn text(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A program to symbolise. Except for programs from npm, it contains the oracle.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) toolchain: Toolchain,
    pub(crate) stripped: bool,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    directory: TempDir,
}

impl Program {
    /// Builds a command of the Go distribution.
    pub(crate) fn from_go(command: &str, toolchain: Toolchain, stripped: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = text(toolchain.go().args(["env", "GOROOT"]));
        let target = format!("{}/src/cmd/{command}/goflame_oracle.go", root.trim());
        let overlay = directory.path().join("overlay.json");
        let oracle = source_dir().join("inside/oracle.go");
        let replace = serde_json::json!({ "Replace": { target: oracle } });
        fs::write(&overlay, replace.to_string()).unwrap();
        let mut go = Command::new(Path::new(root.trim()).join("bin/go"));
        go.env("GOFLAGS", "-buildvcs=false").env("GOWORK", "off");
        // A downloaded Go is in the module cache, where newer releases refuse overlays. So GOMODCACHE is another directory.
        // The packages need no modules.
        go.env("GOROOT", root.trim()).env("GOMODCACHE", directory.path()).env("GOTOOLCHAIN", "local");
        go.current_dir(&directory).env("CGO_ENABLED", "0").arg("build").arg("-overlay").arg(&overlay);
        Self::build(command, toolchain, stripped, directory, go, &format!("cmd/{command}"))
    }

    /// Builds the cgo program in the directory of the oracle.
    pub(crate) fn with_c(toolchain: Toolchain, stripped: bool) -> Self {
        let mut go = toolchain.go();
        go.current_dir(source_dir()).env("CGO_ENABLED", "1").arg("build");
        Self::build("cgo", toolchain, stripped, tempfile::tempdir().unwrap(), go, "./inside")
    }

    /// Downloads a release of esbuild from npm. Its Linux program was built with the Go release `go`.
    pub(crate) fn from_npm(esbuild: &str, go: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut npm = Command::new("npm");
        npm.current_dir(&directory).args(["pack", "--silent", &format!("esbuild-linux-64@{esbuild}")]);
        let package = text(&mut npm);
        text(Command::new("tar").current_dir(&directory).args(["-xzf", package.trim()]));
        let path = directory.path().join("package/bin/esbuild");
        let bytes = fs::read(&path).unwrap();
        let name = format!("esbuild {esbuild} by {go}");
        let program = Self { name, toolchain: Toolchain("local"), stripped: true, path, bytes, directory };
        assert_eq!(program.binary().build_info().unwrap().go_version, go);
        program
    }

    fn build(
        name: &str,
        toolchain: Toolchain,
        stripped: bool,
        directory: TempDir,
        mut go: Command,
        package: &str,
    ) -> Self {
        let path = directory.path().join(name);
        let kind = if stripped { "stripped" } else { "with symbols" };
        let name = format!("{name} by {}, {kind}", toolchain.0);
        if stripped {
            go.arg("-ldflags=-s -w");
        }
        text(go.arg("-o").arg(&path).arg(package));
        let bytes = fs::read(&path).unwrap();
        Self { name, toolchain, stripped, path, bytes, directory }
    }

    pub(crate) fn binary(&self) -> Binary<'_> {
        Binary::parse(&self.bytes).unwrap()
    }

    /// Builds the oracle with `debug/gosym`. Uses the Go on PATH, because its `debug/gosym` reads the tables of all releases.
    pub(crate) fn gosym(&self) -> PathBuf {
        let path = self.directory.path().join("gosym");
        let mut go = Toolchain("local").go();
        text(go.current_dir(source_dir()).args(["build", "-o"]).arg(&path).arg("./gosym"));
        path
    }
}
