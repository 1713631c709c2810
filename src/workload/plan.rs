//! All inputs of a launch, as plain values.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::load::LoadPlan;
use crate::config::{ReadySign, Stop};
use crate::process::Account;

/// The plan of a launch.
#[derive(Debug, Clone)]
pub struct LaunchPlan {
    /// The program (an absolute path) and its arguments.
    pub argv: Vec<OsString>,
    /// Environment variables, added to goflame's environment.
    pub env: Vec<(String, String)>,
    /// Working directory of the program.
    pub dir: PathBuf,
    /// Standard input of the program.
    pub stdin: Stdin,
    /// Maximum run time. A program that runs longer is stopped.
    pub timeout: Duration,
    /// The user to run the program as, if goflame was started through sudo.
    pub user: Option<Account>,
    /// Command that starts the exec gate, for example `perf record`. Empty if the supervisor starts the exec gate
    /// itself.
    pub launcher: Vec<OsString>,
    /// File for a copy of the program's standard output.
    pub stdout_log: PathBuf,
    /// File for a copy of the program's standard error.
    pub stderr_log: PathBuf,
    /// File for the lines that the Go runtime writes about itself. `None` leaves them in the program's standard error.
    pub runtime_log: Option<PathBuf>,
    /// Maximum bytes of each log file.
    pub max_log_bytes: Option<u64>,
    /// The phases of the run.
    pub server: ServerPlan,
}

/// The phases of a server's run.
#[derive(Debug, Clone)]
pub struct ServerPlan {
    /// The sign that the server is ready, and the maximum time to wait for it.
    pub ready_sign: Option<(ReadySign, Duration)>,
    /// Time from the ready sign to the window.
    pub warmup: Duration,
    /// Length of the window. `None`: until the load or the program ends.
    pub duration: Option<Duration>,
    /// The load. It starts after the ready sign.
    pub load: Option<LoadPlan>,
    /// How the server is stopped after the window.
    pub stop: Stop,
}

impl ServerPlan {
    /// A run without phases: the window lasts from the start of the program to its end.
    pub fn without_phases(stop: Stop) -> Self {
        Self { ready_sign: None, warmup: Duration::ZERO, duration: None, load: None, stop }
    }

    /// Whether the window begins after the start of the program.
    pub fn window_begins_later(&self) -> bool {
        self.ready_sign.is_some() || !self.warmup.is_zero()
    }

    /// Whether the window is shorter than the run.
    pub(super) fn has_phases(&self) -> bool {
        self.window_begins_later() || self.ends_window_early()
    }

    /// Whether goflame ends the window before the program ends.
    pub(super) fn ends_window_early(&self) -> bool {
        self.duration.is_some() || self.load.is_some()
    }
}

/// Standard input of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// goflame's standard input.
    Inherit,
    /// The file at this path.
    File(PathBuf),
}

impl LaunchPlan {
    /// The program's name for error messages.
    pub(super) fn program_name(&self) -> String {
        self.argv.first().map_or_else(String::new, |argv0| argv0.to_string_lossy().into_owned())
    }
}
