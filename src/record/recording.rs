//! The result of a recording, as plain values.

use std::time::Duration;

use crate::perfdata::WaitFigures;
use crate::sources::{CodeFile, GoroutineReading, HeldFile, LabelReadings, LeftStackReadings};

/// A finished recording.
#[derive(Debug, Default)]
pub struct Recording {
    /// Figures of the native sampler. `None` with `engine = "perf"`: `perf record` writes its figures into the file.
    pub figures: Option<SamplingFigures>,
    /// Readings of the sampled goroutines.
    pub goroutines: Vec<GoroutineReading>,
    /// Reasons why the goroutines of some processes could not be read.
    pub unread_goroutines: Vec<String>,
    /// Readings of the profiler labels of the sampled goroutines.
    pub labels: LabelReadings,
    /// Stacks of goroutines whose threads ran generated code on other memory.
    pub left_stacks: LeftStackReadings,
    /// Open files that processes had mapped. Empty with `engine = "perf"`.
    pub mapped_files: Vec<HeldFile>,
    /// Code files. `None` with `engine = "perf"`, which does not search for them.
    pub code_files: Option<Vec<CodeFile>>,
    /// Which tasks the events followed: `control-group`, `inherited` or `machine`. Empty with `engine = "perf"`.
    pub tasks: &'static str,
    /// Why each thread had a separate event. `None` if the events belonged to CPUs, for a control group or the whole
    /// machine, and with `engine = "perf"`.
    pub per_thread_reason: Option<PerThreadReason>,
    /// Figures of the recording of waits, or the reason why it cannot be written. `None` if waits are not recorded.
    pub off_cpu: Option<Result<OffCpuFigures, String>>,
}

/// Why each thread had a separate event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerThreadReason {
    /// The reason.
    pub reason: String,
    /// Rights or settings that permit one event per CPU.
    pub remedy: &'static str,
}

/// Figures of the recording of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffCpuFigures {
    /// Figures about the waits.
    pub waits: WaitFigures,
    /// Records of context switches that the kernel dropped because a ring buffer was full.
    pub lost: u64,
    /// The size limit in bytes, and the time until the file reached it. Later waits are missing. `None` if the file
    /// stayed smaller.
    pub size_bound: Option<(u64, Duration)>,
    /// Whether waits have the stacks of the last samples of their threads, because the kernel forbids samples of
    /// context switches.
    pub from_last_samples: bool,
}

/// Figures of the native sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SamplingFigures {
    /// Samples written.
    pub samples: u64,
    /// Records that the kernel dropped because a ring buffer was full.
    pub lost: u64,
    /// Bytes of ring buffer per CPU.
    pub ring_bytes: usize,
    /// Time from the start of sampling until the file reached its size limit and sampling ended. `None` if the file
    /// stayed smaller.
    pub time_until_limit: Option<Duration>,
}
