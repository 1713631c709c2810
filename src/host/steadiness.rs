//! What makes the same program take different times: the CPUs' own moods, and who else is there.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cgroup::{CpuQuota, cpu_quota};
use super::parse;
use super::reading::{Reading, missing, single, text};

/// Where CPU time went since the machine was started, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTimes {
    /// All of it.
    pub total: u64,
    /// What the hypervisor gave to others while a CPU of this machine wanted to run.
    pub steal: u64,
}

/// Swap space in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// How much there is.
    pub total: u64,
    /// How much of it is in use.
    pub used: u64,
}

/// The switch for frequencies above the nominal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turbo {
    /// `intel_pstate/no_turbo`, and whether turbo is on: the file says the opposite.
    NoTurbo(bool),
    /// `cpufreq/boost`, and whether turbo is on.
    Boost(bool),
}

/// What makes measurements scatter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steadiness {
    /// Frequency governors in force, each once. `/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor`.
    pub governors: Reading<Vec<String>>,
    /// Whether CPUs may run above their nominal frequency.
    pub turbo: Reading<Turbo>,
    /// Whether two hardware threads share a core. `/sys/devices/system/cpu/smt/active`.
    pub smt: Reading<bool>,
    /// 0 off, 1 stacks and libraries, 2 heaps too. `/proc/sys/kernel/randomize_va_space`.
    pub aslr: Reading<u32>,
    /// Tasks that ran or wanted to, as a mean over the last minute, in hundredths. `/proc/loadavg`.
    pub load_hundredths: Reading<u64>,
    /// `always`, `madvise` or `never`. `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub huge_pages: Reading<String>,
    /// `/proc/meminfo`.
    pub swap: Reading<Swap>,
    /// How often cores were slowed down because of heat. `thermal_throttle/core_throttle_count` of all CPUs.
    pub throttled: Reading<u64>,
    /// `/proc/stat`.
    pub cpu_times: Reading<CpuTimes>,
    /// What the kernel tells the time by. `/sys/devices/system/clocksource/clocksource0/current_clocksource`.
    pub clock_source: Reading<String>,
    /// CPU limit of the control groups; `Value(None)`: no limit.
    pub cpu_quota: Reading<Option<CpuQuota>>,
    /// How many CPUs this process may run on. `Cpus_allowed_list` of `/proc/self/status`.
    pub allowed_cpus: Reading<u64>,
}

/// Reads it under `root`; `status` and `meminfo` are the texts of these files.
pub(super) fn steadiness(root: &Path, status: &Reading<String>, meminfo: &Reading<String>) -> Steadiness {
    let cpus = root.join("sys/devices/system/cpu");
    let clock = root.join("sys/devices/system/clocksource/clocksource0/current_clocksource");
    let word = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Steadiness {
        governors: each_cpu(&cpus, "cpufreq/scaling_governor", word).and_then(|mut names| {
            names.sort();
            names.dedup();
            Reading::Value(names)
        }),
        turbo: match single(&cpus.join("intel_pstate/no_turbo"), parse::switch) {
            Reading::Absent => {
                single(&cpus.join("cpufreq/boost"), parse::switch).and_then(|on| Reading::Value(Turbo::Boost(on)))
            }
            no_turbo => no_turbo.and_then(|off| Reading::Value(Turbo::NoTurbo(!off))),
        },
        smt: single(&cpus.join("smt/active"), parse::switch),
        aslr: single(&root.join("proc/sys/kernel/randomize_va_space"), |text| text.parse().ok()),
        load_hundredths: single(&root.join("proc/loadavg"), |text| parse::hundredths(text.split(' ').next()?)),
        huge_pages: single(&root.join("sys/kernel/mm/transparent_hugepage/enabled"), parse::bracketed),
        swap: meminfo.clone().and_then(|text| {
            let size = |key| parse::in_text(&Reading::Value(text.clone()), key, parse::kib);
            size("SwapTotal").and_then(|total| {
                size("SwapFree").and_then(|free| Reading::Value(Swap { total, used: total.saturating_sub(free) }))
            })
        }),
        throttled: each_cpu(&cpus, "thermal_throttle/core_throttle_count", |text| text.parse::<u64>().ok())
            .and_then(|counts| Reading::Value(counts.into_iter().fold(0, u64::saturating_add))),
        cpu_times: text(&root.join("proc/stat"))
            .and_then(|stat| parse::cpu_times(&stat).map_or_else(|| Reading::garbage(&stat), Reading::Value)),
        clock_source: single(&clock, word),
        cpu_quota: cpu_quota(root),
        allowed_cpus: parse::in_text(status, "Cpus_allowed_list", parse::cpu_list)
            .and_then(|list| Reading::Value(list.len() as u64)),
    }
}

/// A file of every CPU that has it; absent when none has.
fn each_cpu<T>(cpus: &Path, file: &str, parse: impl Fn(&str) -> Option<T>) -> Reading<Vec<T>> {
    let entries = match std::fs::read_dir(cpus) {
        Ok(entries) => entries,
        Err(error) => return missing(&error),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("cpu"));
        if !number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        match single(&entry.path().join(file), &parse) {
            Reading::Value(value) => found.push(value),
            Reading::Absent => {}
            Reading::Unreadable(why) => return Reading::Unreadable(why),
            Reading::Garbage(text) => return Reading::Garbage(text),
        }
    }
    if found.is_empty() { Reading::Absent } else { Reading::Value(found) }
}
