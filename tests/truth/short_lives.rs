//! CPU time of threads and processes that are shorter than a period, and of CPUs that the machine does not list.

use std::collections::BTreeSet;
use std::fs;

use goflame::workload::ControlGroup;
use rustix::process::geteuid;
use serde_json::Value;

use crate::harness::{Project, Run, RunningProgram, print_figure, run_successfully, text, tool, wait_for_turn};

const SETTINGS: &str = "[app]\npackage = '.'\n[build]\nvariant = 'release'\n[record]\nevent = 'cpu-clock'\n";

/// Runs `goflame run -- ARGS` in a new mount namespace, after the shell commands in `mounts`. Needs root.
fn run_after_mounts(project: &Project, mounts: &str, args: &[&str]) -> Run {
    let mut command = tool("unshare");
    command.args(["--mount", "sh", "-e", "-c", &format!("{mounts}\nexec \"$@\""), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_goflame")).args(["run", "--json", "--"]).args(args);
    Run::from_output(&run_successfully(command.current_dir(project.path(""))))
}

/// Sampled CPU time as a share of the used CPU time; 1.0 is all.
fn sampled_share(run: &Run) -> f64 {
    let cpu = &run.summary()["quality"]["figures"]["cpu"];
    cpu["sampled_seconds"].as_f64().unwrap() / cpu["used_seconds"].as_f64().unwrap()
}

/// Whether this machine permits events on a control group. Root in a container often has no permission.
fn can_use_control_group() -> bool {
    geteuid().is_root() && ControlGroup::create().is_ok()
}

#[test]
fn short_threads_and_processes_are_sampled_if_events_can_be_confined_to_a_control_group() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("shortlived", SETTINGS);
    for args in [["threads", "1500"], ["processes", "150"], ["unwaited", "200"]] {
        let run = project.run(&[&["--"][..], &args].concat());
        let sampler = &run.manifest()["sampler"];
        let seen = sampled_share(&run);
        print_figure(&format!("{}: {:.1} % of CPU time seen, events {}", args[0], seen * 100.0, sampler["tasks"]));
        if can_use_control_group() {
            assert_eq!((&sampler["tasks"], &sampler["inherited_reason"]), (&"control-group".into(), &().into()));
            // 98 % on a quiet machine. A busy machine switches more often, and the time of a switch is not sampled.
            assert!((0.85..1.1).contains(&seen), "{}: {seen}", args[0]);
            let names = fs::read_to_string(run.file("profile.folded")).unwrap();
            assert!(!names.contains("__gate"), "goflame's own code is not the program's");
        } else {
            assert_eq!(sampler["tasks"], "inherited");
        }
    }
}

#[test]
fn cpu_time_without_samples_is_reported_with_its_cause() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("shortlived", SETTINGS);
    // As in a container: the control groups are visible, but cannot be changed.
    let mounts = "for mount in $(findmnt -rno TARGET -t cgroup,cgroup2); do mount -o remount,bind,ro $mount; done";
    let run = run_after_mounts(&project, mounts, &["threads", "1500"]);
    let share = sampled_share(&run);
    assert!(share < 0.3, "threads of less than a period were seen: {share}");
    // From fewer than 1 000 samples, shares have no decimals.
    let decimals = usize::from(run.summary()["samples"].as_u64().unwrap() >= 1_000);
    let text = format!("{:.decimals$} % of ", share * 100.0);
    let used = run.summary()["quality"]["figures"]["cpu"]["used_seconds"].as_f64().unwrap();
    let caption = format!("{text}{used:.2} s of CPU time seen");
    let warning = format!("{caption}: a thread or process that uses less than 2 ms of CPU time has no sample");
    assert!(run.stderr.contains(&warning), "{warning}\n{}", run.stderr);
    assert!(run.stderr.contains("Read-only file system"), "{}", run.stderr);
    let svg = fs::read_to_string(run.file("flamegraph.svg")).unwrap();
    assert!(svg.contains(&caption), "{caption}");
    let report = run_successfully(project.goflame().arg("report").arg(&run.dir));
    assert!(String::from_utf8_lossy(&report.stdout).contains(&caption), "the report of the archived run");
    assert!(String::from_utf8_lossy(&report.stderr).contains(&warning), "the cause is archived");
    assert_eq!(run.manifest()["sampler"]["tasks"], "inherited");
}

#[test]
fn every_cpu_is_sampled_even_if_the_list_of_cpus_is_wrong() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("threads", SETTINGS);
    let list = project.path("online");
    let bind = |cpus: &str| {
        fs::write(&list, format!("{cpus}\n")).unwrap();
        format!("mount --bind {} /sys/devices/system/cpu/online", list.display())
    };
    for (name, mounts) in [
        ("no /sys", "mount -t tmpfs none /sys".to_owned()),
        ("one CPU", bind("0")),
        ("CPUs that do not exist", bind("0-63")),
        ("no CPU", bind("garbage")),
    ] {
        let run = run_after_mounts(&project, &mounts, &["-n", "4", "-seconds", "1"]);
        let seen = sampled_share(&run);
        print_figure(&format!("{name}: {:.1} % of CPU time seen", seen * 100.0));
        assert!((0.9..1.1).contains(&seen), "{name}: {seen}");
    }
}

#[test]
fn only_the_program_is_sampled_beside_a_busy_process() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("shortlived", SETTINGS);
    // In goflame's own control group.
    let _busy = RunningProgram::start(tool("sh").args(["-c", "while :; do :; done"]));
    let run = project.run(&["--", "threads", "1500"]);
    let mut report = project.goflame();
    report.arg("report").arg(&run.dir).args(["-f", "folded", "--by", "process"]);
    let stacks = text(&mut report);
    let processes: BTreeSet<&str> = stacks.lines().filter_map(|stack| stack.split(';').next()).collect();
    let app = run.manifest()["app"]["name"].as_str().unwrap().to_owned();
    assert_eq!(processes, BTreeSet::from([&*app]), "{stacks}");
}

/// The program computes for half of each period. Sampling is as often as the period. A timer that also runs while the
/// program sleeps would keep step with the program: it saw one function 17 times as often as the other.
#[test]
fn a_program_in_step_with_the_sampling_has_its_true_shares() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("periodic", SETTINGS);
    for (period, frequency) in [("1ms", "1000"), ("4ms", "250")] {
        let run = project.run(&["-F", frequency, "--", "-period", period, "-seconds", "3"]);
        let summary = run.summary();
        let functions = summary["functions"].as_array().unwrap();
        let of = |name: &str| {
            let function = functions.iter().find(|function| function["name"] == name).unwrap();
            function["cumulative_percent"].as_f64().unwrap()
        };
        let measured: Value = serde_json::from_str(&run.stdout_log()).unwrap();
        let cpu_time = |name: &str| measured[name].as_f64().unwrap();
        let part = |one: f64, other: f64| 100.0 * one / (one + other);
        let seen = part(of("main.first"), of("main.second"));
        let truth = part(cpu_time("first"), cpu_time("second"));
        print_figure(&format!("period {period}: the first function has {seen:.1} %, in truth {truth:.1} %"));
        assert!((seen - truth).abs() < 10.0, "{period}: {seen} %, in truth {truth} %");
    }
}
