//! Errors of finding, reading and parsing the settings.

use std::path::PathBuf;

use super::problem::Problems;
use crate::fsio::FileError;
use crate::process::quote;

/// The reason why the settings cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `goflame.toml` was found.
    #[error("no goflame.toml in {} or any directory above it", dir.display())]
    NotFound {
        /// The directory where the search began.
        dir: PathBuf,
    },
    /// A file in a parent directory that other users may have written.
    #[error("{} is in a parent directory and {why}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who may have written the file, for example `it belongs to nobody (user id 65534)`.
        why: String,
    },
    /// A file or directory that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not UTF-8 text.
    #[error("{}:{line}:{column}: byte {byte:#04x} at offset {offset} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first invalid byte.
        byte: u8,
        /// Offset of the byte, from 0.
        offset: usize,
        /// Line of the byte, from 1.
        line: usize,
        /// Column of the byte in characters, from 1.
        column: usize,
    },
    /// The file has problems. [`Error::render`] shows each problem in the text.
    #[error("{0}")]
    Invalid(Problems),
    /// The value of a flag is invalid.
    #[error("invalid value for `{flag}`: {reason}")]
    Flag {
        /// The long name of the flag, for example `--freq`.
        flag: &'static str,
        /// Why the value is invalid.
        reason: String,
        /// Advice.
        help: Option<String>,
    },
}

impl Error {
    /// Further advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { .. } => vec!["`goflame init` creates one".to_owned()],
            Self::Untrusted { path, .. } => vec![
                "settings decide which programs run, so the writer of this file could run programs with your rights"
                    .to_owned(),
                format!("if you trust the file, use `--config {}` or work in its directory", quote(path.as_os_str())),
            ],
            Self::NotUtf8 { .. } => vec!["save the file as UTF-8".to_owned()],
            Self::Flag { help, .. } => help.iter().cloned().collect(),
            Self::File(_) | Self::Invalid(_) => Vec::new(),
        }
    }

    /// Whether the error is in the command line, not in the file: exit code 2, not 3.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Flag { .. })
    }

    /// Draws every problem of a file with its line, in the style of rustc. `None` for an error that is not about a line.
    /// `color` enables ANSI escapes. No newline at the end.
    pub fn render(&self, color: bool) -> Option<String> {
        match self {
            Self::Invalid(problems) => Some(problems.render(color)),
            _ => None,
        }
    }
}
