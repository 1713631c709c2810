//! Events of a running workload that a user may want to see.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::process::Command;

/// Receives the events of a running workload, to show them.
pub trait Progress: Sync {
    /// The terminal that shows this stream. `None` if it is not shown on a terminal.
    fn terminal(&self, stream: OutputStream) -> Option<BorrowedFd<'_>>;
    /// The program wrote these bytes.
    fn output(&self, stream: OutputStream, bytes: &[u8]);
    /// A step of a server's run.
    fn server(&self, step: ServerStep<'_>);
    /// The program is being stopped.
    fn stopping(&self, reason: StopReason);
}

/// A step of a server's run.
#[derive(Debug, Clone, Copy)]
pub enum ServerStep<'a> {
    /// The sign that it is ready came, this long after the start.
    Ready(Duration),
    /// The load begins.
    Loading(&'a Command),
    /// The warm-up begins.
    WarmingUp(Duration),
    /// The window begins. Its length, if it is planned.
    Window(Option<Duration>),
    /// The load ended this long before the window would have been over.
    LoadEndedEarly(Duration),
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
    /// The window is over, or cannot be reached.
    Planned,
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
