//! What can go wrong with a pprof profile.

use std::io;

use super::build::{DEEPEST, FRAMES_PER_BYTE};
use super::message::MOST_MEMORY;

/// A profile that is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gzip stream ends too early, or its checksum does not fit.
    #[error("its gzip data is cut off or damaged behind {unpacked} unpacked bytes")]
    Gzip {
        /// How many bytes could be unpacked.
        unpacked: usize,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },
    /// A gzip stream of something else.
    #[error("what it unpacks to is no pprof profile")]
    NotPprof,
    /// Far more bytes than a profile has, or than a file of its size unpacks to.
    #[error("it has more than {} MiB unpacked", largest >> 20)]
    TooLarge {
        /// The limit, in bytes.
        largest: usize,
    },
    /// Far more entries than a profile has.
    #[error("its strings, functions, locations and mappings would take more than {} MiB of memory", MOST_MEMORY >> 20)]
    TooManyEntries,
    /// The bytes end too early or contradict themselves.
    #[error("{what} is cut off or damaged at byte {offset} of the unpacked profile")]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// Where, in bytes from the start of the unpacked profile.
        offset: usize,
    },
    /// A reference to what does not exist.
    #[error("{what} at byte {offset} of the unpacked profile refers to {target} {id}, which the file does not have")]
    Dangling {
        /// What refers.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// What it refers to.
        target: &'static str,
        /// By which number.
        id: u64,
    },
    /// An id that is 0, which means none, or was given before.
    #[error("{what} at byte {offset} of the unpacked profile has the id {id}, which is {}", if *.id == 0 { "reserved" } else { "taken" })]
    Id {
        /// What has it.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// The id.
        id: u64,
    },
    /// A sample must have a value for each sample type.
    #[error("the sample at byte {offset} of the unpacked profile has {values} values for {types} sample types")]
    Values {
        /// Where it begins.
        offset: usize,
        /// How many values it has.
        values: usize,
        /// How many there should be.
        types: usize,
    },
    /// Without a type, a number means nothing.
    #[error("it has no sample types, so nothing tells what its numbers mean")]
    NoSampleType,
    /// The sample type that was asked for is not there.
    #[error("it has no sample type `{asked}`")]
    UnknownSampleType {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A stack that no recorder writes.
    #[error("the stack at byte {offset} of the unpacked profile has more than {DEEPEST} frames")]
    Deep {
        /// Where its sample begins.
        offset: usize,
    },
    /// Inlined calls that are written once, and used over and over.
    #[error("its stacks have more than {FRAMES_PER_BYTE} frames for each byte of the unpacked profile")]
    Repetitive,
}

impl Error {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Gzip { .. } | Self::Damaged { .. } | Self::Dangling { .. } => {
                "get the file again: a CPU profile is whole once `pprof.StopCPUProfile` has returned, a download once it has ended"
            }
            Self::NotPprof => {
                "goflame reads perf.data files and pprof profiles (profile.proto), gzipped or not; an archive has to be unpacked first"
            }
            Self::TooLarge { .. } | Self::TooManyEntries | Self::Repetitive => {
                "record for a shorter time, or keep a part: `go tool pprof -proto -focus FUNCTION FILE > part.pb.gz`"
            }
            Self::Deep { .. } => "drop the frames that recur: `go tool pprof -proto -hide FUNCTION FILE > part.pb.gz`",
            Self::UnknownSampleType { known, .. } => return vec![format!("it has {}", known.join(", "))],
            Self::Id { .. } | Self::Values { .. } | Self::NoSampleType => {
                "`go tool pprof -raw FILE` shows whether other programs can read it; if so, this is a bug in goflame"
            }
        };
        vec![hint.to_owned()]
    }

    /// Whether the command line asked for what is not there.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownSampleType { .. })
    }
}
