//! Signals: to goflame, to its helpers, to the workload, to a build. No process may keep running, the samples are kept, and
//! no file stays in the temporary directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Finished, Project, Running, send, wait_until};

/// Computes in several processes for far longer than any test takes. One of them is in another session.
const FAMILY: &str = "[workload]\nargs = [\"-busy\", \"10m\", \"-linger\", \"10m\"]\n";

/// Starts `goflame run`. Waits until the workload runs and some samples are on the disk.
#[track_caller]
fn start_recording(project: &Project) -> Running<'_> {
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    run.wait_for_samples();
    run
}

/// Asserts that the only run was not completed, but that its samples can be rendered.
#[track_caller]
fn assert_partial_is_readable(project: &Project) -> Finished<'_> {
    let partial = project.only_partial();
    assert_eq!(project.names(".goflame/runs"), Vec::<String>::new());
    let report = project.goflame(["report"]).arg(project.path(&format!("{partial}/perf.data"))).run();
    report.code(0);
    assert!(report.stdout.contains("Hottest functions"), "{}", report.stdout);
    assert!(report.stdout.contains("main."), "{}", report.stdout);
    report
}

/// A script starts `goflame run &` with SIGINT ignored. Before: goflame and the workload ignored `kill -INT`, so that the
/// recording did not end.
#[test]
fn an_interrupt_ends_a_run_in_the_background_of_a_script() {
    let project = Project::program("package main\n\nfunc main() {\n\tfor {\n\t}\n}\n", "");
    let run = project.shell("trap '' INT; exec $goflame run --propagate-status").spawn();
    run.wait_for_samples().signal(Signal::SIGINT);
    run.finish().code(130).stderr_has("    Stopping the workload; interrupt again to leave at once");
    let manifest = project.manifest();
    assert_eq!(manifest["workload"]["ending"], "interrupted");
    assert_eq!(manifest["workload"]["signal"], Signal::SIGINT as i32, "it starts with the default action");
    project.assert_nothing_runs();
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

/// Before: status 0.
#[test]
fn an_interrupted_run_ends_with_128_and_the_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let project = Project::workload("sleeper", "");
        let run = project.goflame(["run"]).spawn();
        run.workload();
        run.signal(signal);
        let archived = run.finish();
        archived.code(128 + signal as i32).stderr_has(&format!("    Archived {}", project.only_run()));
        assert_eq!(project.manifest()["workload"]["ending"], "interrupted");
    }
}

/// The workload exits with 0 on a signal, as servers do. Before: status 0.
#[test]
fn an_interrupted_run_fails_even_if_the_workload_succeeds() {
    let project = Project::program(
        "package main

import (
	\"fmt\"
	\"os\"
	\"os/signal\"
)

func main() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	fmt.Println(\"ready\", os.Getpid())
	<-interrupts
}
",
        "",
    );
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    run.workload();
    run.signal(Signal::SIGINT);
    run.finish().code(130);
    assert_eq!(project.manifest()["workload"]["exit_code"], 0);
}

#[test]
fn a_second_interrupt_ends_goflame_at_once() {
    let project = Project::workload("stubborn", "[workload]\nargs = [\"-duration\", \"10m\"]\n");
    let run = start_recording(&project);
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
     Warning what was sampled is kept, and may hold parts of the program's memory: `goflame report {partial}/perf.data`
error: interrupted twice: the workload was killed, and nothing was analysed
"
    ));
    project.assert_nothing_runs();
    assert_partial_is_readable(&project);
}

#[test]
fn kill_9_of_goflame_leaves_nothing_running() {
    let project = Project::workload("spawner", FAMILY);
    let run = start_recording(&project);
    run.wait_for("orphan ").wait_for("grandchild ");
    run.signal(Signal::SIGKILL);
    run.finish().killed(Signal::SIGKILL);
    project.assert_nothing_runs();

    let report = assert_partial_is_readable(&project);
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
        .stdout(&format!("RUN [..]\n{}  20[..]  not completed  [..] MB\n", &id[id.len() - 4..]));
}

/// Like a finished CI job or a closed container session. Before: the orphan, in another session, kept running (12 of 13).
#[test]
fn kill_9_of_the_process_group_leaves_nothing_running() {
    for engine in ["native", "perf"] {
        let project = Project::workload("spawner", &format!("{FAMILY}[record]\nengine = \"{engine}\"\n"));
        let run = project.goflame(["run"]).spawn();
        run.wait_for("orphan ").wait_for("grandchild ");
        let goflame = run.pid();
        run.signal_group(Signal::SIGKILL);
        run.finish().killed(Signal::SIGKILL);
        project.assert_nothing_runs();
        assert_no_control_group(goflame);
    }
}

/// Asserts that no control group of a run of goflame exists.
fn assert_no_control_group(goflame: i32) {
    fn find(dir: &Path, name: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        dirs.find_map(|entry| if entry.file_name() == name { Some(entry.path()) } else { find(&entry.path(), name) })
    }
    assert_eq!(find(Path::new("/sys/fs/cgroup"), &format!("goflame-{goflame}")), None);
}

#[test]
fn the_workload_is_stopped_and_continued_with_the_job() {
    let project = Project::workload("sleeper", "");
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    let workload = run.workload();
    let is_stopped = || {
        let stat = fs::read_to_string(format!("/proc/{workload}/stat")).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
    };
    run.signal_group(Signal::SIGTSTP);
    wait_until(is_stopped).expect("stopped with the group");
    run.signal_group(Signal::SIGCONT);
    wait_until(|| !is_stopped()).expect("continued with the group");
    send(workload, Signal::SIGTERM);
    run.finish().code(128 + 15);
    project.assert_nothing_runs();
}

/// Before: the recording stopped while the pipe was full, and ignored signals and the timeout.
#[test]
fn a_reader_that_stops_reading_delays_neither_signals_nor_the_timeout() {
    let talker = "package main

import (
	\"os\"
	\"strings\"
)

func main() {
	os.WriteFile(\"talking\", nil, 0o666)
	for line := strings.Repeat(\"x\", 99) + \"\\n\"; ; {
		os.Stdout.WriteString(line)
	}
}
";
    // The reader exists but reads nothing. The workload is the process whose command line ends with its path.
    let script = "mkfifo pipe; sleep 600 <pipe & reader=$!
         $goflame run >pipe & run=$!
         until [ -e talking ]; do sleep 0.05; done; sleep 0.5
         SIGNAL
         while pgrep -f \"^$PWD/.goflame/build/debug/program\" >&2; do sleep 0.05; done
         while kill -TERM $run; do sleep 0.1; done
         wait $run; status=$?; kill $reader; exit $status";
    for (settings, signal) in [("", "kill -TERM $run"), ("[workload]\ntimeout = \"1s\"\n", ":")] {
        let project = Project::program(talker, settings);
        let run = project.shell(&script.replace("SIGNAL", signal)).run();
        run.code(128 + 15);
        project.assert_nothing_runs();
    }
}

/// A build that waits in the compiler, which has started a process in another session.
struct WaitingBuild {
    project: Project,
    /// The temporary directory. Not in the project, which a verification copies.
    temporary: Project,
}

impl WaitingBuild {
    fn new() -> Self {
        let (project, temporary) = (Project::program("package main\n\nfunc main() {}\n", ""), Project::empty());
        let dir = project.path("").display().to_string();
        let tool = format!(
            "#!/bin/sh
case \"$*\" in *-V=full*) exec \"$@\" ;; esac
stat -c %a \"$TMPDIR\" \"$BASE\"/* >>{dir}modes
setsid sleep 600 &
echo x >>{dir}waiting
sleep 600
"
        );
        project.write("tool", tool);
        fs::set_permissions(project.path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let env = format!("env = {{ GOFLAGS = \"-a -toolexec={dir}tool\" }}");
        project.write("goflame.toml", format!("app.name = \"program\"\n[variant.debug]\n{env}\n"));
        Self { project, temporary }
    }

    /// Starts `goflame` with these arguments. Waits until the compiler waits.
    #[track_caller]
    fn start<const N: usize>(&self, args: [&str; N]) -> Running<'_> {
        let _ = fs::remove_file(self.project.path("waiting"));
        let place = self.temporary.path("");
        // The umask of some containers: no directory may depend on it.
        let goflame = self.project.shell(&format!("umask 000; exec $goflame {}", args.join(" ")));
        let run = goflame.env("TMPDIR", &place).env("BASE", &place).spawn();
        wait_until(|| self.project.path("waiting").exists()).expect("a compiler");
        run
    }

    /// Asserts that nothing runs any more, and waits until the temporary directory is empty.
    #[track_caller]
    fn assert_nothing_is_left(&self) {
        self.project.assert_nothing_runs();
        self.temporary.assert_empties("");
    }

    /// Asserts that `command`, ended by `signal`, leaves nothing behind at its end.
    #[track_caller]
    fn assert_ends_by(&self, command: &str, signal: Signal) {
        let run = self.start([command]);
        run.signal(signal);
        let run = run.finish();
        assert_eq!(self.temporary.names(""), [""; 0]);
        run.code(128 + signal as i32).stderr_has("error: interrupted: stopped `go build`; nothing was archived");
        self.assert_nothing_is_left();
    }

    /// Asserts that `kill -9`, of goflame and of its process group, leaves nothing behind.
    #[track_caller]
    fn assert_ends_by_kill_9(&self, command: &str) {
        let run = self.start([command]);
        run.signal(Signal::SIGKILL);
        run.finish().killed(Signal::SIGKILL);
        self.assert_nothing_is_left();
        let run = self.start([command]);
        run.signal_group(Signal::SIGKILL);
        run.finish().killed(Signal::SIGKILL);
        self.assert_nothing_is_left();
    }
}

/// Before: `go build` and the compilers kept running (18 of 18), and their files stayed in the temporary directory.
#[test]
fn a_signal_ends_a_build_with_all_its_compilers() {
    let build = WaitingBuild::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        build.assert_ends_by("build", signal);
        build.assert_ends_by("run", signal);
    }
    let modes = String::from_utf8(build.project.read("modes")).unwrap();
    assert!(modes.lines().all(|mode| mode == "700"), "{modes}");
}

/// Like a Go that downloads a toolchain. Before: `go` kept running.
#[test]
fn a_signal_ends_programs_that_a_command_asks() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    project.write("bin/go", "#!/bin/sh\nsetsid sleep 600 &\ntouch \"$HERE/waiting\"\nsleep 600\n");
    fs::set_permissions(project.path("bin/go"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    for command in ["doctor", "init", "build"] {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let _ = fs::remove_file(project.path("waiting"));
            let goflame = project.goflame([command]).env("PATH", &path).env("HERE", project.path(""));
            let run = if command == "init" { goflame.arg("--force") } else { goflame }.spawn();
            wait_until(|| project.path("waiting").exists()).expect("a go command");
            run.signal(signal);
            run.finish().killed(signal);
            project.assert_nothing_runs();
        }
    }
}

#[test]
fn a_second_signal_kills_a_build_that_ignores_the_first() {
    let build = WaitingBuild::new();
    let tool = String::from_utf8(build.project.read("tool")).unwrap();
    build.project.write("tool", tool.replace("setsid", "trap '' INT\nsetsid"));
    let run = build.start(["build"]);
    run.signal(Signal::SIGINT);
    // The pause is necessary: two pending signals of the same kind count as one.
    thread::sleep(Duration::from_millis(300));
    run.signal(Signal::SIGINT);
    run.finish().code(130);
    build.assert_nothing_is_left();
}

/// Before: `go build` and the compilers kept running.
#[test]
fn kill_9_of_goflame_ends_a_build_with_all_its_compilers() {
    WaitingBuild::new().assert_ends_by_kill_9("build");
}

/// Before: `goflame-verify-*` stayed in the temporary directory (6 of 6).
#[test]
fn a_verification_that_is_stopped_leaves_no_copy() {
    let build = WaitingBuild::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        build.assert_ends_by("build --verify", signal);
    }
    build.assert_ends_by_kill_9("build --verify");
    let modes = String::from_utf8(build.project.read("modes")).unwrap();
    assert!(modes.lines().all(|mode| mode == "700"), "{modes}");
}

/// Kills at a few of the hundreds of moments that tests/campaigns/kills tries.
#[test]
fn whenever_it_is_killed_nothing_is_left_and_no_run_is_damaged() {
    let (project, temporary) = (Project::workload("spawner", FAMILY), Project::empty());
    let ends = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT];
    for (turn, signal) in ends.into_iter().chain(ends).enumerate() {
        for args in [["run", "--release"], ["build", "--verify"]] {
            let run = project.goflame(args).env("TMPDIR", temporary.path("")).spawn();
            thread::sleep(Duration::from_millis(turn as u64 * 170));
            if turn % 4 == 2 {
                run.signal_group(signal)
            } else {
                run.signal(signal)
            };
            run.finish();
            project.assert_nothing_runs();
            temporary.assert_empties("");
        }
    }
    for run in project.names(".goflame/runs") {
        project.goflame(["runs", "verify"]).arg(run).run().code(0);
    }
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
fn kill_9_of_the_supervisor_is_reported_and_leaves_nothing_running() {
    let project = Project::workload("spawner", FAMILY);
    let run = start_recording(&project);
    run.wait_for("orphan ").wait_for("grandchild ");
    send(project.wait_for_process(" __supervise "), Signal::SIGKILL);
    let goflame = run.pid();
    let run = run.finish();
    assert_no_control_group(goflame);
    let partial = project.only_partial();
    run.code(6)
        .stderr_has("error: goflame's supervisor process was killed; the workload was stopped")
        .stderr_has(&format!("     Warning what was sampled is kept, and may hold parts of the program's memory: `goflame report {partial}/perf.data`"));
    project.assert_nothing_runs();
    assert_partial_is_readable(&project);
}

#[test]
fn kill_9_of_the_workload_keeps_the_run() {
    let project = Project::workload("stubborn", "");
    let run = start_recording(&project);
    send(run.workload(), Signal::SIGKILL);
    run.finish()
        .code(137)
        .stderr_has("     Warning the workload was killed by SIGKILL (9); the profile shows the time until then")
        .stderr_has(&format!("    Archived {}; `latest` is still the run before", project.only_run()));
    assert_eq!(project.manifest()["workload"]["signal"], 9);
    let run = project.only_run();
    project.goflame(["runs", "verify", run.rsplit('/').next().unwrap()]).run().code(0);
    project.assert_nothing_runs();
}

#[test]
fn processes_that_outlive_the_workload_are_stopped() {
    // The orphan keeps the workload's output open: a run that waited for it would take ten minutes.
    let project = Project::workload("spawner", "[workload]\nargs = [\"-busy\", \"200ms\", \"-linger\", \"10m\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_has("     Warning a process that the workload had started outlived it and was stopped");
    assert_eq!(project.manifest()["workload"]["outlived"], 1);
    // All four processes were sampled.
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
    project.goflame(["__gate", "-", "--", "/bin/true"]).run().code(127).stdout("").stderr("");
    project.goflame(["__guard", "TMPDIR", "--", "/bin/true"]).run().code(1).stdout("").stderr("");
    project.goflame(["__keep", "goflame-"]).run().code(1).stdout("").stderr("");
}
