//! Errors from the launch of the program to the last record.

use std::io;
use std::path::{Path, PathBuf};

use crate::fsio::FileError;
use crate::{perfdata, perfevent};

/// The reason why a recording failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused the events.
    #[error("cannot sample")]
    Event(#[source] perfevent::Error),
    /// goflame's helper processes could not be started.
    #[error("cannot launch the workload: {step}")]
    Launch {
        /// The step that failed.
        step: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The program could not be started.
    #[error("cannot run `{program}`: {step} failed")]
    Exec {
        /// The program.
        program: String,
        /// The step that failed.
        step: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The working directory does not exist or is not a directory.
    #[error("cannot run the workload in {path}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The file for standard input cannot be read.
    #[error("no standard input for the workload")]
    Stdin(#[source] FileError),
    /// The file for the samples could not be created.
    #[error("cannot create {path}", path = path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Samples could not be written.
    #[error("the workload was stopped, because {path} cannot be written", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A record does not fit into the file format.
    #[error("the workload was stopped, because a record does not fit {path}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: perfdata::Error,
    },
    /// The supervisor died.
    #[error("goflame's supervisor process was killed; the workload was stopped")]
    SupervisorLost,
    /// A signal arrived while the workload waited to start.
    #[error("interrupted before the workload began")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The user interrupted a second time.
    #[error("interrupted twice: the workload was killed, and nothing was analysed")]
    Abandoned {
        /// The second signal.
        signal: i32,
    },
}

impl Error {
    /// Converts an error of the writer of `path`.
    pub(super) fn of_writer(path: &Path, source: perfdata::Error) -> Self {
        let path = path.to_owned();
        match source {
            perfdata::Error::Write(source) => Self::Write { path, source },
            source => Self::Format { path, source },
        }
    }

    /// Whether the program ran, so that samples of it exist.
    pub fn has_samples(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Format { .. } | Self::SupervisorLost | Self::Abandoned { .. })
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Event(source) => source.hints(),
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec!["is the file executable for the user that runs the workload?".into()]
            }
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                vec!["free disk space, or record shorter or at a lower frequency".into()]
            }
            Self::Format { source, .. } => source.hints(),
            _ => Vec::new(),
        }
    }
}
