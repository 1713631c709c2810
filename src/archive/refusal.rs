//! The reasons why an export is refused.

use std::io;

use super::problem::{Damage, FileProblem};

/// The reason why an export is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file cannot be unpacked to its end: it is cut off, damaged, or of another kind.
    #[error("it is not a whole tar archive in Zstandard frames")]
    NotAnArchive(#[source] io::Error),
    /// Bytes follow the end of the tar archive, or its end is missing.
    #[error("its end is missing, or something follows it")]
    BadEnd,
    /// The export unpacks to more bytes than its size justifies, or than any run has.
    #[error("it unpacks to more than {limit} bytes: too much for its size, or for any run")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The export has more files than any run.
    #[error("it has more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
    /// An entry is a link, a device or another kind that exports do not have.
    #[error("{name:?} in it is {kind}, and only plain files are accepted")]
    NotAFile {
        /// The name.
        name: String,
        /// The kind.
        kind: &'static str,
    },
    /// The name of an entry belongs to another run, leads out of the run, is too long, or has too many parts.
    #[error("{name:?} in it is not a name of a file inside of one run")]
    BadName {
        /// The name.
        name: String,
    },
    /// The first entry is not the manifest of a run.
    #[error("it begins with {name:?} instead of the manifest of a run")]
    NoManifest {
        /// The name of the first entry.
        name: String,
    },
    /// The manifest is invalid, newer than this goflame, or belongs to another run.
    #[error("its manifest is not usable")]
    Manifest(#[source] Damage),
    /// Two entries have the same name.
    #[error("{name:?} is in it twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A file does not match the manifest.
    #[error("{0}")]
    File(FileProblem),
}

impl Refusal {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotAnArchive(_) | Self::BadEnd => {
                vec![
                    "`goflame runs export` writes what can be imported; copy the file again if it was cut off"
                        .to_owned(),
                ]
            }
            Self::Manifest(Damage::NewerSchema { .. }) => vec!["use the newer goflame that exported it".to_owned()],
            _ => vec!["nothing of it was written; ask its sender for a new export".to_owned()],
        }
    }
}
