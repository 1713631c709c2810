//! Errors of reading and writing a `perf.data` file.

use std::io;

/// Why a `perf.data` file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first eight bytes are not perf's magic number.
    #[error("not a perf.data file: it does not start with PERFILE2")]
    NotPerfData,
    /// A `perf.data` file of a kind that goflame cannot read.
    #[error("unsupported perf.data: {0}")]
    Unsupported(Unsupported),
    /// The bytes end too early or contradict each other.
    #[error("{what} is cut off or damaged at byte {offset} of the perf.data file")]
    Damaged {
        /// Name of the damaged part.
        what: &'static str,
        /// Offset of the damaged part, in bytes from the start of the file.
        offset: u64,
    },
    /// A compressed recording, or a recording of several files, is larger than the limit after it is unpacked into one
    /// plain file. Also: a gperftools profile is larger than the limit for such profiles after it is converted to
    /// `perf.data`.
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
    /// Writing to the output failed. The records that were written before remain readable. Every later write fails too.
    #[error("cannot write perf.data")]
    Write(#[source] io::Error),
}

impl Error {
    /// Next steps for the user.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unsupported(Unsupported::Compressed) | Self::TooLarge { .. } => {
                "record again for a shorter time, with `perf record` without `-z` and `--threads`, or with goflame and \
                 `[archive] compress = false`"
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
    /// The recording is from a big-endian machine. goflame supports only little-endian machines.
    BigEndian,
    /// `PERFFILE`, the format before Linux 3.4.
    OldFormat,
    /// The header size is neither 104 bytes (file) nor 16 bytes (pipe).
    HeaderSize(u64),
    /// The file has compressed records although its header does not say so, or has compressed records inside of other
    /// compressed records.
    Compressed,
    /// The file has several events, whose records do not have the event id at the same offset.
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

/// The fields of [`Error::Damaged`]. Can be copied, because a reader can return the same error several times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damage {
    pub(super) what: &'static str,
    pub(super) offset: usize,
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::Damaged { what: damage.what, offset: u64::try_from(damage.offset).unwrap_or(u64::MAX) }
    }
}
