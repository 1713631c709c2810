//! Tasks of samples, before their goroutines are named.

use super::labels::SampleLabels;
use crate::profile::LocationId;

/// The task of a sample: process, thread, CPU and goroutine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawTask {
    /// Position in [`Collected::processes`](super::collect::Collected::processes).
    pub(super) process: u32,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) cpu: Option<u32>,
    /// Position in [`Collected::goroutines`](super::collect::Collected::goroutines).
    pub(super) goroutine: Option<u32>,
    pub(super) labels: SampleLabels,
}

/// A goroutine, with the addresses and the id from the readings of its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawGoroutine {
    pub(super) pid: u32,
    pub(super) address: u64,
    pub(super) id: Option<u64>,
    /// Location in the function that the goroutine was started with. `None` if unknown, or if no file is mapped there.
    pub(super) start: Option<LocationId>,
    /// Location of the `go` statement that created the goroutine. `None` in the same cases.
    pub(super) creator: Option<LocationId>,
}
