//! Errors of reading a pprof profile.

use std::io;

use super::limits::{MAX_FRAMES_PER_BYTE, MAX_MEMORY_BYTES, MAX_STACK_FRAMES};

/// The reason why a pprof profile is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gzip stream ends too early, or its checksum is wrong.
    #[error("its gzip data is cut off or damaged behind {unpacked} unpacked bytes")]
    Gzip {
        /// Number of bytes that were unpacked before the error.
        unpacked: usize,
        /// Error of the decoder.
        #[source]
        source: io::Error,
    },
    /// The gzip stream does not contain a pprof profile.
    #[error("the unpacked bytes are not a pprof profile")]
    NotPprof,
    /// The unpacked profile is larger than the limit, which depends on the size of the packed file.
    #[error("unpacked, it is larger than the limit of {} MiB", largest >> 20)]
    TooLarge {
        /// The limit, in bytes.
        largest: usize,
    },
    /// The file has more table entries than the memory limit allows.
    #[error("its strings, functions, locations and mappings would take more than {} MiB of memory", MAX_MEMORY_BYTES >> 20)]
    TooManyEntries,
    /// The bytes end too early or are inconsistent.
    #[error("{what} is cut off or damaged at byte {offset} of the unpacked profile")]
    Damaged {
        /// The part that was being read.
        what: &'static str,
        /// Position of the error, in bytes from the start of the unpacked profile.
        offset: usize,
    },
    /// A reference to an entry that does not exist.
    #[error("{what} at byte {offset} of the unpacked profile refers to {target} {id}, which the file does not have")]
    DanglingReference {
        /// The referring entry.
        what: &'static str,
        /// Offset of the referring entry, in bytes.
        offset: usize,
        /// The kind of entry that is missing.
        target: &'static str,
        /// The id or index of the missing entry.
        id: u64,
    },
    /// An id that is 0 (which means "none") or a duplicate.
    #[error("{what} at byte {offset} of the unpacked profile has the id {id}, which is {}", if *.id == 0 { "reserved" } else { "taken" })]
    InvalidId {
        /// The entry with this id.
        what: &'static str,
        /// Offset of the entry, in bytes.
        offset: usize,
        /// The id.
        id: u64,
    },
    /// The number of values in a sample differs from the number of sample types.
    #[error("the sample at byte {offset} of the unpacked profile has {values} values for {types} sample types")]
    WrongValueCount {
        /// Offset of the sample, in bytes.
        offset: usize,
        /// Number of values in the sample.
        values: usize,
        /// Number of sample types.
        types: usize,
    },
    /// The file has no sample type, so its values have no meaning.
    #[error("it has no sample types, so the meaning of its numbers is unknown")]
    NoSampleType,
    /// The requested sample type does not exist.
    #[error("it has no sample type `{asked}`")]
    UnknownSampleType {
        /// The requested sample type.
        asked: String,
        /// The sample types of the file.
        known: Vec<String>,
    },
    /// A stack deeper than any recorder writes.
    #[error("the stack at byte {offset} of the unpacked profile has more than {MAX_STACK_FRAMES} frames")]
    TooDeep {
        /// Offset of the sample, in bytes.
        offset: usize,
    },
    /// Inlined calls that are written once and referenced too many times.
    #[error("its stacks have more than {MAX_FRAMES_PER_BYTE} frames for each byte of the unpacked profile")]
    TooRepetitive,
}

impl Error {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Gzip { .. } | Self::Damaged { .. } | Self::DanglingReference { .. } => {
                "get the file again: a CPU profile is whole once `pprof.StopCPUProfile` has returned, a download once it has ended"
            }
            Self::NotPprof => {
                "goflame reads perf.data files, pprof profiles (profile.proto, gzipped or not), folded stacks and the output of `perf script`; an archive has to be unpacked first"
            }
            Self::TooLarge { .. } | Self::TooManyEntries | Self::TooRepetitive => {
                "record for a shorter time, or keep a part: `go tool pprof -proto -focus FUNCTION FILE > part.pb.gz`"
            }
            Self::TooDeep { .. } => {
                "drop the frames that recur: `go tool pprof -proto -hide FUNCTION FILE > part.pb.gz`"
            }
            Self::UnknownSampleType { known, .. } => return vec![format!("it has {}", known.join(", "))],
            Self::InvalidId { .. } | Self::WrongValueCount { .. } | Self::NoSampleType => {
                "`go tool pprof -raw FILE` shows whether other programs can read it; if so, this is a bug in goflame"
            }
        };
        vec![hint.to_owned()]
    }

    /// Whether the error is in the command line: it requests something that does not exist.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownSampleType { .. })
    }
}
