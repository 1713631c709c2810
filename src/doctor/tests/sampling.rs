//! Checks of hardware counters, opening of events, and contents of samples.

use super::fixture::{
    self, AUTO, CLOCK, CYCLES, KERNEL_NO, KERNEL_YES, Machine, USER, complete_trial, opened_probe, refused_probe,
};
use crate::config::{EventChoice, Kernel, Record, StackSize};
use crate::doctor::{ProbeResult, Status};
use crate::perfevent::TrialCounts;

#[test]
fn the_cycles_event_needs_a_pmu() {
    let machine = Machine::new(USER);
    let status = |record| machine.finding("pmu", |inputs| inputs.record = record).status;
    assert_eq!([&AUTO, &CYCLES, &CLOCK].map(status), [Status::Ok, Status::Ok, Status::Ok]);
    machine.remove("sys/bus/event_source/devices/cpu");
    assert_eq!([&AUTO, &CYCLES, &CLOCK].map(status), [Status::Info, Status::Failure, Status::Ok]);
    machine.write_file("proc/cpuinfo", "flags\t: fpu hypervisor\n");
    assert!(machine.finding("pmu", |_| {}).found.contains("virtual machine"));
}

#[test]
fn a_refused_event_is_reported_with_its_cause() {
    let machine = Machine::new(USER);
    let finding_for = |probe: ProbeResult, record| {
        machine.finding("live-probe", |inputs| {
            inputs.probe = Some(probe);
            inputs.record = record;
        })
    };
    assert_eq!(finding_for(opened_probe("cpu-clock", true), &AUTO).status, Status::Ok);
    assert_eq!(
        finding_for(opened_probe("cpu-clock", true), &CYCLES).status,
        Status::Failure,
        "another event than configured"
    );
    let contradiction = finding_for(opened_probe("cycles", false), &AUTO);
    assert_eq!(contradiction.status, Status::Warning);
    assert!(contradiction.why.contains("The settings permit"), "{contradiction:?}");
    assert_eq!(finding_for(opened_probe("cycles", false), &KERNEL_YES).status, Status::Failure);
    assert_eq!(finding_for(opened_probe("cycles", false), &KERNEL_NO).status, Status::Ok);
    let denied = finding_for(refused_probe(13, "Permission denied"), &AUTO);
    assert_eq!(denied.status, Status::Failure);
    assert_eq!(denied.found, "no event opens: Permission denied");
    assert!(denied.why.contains("The settings permit"), "a security module: {denied:?}");
    assert!(finding_for(refused_probe(24, "Too many open files"), &AUTO).fix.unwrap().command_now().contains("ulimit"));
    assert!(finding_for(refused_probe(22, "Invalid argument"), &AUTO).why.contains("sample-rate"));
    machine.sysctl("perf_event_paranoid", "3");
    assert_eq!(
        finding_for(refused_probe(13, "Permission denied"), &AUTO).found,
        "no event opens: see perf-event-paranoid"
    );
    let ignored = ["perf-event-paranoid".to_owned()];
    let unheard = machine.finding("live-probe", |inputs| {
        inputs.probe = Some(refused_probe(13, "Permission denied"));
        inputs.ignored_ids = &ignored;
    });
    assert_eq!(unheard.status, Status::Failure, "the check with the cause is ignored");
    assert!(unheard.why.contains("perf-event-paranoid"), "{unheard:?}");
    machine.write_file("proc/self/status", &USER.replace("Seccomp:\t0", "Seccomp:\t2"));
    assert!(finding_for(refused_probe(1, "Operation not permitted"), &AUTO).why.contains("seccomp"));
    // At level 2, kernel samples are missing because of the setting, which has its own check.
    machine.sysctl("perf_event_paranoid", "2");
    assert_eq!(finding_for(opened_probe("cpu-clock", false), &AUTO).status, Status::Ok);
}

#[test]
fn a_refused_ring_buffer_is_reported_with_the_memory_budget() {
    let machine = Machine::new(USER);
    let probe = ProbeResult { is_ring_refused: true, ..refused_probe(1, "Operation not permitted") };
    let finding = machine.finding("live-probe", |inputs| inputs.probe = Some(probe));
    assert!(finding.found.starts_with("no ring buffer can be mapped"), "{finding:?}");
    assert!(finding.why.contains("perf-mlock-budget"), "{finding:?}");
}

#[test]
fn a_container_gets_the_docker_option_as_repair() {
    let machine = Machine::new(&USER.replace("Seccomp:\t0", "Seccomp:\t2"));
    machine.namespace("pid", "4026532001").write_file(".dockerenv", "");
    let finding =
        machine.finding("live-probe", |inputs| inputs.probe = Some(refused_probe(1, "Operation not permitted")));
    let fix = finding.fix.unwrap();
    assert_eq!((fix.command_now().as_str(), fix.on_host), ("docker run --cap-add PERFMON --cap-add SYSLOG ...", true));
}

#[test]
fn a_virtual_machine_is_a_note() {
    let machine = Machine::new(USER);
    assert_eq!(machine.status("virtual-machine"), Status::Ok);
    machine.write_file("proc/cpuinfo", "flags\t: fpu hypervisor\n").write_file("sys/class/dmi/id/sys_vendor", "QEMU\n");
    let finding = machine.finding("virtual-machine", |_| {});
    assert_eq!((finding.status, finding.found.as_str()), (Status::Info, "virtual: QEMU"));
}

static NO_STACK: Record = Record { stack: StackSize::Bytes(0), ..fixture::record(EventChoice::Auto, Kernel::Auto) };

/// The statuses of user stacks, kernel stacks, registers, stack copies and context switches.
fn trial_statuses(record: &'static Record, kernel: bool, trial: Result<TrialCounts, String>) -> Vec<Status> {
    let findings = Machine::new(USER).findings(|inputs| {
        inputs.record = record;
        inputs.probe = Some(opened_probe("cpu-clock", kernel));
        inputs.trial = Some(trial);
    });
    let ids = ["user-stacks", "kernel-stacks", "user-registers", "stack-copy", "context-switches"];
    ids.iter().map(|id| findings.iter().find(|finding| finding.id == *id).unwrap().status).collect()
}

#[test]
fn missing_parts_of_samples_are_reported() {
    use Status::{Failure, Info, Ok, Skipped, Warning};
    let all = complete_trial();
    assert_eq!(trial_statuses(&AUTO, true, Result::Ok(all)), [Ok; 5]);
    let nothing = TrialCounts { switches: Some(0), ..TrialCounts::default() };
    assert_eq!(trial_statuses(&AUTO, true, Result::Ok(nothing)), [Failure, Warning, Failure, Failure, Info]);
    assert_eq!(trial_statuses(&AUTO, true, Err("no".into())), [Failure; 5]);
    let user = TrialCounts { kernel_stacks: 0, switches: None, ..all };
    assert_eq!(trial_statuses(&AUTO, false, Result::Ok(user)), [Ok, Info, Ok, Ok, Info]);
    assert_eq!(trial_statuses(&KERNEL_YES, false, Result::Ok(user))[1], Failure);
    assert_eq!(trial_statuses(&KERNEL_NO, false, Result::Ok(user))[1], Skipped);
    assert_eq!(trial_statuses(&NO_STACK, true, Result::Ok(TrialCounts { stack_copies: 0, ..all }))[3], Skipped);
}

#[test]
fn a_machine_without_events_per_cpu_is_still_ready() {
    let finding = Machine::new(USER).finding("short-lives", |inputs| inputs.confined = Some(Err("no group".into())));
    assert_eq!((finding.status, finding.found.as_str()), (Status::Info, "no group"));
}

#[test]
fn missing_kernel_stacks_are_a_warning_if_the_kernel_opened_the_event_with_them() {
    let machine = Machine::new(USER);
    let finding = machine.finding("kernel-stacks", |inputs| {
        inputs.probe = Some(opened_probe("cpu-clock", true));
        inputs.trial = Some(Ok(TrialCounts { kernel_stacks: 0, ..complete_trial() }));
    });
    assert_eq!((finding.status, finding.found.as_str()), (Status::Warning, "in 0 of 9 samples"));
    assert!(finding.why.contains("settings and kernel disagree"), "{finding:?}");
}
