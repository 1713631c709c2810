//! Checks of what the sampler can do here: what the machine has, what opens, and what arrives.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::{Inputs, ProbeResult};
use super::permission::{Reach, reach};
use crate::config::{EventChoice, Kernel};
use crate::host::Reading;
use crate::perfevent::Arrived;

pub(super) static CHECKS: [Check; 8] = [
    Check {
        id: "virtual-machine",
        group: Group::Sampling,
        title: "virtual or real",
        feature: "hardware counters, steady clocks",
        why: "A virtual machine has hardware counters only where its host lends them, and shares its CPUs with others.",
        in_run: false,
        judge: Judge::Always(virtual_machine),
    },
    Check {
        id: "pmu",
        group: Group::Sampling,
        title: "hardware counters",
        feature: "the cycles event",
        why: "Without a PMU, as in most virtual machines, there is no cycles event; cpu-clock samples by timer instead.",
        in_run: true,
        judge: Judge::Always(pmu),
    },
    Check {
        id: "live-probe",
        group: Group::Sampling,
        title: "the event, opened and mapped",
        feature: "sampling",
        why: "Settings say what should work; only opening an event shows what does, because security modules, \
              containers and distributions' kernels have their own say.",
        in_run: true,
        judge: Judge::Asked(live_probe),
    },
    Check {
        id: "user-stacks",
        group: Group::Sampling,
        title: "call chains of user space",
        feature: "every profile",
        why: "They are what a flame graph is made of.",
        in_run: false,
        judge: Judge::Asked(|check, inputs| arrived(check, inputs, true, |seen| seen.user_stacks)),
    },
    Check {
        id: "kernel-stacks",
        group: Group::Sampling,
        title: "call chains of the kernel",
        feature: "time spent in system calls",
        why: "Without them, time in the kernel is missing from the profile.",
        in_run: false,
        judge: Judge::Asked(kernel_stacks),
    },
    Check {
        id: "user-registers",
        group: Group::Sampling,
        title: "registers of user space",
        feature: "leaf repair, goroutines",
        why: "Go's frame pointers lose the caller of a small leaf function; the registers and a piece of stack find it.",
        in_run: false,
        judge: Judge::Asked(|check, inputs| arrived(check, inputs, true, |seen| seen.registers)),
    },
    Check {
        id: "stack-copy",
        group: Group::Sampling,
        title: "copies of the user stack",
        feature: "leaf repair",
        why: "Go's frame pointers lose the caller of a small leaf function; the registers and a piece of stack find it.",
        in_run: false,
        judge: Judge::Asked(|check, inputs| arrived(check, inputs, inputs.record.stack > 0, |seen| seen.stack_copies)),
    },
    Check {
        id: "context-switches",
        group: Group::Sampling,
        title: "records of context switches",
        feature: "waiting time (not used yet)",
        why: "They tell when a thread gave up its CPU, from which waiting time follows.",
        in_run: false,
        judge: Judge::Asked(context_switches),
    },
];

fn virtual_machine(check: &'static Check, inputs: &Inputs) -> Finding {
    let needed = "nothing; a real machine for hardware counters";
    match &inputs.facts.virtualisation {
        Some(hint) => check.finds(Status::Info, format!("virtual: {hint}"), needed),
        None => check.finds(Status::Ok, "no sign of a virtual machine", needed),
    }
}

/// `pmu`: whether the `cycles` event can exist.
fn pmu(check: &'static Check, inputs: &Inputs) -> Finding {
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
        (EventChoice::CpuClock, _) => (Status::Ok, "nothing: cpu-clock needs no PMU", check.why),
        (_, true) => (Status::Ok, "a PMU for the cycles event", check.why),
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
    check.finds(status, found, needed).because(why)
}

/// `live-probe`: what really opened, against what the settings promise.
fn live_probe(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
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
    let Some(opened) = &probe.opened else { return Some(refused(check, inputs, probe, needed)) };
    let scope = if probe.kernel { "user space and kernel" } else { "user space only" };
    let mut found = format!("{opened} opens, {scope}");
    if probe.ring_bytes > 0 {
        found = format!("{found}, ring buffers of {}", super::kernel::size(probe.ring_bytes));
    }
    if record.event != EventChoice::Auto && opened != event {
        let why = format!("`event = \"{event}\"` is asked for and did not open.");
        return Some(check.finds(Status::Failure, found, needed).because(why));
    }
    let (status, why) = match (record.kernel, probe.kernel, reach(inputs)) {
        (Kernel::Yes, false, _) => {
            (Status::Failure, "Kernel samples are demanded by `kernel = \"yes\"` and were refused.")
        }
        (Kernel::Auto, false, Reach::UserAndKernel) => (
            Status::Warning,
            "The settings permit kernel samples, yet the kernel refused them (a security module or a container): time \
             in the kernel will be missing.",
        ),
        _ => (Status::Ok, check.why),
    };
    Some(check.finds(status, found, needed).because(why))
}

/// The usual meanings of the errors of `perf_event_open` and of mapping its buffer, as measured and in its manual page.
fn refused(check: &'static Check, inputs: &Inputs, probe: &ProbeResult, needed: String) -> Finding {
    const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
    const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();
    const EACCES: i32 = rustix::io::Errno::ACCESS.raw_os_error();
    const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
    const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
    const ENOSYS: i32 = rustix::io::Errno::NOSYS.raw_os_error();
    let isolation = &inputs.facts.isolation;
    let filtered = isolation.seccomp == Reading::Value(2);
    let permitted = matches!(reach(inputs), Reach::User | Reach::UserAndKernel);
    let mut fix = None;
    let why = match probe.errno {
        _ if probe.memory => {
            "The event opens, its ring buffer does not: this is a matter of locked memory and not of rights. See \
             perf-mlock-budget; another sampler of this user may hold the budget."
        }
        Some(EPERM | ENOSYS) if filtered => {
            fix = isolation.container.as_deref().and_then(container_fix);
            "A seccomp filter is in force, as in a container: the usual profile refuses perf_event_open without \
             CAP_PERFMON, whatever the kernel's settings say. Give the container that capability (Docker before 23.0 \
             knows SYS_ADMIN only), or sample from the host."
        }
        Some(EACCES) if !permitted => "The kernel's settings forbid it; see perf-event-paranoid.",
        Some(EACCES | EPERM) if permitted => {
            "The settings permit sampling, yet the kernel refused: a security module such as SELinux, or the \
             distribution's own restriction."
        }
        Some(EPERM) => "The kernel refused it: missing rights.",
        Some(ENOENT) => "The kernel does not know the event; see pmu.",
        Some(EINVAL) => "The kernel found the request invalid: usually a frequency above its limit (see sample-rate).",
        Some(EMFILE) => {
            fix = Some(Fix::command("ulimit -n \"$(ulimit -Hn)\""));
            "Every CPU needs a file descriptor, and the limit of open files is reached."
        }
        Some(ENOSYS) => "This kernel was built without perf events.",
        _ => "Nothing can be sampled.",
    };
    let message = if probe.message.is_empty() { "no reason given" } else { &probe.message };
    let what = if probe.memory { "no ring buffer can be mapped" } else { "no event opens" };
    check.finds(Status::Failure, format!("{what}: {message}"), needed).because(why).repaired_by(fix)
}

/// How a container of this kind is given the capabilities.
fn container_fix(kind: &str) -> Option<Fix> {
    Some(Fix::for_host(match kind {
        "docker" => "docker run --cap-add PERFMON --cap-add SYSLOG ...",
        "podman" => "podman run --cap-add PERFMON --cap-add SYSLOG ...",
        _ => return None,
    }))
}

/// Whether any sample holds a part that must come with every sample.
fn arrived(check: &'static Check, inputs: &Inputs, wanted: bool, part: fn(&Arrived) -> u64) -> Option<Finding> {
    let trial = inputs.trial.as_ref()?;
    let needed = "some in a few milliseconds of goflame itself";
    Some(match trial {
        Err(why) => check.finds(Status::Failure, format!("the trial failed: {why}"), needed),
        Ok(_) if !wanted => check.finds(Status::Skipped, "not asked for (`stack = 0`)", needed),
        Ok(seen) => {
            let status = if part(seen) > 0 { Status::Ok } else { Status::Failure };
            check.finds(status, share(part(seen), seen.samples), needed)
        }
    })
}

fn kernel_stacks(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let Ok(seen) = inputs.trial.as_ref()? else {
        return arrived(check, inputs, true, |seen| seen.kernel_stacks);
    };
    let found = share(seen.kernel_stacks, seen.samples);
    let needed = "some while goflame calls the kernel";
    let opened = inputs.probe.as_ref().is_some_and(|probe| probe.kernel);
    Some(match (inputs.record.kernel, opened, seen.kernel_stacks) {
        (_, _, 1..) => check.finds(Status::Ok, found, needed),
        (Kernel::No, ..) => check.finds(Status::Skipped, "not asked for (`kernel = \"no\"`)", needed),
        (_, true, 0) => check.finds(Status::Warning, found, needed).because(
            "The kernel opened the event with kernel samples and delivers none: settings and kernel disagree, and time \
             in the kernel will be missing.",
        ),
        (Kernel::Yes, false, 0) => check.finds(Status::Failure, "refused", needed),
        // The reason, and the repair, stand under the setting that forbids it.
        (Kernel::Auto, false, 0) => check.finds(Status::Info, "not permitted: see perf-event-paranoid", needed),
    })
}

fn context_switches(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let Ok(seen) = inputs.trial.as_ref()? else {
        return arrived(check, inputs, true, |seen| seen.samples);
    };
    let needed = "some while goflame sleeps";
    Some(match seen.switches {
        Some(0) => check.finds(Status::Info, "none", needed),
        Some(count) => check.finds(Status::Ok, format!("{count} records"), needed),
        None => check.finds(Status::Info, "the event does not open with them", needed),
    })
}

fn share(part: u64, samples: u64) -> String {
    format!("in {part} of {samples} samples")
}
