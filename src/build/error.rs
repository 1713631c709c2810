//! What can go wrong between the settings and a program that was built as they say.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::fsio::FileError;
use crate::process::{self, Status};

use super::{Difference, docker};

/// A build that could not be planned, did not happen or did not yield a program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Go on this machine.
    #[error("building needs the Go toolchain")]
    NoGo(#[source] process::Error),
    /// Go is there but does not answer `go env`.
    #[error("Go does not tell its settings")]
    GoEnv(#[source] process::Error),
    /// `go env -json` or `go list -json` answered with something else than that JSON.
    #[error("cannot read what `{command}` printed")]
    GoJson {
        /// The command.
        command: &'static str,
        /// Where it stops being JSON.
        source: serde_json::Error,
    },
    /// The pinned version is neither installed nor to be had.
    #[error("{by} pins {pin}, but `go` is {found} and cannot switch to {pin}")]
    PinUnobtainable {
        /// Who pins it.
        by: PinnedBy,
        /// The pinned version, such as `go1.27.3`.
        pin: String,
        /// The version of the `go` on PATH.
        found: String,
        /// What Go said about it.
        source: Box<process::Error>,
    },
    /// Go was asked for the pinned version and answers with another one.
    #[error("{by} pins {pin}, but `go` is {found} (GOTOOLCHAIN={gotoolchain})")]
    PinMismatch {
        /// Who pins it.
        by: PinnedBy,
        /// The pinned version, such as `go1.27.3`.
        pin: String,
        /// The version that answered.
        found: String,
        /// Its GOTOOLCHAIN setting; empty in Go before 1.21.
        gotoolchain: String,
    },
    /// Pin and variant ask for different toolchains.
    #[error("[toolchain] pins {pin}, but [variant.{variant}] env sets GOTOOLCHAIN={value}")]
    PinConflict {
        /// The pinned version.
        pin: String,
        /// The variant.
        variant: String,
        /// Its GOTOOLCHAIN.
        value: String,
    },
    /// A build for another operating system.
    #[error("GOOS is {goos}, but goflame profiles Linux programs")]
    NotLinux {
        /// The value of GOOS.
        goos: String,
    },
    /// `app.package` cannot be given to `go build` as one package.
    #[error("`{package}` is not one package: {reason}")]
    Package {
        /// The setting.
        package: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that would become a file name is none.
    #[error("`{name}` cannot be used as a file name")]
    Name {
        /// The name of the program or of the variant.
        name: String,
    },
    /// A path has to go through a command line and a manifest, which are text.
    #[error("{} is not UTF-8", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The project directory is not absolute, so neither is the output path.
    #[error("the project directory {} is not an absolute path", root.display())]
    RelativeRoot {
        /// The project directory.
        root: PathBuf,
    },
    /// The flags would throw away the names that a profile is made of.
    #[error("`{flag}` in {origin} strips what a profile needs")]
    Strips {
        /// `-s` or `-w`.
        flag: &'static str,
        /// Where it stands, such as `GOFLAGS`.
        origin: String,
    },
    /// The build mode makes something that cannot be run.
    #[error("-buildmode={mode} in GOFLAGS builds no program that could be run")]
    NoProgram {
        /// `plugin`, `c-archive`, ...
        mode: String,
    },
    /// GOFLAGS has a quote that is not closed; Go would ignore or refuse it.
    #[error("GOFLAGS holds an unterminated quote: {goflags}")]
    GoFlags {
        /// The value.
        goflags: String,
    },
    /// The directory for the program cannot be made, or what lies there cannot be replaced.
    #[error("cannot prepare {}", path.display())]
    Output {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The go command could not be run at all.
    #[error("the build did not start")]
    Start(#[source] process::Error),
    /// A signal asked goflame to end, so the go command was ended.
    #[error("interrupted: `{command}` was stopped")]
    Interrupted {
        /// The command.
        command: String,
        /// The signal.
        signal: i32,
    },
    /// The go command failed; its own words went to standard error.
    #[error("`{command}` failed: {status}")]
    Failed {
        /// How it ended.
        status: Status,
        /// The command as a line for a shell, with directory and environment.
        command: String,
        /// What may help, from what it said.
        advice: Vec<String>,
    },
    /// Two builds of the same are not the same.
    #[error("{how}: the programs differ")]
    Differs {
        /// What was compared.
        how: &'static str,
        /// Where and why.
        #[source]
        difference: Difference,
    },
    /// The project cannot be copied, to be built in another directory.
    #[error(transparent)]
    Copy(FileError),
    /// The project's commit cannot be checked out.
    #[error("cannot check out {} once more, as buildvcs = true needs", dir.display())]
    CheckOut {
        /// The repository.
        dir: PathBuf,
        /// What git said.
        source: process::Error,
    },
    /// The go command did not get a version; its own words went to standard error.
    #[error("go{version} could not be had: `go` ended with {status}")]
    Download {
        /// The version.
        version: String,
        /// How it ended.
        status: Status,
    },
    /// The engine, the image or the container.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// `go build` succeeded on a package that is not a program.
    #[error("`{package}` is not a main package: Go built it, but there is no program")]
    NotMain {
        /// The package.
        package: String,
    },
    /// `go test -c` succeeded, but there was nothing to build.
    #[error("`{package}` has no test files: Go built no benchmarks")]
    NoTests {
        /// The package.
        package: String,
    },
    /// The built program cannot be read back.
    #[error("cannot read the built program {}", path.display())]
    Read {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The built program is not an ELF file that goflame understands.
    #[error("cannot inspect the built program {}", path.display())]
    Inspect {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::gobin::Error,
    },
    /// `go list` failed.
    #[error("cannot list the packages in {}", dir.display())]
    List {
        /// The project directory.
        dir: PathBuf,
        /// What Go said.
        source: process::Error,
    },
    /// There are no packages to list, and this is Go's reason.
    #[error("no packages in {}: {reason}", dir.display())]
    NoPackages {
        /// The project directory.
        dir: PathBuf,
        /// Go's words.
        reason: String,
    },
}

/// Where a pinned version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinnedBy {
    /// In `[toolchain] go`.
    Settings,
    /// In the lock file.
    Lock,
}

impl fmt::Display for PinnedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "goflame.toml",
            Self::Lock => "goflame.lock",
        })
    }
}

impl Error {
    /// A go command that did not get to its end.
    pub(super) fn from_process(source: process::Error) -> Self {
        match source {
            process::Error::NotFound { .. } => Self::NoGo(source),
            process::Error::Interrupted { command, signal } => Self::Interrupted { command, signal },
            _ => Self::Start(source),
        }
    }

    /// The signal that ended the build.
    pub fn interrupted_by(&self) -> Option<i32> {
        match self {
            Self::Interrupted { signal, .. } | Self::Docker(docker::Error::Interrupted { signal }) => Some(*signal),
            _ => None,
        }
    }

    /// The same, where the version comes from the lock.
    #[must_use]
    pub fn pinned_by_lock(mut self) -> Self {
        if let Self::PinUnobtainable { by, .. } | Self::PinMismatch { by, .. } = &mut self {
            *by = PinnedBy::Lock;
        }
        self
    }

    /// Whether Go itself is absent, broken or another version than the pinned one: found before anything is built.
    pub fn is_toolchain(&self) -> bool {
        matches!(
            self,
            Self::NoGo(_)
                | Self::GoEnv(_)
                | Self::GoJson { .. }
                | Self::PinUnobtainable { .. }
                | Self::PinMismatch { .. }
                | Self::PinConflict { .. }
        )
    }

    /// Advice for the user, one line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoGo(source) => {
                let mut hints = source.hints();
                hints.push("on Debian: apt install golang-go".to_owned());
                hints
            }
            Self::GoEnv(source) | Self::Start(source) | Self::List { source, .. } => source.hints(),
            Self::Failed { advice, .. } => advice.clone(),
            Self::Docker(error) => error.hints(),
            Self::Download { .. } => vec![
                "GOPROXY and GOSUMDB must allow the module golang.org/toolchain; Go 1.21 was the first to fetch others"
                    .to_owned(),
            ],
            Self::Differs { difference, .. } => {
                difference.culprits.iter().map(|culprit| format!("{}: {}", culprit.id, culprit.text)).collect()
            }
            Self::PinUnobtainable { by: PinnedBy::Lock, pin, .. }
            | Self::PinMismatch { by: PinnedBy::Lock, pin, .. } => vec![
                format!("`goflame toolchain install {}` fetches it", pin.trim_start_matches("go")),
                "`goflame build --update-lock` takes the Go that is installed".to_owned(),
            ],
            Self::PinUnobtainable { pin, .. } => vec![
                format!("put a program named `{pin}` on PATH, or allow downloads (GOPROXY, network)"),
                "or change `go` in [toolchain] to the version that is installed; empty takes what go.mod asks for"
                    .to_owned(),
            ],
            Self::PinMismatch { .. } => vec![
                "this `go` does not obey GOTOOLCHAIN: it is older than Go 1.21, or a wrapper that sets it".to_owned(),
                "put the pinned Go first on PATH, or change `go` in [toolchain]".to_owned(),
            ],
            Self::PinConflict { .. } => vec!["keep one of the two".to_owned()],
            Self::NotLinux { .. } => vec!["set GOOS = \"linux\" in the variant's env".to_owned()],
            Self::Strips { flag: "-s", .. } => vec![
                "-s drops the symbol table and DWARF: C and data symbols, and debugging".to_owned(),
                "take it out; the file grows, the program runs the same".to_owned(),
            ],
            Self::Strips { .. } => vec![
                "-w drops DWARF: C functions lose inlining and lines, and debugging is lost".to_owned(),
                "take it out; the file grows, the program runs the same".to_owned(),
            ],
            Self::NoProgram { .. } => {
                vec!["take it out of GOFLAGS, or set buildmode = \"exe\" in the variant".to_owned()]
            }
            Self::NotMain { .. } => vec![
                "set `package` in [app] to a main package such as ./cmd/NAME".to_owned(),
                "or set kind = \"bench\" to profile the package's benchmarks".to_owned(),
            ],
            Self::NoTests { .. } => {
                vec!["kind = \"bench\" needs a package with Benchmark functions in _test.go files".to_owned()]
            }
            Self::NoPackages { .. } => {
                vec!["stand in a directory with a go.mod, or make one: go mod init NAME".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
