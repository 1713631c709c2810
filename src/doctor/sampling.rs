//! Checks of the sampler on this machine: hardware counters, opening of events, contents of samples.

use rustix::io::Errno;

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::{Inputs, ProbeResult};
use super::permission::{Permission, sampling_permission};
use crate::config::{EventChoice, Kernel, StackSize};
use crate::host::Reading;
use crate::perfevent::TrialCounts;

pub(super) static CHECKS: [Check; 9] = [
    Check {
        id: "virtual-machine",
        group: Group::Sampling,
        title: "virtual or real",
        feature: "hardware counters, steady clocks",
        why_it_matters: "A virtual machine has hardware counters only if its host provides them, and shares its CPUs with others.",
        is_in_run: false,
        judge: Judge::Always(judge_virtual_machine),
    },
    Check {
        id: "pmu",
        group: Group::Sampling,
        title: "hardware counters",
        feature: "the cycles event",
        why_it_matters: "Without a PMU, as in most virtual machines, there is no cycles event; cpu-clock samples by timer instead.",
        is_in_run: true,
        judge: Judge::Always(judge_pmu),
    },
    Check {
        id: "live-probe",
        group: Group::Sampling,
        title: "the event, opened and mapped",
        feature: "sampling",
        why_it_matters: "Only opening an event shows if it works, because security modules, containers and kernels of distributions \
              may refuse what the settings permit.",
        is_in_run: true,
        judge: Judge::Optional(judge_live_probe),
    },
    Check {
        id: "user-stacks",
        group: Group::Sampling,
        title: "callchains of user space",
        feature: "every profile",
        why_it_matters: "A flame graph is made of callchains.",
        is_in_run: false,
        judge: Judge::Optional(|check, inputs| judge_sample_part(check, inputs, true, |counts| counts.user_stacks)),
    },
    Check {
        id: "kernel-stacks",
        group: Group::Sampling,
        title: "callchains of the kernel",
        feature: "time spent in system calls",
        why_it_matters: "Without them, time in the kernel is missing from the profile.",
        is_in_run: false,
        judge: Judge::Optional(judge_kernel_stacks),
    },
    Check {
        id: "user-registers",
        group: Group::Sampling,
        title: "registers of user space",
        feature: "leaf repair, goroutines",
        why_it_matters: "Go's frame pointers lose the caller of a small leaf function; the registers and a part of the stack find it.",
        is_in_run: false,
        judge: Judge::Optional(|check, inputs| judge_sample_part(check, inputs, true, |counts| counts.registers)),
    },
    Check {
        id: "stack-copy",
        group: Group::Sampling,
        title: "copies of the user stack",
        feature: "leaf repair",
        why_it_matters: "Go's frame pointers lose the caller of a small leaf function; the registers and a part of the stack find it.",
        is_in_run: false,
        judge: Judge::Optional(|check, inputs| {
            judge_sample_part(check, inputs, inputs.record.stack != StackSize::Bytes(0), |counts| counts.stack_copies)
        }),
    },
    Check {
        id: "context-switches",
        group: Group::Sampling,
        title: "records of context switches",
        feature: "waiting time (`--off-cpu`)",
        why_it_matters: "They show when a thread leaves its CPU, which is needed to compute waiting time.",
        is_in_run: false,
        judge: Judge::Optional(judge_context_switches),
    },
    Check {
        id: "short-lives",
        group: Group::Sampling,
        title: "one event per CPU",
        feature: "threads and processes that end before a sample is due",
        why_it_matters: "Without one event per CPU, each thread has a separate event: a thread is not seen if it uses less CPU time \
              than the time between two samples.",
        is_in_run: false,
        judge: Judge::Optional(judge_short_lived_processes),
    },
];

fn judge_virtual_machine(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "nothing; a real machine for hardware counters";
    match &inputs.facts.virtualisation {
        Some(hint) => check.finding(Status::Info, format!("virtual: {hint}"), needed),
        None => check.finding(Status::Ok, "no sign of a virtual machine", needed),
    }
}

/// `pmu`: whether the `cycles` event can exist.
fn judge_pmu(check: &'static Check, inputs: &Inputs) -> Finding {
    let facts = inputs.facts;
    let found = match &facts.pmus {
        Reading::Value(names) if !names.is_empty() => names.join(", "),
        Reading::Value(_) | Reading::Absent => match &facts.virtualisation {
            Some(hint) => format!("none (virtual machine: {hint})"),
            None => "none".to_owned(),
        },
        Reading::Unreadable(why) => format!("unreadable: {why}"),
        Reading::Garbage(text) => format!("not understood: {text:?}"),
    };
    let present = facts.pmus.value().is_some_and(|names| !names.is_empty());
    let (status, needed, why) = match (inputs.record.event, present) {
        (EventChoice::CpuClock, _) => (Status::Ok, "nothing: cpu-clock needs no PMU", check.why_it_matters),
        (_, true) => (Status::Ok, "a PMU for the cycles event", check.why_it_matters),
        (EventChoice::Auto, false) => (
            Status::Info,
            "a PMU for the cycles event, else cpu-clock is used",
            "cpu-clock will be sampled: a timer that sees CPU time well, but not cycles, and not code that runs with \
             interrupts off.",
        ),
        (EventChoice::Cycles, false) => (
            Status::Failure,
            "a PMU for the cycles event",
            "`event = \"cycles\"` demands hardware counters that this machine lacks; \"auto\" would use cpu-clock.",
        ),
    };
    check.finding(status, found, needed).with_reason(why)
}

/// `live-probe`: compares the event that opened with the settings.
fn judge_live_probe(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let probe = inputs.probe.as_ref()?;
    let record = inputs.record;
    let event = match record.event {
        EventChoice::Cycles => "cycles",
        EventChoice::CpuClock => "cpu-clock",
        EventChoice::Auto => "cycles or cpu-clock",
    };
    let space = match record.kernel {
        Kernel::No => "in user space",
        Kernel::Auto => "in user space, and in the kernel where permitted",
        Kernel::Yes => "in user space and in the kernel",
    };
    let needed = format!("{event} {space}");
    let Some(opened) = &probe.opened_event else { return Some(refused_event_finding(check, inputs, probe, needed)) };
    let scope = if probe.has_kernel_samples { "user space and kernel" } else { "user space only" };
    let mut found = format!("{opened} opens, {scope}");
    if probe.ring_bytes > 0 {
        found = format!("{found}, ring buffers of {}", super::kernel::format_size(probe.ring_bytes));
    }
    if record.event != EventChoice::Auto && opened != event {
        let why = format!("`event = \"{event}\"` is configured, but the event did not open.");
        return Some(check.finding(Status::Failure, found, needed).with_reason(why));
    }
    let (status, why) = match (record.kernel, probe.has_kernel_samples, sampling_permission(inputs)) {
        (Kernel::Yes, false, _) => {
            (Status::Failure, "`kernel = \"yes\"` demands kernel samples, but the kernel refused them.")
        }
        (Kernel::Auto, false, Permission::UserAndKernel) => (
            Status::Warning,
            "The settings permit kernel samples, but the kernel refused them (because of a security module or a \
             container): time in the kernel will be missing.",
        ),
        _ => (Status::Ok, check.why_it_matters),
    };
    Some(check.finding(status, found, needed).with_reason(why))
}

/// The finding for an event that could not be opened, or whose buffer could not be mapped. The cause for each error
/// number comes from measurements and from `perf_event_open(2)`.
fn refused_event_finding(check: &'static Check, inputs: &Inputs, probe: &ProbeResult, needed: String) -> Finding {
    const EPERM: i32 = Errno::PERM.raw_os_error();
    const ENOENT: i32 = Errno::NOENT.raw_os_error();
    const EACCES: i32 = Errno::ACCESS.raw_os_error();
    const EINVAL: i32 = Errno::INVAL.raw_os_error();
    const EMFILE: i32 = Errno::MFILE.raw_os_error();
    const ENOSYS: i32 = Errno::NOSYS.raw_os_error();
    let isolation = &inputs.facts.isolation;
    let filtered = isolation.seccomp == Reading::Value(2);
    let permitted = matches!(sampling_permission(inputs), Permission::User | Permission::UserAndKernel);
    if let Some(id) = cause_found_by(inputs, probe) {
        return check.finding(Status::Info, format!("no event opens: see {id}"), needed);
    }
    let mut fix = None;
    let why = match probe.errno {
        _ if probe.is_ring_refused => {
            "The event opens, but its ring buffer cannot be mapped: the cause is the budget of locked memory, not a \
             missing privilege. See perf-mlock-budget; another sampler of this user may hold the budget."
        }
        Some(EPERM | ENOSYS) if filtered => {
            fix = isolation.container.as_deref().and_then(container_start_fix);
            "A seccomp filter is active, as in a container: the usual profile refuses perf_event_open without \
             CAP_PERFMON, whatever the kernel settings say. Give the container that capability (Docker before 23.0 \
             has SYS_ADMIN only), or sample from the host."
        }
        Some(EACCES) if !permitted => "The kernel settings forbid it; see perf-event-paranoid.",
        Some(EACCES | EPERM) if permitted => {
            "The settings permit sampling, but the kernel refused it, because of a security module such as SELinux or a \
             restriction of the distribution."
        }
        Some(EPERM) => "The kernel refused it because of missing privileges.",
        Some(ENOENT) => "The kernel does not have the event; see pmu.",
        Some(EINVAL) => "The kernel found the request invalid: usually a frequency above its limit (see sample-rate).",
        Some(EMFILE) => {
            fix = Some(Fix::user_command("ulimit -n \"$(ulimit -Hn)\""));
            "Each CPU needs a file descriptor, and the limit of open files is reached."
        }
        Some(ENOSYS) => "This kernel was built without perf events.",
        _ => "Nothing can be sampled.",
    };
    let message = if probe.message.is_empty() { "no reason given" } else { &probe.message };
    let what = if probe.is_ring_refused { "no ring buffer can be mapped" } else { "no event opens" };
    check.finding(Status::Failure, format!("{what}: {message}"), needed).with_reason(why).with_fix(fix)
}

/// Finds the check that already reports the cause of a refused event, so that each cause is reported once.
fn cause_found_by(inputs: &Inputs, probe: &ProbeResult) -> Option<&'static str> {
    let id = match Errno::from_raw_os_error(probe.errno?) {
        _ if probe.is_ring_refused => "perf-mlock-budget",
        Errno::ACCESS => "perf-event-paranoid",
        Errno::INVAL => "sample-rate",
        Errno::MFILE => "open-files",
        Errno::NOENT => "pmu",
        _ => return None,
    };
    let check = super::kernel::CHECKS.iter().chain(&CHECKS).find(|check| check.id == id)?;
    let found = check.is_requested(inputs) && check.judge(inputs)?.status == Status::Failure;
    found.then_some(id)
}

/// The command that starts a container of this kind with the needed capabilities.
fn container_start_fix(kind: &str) -> Option<Fix> {
    Some(Fix::host_command(match kind {
        "docker" => "docker run --cap-add PERFMON --cap-add SYSLOG ...",
        "podman" => "podman run --cap-add PERFMON --cap-add SYSLOG ...",
        _ => return None,
    }))
}

/// Judges whether samples of the trial have a part that every sample should have.
fn judge_sample_part(
    check: &'static Check,
    inputs: &Inputs,
    wanted: bool,
    part: fn(&TrialCounts) -> u64,
) -> Option<Finding> {
    let trial = inputs.trial.as_ref()?;
    let needed = "some while goflame samples itself for a few milliseconds";
    Some(match trial {
        Err(why) => check.finding(Status::Failure, format!("the trial failed: {why}"), needed),
        Ok(_) if !wanted => check.finding(Status::Skipped, "turned off (`stack = 0`)", needed),
        Ok(counts) => {
            let status = if part(counts) > 0 { Status::Ok } else { Status::Failure };
            check.finding(status, in_samples_text(part(counts), counts.samples), needed)
        }
    })
}

fn judge_kernel_stacks(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let Ok(counts) = inputs.trial.as_ref()? else {
        return judge_sample_part(check, inputs, true, |counts| counts.kernel_stacks);
    };
    let found = in_samples_text(counts.kernel_stacks, counts.samples);
    let needed = "some while goflame calls the kernel";
    let opened = inputs.probe.as_ref().is_some_and(|probe| probe.has_kernel_samples);
    Some(match (inputs.record.kernel, opened, counts.kernel_stacks) {
        (_, _, 1..) => check.finding(Status::Ok, found, needed),
        (Kernel::No, ..) => check.finding(Status::Skipped, "turned off (`kernel = \"no\"`)", needed),
        (_, true, 0) => check.finding(Status::Warning, found, needed).with_reason(
            "The kernel opened the event with kernel samples but delivers none: settings and kernel disagree, and time \
             in the kernel will be missing.",
        ),
        (Kernel::Yes, false, 0) => check.finding(Status::Failure, "refused", needed),
        // The check `perf-event-paranoid` has the reason and the repair.
        (Kernel::Auto, false, 0) => check.finding(Status::Info, "not permitted: see perf-event-paranoid", needed),
    })
}

fn judge_context_switches(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let Ok(counts) = inputs.trial.as_ref()? else {
        return judge_sample_part(check, inputs, true, |counts| counts.samples);
    };
    let needed = "some while goflame sleeps";
    Some(match counts.switches {
        Some(0) => check.finding(Status::Info, "none", needed),
        Some(count) => check.finding(Status::Ok, format!("{count} records"), needed),
        None => check.finding(Status::Info, "the event does not open with them", needed),
    })
}

fn judge_short_lived_processes(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (status, found) = match inputs.confined.as_ref()? {
        Ok(()) => (Status::Ok, "confined to a control group"),
        Err(why) => (Status::Info, why.as_str()),
    };
    Some(check.finding(status, found, "the right to sample whole CPUs, and to create a control group"))
}

fn in_samples_text(part: u64, samples: u64) -> String {
    format!("in {part} of {samples} samples")
}
