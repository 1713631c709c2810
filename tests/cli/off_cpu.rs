//! The time that threads wait: `--off-cpu`, `off_cpu` in [record], and `--profile off-cpu`.

use goflame::perfdata::unpack;
use serde_json::Value;

use crate::harness::Project;

const OFF_CPU_SETTINGS: &str = "[record]\noff_cpu = true\n";

/// The output of `goflame report --json` with these arguments.
#[track_caller]
fn report_summary(project: &Project, args: &str) -> Value {
    let report = project.shell(&format!("$goflame report {args} --json")).run();
    report.code(0);
    serde_json::from_str(&report.stdout).unwrap()
}

fn has_function(summary: &Value, name: &str) -> bool {
    summary["functions"].as_array().unwrap().iter().any(|function| function["name"] == name)
}

#[test]
fn the_time_that_threads_wait_is_a_profile_beside_that_of_the_cpu() {
    let project = Project::workload("waits", OFF_CPU_SETTINGS);
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_has(
        "     Off-CPU [..] s of waiting, [..] at main.[..]; `goflame report [..] --profile off-cpu` shows where",
    );

    let (cpu, waits) = (report_summary(&project, "latest"), report_summary(&project, "latest --profile off-cpu"));
    assert!(has_function(&cpu, "main.compute") && cpu["event"] != "off-cpu", "{cpu}");
    assert_eq!(
        (&waits["event"], &waits["unit"], &waits["counted"]),
        (&"off-cpu".into(), &"nanoseconds".into(), &"waits".into())
    );
    for name in ["main.sleep", "main.read", "main.lock"] {
        assert!(has_function(&waits, name), "{name} in {waits}");
    }
    // Not counted: goroutines that wait without a thread, and idle threads.
    for name in ["runtime.findRunnable", "time.Sleep", "runtime.sysmon"] {
        assert!(!has_function(&waits, name), "{name} in {waits}");
    }
    let figures = &project.manifest()["off_cpu"];
    assert_eq!(&waits["off_cpu"], figures);
    assert_eq!(&cpu["off_cpu"], figures);
    let seconds = |name: &str| figures[name].as_f64().unwrap();
    let total = waits["total"].as_f64().unwrap();
    assert!((seconds("waited_seconds") * 1e9 - total).abs() < 1.0, "{figures}");
    assert!(seconds("idle_seconds") > 0.0 && figures["lost"] == 0, "{figures}");

    let report = project.goflame(["report", "--profile", "off-cpu", "--tree"]).run();
    report.code(0).stderr_has(
        "     Warning this is waiting time of threads: [..]left out: [..] s of Go's threads without a goroutine[..]",
    );
    assert!(report.stdout.contains(" of off-cpu") && report.stdout.contains("main.main.func2"), "{}", report.stdout);
    project.goflame(["diff", "latest", "latest", "--profile", "off-cpu"]).run().code(0);
    let of_file = report_summary(&project, &format!("{}/off-cpu.data", project.only_run()));
    assert_eq!(of_file["total"], waits["total"]);
    // perf reads off-cpu.data: a period is the waiting time in nanoseconds.
    let script = format!("perf script -i {}/off-cpu.data -F event,period 2>/dev/null", project.only_run());
    let script = project.shell(&script).run().stdout.clone();
    let (mut sum, mut count) = (0_u64, 0_usize);
    for line in script.lines() {
        let (period, event) = line.trim().split_once(' ').unwrap();
        assert_eq!(event.trim(), "offcpu-time:", "{line}");
        sum += period.parse::<u64>().unwrap();
        count += 1;
    }
    assert!(count > 150 && sum > waits["total"].as_u64().unwrap(), "{count} waits, {sum} ns");

    project.goflame(["report", "--profile", "off-cpu", "-o", "waits.pb.gz"]).run().code(0);
    assert_eq!(report_summary(&project, "waits.pb.gz")["total"], waits["total"]);
}

#[test]
fn an_export_keeps_the_waiting_time() {
    let project = Project::workload("waits", OFF_CPU_SETTINGS);
    project.goflame(["run"]).run().code(0);
    project.goflame(["runs", "verify"]).run().code(0);
    let of_run = report_summary(&project, "latest --profile off-cpu");
    for option in ["", "--with-binary"] {
        project.shell(&format!("$goflame runs export {option} -o run.tar.zst")).run().code(0);
        let other = Project::with_config("app.name = \"other\"\n");
        other.goflame(["runs", "import"]).arg(project.path("run.tar.zst")).run().code(0);
        other.goflame(["runs", "verify"]).run().code(0);
        let imported = report_summary(&other, "latest --profile off-cpu");
        assert_eq!(imported["total"], of_run["total"], "{option}");
        assert!(has_function(&imported, "main.sleep"), "{option}: {imported}");
    }
}

#[test]
fn memory_of_the_program_is_not_kept_with_its_waits() {
    const PROGRAM: &str = "package main

import \"syscall\"

//go:noinline
func wait(secret [64]byte) byte {
	request := syscall.NsecToTimespec(1000000)
	syscall.Nanosleep(&request, nil)
	return secret[request.Nsec%64]
}

func main() {
	var secret [64]byte
	for i := range secret {
		secret[i] = \"tercesdetnalp\"[12-i%13]
	}
	for i := 0; i < 20; i++ {
		wait(secret)
	}
}
";
    for (raw, kept) in [(true, true), (false, false)] {
        let project = Project::program(PROGRAM, &format!("{OFF_CPU_SETTINGS}[archive]\nraw = {raw}\n"));
        project.goflame(["run"]).run().code(0);
        let recording = project.read(&format!("{}/off-cpu.data", project.only_run()));
        let recording = unpack(&recording, &[]).unwrap().unwrap_or(recording);
        assert_eq!(recording.windows(13).any(|part| part == b"plantedsecret"), kept, "raw = {raw}");
        assert!(has_function(&report_summary(&project, "latest --profile off-cpu"), "main.wait"), "raw = {raw}");
    }
}

/// A program with this number of waits, each of which is a record of at least 1 KiB.
fn waiting_program(waits: usize) -> String {
    format!(
        "package main

import \"syscall\"

func main() {{
	for i := 0; i < {waits}; i++ {{
		request := syscall.NsecToTimespec(1000)
		syscall.Nanosleep(&request, nil)
	}}
}}
"
    )
}

#[test]
fn a_bound_on_the_waits_is_said_and_leaves_the_cpu_profile_whole() {
    let project =
        Project::program(&waiting_program(1000), &format!("{OFF_CPU_SETTINGS}[archive]\nmax_bytes = \"1MB\"\n"));
    let note = "     Warning the recording of waits is truncated at 1 000 000 bytes after [..] s: the off-CPU profile shows the \
                beginning only";
    project.goflame(["run"]).run().code(0).stderr_has(note).stderr_lacks("[..]were lost[..]");
    let manifest = project.manifest();
    assert_eq!(
        (&manifest["off_cpu"]["size_bound"]["bytes"], &manifest["off_cpu"]["lost"]),
        (&1_000_000.into(), &0.into())
    );
    assert_eq!(manifest["quality"]["size_bound"], Value::Null);
    project.goflame(["report", "--profile", "off-cpu"]).run().code(0).stderr_has(note);
}

#[test]
fn a_run_whose_waits_cannot_be_written_has_its_cpu_profile_and_says_why() {
    let project = Project::program(&waiting_program(20_000), OFF_CPU_SETTINGS);
    project.goflame(["build"]).run().code(0);
    let run = project.shell("ulimit -f 8192; $goflame run").run();
    run.code(0).stderr_has(
        "     Warning the run has no off-CPU profile: cannot write [..]/off-cpu.data: File too large (os error 27)",
    );
    let manifest = project.manifest();
    assert_eq!(manifest["off_cpu"], Value::Null);
    assert!(manifest["notes"].to_string().contains("the run has no off-CPU profile"), "{manifest}");
    assert!(!project.path(&format!("{}/off-cpu.data", project.only_run())).exists());
    project.goflame(["report"]).run().code(0);
    project.goflame(["report", "--profile", "off-cpu"]).run().code(2);
}

#[test]
fn waiting_time_that_was_not_recorded_is_an_error_with_advice() {
    let project = Project::workload("printer", "");
    project.goflame(["run"]).run().code(0).stderr_lacks("[..]Off-CPU[..]");
    project.goflame(["report", "--profile", "off-cpu"]).run().code(2).stdout("").stderr(
        "error: run [..] has no off-CPU profile
   help: `off_cpu = true` in [record], or --off-cpu, records the next run with it
",
    );
    project.goflame(["run", "--off-cpu", "--engine", "perf"]).run().code(3).stderr(
        "[..]error: `engine = \"perf\"` does not record the time off the CPU (`off_cpu` in [record])
   help: use `engine = \"native\"`
",
    );
}
