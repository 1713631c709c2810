//! Reasons why a recording cannot be analysed.

use crate::perfdata;

/// Why an analysis failed. Missing symbols are not an error: the quality figures count them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recording has no event.
    #[error("the recording has no sampled event")]
    NoEvent,
    /// The recording has no event with the requested name.
    #[error("it has no event `{asked}`")]
    UnknownEvent {
        /// The requested name.
        asked: String,
        /// The names of the recording's events.
        known: Vec<String>,
    },
    /// Not even the first record is readable.
    #[error("no record could be read")]
    NoRecords(#[source] perfdata::Error),
}

impl Error {
    /// Whether the user's request is wrong, not the recording.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownEvent { .. })
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownEvent { known, .. } => vec![format!("it has {}", known.join(", "))],
            Self::NoEvent | Self::NoRecords(_) => Vec::new(),
        }
    }
}
