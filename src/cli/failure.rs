//! What ends a command early, and the one place that prints it.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use super::output::Terminal;
use crate::config;
use crate::doctor::UnknownCheck;
use crate::fsio::FileError;
use crate::pipeline::Error;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A stage failed.
    #[error(transparent)]
    Stage(#[from] Error),
    /// `-C` names no directory.
    #[error("{dir} is no directory", dir = .0.display())]
    Directory(PathBuf),
    /// A file that the user asked for cannot be written.
    #[error(transparent)]
    File(FileError),
    /// A file is there already.
    #[error("{path} is there already", path = .0.display())]
    Exists(PathBuf),
    /// A version that is none.
    #[error("`{version}` is no version of Go: {reason}")]
    Version {
        /// What was typed.
        version: String,
        /// What is expected.
        reason: String,
    },
    /// Files of a run are not what they were.
    #[error("{count} files of run {run} are not as they were archived")]
    Changed {
        /// The run.
        run: String,
        /// How many.
        count: usize,
    },
    /// A flag names checks that do not exist.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    UnknownChecks(Vec<UnknownCheck>),
    /// Only root can change kernel settings.
    #[error("only root can change kernel settings")]
    NotRoot {
        /// The command line, with sudo.
        command: String,
    },
    /// The user said no.
    #[error("nothing was changed")]
    Declined,
    /// Nobody is there who could be asked.
    #[error("standard input is no terminal, so nobody can be asked")]
    NobodyToAsk,
    /// Standard output.
    #[error("cannot write to standard output")]
    Stdout(#[source] std::io::Error),
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::Stage(error.into())
    }
}

impl Failure {
    /// Prints it with its causes and hints, and gives the exit code.
    pub(super) fn report(&self, terminal: &Terminal) -> ExitCode {
        match self {
            // Whoever reads our output has read enough (`goflame … | head`).
            Self::Stdout(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Stage(Error::NotReady(findings)) => terminal.not_ready(findings),
            Self::Stage(Error::Config(error)) => terminal.raw(&error.render(terminal.color())),
            _ => {
                let mut causes = Vec::new();
                let mut cause = self.source();
                while let Some(error) = cause {
                    causes.push(error.to_string());
                    cause = error.source();
                }
                terminal.error(&self.to_string(), &causes, &self.hints());
            }
        }
        self.code().into()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Stage(error) => error.hints(),
            Self::Exists(_) => vec!["`--force` overwrites it".into()],
            Self::UnknownChecks(_) => vec!["`goflame doctor --json` lists every check with its id".into()],
            Self::NotRoot { command } => vec![
                format!("`{command}`"),
                "`goflame doctor --print-script` writes a script for whoever is root".into(),
            ],
            Self::NobodyToAsk => vec!["`--yes` answers for scripts".into()],
            _ => Vec::new(),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Stage(error) => exit::code(error),
            Self::Directory(_)
            | Self::Exists(_)
            | Self::UnknownChecks(_)
            | Self::NobodyToAsk
            | Self::Version { .. } => exit::USAGE,
            Self::NotRoot { .. } | Self::Declined => exit::READINESS,
            Self::File(_) | Self::Changed { .. } => exit::ARCHIVE,
            Self::Stdout(_) => exit::UNEXPECTED,
        }
    }
}
