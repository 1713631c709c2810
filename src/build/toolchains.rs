//! Go versions on this machine, installed by a version manager or by the go command. Can install one more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::Toolchain;
use crate::fsio;
use crate::process::{Command, acting_account};

use super::toolchain::release_number;
use super::{Error, GoTool};

/// Installer of a toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Installer {
    /// A `go`, or a `go1.27.3`, on PATH.
    Path,
    /// Downloaded by the go command (GOTOOLCHAIN).
    GoCommand,
    /// `golang.org/dl`, in `~/sdk`.
    Sdk,
    /// One of the two tools called `g`.
    G,
    /// One of the two tools called `gvm`.
    Gvm,
}

/// A Go toolchain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstalledGo {
    /// Version as `go version` prints it: `go1.27.3`.
    pub version: String,
    /// GOROOT of the toolchain.
    pub goroot: PathBuf,
    /// Installer of the toolchain.
    #[serde(rename = "origin")]
    pub installer: Installer,
}

/// Directories to search for toolchains.
#[derive(Debug, Clone, Default)]
pub struct SearchPaths {
    /// Directories of PATH.
    pub path_dirs: Vec<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// GOMODCACHE.
    pub gomodcache: Option<PathBuf>,
    /// GOROOT. One of the tools called `g` sets it.
    pub goroot: Option<PathBuf>,
}

impl SearchPaths {
    /// Returns the paths of this process. The module cache is the one of the Go on PATH, if there is one.
    pub fn from_environment() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = acting_account().map(|account| account.home.clone()).or_else(|| var("HOME"));
        let go = GoTool::find_offline(Path::new("/"), &Toolchain::default(), &BTreeMap::new()).ok();
        Self {
            path_dirs: std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            gomodcache: go.map(|go| go.gomodcache).or_else(|| Some(home.clone()?.join("go/pkg/mod"))),
            goroot: var("GOROOT"),
            home,
        }
    }

    /// Directories whose entries may be toolchains.
    fn toolchain_parents(&self) -> Vec<(Installer, PathBuf)> {
        let mut parents = Vec::new();
        if let Some(cache) = &self.gomodcache {
            // Entry: golang.org/toolchain@v0.0.1-go1.27.3.linux-amd64
            parents.push((Installer::GoCommand, cache.join("golang.org")));
        }
        if let Some(home) = &self.home {
            for (installer, below) in [
                (Installer::Sdk, "sdk"),
                (Installer::G, ".g/versions"),     // voidint/g
                (Installer::G, ".go/.versions"),   // stefanmaric/g, with its usual GOROOT
                (Installer::Gvm, ".gvm/gos"),      // moovweb/gvm
                (Installer::Gvm, ".gvm/versions"), // andrewkroh/gvm
            ] {
                parents.push((installer, home.join(below)));
            }
        }
        parents.extend(self.goroot.iter().map(|goroot| (Installer::G, goroot.join(".versions"))));
        parents
    }
}

/// Lists the toolchains in these paths, each once, newest first. Runs no program: reads the VERSION file of each.
pub fn list_installed(paths: &SearchPaths) -> Vec<InstalledGo> {
    let mut found: Vec<InstalledGo> = Vec::new();
    for dir in &paths.path_dirs {
        let programs = fs::read_dir(dir).into_iter().flatten().flatten();
        let is_go = |name: &str| name == "go" || name.strip_prefix("go").is_some_and(crate::config::is_go_release);
        for program in programs.filter(|entry| entry.file_name().to_str().is_some_and(is_go)) {
            // GOROOT/bin/go, with links resolved. A wrapper has no GOROOT, so it is not a toolchain.
            let goroot = fs::canonicalize(program.path()).ok().and_then(|go| Some(go.parent()?.parent()?.to_owned()));
            found.extend(goroot.and_then(|goroot| read_toolchain(&goroot, Installer::Path)));
        }
    }
    for (installer, parent) in paths.toolchain_parents() {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| read_toolchain(&entry.path(), installer)));
    }
    found.sort_by(|a, b| {
        version_sort_key(&b.version).cmp(&version_sort_key(&a.version)).then_with(|| a.installer.cmp(&b.installer))
    });
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|toolchain| {
        seen.insert(fs::canonicalize(&toolchain.goroot).unwrap_or_else(|_| toolchain.goroot.clone()))
    });
    found
}

fn read_toolchain(goroot: &Path, installer: Installer) -> Option<InstalledGo> {
    if !goroot.join("bin/go").exists() {
        return None;
    }
    // The first line is the version. Since Go 1.21, a second line has the build time.
    let text = fsio::read_bounded(&goroot.join("VERSION"), 4096).ok()?;
    let version = String::from_utf8_lossy(&text).lines().next()?.trim().to_owned();
    version.starts_with("go").then(|| InstalledGo { version, goroot: goroot.to_owned(), installer })
}

/// Sort key of a version like `go1.27.3`: its numbers. A release sorts after its candidates.
fn version_sort_key(version: &str) -> (Vec<u32>, bool, Vec<u32>) {
    let numbers = |text: &str| text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    let at = version.find("rc").or_else(|| version.find("beta")).unwrap_or(version.len());
    let (head, tail) = version.split_at(at);
    (numbers(head), tail.is_empty(), numbers(tail))
}

/// Makes the go command download this version, as for a project that pins it, with the checksum database. Progress goes
/// to standard error. Does nothing if the version is already present.
pub fn install_go(version: &str) -> Result<GoTool, Error> {
    let name = format!("go{version}");
    let command = Command::new("go").args(["version"]).env("GOTOOLCHAIN", name).dir("/");
    let status = command.pass_through().map_err(Error::from_process)?;
    if !status.success() {
        return Err(Error::Download { version: version.to_owned(), status });
    }
    let pin = Toolchain { go: version.to_owned(), ..Toolchain::default() };
    let go = GoTool::find(Path::new("/"), &pin, &BTreeMap::new(), &|_| {})?;
    debug_assert_eq!(release_number(&go.version).as_deref(), Some(version));
    Ok(go)
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn toolchain(at: &Path, version: &str) {
        fs::create_dir_all(at.join("bin")).unwrap();
        fs::write(at.join("bin/go"), "").unwrap();
        fs::write(at.join("VERSION"), format!("{version}\ntime 2026-01-01T00:00:00Z\n")).unwrap();
    }

    #[test]
    fn each_toolchain_is_listed_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for (path, version) in [
            ("usr/go", "go1.26.8"),
            ("mod/golang.org/toolchain@v0.0.1-go1.27.3.linux-amd64", "go1.27.3"),
            ("home/sdk/go1.27rc1", "go1.27rc1"),
            ("home/.g/versions/1.9.7", "go1.9.7"),
            ("home/.go/.versions/1.21.13", "go1.21.13"),
            ("home/.gvm/gos/go1.20", "go1.20"),
        ] {
            toolchain(&at(path), version);
        }
        fs::create_dir_all(at("bin")).unwrap();
        std::os::unix::fs::symlink(at("usr/go/bin/go"), at("bin/go")).unwrap();
        fs::write(at("bin/gofmt"), "").unwrap();
        fs::create_dir_all(at("home/sdk/go1.99.0")).unwrap();
        let paths = SearchPaths {
            path_dirs: vec![at("bin"), at("usr/go/bin"), at("none")],
            home: Some(at("home")),
            gomodcache: Some(at("mod")),
            goroot: Some(at("home/.go")),
        };
        let found: Vec<_> = list_installed(&paths).into_iter().map(|go| (go.version, go.installer)).collect();
        let expected = [
            ("go1.27.3", Installer::GoCommand),
            ("go1.27rc1", Installer::Sdk),
            ("go1.26.8", Installer::Path),
            ("go1.21.13", Installer::G),
            ("go1.20", Installer::Gvm),
            ("go1.9.7", Installer::G),
        ];
        assert_eq!(found, expected.map(|(version, installer)| (version.to_owned(), installer)));
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        for (older, newer) in
            [("go1.9.7", "go1.10"), ("go1.27rc1", "go1.27.0"), ("go1.27beta1", "go1.27.3"), ("go1.27.3", "go1.27.10")]
        {
            assert!(version_sort_key(older) < version_sort_key(newer), "{older} {newer}");
        }
    }
}
