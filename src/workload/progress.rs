//! Events of a running workload that are shown to the user.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::process::Command;

/// Receives the events of a running workload, to show them.
pub trait Progress: Sync {
    /// The terminal on which this stream is shown. `None` if there is no such terminal.
    fn terminal(&self, stream: OutputStream) -> Option<BorrowedFd<'_>>;
    /// The program wrote these bytes.
    fn show_output(&self, stream: OutputStream, bytes: &[u8]);
    /// A step of a server's run.
    fn show_server_step(&self, step: ServerStep<'_>);
    /// The program is being stopped.
    fn show_stopping(&self, reason: StopReason);
}

/// A step of a server's run.
#[derive(Debug, Clone, Copy)]
pub enum ServerStep<'a> {
    /// The server is ready. Contains the time since its start.
    Ready(Duration),
    /// The load begins. Contains its command.
    Loading(&'a Command),
    /// The warm-up begins. Contains its length.
    WarmingUp(Duration),
    /// The window begins. Contains its planned length, if there is one.
    Window(Option<Duration>),
    /// The load ended before the planned end of the window. Contains the time between the two.
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

/// Why or how the program is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The user interrupted goflame. After a second interrupt, goflame ends at once.
    Interrupted,
    /// This timeout was reached.
    TimedOut(Duration),
    /// The [`Monitor`](super::Monitor) failed.
    MonitorFailed,
    /// The window is over, or cannot be reached.
    Planned,
    /// The program still runs. Contains the time since the signal that asked it to stop, and the step that is taken
    /// now.
    StillRuns(Duration, Escalation),
}

/// A stronger way to stop a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalation {
    /// SIGTERM to the program.
    Terminate,
    /// SIGKILL to the program and its descendants.
    KillAll,
}
