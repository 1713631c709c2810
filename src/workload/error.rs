//! Errors of launching and supervising a workload.

use std::io;
use std::path::PathBuf;

use super::message::ExecStep;
use crate::fsio::FileError;
use crate::process;

/// Why a workload could not be run, or could not be supervised to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
        /// Name of the program.
        program: String,
        /// The step that failed.
        step: ExecStep,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The working directory does not exist or is not a directory.
    #[error("cannot run the workload in {path}", path = path.display())]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The file for standard input cannot be read.
    #[error("cannot open the standard input of the workload")]
    Stdin(#[source] FileError),
    /// Another process answers at the address of the server before the server starts.
    #[error("something answers at {address} already, before the server starts")]
    PortInUse {
        /// `host:port`.
        address: String,
        /// Id of the process that listens there, if it is visible.
        holder: Option<i32>,
    },
    /// The program of the load was not found.
    #[error("cannot run the load")]
    NoLoad(#[source] process::Error),
    /// The supervisor died.
    #[error("goflame's supervisor process was killed; the workload was stopped")]
    SupervisorLost,
    /// A signal arrived while the workload waited to start.
    #[error("interrupted before the workload began")]
    Interrupted {
        /// Number of the signal.
        signal: i32,
    },
    /// The user interrupted a second time.
    #[error("interrupted twice: the workload was killed, and nothing was analysed")]
    Abandoned {
        /// Number of the second signal.
        signal: i32,
    },
}

impl Error {
    /// Whether the program ran, so that a recording of it exists.
    pub fn program_ran(&self) -> bool {
        matches!(self, Self::SupervisorLost | Self::Abandoned { .. })
    }

    /// The signal that interrupted goflame. `None` for other errors.
    pub fn signal(&self) -> Option<i32> {
        match self {
            Self::Interrupted { signal } | Self::Abandoned { signal } => Some(*signal),
            _ => None,
        }
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec!["is the file executable for the user that runs the workload?".into()]
            }
            Self::PortInUse { holder: Some(pid), .. } => {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                vec![format!("process {pid} ({}) holds the port: stop it, or use another port", name.trim_end())]
            }
            Self::PortInUse { holder: None, .. } => {
                vec!["stop the process that holds the port, or use another port".into()]
            }
            Self::NoLoad(_) => vec!["install it, or name another command as `load` in [workload]".into()],
            _ => Vec::new(),
        }
    }
}
