//! Why the run of a server did not reach the end of its window.

use std::time::Duration;

use crate::process::ExitStatus;

/// Why the run of a server did not reach the end of its window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerFailure {
    /// The ready sign was not seen in time.
    #[error("the server was not ready within {} s{}", timeout.as_secs_f64(), reason_suffix(last_failure))]
    NotReady {
        /// Maximum time to wait for the ready sign.
        timeout: Duration,
        /// Why the last attempt to connect failed. Empty if no attempt failed.
        last_failure: String,
    },
    /// The server ended before it was ready.
    #[error("the server {} before it was ready", describe_end(*.0))]
    EndedBeforeReady(ExitStatus),
    /// The server ended before the end of its window.
    #[error("the server {} before its window was over", describe_end(*.0))]
    EndedEarly(ExitStatus),
    /// The load could not be started.
    #[error("the load could not be started: {0}")]
    LoadNotStarted(String),
    /// The load failed.
    #[error("the load {}", describe_end(*.0))]
    LoadFailed(ExitStatus),
    /// The load ended before the window began.
    #[error("the load ended before the warm-up was over, so nothing was sampled")]
    LoadTooShort,
}

impl ServerFailure {
    /// Whether the load's output shows the reason, not the server's output.
    pub fn is_shown_in_load_output(&self) -> bool {
        matches!(self, Self::LoadNotStarted(_) | Self::LoadFailed(_) | Self::LoadTooShort)
    }

    /// Advice for the user. `last_lines` are the last lines of the output that shows the reason.
    pub fn hints(&self, last_lines: &[String]) -> Vec<String> {
        let is_port_taken = last_lines.iter().any(|line| line.contains("address already in use"));
        let hint = match self {
            Self::EndedBeforeReady(_) if is_port_taken => {
                "another process holds the port: stop it (`ss -ltnp` names it), or use another port"
            }
            Self::NotReady { .. } => "`ready` in [workload] sets the sign to wait for, and `within` the maximum time",
            Self::LoadTooShort => "the load should last for `warmup` and `duration` together",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

fn describe_end(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(_) => format!("ended with {status}"),
        ExitStatus::Signal(_) => format!("was {status}"),
    }
}

fn reason_suffix(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(": {last}") }
}
