//! The inputs of the findings: a profile, runtime reports and CPU times of the same span of time.

use crate::gotrace::RuntimeTrace;
use crate::profile::Profile;

/// Everything that is known about a program within a span of time.
#[derive(Debug, Clone)]
pub struct Evidence<'e> {
    /// The samples, unfiltered.
    pub profile: &'e Profile,
    /// Reports of the Go runtime.
    pub trace: &'e RuntimeTrace,
    /// Length of the span in seconds.
    pub wall_seconds: f64,
    /// User and system CPU time of the program in seconds, as the kernel counted it. `None` if unknown.
    pub cpu_seconds: Option<(f64, f64)>,
    /// CPU quotas of the program's control groups.
    pub quotas: Vec<QuotaUse>,
    /// Seconds in which at least one task of the machine waited for a CPU. `None` if unknown.
    pub pressure_seconds: Option<f64>,
}

/// The CPU quota of a control group, and how often it stopped the program.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaUse {
    /// Directory of the control group.
    pub group: String,
    /// The quota as a number of CPUs.
    pub cpus: f64,
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Periods in which the group used up its quota and had to wait.
    pub throttled_periods: u64,
    /// Sum of the waits over all CPUs, in seconds.
    pub throttled_seconds: f64,
}

impl Evidence<'_> {
    /// User and system CPU time together, in seconds.
    pub(super) fn cpu_seconds_total(&self) -> Option<f64> {
        self.cpu_seconds.map(|(user, system)| user + system)
    }

    /// GOMAXPROCS, as the last line of schedtrace, or else of gctrace, reports it. `None` if there is no such line.
    pub(super) fn gomaxprocs(&self) -> Option<u64> {
        let snapshot = self.trace.scheduler.last().map(|snapshot| snapshot.event.gomaxprocs);
        snapshot.or_else(|| self.trace.gc.last().map(|cycle| cycle.event.processors)).filter(|count| *count > 0)
    }

    /// CPU time as a part of the time of all GOMAXPROCS processors. 1 means that all were busy all the time. `None` if
    /// CPU time or GOMAXPROCS is unknown.
    pub(super) fn processor_usage(&self) -> Option<f64> {
        let processors = self.gomaxprocs()? as f64 * self.wall_seconds;
        (processors > 0.0).then_some(self.cpu_seconds_total()? / processors)
    }
}
