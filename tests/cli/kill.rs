//! Signals: to goflame, to its supervisor, to the workload. Nothing may keep running, and what was sampled is kept.

use nix::sys::signal::Signal;

use crate::harness::{Finished, Project, Running, send};

/// Computes in a family of processes for far longer than any test takes, one of them in a session of its own.
const FAMILY: &str = "[workload]\nargs = [\"-busy\", \"10m\", \"-linger\", \"10m\"]\n";

/// `goflame run`, once the workload runs and some samples are on the disk.
#[track_caller]
fn recording(project: &Project) -> Running<'_> {
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    run.wait_for_samples();
    run
}

/// Asserts that the only run was not completed, and that its samples can be rendered all the same.
#[track_caller]
fn partial_is_readable(project: &Project) -> Finished<'_> {
    let partial = project.only_partial();
    assert_eq!(project.names(".goflame/runs"), Vec::<String>::new());
    let report = project.goflame(["report"]).arg(project.path(&format!("{partial}/perf.data"))).run();
    report.code(0);
    assert!(report.stdout.contains("Hottest functions"), "{}", report.stdout);
    assert!(report.stdout.contains("main."), "{}", report.stdout);
    report
}

#[test]
fn one_interrupt_reaches_the_workload_and_keeps_the_run() {
    let project = Project::program(
        "package main

import (
	\"fmt\"
	\"os\"
	\"os/signal\"
	\"time\"
)

func main() {
	interrupts := make(chan os.Signal, 8)
	signal.Notify(interrupts, os.Interrupt)
	fmt.Println(\"ready\", os.Getpid())
	<-interrupts
	count := 1
	for end := time.After(300 * time.Millisecond); ; {
		select {
		case <-interrupts:
			count++
		case <-end:
			fmt.Println(\"interrupts:\", count)
			os.Exit(9)
		}
	}
}
",
        "",
    );
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    run.workload();
    run.signal(Signal::SIGINT);
    let run = run.finish();
    run.code(9)
        .stderr_has("    Stopping the workload; interrupt again to leave at once")
        .stderr_has("     Warning the workload was interrupted and ended with exit status 9; the profile shows [..]")
        .stderr_has(&format!("    Archived {}", project.only_run()));
    assert!(run.stdout.contains("\ninterrupts: 1\n"), "{}", run.stdout);
    assert_eq!(project.manifest()["workload"]["ending"], "interrupted");
    project.assert_nothing_runs();
}

#[test]
fn every_signal_that_asks_for_an_end_is_passed_on() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let project = Project::workload("sleeper", "");
        let run = project.goflame(["run", "--propagate-status"]).spawn();
        run.workload();
        run.signal(signal);
        let said = format!(
            "     Warning the workload was interrupted and was killed by {signal} ({}); the profile shows [..]",
            signal as i32
        );
        run.finish().code(128 + signal as i32).stderr_has(&said);
        assert_eq!(project.manifest()["workload"]["signal"], signal as i32);
    }
}

#[test]
fn two_interrupts_leave_at_once() {
    let project = Project::workload("stubborn", "[workload]\nargs = [\"-duration\", \"10m\"]\n");
    let run = recording(&project);
    run.signal(Signal::SIGINT).wait_for("interrupt again to leave at once");
    run.signal(Signal::SIGINT);
    let run = run.finish();
    let partial = project.only_partial();
    run.code(130).stderr(&format!(
        "     Locking go1[..] (goflame.lock)
    Building ./stubborn [debug: -N -l] with go1[..]
    Checking [..] readiness checks: [..] (goflame doctor)
     Running .goflame/build/debug/stubborn -duration 10m
    Stopping the workload; interrupt again to leave at once
     Warning what was sampled is kept: goflame report {partial}/perf.data
error: interrupted twice: the workload was killed, and nothing was analysed
"
    ));
    project.assert_nothing_runs();
    partial_is_readable(&project);
}

#[test]
fn kill_9_of_goflame_leaves_nothing_running() {
    let project = Project::workload("spawner", FAMILY);
    let run = recording(&project);
    run.wait_for("orphan ").wait_for("grandchild ");
    run.signal(Signal::SIGKILL);
    run.finish().killed(Signal::SIGKILL);
    project.assert_nothing_runs();

    let report = partial_is_readable(&project);
    // On a busy machine there may be few samples, and a warning that says so.
    report.stderr_in_order(
        "   Analysing [..] samples of [dir]/[..]/perf.data in [..] s
     Quality fair: [..] of stacks complete, [..] repaired, 0 lost
     Warning the recording ends early: its file was cut off
",
    );
    assert!(report.stdout.contains("main.compute"), "{}", report.stdout);
    // Before: shown with --verbose only.
    let [id] = &project.partials()[..] else { panic!("{:?}", project.partials()) };
    project
        .goflame(["runs", "list"])
        .run()
        .code(0)
        .stderr("")
        .stdout(&format!("{id}  partial  [..] MB, not completed\n"));
}

#[test]
fn kill_9_of_goflame_with_the_real_perf_leaves_nothing_running() {
    let project = Project::workload("spawner", &format!("{FAMILY}[record]\nengine = \"perf\"\n"));
    let run = project.goflame(["run"]).spawn();
    run.wait_for("orphan ").wait_for("grandchild ");
    run.signal(Signal::SIGKILL);
    run.finish().killed(Signal::SIGKILL);
    project.assert_nothing_runs();
}

#[test]
fn an_interrupt_reaches_the_workload_past_the_real_perf() {
    let project = Project::workload("sleeper", "[record]\nengine = \"perf\"\n");
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    run.workload();
    run.signal(Signal::SIGINT);
    run.finish()
        .code(130)
        .stderr_has("     Warning the workload was interrupted and was killed by SIGINT (2); the profile shows [..]");
    project.assert_nothing_runs();
}

#[test]
fn kill_9_of_the_supervisor_is_said_and_leaves_nothing_running() {
    let project = Project::workload("spawner", FAMILY);
    let run = recording(&project);
    run.wait_for("orphan ").wait_for("grandchild ");
    send(project.process(" __supervise "), Signal::SIGKILL);
    let run = run.finish();
    let partial = project.only_partial();
    run.code(6)
        .stderr_has("error: goflame's supervisor process was killed; the workload was stopped")
        .stderr_has(&format!("     Warning what was sampled is kept: goflame report {partial}/perf.data"));
    project.assert_nothing_runs();
    partial_is_readable(&project);
}

#[test]
fn kill_9_of_the_workload_keeps_the_run() {
    let project = Project::workload("stubborn", "");
    let run = recording(&project);
    send(run.workload(), Signal::SIGKILL);
    run.finish()
        .code(137)
        .stderr_has("     Warning the workload was killed by SIGKILL (9); the profile shows what it did until then")
        .stderr_has(&format!("    Archived {}", project.only_run()));
    assert_eq!(project.manifest()["workload"]["signal"], 9);
    project.goflame(["runs", "verify"]).run().code(0);
    project.assert_nothing_runs();
}

#[test]
fn what_outlives_the_workload_is_stopped() {
    // The orphan keeps the workload's output open; a run that waited for its end would last ten minutes.
    let project = Project::workload("spawner", "[workload]\nargs = [\"-busy\", \"200ms\", \"-linger\", \"10m\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_has("     Warning a process that the workload had started outlived it and was stopped");
    assert_eq!(project.manifest()["workload"]["outlived"], 1);
    // All four were sampled.
    for role in ["parent", "child", "grandchild", "orphan"] {
        let folded = project.read(&format!("{}/profile.folded", project.only_run()));
        assert!(String::from_utf8_lossy(&folded).contains(&format!("main.{role}Work;")), "no {role}");
    }
    project.assert_nothing_runs();
}

#[test]
fn a_helper_that_is_called_by_hand_does_nothing() {
    let project = Project::empty();
    project.goflame(["__supervise"]).run().code(1).stdout("").stderr("");
    project.goflame(["__gate", "/nonexistent", "-", "--", "/bin/true"]).run().code(127).stdout("").stderr("");
}
