//! Settings of a workload that serves requests: when it is ready, what drives load, and how it is stopped.

use std::time::Duration;

/// Settings of the phases of a server's run. Without these settings, the samples of the whole run count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Sign that the server is ready.
    pub ready: Ready,
    /// Time between ready and the window.
    pub warmup: Duration,
    /// Length of the window. `None`: until the load or the server ends.
    pub duration: Option<Duration>,
    /// The command that sends requests once the server is ready. Empty if another program sends them.
    pub load: Vec<String>,
    /// How the server is stopped after the window.
    pub stop: Stop,
}

impl Server {
    /// Whether only the samples of a window count, not all samples of the run.
    pub fn has_window(&self) -> bool {
        self.ready.sign.is_some() || !self.warmup.is_zero() || self.duration.is_some() || !self.load.is_empty()
    }
}

/// How goflame detects that a server is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Sign that the server is ready. `None` if it is ready when it starts.
    pub sign: Option<ReadySign>,
    /// Maximum time from the start to the sign.
    pub within: Duration,
}

/// The sign that a server is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadySign {
    /// A GET request of this address is answered with a status from 200 to 399.
    Http(HttpAddress),
    /// This `host:port` accepts a connection.
    Tcp(String),
    /// A line of standard output or standard error matches this regular expression.
    Log(String),
}

/// An address of the form `http://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress {
    /// `host:port`.
    pub authority: String,
    /// The path with its query, from the slash on.
    pub path: String,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Number of the signal that asks the server to end.
    pub signal: i32,
    /// Time after the signal until all processes that still run are killed.
    pub grace: Duration,
}
