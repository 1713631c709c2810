//! Events of a running workload that a user may want to see.

use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Receives the events of a running workload, to show them.
pub trait Progress: Sync {
    /// The terminal that shows this stream. `None` if it is not shown on a terminal.
    fn terminal(&self, stream: OutputStream) -> Option<BorrowedFd<'_>>;
    /// The program wrote these bytes.
    fn output(&self, stream: OutputStream, bytes: &[u8]);
    /// The program is being stopped.
    fn stopping(&self, reason: StopReason);
}

/// The stream that the program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The reason for which the program is being stopped, or the means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The user interrupted goflame. A second interrupt makes goflame leave at once.
    Interrupted,
    /// This timeout was reached.
    TimedOut(Duration),
    /// The [`Monitor`](super::Monitor) failed.
    MonitorFailed,
    /// The program still runs this long after the stop began.
    StillRuns(Duration, Escalation),
}

/// Stronger means to stop a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalation {
    /// SIGTERM to the program.
    Terminate,
    /// SIGKILL to the program and to everything that it started.
    KillAll,
}
