//! Why a recording cannot be analysed at all.

use crate::perfdata;

/// An analysis that failed. Missing symbols are not an error; they are counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file has no event to analyse.
    #[error("the recording has no sampled event")]
    NoEvent,
    /// The records are unreadable from the first one on.
    #[error("no record could be read")]
    NoRecords(#[source] perfdata::Error),
}
