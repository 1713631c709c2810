//! What the machine has, what opens, and what arrives.

use super::fixture::{
    self, AUTO, CLOCK, CYCLES, KERNEL_NO, KERNEL_YES, Machine, USER, everything_arrived, opened, refused,
};
use crate::config::{EventChoice, Kernel, Record};
use crate::doctor::{ProbeResult, Status};
use crate::perfevent::Arrived;

#[test]
fn hardware_counters() {
    let machine = Machine::new(USER);
    let status = |record| machine.finds("pmu", |inputs| inputs.record = record).status;
    assert_eq!([&AUTO, &CYCLES, &CLOCK].map(status), [Status::Ok, Status::Ok, Status::Ok]);
    machine.remove("sys/bus/event_source/devices/cpu");
    assert_eq!([&AUTO, &CYCLES, &CLOCK].map(status), [Status::Info, Status::Failure, Status::Ok]);
    machine.put("proc/cpuinfo", "flags\t: fpu hypervisor\n");
    assert!(machine.finds("pmu", |_| {}).found.contains("virtual machine"));
}

#[test]
fn the_live_probe() {
    let machine = Machine::new(USER);
    let finds = |probe: ProbeResult, record| {
        machine.finds("live-probe", |inputs| {
            inputs.probe = Some(probe);
            inputs.record = record;
        })
    };
    assert_eq!(finds(opened("cpu-clock", true), &AUTO).status, Status::Ok);
    assert_eq!(finds(opened("cpu-clock", true), &CYCLES).status, Status::Failure, "another event than asked");
    let contradiction = finds(opened("cycles", false), &AUTO);
    assert_eq!(contradiction.status, Status::Warning);
    assert!(contradiction.why.contains("The settings permit"), "{contradiction:?}");
    assert_eq!(finds(opened("cycles", false), &KERNEL_YES).status, Status::Failure);
    assert_eq!(finds(opened("cycles", false), &KERNEL_NO).status, Status::Ok);
    let denied = finds(refused(13, "Permission denied"), &AUTO);
    assert_eq!(denied.status, Status::Failure);
    assert_eq!(denied.found, "no event opens: Permission denied");
    assert!(denied.why.contains("The settings permit"), "a security module: {denied:?}");
    assert!(finds(refused(24, "Too many open files"), &AUTO).fix.unwrap().now().contains("ulimit"));
    assert!(finds(refused(22, "Invalid argument"), &AUTO).why.contains("sample-rate"));
    machine.sysctl("perf_event_paranoid", "3");
    assert!(finds(refused(13, "Permission denied"), &AUTO).why.contains("perf-event-paranoid"));
    machine.put("proc/self/status", &USER.replace("Seccomp:\t0", "Seccomp:\t2"));
    assert!(finds(refused(1, "Operation not permitted"), &AUTO).why.contains("seccomp"));
    // At level 2 the missing kernel is the setting's doing, and reported there once.
    machine.sysctl("perf_event_paranoid", "2");
    assert_eq!(finds(opened("cpu-clock", false), &AUTO).status, Status::Ok);
}

#[test]
fn memory_is_not_taken_for_rights() {
    let machine = Machine::new(USER);
    let probe = ProbeResult { memory: true, ..refused(1, "Operation not permitted") };
    let finding = machine.finds("live-probe", |inputs| inputs.probe = Some(probe));
    assert!(finding.found.starts_with("no ring buffer can be mapped"), "{finding:?}");
    assert!(finding.why.contains("perf-mlock-budget"), "{finding:?}");
}

#[test]
fn a_container_is_told_how_to_open_up() {
    let machine = Machine::new(&USER.replace("Seccomp:\t0", "Seccomp:\t2"));
    machine.namespace("pid", "4026532001").put(".dockerenv", "");
    let finding = machine.finds("live-probe", |inputs| inputs.probe = Some(refused(1, "Operation not permitted")));
    let fix = finding.fix.unwrap();
    assert_eq!((fix.now().as_str(), fix.on_host), ("docker run --cap-add PERFMON --cap-add SYSLOG ...", true));
}

#[test]
fn virtual_machines() {
    let machine = Machine::new(USER);
    assert_eq!(machine.status("virtual-machine"), Status::Ok);
    machine.put("proc/cpuinfo", "flags\t: fpu hypervisor\n").put("sys/class/dmi/id/sys_vendor", "QEMU\n");
    let finding = machine.finds("virtual-machine", |_| {});
    assert_eq!((finding.status, finding.found.as_str()), (Status::Info, "virtual: QEMU"));
}

static NO_STACK: Record = Record { stack: 0, ..fixture::record(EventChoice::Auto, Kernel::Auto) };

/// The statuses of what arrives: user stacks, kernel stacks, registers, stack copies, context switches.
fn arrivals(record: &'static Record, kernel: bool, trial: Result<Arrived, String>) -> Vec<Status> {
    let findings = Machine::new(USER).findings(|inputs| {
        inputs.record = record;
        inputs.probe = Some(opened("cpu-clock", kernel));
        inputs.trial = Some(trial);
    });
    let ids = ["user-stacks", "kernel-stacks", "user-registers", "stack-copy", "context-switches"];
    ids.iter().map(|id| findings.iter().find(|finding| finding.id == *id).unwrap().status).collect()
}

#[test]
fn what_arrives() {
    use Status::{Failure, Info, Ok, Skipped, Warning};
    let all = everything_arrived();
    assert_eq!(arrivals(&AUTO, true, Result::Ok(all)), [Ok; 5]);
    let nothing = Arrived { switches: Some(0), ..Arrived::default() };
    assert_eq!(arrivals(&AUTO, true, Result::Ok(nothing)), [Failure, Warning, Failure, Failure, Info]);
    assert_eq!(arrivals(&AUTO, true, Err("no".into())), [Failure; 5]);
    let user = Arrived { kernel_stacks: 0, switches: None, ..all };
    assert_eq!(arrivals(&AUTO, false, Result::Ok(user)), [Ok, Info, Ok, Ok, Info]);
    assert_eq!(arrivals(&KERNEL_YES, false, Result::Ok(user))[1], Failure);
    assert_eq!(arrivals(&KERNEL_NO, false, Result::Ok(user))[1], Skipped);
    assert_eq!(arrivals(&NO_STACK, true, Result::Ok(Arrived { stack_copies: 0, ..all }))[3], Skipped);
}

#[test]
fn a_promise_that_is_not_kept_is_told() {
    let machine = Machine::new(USER);
    let finding = machine.finds("kernel-stacks", |inputs| {
        inputs.probe = Some(opened("cpu-clock", true));
        inputs.trial = Some(Ok(Arrived { kernel_stacks: 0, ..everything_arrived() }));
    });
    assert_eq!((finding.status, finding.found.as_str()), (Status::Warning, "in 0 of 9 samples"));
    assert!(finding.why.contains("settings and kernel disagree"), "{finding:?}");
}
