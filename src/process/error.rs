//! Errors of running an external program.

use std::io;
use std::path::{Path, PathBuf};

use super::status::ExitStatus;

/// Why an external program could not be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory on PATH contains the program.
    #[error("`{program}` was not found on PATH")]
    NotFound {
        /// The name of the program.
        program: String,
        /// The PATH that was searched. `None` if it is not set.
        path: Option<String>,
    },
    /// The program was given as a path, but no executable file exists there.
    #[error("`{program}` is not an executable file")]
    NotExecutable {
        /// The path of the program.
        program: String,
    },
    /// The working directory for the program does not exist.
    #[error("`{command}` cannot run in {}: no such directory", dir.display())]
    NoDirectory {
        /// The command line, quoted for a shell.
        command: String,
        /// Path of the directory.
        dir: PathBuf,
    },
    /// The system refused to start the program or to wait for it.
    #[error("cannot run `{command}`{}", directory_suffix(dir.as_deref()))]
    Start {
        /// The command line, quoted for a shell.
        command: String,
        /// The working directory for the program. `None` means goflame's directory.
        dir: Option<PathBuf>,
        /// The reason.
        source: io::Error,
    },
    /// The program ran and ended with something other than exit status 0.
    #[error("`{command}`{} failed: {status}", directory_suffix(dir.as_deref()))]
    Failed {
        /// The command line, quoted for a shell.
        command: String,
        /// The working directory of the program. `None` means goflame's directory.
        dir: Option<PathBuf>,
        /// How the program ended.
        status: ExitStatus,
        /// The end of the program's standard error. `None` if there was no output.
        #[source]
        stderr_tail: Option<StderrTail>,
    },
    /// A signal asked goflame to end, so goflame ended the program.
    #[error("interrupted: `{command}` was stopped")]
    Interrupted {
        /// The command line, quoted for a shell.
        command: String,
        /// Number of the signal.
        signal: i32,
    },
}

impl Error {
    /// Advice for the user, one line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { program, path } => vec![match path.as_deref() {
                None => "PATH is not set".to_owned(),
                Some("") => "PATH is empty".to_owned(),
                Some(path) => format!("install `{program}` or add its directory to PATH, which is {path}"),
            }],
            _ => Vec::new(),
        }
    }
}

fn directory_suffix(dir: Option<&Path>) -> String {
    dir.map(|dir| format!(" in {}", dir.display())).unwrap_or_default()
}

/// The last lines that a failed program wrote to standard error. They usually state the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StderrTail(String);

impl StderrTail {
    /// Maximum number of lines. A compiler's first error can be lost, but the last lines usually contain the result.
    const MAX_LINES: usize = 20;
    /// Maximum number of bytes, for programs that write very long lines.
    const MAX_BYTES: usize = 4096;

    /// Returns the end of `stderr`. `None` if it contains only white space.
    pub(super) fn from_output(stderr: &[u8]) -> Option<Self> {
        let start = stderr.len().saturating_sub(Self::MAX_BYTES);
        let text = String::from_utf8_lossy(stderr.get(start..).unwrap_or_default());
        let lines: Vec<&str> = text.trim().lines().collect();
        let first = lines.len().saturating_sub(Self::MAX_LINES);
        let tail = lines.get(first..).unwrap_or_default().join("\n");
        (!tail.is_empty()).then_some(Self(tail))
    }

    /// Returns the text, without a final line end.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Formats an error and its causes in one line.
pub fn describe_with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {}", error.to_string().lines().collect::<Vec<_>>().join("; "));
        cause = error.source();
    }
    text
}
