//! The kernel settings that goflame can change. `facts` reads these and all others.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::HostFacts;
use super::reading::Reading;

/// A kernel setting that goflame reads, and can change on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sysctl {
    /// Which events a process without privileges is allowed to open.
    #[serde(rename = "kernel.perf_event_paranoid")]
    PerfEventParanoid,
    /// Who is allowed to read kernel addresses.
    #[serde(rename = "kernel.kptr_restrict")]
    KptrRestrict,
    /// KiB of ring buffers per CPU.
    #[serde(rename = "kernel.perf_event_mlock_kb")]
    PerfEventMlockKb,
    /// Maximum sampling frequency in Hz.
    #[serde(rename = "kernel.perf_event_max_sample_rate")]
    PerfEventMaxSampleRate,
    /// Maximum frames of a callchain.
    #[serde(rename = "kernel.perf_event_max_stack")]
    PerfEventMaxStack,
    /// Maximum percentage of CPU time that sampling takes.
    #[serde(rename = "kernel.perf_cpu_time_max_percent")]
    PerfCpuTimeMaxPercent,
}

impl Sysctl {
    /// All settings, in the order in which they must be written. The percentage of CPU time precedes the frequency: while
    /// it is 0 or 100, the kernel refuses to set the frequency (`perf_event_max_sample_rate_handler()`,
    /// kernel/events/core.c).
    pub const ALL: [Self; 6] = [
        Self::PerfEventParanoid,
        Self::KptrRestrict,
        Self::PerfEventMlockKb,
        Self::PerfCpuTimeMaxPercent,
        Self::PerfEventMaxSampleRate,
        Self::PerfEventMaxStack,
    ];

    /// The name in sysctl(8).
    pub fn name(self) -> &'static str {
        match self {
            Self::PerfEventParanoid => "kernel.perf_event_paranoid",
            Self::KptrRestrict => "kernel.kptr_restrict",
            Self::PerfEventMlockKb => "kernel.perf_event_mlock_kb",
            Self::PerfEventMaxSampleRate => "kernel.perf_event_max_sample_rate",
            Self::PerfEventMaxStack => "kernel.perf_event_max_stack",
            Self::PerfCpuTimeMaxPercent => "kernel.perf_cpu_time_max_percent",
        }
    }

    /// The setting's file under `root`.
    pub fn file(self, root: &Path) -> PathBuf {
        root.join("proc/sys").join(self.name().replace('.', "/"))
    }

    /// Whether the kernel accepts this value. The bounds are those of the kernel. Only the range of `perf_event_paranoid` is
    /// wider, because distributions add levels.
    pub fn is_possible(self, value: i64) -> bool {
        let range = match self {
            Self::PerfEventParanoid => -1..=9,
            Self::KptrRestrict => 0..=2,
            Self::PerfCpuTimeMaxPercent => 0..=100,
            Self::PerfEventMaxSampleRate => 1..=i64::from(i32::MAX),
            Self::PerfEventMlockKb | Self::PerfEventMaxStack => 0..=i64::from(i32::MAX),
        };
        range.contains(&value)
    }
}

impl HostFacts {
    /// The value of a kernel setting. A number that the kernel does not accept is reported as garbage.
    pub fn sysctl(&self, sysctl: Sysctl) -> Reading<i64> {
        let value = match sysctl {
            Sysctl::PerfEventParanoid => to_i64(&self.perf_event_paranoid),
            Sysctl::KptrRestrict => to_i64(&self.kptr_restrict),
            Sysctl::PerfEventMlockKb => to_i64(&self.perf_event_mlock_kb),
            Sysctl::PerfEventMaxSampleRate => to_i64(&self.perf_event_max_sample_rate),
            Sysctl::PerfEventMaxStack => to_i64(&self.perf_event_max_stack),
            Sysctl::PerfCpuTimeMaxPercent => to_i64(&self.perf_cpu_time_max_percent),
        };
        value.and_then(|value| {
            if sysctl.is_possible(value) { Reading::Value(value) } else { Reading::garbage(&value.to_string()) }
        })
    }

    /// The facts after a change of a setting. A value that does not fit the setting's type changes nothing.
    #[must_use]
    pub fn with_sysctl(mut self, sysctl: Sysctl, value: i64) -> Self {
        match sysctl {
            Sysctl::PerfEventParanoid => set_if_in_range(&mut self.perf_event_paranoid, value),
            Sysctl::KptrRestrict => set_if_in_range(&mut self.kptr_restrict, value),
            Sysctl::PerfEventMlockKb => set_if_in_range(&mut self.perf_event_mlock_kb, value),
            Sysctl::PerfEventMaxSampleRate => set_if_in_range(&mut self.perf_event_max_sample_rate, value),
            Sysctl::PerfEventMaxStack => set_if_in_range(&mut self.perf_event_max_stack, value),
            Sysctl::PerfCpuTimeMaxPercent => set_if_in_range(&mut self.perf_cpu_time_max_percent, value),
        }
        self
    }

    /// The facts for a user without privileges. The user has no capabilities, and sees kernel addresses only if the settings
    /// show them to everybody (`kallsyms_show_value()`, `kernel/ksyms_common.c`).
    #[must_use]
    pub fn without_privileges(mut self) -> Self {
        self.capabilities = Reading::Value(0);
        self.effective_uid = Reading::Value(NOBODY);
        if let (Reading::Value(restrict), Reading::Value(paranoid)) = (&self.kptr_restrict, &self.perf_event_paranoid) {
            self.kernel_symbols.kallsyms_shown = Reading::Value(*restrict == 0 && *paranoid <= 1);
        }
        self
    }

    /// Whether this process is root or has capabilities.
    pub fn is_privileged(&self) -> bool {
        self.effective_uid == Reading::Value(0) || self.capabilities.value().is_some_and(|bits| *bits != 0)
    }
}

/// The user id of a user without privileges (`overflowuid`).
const NOBODY: u32 = 65_534;

fn set_if_in_range<T: TryFrom<i64>>(reading: &mut Reading<T>, value: i64) {
    if let Ok(value) = value.try_into() {
        *reading = Reading::Value(value);
    }
}

fn to_i64<T: Copy + TryInto<i64> + std::fmt::Display>(reading: &Reading<T>) -> Reading<i64> {
    reading
        .clone()
        .and_then(|value| value.try_into().map_or_else(|_| Reading::garbage(&value.to_string()), Reading::Value))
}
