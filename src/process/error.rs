//! What can go wrong with an external program.

use std::io;
use std::path::{Path, PathBuf};

use super::Status;

/// An external program could not be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory on PATH holds such a program.
    #[error("`{program}` was not found on PATH")]
    NotFound {
        /// The name that was looked for.
        program: String,
        /// The PATH that was searched; `None` when it is not set.
        path: Option<String>,
    },
    /// The program was given as a path, and there is no executable file there.
    #[error("`{program}` is not an executable file")]
    NotExecutable {
        /// The path that was given.
        program: String,
    },
    /// The directory to run it in is not there.
    #[error("`{command}` cannot run in {}: no such directory", dir.display())]
    NoDirectory {
        /// The command line, quoted for a shell.
        command: String,
        /// The directory.
        dir: PathBuf,
    },
    /// The system refused to start it or to wait for it.
    #[error("cannot run `{command}`{}", in_dir(dir.as_deref()))]
    Start {
        /// The command line, quoted for a shell.
        command: String,
        /// The directory it was to run in; `None`: goflame's own.
        dir: Option<PathBuf>,
        /// The system's reason.
        source: io::Error,
    },
    /// It ran, and ended with something other than exit status 0.
    #[error("`{command}`{} failed: {status}", in_dir(dir.as_deref()))]
    Failed {
        /// The command line, quoted for a shell.
        command: String,
        /// The directory it ran in; `None`: goflame's own.
        dir: Option<PathBuf>,
        /// How it ended.
        status: Status,
        /// The end of what it wrote to standard error; `None` when that is nothing.
        #[source]
        said: Option<Said>,
    },
    /// A signal asked goflame to end, so the program was ended.
    #[error("interrupted: `{command}` was stopped")]
    Interrupted {
        /// The command line, quoted for a shell.
        command: String,
        /// The signal.
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

fn in_dir(dir: Option<&Path>) -> String {
    dir.map(|dir| format!(" in {}", dir.display())).unwrap_or_default()
}

/// The last lines that a failed program wrote to standard error: the cause, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Said(String);

impl Said {
    /// Lines kept. A compiler's first error may be lost, the last lines usually hold the verdict.
    const LINES: usize = 20;
    /// Bytes kept, for programs that write no line ends.
    const BYTES: usize = 4096;

    /// The tail of `stderr`; `None` when there is nothing but white space.
    pub(super) fn tail(stderr: &[u8]) -> Option<Self> {
        let start = stderr.len().saturating_sub(Self::BYTES);
        let text = String::from_utf8_lossy(stderr.get(start..).unwrap_or_default());
        let lines: Vec<&str> = text.trim().lines().collect();
        let first = lines.len().saturating_sub(Self::LINES);
        let tail = lines.get(first..).unwrap_or_default().join("\n");
        (!tail.is_empty()).then_some(Self(tail))
    }

    /// The text, without a final line end.
    pub fn text(&self) -> &str {
        &self.0
    }
}
