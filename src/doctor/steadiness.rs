//! Checks for causes of different run times of the same program. They only warn, because a profile is correct in any
//! case.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::Inputs;
use super::kernel::{describe_missing_fact, format_size};
use super::toolchain::version_numbers;
use crate::host::{CpuQuota, CpuTimes, Reading, Turbo};

/// Minimum steal time in percent for a warning. Other noise of a virtual machine hides a smaller steal time.
const MIN_STEAL_PERCENT_FOR_WARNING: u64 = 1;

macro_rules! check {
    ($id:literal, $title:literal, $why:literal, $judge:expr) => {
        Check {
            id: $id,
            group: Group::Steadiness,
            title: $title,
            feature: "comparing runs",
            why_it_matters: $why,
            is_in_run: false,
            judge: Judge::Always($judge),
        }
    };
}

pub(super) static CHECKS: [Check; 11] = [
    check!(
        "cpu-governor",
        "CPU frequency governor",
        "A governor that saves energy changes the frequency while the program runs, so the same work takes different times.",
        judge_governor
    ),
    check!(
        "turbo",
        "turbo frequencies",
        "Turbo depends on heat and on the load of other cores: the first seconds run faster than the rest.",
        judge_turbo
    ),
    check!(
        "smt",
        "hyper-threading",
        "Two threads on one core slow each other down, by an amount that depends on their work.",
        judge_smt
    ),
    check!(
        "aslr",
        "random addresses",
        "Each run has another memory layout, which changes timings by a few per cent. Since Go 1.26, Go's heap has a random \
         address whatever this setting says.",
        judge_aslr
    ),
    check!("cpu-load", "load now", "Other work takes CPU time and cache from the measured program.", judge_cpu_load),
    check!(
        "cpu-quota",
        "CPU quota of the control group",
        "When the quota is used up, all threads stop until the next period, usually of 100 ms. Go 1.25 and newer set \
         GOMAXPROCS from the quota if go.mod says go 1.25 or newer; older ones start a thread for every CPU.",
        judge_cpu_quota
    ),
    check!(
        "huge-pages",
        "transparent huge pages",
        "When the kernel uses huge pages on its own, the memory and the time that a Go heap takes depend on chance.",
        judge_huge_pages
    ),
    check!("swap", "swap", "A page that was swapped out costs milliseconds when it is used again.", judge_swap),
    check!("heat", "thermal throttling", "A hot CPU slows down in the middle of a measurement.", judge_throttling),
    check!(
        "steal-time",
        "time taken by the hypervisor",
        "While a virtual CPU waits for a real one, the time of other machines is measured.",
        judge_steal_time
    ),
    check!(
        "clock-source",
        "clock source",
        "A slow clock source makes every time.Now a system call, and adds jitter to cpu-clock samples.",
        judge_clock_source
    ),
];

/// The finding for a missing fact, which is not a problem.
fn missing_fact_finding<T>(check: &'static Check, reading: &Reading<T>, needed: &str) -> Finding {
    match reading {
        Reading::Absent => check.finding(Status::Info, "unknown on this machine", needed),
        other => check.finding(Status::Info, describe_missing_fact(other), needed),
    }
}

fn judge_governor(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "performance on every CPU";
    let reading = &inputs.facts.steadiness.governors;
    let Reading::Value(names) = reading else { return missing_fact_finding(check, reading, needed) };
    let status = if names.iter().all(|name| name == "performance") { Status::Ok } else { Status::Warning };
    let fix = Fix::root_command(inputs.facts, "cpupower frequency-set -g performance");
    check.finding(status, names.join(", "), needed).with_fix(fix)
}

fn judge_turbo(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "off while runs are compared";
    let reading = &inputs.facts.steadiness.turbo;
    let Reading::Value(turbo) = *reading else { return missing_fact_finding(check, reading, needed) };
    let (on, command) = match turbo {
        Turbo::NoTurbo(on) => (on, "sh -c 'echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo'"),
        Turbo::Boost(on) => (on, "sh -c 'echo 0 > /sys/devices/system/cpu/cpufreq/boost'"),
    };
    on_or_off_finding(check, on, needed).with_fix(Fix::root_command(inputs.facts, command))
}

fn judge_smt(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "off, or the program pinned to one thread of each core";
    let reading = &inputs.facts.steadiness.smt;
    let Reading::Value(on) = *reading else { return missing_fact_finding(check, reading, needed) };
    let command = "sh -c 'echo off > /sys/devices/system/cpu/smt/control'";
    on_or_off_finding(check, on, needed).with_fix(Fix::root_command(inputs.facts, command))
}

fn on_or_off_finding(check: &'static Check, on: bool, needed: &str) -> Finding {
    if on { check.finding(Status::Warning, "on", needed) } else { check.finding(Status::Ok, "off", needed) }
}

fn judge_aslr(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "either; `setarch -R` for one program without it";
    let reading = &inputs.facts.steadiness.aslr;
    let Reading::Value(level) = *reading else { return missing_fact_finding(check, reading, needed) };
    let found = match level {
        0 => "off",
        1 => "on for stacks and libraries",
        _ => "on",
    };
    check.finding(if level == 0 { Status::Ok } else { Status::Info }, found, needed)
}

/// `cpu-load`: a load of up to half of the CPUs is no problem, because the program still finds a free CPU.
fn judge_cpu_load(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "less than half of the CPUs busy";
    let reading = &inputs.facts.steadiness.load_hundredths;
    let Reading::Value(load) = *reading else { return missing_fact_finding(check, reading, needed) };
    let cpus = inputs.facts.cpu_count().unwrap_or(1);
    let status = if load.saturating_mul(2) <= cpus.saturating_mul(100) { Status::Ok } else { Status::Warning };
    check.finding(status, format!("{}.{:02} on {cpus} CPUs", load / 100, load % 100), needed)
}

fn judge_cpu_quota(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let needed = "no quota, or GOMAXPROCS not above it";
    let Reading::Value(quota) = facts.steadiness.cpu_quota else {
        return missing_fact_finding(check, &facts.steadiness.cpu_quota, needed);
    };
    let allowed = facts.steadiness.allowed_cpus.value().copied().or_else(|| facts.cpu_count()).unwrap_or(1);
    let Some(quota) = quota else { return check.finding(Status::Ok, "none", needed) };
    let threads = inputs.gomaxprocs.and_then(|text| text.parse::<u64>().ok()).filter(|threads| *threads > 0);
    let found = format!("{:.1} CPUs of {allowed}", quota.cpus());
    let whole = quota_in_whole_cpus(quota);
    match threads {
        _ if whole >= allowed => check.finding(Status::Ok, found, needed),
        Some(threads) if threads <= whole => {
            check.finding(Status::Ok, format!("{found}, GOMAXPROCS is {threads}"), needed)
        }
        Some(threads) => check.finding(Status::Warning, format!("{found}, GOMAXPROCS is {threads}"), needed),
        None if go_follows_quota(inputs) => check.finding(Status::Info, format!("{found}, which Go follows"), needed),
        None => check
            .finding(Status::Warning, found, needed)
            .with_fix(Fix::user_command(format!("export GOMAXPROCS={whole}"))),
    }
}

/// Rounds the quota up to whole CPUs, as Go does for its default of GOMAXPROCS.
fn quota_in_whole_cpus(quota: CpuQuota) -> u64 {
    quota.quota_us.div_ceil(quota.period_us.max(1)).max(1)
}

/// Whether Go sets GOMAXPROCS from the quota. Go 1.25 and newer do so if go.mod says `go 1.25` or newer.
fn go_follows_quota(inputs: &Inputs) -> bool {
    let Some(Ok(go)) = inputs.tools.map(|tools| tools.go.as_ref()) else { return false };
    let since = |version: &str| version_numbers(version).is_some_and(|numbers| numbers >= [1, 25, 0]);
    since(&go.version) && go.go_mod.as_ref().is_some_and(|module| since(&module.go))
}

fn judge_huge_pages(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "madvise or never";
    let reading = &inputs.facts.steadiness.huge_pages;
    let Reading::Value(mode) = reading else { return missing_fact_finding(check, reading, needed) };
    let status = if mode == "always" { Status::Warning } else { Status::Ok };
    let command = "sh -c 'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled'";
    check.finding(status, mode, needed).with_fix(Fix::root_command(inputs.facts, command))
}

fn judge_swap(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "none in use";
    let reading = &inputs.facts.steadiness.swap;
    let Reading::Value(swap) = *reading else { return missing_fact_finding(check, reading, needed) };
    match (swap.total, swap.used) {
        (0, _) => check.finding(Status::Ok, "none", needed),
        (total, 0) => check.finding(Status::Ok, format!("{}, unused", format_size(total)), needed),
        (total, used) => {
            check.finding(Status::Warning, format!("{} of {} in use", format_size(used), format_size(total)), needed)
        }
    }
}

fn judge_throttling(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "never slowed down because of heat";
    let reading = &inputs.facts.steadiness.throttled;
    let Reading::Value(count) = *reading else { return missing_fact_finding(check, reading, needed) };
    let status = if count == 0 { Status::Ok } else { Status::Warning };
    check.finding(status, format!("slowed down {count} times since the machine was started"), needed)
}

fn judge_steal_time(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = format!("less than {MIN_STEAL_PERCENT_FOR_WARNING} %");
    let reading = &inputs.facts.steadiness.cpu_times;
    let Reading::Value(CpuTimes { total, steal }) = *reading else {
        return missing_fact_finding(check, reading, &needed);
    };
    let too_much = steal.saturating_mul(100) >= total.max(1).saturating_mul(MIN_STEAL_PERCENT_FOR_WARNING);
    let share = steal as f64 * 100.0 / total.max(1) as f64;
    let status = if too_much { Status::Warning } else { Status::Ok };
    check.finding(status, format!("{share:.2} % since the machine was started"), needed)
}

fn judge_clock_source(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "one that is read without a system call: tsc, arch_sys_counter, kvm-clock or Hyper-V's";
    let reading = &inputs.facts.steadiness.clock_source;
    let Reading::Value(name) = reading else { return missing_fact_finding(check, reading, needed) };
    let fast = ["tsc", "arch_sys_counter", "kvm-clock"].contains(&name.as_str()) || name.starts_with("hyperv");
    check.finding(if fast { Status::Ok } else { Status::Warning }, name, needed)
}
