//! Texts with stacks that other tools write → a [`Profile`](crate::profile::Profile): folded stacks, as
//! `stackcollapse-perf.pl` writes them, and the output of `perf script`.
//!
//! The text is untrusted: no function here panics, loops for long, or needs memory out of proportion to the text. Must not
//! open files.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod builder;
mod error;
mod folded;
mod lines;
mod perf_script;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests fail by panicking"
)]
mod tests;

use crate::profile::{Profile, Quality};

pub use error::Error;
pub use folded::{is_folded, read_folded};
pub use perf_script::{is_perf_script, read_perf_script};

/// Number of leading bytes from which the kind of a text is detected.
pub const DETECTED_BYTES: usize = 1 << 16;

/// A profile that was read from a text.
#[derive(Debug)]
pub struct StackText {
    /// The profile.
    pub profile: Profile,
    /// The quality of the profile. A text does not contain all figures of quality.
    pub quality: Quality,
    /// Names of the events that are not in the profile.
    pub other_events: Vec<String>,
    /// Notes about the text for the user, one sentence each.
    pub notes: Vec<String>,
}
