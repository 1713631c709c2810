//! Builds a [`Profile`](crate::profile::Profile) from the records of a recording and the bytes of its binaries, and
//! counts what is lost and unknown.
//!
//! Analysis has three steps, which all use all cores:
//! 1. [`collect`] reads the records once, follows mappings and forks in time order, and counts equal raw stacks. A raw
//!    stack consists of [raw locations](raw_location). [`shards`] runs this step on all cores.
//! 2. [`symbols`] names each distinct raw location once.
//! 3. [`assemble`] makes [`locations`] and [`stacks`] of a profile from them and adds the quality figures.
//!
//! A location has the same number in all steps and in the profile. Must not open files: images and kernel symbols are
//! passed in as bytes.

mod address_space;
mod assemble;
mod chain;
mod collect;
mod error;
mod files;
mod goroutine;
mod image;
mod kernel;
mod kernel_table;
mod last_stack;
mod location_flags;
mod locations;
mod raw_location;
mod shards;
mod stacks;
mod symbols;
mod unwind;

use std::ops::Range;

pub use assemble::{Analysis, UsedKernelSymbols, analyse};
pub use error::Error;
pub use goroutine::GoroutineSeen;
pub use kernel::{KernelSymbols, KernelSymbolsError};

/// Input of the analysis besides the recording.
#[derive(Clone, Copy, Default)]
pub struct Options<'o> {
    /// Kernel release of the kernel symbols. `None` if they belong to the recording for certain.
    pub kernel_release: Option<&'o str>,
    /// `kernel.perf_event_max_stack` at the time of the recording; 127 by default.
    pub max_stack: Option<u32>,
    /// CPU seconds that the workload used (getrusage), to compare with the sampled CPU seconds.
    pub used_cpu_seconds: Option<f64>,
    /// Number of records that the kernel dropped, if the sampler counted more than the file says.
    pub lost: Option<u64>,
    /// The goroutines that the recorder read.
    pub goroutines: &'o [GoroutineSeen],
    /// Called, from several threads, with ranges of the file that were read and are rarely needed again, so that the
    /// caller can release their memory.
    pub release: Option<&'o (dyn Fn(Range<usize>) + Sync)>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;
