//! Errors of a recording.

use std::io;
use std::path::{Path, PathBuf};

use super::target_error::TargetError;
use crate::fsio::FileError;
use crate::{perfdata, perfevent};

/// The reason why a recording failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused the events.
    #[error("cannot sample")]
    Event(#[from] perfevent::Error),
    /// The running program cannot be sampled.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Signals cannot be caught.
    #[error("cannot catch signals")]
    Signals(#[source] io::Error),
    /// The file for the samples could not be created.
    #[error(transparent)]
    Create(#[from] FileError),
    /// Samples could not be written.
    #[error("the recording stopped, because {path} cannot be written", path = path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A record does not fit into the file format.
    #[error("the recording stopped, because a record does not fit the format of {path}", path = path.display())]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: perfdata::Error,
    },
}

impl Error {
    /// Converts an error of the writer of `path`.
    pub(super) fn from_writer(path: &Path, source: perfdata::Error) -> Self {
        let path = path.to_owned();
        match source {
            perfdata::Error::Write(source) => Self::Write { path, source },
            source => Self::Format { path, source },
        }
    }

    /// Whether the program ran, so that samples of it exist.
    pub fn has_samples(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Format { .. })
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Event(source) => source.hints(),
            Self::Target(source) => source.hints(),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                vec!["free disk space, or record shorter or at a lower frequency".into()]
            }
            Self::Format { source, .. } => source.hints(),
            Self::Write { .. } | Self::Create(_) | Self::Signals(_) => Vec::new(),
        }
    }
}
