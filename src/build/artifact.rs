//! Artifact: the program that a build left behind, read back and inspected.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bytes::hex;
use crate::config::{Toolchain, Variant};
use crate::fsio::MappedFile;
use crate::gobin::{Binary, BinaryFacts};

use super::{Error, Mismatch, find_mismatches};

/// Chunk size in bytes: the part of a program that is in memory while it is hashed.
const HASH_CHUNK_BYTES: usize = 4 << 20;

/// Built program and the facts that its bytes show.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Path of the program.
    pub path: PathBuf,
    /// SHA-256 of the program, 64 hex digits.
    pub sha256: String,
    /// Size of the program in bytes.
    pub size: u64,
    /// Facts about the binary.
    pub facts: BinaryFacts,
    /// Differences from the requested build. Empty if there are none.
    pub mismatches: Vec<Mismatch>,
}

impl Artifact {
    /// Inspects the program at `path` for `variant` and `pin`.
    pub fn read(path: &Path, variant: &Variant, pin: &Toolchain) -> Result<Self, Error> {
        let mapped = MappedFile::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let binary = Binary::parse(mapped.as_ref());
        let facts = binary.map_err(|source| Error::Inspect { path: path.to_owned(), source })?.facts();
        let mismatches = find_mismatches(&facts, variant, pin);
        let size = u64::try_from(mapped.as_ref().len()).unwrap_or(u64::MAX);
        Ok(Self { path: path.to_owned(), sha256: sha256(&mapped), size, facts, mismatches })
    }
}

/// Hashes a file. Releases the memory of bytes already hashed.
fn sha256(mapped: &MappedFile) -> String {
    let mut hash = Sha256::new();
    let mut done = 0;
    for bytes in mapped.as_ref().chunks(HASH_CHUNK_BYTES) {
        hash.update(bytes);
        mapped.release(done..done + bytes.len());
        done += bytes.len();
    }
    hex(&hash.finalize())
}
