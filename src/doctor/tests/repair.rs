//! Repair plans.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{Machine, ROOT, USER, judge};
use crate::doctor::{Change, RepairPlan, Status, check, plan_repair};
use crate::host::{HostFacts, Sysctl, probe};

fn plan(machine: &Machine) -> RepairPlan {
    plan_for(machine, |facts| facts)
}

fn plan_for(machine: &Machine, change: impl FnOnce(HostFacts) -> HostFacts) -> RepairPlan {
    let facts = change(probe(machine.root.path()));
    let mut plan = RepairPlan::default();
    judge(&facts, |inputs| plan = plan_repair(inputs, &check(inputs)));
    plan
}

fn change(setting: Sysctl, before: i64, after: i64) -> Change {
    Change { setting, before, after }
}

#[test]
fn a_machine_without_problems_needs_no_repair() {
    assert_eq!(plan(&Machine::new(USER)), RepairPlan::default());
}

#[test]
fn each_setting_is_changed_once_in_the_necessary_order() {
    let machine = Machine::new(ROOT);
    machine.sysctl("perf_event_max_sample_rate", "10").sysctl("perf_cpu_time_max_percent", "5");
    machine.sysctl("perf_event_max_stack", "16");
    let expected = [
        change(Sysctl::PerfCpuTimeMaxPercent, 5, 25),
        change(Sysctl::PerfEventMaxSampleRate, 10, 997),
        change(Sysctl::PerfEventMaxStack, 16, 127),
    ];
    assert_eq!(plan(&machine).changes, expected);
}

#[test]
fn two_checks_that_need_the_same_setting_make_one_change() {
    // Hidden kernel addresses and missing kernel stacks both need level 1.
    let machine = Machine::new(super::fixture::PERFMON);
    machine.sysctl("perf_event_paranoid", "2").write_file("proc/kallsyms", "0000000000000000 T _stext\n");
    machine.sysctl("kptr_restrict", "2");
    let expected = [change(Sysctl::PerfEventParanoid, 2, 1), change(Sysctl::KptrRestrict, 2, 0)];
    assert_eq!(plan(&machine).changes, expected);
}

#[test]
fn a_setting_with_an_unknown_value_is_left_to_the_user() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2").sysctl("kptr_restrict", "many");
    machine.write_file("proc/kallsyms", "0000000000000000 T _stext\n");
    let of_level = plan(&machine);
    assert_eq!(of_level.changes, [change(Sysctl::PerfEventParanoid, 2, 1)]);
    machine.sysctl("perf_event_paranoid", "1000000");
    let nonsense = plan(&machine);
    assert_eq!(nonsense.changes, [], "a level that no kernel has");
    let why = nonsense.manual_repairs[0].why.as_ref().unwrap();
    assert!(why.contains("the value of kernel.perf_event_paranoid is unknown"), "{nonsense:?}");
}

#[test]
fn a_problem_hidden_by_another_is_repaired_too() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2").sysctl("kptr_restrict", "1");
    machine.write_file("proc/kallsyms", "0000000000000000 T _stext\n");
    let finding = machine.finding("kptr-restrict", |_| {});
    assert_eq!(finding.status, Status::Info, "without kernel samples, no names are needed");
    let plan = plan(&machine);
    let expected = [change(Sysctl::PerfEventParanoid, 2, 1), change(Sysctl::KptrRestrict, 1, 0)];
    assert_eq!(plan.changes, expected);
    assert_eq!(plan.check_ids(Sysctl::KptrRestrict), ["kptr-restrict"]);
    assert!(plan.needs_sudo);
}

#[test]
fn root_can_repair_for_users_without_privileges() {
    let machine = Machine::new(ROOT);
    machine.sysctl("perf_event_paranoid", "2").sysctl("perf_event_mlock_kb", "64");
    machine.write_file("proc/self/limits", "Max locked memory 0 0 bytes\n");
    assert_eq!(plan(&machine).changes, [], "root needs nothing");
    let expected = [change(Sysctl::PerfEventParanoid, 2, 1), change(Sysctl::PerfEventMlockKb, 64, 516)];
    assert_eq!(plan_for(&machine, HostFacts::without_privileges).changes, expected);
}

#[test]
fn settings_of_a_containers_host_are_left_to_the_user() {
    let machine = Machine::new(USER);
    machine.sysctl("perf_event_paranoid", "2").namespace("pid", "4026532001");
    machine.write_file("proc/self/mounts", "proc /proc/sys proc ro 0 0\n");
    let plan = plan(&machine);
    assert!(plan.changes_nothing());
    assert_eq!(
        (plan.manual_repairs[0].ids.as_slice(), plan.manual_repairs[0].on_host),
        (&["perf-event-paranoid"][..], true)
    );
}

/// All files in a directory tree.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(dir) = queue.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                queue.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn settings_with_unexpected_or_unreadable_contents_are_never_changed() {
    let number = Machine::new(USER).findings(|_| {}).len();
    let texts: [Option<&[u8]>; 4] = [Some(b"nonsense\n"), Some(b""), Some(b"\xff\xfe\0\n99999999999999999999"), None];
    for text in texts {
        let machine = Machine::new(USER);
        for file in files(machine.root.path()) {
            fs::remove_file(&file).unwrap();
            match text {
                Some(text) => fs::write(&file, text).unwrap(),
                // A directory exists and cannot be read as a file, even by root.
                None => fs::create_dir(&file).unwrap(),
            }
        }
        let findings = machine.findings(|_| {});
        assert_eq!(findings.len(), number, "all checks have a finding: {text:?}");
        assert_eq!(plan(&machine).changes, [], "{text:?}");
        let level = findings.iter().find(|finding| finding.id == "perf-event-paranoid").unwrap();
        assert_eq!(level.status, Status::Warning, "{level:?}");
    }
}
