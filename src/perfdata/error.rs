//! Errors of reading and writing a `perf.data` file.

use std::io;

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first eight bytes are not perf's magic number.
    #[error("not a perf.data file: it does not start with PERFILE2")]
    NotPerfData,
    /// A `perf.data` file of a kind that goflame cannot read.
    #[error("unsupported perf.data: {0}")]
    Unsupported(Unsupported),
    /// The bytes end too early or contradict themselves.
    #[error("{what} is cut off or damaged at byte {offset} of the perf.data file")]
    Damaged {
        /// Name of the damaged part.
        what: &'static str,
        /// Offset of the damaged part, in bytes from the start of the file.
        offset: u64,
    },
    /// A compressed recording, or a recording of several files, is larger than the limit after it is unpacked into one
    /// plain file. Also a gperftools profile whose `perf.data` form is larger than its limit.
    #[error("unpacked, it is larger than the limit of {} MiB", largest >> 20)]
    TooLarge {
        /// The limit, in bytes.
        largest: usize,
    },
    /// A CPU profile of gperftools ends too early or contradicts itself.
    #[error("the gperftools profile is cut off or damaged at byte {offset}")]
    Gperftools {
        /// Offset of the damaged stack, in bytes.
        offset: usize,
    },
    /// The record is too long for the format's 16-bit size field.
    #[error("a perf record of type {kind} has {size} bytes, and the format allows 65535")]
    RecordTooLarge {
        /// Record type.
        kind: u32,
        /// Size including the header, in bytes.
        size: usize,
    },
    /// The output refused bytes. The records written before stay readable; the writer accepts no more.
    #[error("cannot write perf.data")]
    Write(#[source] io::Error),
}

impl Error {
    /// Next steps for the user.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unsupported(Unsupported::Compressed) | Self::TooLarge { .. } => {
                "record again with `perf record` without `-z` and `--threads`, or for a shorter time"
            }
            Self::Unsupported(Unsupported::BigEndian) => "run `perf script` on the machine that recorded the file",
            Self::Unsupported(Unsupported::OldFormat) => "record again with a perf that is newer than Linux 3.4",
            Self::Unsupported(Unsupported::MixedIds) => "record the events in separate files",
            Self::Gperftools { .. } => {
                "a profile is whole once the program has ended or called `ProfilerStop`; record again"
            }
            Self::Write(cause) if cause.kind() == io::ErrorKind::StorageFull => {
                "free disk space, or record shorter or at a lower frequency"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// Why a valid `perf.data` file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// Recorded on a big-endian machine; goflame profiles little-endian ones.
    BigEndian,
    /// `PERFFILE`, the format before Linux 3.4.
    OldFormat,
    /// The header size is neither 104 bytes (file) nor 16 bytes (pipe).
    HeaderSize(u64),
    /// Zstandard-compressed records that the header does not announce, or inside of compressed ones.
    Compressed,
    /// Several events, and their records do not hold the event id at one common offset.
    MixedIds,
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BigEndian => f.write_str("it was recorded on a big-endian machine"),
            Self::OldFormat => f.write_str("it has the old PERFFILE format"),
            Self::HeaderSize(size) => write!(f, "its header has {size} bytes instead of 104 (file) or 16 (pipe)"),
            Self::Compressed => f.write_str("it has compressed records where perf writes none"),
            Self::MixedIds => f.write_str("its records store the id of their event at different positions"),
        }
    }
}

/// Copyable form of [`Error::Damaged`], kept by a reader that may return it more than once.
#[derive(Debug, Clone, Copy)]
pub(super) struct DamageAt {
    pub(super) what: &'static str,
    pub(super) offset: usize,
}

impl From<DamageAt> for Error {
    fn from(damage: DamageAt) -> Self {
        Self::Damaged { what: damage.what, offset: u64::try_from(damage.offset).unwrap_or(u64::MAX) }
    }
}
