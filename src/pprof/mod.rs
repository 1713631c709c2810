//! Reading pprof profiles: bytes of `profile.proto`, gzipped or not → a [`Profile`](crate::profile::Profile).
//!
//! [`unpack`] undoes gzip, [`wire`] parses protocol buffers, [`message`] reads the tables of google/pprof's
//! proto/profile.proto, [`select`] selects one of the sample types, [`build`] builds the profile, and [`whose`] finds
//! the origin of a function. Fields are read in place. prost, which writes these files (`render`), is not used here: it
//! cannot report where a file is damaged, it rejects a whole file for one name that is not UTF-8, and it makes a value
//! of fifty bytes from two bytes.
//!
//! A profile has one weight and one count. Therefore one of a file's sample types is shown, with its count. Comments,
//! columns, the patterns of frames to drop, the period of what was not sampled, and labels that goflame does not
//! support are dropped. A note names the dropped labels.
//!
//! The file is untrusted: nothing here panics, loops for long, or takes memory out of proportion to the unpacked bytes.
//! The number of unpacked bytes is limited. Must not open files.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod build;
mod error;
mod labels;
mod message;
mod select;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests fail by panicking"
)]
mod tests;
mod unpack;
mod whose;
mod wire;

pub use build::{Imported, read};
pub use error::Error;
pub use select::SampleTypes;
pub use unpack::{LARGEST, is_pprof};
