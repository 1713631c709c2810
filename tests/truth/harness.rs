//! Projects in temporary directories, goflame runs in them, and the tools whose output is compared.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

/// Lock that makes the tests of this binary run one after the other, because each of them measures CPU time.
pub(crate) fn wait_for_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a measurement of a test.
#[expect(clippy::print_stderr, reason = "figures are for people; the test harness hides them by default")]
pub(crate) fn print_figure(text: &str) {
    eprintln!("figure: {text}");
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_file() {
            fs::copy(&path, copy).unwrap();
        } else if !path.ends_with(".goflame") {
            fs::create_dir(&copy).unwrap();
            copy_dir(&path, &copy);
        }
    }
}

/// A goflame project in a temporary directory.
pub(crate) struct Project {
    dir: TempDir,
}

impl Project {
    /// A copy of a directory of this repository, without the archive `.goflame`.
    pub(crate) fn copy_of(directory: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), dir.path());
        Self { dir }
    }

    /// A copy of a program in tests/workloads, with these settings as `goflame.toml`.
    pub(crate) fn from_workload(name: &str, settings: &str) -> Self {
        let project = Self::copy_of(&format!("tests/workloads/{name}"));
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workloads/go.mod");
        fs::copy(module, project.path("go.mod")).unwrap();
        project.write("goflame.toml", settings);
        project
    }

    /// A directory that contains only these settings.
    pub(crate) fn from_settings(settings: &str) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap() };
        project.write("goflame.toml", settings);
        project
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A goflame command whose working directory is the project.
    pub(crate) fn goflame(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_goflame"));
        command.current_dir(self.dir.path());
        command
    }

    /// `goflame run --json ARGS`, which must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        let mut command = self.goflame();
        command.args(["run", "--json"]).args(args);
        Run::from_output(&run_successfully(&mut command))
    }

    /// `goflame report FILE -f FORMAT`.
    pub(crate) fn report(&self, file: &Path, format: &str) -> String {
        text(self.goflame().arg("report").arg(file).args(["-f", format]))
    }

    /// Builds the project with `go build`, without goflame.
    pub(crate) fn go_build(&self, name: &str, args: &[&str]) -> PathBuf {
        let binary = self.path(name);
        text(tool("go").args(["build", "-o"]).arg(&binary).args(args).arg(".").current_dir(self.dir.path()));
        binary
    }

    /// `perf record -g -F 997 -e cpu-clock` around a command.
    pub(crate) fn perf_record(&self, command: &[&OsStr]) -> PathBuf {
        let file = self.path("real.data");
        let mut perf = tool("perf");
        perf.args(["record", "-g", "-F", "997", "-e", "cpu-clock", "-o"]).arg(&file).arg("--").args(command);
        text(perf.current_dir(self.dir.path()));
        file
    }
}

/// An archived run.
pub(crate) struct Run {
    pub(crate) dir: PathBuf,
    pub(crate) stderr: String,
}

impl Run {
    /// Reads the output of `goflame run --json` or `goflame record --json`.
    pub(crate) fn from_output(output: &Output) -> Self {
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { dir: json["dir"].as_str().unwrap().into(), stderr }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn stdout_log(&self) -> String {
        fs::read_to_string(self.file("stdout.log")).unwrap()
    }

    pub(crate) fn summary(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file("summary.json")).unwrap()).unwrap()
    }

    pub(crate) fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file("manifest.json")).unwrap()).unwrap()
    }

    /// A quality figure in `summary.json`.
    pub(crate) fn quality(&self, name: &str) -> u64 {
        self.summary()["quality"]["figures"][name].as_u64().unwrap()
    }
}

/// A program that runs until the test ends.
pub(crate) struct RunningProgram(pub(crate) Child);

impl RunningProgram {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The path of a tool that a test needs.
pub(crate) fn which(name: &str) -> PathBuf {
    which::which(name).unwrap_or_else(|_| panic!("this test needs {name}: `make test` installs it"))
}

/// A command of a tool that a test needs.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(which(name));
    // The output must not depend on the user's locale.
    command.env("LC_ALL", "C");
    command
}

/// Runs a command, which must succeed.
pub(crate) fn run_successfully(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    output
}

/// Runs a command, which must succeed. Returns its standard output.
pub(crate) fn text(command: &mut Command) -> String {
    String::from_utf8(run_successfully(command).stdout).unwrap()
}

pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
