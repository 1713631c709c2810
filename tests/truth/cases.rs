//! The small programs in tests/workloads/cases. Each has a kind of code that profilers often show wrongly. In the comments,
//! "Before" says what an older goflame showed.

use std::fs;

use goflame::workload::ControlGroup;

use crate::harness::{Project, Run, percent, print_figure, text, tool, wait_for_turn};

/// Runs a release build of a case.
fn run_case(case: &str) -> (Project, Run) {
    let project = Project::copy_of(&format!("tests/workloads/cases/{case}"));
    let run = project.run(&["--release", "--event", "cpu-clock"]);
    (project, run)
}

fn folded(run: &Run) -> String {
    fs::read_to_string(run.file("profile.folded")).unwrap()
}

/// Folded stacks of the latest run, grouped by a property: the root of each stack is the goroutine's id or entry.
fn folded_by(project: &Project, by: &str) -> String {
    text(project.goflame().args(["report", "latest", "-f", "folded", "--by", by]))
}

/// The share of the samples whose folded stack contains all of these texts, in percent.
fn share(folded: &str, parts: &[&str]) -> f64 {
    let (mut with, mut all) = (0, 0);
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        all += count;
        with += count * u64::from(parts.iter().all(|part| stack.contains(part)));
    }
    percent(with, all)
}

/// Fails if more than 1 % of user stacks have no root, or more than 0.5 % of user frames have no name.
fn assert_complete(case: &str, run: &Run) {
    let rooted = percent(run.quality("rooted_stacks"), run.quality("user_stacks"));
    let nameless = percent(run.quality("unnamed_user_frames"), run.quality("user_frames"));
    print_figure(&format!("{case}: {rooted:.1} % complete, {nameless:.2} % of frames nameless"));
    assert!(rooted >= 99.0 && nameless <= 0.5, "{case}: {rooted} % complete, {nameless} % nameless");
}

/// Before: 99.3 % of the samples belonged to "goroutine 424242", which is data in the register R14.
#[test]
fn data_in_the_goroutine_register_is_not_taken_for_a_goroutine() {
    let _alone = wait_for_turn();
    let (project, run) = run_case("r14");
    assert_complete("r14", &run);
    let goroutines = folded_by(&project, "goroutine");
    assert!(!goroutines.contains("424242"), "{goroutines}");
    let known = share(&folded_by(&project, "entry"), &["main.work;", "main.spin"]);
    print_figure(&format!("r14: {known:.1} % of samples in the two goroutines"));
    assert!(known > 95.0, "{known} % of samples have their goroutine");
    assert!(run.quality("foreign_goroutine_registers") > run.quality("samples") / 2);
}

/// Before: 5,000 threads with 1.47 s of CPU time had 1 sample, and 1,500 processes had samples for 2.8 % of their CPU time.
#[test]
fn threads_and_processes_of_less_than_a_period_are_sampled() {
    let _alone = wait_for_turn();
    for case in ["threads", "shortproc"] {
        let (_project, run) = run_case(case);
        let cpu = &run.summary()["quality"]["figures"]["cpu"];
        let seen = cpu["sampled_seconds"].as_f64().unwrap() / cpu["used_seconds"].as_f64().unwrap();
        print_figure(&format!("{case}: {:.1} % of CPU time seen", seen * 100.0));
        if ControlGroup::create().is_ok() {
            // At least 90 % on a quiet machine. A busy machine switches more often, and the time of a switch is not sampled.
            assert!((0.8..1.1).contains(&seen), "{case}: {seen}");
        } else {
            assert!(run.stderr.contains("has no sample, because each has an event of its own"), "{}", run.stderr);
        }
    }
}

/// Before: 98 % of the frames had no name, and the advice was to raise an unrelated sysctl.
#[test]
fn a_callchain_ends_where_frame_pointers_lead_to_themselves() {
    let _alone = wait_for_turn();
    let (_project, run) = run_case("clone");
    let nameless = percent(run.quality("unnamed_user_frames"), run.quality("user_frames"));
    print_figure(&format!("clone: {nameless:.2} % of frames nameless"));
    assert!(nameless <= 2.0, "{nameless} % of frames have no name");
    assert!(!run.stderr.contains("perf_event_max_stack"), "{}", run.stderr);
}

/// Before: 46 % of the frames had no name, and 79 % of the stacks had no root.
#[test]
fn a_child_that_is_deleted_after_its_end_has_names() {
    let _alone = wait_for_turn();
    let (project, run) = run_case("children");
    assert_complete("children", &run);
    assert!(share(&folded(&run), &["runtime.main;main.main;main.burnInChild"]) > 10.0, "{}", folded(&run));
    assert_eq!(project.report(&run.dir, "folded"), folded(&run));
}

/// Before: after the plugin was moved, `goflame report` showed `[plug.so]` in place of names.
#[test]
fn a_plugin_that_is_moved_or_replaced_keeps_its_names() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("tests/workloads/cases/plugin");
    let build = |dir: &str, file: &str| {
        let mut build = tool("go");
        build.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-compressdwarf=false", "-buildmode=plugin"]);
        build.env("CGO_CFLAGS", "-O2 -g -fno-omit-frame-pointer");
        text(build.args(["-o", file, dir]).current_dir(project.path("")));
    };
    build("./plug", "plug.so");
    let run = project.run(&["--release"]);
    assert!(share(&folded(&run), &[".Work;", ".inner"]) > 80.0, "{}\n{}", run.stderr, folded(&run));
    build("./plugb", "plug.so");
    assert_eq!(project.report(&run.dir, "folded"), folded(&run), "another plugin is at the path");
    fs::remove_file(project.path("plug.so")).unwrap();
    assert_eq!(project.report(&run.dir, "folded"), folded(&run));
}

/// The second loop runs three times as long as the first. Before: both loops were shown as `[anon]`.
#[test]
fn code_made_at_run_time_has_the_names_of_its_perf_map() {
    let _alone = wait_for_turn();
    let (_project, run) = run_case("jit");
    assert_complete("jit", &run);
    let of = |name| share(&folded(&run), &["runtime.main;main.main;main.run;main.call;", name]);
    let (short, long) = (of("jit_short_loop"), of("jit_long_loop"));
    print_figure(&format!("jit: {short:.1} % and {long:.1} %"));
    assert!((short - 25.0).abs() < 4.0 && (long - 75.0).abs() < 4.0, "{short} % and {long} %");
    let mut archived = fs::read_dir(run.file("symbols")).unwrap().map(|file| file.unwrap().file_name());
    assert!(archived.any(|name| name.to_string_lossy().ends_with(".map")), "the perf map is archived");
}

/// Before: the callers of a promoted method included `main.(*outer).Get`, which has no source line.
#[test]
fn a_wrapper_made_by_the_compiler_is_not_shown() {
    let _alone = wait_for_turn();
    let (_project, run) = run_case("wrapper");
    assert_complete("wrapper", &run);
    assert!(!folded(&run).contains("main.(*outer).Get"), "{}", folded(&run));
    assert!(share(&folded(&run), &["main.main;main.total"]) > 50.0, "{}", folded(&run));
}

/// Before: the entry of every `go f(args)` was missing, because the compiler wraps the call in another function.
#[test]
fn the_entry_is_the_function_in_the_go_statement_with_arguments() {
    let _alone = wait_for_turn();
    let (project, run) = run_case("entry");
    assert_complete("entry", &run);
    let known = share(&folded_by(&project, "entry"), &["main.work;runtime.goexit;main.work"]);
    assert!(known > 95.0, "{known} %\n{}", folded_by(&project, "entry"));
}

/// One caller needs twice as much time as the other. Before: in a build with default settings, C code had no callers.
#[test]
fn c_code_has_its_callers_by_default() {
    let _alone = wait_for_turn();
    let (_project, run) = run_case("cgofp");
    assert_complete("cgofp", &run);
    let of = |caller| share(&folded(&run), &["runtime.main;main.main;", caller, ";churn"]);
    let (one, two) = (of("main.callerOne;"), of("main.callerTwo;"));
    print_figure(&format!("cgofp: {one:.1} % and {two:.1} %"));
    assert!((one - 66.7).abs() < 4.0 && (two - 33.3).abs() < 4.0, "{one} % and {two} %");
}
