//! The result of a workload, as plain values.

use std::net::SocketAddr;
use std::time::Duration;

use super::kept_log::IncompleteLog;
use super::load::LoadOutcome;
use super::server_failure::ServerFailure;
use crate::gotrace::RuntimeTrace;
use crate::process::ExitStatus;
use crate::profile::{Phase, PhaseName};

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
    /// The phases of the run, in order. Empty for a program that ran before the recording.
    pub phases: Vec<Phase>,
    /// CPU time that was used in the window.
    pub window_cpu: Duration,
    /// The command that drove load.
    pub load: Option<LoadOutcome>,
    /// Why the run of a server did not come to the end of its window.
    pub failure: Option<ServerFailure>,
    /// Where the program waited for connections, if it was stopped by the user or by the timeout.
    pub listened: Option<SocketAddr>,
    /// Events that the Go runtime reported. Empty unless it was asked to.
    pub runtime: RuntimeTrace,
}

impl Outcome {
    /// Whether the program ended by itself with an error, or did not come to its window as planned.
    pub fn has_failed(&self) -> bool {
        let has_no_window = Phase::find(&self.phases, PhaseName::Window).is_none();
        let failed_alone = self.ending == Ending::Own && !self.status.success();
        failed_alone || self.failure.is_some() || self.ending == Ending::TimedOut && has_no_window
    }

    /// The time in which samples were taken.
    pub fn window(&self) -> Duration {
        match Phase::find(&self.phases, PhaseName::Window) {
            // Without phases, the window ends with the last process.
            Some(window) => window.length().min(self.wall),
            None if !self.phases.is_empty() => Duration::ZERO,
            _ => self.wall,
        }
    }
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
    /// goflame stopped it as planned: its window was over, or could not be reached.
    Stopped,
    /// It has not ended: it ran before the recording, and runs on.
    RunsOn,
}
