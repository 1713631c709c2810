//! pprof profiles, read and written: bytes of `profile.proto`, gzipped or not ⇄ a [`Profile`](crate::profile::Profile).
//!
//! [`messages`] holds the messages of google/pprof's proto/profile.proto, and [`wire`] their encoding, each for both
//! directions. To read: [`unpack`] undoes gzip, [`legacy`] rewrites Go's texts, [`tables`] reads the tables, [`select`]
//! makes an event of each sample type, [`mod@read`] builds the profile, and [`origin`] finds the origin of a function. To
//! write: [`mod@write`], with paths of source files from [`source_dirs`]. Fields are read in place and written one by one.
//! A code generator such as prost is not used: its reader cannot report where a file is damaged, rejects a whole file for
//! one name that is not UTF-8, and makes a value of fifty bytes from two bytes.
//!
//! A profile shows one of the sample types of a file, with its count, and keeps the others beside it. Comments, columns and
//! the patterns of frames to drop are dropped.
//!
//! The file is untrusted: no function here panics, loops for long, or takes memory out of proportion to the unpacked
//! bytes. The number of unpacked bytes is limited. Must not open files.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod error;
mod labels;
mod legacy;
mod limits;
mod messages;
mod origin;
mod read;
mod select;
mod source_dirs;
mod strings;
mod table;
mod tables;
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
mod wire;
mod write;

pub use error::Error;
pub use origin::{CodePlace, is_placeholder, origin};
pub use read::{Imported, read};
pub use select::SampleTypes;
pub use source_dirs::SourceDirs;
pub use unpack::{MAX_UNPACKED_BYTES, is_go_text, is_pprof};
pub use write::write;
