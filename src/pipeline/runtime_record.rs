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

/// Name of the file with the lines that the Go runtime printed, in the run's directory.
const RUNTIME_LOG: &str = "runtime.log";
/// Name of the file with the events, in the run's directory.
pub(super) const RUNTIME_FILE: &str = "runtime.json";
/// Maximum bytes of `runtime.json`. An event has about 500 bytes.
const MAX_RECORD_BYTES: u64 = 1 << 30;

/// Reports of the Go runtime and the kernel. Times are in nanoseconds on the samples' clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RuntimeRecord {
    /// When the watch began. For a launched program: before its start.
    pub(super) from_ns: u64,
    /// When the watch ended. For a launched program: after its end.
    pub(super) until_ns: u64,
    /// Events of the Go runtime.
    #[serde(flatten)]
    pub(super) trace: RuntimeTrace,
    /// Time that threads waited for a free CPU.
    pub(super) cpu_waits: CpuWaits,
}

impl RuntimeRecord {
    /// Writes the record into a run.
    pub(super) fn write(&self, draft: &Draft) -> Result<(), Error> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        fsio::replace(&draft.path(RUNTIME_FILE), &text).map_err(Error::Output)
    }

    /// Reads the record in a run's directory. `None` if there is no record, or only a record of another version.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, FileError> {
        let path = dir.join(RUNTIME_FILE);
        if !path.exists() {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&fsio::read_bounded(&path, MAX_RECORD_BYTES)?).ok())
    }

    /// Returns the findings about the run, from this record, the profile and two parts of the manifest. Empty for a run
    /// of a server that did not reach its window.
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
                let trace = self.trace.select_time_range(&(window.start_ns..window.end_ns));
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
        // Waits for a CPU are counted from the launch to the end, so they do not fit a window that is only a part of
        // the run.
        let counts_waits = workload.phases.len() <= 1;
        // User and system time are not measured separately in the window. Assumes the same shares as in the whole run.
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

/// Sets `GODEBUG` so that the Go runtime of the program prints the reports that the settings request.
pub(super) fn request_traces(config: &Config, plan: LaunchPlan, draft: &Draft) -> LaunchPlan {
    let LaunchPlan { mut env, .. } = plan;
    let existing = env.iter().rposition(|(name, _)| name == "GODEBUG").map(|index| env.remove(index).1);
    let existing = existing.or_else(|| std::env::var("GODEBUG").ok()).unwrap_or_default();
    let requested = config.runtime.godebug_value(&existing);
    let runtime_log = requested.is_some().then(|| draft.path(RUNTIME_LOG));
    let value = requested.or(Some(existing).filter(|value| !value.is_empty()));
    env.extend(value.map(|value| ("GODEBUG".to_owned(), value)));
    LaunchPlan { env, runtime_log, ..plan }
}

/// Measures waits for a CPU, from `start` to `stop`.
pub(super) struct CpuWaitWatch {
    process: String,
    from_ns: u64,
    counters: CpuWaitCounters,
}

impl CpuWaitWatch {
    /// Begins to watch the control groups of a process. `None` means goflame's groups, where launched programs run too.
    pub(super) fn start(process: Option<i32>) -> Self {
        let process = process.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let counters = CpuWaitCounters::read(Path::new("/"), &process);
        Self { process, from_ns: monotonic_ns(), counters }
    }

    /// Returns the waits since the start, together with `trace`.
    pub(super) fn stop(self, trace: RuntimeTrace) -> RuntimeRecord {
        let counters = CpuWaitCounters::read(Path::new("/"), &self.process);
        let cpu_waits = counters.waits_since(&self.counters);
        RuntimeRecord { from_ns: self.from_ns, until_ns: monotonic_ns(), trace, cpu_waits }
    }
}
