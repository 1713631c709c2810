//! Errors of planning, running and checking a build.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::Kind;
use crate::config::goflags::StripFlag;
use crate::fsio::FileError;
use crate::process::{self, ExitStatus};

use super::off_path::GoOffPath;
use super::{BuildDifference, advice, docker};

/// Error of a build: it cannot be planned, it failed, or it produced no program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Go is not installed on this machine.
    #[error("building needs the Go toolchain")]
    NoGo {
        /// The error of the search on PATH.
        source: process::Error,
        /// A Go that was found in a directory outside of PATH.
        elsewhere: Option<Box<GoOffPath>>,
    },
    /// Go is installed, but `go env` failed.
    #[error("`go env` failed")]
    GoEnv(#[source] process::Error),
    /// `go env -json` or `go list -json` printed something that is not the expected JSON.
    #[error("cannot read what `{command}` printed")]
    GoJson {
        /// The command.
        command: &'static str,
        /// The JSON error, with its position.
        source: serde_json::Error,
    },
    /// The pinned version is not installed and cannot be downloaded.
    #[error("{by} pins {pin}, but `go` is {found} and cannot switch to {pin}")]
    PinUnobtainable {
        /// Source of the pin.
        by: PinSource,
        /// The pinned version, for example `go1.27.3`.
        pin: String,
        /// The version of the `go` on PATH.
        found: String,
        /// The error of Go.
        source: Box<process::Error>,
    },
    /// The pinned Go version was requested, but another version ran.
    #[error("{by} pins {pin}, but `go` is {found} (GOTOOLCHAIN={gotoolchain})")]
    PinMismatch {
        /// Source of the pin.
        by: PinSource,
        /// The pinned version, for example `go1.27.3`.
        pin: String,
        /// The version that answered.
        found: String,
        /// The GOTOOLCHAIN setting of that Go. Empty in Go before 1.21.
        gotoolchain: String,
    },
    /// The pin and the variant require different toolchains.
    #[error("[toolchain] pins {pin}, but [variant.{variant}] env sets GOTOOLCHAIN={value}")]
    PinConflict {
        /// The pinned version.
        pin: String,
        /// The variant.
        variant: String,
        /// The GOTOOLCHAIN value of the variant.
        value: String,
    },
    /// The build targets another operating system than Linux.
    #[error("GOOS is {goos}, but goflame profiles Linux programs")]
    NotLinux {
        /// The value of GOOS.
        goos: String,
    },
    /// `app.package` is not one package, so `go build` cannot take it.
    #[error("`{package}` is not one package: {reason}")]
    Package {
        /// The value of the setting.
        package: String,
        /// Why it is invalid.
        reason: NotOnePackage,
    },
    /// A name that must become a file name is not a valid file name.
    #[error("`{name}` cannot be used as a file name")]
    Name {
        /// The name of the program or of the variant.
        name: String,
    },
    /// A path is not UTF-8. Paths go through a command line and a manifest, which are text.
    #[error("the path {path:?} is not UTF-8")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The project directory is not absolute, so the output path is not absolute either.
    #[error("the project directory {} is not an absolute path", root.display())]
    RelativeRoot {
        /// The project directory.
        root: PathBuf,
    },
    /// A flag removes data that a profile needs: the symbol table or DWARF.
    #[error("`{flag}` in {origin} strips data that a profile needs")]
    Strips {
        /// The flag.
        flag: StripFlag,
        /// Where the flag is set, for example `GOFLAGS`.
        origin: String,
    },
    /// The build mode produces no executable program.
    #[error("-buildmode={mode} in GOFLAGS does not build a program that can run")]
    NoProgram {
        /// The build mode: `plugin`, `c-archive`, ...
        mode: String,
    },
    /// GOFLAGS has an unclosed quote. Go would ignore or reject it.
    #[error("GOFLAGS has a quote that is not closed: {goflags}")]
    GoFlags {
        /// The value of GOFLAGS.
        goflags: String,
    },
    /// The output directory cannot be created, or the existing file there cannot be replaced.
    #[error("cannot prepare {}", path.display())]
    Output {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The go command could not be started.
    #[error("cannot start the build")]
    Start(#[source] process::Error),
    /// A signal asked goflame to stop, so goflame stopped the go command.
    #[error("interrupted: stopped `go {command}`; nothing was archived")]
    Interrupted {
        /// Subcommand of `go`: `build` or `test -c`.
        command: &'static str,
        /// The signal.
        signal: i32,
    },
    /// The go command failed. Its messages went to standard error.
    #[error("`{command}` failed: {status}")]
    Failed {
        /// Exit status.
        status: ExitStatus,
        /// The command as a shell line, with directory and environment.
        command: String,
        /// Advice, derived from the messages of the command.
        advice: Vec<String>,
    },
    /// Two builds of the same project differ.
    #[error("{how}: the programs differ")]
    Differs {
        /// Which two builds were compared.
        how: &'static str,
        /// Where the two programs differ, and why.
        #[source]
        difference: BuildDifference,
    },
    /// The project cannot be copied to another directory for a second build.
    #[error(transparent)]
    Copy(FileError),
    /// The commit of the project cannot be checked out.
    #[error("cannot clone the repository {}, which buildvcs = true needs", dir.display())]
    CheckOut {
        /// The repository.
        dir: PathBuf,
        /// The error of git.
        source: process::Error,
    },
    /// The go command could not download a version. Its messages went to standard error.
    #[error("cannot download go{version}: `go` failed: {status}")]
    Download {
        /// The version.
        version: String,
        /// Exit status.
        status: ExitStatus,
    },
    /// Error of the Docker engine, the image or the container.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// `go build` succeeded, but the package is not a main package.
    #[error("`{package}` is not a main package: it builds, but not to a program")]
    NotMain {
        /// The package.
        package: String,
    },
    /// `go test -c` succeeded, but the package has no test files.
    #[error("`{package}` has no test files, so there are no benchmarks to build")]
    NoTests {
        /// The package.
        package: String,
    },
    /// No package was named, and the directory has several.
    #[error("{} has several {}: {}", dir.display(), plural_name(*kind), packages.join(", "))]
    SeveralPackages {
        /// The directory that was searched.
        dir: PathBuf,
        /// The kind of the packages.
        kind: Kind,
        /// The packages, as arguments for Go.
        packages: Vec<String>,
    },
    /// No package was named, and none was found.
    #[error("{} has no {}", dir.display(), if *benchmarks { "package with benchmarks" } else { "main package and no benchmarks" })]
    NothingToRun {
        /// The directory that was searched.
        dir: PathBuf,
        /// Whether only benchmarks were searched.
        benchmarks: bool,
    },
    /// None of the packages has a benchmark.
    #[error("no package of `{pattern}` has benchmarks")]
    NoBenchmarks {
        /// The pattern for packages.
        pattern: String,
    },
    /// The built program cannot be read.
    #[error("cannot read the built program {}", path.display())]
    Read {
        /// The program.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The built program is not an ELF file that goflame can parse.
    #[error("cannot inspect the built program {}", path.display())]
    Inspect {
        /// The program.
        path: PathBuf,
        /// The parse error.
        source: crate::gobin::Error,
    },
    /// `go list` failed.
    #[error("cannot list the packages in {}", dir.display())]
    List {
        /// The directory in which `go list` ran.
        dir: PathBuf,
        /// The error of Go.
        source: process::Error,
    },
    /// `go list` found no packages and gave a reason.
    #[error("no packages in {}: {reason}", dir.display())]
    NoPackages {
        /// The directory in which `go list` ran.
        dir: PathBuf,
        /// The reason in Go's words.
        reason: String,
    },
}

/// Reason why `app.package` is not one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOnePackage {
    /// The setting is empty.
    #[error("it is empty")]
    Empty,
    /// The setting starts with `-`.
    #[error("Go would take it for a flag")]
    Flag,
    /// The setting contains `...`.
    #[error("`...` stands for many packages")]
    Pattern,
}

/// Source of a pinned version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinSource {
    /// `[toolchain] go` in the settings.
    Settings,
    /// The lock file.
    Lock,
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "goflame.toml",
            Self::Lock => "goflame.lock",
        })
    }
}

impl Error {
    /// Converts the error of a go command that did not finish.
    pub(super) fn from_process(source: process::Error) -> Self {
        match source {
            process::Error::NotFound { .. } => Self::NoGo { source, elsewhere: GoOffPath::find().map(Box::new) },
            _ => Self::Start(source),
        }
    }

    /// Returns the signal that ended the build, if there was one.
    pub fn interrupting_signal(&self) -> Option<i32> {
        match self {
            Self::Interrupted { signal, .. } | Self::Docker(docker::Error::Interrupted { signal }) => Some(*signal),
            _ => None,
        }
    }

    /// Returns the same error with the lock file as the source of the pin.
    #[must_use]
    pub fn pinned_by_lock(mut self) -> Self {
        if let Self::PinUnobtainable { by, .. } | Self::PinMismatch { by, .. } = &mut self {
            *by = PinSource::Lock;
        }
        self
    }

    /// Whether Go itself is missing, broken, or not the pinned version. goflame finds this before it builds anything.
    pub fn is_toolchain_error(&self) -> bool {
        matches!(
            self,
            Self::NoGo { .. }
                | Self::GoEnv(_)
                | Self::GoJson { .. }
                | Self::PinUnobtainable { .. }
                | Self::PinMismatch { .. }
                | Self::PinConflict { .. }
        )
    }

    /// Whether Go runs but cannot find or create its build cache.
    pub fn is_missing_cache_error(&self) -> bool {
        matches!(self, Self::GoEnv(source) if advice::lacks_cache(&advice::stderr_message(source)))
    }

    /// Returns why Go cannot be used, with the message of `go env`. `None` for other errors, and without a message.
    pub fn go_failure_reason(&self) -> Option<String> {
        let Self::GoEnv(source) = self else { return None };
        let message = advice::stderr_message(source);
        (!message.is_empty()).then(|| format!("{self}: {message}"))
    }

    /// Advice for the user, one line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoGo { elsewhere: Some(go), .. } => {
                vec![format!("Go is in {}: run `{}`", go.dir.display(), go.command)]
            }
            Self::NoGo { source, elsewhere: None } => {
                let mut hints = source.hints();
                hints.push("on Debian: apt install golang-go".to_owned());
                hints
            }
            Self::GoEnv(source) | Self::Start(source) | Self::List { source, .. } => {
                let mut hints = source.hints();
                hints.extend(advice::hints_for_error(source));
                hints
            }
            Self::Failed { advice, .. } => advice.clone(),
            Self::NotUtf8 { .. } => vec!["rename the directory: goflame.toml and the manifest of a run are UTF-8".to_owned()],
            Self::Docker(error) => error.hints(),
            Self::Download { .. } => vec![
                "GOPROXY and GOSUMDB must allow the module golang.org/toolchain; Go 1.21 and newer can download other versions"
                    .to_owned(),
            ],
            Self::Differs { difference, .. } => {
                difference.culprits.iter().map(|culprit| format!("{}: {}", culprit.id, culprit.text)).collect()
            }
            Self::PinUnobtainable { by: PinSource::Lock, pin, .. }
            | Self::PinMismatch { by: PinSource::Lock, pin, .. } => vec![
                format!("`goflame toolchain install {}` fetches it", pin.trim_start_matches("go")),
                "`goflame build --update-lock` pins the installed Go instead".to_owned(),
            ],
            Self::PinUnobtainable { pin, .. } => vec![
                format!("put a program named `{pin}` on PATH, or allow downloads (GOPROXY, network)"),
                "or change `go` in [toolchain] to the installed version; if it is empty, go.mod decides"
                    .to_owned(),
            ],
            Self::PinMismatch { .. } => vec![
                "this `go` ignores GOTOOLCHAIN: it is older than Go 1.21, or it is a wrapper that sets GOTOOLCHAIN itself".to_owned(),
                "put the pinned Go first on PATH, or change `go` in [toolchain]".to_owned(),
            ],
            Self::PinConflict { .. } => vec!["remove one of the two".to_owned()],
            Self::NotLinux { .. } => vec!["set GOOS = \"linux\" in the variant's env".to_owned()],
            Self::Strips { flag, .. } => vec![
                match flag {
                    StripFlag::Symbols => "-s removes the symbol table and DWARF: C functions lose their names, lines and inlined calls",
                    StripFlag::Dwarf => "-w removes DWARF: C functions lose their lines and inlined calls, and debuggers do not work",
                }
                .to_owned(),
                "remove the flag; the file grows, the program runs the same".to_owned(),
            ],
            Self::NoProgram { .. } => {
                vec!["remove it from GOFLAGS, or set buildmode = \"exe\" in the variant".to_owned()]
            }
            Self::NotMain { package } => vec![
                "name a main package: `goflame run ./cmd/NAME`, or `package` in [app]".to_owned(),
                format!(
                    "or profile its benchmarks: `goflame run {package} --bench .`, or kind = \"bench\" in [app]"
                ),
            ],
            Self::NoTests { .. } => {
                vec!["kind = \"bench\" needs a package with Benchmark functions in _test.go files".to_owned()]
            }
            Self::NoPackages { reason, .. } => {
                let hints = advice::hints_for_messages(reason);
                if hints.is_empty() {
                    return vec!["change to a directory with a go.mod, or create one: go mod init NAME".to_owned()];
                }
                hints
            }
            Self::Package { reason: NotOnePackage::Pattern, .. } => {
                vec!["`goflame run PATTERN --bench REGEX` runs the benchmarks of many packages, one after the other".to_owned()]
            }
            Self::SeveralPackages { kind, packages, .. } => {
                let first = packages.first().map_or(".", String::as_str);
                let (bench, all) = match kind {
                    Kind::Binary => ("", None),
                    Kind::Bench => (" --bench .", Some("`goflame run ./... --bench .` runs those of all packages".to_owned())),
                };
                let mut hints = vec![format!("name one, for example: `goflame run {first}{bench}`")];
                hints.extend(all);
                hints.push("or let `goflame init` write a goflame.toml that names one".to_owned());
                hints
            }
            Self::NothingToRun { .. } => vec!["name a package, for example: `goflame run ./cmd/NAME`".to_owned()],
            _ => Vec::new(),
        }
    }
}

fn plural_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Binary => "main packages",
        Kind::Bench => "packages with benchmarks",
    }
}
