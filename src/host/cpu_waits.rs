//! Time that processes waited for a CPU: because their control group had used up its quota (throttling), or because other
//! processes used the CPUs (pressure stall information, PSI).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cgroup::{CpuGroups, CpuQuota};
use super::reading::read_text;

/// File with the CPU pressure of the whole machine.
const MACHINE_PRESSURE: &str = "proc/pressure/cpu";

/// Counters of waits for a CPU, read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuWaitCounters {
    quotas: BTreeMap<PathBuf, Throttling>,
    pressure_us: BTreeMap<PathBuf, u64>,
}

/// Counters of a control group with a CPU quota. In [`CpuWaits`]: the increase of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttling {
    /// The CPU quota of the group.
    #[serde(flatten)]
    pub quota: CpuQuota,
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Periods in which the group used up its quota and had to wait.
    pub throttled_periods: u64,
    /// Microseconds that the group had to wait because of its quota, summed over all CPUs.
    pub throttled_us: u64,
}

/// Waits for a CPU within a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuWaits {
    /// Waits of each control group with a CPU quota, by the group's directory.
    pub quotas: BTreeMap<PathBuf, Throttling>,
    /// Microseconds in which at least one task was ready to run but had no CPU, by the kernel's file. The machine has a file,
    /// and the control group if the kernel supports that.
    pub pressure_us: BTreeMap<PathBuf, u64>,
}

impl CpuWaitCounters {
    /// Reads the counters of a process's control groups below the directory `root`. `process` is a process id or `self`.
    /// Counters that cannot be read are left out.
    pub fn read(root: &Path, process: &str) -> Self {
        let mut counters = Self::default();
        let mut pressure_files = vec![root.join(MACHINE_PRESSURE)];
        if let Some(groups) = CpuGroups::find(root, process).value() {
            for dir in &groups.dirs {
                let Some(quota) = groups.read_limit(dir).value().copied().flatten() else { continue };
                let stat = read_text(&dir.join("cpu.stat"));
                if let Some(throttling) = stat.value().and_then(|stat| parse_throttling(stat, quota)) {
                    counters.quotas.insert(dir.clone(), throttling);
                }
            }
            let own_group = groups.dirs.last().filter(|_| !groups.is_version_1);
            pressure_files.extend(own_group.map(|dir| dir.join("cpu.pressure")));
        }
        for file in pressure_files {
            let total = read_text(&file).value().and_then(|text| parse_pressure_us(text));
            counters.pressure_us.extend(total.map(|total| (file, total)));
        }
        counters
    }

    /// Returns the waits between the reading `earlier` and this reading. Control groups that `earlier` lacks are left out.
    pub fn waits_since(&self, earlier: &Self) -> CpuWaits {
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
            .pressure_us
            .iter()
            .filter_map(|(file, now)| Some((file.clone(), now.saturating_sub(*earlier.pressure_us.get(file)?))));
        CpuWaits { quotas: quotas.collect(), pressure_us: pressures.collect() }
    }
}

impl CpuWaits {
    /// CPU pressure of the whole machine, in microseconds. `None` if the kernel does not measure it.
    pub fn machine_pressure_us(&self) -> Option<u64> {
        self.pressure_us.iter().find(|(file, _)| file.ends_with(MACHINE_PRESSURE)).map(|(_, us)| *us)
    }
}

/// Parses `cpu.stat` of a control group: cgroup version 2 has `throttled_usec`, version 1 `throttled_time` in nanoseconds.
fn parse_throttling(stat: &str, quota: CpuQuota) -> Option<Throttling> {
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

/// Parses the number after `total=` in the line `some` of a file with pressure stall information.
fn parse_pressure_us(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|field| field.strip_prefix("total="))?.parse().ok()
}
