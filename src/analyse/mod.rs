//! Records and the binaries' bytes → a [`Profile`](crate::profile::Profile), with counts of what is lost
//! and unknown.
//!
//! In three steps: [`collect`] reads the records once, follows mappings and forks in time order, and counts
//! equal raw stacks, which are made of [`place`]s; [`symbols`] names each distinct place once; [`assemble`] makes those the
//! [`locations`] and [`stacks`] of a profile and adds its quality figures. All use all cores ([`shards`]). A place is a
//! number from the first step to the last, where it is a location of the profile. Must not open
//! files: images and kernel symbols are handed in as bytes.

mod assemble;
mod chain;
mod collect;
mod error;
mod facts;
mod files;
mod goroutine;
mod image;
mod kernel;
mod kernel_table;
mod locations;
mod maps;
mod place;
mod recent;
mod shards;
mod stacks;
mod symbols;
mod unwind;

use std::ops::Range;
use std::sync::Arc;

pub use assemble::{Analysis, NamedKernel, analyse};
pub use error::Error;
pub use goroutine::GoroutineSeen;
pub use kernel::KernelSymbols;

/// The bytes of a file, read or mapped.
pub type ImageBytes = Arc<dyn Image>;

/// See [`ImageBytes`].
pub trait Image: Send + Sync {
    /// All of them.
    fn bytes(&self) -> &[u8];

    /// Those looked at until now will hardly be looked at again: their memory may be given back.
    fn forget(&self) {}
}

impl Image for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// Gives the bytes of mapped files, each at most once, from any thread.
pub trait Images: Sync {
    /// The bytes of the file that was mapped as `path`; `build_id` (hexadecimal) is what the recording knows
    /// of it. Or the reason why there are none, in a few words.
    fn image(&self, path: &str, build_id: Option<&str>) -> Result<ImageBytes, String>;
}

/// What the recording itself does not say.
#[derive(Clone, Copy, Default)]
pub struct Options<'o> {
    /// Release of the kernel that the kernel symbols belong to, where that may be another than the recording's.
    pub kernel_release: Option<&'o str>,
    /// `kernel.perf_event_max_stack` when it was recorded; 127 unless somebody changed it.
    pub max_stack: Option<u32>,
    /// CPU seconds that the workload used (getrusage), for the comparison with those sampled.
    pub used_cpu_seconds: Option<f64>,
    /// Records that the kernel dropped, where the sampler counted more than the file tells.
    pub lost: Option<u64>,
    /// The goroutines that the recorder read.
    pub goroutines: &'o [GoroutineSeen],
    /// Told, from several threads, which part of the file has been read and will hardly be needed again.
    pub passed: Option<&'o (dyn Fn(Range<usize>) + Sync)>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;
