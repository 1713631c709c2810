//! Problems of a run on disk.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::tree::FileEntry;
use crate::fsio::FileError;

/// The reason why a run cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// `runs/<id>` is a link or a file, not a directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// `manifest.json` is not a plain file but, for example, a link or a directory.
    #[error("{} is not a plain file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// `manifest.json` cannot be read.
    #[error(transparent)]
    Unreadable(FileError),
    /// `manifest.json` is not JSON, or lacks the fields that the archive writes.
    #[error("{} is not a manifest", path.display())]
    NotAManifest {
        /// The path.
        path: PathBuf,
        /// The mismatch.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest was written by a newer version of goflame.
    #[error("its manifest has schema {found}, but this goflame can read schemas up to {known}")]
    NewerSchema {
        /// The manifest's schema.
        found: u64,
        /// The newest schema that this version supports.
        known: u64,
    },
    /// The manifest belongs to another run.
    #[error("its manifest is that of run {found:?}")]
    OtherRun {
        /// The id in the manifest.
        found: String,
    },
    /// The manifest lists a name that no file of a run may have: it is not a plain relative path, or it is
    /// `manifest.json`.
    #[error("its manifest lists {name:?}, which is not a name for a file of a run")]
    BadName {
        /// The name of the file.
        name: String,
    },
}

/// A difference between a file of a run and the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileProblem {
    /// The file's relative name.
    pub file: String,
    /// The difference.
    pub problem: Discrepancy,
}

/// The kinds of difference between a file of a run and the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discrepancy {
    /// The file does not exist.
    Missing,
    /// The content differs.
    Changed {
        /// The entry in the manifest.
        expected: FileEntry,
        /// The actual file.
        found: FileEntry,
    },
    /// The manifest does not list the file.
    Extra,
    /// The file is a symbolic link.
    Link,
    /// The path is a device, a socket or a pipe. A directory at the path counts as a missing file.
    NotAFile,
    /// The file cannot be read. Holds the system's reason.
    Unreadable(String),
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match &self.problem {
            Discrepancy::Missing => f.write_str("missing"),
            Discrepancy::Changed { expected, found } if expected.size != found.size => {
                write!(f, "changed: {} bytes instead of {}", found.size, expected.size)
            }
            Discrepancy::Changed { expected, found } => {
                write!(f, "changed: SHA-256 {} instead of {}", found.sha256, expected.sha256)
            }
            Discrepancy::Extra => f.write_str("not in the manifest"),
            Discrepancy::Link => f.write_str("a symbolic link, which a run must not contain"),
            Discrepancy::NotAFile => f.write_str("not a plain file"),
            Discrepancy::Unreadable(why) => write!(f, "unreadable: {why}"),
        }
    }
}
