//! Causes of unequal running times of a program: settings of CPUs, memory and clock, and the load by other programs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cgroup::{CpuQuota, cpu_quota};
use super::parse::{self, CpuTimes};
use super::reading::{Reading, read_text, read_value, reading_from_error};

/// Swap space in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Total size.
    pub total: u64,
    /// Bytes in use.
    pub used: u64,
}

/// Whether CPUs are allowed to run above their nominal frequency. The variant is the file that controls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turbo {
    /// `intel_pstate/no_turbo`. `true` means that turbo is on. The file contains the opposite value.
    NoTurbo(bool),
    /// `cpufreq/boost`. `true` means that turbo is on.
    Boost(bool),
}

/// Causes of unequal running times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steadiness {
    /// Frequency governors of the CPUs, without duplicates. `/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor`.
    pub governors: Reading<Vec<String>>,
    /// Whether CPUs are allowed to run above their nominal frequency.
    pub turbo: Reading<Turbo>,
    /// Whether two hardware threads share a core. `/sys/devices/system/cpu/smt/active`.
    pub smt: Reading<bool>,
    /// Address space randomisation: 0 off, 1 stacks and libraries, 2 heaps too. `/proc/sys/kernel/randomize_va_space`.
    pub aslr: Reading<u32>,
    /// Mean number of running and ready tasks over the last minute, in hundredths. `/proc/loadavg`.
    pub load_hundredths: Reading<u64>,
    /// Mode of transparent huge pages: `always`, `madvise` or `never`. `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub huge_pages: Reading<String>,
    /// Swap space. `/proc/meminfo`.
    pub swap: Reading<Swap>,
    /// Number of times that a core was throttled because of heat. Sum of `thermal_throttle/core_throttle_count` of all CPUs.
    pub throttled: Reading<u64>,
    /// CPU time since the machine was started. `/proc/stat`.
    pub cpu_times: Reading<CpuTimes>,
    /// The kernel's time source. `/sys/devices/system/clocksource/clocksource0/current_clocksource`.
    pub clock_source: Reading<String>,
    /// CPU limit of the control groups. `Value(None)` if there is no limit.
    pub cpu_quota: Reading<Option<CpuQuota>>,
    /// Number of CPUs that this process is allowed to run on. `Cpus_allowed_list` of `/proc/self/status`.
    pub allowed_cpus: Reading<u64>,
}

/// Reads the facts below the directory `root`. `status` is the text of `/proc/self/status`, `meminfo` of `/proc/meminfo`.
pub(super) fn read_steadiness(root: &Path, status: &Reading<String>, meminfo: &Reading<String>) -> Steadiness {
    let cpus = root.join("sys/devices/system/cpu");
    let clock = root.join("sys/devices/system/clocksource/clocksource0/current_clocksource");
    let word = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Steadiness {
        governors: read_of_each_cpu(&cpus, "cpufreq/scaling_governor", word).and_then(|mut names| {
            names.sort();
            names.dedup();
            Reading::Value(names)
        }),
        turbo: match read_value(&cpus.join("intel_pstate/no_turbo"), parse::parse_zero_or_one) {
            Reading::Absent => read_value(&cpus.join("cpufreq/boost"), parse::parse_zero_or_one)
                .and_then(|on| Reading::Value(Turbo::Boost(on))),
            no_turbo => no_turbo.and_then(|off| Reading::Value(Turbo::NoTurbo(!off))),
        },
        smt: read_value(&cpus.join("smt/active"), parse::parse_zero_or_one),
        aslr: read_value(&root.join("proc/sys/kernel/randomize_va_space"), |text| text.parse().ok()),
        load_hundredths: read_value(&root.join("proc/loadavg"), |text| {
            parse::parse_hundredths(text.split(' ').next()?)
        }),
        huge_pages: read_value(&root.join("sys/kernel/mm/transparent_hugepage/enabled"), parse::bracketed_word),
        swap: meminfo.clone().and_then(|text| {
            let size = |key| parse::parse_field(&Reading::Value(text.clone()), key, parse::kib_to_bytes);
            size("SwapTotal").and_then(|total| {
                size("SwapFree").and_then(|free| Reading::Value(Swap { total, used: total.saturating_sub(free) }))
            })
        }),
        throttled: read_of_each_cpu(&cpus, "thermal_throttle/core_throttle_count", |text| text.parse::<u64>().ok())
            .and_then(|counts| Reading::Value(counts.into_iter().fold(0, u64::saturating_add))),
        cpu_times: read_text(&root.join("proc/stat"))
            .and_then(|stat| parse::parse_cpu_times(&stat).map_or_else(|| Reading::garbage(&stat), Reading::Value)),
        clock_source: read_value(&clock, word),
        cpu_quota: cpu_quota(root),
        allowed_cpus: parse::parse_field(status, "Cpus_allowed_list", parse::parse_cpu_list)
            .and_then(|list| Reading::Value(list.len() as u64)),
    }
}

/// Reads `file` of every CPU that has this file. `Absent` if no CPU has it. `cpus` is the directory with all CPUs.
fn read_of_each_cpu<T>(cpus: &Path, file: &str, parse: impl Fn(&str) -> Option<T>) -> Reading<Vec<T>> {
    let entries = match std::fs::read_dir(cpus) {
        Ok(entries) => entries,
        Err(error) => return reading_from_error(&error),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("cpu"));
        if !number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        match read_value(&entry.path().join(file), &parse) {
            Reading::Value(value) => found.push(value),
            Reading::Absent => {}
            Reading::Unreadable(why) => return Reading::Unreadable(why),
            Reading::Garbage(text) => return Reading::Garbage(text),
        }
    }
    if found.is_empty() { Reading::Absent } else { Reading::Value(found) }
}
