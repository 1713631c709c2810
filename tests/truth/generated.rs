//! Generated code: named by perf maps and jitdumps, and shown without a name if no file names it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Project, Run, percent, print_figure, run_successfully, text, tool, wait_for_turn};

/// A project with tests/workloads/jitcode, which runs in this mode.
fn jitcode(mode: &str) -> Project {
    let settings = format!("[app]\npackage = '.'\nname = 'jitcode'\n\n[workload]\nargs = ['{mode}']\n");
    Project::from_workload("jitcode", &settings)
}

/// A project with tests/workloads/jitc, and the compiled program.
fn jitc() -> (Project, PathBuf) {
    let project = Project::copy_of("tests/workloads/jitc");
    let program = project.path("jitc");
    text(tool("cc").args(["-O1", "-o"]).arg(&program).arg(project.path("jitc.c")));
    (project, program)
}

/// Number of samples whose stack contains the function `name`, and number of all samples. On a busy machine, the leaf can be
/// an interrupt in the kernel.
fn sample_counts(folded: &str, name: &str) -> (u64, u64) {
    let (mut with_name, mut all) = (0, 0);
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        all += count;
        if stack.split(';').any(|frame| frame == name) {
            with_name += count;
        }
    }
    (with_name, all)
}

fn share(folded: &str, name: &str) -> f64 {
    let (with_name, all) = sample_counts(folded, name);
    percent(with_name, all)
}

/// Folded stacks of a run, from a new analysis after the code files of the workload are deleted.
fn folded_without_code_files(project: &Project, run: &Run) -> String {
    for entry in fs::read_dir(run.file("symbols")).unwrap() {
        let name = entry.unwrap().file_name();
        for dir in [Path::new("/tmp"), &project.path("")] {
            let _ = fs::remove_file(dir.join(&name));
        }
    }
    project.report(&run.dir, "folded")
}

/// Shown name of the inner function in the mode "map".
const INNER: &str = "made inner:1\u{fffd}[31m";
/// Shown name of the outer function in the mode "map".
const OUTER: &str = "made outer";

#[test]
fn a_perf_map_names_code_and_is_archived() {
    let _alone = wait_for_turn();
    for (mode, engine) in [("map", "native"), ("deleted", "native"), ("map", "perf")] {
        let project = jitcode(mode);
        let run = project.run(&["--engine", engine]);
        let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
        print_figure(&format!("perf map, {mode}, {engine}: {:.1} % in the generated loop", share(&folded, INNER)));
        assert!(share(&folded, INNER) > 85.0, "{mode}, {engine}: {folded}");
        let through = format!("main.main;main.run;main.call;{OUTER};{INNER}");
        let whole: u64 = folded.lines().filter(|line| line.contains(&through)).map(sample_count).sum();
        assert!(percent(whole, sample_counts(&folded, INNER).0) > 99.0, "{mode}, {engine}: {folded}");
        assert!(!folded.contains("made before"), "{folded}");
        assert!(run.stderr.contains("1 of the entries of /tmp/perf-"), "{}", run.stderr);
        assert_eq!(folded_without_code_files(&project, &run), folded);
    }
}

fn sample_count(line: &str) -> u64 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn a_jitdump_names_code_that_is_replaced_and_moved() {
    let _alone = wait_for_turn();
    let project = jitcode("dump");
    let run = project.run(&[]);
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let (first, second) = (share(&folded, "first"), share(&folded, "second"));
    print_figure(&format!("jitdump: first {first:.1} %, second {second:.1} % (both half of the work)"));
    assert!(first + second > 85.0 && (first - second).abs() < 15.0, "{folded}");
    assert_eq!(folded_without_code_files(&project, &run), folded);
    let lines = text(tool("go").args(["tool", "pprof", "-raw"]).arg(run.file("profile.pb.gz")));
    assert!(lines.contains("first made.lang:11"), "{lines}");
}

#[test]
fn functions_that_are_registered_with_gos_runtime_have_names() {
    let _alone = wait_for_turn();
    // The JSON package sonic generates code for each type, and registers it with Go's runtime.
    let project = Project::copy_of("tests/workloads/foreign/generated");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workloads/foreign/common");
    fs::create_dir(project.path("common")).unwrap();
    for name in ["go.mod", "run.go"] {
        fs::copy(source.join(name), project.path("common").join(name)).unwrap();
    }
    let module = fs::read_to_string(project.path("go.mod")).unwrap();
    project.write("go.mod", &module.replace("=> ../common", "=> ./common"));
    let run = project.run(&["--release", "--", "-seconds", "2"]);
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let below = |name: &str| -> f64 {
        let count = folded.lines().filter(|line| line.contains(name)).map(sample_count).sum();
        percent(count, run.quality("samples"))
    };
    let (encoding, decoding) = (below("encode_[...]main.item"), below("decode_"));
    let nameless = percent(run.quality("unnamed_user_frames"), run.quality("user_frames"));
    print_figure(&format!(
        "sonic: {encoding:.1} % encoding, {decoding:.1} % decoding, {nameless:.2} % of frames nameless"
    ));
    assert!(encoding > 5.0 && decoding > 10.0, "{folded}");
    assert!(nameless < 0.5, "{nameless} %");
    assert_eq!(folded_without_code_files(&project, &run), folded);
}

#[test]
fn generated_code_without_names_is_shown_as_run_time_code_with_a_hint() {
    let _alone = wait_for_turn();
    let project = jitcode("nothing");
    let run = project.run(&[]);
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    assert!(share(&folded, "[run-time code]") > 85.0, "{folded}");
    assert!(run.stderr.contains("node --perf-basic-prof"), "{}", run.stderr);
}

#[test]
fn generated_code_on_its_own_stack_has_the_callers_on_the_goroutines_stack() {
    let _alone = wait_for_turn();
    let project = jitcode("elsewhere");
    let run = project.run(&["--release"]);
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let below = |callers: &str| -> u64 { folded.lines().filter(|line| line.contains(callers)).map(sample_count).sum() };
    let generated = below("[run-time code]");
    let of_worker = below("main.(*elsewhere).worker;");
    let through = |name: &str| below(&format!("main.(*elsewhere).{name};main.(*elsewhere).run;[run-time code];"));
    let (short, long) = (through("short"), through("long"));
    print_figure(&format!(
        "code elsewhere: {generated} samples, {of_worker} of its goroutine, short {short}, long {long}"
    ));
    assert!(percent(generated, run.quality("samples")) > 85.0, "{folded}");
    assert!(percent(of_worker, generated) > 95.0, "{folded}");
    // The first call takes a quarter of the time. Around a change of the caller, only the common callers are known.
    assert!((10.0..40.0).contains(&percent(short, generated)), "{folded}");
    assert!((50.0..90.0).contains(&percent(long, generated)), "{folded}");
    let by_goroutine = text(project.goflame().args(["report", "latest", "-f", "folded", "--by", "entry"]));
    let known =
        by_goroutine.lines().filter(|line| line.starts_with("main.main.func") || line.contains("elsewhere).worker"));
    assert!(percent(known.map(sample_count).sum(), generated) > 90.0, "{by_goroutine}");
    assert_eq!(project.report(&run.dir, "folded"), folded);
}

#[test]
fn a_recording_of_perf_is_named_by_the_perf_map_of_its_process() {
    let _alone = wait_for_turn();
    let (project, program) = jitc();
    let recording = project.perf_record(&[program.as_os_str()]);
    let output = run_successfully(project.goflame().arg("report").arg(&recording).args(["-f", "folded"]));
    let (folded, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(share(&folded, "spin in memory") > 85.0, "{folded}");
    let named_by = stderr.split("code made at run time is named by ").nth(1).and_then(|rest| rest.lines().next());
    assert!(named_by.is_some_and(|path| path.starts_with("/tmp/perf-")), "{stderr}");
    let perf = text(tool("perf").args(["script", "-F", "comm,ip,sym", "-i"]).arg(&recording));
    let samples_of_perf = perf.split("\n\n").filter(|sample| sample.contains("spin in memory")).count() as u64;
    let samples: u64 = folded.lines().filter(|line| line.contains("spin in memory")).map(sample_count).sum();
    assert_eq!(samples, samples_of_perf, "{perf}");
    fs::remove_file(named_by.unwrap()).unwrap();
}

#[test]
fn a_recording_of_perf_with_the_monotonic_clock_is_named_by_a_jitdump() {
    let _alone = wait_for_turn();
    let (project, program) = jitc();
    let shares = |clock: &[&str]| {
        let file = project.path("dump.data");
        let mut perf = tool("perf");
        perf.args(["record", "-g", "-F", "997", "-e", "cpu-clock", "-o"])
            .arg(&file)
            .args(clock)
            .arg("--")
            .arg(&program);
        text(perf.arg("dump").current_dir(project.path("")));
        let folded = project.report(&file, "folded");
        (share(&folded, "early"), share(&folded, "late"), folded)
    };
    let (early, late, folded) = shares(&["-k", "CLOCK_MONOTONIC"]);
    print_figure(&format!("jitdump of C: early {early:.1} %, late {late:.1} % (a quarter and three quarters)"));
    assert!((15.0..35.0).contains(&early) && (60.0..85.0).contains(&late), "{folded}");
    // With another clock, the times of the functions are unknown: the last function is shown.
    let (early, late, folded) = shares(&[]);
    assert!(early == 0.0 && late > 85.0, "{folded}");
}
