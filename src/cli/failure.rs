//! Errors that end a command. Only this module prints them.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use super::filter::EmptyTimeRange;
use super::output::Terminal;
use crate::config;
use crate::doctor::{RepairError, UnknownCheck};
use crate::endpoint::EndpointError;
use crate::fsio::FileError;
use crate::pipeline::Error;
use crate::process::acting_account;

/// Error of a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A stage of the pipeline failed.
    #[error(transparent)]
    Stage(#[from] Error),
    /// A repair of the machine failed.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The argument of `-C` is not a directory.
    #[error("{dir} is not a directory", dir = .0.display())]
    Directory(PathBuf),
    /// An output file of the user cannot be written.
    #[error(transparent)]
    File(FileError),
    /// The file already exists.
    #[error("{path} already exists", path = .0.display())]
    Exists(PathBuf),
    /// The argument is not a Go version.
    #[error("`{version}` is not an exact Go release; {advice}")]
    Version {
        /// Argument of the user.
        version: String,
        /// The expected form, or the release that the user may have meant.
        advice: String,
    },
    /// `--from` is not before `--to`.
    #[error(transparent)]
    EmptyTimeRange(#[from] EmptyTimeRange),
    /// Files of a run have changed since they were archived.
    #[error("{count} files of run {run} have changed since they were archived")]
    Changed {
        /// Name of the run.
        run: String,
        /// Number of files.
        count: usize,
    },
    /// Files of a run cannot be read.
    #[error("{count} files of run {run} cannot be read")]
    Unreadable {
        /// Name of the run.
        run: String,
        /// Number of files.
        count: usize,
    },
    /// A URL is not the address of a profile.
    #[error("cannot fetch profiles from this URL")]
    Endpoint(#[source] EndpointError),
    /// A flag names checks that do not exist.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    UnknownChecks(Vec<UnknownCheck>),
    /// Only root can change kernel settings.
    #[error("only root can change kernel settings")]
    NotRoot {
        /// Command line to use, with sudo.
        command: String,
    },
    /// Standard output is a terminal, which would interpret the bytes as commands.
    #[error("this format is binary and standard output is a terminal")]
    BinaryOnTerminal {
        /// Example of a file name for the format.
        file: &'static str,
    },
    /// The name of an output promises a format that goflame does not write.
    #[error("`{file}` would hold tables as text, not what its name says")]
    NoSuchFormat {
        /// Name of the output file.
        file: String,
    },
    /// A flag changes how flame graphs are drawn, but no flame graph is written.
    #[error("`{flag}` changes how a flame graph is drawn, but none is written")]
    OnlyForSvg {
        /// The flag, with its dashes.
        flag: &'static str,
    },
    /// No function has a name that matches the pattern of `--peek` or `--list`.
    #[error("no function matches `{pattern}`")]
    NoFunction {
        /// The pattern of `--peek` or `--list`.
        pattern: String,
        /// The name of a function that the user may have meant.
        nearest: Option<String>,
    },
    /// `goflame report -` without an input.
    #[error("standard input is a terminal, so there is nothing to read")]
    NoInput,
    /// Both profiles of `goflame diff` are standard input.
    #[error("standard input can be read only once")]
    InputTwice,
    /// The user answered no.
    #[error("nothing was changed")]
    Declined,
    /// Standard input is not a terminal, so the user cannot be asked.
    #[error("standard input is not a terminal, so goflame cannot ask for confirmation")]
    NoConfirmation,
    /// goflame is installed setuid or setgid.
    #[error(
        "goflame is installed setuid or setgid and refuses to run: it would give the rights of its owner to every user"
    )]
    Setuid,
    /// The thread that runs the command cannot be started.
    #[error("goflame cannot start a thread")]
    Thread(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::Stage(error.into())
    }
}

impl Failure {
    /// Prints the error with its causes and advice, and returns the exit code.
    pub(super) fn report(&self, terminal: &Terminal) -> ExitCode {
        match self {
            // The reader of the output has closed the pipe (`goflame … | head`). This is a success.
            Self::Stdout(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Stage(Error::NotReady(findings)) => terminal.report_not_ready(findings),
            Self::Stage(Error::Config(error)) if error.render(false).is_some() => {
                terminal.write_raw(&error.render(terminal.is_colored()).unwrap_or_default());
            }
            _ => {
                let mut causes = Vec::new();
                let mut hints = self.hints();
                let mut cause = self.source();
                while let Some(error) = cause {
                    causes.push(error.to_string());
                    hints.extend(error.downcast_ref().and_then(os_error_hint));
                    cause = error.source();
                }
                terminal.write_error(&self.to_string(), &causes, &hints);
            }
        }
        self.code().into()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Stage(error) => error.hints(),
            Self::Repair(error) => error.hints(),
            Self::Endpoint(error) => error.hints(),
            Self::Exists(_) => vec!["`--force` overwrites it".into()],
            Self::UnknownChecks(_) => vec!["`goflame doctor --json` lists every check with its id".into()],
            Self::NotRoot { command } => vec![
                format!("`{command}`"),
                "`goflame doctor --print-script` prints a script that an administrator can run".into(),
            ],
            Self::BinaryOnTerminal { file } => vec![format!("write it to a file: `-o {file}`")],
            Self::NoSuchFormat { .. } => {
                vec!["choose a name that ends in .svg or .txt, or the format with `--format`".into()]
            }
            Self::OnlyForSvg { .. } => vec!["draw one with `-o flamegraph.svg` or `--format svg`".into()],
            Self::NoFunction { nearest, .. } => vec![match nearest {
                Some(name) => format!("there is `{name}`"),
                None => "`goflame report --sort cum -n 50` lists functions".into(),
            }],
            Self::NoInput => vec!["name a file, or pass one: `goflame report - < perf.data`".into()],
            Self::InputTwice => vec!["name a file or a run in place of one `-`".into()],
            Self::NoConfirmation => vec!["`--yes` confirms without asking, for scripts".into()],
            Self::Setuid => vec![
                "remove the bits with `chmod u-s,g-s`; `setcap cap_perfmon,cap_syslog+ep` instead lets ordinary users sample the kernel"
                    .into(),
            ],
            Self::Thread(_) => vec!["raise the limits on processes and memory: `ulimit -u`, `ulimit -v`".into()],
            _ => Vec::new(),
        }
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Stage(error) => exit::code(error),
            Self::Repair(RepairError::Damaged { .. }) => exit::INPUT,
            Self::Directory(_)
            | Self::Endpoint(_)
            | Self::Exists(_)
            | Self::UnknownChecks(_)
            | Self::NoConfirmation
            | Self::BinaryOnTerminal { .. }
            | Self::NoSuchFormat { .. }
            | Self::OnlyForSvg { .. }
            | Self::NoFunction { .. }
            | Self::NoInput
            | Self::InputTwice
            | Self::EmptyTimeRange(_)
            | Self::Version { .. } => exit::USAGE,
            Self::NotRoot { .. } | Self::Declined | Self::Setuid => exit::READINESS,
            Self::File(_) | Self::Changed { .. } | Self::Unreadable { .. } => exit::ARCHIVE,
            Self::Repair(RepairError::File(_)) | Self::Stdout(_) | Self::Thread(_) => exit::UNEXPECTED,
        }
    }
}

/// Returns advice for an error of the operating system, wherever it comes from.
fn os_error_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::PermissionDenied => acting_account().map(|account| {
            format!(
                "under sudo, goflame accesses files with the rights of {}, the calling user; `sudo env -u SUDO_UID goflame` uses the rights of root",
                account.name
            )
        }),
        // EFBIG. goflame uses this kind also for a file that is too large to read, but then without an error number.
        ErrorKind::FileTooLarge if error.raw_os_error().is_some() => {
            Some("raise the limit on the size of files: `ulimit -f`".into())
        }
        _ => None,
    }
}
