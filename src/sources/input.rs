//! Bytes and kind of an input file. The content decides the kind, not the file name.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use crate::fsio::{self, FileError, MappedFile};
use crate::perfdata::{self, PerfData};
use crate::pprof;
use crate::process::open_with_own_rights;
use crate::stacktext;

/// Number of leading bytes that identify a recording.
const MAGIC_BYTES: usize = 8;

/// Maximum size of a recording or text that is read from a pipe into memory. A regular file is mapped and can have any
/// size.
const MAX_PIPED_BYTES: u64 = 4 << 30;

/// Kind of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A recording, including one in a form that goflame does not support.
    PerfData,
    /// A pprof profile, gzipped or not.
    Pprof,
    /// Folded stacks.
    Folded,
    /// Output of `perf script`.
    PerfScript,
}

impl InputKind {
    /// Detects the kind from the first bytes of a file; `None` if it is unknown.
    fn detect(beginning: &[u8]) -> Option<Self> {
        let magic = beginning.get(..MAGIC_BYTES).unwrap_or(beginning);
        if !matches!(PerfData::parse(magic), Err(perfdata::Error::NotPerfData)) {
            return Some(Self::PerfData);
        }
        let text = beginning.get(..stacktext::DETECTED_BYTES).unwrap_or(beginning);
        // Texts are tried first: profile.proto has no magic number, so the start of a text can be a valid message of it.
        if pprof::is_go_text(beginning) {
            Some(Self::Pprof)
        } else if stacktext::is_perf_script(text) {
            Some(Self::PerfScript)
        } else if stacktext::is_folded(text) {
            Some(Self::Folded)
        } else {
            pprof::is_pprof(beginning).then_some(Self::Pprof)
        }
    }
}

/// Bytes of a file: mapped, or read into memory if the file cannot be mapped.
#[derive(Debug)]
pub enum InputBytes {
    /// A regular file.
    Mapped(MappedFile),
    /// A pipe or a device, or a recording that was converted in memory.
    Read(Vec<u8>),
}

impl InputBytes {
    /// Opens and maps a file, or reads it if it cannot be mapped.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = fsio::open(path).or_else(|refused| open_with_own_rights(path).ok_or(refused))?;
        let unread = |source| FileError::new("read", path, source);
        if file.metadata().map_err(unread)?.is_file() {
            return MappedFile::map(&file, path).map(Self::Mapped).map_err(unread);
        }
        read_stream(path, file).map(Self::Read)
    }

    /// Returns the kind of the file; `None` if it is unknown.
    pub fn kind(&self) -> Option<InputKind> {
        InputKind::detect(self.bytes())
    }

    /// Returns all bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped.as_ref(),
            Self::Read(bytes) => bytes,
        }
    }

    /// Releases the memory of mapped bytes that are no longer needed.
    pub fn release(&self, range: Range<usize>) {
        if let Self::Mapped(mapped) = self {
            mapped.release(range);
        }
    }
}

/// Reads a pipe. Stops after the first bytes if the kind is unknown, because a source like `/dev/zero` never ends.
fn read_stream(path: &Path, mut file: File) -> Result<Vec<u8>, FileError> {
    let unread = |source| FileError::new("read", path, source);
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(stacktext::DETECTED_BYTES as u64).read_to_end(&mut bytes).map_err(unread)?;
    match InputKind::detect(&bytes) {
        // The pprof reader refuses a profile that is too long.
        Some(InputKind::Pprof) => file.take(pprof::MAX_UNPACKED_BYTES as u64).read_to_end(&mut bytes),
        Some(InputKind::PerfData | InputKind::Folded | InputKind::PerfScript) => {
            let read = Read::by_ref(&mut file).take(MAX_PIPED_BYTES).read_to_end(&mut bytes);
            match read {
                Ok(count) if u64::try_from(count).is_ok_and(|count| count == MAX_PIPED_BYTES) => {
                    Err(io::Error::other("an input of more than 4 GiB can be read only from a file, not from a pipe"))
                }
                read => read,
            }
        }
        None => return Ok(bytes),
    }
    .map_err(unread)?;
    Ok(bytes)
}
