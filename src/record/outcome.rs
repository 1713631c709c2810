//! What a recording left behind, as plain values.

use std::time::Duration;

use super::GoroutineSeen;
use crate::process::Status;

/// A finished recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// How the program ended.
    pub status: Status,
    /// Why it ended, where goflame had a part in it.
    pub ending: Ending,
    /// Time from the start of the program to its end.
    pub wall: Duration,
    /// User CPU time of the program and everything that it started (getrusage).
    pub user_cpu: Duration,
    /// System CPU time of the same.
    pub system_cpu: Duration,
    /// Peak resident memory of the largest process, in KiB; `None` when it was below that of goflame's own gate, which
    /// the kernel counts for the program.
    pub max_rss_kib: Option<u64>,
    /// Processes that outlived the program.
    pub outlived: usize,
    /// Of these, processes that goflame was not permitted to stop.
    pub unstoppable: usize,
    /// Whether the CPU times include the sampler's own, as with `engine = "perf"`.
    pub cpu_includes_sampler: bool,
    /// What the sampler did; `None` with `engine = "perf"`, which keeps its figures in the file.
    pub sampling: Option<Sampling>,
    /// The goroutines that were sampled, as far as they could be read.
    pub goroutines: Vec<GoroutineSeen>,
    /// Copies of the output that could not be kept, one sentence each.
    pub output_problems: Vec<String>,
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, or by somebody else's signal.
    Own,
    /// The user interrupted goflame with this signal, which was passed on.
    Interrupted(i32),
    /// Its time was over.
    TimedOut,
}

/// Figures of the native sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampling {
    /// Samples written.
    pub samples: u64,
    /// Records that the kernel dropped because a ring buffer was full.
    pub lost: u64,
    /// Bytes of ring buffer per CPU.
    pub ring_bytes: usize,
    /// Size of the file.
    pub file_bytes: u64,
    /// When the file reached the bound on its size and sampling ended; counted from the start of sampling.
    pub bound_reached: Option<Duration>,
}
