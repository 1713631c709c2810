//! Checks of kernel settings.

use super::catalogue::{KPTR, MAX_STACK, MLOCK, PARANOID, SAMPLE_RATE};
use super::finding::{Finding, Status};
use super::inputs::Inputs;
use super::permission::{Reach, level_needed, reach, samples_kernel, sysctl};
use crate::config::Kernel;
use crate::host::{Capability, Limit, Reading};

/// The kernel's default depth (`PERF_MAX_STACK_DEPTH`, `include/uapi/linux/perf_event.h`).
const DEFAULT_STACK: u32 = 127;

/// `perf-event-paranoid`: the level, and what it costs this profile.
pub(super) fn paranoid(inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let wanted = inputs.record.kernel;
    let needed = match wanted {
        Kernel::No => "2 or lower, or CAP_PERFMON (user stacks)",
        Kernel::Auto | Kernel::Yes => "1 or lower, or CAP_PERFMON (user and kernel stacks)",
    };
    let fix = sysctl(facts, &[("kernel.perf_event_paranoid", level_needed(wanted))]);
    let Reading::Value(level) = facts.perf_event_paranoid else { return unknown_level(inputs, needed) };
    let held_off = level > 1 && reach(inputs) == Reach::UserAndKernel;
    let found =
        if held_off { format!("{level}, which this process's capabilities override") } else { level.to_string() };
    let (status, why) = match (reach(inputs), wanted) {
        (Reach::Nothing, _) => (
            Status::Failure,
            format!(
                "At level {level} this kernel, like Debian's and Ubuntu's, lets nobody without CAP_SYS_ADMIN sample \
                 anything, not even their own processes; CAP_PERFMON does not help."
            ),
        ),
        (Reach::User, Kernel::Auto) => (
            Status::Warning,
            format!(
                "At level {level} only user space is sampled: time in the kernel will be missing from the profile."
            ),
        ),
        (Reach::User, Kernel::Yes) => (
            Status::Failure,
            format!("At level {level} the kernel refuses kernel samples, which `kernel = \"yes\"` demands."),
        ),
        (Reach::User, Kernel::No) => (Status::Ok, "User stacks are all that is asked for.".to_owned()),
        (Reach::UserAndKernel | Reach::Unknown, _) => (Status::Ok, PARANOID.why.to_owned()),
    };
    Finding::new(&PARANOID, status, found, needed).because(why).repaired_by(Some(fix))
}

/// Without the number the probe decides, and without a probe only its absence is conclusive.
fn unknown_level(inputs: &Inputs, needed: &str) -> Finding {
    let reading = &inputs.facts.perf_event_paranoid;
    let opened = inputs.probe.as_ref().is_some_and(|probe| probe.opened.is_some());
    let (status, why) = match reading {
        _ if opened => (Status::Info, "The setting could not be read; an event opens all the same."),
        Reading::Absent => (
            Status::Failure,
            "A kernel without this file has no perf events (perf_event_open(2)): nothing can be sampled.",
        ),
        _ => (Status::Warning, "The setting could not be read, so what may be sampled is unknown."),
    };
    Finding::new(&PARANOID, status, reading.to_string(), needed).because(why)
}

/// `perf-mlock-budget`: all buffers against `perf_event_mlock_kb` of every CPU plus `RLIMIT_MEMLOCK`
/// (`perf_mmap()`, kernel/events/core.c). Exempt: `CAP_IPC_LOCK`, and everybody at paranoid level -1.
pub(super) fn mlock_budget(inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let ring = inputs.ring;
    let Some(cpus) = facts.cpu_count() else {
        let found = format!("the number of CPUs is unknown ({})", state(&facts.online_cpus));
        return Finding::new(&MLOCK, Status::Warning, found, "the number of CPUs");
    };
    let total = ring.wanted.saturating_mul(cpus);
    let needed = format!("{} for {cpus} buffers of {}", size(total), size(ring.wanted));
    let exempt = if facts.holds(Capability::IpcLock) {
        Some("no limit for this process (CAP_IPC_LOCK)")
    } else if facts.memlock == Reading::Value(Limit::Unlimited) {
        Some("no limit (RLIMIT_MEMLOCK is unlimited)")
    } else if facts.perf_event_paranoid.value().is_some_and(|&level| level < 0) {
        Some("no limit (perf_event_paranoid is -1)")
    } else {
        None
    };
    if let Some(found) = exempt {
        return Finding::new(&MLOCK, Status::Ok, found, needed);
    }
    let (Reading::Value(per_cpu_kb), Reading::Value(Limit::Bytes(memlock))) =
        (&facts.perf_event_mlock_kb, &facts.memlock)
    else {
        let found =
            format!("perf_event_mlock_kb {}, RLIMIT_MEMLOCK {}", facts.perf_event_mlock_kb, state(&facts.memlock));
        return Finding::new(&MLOCK, Status::Warning, found, needed);
    };
    let shared = per_cpu_kb.saturating_mul(1024).saturating_mul(cpus);
    let budget = shared.saturating_add(*memlock);
    let found = format!(
        "{} (perf_event_mlock_kb {per_cpu_kb} × {cpus} + RLIMIT_MEMLOCK {}), shared with the user's other samplers",
        size(budget),
        size(*memlock)
    );
    let (status, why) = if budget >= total {
        (Status::Ok, MLOCK.why)
    } else if budget >= ring.least.saturating_mul(cpus) {
        (Status::Warning, "The buffers will be made smaller to fit, so bursts of samples are lost sooner.")
    } else {
        (
            Status::Failure,
            "Not even the smallest buffers fit: mapping them fails with EPERM, whatever perf_event_paranoid says.",
        )
    };
    let fix = sysctl(facts, &[("kernel.perf_event_mlock_kb", ring.wanted.div_ceil(1024))]);
    Finding::new(&MLOCK, status, found, needed).because(why).repaired_by(Some(fix))
}

/// `sample-rate`: the asked frequency against the kernel's limit.
pub(super) fn sample_rate(inputs: &Inputs) -> Finding {
    let asked = inputs.record.frequency;
    let needed = format!("at least {asked} Hz, the frequency asked for");
    let Reading::Value(limit) = inputs.facts.perf_event_max_sample_rate else {
        let found = inputs.facts.perf_event_max_sample_rate.to_string();
        return Finding::new(&SAMPLE_RATE, Status::Warning, found, needed);
    };
    let status = if limit >= asked { Status::Ok } else { Status::Failure };
    let fix = sysctl(inputs.facts, &[("kernel.perf_event_max_sample_rate", u64::from(asked))]);
    Finding::new(&SAMPLE_RATE, status, format!("{limit} Hz"), needed).repaired_by(Some(fix))
}

/// `perf-max-stack`: the depth at which call chains are cut.
pub(super) fn max_stack(inputs: &Inputs) -> Finding {
    let needed = format!("{DEFAULT_STACK} frames or more");
    let Reading::Value(depth) = inputs.facts.perf_event_max_stack else {
        let found = inputs.facts.perf_event_max_stack.to_string();
        return Finding::new(&MAX_STACK, Status::Warning, found, needed);
    };
    let status = if depth >= DEFAULT_STACK { Status::Ok } else { Status::Warning };
    let fix = sysctl(inputs.facts, &[("kernel.perf_event_max_stack", u64::from(DEFAULT_STACK))]);
    Finding::new(&MAX_STACK, status, format!("{depth} frames"), needed).repaired_by(Some(fix))
}

/// `kptr-restrict`: whether kernel frames get names. What `/proc/kallsyms` shows settles it; the settings
/// explain it (`kallsyms_show_value()`, `kernel/ksyms_common.c`): at 0 whoever may sample the kernel at paranoid
/// level 1 or lower, or has `CAP_SYSLOG`; at 1 only `CAP_SYSLOG`; at 2 nobody.
pub(super) fn kptr_restrict(inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let found = format!(
        "kptr_restrict {}, addresses in /proc/kallsyms {}",
        facts.kptr_restrict,
        match &facts.kallsyms_shown {
            Reading::Value(true) => "shown".to_owned(),
            Reading::Value(false) => "hidden".to_owned(),
            missing => missing.to_string(),
        }
    );
    let needed = "readable addresses in /proc/kallsyms";
    if facts.kallsyms_shown == Reading::Value(true) {
        return Finding::new(&KPTR, Status::Ok, found, needed);
    }
    if !samples_kernel(inputs) {
        let why = "The kernel is not sampled, so its symbols are not needed.";
        return Finding::new(&KPTR, Status::Info, found, needed).because(why);
    }
    let restrict = facts.kptr_restrict.value().copied();
    let may_see = facts.holds(Capability::Syslog);
    let mut settings = Vec::new();
    if restrict.is_some_and(|level| level > 1 || (level == 1 && !may_see)) {
        settings.push(("kernel.kptr_restrict", 0));
    }
    if !may_see && facts.perf_event_paranoid.value().is_some_and(|&level| level > 1) {
        settings.push(("kernel.perf_event_paranoid", 1));
    }
    let fix = (!settings.is_empty()).then(|| sysctl(facts, &settings));
    let why = "Kernel time will be sampled, but its functions have no names: every kernel frame reads [kernel].";
    Finding::new(&KPTR, Status::Warning, found, needed).because(why).repaired_by(fix)
}

/// How a fact without a display of its own stands.
fn state<T>(reading: &Reading<T>) -> String {
    match reading {
        Reading::Value(_) => "known".to_owned(),
        Reading::Absent => "absent".to_owned(),
        Reading::Unreadable(why) => format!("unreadable: {why}"),
        Reading::Garbage(text) => format!("not understood: {text:?}"),
    }
}

/// Bytes as KiB or MiB.
fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes.div_ceil(1024))
    } else {
        format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
    }
}
