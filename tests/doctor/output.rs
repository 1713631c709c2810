//! The output of `goflame doctor`, and the selection of checks.

use std::time::{Duration, Instant};

use crate::harness::{Doctor, Machine, Project, ROOT, Ran, USER, print_figure};

#[test]
fn doctor_is_fast_without_project_go_and_privileges() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2");
    let project = Project::empty();
    let ask = || {
        let mut command = project.command(USER, &["doctor", "--json", "--skip", SAMPLED]);
        command.env("PATH", project.path(""));
        let started = Instant::now();
        (command.output().unwrap(), started.elapsed())
    };
    // The fastest of five runs counts, because other programs use the machine too.
    let (output, fastest) = (0..5).map(|_| ask()).min_by_key(|(_, time)| *time).unwrap();
    print_figure(&format!("doctor without the live trial: {:.0} ms", fastest.as_secs_f64() * 1000.0));
    assert!(fastest < Duration::from_millis(200), "{fastest:?}");
    let doctor = Doctor::parse(&Ran::new(output));
    assert_eq!(doctor.status("go-found"), "warning");
    assert_eq!(doctor.code, 0, "a binary can still be profiled: {:#}", doctor.json);
}

/// Ids of the checks that sample goflame itself.
const SAMPLED: &str = "user-stacks,kernel-stacks,user-registers,stack-copy,context-switches,short-lives";

#[test]
fn the_table_fits_80_columns_and_lists_repairs() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2").set("kptr_restrict", "0");
    let project = Project::busy("");
    let plain = project.goflame(USER, &["doctor"]).ends_with(0).stdout;
    assert!(!plain.contains('\u{1b}'), "no colour on a pipe: {plain}");
    for line in plain.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(plain.starts_with("Ready: "), "{plain}");
    for part in [
        "\nKernel and rights: ",
        "  warning  perf-event-paranoid ",
        "\n           needed: 1 or lower, or CAP_PERFMON (user and kernel stacks), for user\n",
        "\nTo repair\n",
        "\n  # perf-event-paranoid\n  sudo sysctl -w kernel.perf_event_paranoid=1\n",
        "\n  sudo \"$(command -v goflame)\" doctor --fix --persist\n",
        "\n`goflame doctor -v` shows every check, `--explain ID` explains one\n",
    ] {
        assert!(plain.contains(part), "{part:?} in\n{plain}");
    }
    let colored = project.goflame(USER, &["doctor", "--color", "always"]).stdout;
    assert!(colored.contains("\u{1b}[1m\u{1b}[33mwarning\u{1b}[0m"), "{colored}");
    let strict = project.goflame(USER, &["doctor", "--strict"]).ends_with(4).stdout;
    assert!(strict.starts_with("Not ready: "), "{strict}");
}

// An earlier version printed 60 rows before the verdict.
#[test]
fn a_check_without_problems_has_a_line_only_on_request() {
    let _machine = Machine::lock();
    let project = Project::busy("");
    let groups = project.goflame(ROOT, &["doctor"]).stdout;
    assert!(groups.contains("\nSampling: ") && !groups.contains("live-probe"), "{groups}");
    let verbose = project.goflame(ROOT, &["doctor", "-v"]).stdout;
    assert!(verbose.contains("\nSampling\n") && verbose.contains("\n  ok       live-probe "), "{verbose}");
    let selected = project.goflame(ROOT, &["doctor", "--only", "sampling,btf"]).stdout;
    for id in ["live-probe", "pmu", "btf"] {
        assert!(selected.contains(&format!("  {id} ")), "{selected}");
    }
    assert!(!selected.contains("sample-rate") && !selected.contains("doctor -v"), "{selected}");
}

// An earlier version said "Ready".
#[test]
fn skipped_checks_alone_do_not_say_ready() {
    let _machine = Machine::lock();
    let nothing = Project::empty().goflame(ROOT, &["doctor", "--only", "binary"]).ends_with(0).stdout;
    assert!(nothing.starts_with("Nothing checked: "), "{nothing}");
}

#[test]
fn checks_are_selected_by_id() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2");
    let project = Project::busy("doctor.ignore = ['perf-event-paranoid']\n");
    let ids = |args: &[&str]| {
        let doctor = project.doctor(USER, args);
        let findings = doctor.json["findings"].as_array().unwrap().clone();
        findings.iter().map(|it| format!("{} {}", it["id"], it["status"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--only", "sample-rate,lockdown"]), ["sample-rate ok", "lockdown ok"]);
    let ignored = "perf-event-paranoid skipped";
    assert_eq!(ids(&["--only", "perf-event-paranoid", "--only", "btf", "--skip", "btf"]), [ignored, "btf skipped"]);
    let strict = project.doctor(USER, &["--strict", "--only", "perf-event-paranoid"]);
    assert_eq!(strict.code, 0, "ignored checks do not count: {:#}", strict.json);
    for flag in ["--only", "--skip"] {
        let wrong = project.goflame(ROOT, &["doctor", flag, "perf-paranoid"]).ends_with(2);
        let words = "there is no check `perf-paranoid`; did you mean `perf-event-paranoid`?";
        assert!(wrong.stderr.contains(words), "{}", wrong.stderr);
    }
}

#[test]
fn contradictory_flags_are_refused() {
    let _machine = Machine::lock();
    let project = Project::empty();
    for flags in [
        &["--persist"][..],
        &["--fix", "--print-script"],
        &["--fix", "--undo"],
        &["--undo", "--only", "swap"],
        &["--print-script", "--json"],
    ] {
        let args: Vec<&str> = ["doctor"].iter().chain(flags).copied().collect();
        project.goflame(ROOT, &args).ends_with(2);
    }
}

#[test]
fn flags_in_goflags_are_judged() {
    let _machine = Machine::lock();
    let project = Project::busy("[variant.release]\nldflags = ''\n");
    let mut doctor = project.command(ROOT, &["doctor", "--json"]);
    doctor.env("GOFLAGS", "-ldflags=-s");
    let doctor = Doctor::parse(&Ran::new(doctor.output().unwrap()));
    assert_eq!(doctor.with_status("failure"), ["goflags"], "{:#}", doctor.json);
    let mut run = project.command(ROOT, &["run"]);
    let run = Ran::new(run.env("GOFLAGS", "-ldflags=-s").output().unwrap()).ends_with(4);
    assert!(run.stderr.contains("not ready: goflags: -ldflags=-s"), "{}", run.stderr);
}

#[test]
fn a_strict_run_stops_at_a_warning_and_shows_the_repair() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2");
    let project = Project::busy("doctor.strict = true\n");
    let run = project.goflame(USER, &["run"]).ends_with(4);
    for line in [
        "error: not ready: perf-event-paranoid: 2 (own processes, user space only)\n",
        "   help: run `sudo sysctl -w kernel.perf_event_paranoid=1`\n",
    ] {
        assert!(run.stderr.contains(line), "{line:?} in\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("Building"), "{}", run.stderr);
}

/// In an earlier version, an unprivileged run with `--kernel yes` also blamed a security module, and a run without
/// kernel stacks reported them as missing three times.
#[test]
fn missing_kernel_stacks_are_reported_once_with_their_command() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2").set("kptr_restrict", "0");
    let project = Project::busy("");
    let repair = "run `sudo sysctl -w kernel.perf_event_paranoid=1`";
    let run = project.goflame(USER, &["run"]).ends_with(0);
    let told: Vec<_> = run.stderr.lines().filter(|line| line.contains("kernel")).collect();
    assert!(told.len() == 1 && told[0].ends_with(repair), "{}", run.stderr);
    assert!(project.goflame(USER, &["report"]).stderr.contains("kernel time is missing"), "a report says it again");
    let demanded = project.goflame(USER, &["run", "--kernel", "yes"]).ends_with(4);
    assert_eq!(demanded.stderr.matches("error: ").count(), 1, "{}", demanded.stderr);
    assert!(demanded.stderr.contains(repair) && !demanded.stderr.contains("SELinux"), "{}", demanded.stderr);
    let doctor = project.doctor(USER, &[]);
    assert_eq!(doctor.with_status("failure"), [""; 0]);
    project.write("goflame.toml", "app.name = 'busy'\nrecord.kernel = 'yes'\n");
    let doctor = project.doctor(USER, &[]);
    assert_eq!(doctor.with_status("failure"), ["perf-event-paranoid"]);
    assert_eq!(doctor.finding("live-probe")["found"], "no event opens: see perf-event-paranoid");
    // If the user ignores the check of the cause, the refusal is still reported.
    let ignored = project.doctor(USER, &["--skip", "perf-event-paranoid"]);
    assert_eq!(ignored.with_status("failure"), ["live-probe"]);
}

#[test]
fn a_run_on_a_machine_without_problems_prints_one_line_about_checks() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2").set("kptr_restrict", "0");
    let project = Project::busy("");
    let run = project.goflame(ROOT, &["run"]).ends_with(0);
    let lines: Vec<_> = run.stderr.lines().filter(|line| line.contains("readiness checks")).collect();
    assert_eq!(lines.len(), 1, "{}", run.stderr);
    assert!(!run.stderr.contains("Warning"), "{}", run.stderr);
    // Doctor judges the binary that the run built.
    let doctor = project.doctor(ROOT, &[]);
    assert_eq!(doctor.finding("binary-as-asked")["found"], "as asked");
}
