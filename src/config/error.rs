//! What can go wrong between a file and a [`Config`](super::Config).

use std::error::Error as _;
use std::path::PathBuf;

use super::problem::{Problems, render_plain};
use crate::fsio::FileError;
use crate::process::quote;

/// Settings that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `goflame.toml` where it was looked for.
    #[error("no goflame.toml in {} or any directory above it", dir.display())]
    NotFound {
        /// Where the search began.
        dir: PathBuf,
    },
    /// A file in a parent directory that other users may have written.
    #[error("{} is in a parent directory and {why}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who may have written it: `it belongs to nobody (user id 65534)`.
        why: String,
    },
    /// A file or directory that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Bytes that are no text.
    #[error("{}:{line}:{column}: byte {byte:#04x} at offset {offset} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte at fault.
        byte: u8,
        /// Where it is, in bytes from 0.
        offset: usize,
        /// Its line, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
    },
    /// A file with mistakes in it; [`Error::render`] points at each.
    #[error("{0}")]
    Invalid(Problems),
    /// A flag whose value is impossible.
    #[error("invalid value for {flag}: {reason}")]
    Flag {
        /// The flag as typed, such as `--freq`.
        flag: &'static str,
        /// What is wrong with its value.
        reason: String,
        /// Advice.
        help: Option<String>,
    },
}

impl Error {
    /// Advice that goes beyond what went wrong.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { .. } => vec!["`goflame init` writes one".to_owned()],
            Self::Untrusted { path, .. } => vec![
                "settings say which programs are run, so that user could run programs as you".to_owned(),
                format!("if you trust it, name it (`--config {}`) or work in its directory", quote(path.as_os_str())),
            ],
            Self::NotUtf8 { .. } => vec!["TOML is UTF-8: save the file in that encoding".to_owned()],
            Self::Flag { help, .. } => help.iter().cloned().collect(),
            Self::File(_) | Self::Invalid(_) => Vec::new(),
        }
    }

    /// Whether the command line is at fault, not the file: exit code 2, not 3.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Flag { .. })
    }

    /// The whole error for the terminal, as rustc draws it: every problem of a file with its line, or the message, its
    /// causes and the hints. With `color`, ANSI escapes. No newline at the end.
    pub fn render(&self, color: bool) -> String {
        if let Self::Invalid(problems) = self {
            return problems.render(color);
        }
        let mut notes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            notes.push(error.to_string());
            cause = error.source();
        }
        render_plain(&self.to_string(), &notes, &self.hints(), color)
    }
}
