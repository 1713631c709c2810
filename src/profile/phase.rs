//! The phases of a server's run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A phase of a run, as times on the clock of the samples (`CLOCK_MONOTONIC`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// The name of the phase.
    pub name: PhaseName,
    /// Start in nanoseconds.
    pub start_ns: u64,
    /// End in nanoseconds.
    pub end_ns: u64,
}

/// The phases, in the order of a run. A run can lack `Start`, `WarmUp` and `Stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseName {
    /// From the launch until the server is ready.
    Start,
    /// From the moment when the server is ready until the window begins.
    WarmUp,
    /// The measured phase: the profile has only samples of this phase.
    Window,
    /// From the end of the window to the end of the program.
    Stop,
}

impl Phase {
    /// Returns the length of the phase.
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.end_ns.saturating_sub(self.start_ns))
    }

    /// Returns the phase with this name.
    pub fn find(phases: &[Self], name: PhaseName) -> Option<&Self> {
        phases.iter().find(|phase| phase.name == name)
    }
}

/// Describes the window of a run. `None` if the samples of the whole run count.
pub fn describe_phases(phases: &[Phase]) -> Option<String> {
    let seconds = |name| Phase::find(phases, name).map(|phase| phase.length().as_secs_f64());
    let window = seconds(PhaseName::Window).filter(|_| phases.len() > 1)?;
    let before = match (seconds(PhaseName::WarmUp), seconds(PhaseName::Start)) {
        (Some(warmup), _) => format!(" after {warmup:.1} s of warm-up"),
        (None, Some(start)) => format!(", from ready on, {start:.1} s after the start"),
        (None, None) => String::new(),
    };
    Some(format!("steady window {window:.1} s{before}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_described_with_what_was_before_it() {
        let phase = |name, start_ns: u64, end_ns: u64| Phase {
            name,
            start_ns: start_ns * 100_000_000,
            end_ns: end_ns * 100_000_000,
        };
        let (start, warmup) = (phase(PhaseName::Start, 0, 5), phase(PhaseName::WarmUp, 5, 25));
        let (window, stop) = (phase(PhaseName::Window, 25, 125), phase(PhaseName::Stop, 125, 126));
        for (phases, expected) in [
            (vec![start, warmup, window, stop], Some("steady window 10.0 s after 2.0 s of warm-up")),
            (vec![start, window], Some("steady window 10.0 s, from ready on, 0.5 s after the start")),
            (vec![window, stop], Some("steady window 10.0 s")),
            (vec![window], None),
            (vec![start, stop], None),
            (vec![], None),
        ] {
            assert_eq!(describe_phases(&phases).as_deref(), expected);
        }
    }
}
