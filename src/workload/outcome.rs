//! The result of a workload, as plain values.

use std::time::Duration;

use super::output::IncompleteLog;
use crate::process::ExitStatus;

/// A workload that is over.
#[derive(Debug)]
pub struct Outcome {
    /// How the program ended.
    pub status: ExitStatus,
    /// Why the program ended, if goflame caused it.
    pub ending: Ending,
    /// Time from the start of the program to its end.
    pub wall: Duration,
    /// User CPU time of the program and of all processes that it started, by its control group or by getrusage(2).
    pub user_cpu: Duration,
    /// System CPU time of the same processes.
    pub system_cpu: Duration,
    /// Whether these CPU times are known.
    pub has_cpu_times: bool,
    /// Peak resident memory of the largest process, in KiB. `None` if it is below the peak of goflame's own exec gate,
    /// which the kernel counts for the program.
    pub max_rss_kib: Option<u64>,
    /// Number of processes that outlived the program.
    pub outlived: usize,
    /// Number of these processes that goflame was not permitted to stop.
    pub unstoppable: usize,
    /// Copies of the program's output that lack a part.
    pub incomplete_logs: Vec<IncompleteLog>,
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
    /// It has not ended: it ran before the recording, and runs on.
    RunsOn,
}
