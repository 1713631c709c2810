//! CPU time of threads and processes that are shorter than a period, and of CPUs that the machine does not list.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command};

use goflame::workload::ControlGroup;
use rustix::process::geteuid;

use crate::harness::{Project, Run, print_figure, run_successfully, text, tool, wait_for_turn};

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

/// Ends the process when the value is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether goflame may load a BPF program: `CAP_BPF` is bit 39 of the effective capabilities (capability.h).
fn has_cap_bpf() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << 39 != 0
}

/// Each run has a busy process beside it, in goflame's own control group.
#[test]
fn samples_are_those_of_the_control_group_with_and_without_a_filter_in_the_kernel() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("shortlived", SETTINGS);
    let _busy = Killed(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
    let may_filter = has_cap_bpf() && can_use_control_group();
    for (rights, is_filtered) in [("all", may_filter), ("-bpf,-sys_admin", false)] {
        let mut command = tool("setpriv");
        if rights != "all" {
            command.args(["--bounding-set", rights, "--inh-caps", rights]);
        }
        command.arg(env!("CARGO_BIN_EXE_goflame")).args(["run", "--json", "--", "threads", "1500"]);
        let run = Run::from_output(&run_successfully(command.current_dir(project.path(""))));
        let sampler = &run.manifest()["sampler"];
        let seen = sampled_share(&run);
        print_figure(&format!(
            "rights {rights}: filter {}, {:.1} % of CPU time seen",
            sampler["bpf_filter"],
            seen * 100.0
        ));
        assert_eq!(sampler["bpf_filter"], is_filtered);
        if can_use_control_group() {
            assert_eq!(sampler["tasks"], "control-group");
            assert!((0.85..1.1).contains(&seen), "{rights}: {seen}");
        }
        let mut report = project.goflame();
        report.arg("report").arg(&run.dir).args(["-f", "folded", "--by", "process"]);
        let stacks = text(&mut report);
        let processes: BTreeSet<&str> = stacks.lines().filter_map(|stack| stack.split(';').next()).collect();
        let app = run.manifest()["app"]["name"].as_str().unwrap().to_owned();
        assert_eq!(processes, BTreeSet::from([&*app]), "only the program: {stacks}");
    }
}
