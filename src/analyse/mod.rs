//! Records and the binaries' bytes → a [`Profile`](crate::profile::Profile), with counts of what is lost
//! and unknown.
//!
//! In three steps: [`collect`] reads the records once, follows mappings and forks in time order, and counts
//! equal raw stacks; [`symbols`] names each distinct address once; [`assemble`] builds the profile and its
//! quality figures. Must not open files: images and kernel symbols are handed in as bytes.

mod assemble;
mod collect;
mod error;
mod kernel;
mod maps;
mod origin;
mod symbols;

use std::sync::Arc;

pub use assemble::{Analysis, analyse};
pub use error::Error;
pub use kernel::KernelSymbols;

/// Gives the bytes of mapped files.
pub trait Images {
    /// The bytes of the file that was mapped as `path`; `build_id` (hexadecimal) is what the recording knows
    /// of it. Or the reason why there are none, in a few words.
    fn image(&mut self, path: &str, build_id: Option<&str>) -> Result<Arc<[u8]>, String>;
}

/// What the recording itself does not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Symbols of the kernel that was running, or the reason why there are none.
    pub kernel: Option<KernelSymbols>,
    /// Why `kernel` is absent.
    pub kernel_absent: Option<String>,
    /// Release of the kernel that `kernel` belongs to, where that may be another than the recording's.
    pub kernel_release: Option<String>,
    /// `kernel.perf_event_max_stack` when it was recorded; 127 unless somebody changed it.
    pub max_stack: Option<u32>,
    /// CPU seconds that the workload used (getrusage), for the comparison with those sampled.
    pub used_cpu_seconds: Option<f64>,
    /// Records that the kernel dropped, where the sampler counted more than the file tells.
    pub lost: Option<u64>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;
