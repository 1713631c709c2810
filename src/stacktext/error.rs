//! Errors of reading a text with stacks.

use super::builder::MAX_FRAMES;

/// The reason why a text is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A stack with more than [`MAX_FRAMES`] frames, which no tool records.
    #[error("the stack at line {line} has more than {MAX_FRAMES} frames")]
    Deep {
        /// Number of the line, from 1.
        line: usize,
    },
    /// A weight above the limit of 64 bits.
    #[error("the weight at line {line} is too large")]
    Weight {
        /// Number of the line, from 1.
        line: usize,
    },
    /// The text has no sample of the requested event.
    #[error("it has no event `{requested}`")]
    UnknownEvent {
        /// The requested event.
        requested: String,
        /// The events of the text.
        known: Vec<String>,
    },
}

impl Error {
    /// Whether the user asked for something that the text does not have.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownEvent { .. })
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownEvent { known, .. } => vec![format!("it has {}", known.join(", "))],
            Self::Deep { .. } | Self::Weight { .. } => Vec::new(),
        }
    }
}
