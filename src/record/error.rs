//! What can go wrong between launching and the last record.

use std::io;
use std::path::PathBuf;

use crate::{perfdata, perfevent};

/// A recording that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused the events.
    #[error("cannot sample")]
    Event(#[source] perfevent::Error),
    /// goflame's helper processes could not be started.
    #[error("cannot launch the workload: {step}")]
    Launch {
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program could not be started.
    #[error("cannot run `{program}`: {step} failed")]
    Exec {
        /// The program.
        program: String,
        /// What failed.
        step: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the recording could not be opened or created.
    #[error("cannot open {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Samples could not be written.
    #[error("cannot write {path}; the workload was stopped", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: perfdata::Error,
    },
    /// The supervisor died.
    #[error("the supervisor process was killed, and the workload with it")]
    SupervisorLost,
    /// The user interrupted a second time.
    #[error("left at once; the workload was killed")]
    Abandoned {
        /// The second signal.
        signal: i32,
        /// What was sampled until then.
        perf_data: PathBuf,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Event(source) => source.hints(),
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec!["is the file executable for the user that runs the workload?".into()]
            }
            Self::Write { path, .. } | Self::Abandoned { perf_data: path, .. } => {
                vec![format!("what was sampled is kept: goflame report {}", path.display())]
            }
            _ => Vec::new(),
        }
    }
}
