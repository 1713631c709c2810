//! Builds a [`Profile`](crate::profile::Profile) from the records of a recording and the bytes of its binaries, and counts
//! lost records and unknown names for the quality figures.
//!
//! Analysis has three steps, which all use all cores:
//! 1. [`collect`] reads the records once, follows mappings and forks in time order, and counts equal raw stacks. A raw
//!    stack consists of [raw locations](raw_location). [`shards`] runs this step on all cores.
//! 2. [`symbols`] names each distinct raw location once.
//! 3. [`assemble`] makes [`locations`] and [`stacks`] of a profile from the named locations and counted stacks, and
//!    adds the quality figures.
//!
//! How an address is converted:
//! - a `RawAddress` is 8 bytes of the recording;
//! - [`raw_location::call_address`] converts it to the address of the call;
//! - an address space converts the address of the call to a [`RawLocation`](raw_location::RawLocation), such as an
//!   offset in a mapped file;
//! - interning gives the location the `LocationId` that it keeps in all steps and in the profile;
//! - naming makes a [`NamedLocation`](symbols::NamedLocation) with frames, and step 3 a location of the profile.
//!
//! Must not open files: images and kernel symbols are passed in as bytes.

mod address_space;
mod assemble;
mod chain;
mod collect;
mod error;
mod files;
mod generated;
mod goroutine;
mod image;
mod kernel;
mod kernel_table;
mod labels;
mod last_stack;
mod left_stacks;
mod location_flags;
mod locations;
mod needed;
mod progress;
mod range_map;
mod raw_location;
mod raw_task;
mod readings;
mod repaired;
mod shards;
mod stacks;
mod symbols;
mod unwind;

pub use assemble::{AnalyseOptions, Analysis, UsedKernelSymbols, analyse};
pub use error::Error;
pub use files::SampledFile;
pub use kernel::{KernelSymbols, KernelSymbolsError};
pub use repaired::RepairedRecording;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;
