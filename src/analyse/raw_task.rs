//! Who ran when a sample was taken, before goroutines are named.

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
    /// The labels of the goroutine.
    pub(super) labels: SampleLabels,
}

/// A goroutine, with the ids that records and readings have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawGoroutine {
    pub(super) pid: u32,
    pub(super) address: u64,
    pub(super) id: Option<u64>,
    /// The start of its function.
    pub(super) start: Option<LocationId>,
    /// The call of the `go` statement.
    pub(super) creator: Option<LocationId>,
}
