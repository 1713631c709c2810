//! The result of running a workload, as plain values.

use std::net::SocketAddr;
use std::time::Duration;

use super::kept_log::IncompleteLog;
use super::load::LoadOutcome;
use super::server_failure::ServerFailure;
use crate::gotrace::RuntimeTrace;
use crate::process::ExitStatus;
use crate::profile::{Phase, PhaseName};

/// The result of running a workload.
#[derive(Debug)]
pub struct Outcome {
    /// How the program ended.
    pub status: ExitStatus,
    /// Why the program ended.
    pub ending: Ending,
    /// Time from the start of the program to its end.
    pub wall: Duration,
    /// User CPU time of the program and its descendants, from its control group or getrusage(2).
    pub user_cpu: Duration,
    /// System CPU time of the program and its descendants, from the same source.
    pub system_cpu: Duration,
    /// Whether `user_cpu` and `system_cpu` are known.
    pub has_cpu_times: bool,
    /// Peak resident memory of the largest process, in KiB. `None` if it is not above the peak of the exec gate, which
    /// the kernel includes.
    pub max_rss_kib: Option<u64>,
    /// Number of processes that outlived the program.
    pub outliving_processes: usize,
    /// Number of processes that outlived the program and that goflame was not permitted to stop.
    pub unstoppable_processes: usize,
    /// Incomplete copies of output.
    pub incomplete_logs: Vec<IncompleteLog>,
    /// The phases of the run, in order. Empty if the program was running before the recording.
    pub phases: Vec<Phase>,
    /// CPU time of the program in the window. 0 if the window was not reached.
    pub window_cpu: Duration,
    /// Result of the load, if there was one.
    pub load: Option<LoadOutcome>,
    /// Why the run of a server did not reach the end of its window.
    pub failure: Option<ServerFailure>,
    /// Address at which the program listened, if the user or the timeout stopped the program.
    pub listening_address: Option<SocketAddr>,
    /// Events that the Go runtime reported. Empty if runtime events were not requested.
    pub runtime: RuntimeTrace,
}

impl Outcome {
    /// Whether the program ended by itself with an error, or its planned window was not reached.
    pub fn has_failed(&self) -> bool {
        let has_no_window = Phase::find(&self.phases, PhaseName::Window).is_none();
        let failed_alone = self.ending == Ending::ByItself && !self.status.success();
        failed_alone || self.failure.is_some() || self.ending == Ending::TimedOut && has_no_window
    }

    /// Length of the window, the time in which samples were taken.
    pub fn window(&self) -> Duration {
        match Phase::find(&self.phases, PhaseName::Window) {
            // In a run without phases, the window ends with the last process, which can outlive the program.
            Some(window) => window.length().min(self.wall),
            None if !self.phases.is_empty() => Duration::ZERO,
            _ => self.wall,
        }
    }
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The program ended by itself, or by a signal from another process.
    ByItself,
    /// The user interrupted goflame with this signal, and goflame passed it on.
    Interrupted(i32),
    /// The timeout was reached.
    TimedOut,
    /// goflame stopped the program as planned: its window was over, or could not be reached.
    Stopped,
    /// The program was running before the recording, and continues to run.
    StillRuns,
}
