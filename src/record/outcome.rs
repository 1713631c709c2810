//! The result of a recording, as plain values.

use std::time::Duration;

use super::GoroutineSeen;
use crate::process::Status;

/// A finished recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// How the program ended.
    pub status: Status,
    /// Why the program ended, if goflame caused it.
    pub ending: Ending,
    /// Time from the start of the program to its end.
    pub wall: Duration,
    /// User CPU time of the program and of all processes that it started (getrusage).
    pub user_cpu: Duration,
    /// System CPU time of the same processes.
    pub system_cpu: Duration,
    /// Peak resident memory of the largest process, in KiB. `None` if it is below the peak of goflame's own gate, which
    /// the kernel counts for the program.
    pub max_rss_kib: Option<u64>,
    /// Number of processes that outlived the program.
    pub outlived: usize,
    /// Number of these processes that goflame was not permitted to stop.
    pub unstoppable: usize,
    /// Whether the CPU times include the sampler's own time, as with `engine = "perf"`.
    pub cpu_includes_sampler: bool,
    /// Figures of the native sampler. `None` with `engine = "perf"`, which keeps its figures in the file.
    pub sampling: Option<Sampling>,
    /// The sampled goroutines, as far as they could be read.
    pub goroutines: Vec<GoroutineSeen>,
    /// Problems with the copies of the program's output, one sentence each.
    pub output_problems: Vec<String>,
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself, or by a signal from another process.
    Own,
    /// The user interrupted goflame with this signal, and goflame passed it on.
    Interrupted(i32),
    /// The timeout was reached.
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
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Time from the start of sampling until the file reached its size limit, when sampling ended.
    pub bound_reached: Option<Duration>,
}
