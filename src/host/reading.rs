//! A fact, or the reason why it is missing.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Maximum number of bytes that are read from a file. `/proc/cpuinfo` of a machine with 512 CPUs has about 1 MiB.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Maximum number of characters of an unexpected text that the report shows.
const MAX_GARBAGE_CHARS: usize = 80;

/// The result of reading a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading<T> {
    /// The fact.
    Value(T),
    /// The file, or the line in it, does not exist.
    Absent,
    /// The file exists but cannot be read. Holds the system's error message.
    Unreadable(String),
    /// The file has unexpected contents. Holds the start of the contents.
    Garbage(String),
}

impl<T> Reading<T> {
    /// The fact, if it was read.
    pub fn value(&self) -> Option<&T> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }

    /// Calls `next` with the fact; a missing fact keeps its reason.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Value(value) => next(value),
            Self::Absent => Reading::Absent,
            Self::Unreadable(why) => Reading::Unreadable(why),
            Self::Garbage(text) => Reading::Garbage(text),
        }
    }

    /// A reading of unexpected contents, which are shortened for the report.
    pub(super) fn garbage(text: &str) -> Self {
        Self::Garbage(text.trim().chars().take(MAX_GARBAGE_CHARS).collect())
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Reading<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Absent => f.write_str("absent"),
            Self::Unreadable(why) => write!(f, "unreadable: {why}"),
            Self::Garbage(text) => write!(f, "not understood: {text:?}"),
        }
    }
}

/// Reads the first `limit` bytes of a text file.
pub(super) fn read_text_up_to(path: &Path, limit: u64) -> Reading<String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Reading::Value(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => reading_from_error(&error),
    }
}

/// Reads a text file, at most [`MAX_FILE_BYTES`].
pub(super) fn read_text(path: &Path) -> Reading<String> {
    read_text_up_to(path, MAX_FILE_BYTES)
}

/// Reads a file that holds a single value.
pub(super) fn read_value<T>(path: &Path, parse: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    read_text(path).and_then(|text| parse(text.trim()).map_or_else(|| Reading::garbage(&text), Reading::Value))
}

/// The reason for a missing fact whose file could not be read: [`Reading::Absent`] or [`Reading::Unreadable`].
pub(super) fn reading_from_error<T>(error: &std::io::Error) -> Reading<T> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Reading::Absent,
        _ => Reading::Unreadable(error.to_string()),
    }
}
