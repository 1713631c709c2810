//! One fact, or how it is missing.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// No file read here is longer: `/proc/cpuinfo` of a 512-CPU machine has about 1 MiB.
const LIMIT: u64 = 4 << 20;
/// How much of a nonsensical text is kept for the report.
const SHOWN: usize = 80;

/// What reading a fact gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading<T> {
    /// The fact.
    Value(T),
    /// The file, or the line in it, does not exist.
    Absent,
    /// The file exists and could not be read; the system's reason.
    Unreadable(String),
    /// The file was read and holds something else than expected; the beginning of it.
    Garbage(String),
}

impl<T> Reading<T> {
    /// The fact, where there is one.
    pub fn value(&self) -> Option<&T> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }

    /// Goes on with the fact where there is one; keeps how it is missing otherwise.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Value(value) => next(value),
            Self::Absent => Reading::Absent,
            Self::Unreadable(why) => Reading::Unreadable(why),
            Self::Garbage(text) => Reading::Garbage(text),
        }
    }

    /// Nonsense, shortened for a report.
    pub(super) fn garbage(text: &str) -> Self {
        Self::Garbage(text.trim().chars().take(SHOWN).collect())
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

/// The text of a small file, at most `limit` bytes of it.
pub(super) fn text_up_to(path: &Path, limit: u64) -> Reading<String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Reading::Value(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => missing(&error),
    }
}

/// The text of a small file.
pub(super) fn text(path: &Path) -> Reading<String> {
    text_up_to(path, LIMIT)
}

/// A file that holds a single value. An empty one is nonsense.
pub(super) fn single<T>(path: &Path, parse: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    text(path).and_then(|text| parse(text.trim()).map_or_else(|| Reading::garbage(&text), Reading::Value))
}

/// How a failed read leaves the fact.
pub(super) fn missing<T>(error: &std::io::Error) -> Reading<T> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Reading::Absent,
        _ => Reading::Unreadable(error.to_string()),
    }
}
