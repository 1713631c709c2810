//! The inputs of the findings, as plain values of one span of time.

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
    /// User and system CPU time of the program in seconds, as the kernel counted it.
    pub cpu_seconds: Option<(f64, f64)>,
    /// CPU quotas of its control groups.
    pub quotas: Vec<QuotaUse>,
    /// Seconds in which at least one task of the machine waited for a CPU.
    pub pressure_seconds: Option<f64>,
}

/// A CPU quota, and how far it was used up.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaUse {
    /// Directory of the control group.
    pub group: String,
    /// The quota as a number of CPUs.
    pub cpus: f64,
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Periods in which it had to wait.
    pub throttled_periods: u64,
    /// Sum of the waits over all CPUs, in seconds.
    pub throttled_seconds: f64,
}

impl Evidence<'_> {
    /// CPU time in seconds.
    pub(super) fn used_cpu(&self) -> Option<f64> {
        self.cpu_seconds.map(|(user, system)| user + system)
    }

    /// Number of processors of the Go runtime, if it reported one.
    pub(super) fn gomaxprocs(&self) -> Option<u64> {
        let snapshot = self.trace.scheduler.last().map(|snapshot| snapshot.event.gomaxprocs);
        snapshot.or_else(|| self.trace.gc.last().map(|cycle| cycle.event.processors)).filter(|count| *count > 0)
    }

    /// CPU seconds per second and processor of the runtime.
    pub(super) fn cpu_per_processor(&self) -> Option<f64> {
        let processors = self.gomaxprocs()? as f64 * self.wall_seconds;
        (processors > 0.0).then_some(self.used_cpu()? / processors)
    }
}
