//! `goflame run`: how workloads end, and where their output goes.

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::harness::{Project, send};

/// Output of a run before the output of the workload.
const BEGIN: &str = "     Locking go1[..] (goflame.lock)
    Building [..] [debug: -N -l] with go1[..]
    Checking [..] readiness checks: [..] (goflame doctor)
     Running .goflame/build/debug/[..]
";

#[test]
fn the_run_of_a_failed_workload_is_kept_and_reported() {
    let project = Project::workload("burner", "");
    // On a busy machine there may be warnings about the quality too.
    project.goflame(["run", "--", "-status", "3"]).run().code(12).stderr_in_order(&format!(
        "{BEGIN}burner: leaving with status 3 ([..])
    Profiled [..] s at 997 Hz, c[..], [..] samples, 0 lost
     Warning the workload ended with exit status 3; the profile shows the time until then
   Analysing [..] samples in [..] s
     Quality [..]: [..] of stacks complete, [..] repaired, 0 lost, [..] of CPU time seen
        Note debug builds (-N -l) cost CPU unevenly: use --release to rank hot spots
    Archived {}; `latest` is still the run before
    Finished flamegraph.svg, report.html, profile.pb.gz, profile.folded, summary.json in [..] s
       Wrote [..]/flamegraph.svg
",
        project.only_run()
    ));
    let workload = &project.manifest()["workload"];
    assert_eq!((&workload["exit_code"], &workload["ending"]), (&3.into(), &"own".into()));
    project.assert_nothing_runs();
}

#[test]
fn the_status_of_the_workload_becomes_goflames_with_a_flag() {
    let project = Project::workload("burner", "[workload]\nargs = [\"-status\", \"3\"]\n");
    project.goflame(["run", "--propagate-status"]).run().code(3);
    project.goflame(["run", "--propagate-status", "--", "-status", "77"]).run().code(77);
    project
        .goflame(["run", "--propagate-status", "--", "-status", "0"])
        .run()
        .code(0)
        .stderr_lacks("[..]Warning the work[..]");
}

#[test]
fn a_signal_that_kills_the_workload_is_named() {
    let project = Project::workload("sleeper", "");
    let run = project.goflame(["run", "--propagate-status"]).spawn();
    send(run.workload(), Signal::SIGTERM);
    run.finish()
        .code(128 + 15)
        .stderr_has("     Warning the workload was killed by SIGTERM (15); the profile shows the time until then");
    assert_eq!(project.manifest()["workload"]["signal"], 15);
}

#[test]
fn a_timeout_stops_the_workload_and_keeps_the_run() {
    let project = Project::workload("sleeper", "[workload]\ntimeout = \"1s\"\n");
    project
        .goflame(["run"])
        .run()
        .code(0)
        .stderr_has("    Stopping the workload: the timeout of 1 s was reached")
        .stderr_has(
            "     Warning the workload reached its timeout (timeout in [workload]) and was killed by SIGTERM (15); \
             the profile shows the time until then",
        )
        .stderr_has(&format!("    Archived {}", project.only_run()));
    assert_eq!(project.manifest()["workload"]["ending"], "timed-out");
    project.assert_nothing_runs();
}

#[test]
fn a_missing_directory_of_the_workload_is_an_error() {
    let project = Project::workload("printer", "[workload]\ndir = \"none\"\n");
    project.goflame(["run"]).run().code(6).stdout("").stderr(&format!(
        "{BEGIN}error: cannot run the workload in [dir]/none
  cause: No such file or directory (os error 2)
"
    ));
    // Nothing ran, so no run is kept.
    assert_eq!((project.partials(), project.names(".goflame/runs")), (vec![], vec![]));
}

#[test]
fn a_missing_input_is_an_error() {
    let project = Project::workload("printer", "[workload]\nstdin = \"none\"\n");
    project.goflame(["run"]).run().code(6).stdout("").stderr(&format!(
        "{BEGIN}error: cannot open the standard input of the workload
  cause: cannot read [dir]/none
  cause: No such file or directory (os error 2)
"
    ));
    assert_eq!((project.partials(), project.names(".goflame/runs")), (vec![], vec![]));
}

/// Before: neither two SIGINT nor SIGTERM nor the timeout ended the run.
#[test]
fn an_input_without_a_writer_delays_neither_signals_nor_the_timeout() {
    let project = Project::workload("printer", "[workload]\nstdin = \"fifo\"\n");
    mkfifo(&project.path("fifo"), Mode::S_IRWXU).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let run = project.goflame(["run"]).spawn();
        run.wait_for("Running");
        run.signal(signal);
        run.finish().code(128 + signal as i32).stderr_has("error: interrupted before the workload began");
        project.assert_nothing_runs();
    }
    project.write("goflame.toml", "app.package = \"./printer\"\n[workload]\nstdin = \"fifo\"\ntimeout = \"300ms\"\n");
    project.goflame(["run"]).run().code(6).stdout("").stderr(&format!(
        "      Pinned go1[..] (goflame.lock)
{}error: cannot open the standard input of the workload
  cause: cannot read [dir]/fifo
  cause: nothing opened it for writing within 300ms (timeout in [workload])
",
        BEGIN.split_once('\n').unwrap().1
    ));
    assert_eq!((project.partials(), project.names(".goflame/runs")), (vec![], vec![]));
}

#[test]
fn an_input_may_be_opened_for_writing_later() {
    let project =
        Project::workload("printer", "[workload]\nargs = [\"-lines\", \"0\", \"-stdin\"]\nstdin = \"fifo\"\n");
    mkfifo(&project.path("fifo"), Mode::S_IRWXU).unwrap();
    let run = project.goflame(["run"]).spawn();
    run.wait_for("Running");
    project.write("fifo", "late\n");
    let run = run.finish();
    assert!(run.code(0).stdout.starts_with("late\n"), "{}", run.stdout);
}

#[test]
fn arguments_that_are_too_long_are_an_error() {
    // Linux allows 128 KiB for one argument (MAX_ARG_STRLEN).
    let project = Project::workload("printer", &format!("[workload]\nargs = [\"{}\"]\n", "x".repeat(140_000)));
    let run = project.goflame(["run", "--quiet"]).run();
    run.code(6).stdout("").stderr(
        "error: cannot launch the workload: starting the supervisor\n  cause: Argument list too long (os error 7)\n",
    );
    project.assert_nothing_runs();
}

#[test]
fn arguments_arrive_and_output_is_shown_and_kept() {
    let project = Project::workload(
        "printer",
        "[workload]
args = [\"-lines\", \"5000\", \"-env\", \"COLOUR,EMPTY\", \"-dir\", \"-stdin\", \"two words\", \"-q\"]
env = { COLOUR = \"blue\", EMPTY = \"\" }
dir = \"below\"
stdin = \"input\"
",
    );
    let input = b"no end of line, and bytes: \xff\x00\x01";
    project.write("input", input);
    project.write("below/x", "");
    let mut out: Vec<u8> = (1..=5000).flat_map(|line| format!("out {line}\n").into_bytes()).collect();
    out.extend(b"arg two words\narg -q\nenv COLOUR=blue\nenv EMPTY=\n");
    out.extend(format!("dir {}\n", project.path("below").display()).into_bytes());
    out.extend(input);
    let err = (1..=5000).map(|line| format!("err {line}")).collect::<Vec<_>>().join("\n");

    let run = project.goflame(["run"]).run();
    run.code(0);
    let dir = project.only_run();
    assert!(project.read(&format!("{dir}/stdout.log")) == out, "stdout.log");
    assert!(project.read(&format!("{dir}/stderr.log")) == err.as_bytes(), "stderr.log");
    assert_eq!(run.stdout, String::from_utf8_lossy(&out), "the tables go to standard error");
    // The messages of goflame begin on a new line.
    assert!(run.stderr.contains(&format!("\n{err}\n    Profiled ")), "stderr: {}", run.stderr);
}

#[test]
fn arguments_after_the_dashes_replace_those_in_the_file() {
    let project = Project::workload("printer", "[workload]\nargs = [\"-lines\", \"1\", \"file\"]\n");
    let run = project.goflame(["run", "--", "-lines", "0", "--", "line", "-x"]).run();
    assert!(run.stdout.starts_with("arg line\narg -x\n"), "{}", run.stdout);
}

#[test]
fn standard_input_is_inherited() {
    let project = Project::workload("printer", "[workload]\nargs = [\"-lines\", \"0\", \"-stdin\"]\n");
    let run = project.goflame(["run"]).stdin("typed\n").run();
    assert!(run.stdout.starts_with("typed\n"), "{}", run.stdout);
}

#[test]
fn json_is_the_only_text_on_standard_output() {
    let project = Project::workload("burner", "");
    let run = project.goflame(["run", "--json"]).run();
    let summary: serde_json::Value = serde_json::from_str(&run.code(0).stdout).unwrap();
    assert_eq!((&summary["workload"]["exit_code"], &summary["workload"]["failed"]), (&0.into(), &false.into()));
    assert_eq!(summary["dir"], project.path(&project.only_run()).display().to_string());

    let project = Project::workload("printer", "");
    let run = project.goflame(["run", "--json"]).run();
    let _: serde_json::Value = serde_json::from_str(&run.code(0).stdout).unwrap();
    // Both streams are written to one pipe, so lines may be mixed.
    for part in ["out 1\n", "out 3\n", "err 1\n", "err 3"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    assert_eq!(project.read(&format!("{}/stdout.log", project.only_run())), b"out 1\nout 2\nout 3\n");
}

#[test]
fn quiet_prints_only_tables_and_errors() {
    let project = Project::workload("burner", "");
    let run = project.goflame(["run", "--quiet"]).run();
    run.code(0).stderr_in_order("burner: leaving with status 0 ([..])\n");
    // On a busy machine there may be warnings about the quality too.
    for verb in ["Building", "Checking", "Running", "Profiled", "Analysing", "Quality", "Archived", "Wrote", "Finished"]
    {
        run.stderr_lacks(&format!("{verb:>12} [..]"));
    }
    run.stdout("").stderr_has("In your code [..]");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let project = Project::workload("printer", "[workload]\nargs = [\"-lines\", \"50000\"]\n");
    let run = project.shell("$goflame run --propagate-status | head -1; exit ${PIPESTATUS[0]}").run();
    run.code(0).stdout("out 1\n").stderr_has(&format!("    Archived {}", project.only_run()));

    // The reader ends before the workload prints anything.
    let project = Project::workload("printer", "");
    project.shell("$goflame run | true; exit ${PIPESTATUS[0]}").run().code(0).stderr_has("    Archived [..]");
    assert_eq!(project.read(&format!("{}/stdout.log", project.only_run())), b"out 1\nout 2\nout 3\n");
    project.shell("$goflame report | true; exit ${PIPESTATUS[0]}").run().code(0);
    project.shell("$goflame runs list | true; exit ${PIPESTATUS[0]}").run().code(0);
    project.shell("$goflame --help | true; exit ${PIPESTATUS[0]}").run().code(0);
}

#[test]
fn a_workload_that_closes_its_output_goes_on() {
    let project = Project::program(
        "package main

import (
	\"os\"
	\"time\"
)

func main() {
	os.Stdout.WriteString(\"last words\\n\")
	os.Stdout.Close()
	os.Stderr.Close()
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
	}
	os.Exit(5)
}
",
        "",
    );
    let run = project.goflame(["run", "--propagate-status"]).run();
    run.code(5).stderr_has("    Profiled [..] samples, 0 lost");
    assert_eq!(project.read(&format!("{}/stdout.log", project.only_run())), b"last words\n");
}

// Before, the run of a failed workload ended with status 0 and became `latest`.
#[test]
fn a_failed_workload_fails_the_run_unless_its_failure_is_ignored() {
    let project = Project::workload("burner", "");
    project.goflame(["run", "--quiet"]).run().code(0);
    let good = project.only_run();
    project.goflame(["run", "--quiet", "--", "-status", "3"]).run().code(12);
    let latest = project.goflame(["report"]).run();
    latest
        .code(0)
        .stderr_has(&format!("   Analysing [..] samples of run {} in [..] s", good.rsplit('/').next().unwrap()));
    project.goflame(["report", "@1"]).run().code(10);

    project.goflame(["run", "--quiet", "--ignore-failure", "--", "-status", "3"]).run().code(0);
    let shown = project.goflame(["runs", "show", "latest", "--json"]).run();
    let manifest: serde_json::Value = serde_json::from_str(&shown.code(0).stdout).unwrap();
    assert_eq!((&manifest["workload"]["exit_code"], &manifest["workload"]["failed"]), (&3.into(), &false.into()));
}

// Before, such a run ended with tables of zeros.
#[test]
fn a_run_with_few_samples_says_why_and_shows_no_tables() {
    let project = Project::workload("printer", "[record]\nfrequency = 1\n");
    let run = project.goflame(["run"]).run();
    run.code(0).stdout("out 1\nout 2\nout 3\n").stderr_has(
        "     Warning 0 samples: too few for tables; the workload used [..] s of CPU in [..] s, and its last line on stderr was: err 3",
    );
    run.stderr_has("    Finished flamegraph.svg[..]").stderr_lacks("     Quality [..]");
    // The usage of the program follows its error.
    project.goflame(["run", "--ignore-failure", "--", "-unknown"]).run().code(0).stderr_has(
        "     Warning 0 samples: too few for tables; the workload used [..] s of CPU in [..] s, and said on stderr: flag provided but not defined: -unknown",
    );
    let report = project.goflame(["report"]).run();
    report
        .code(0)
        .stdout("no samples\n")
        .stderr_has("     Quality poor: no samples")
        .stderr_lacks("     Warning no samples");
}

/// Before, the last line named the formats, and no flag opened the picture.
#[test]
fn the_picture_is_the_last_line_and_opens_on_request() {
    let project = Project::workload("burner", "");
    project.write("bin/browse", "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$OPENED\"\n");
    project.shell("chmod +x bin/browse").run().code(0);
    let run = |flags: &str, browser: &str| {
        let line = format!("OPENED=$PWD/opened BROWSER={browser} PATH=$PWD/bin:$PATH $goflame run {flags}");
        let run = project.shell(&line).run();
        run.code(0);
        run.stderr.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = run("--open", "'browse --new:other'");
    let picture = lines.last().unwrap().strip_prefix("       Wrote ").unwrap();
    assert!(picture.starts_with(".goflame/runs/") && picture.ends_with("/flamegraph.svg"), "{lines:?}");
    let opened = String::from_utf8(project.read("opened")).unwrap();
    assert_eq!(opened, format!("--new\n{}\n", project.path(picture).canonicalize().unwrap().display()));

    project.shell("rm opened").run().code(0);
    for flags in ["", "--open --no-open"] {
        assert!(run(flags, "browse").last().unwrap().starts_with("       Wrote "), "{flags}");
    }
    assert!(!project.path("opened").exists());

    let refused = run("--open", "no-such-browser");
    let warning = "     Warning cannot open the flame graph: `no-such-browser` was not found on PATH; set BROWSER to the \
                   command of a browser";
    assert_eq!(refused.last().unwrap(), warning);
    let without = run("--open -f json", "browse");
    assert!(without.last().unwrap().contains("there is no flame graph to open"), "{without:?}");
}

/// Before, one sample of a few dozen was `2.7 %` of the time and `1.00 ms`.
#[test]
fn shares_of_few_samples_have_no_decimals() {
    let project = Project::workload("burner", "");
    project.goflame(["run", "-F", "199"]).run().code(0);
    let svg = String::from_utf8(project.read(&format!("{}/flamegraph.svg", project.only_run()))).unwrap();
    let table = project.goflame(["report"]).run();
    let shares = |text: &str| {
        let parts: Vec<_> = text.split(" %").map(str::to_owned).collect();
        let last_word = |part: &String| part.rsplit([' ', '(', '>', '\n']).next().unwrap().to_owned();
        parts[..parts.len() - 1].iter().map(last_word).collect::<Vec<_>>()
    };
    let frames = svg.split_once("<g id=\"legend\">").unwrap().1.split_once("<script>").unwrap().0;
    for text in [&table.code(0).stdout, &table.stderr, frames] {
        let shares = shares(text);
        assert!(!shares.is_empty() && shares.iter().all(|share| !share.contains('.')), "{shares:?}");
    }
}
