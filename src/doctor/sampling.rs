//! Checks of what the sampler can do here.

use super::catalogue::{PMU, PROBE};
use super::finding::{Finding, Fix, Status};
use super::inputs::{Inputs, ProbeResult};
use super::permission::{Reach, reach};
use crate::config::{EventChoice, Kernel};
use crate::host::Reading;

/// `pmu`: whether the `cycles` event can exist.
pub(super) fn pmu(inputs: &Inputs) -> Finding {
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
        (EventChoice::CpuClock, _) => (Status::Ok, "nothing: cpu-clock needs no PMU", PMU.why),
        (_, true) => (Status::Ok, "a PMU for the cycles event", PMU.why),
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
    Finding::new(&PMU, status, found, needed).because(why)
}

/// `live-probe`: what really opened, against what the settings promise.
pub(super) fn live_probe(inputs: &Inputs, probe: &ProbeResult) -> Finding {
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
    let Some(opened) = &probe.opened else { return refused(inputs, probe, needed) };
    let scope = if probe.kernel { "user space and kernel" } else { "user space only" };
    let mut found = format!("{opened} opens, {scope}");
    if !probe.message.is_empty() {
        found = format!("{found} ({})", probe.message);
    }
    if record.event != EventChoice::Auto && opened != event {
        let why = format!("`event = \"{event}\"` is asked for and did not open.");
        return Finding::new(&PROBE, Status::Failure, found, needed).because(why);
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
        _ => (Status::Ok, PROBE.why),
    };
    Finding::new(&PROBE, status, found, needed).because(why)
}

/// The usual meanings of the errors of `perf_event_open` and of mapping its buffer, as measured and in its manual page.
fn refused(inputs: &Inputs, probe: &ProbeResult, needed: String) -> Finding {
    const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();
    const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();
    const EACCES: i32 = rustix::io::Errno::ACCESS.raw_os_error();
    const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
    const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
    const ENOSYS: i32 = rustix::io::Errno::NOSYS.raw_os_error();
    let filtered = inputs.facts.seccomp.value().is_some_and(|&mode| mode == 2);
    let permitted = matches!(reach(inputs), Reach::User | Reach::UserAndKernel);
    let mut fix = None;
    let why = match probe.errno {
        Some(EPERM | ENOSYS) if filtered => {
            "A seccomp filter is in force, as in a container: the usual profile refuses perf_event_open without \
             CAP_PERFMON. Start the container with `--cap-add PERFMON --cap-add SYSLOG`, or sample from the host."
        }
        Some(EACCES) if !permitted => "The kernel's settings forbid it; see perf-event-paranoid.",
        Some(EACCES | EPERM) if permitted => {
            "The settings permit sampling, yet the kernel refused: a security module (SELinux, lockdown), or another \
             sampler of this user that holds the memory budget (see perf-mlock-budget)."
        }
        Some(EPERM) => "The kernel refused it: missing rights, or no memory budget left (see perf-mlock-budget).",
        Some(ENOENT) => "The kernel does not know the event; see pmu.",
        Some(EINVAL) => "The kernel found the request invalid: usually a frequency above its limit (see sample-rate).",
        Some(EMFILE) => {
            fix = Some(Fix { now: "ulimit -n \"$(ulimit -Hn)\"".to_owned(), persist: None });
            "Every CPU needs a file descriptor, and the limit of open files is reached."
        }
        Some(ENOSYS) => "This kernel was built without perf events.",
        _ => "Nothing can be sampled.",
    };
    let message = if probe.message.is_empty() { "no reason given" } else { &probe.message };
    Finding::new(&PROBE, Status::Failure, format!("no event opens: {message}"), needed).because(why).repaired_by(fix)
}
