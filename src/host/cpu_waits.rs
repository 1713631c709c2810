//! How long processes waited for a CPU: because of a quota of their control groups (throttling), or of other processes
//! (pressure stall information, PSI). Read before and after a span of time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cgroup::{CpuGroups, CpuQuota};
use super::reading::read_text;

/// The kernel's file with the pressure of the whole machine.
const MACHINE_PRESSURE: &str = "proc/pressure/cpu";

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuWaitCounters {
    quotas: BTreeMap<PathBuf, Throttling>,
    pressures: BTreeMap<PathBuf, u64>,
}

/// Counters of a control group with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttling {
    /// The quota.
    #[serde(flatten)]
    pub quota: CpuQuota,
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Periods in which the group used up its quota and had to wait.
    pub throttled_periods: u64,
    /// Sum of these waits over all CPUs, in microseconds.
    pub throttled_us: u64,
}

/// Waits for a CPU within a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuWaits {
    /// The groups with a quota, by directory, the topmost first.
    pub quotas: BTreeMap<PathBuf, Throttling>,
    /// Microseconds in which at least one task was ready to run and waited for a CPU, by file: that of the machine, and
    /// that of the control group where the kernel has one.
    pub pressure_us: BTreeMap<PathBuf, u64>,
}

impl CpuWaitCounters {
    /// Reads the counters of a process's groups under `root`. `process` is its number, or `self`. What cannot be read is
    /// left out.
    pub fn read(root: &Path, process: &str) -> Self {
        let mut counters = Self::default();
        let mut pressure_files = vec![root.join(MACHINE_PRESSURE)];
        if let Some(groups) = CpuGroups::find(root, process).value() {
            for dir in &groups.dirs {
                let Some(quota) = groups.limit(dir).value().copied().flatten() else { continue };
                let stat = read_text(&dir.join("cpu.stat"));
                if let Some(throttling) = stat.value().and_then(|stat| throttling(stat, quota)) {
                    counters.quotas.insert(dir.clone(), throttling);
                }
            }
            pressure_files.extend(groups.dirs.last().filter(|_| !groups.version_1).map(|dir| dir.join("cpu.pressure")));
        }
        for file in pressure_files {
            let total = read_text(&file).value().and_then(|text| stalled_us(text));
            counters.pressures.extend(total.map(|total| (file, total)));
        }
        counters
    }

    /// Returns the waits from `earlier` until these counters. Groups that are new since then are left out.
    pub fn since(&self, earlier: &Self) -> CpuWaits {
        let quotas = self.quotas.iter().filter_map(|(dir, now)| {
            let then = earlier.quotas.get(dir)?;
            let waits = Throttling {
                quota: now.quota,
                periods: now.periods.saturating_sub(then.periods),
                throttled_periods: now.throttled_periods.saturating_sub(then.throttled_periods),
                throttled_us: now.throttled_us.saturating_sub(then.throttled_us),
            };
            Some((dir.clone(), waits))
        });
        let pressures = self
            .pressures
            .iter()
            .filter_map(|(file, now)| Some((file.clone(), now.saturating_sub(*earlier.pressures.get(file)?))));
        CpuWaits { quotas: quotas.collect(), pressure_us: pressures.collect() }
    }
}

impl CpuWaits {
    /// The pressure of the whole machine.
    pub fn machine_pressure_us(&self) -> Option<u64> {
        self.pressure_us.iter().find(|(file, _)| file.ends_with(MACHINE_PRESSURE)).map(|(_, us)| *us)
    }
}

/// Reads `cpu.stat`: `throttled_usec` in version 2, `throttled_time` in nanoseconds in version 1.
fn throttling(stat: &str, quota: CpuQuota) -> Option<Throttling> {
    let value = |name: &str| -> Option<u64> {
        stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    Some(Throttling {
        quota,
        periods: value("nr_periods")?,
        throttled_periods: value("nr_throttled")?,
        throttled_us: value("throttled_usec").or_else(|| Some(value("throttled_time")? / 1000))?,
    })
}

/// Reads `total=` of the line `some` of a file of pressure stall information.
fn stalled_us(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|field| field.strip_prefix("total="))?.parse().ok()
}
