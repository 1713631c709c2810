//! Reading pprof profiles: bytes of `profile.proto`, gzipped or not → a [`Profile`](crate::profile::Profile).
//!
//! [`unpack`] undoes gzip, [`wire`] takes protocol buffers apart, [`message`] reads the tables of google/pprof's
//! proto/profile.proto, [`select`] chooses one of the sample types, and [`build`] makes the profile, with [`whose`] telling whose
//! code a function is. Fields are read in place, and not by prost, which writes these files (`render`): of a damaged file it
//! cannot say where the damage is, it refuses a whole file for one name that is not UTF-8, and it makes of two bytes a value of fifty.
//!
//! A profile has one weight and one count, so that of a file with several sample types one is shown, with what was counted
//! beside it. Comments, columns, the patterns of frames to drop, the period of what was not sampled, and labels that goflame has no
//! place for are left out; the last are named in a note.
//!
//! The file is hostile: nothing here panics, loops for long or takes memory out of proportion to the unpacked bytes, whose
//! number is limited. Must not open files.
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
