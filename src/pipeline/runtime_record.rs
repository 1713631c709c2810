//! Reports of the Go runtime and the kernel about a run: `runtime.log` and `runtime.json`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::manifest::{SamplerRecord, WorkloadResult};
use crate::archive::Draft;
use crate::config::Config;
use crate::findings::{self, Evidence, ProfileFinding, QuotaUse};
use crate::fsio::{self, FileError};
use crate::gotrace::RuntimeTrace;
use crate::host::{CpuWaitCounters, CpuWaits, Throttling};
use crate::perfevent::monotonic_ns;
use crate::profile::{Phase, PhaseName, Profile};
use crate::workload::LaunchPlan;

/// Copy of the runtime's lines, in the run's directory.
const RUNTIME_LOG: &str = "runtime.log";
/// Name of the file with the events, in the run's directory.
pub(super) const RUNTIME_FILE: &str = "runtime.json";
/// Maximum bytes of that file: an event has about 500.
const MAX_FILE: u64 = 1 << 30;

/// The reports. Times are on the samples' clock, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RuntimeRecord {
    /// When the watch began: before the program started.
    pub(super) from_ns: u64,
    /// When it ended: after the program had ended.
    pub(super) until_ns: u64,
    /// Events of the Go runtime.
    #[serde(flatten)]
    pub(super) trace: RuntimeTrace,
    /// Waits for a CPU.
    pub(super) cpu_waits: CpuWaits,
}

impl RuntimeRecord {
    /// Writes the record into a run.
    pub(super) fn write(&self, draft: &Draft) -> Result<(), Error> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        fsio::replace(&draft.path(RUNTIME_FILE), &text).map_err(Error::Output)
    }

    /// Reads the record of a run's directory. `None` if it has none, or one of another version.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, FileError> {
        let path = dir.join(RUNTIME_FILE);
        if !path.exists() {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&fsio::read_bounded(&path, MAX_FILE)?).ok())
    }

    /// Returns the findings about the run, from this record and the parts of its manifest.
    pub(super) fn findings(
        &self,
        profile: &Profile,
        workload: &WorkloadResult,
        sampler: &SamplerRecord,
    ) -> Vec<ProfileFinding> {
        let window = Phase::find(&workload.phases, PhaseName::Window);
        if window.is_none() && !workload.phases.is_empty() {
            return Vec::new();
        }
        let (trace, wall_seconds) = match window {
            Some(window) => {
                let trace = self.trace.within(&(window.start_ns..window.end_ns));
                (Cow::Owned(trace), window.length().as_secs_f64())
            }
            None => (Cow::Borrowed(&self.trace), workload.wall_seconds),
        };
        let quota_use = |(group, throttling): (&PathBuf, &Throttling)| QuotaUse {
            group: group.display().to_string(),
            cpus: throttling.quota.cpus(),
            periods: throttling.periods,
            throttled_periods: throttling.throttled_periods,
            throttled_seconds: throttling.throttled_us as f64 / 1e6,
        };
        // Waits for a CPU are counted from the launch to the end.
        let counts_waits = workload.phases.len() <= 1;
        // The system's part in the window is not measured; it is taken to be that of the whole run.
        let in_window = |used: f64| {
            let (user, system) = (workload.user_seconds, workload.system_seconds);
            let share = if user + system > 0.0 { used / (user + system) } else { 0.0 };
            (user * share, system * share)
        };
        let cpu_waits = &self.cpu_waits;
        findings::find(&Evidence {
            profile,
            trace: &trace,
            wall_seconds,
            cpu_seconds: sampler.used_cpu_seconds.map(in_window),
            quotas: cpu_waits.quotas.iter().filter(|_| counts_waits).map(quota_use).collect(),
            pressure_seconds: cpu_waits.machine_pressure_us().filter(|_| counts_waits).map(|us| us as f64 / 1e6),
        })
    }
}

/// Asks the Go runtime of a program for what the settings want.
pub(super) fn request_traces(config: &Config, plan: LaunchPlan, draft: &Draft) -> LaunchPlan {
    let LaunchPlan { mut env, .. } = plan;
    let existing = env.iter().rposition(|(name, _)| name == "GODEBUG").map(|index| env.remove(index).1);
    let existing = existing.or_else(|| std::env::var("GODEBUG").ok()).unwrap_or_default();
    let requested = config.runtime.godebug(&existing);
    let runtime_log = requested.is_some().then(|| draft.path(RUNTIME_LOG));
    let value = requested.or(Some(existing).filter(|value| !value.is_empty()));
    env.extend(value.map(|value| ("GODEBUG".to_owned(), value)));
    LaunchPlan { env, runtime_log, ..plan }
}

/// Counts waits from its start on.
pub(super) struct Watch {
    process: String,
    from_ns: u64,
    counters: CpuWaitCounters,
}

impl Watch {
    /// Begins to watch the control groups of a process. `None` for goflame's own, in which its programs run too.
    pub(super) fn start(process: Option<i32>) -> Self {
        let process = process.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let counters = CpuWaitCounters::read(Path::new("/"), &process);
        Self { process, from_ns: monotonic_ns(), counters }
    }

    /// Returns what was reported until now.
    pub(super) fn stop(self, trace: RuntimeTrace) -> RuntimeRecord {
        let counters = CpuWaitCounters::read(Path::new("/"), &self.process);
        let cpu_waits = counters.since(&self.counters);
        RuntimeRecord { from_ns: self.from_ns, until_ns: monotonic_ns(), trace, cpu_waits }
    }
}
