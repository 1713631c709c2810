//! The program that a build left behind, read back.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::{Toolchain, Variant};
use crate::gobin::{Binary, BinaryFacts};

use super::{Error, Mismatch, inspect};

/// A built program and what its bytes show.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// What the binary shows of itself.
    pub facts: BinaryFacts,
    /// In what it is not what was asked for; empty when all is as it should be.
    pub mismatches: Vec<Mismatch>,
}

impl Artifact {
    /// Reads the program at `path` once and inspects those bytes for `variant` and `pin`.
    pub fn read(path: &Path, variant: &Variant, pin: &Toolchain) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let binary = Binary::parse(&bytes).map_err(|source| Error::Inspect { path: path.to_owned(), source })?;
        let facts = binary.facts();
        let mismatches = inspect(&facts, variant, pin);
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Self { path: path.to_owned(), sha256: hex(&Sha256::digest(&bytes)), size, facts, mismatches })
    }
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
