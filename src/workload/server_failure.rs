//! Why the run of a server did not come to the end of its window.

use std::time::Duration;

use crate::process::ExitStatus;

/// Why the run of a server did not come to the end of its window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerFailure {
    /// The sign that it is ready did not come in time.
    #[error("the server was not ready within {} s{}", within.as_secs_f64(), reason(last))]
    NotReady {
        /// The longest time.
        within: Duration,
        /// Why the last attempt to connect failed. Empty if there was none.
        last: String,
    },
    /// It ended before it was ready.
    #[error("the server {} before it was ready", described(*.0))]
    EndedBeforeReady(ExitStatus),
    /// It ended before its window was over.
    #[error("the server {} before its window was over", described(*.0))]
    EndedEarly(ExitStatus),
    /// The load could not be started.
    #[error("the load could not be started: {0}")]
    LoadNotStarted(String),
    /// The load failed.
    #[error("the load {}", described(*.0))]
    LoadFailed(ExitStatus),
    /// The load ended before the window began.
    #[error("the load ended before the warm-up was over, so nothing was sampled")]
    LoadTooShort,
}

impl ServerFailure {
    /// Whether the reason is in the output of the load, not in the server's.
    pub fn is_of_load(&self) -> bool {
        matches!(self, Self::LoadNotStarted(_) | Self::LoadFailed(_) | Self::LoadTooShort)
    }

    /// Advice for the user. `last_lines` are those of the output that [`Self::is_of_load`] names.
    pub fn hints(&self, last_lines: &[String]) -> Vec<String> {
        let is_port_taken = last_lines.iter().any(|line| line.contains("address already in use"));
        let hint = match self {
            Self::EndedBeforeReady(_) if is_port_taken => {
                "another process holds the port: stop it (`ss -ltnp` names it), or use another port"
            }
            Self::NotReady { .. } => "`ready` in [workload] is the sign that is awaited, and `within` the longest time",
            Self::LoadTooShort => "the load should last for `warmup` and `duration` together",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

fn described(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(_) => format!("ended with {status}"),
        ExitStatus::Signal(_) => format!("was {status}"),
    }
}

fn reason(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(": {last}") }
}
