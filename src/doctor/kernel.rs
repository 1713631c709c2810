//! Checks of the kernel settings for perf events.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::{Fix, Setting};
use super::inputs::Inputs;
use super::permission::{Permission, is_restricted_kernel, needed_level, sampling_permission};
use crate::config::{EventChoice, Kernel};
use crate::host::{Capability, Limit, Reading, Sysctl};

pub(super) static CHECKS: [Check; 7] = [
    Check {
        id: "perf-event-paranoid",
        group: Group::Kernel,
        title: "who may sample what",
        feature: "user and kernel stacks",
        why_it_matters: "kernel.perf_event_paranoid decides what a process without privileges may sample.",
        is_in_run: true,
        judge: Judge::Always(judge_paranoid_level),
    },
    Check {
        id: "perf-mlock-budget",
        group: Group::Kernel,
        title: "memory for ring buffers",
        feature: "sampling without losses",
        why_it_matters: "The kernel counts ring buffers against kernel.perf_event_mlock_kb per CPU and then against \
              RLIMIT_MEMLOCK; beyond both, mapping one fails with EPERM, whatever perf_event_paranoid says.",
        is_in_run: true,
        judge: Judge::Always(judge_mlock_budget),
    },
    Check {
        id: "sample-rate",
        group: Group::Kernel,
        title: "sampling frequency",
        feature: "sampling",
        why_it_matters: "A frequency above kernel.perf_event_max_sample_rate is refused with EINVAL, for root too; the kernel \
              lowers the limit by itself when sampling interrupts take long.",
        is_in_run: true,
        judge: Judge::Always(judge_sample_rate),
    },
    Check {
        id: "perf-cpu-time",
        group: Group::Kernel,
        title: "CPU time that sampling may take",
        feature: "sampling without gaps",
        why_it_matters: "When sampling takes more than kernel.perf_cpu_time_max_percent of the CPU, the kernel lowers its limit \
              of the frequency.",
        is_in_run: false,
        judge: Judge::Always(judge_cpu_time_limit),
    },
    Check {
        id: "perf-max-stack",
        group: Group::Kernel,
        title: "depth of callchains",
        feature: "complete stacks",
        why_it_matters: "The kernel truncates callchains at kernel.perf_event_max_stack frames; a truncated callchain has no root.",
        is_in_run: true,
        judge: Judge::Always(judge_max_stack_frames),
    },
    Check {
        id: "nmi-watchdog",
        group: Group::Kernel,
        title: "watchdog on a hardware counter",
        feature: "the cycles event",
        why_it_matters: "The watchdog occupies one hardware counter, so many simultaneous events must share the others.",
        is_in_run: false,
        judge: Judge::Always(judge_nmi_watchdog),
    },
    Check {
        id: "open-files",
        group: Group::Kernel,
        title: "open files",
        feature: "an event on every CPU",
        why_it_matters: "Each CPU needs a file descriptor for its event; above RLIMIT_NOFILE, opening one fails with EMFILE.",
        is_in_run: true,
        judge: Judge::Always(judge_open_files),
    },
];

/// The kernel's default maximum of frames in a callchain (`PERF_MAX_STACK_DEPTH`, `include/uapi/linux/perf_event.h`).
const DEFAULT_MAX_STACK_FRAMES: u32 = 127;
/// The kernel's default limit of CPU time for sampling, in percent (`DEFAULT_CPU_TIME_MAX_PERCENT`,
/// kernel/events/core.c).
const DEFAULT_CPU_TIME_PERCENT: i64 = 25;
/// File descriptors that a run needs in addition to those of events: streams, logs, sockets, directories of the
/// archive. Measured: with 26, a log is incomplete.
const OTHER_OPEN_FILES: u64 = 27;

/// `perf-event-paranoid`: judges the effect of the level on this profile.
fn judge_paranoid_level(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let wanted = inputs.record.kernel;
    let needed = match wanted {
        Kernel::No => "2 or lower, or CAP_PERFMON (user stacks)",
        Kernel::Auto | Kernel::Yes => "1 or lower, or CAP_PERFMON (user and kernel stacks)",
    };
    let fix = Fix::sysctl_change(facts, vec![needed_level(wanted)]);
    let Reading::Value(level) = facts.perf_event_paranoid else {
        return unknown_level_finding(check, inputs, needed);
    };
    let mut found = format!("{level} ({})", level_meaning(level, inputs));
    if level > 1 && sampling_permission(inputs) == Permission::UserAndKernel {
        found.push_str(", which this process's capabilities override");
    }
    let (status, why) = match (sampling_permission(inputs), wanted) {
        (Permission::Nothing, _) => (
            Status::Failure,
            format!(
                "At level {level} this kernel, like those of Debian and Ubuntu, permits no sampling without \
                 CAP_SYS_ADMIN, not even of own processes; CAP_PERFMON does not help."
            ),
        ),
        (Permission::User, Kernel::Auto) => (
            Status::Warning,
            format!("At level {level} only user space is sampled: kernel time is missing from the profile."),
        ),
        (Permission::User, Kernel::Yes) => (
            Status::Failure,
            format!("At level {level} the kernel refuses kernel samples, which `kernel = \"yes\"` demands."),
        ),
        (Permission::User, Kernel::No) => (Status::Ok, "Only user stacks are sampled.".to_owned()),
        (Permission::UserAndKernel | Permission::Unknown, _) => (Status::Ok, check.why_it_matters.to_owned()),
    };
    check.finding(status, found, needed).with_reason(why).with_fix(fix)
}

/// Explains what a process without privileges can sample at a level (Documentation/admin-guide/sysctl/kernel.rst).
/// Distributions have added levels above 2.
fn level_meaning(level: i32, inputs: &Inputs) -> &'static str {
    match level {
        ..=-1 => "everything, with no memory limit",
        0 => "own processes, the kernel and whole CPUs",
        1 => "own processes and the kernel",
        2 => "own processes, user space only",
        _ if sampling_permission(inputs) == Permission::Nothing || is_restricted_kernel(inputs.facts) => "nothing",
        _ => "the same as 2 in this kernel",
    }
}

/// The finding for an unknown level. If the probe opened an event, it is only a note. Otherwise, only a missing file is
/// a failure.
fn unknown_level_finding(check: &'static Check, inputs: &Inputs, needed: &str) -> Finding {
    let reading = &inputs.facts.perf_event_paranoid;
    let opened = inputs.probe.as_ref().is_some_and(|probe| probe.opened_event.is_some());
    let (status, why) = match reading {
        _ if opened => (Status::Info, "The setting could not be read, but the event opens."),
        Reading::Absent => (
            Status::Failure,
            "A kernel without this file has no perf events (perf_event_open(2)): nothing can be sampled.",
        ),
        _ => (Status::Warning, "The setting could not be read, so it is unknown what may be sampled."),
    };
    check.finding(status, reading.to_string(), needed).with_reason(why)
}

/// `perf-mlock-budget`: compares the size of all buffers with `perf_event_mlock_kb` of every CPU plus `RLIMIT_MEMLOCK`
/// (`perf_mmap()`, kernel/events/core.c). There is no limit with `CAP_IPC_LOCK` or at paranoid level -1.
fn judge_mlock_budget(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let ring = inputs.ring_size;
    let Some(cpus) = facts.cpu_count() else {
        let found = format!("the number of CPUs is unknown ({})", describe_missing_fact(&facts.online_cpus));
        return check.finding(Status::Warning, found, "the number of CPUs");
    };
    let total = ring.preferred_bytes.saturating_mul(cpus);
    let needed = format!("{} for {cpus} buffers of {}", format_size(total), format_size(ring.preferred_bytes));
    let exempt = if facts.has_capability(Capability::IpcLock) {
        Some("no limit for this process (CAP_IPC_LOCK)")
    } else if facts.memlock == Reading::Value(Limit::Unlimited) {
        Some("no limit (RLIMIT_MEMLOCK is unlimited)")
    } else if facts.perf_event_paranoid.value().is_some_and(|&level| level < 0) {
        Some("no limit (perf_event_paranoid is -1)")
    } else {
        None
    };
    if let Some(found) = exempt {
        return check.finding(Status::Ok, found, needed);
    }
    let (Reading::Value(per_cpu_kb), Reading::Value(Limit::AtMost(memlock))) =
        (&facts.perf_event_mlock_kb, &facts.memlock)
    else {
        let found = format!(
            "perf_event_mlock_kb {}, RLIMIT_MEMLOCK {}",
            facts.perf_event_mlock_kb,
            describe_missing_fact(&facts.memlock)
        );
        return check.finding(Status::Warning, found, needed);
    };
    let shared = per_cpu_kb.saturating_mul(1024).saturating_mul(cpus);
    let budget = shared.saturating_add(*memlock);
    let found = format!(
        "{} (perf_event_mlock_kb {per_cpu_kb} × {cpus} + RLIMIT_MEMLOCK {}), shared with the user's other samplers",
        format_size(budget),
        format_size(*memlock)
    );
    // The sampler halves its buffers until they fit. So a smaller buffer has at most half the requested size.
    let probe = inputs.probe.as_ref().filter(|probe| probe.opened_event.is_some());
    let is_full_size = probe.map(|probe| probe.ring_bytes.saturating_mul(2) > ring.preferred_bytes);
    let (status, why) = match is_full_size {
        Some(true) => (Status::Ok, check.why_it_matters),
        Some(false) if budget >= total => (
            Status::Warning,
            "The settings allow it, but the kernel grants less: another sampler of this user holds a part of the \
             budget. The buffers will be smaller, so bursts of samples are lost sooner.",
        ),
        None if budget >= total => (Status::Ok, check.why_it_matters),
        None if budget < ring.min_bytes.saturating_mul(cpus) => (
            Status::Failure,
            "Not even the smallest buffers fit: mapping them fails with EPERM, whatever perf_event_paranoid says.",
        ),
        Some(false) | None => {
            (Status::Warning, "The buffers will be made smaller to fit, so bursts of samples are lost sooner.")
        }
    };
    let needed_kb = i64::try_from(ring.preferred_bytes.div_ceil(1024)).unwrap_or(i64::MAX);
    let fix = Fix::sysctl_change(facts, vec![Setting::at_least(Sysctl::PerfEventMlockKb, needed_kb)]);
    check.finding(status, found, needed).with_reason(why).with_fix(fix)
}

/// `sample-rate`: compares the configured frequency with the kernel's limit.
fn judge_sample_rate(check: &'static Check, inputs: &Inputs) -> Finding {
    let frequency = inputs.record.frequency;
    let needed = format!("at least {frequency} Hz, the configured frequency");
    let Reading::Value(limit) = inputs.facts.perf_event_max_sample_rate else {
        let found = inputs.facts.perf_event_max_sample_rate.to_string();
        return check.finding(Status::Warning, found, needed);
    };
    let status = if limit >= frequency { Status::Ok } else { Status::Failure };
    let fix =
        Fix::sysctl_change(inputs.facts, vec![Setting::at_least(Sysctl::PerfEventMaxSampleRate, frequency.into())]);
    check.finding(status, format!("{limit} Hz"), needed).with_fix(fix)
}

/// `perf-max-stack`: judges the depth at which the kernel truncates callchains.
fn judge_max_stack_frames(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = format!("{DEFAULT_MAX_STACK_FRAMES} frames or more");
    let Reading::Value(depth) = inputs.facts.perf_event_max_stack else {
        let found = inputs.facts.perf_event_max_stack.to_string();
        return check.finding(Status::Warning, found, needed);
    };
    let status = if depth >= DEFAULT_MAX_STACK_FRAMES { Status::Ok } else { Status::Warning };
    let fix = Fix::sysctl_change(
        inputs.facts,
        vec![Setting::at_least(Sysctl::PerfEventMaxStack, DEFAULT_MAX_STACK_FRAMES.into())],
    );
    check.finding(status, format!("{depth} frames"), needed).with_fix(fix)
}

/// `perf-cpu-time`: judges the share of CPU time above which the kernel slows down sampling.
fn judge_cpu_time_limit(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = format!("{DEFAULT_CPU_TIME_PERCENT} % or more, or no limit");
    let reading = &inputs.facts.perf_cpu_time_max_percent;
    let Reading::Value(percent) = *reading else {
        return check.finding(Status::Info, reading.to_string(), needed);
    };
    let (status, found) = match percent {
        // Documentation/admin-guide/sysctl/kernel.rst: 0 and 100 turn the mechanism off.
        0 | 100 => (Status::Info, format!("no limit ({percent})")),
        percent if i64::from(percent) < DEFAULT_CPU_TIME_PERCENT => (Status::Warning, format!("{percent} %")),
        percent => (Status::Ok, format!("{percent} %")),
    };
    let fix = Fix::sysctl_change(
        inputs.facts,
        vec![Setting::at_least(Sysctl::PerfCpuTimeMaxPercent, DEFAULT_CPU_TIME_PERCENT)],
    );
    check.finding(status, found, needed).with_fix(fix)
}

/// `nmi-watchdog`: matters only if the recording uses a hardware counter.
fn judge_nmi_watchdog(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let has_pmu = facts.pmus.value().is_some_and(|pmus| !pmus.is_empty());
    let uses_counter = has_pmu && inputs.record.event != EventChoice::CpuClock;
    let needed = "off, or one spare hardware counter";
    let (status, found) = match &facts.nmi_watchdog {
        Reading::Value(0) => (Status::Ok, "off".to_owned()),
        Reading::Value(_) if uses_counter => (Status::Info, "on: it occupies a hardware counter".to_owned()),
        Reading::Value(_) => (Status::Ok, "on, but no hardware counter is used".to_owned()),
        Reading::Absent => (Status::Ok, "this kernel has none".to_owned()),
        missing => (Status::Info, missing.to_string()),
    };
    check.finding(status, found, needed)
}

/// `open-files`: compares the limit with one descriptor per CPU plus [`OTHER_OPEN_FILES`].
fn judge_open_files(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let min = facts.cpu_count().unwrap_or(1).saturating_add(OTHER_OPEN_FILES);
    let needed = format!("{min} or more");
    match &facts.open_files {
        Reading::Value(Limit::Unlimited) => check.finding(Status::Ok, "no limit", needed),
        Reading::Value(Limit::AtMost(limit)) if *limit >= min => check.finding(Status::Ok, limit.to_string(), needed),
        Reading::Value(Limit::AtMost(limit)) => check
            .finding(Status::Failure, limit.to_string(), needed)
            .with_fix(Fix::user_command("ulimit -n \"$(ulimit -Hn)\"")),
        missing => check.finding(Status::Info, describe_missing_fact(missing), needed),
    }
}

/// Describes why a fact is missing.
pub(super) fn describe_missing_fact<T>(reading: &Reading<T>) -> String {
    match reading {
        Reading::Value(_) => "known".to_owned(),
        Reading::Absent => "absent".to_owned(),
        Reading::Unreadable(why) => format!("unreadable: {why}"),
        Reading::Garbage(text) => format!("not understood: {text:?}"),
    }
}

/// Formats a number of bytes in KiB or MiB.
pub(super) fn format_size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes.div_ceil(1024))
    } else {
        format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
    }
}
