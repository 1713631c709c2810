//! The result of a recording, as plain values.

use std::time::Duration;

use crate::perfdata::WaitFigures;
use crate::sources::{CodeFile, GoroutineReading, HeldFile, LabelReadings, LeftStackReadings};

/// A finished recording.
#[derive(Debug, Default)]
pub struct Recording {
    /// Figures of the native sampler. `None` with `engine = "perf"`, which keeps its figures in the file.
    pub figures: Option<SamplingFigures>,
    /// The sampled goroutines, as far as they could be read.
    pub goroutines: Vec<GoroutineReading>,
    /// Why the goroutines of some processes could not be read.
    pub unread_goroutines: Vec<String>,
    /// The profiler labels of these goroutines.
    pub labels: LabelReadings,
    /// Stacks of goroutines whose threads ran generated code elsewhere.
    pub left_stacks: LeftStackReadings,
    /// Files that were mapped, open. Empty with `engine = "perf"`.
    pub mapped_files: Vec<HeldFile>,
    /// The files that name the code that processes made. `None` with `engine = "perf"`, where nobody looked for them.
    pub code_files: Option<Vec<CodeFile>>,
    /// Which tasks the events followed: `control-group`, `inherited` or `machine`. Empty with `engine = "perf"`.
    pub tasks: &'static str,
    /// The reason why each thread had an event of its own. `None` if each CPU had one, confined to the program's control
    /// group, and with `engine = "perf"`.
    pub inherited: Option<Inherited>,
    /// Figures of the recording of waits, if there should be one, or the reason why it cannot be written.
    pub off_cpu: Option<Result<OffCpuFigures, String>>,
}

/// Why each thread had an event of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inherited {
    /// The reason.
    pub reason: String,
    /// The rights or settings with which each CPU has one event.
    pub remedy: &'static str,
}

/// Figures of the recording of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffCpuFigures {
    /// Figures about the waits in it.
    pub waits: WaitFigures,
    /// Records of context switches that the kernel dropped because a ring buffer was full.
    pub lost: u64,
    /// The size limit in bytes, and the time until the file reached it, if it did: later waits are missing.
    pub size_bound: Option<(u64, Duration)>,
    /// Whether the kernel forbids samples of context switches, so that waits have the last samples of their threads.
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
    /// Time from the start of sampling until the file reached its size limit, when sampling ended.
    pub bound_reached: Option<Duration>,
}
