//! `goflame report` of profiles that Go's runtime wrote, compared with `go tool pprof` of the same files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use goflame::pprof;
use goflame::views::{FunctionRow, GroupBy, View};
use serde_json::Value;

use crate::harness::{Project, print_figure, text, tool, wait_for_turn};
use crate::pprof::top_of;

/// A project with the profiles that tests/workloads/profiles writes.
fn project_with_profiles() -> Project {
    let project = Project::from_workload("profiles", "");
    let binary = project.go_build("profiles", &[]);
    text(std::process::Command::new(binary).arg(project.path("")));
    project
}

/// `goflame report FILE -f json FLAGS`.
fn summary(project: &Project, file: &Path, flags: &[&str]) -> Value {
    let printed = text(project.goflame().arg("report").arg(file).args(["-f", "json"]).args(flags));
    serde_json::from_str(&printed).unwrap()
}

/// Checks that goflame and `go tool pprof -top` list the same functions with the same figures.
#[track_caller]
fn compare_with_go_pprof(project: &Project, name: &str, sample_type: &str, unit: &str) {
    let file = project.path(name);
    let mut seen = BTreeMap::new();
    for row in top_of(&file, &[&format!("-sample_index={sample_type}"), &format!("-unit={unit}")]) {
        seen.insert(row.name, (row.flat, row.cumulative));
    }
    // pprof also lists functions with a cumulative weight of 0.
    seen.retain(|_, (_, cumulative)| *cumulative > 0);
    let summary = summary(project, &file, &["--sample-type", sample_type]);
    let total: u64 = seen.values().map(|(flat, _)| flat).sum();
    assert!(total > 0, "{name} has no {sample_type}");
    assert_eq!(summary["total"], total, "{name}: total of {sample_type}");
    assert_eq!(summary["function_count"], seen.len(), "{name}: functions with {sample_type}");
    for function in summary["functions"].as_array().unwrap() {
        let own = (function["self"].as_u64().unwrap(), function["cumulative"].as_u64().unwrap());
        let function = function["name"].as_str().unwrap();
        assert_eq!(seen.get(function), Some(&own), "{name}: self and cumulative {sample_type} of {function}");
    }
    // The summary lists only the hottest functions. The table of the view has all functions.
    let profile = pprof::read(&fs::read(file).unwrap(), Some(sample_type)).unwrap().profile;
    let view = View::new(profile, GroupBy::Process);
    let (profile, rows) = (view.profile(), &view.top().functions);
    let name_of = |row: &FunctionRow| profile.str(profile.function(row.function).name).to_owned();
    let ours: BTreeMap<_, _> =
        rows.iter().map(|row| (name_of(row), (row.self_weight, row.cumulative_weight))).collect();
    assert_eq!(ours, seen, "{name} {sample_type}");
    print_figure(&format!("imported {name} {sample_type}: {} functions compared, all equal", ours.len()));
}

#[test]
fn all_figures_equal_those_of_go_tool_pprof() {
    let _alone = wait_for_turn();
    let project = project_with_profiles();
    for (name, sample_type, unit) in [
        ("cpu.pb.gz", "cpu", "nanoseconds"),
        ("cpu.pb.gz", "samples", "count"),
        ("heap.pb.gz", "inuse_space", "bytes"),
        ("heap.pb.gz", "inuse_objects", "count"),
        ("heap.pb.gz", "alloc_space", "bytes"),
        ("heap.pb.gz", "alloc_objects", "count"),
        ("mutex.pb.gz", "delay", "nanoseconds"),
        ("block.pb.gz", "contentions", "count"),
        ("block.pb.gz", "delay", "nanoseconds"),
        ("goroutine.pb.gz", "goroutine", "count"),
    ] {
        compare_with_go_pprof(&project, name, sample_type, unit);
    }
}

#[test]
fn the_default_sample_type_is_that_of_go_tool_pprof() {
    let _alone = wait_for_turn();
    let project = project_with_profiles();
    for name in ["cpu", "heap", "allocs", "mutex", "block", "goroutine"] {
        let file = project.path(&format!("{name}.pb.gz"));
        let printed = text(tool("go").args(["tool", "pprof", "-top"]).arg(&file));
        let theirs = printed.lines().find_map(|line| line.strip_prefix("Type: ")).unwrap();
        assert_eq!(summary(&project, &file, &[])["event"], theirs, "{name}");
    }
}

/// The stacks that `go tool pprof -traces` prints, leaf first, with values in nanoseconds. Names of inlined calls end with
/// ` (inline)`. Labels are left out.
fn traces(profile: &Path) -> BTreeMap<Vec<String>, u64> {
    let flags = ["tool", "pprof", "-traces", "-unit=nanoseconds", "-symbolize=none"];
    let printed = text(tool("go").args(flags).arg(profile));
    let mut stacks = BTreeMap::new();
    for block in printed.split("-----------+-------------------------------------------------------\n").skip(1) {
        let (mut value, mut stack) = (0, Vec::new());
        for line in block.lines() {
            // `    tenant:  acme`, and the value before the leaf: `10000000ns   main.fib`.
            let (first, rest) = line.split_at_checked(10).unwrap_or((line, ""));
            match first.trim().strip_suffix("ns") {
                Some(number) => value = number.parse().unwrap(),
                None if stack.is_empty() => continue,
                None => {}
            }
            stack.push(rest.trim().to_owned());
        }
        if !stack.is_empty() {
            *stacks.entry(stack).or_default() += value;
        }
    }
    stacks
}

#[test]
fn every_stack_with_its_inlined_calls_is_kept() {
    let _alone = wait_for_turn();
    let project = project_with_profiles();
    let file = project.path("cpu.pb.gz");
    let theirs = traces(&file);
    let inlined = theirs.keys().flatten().filter(|frame| frame.ends_with(" (inline)")).count();
    assert!(theirs.len() > 5 && inlined > 5, "{theirs:#?}");

    // A copy that goflame writes has the same stacks.
    let again = project.path("again.pb.gz");
    text(project.goflame().arg("report").arg(&file).args(["-f", "pprof", "-o"]).arg(&again));
    assert_eq!(traces(&again), theirs);
    print_figure(&format!("imported: {} stacks with {inlined} inlined calls, all equal", theirs.len()));

    // Folded stacks have the same names, root first, and count samples of 10 ms.
    let mut folded = BTreeMap::new();
    for (stack, value) in theirs {
        let mut frames = vec!["profiles".to_owned()];
        frames.extend(stack.iter().rev().map(|frame| {
            let name = frame.strip_suffix(" (inline)").unwrap_or(frame);
            goflame::goname::display(name).replace(';', ":")
        }));
        *folded.entry(frames.join(";")).or_default() += value / 10_000_000;
    }
    let ours: BTreeMap<String, u64> = project
        .report(&file, "folded")
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(stack, count)| (stack.to_owned(), count.parse().unwrap()))
        .collect();
    assert_eq!(ours, folded);
}

#[test]
fn a_profile_is_read_with_and_without_gzip() {
    let _alone = wait_for_turn();
    let project = project_with_profiles();
    let packed = project.path("heap.pb.gz");
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(&packed).unwrap()).read_to_end(&mut bytes).unwrap();
    let raw = project.path("heap");
    fs::write(&raw, bytes).unwrap();
    assert_eq!(project.report(&raw, "folded"), project.report(&packed, "folded"));
}

/// The comments in a profile, one per line.
fn comments(profile: &Path) -> Vec<String> {
    text(tool("go").args(["tool", "pprof", "-comments"]).arg(profile)).lines().map(str::to_owned).collect()
}

#[test]
fn a_profile_of_goflame_is_byte_identical_when_it_is_written_again() {
    let _alone = wait_for_turn();
    let write_again = |file: PathBuf| {
        let bytes = fs::read(&file).unwrap();
        let read = pprof::read(&bytes, None).unwrap();
        let mut again = Vec::new();
        let comments = comments(&file);
        let comments: Vec<&str> = comments.iter().map(String::as_str).collect();
        pprof::write(&read.profile, &comments, &pprof::SourceDirs::default(), &mut again).unwrap();
        assert!(again == bytes, "{} bytes became {} others", bytes.len(), again.len());
        (bytes.len(), read)
    };
    for (example, args) in [("generics", ["-duration", "1s"]), ("gcpressure", ["-duration", "1s"])] {
        let project = Project::copy_of(&format!("examples/{example}"));
        let run = project.run(&[&["--release", "--"], &args[..]].concat());
        let (size, read) = write_again(run.file("profile.pb.gz"));
        let summary = run.summary();
        assert_eq!(read.profile.total_weight(), summary["total"]);
        print_figure(&format!("imported {example}: {size} bytes written again, all equal"));
        assert!(read.notes.is_empty(), "{:?}", read.notes);

        // When goflame first writes a profile of Go, details are lost (comments, and the period if the profile has only
        // one sample type). When goflame writes the result again, nothing is lost.
        let folded = |file: &Path| project.report(file, "folded");
        assert_eq!(folded(&run.file("profile.pb.gz")), fs::read_to_string(run.file("profile.folded")).unwrap());
    }
    let project = project_with_profiles();
    for name in ["cpu", "heap", "allocs", "mutex", "block", "goroutine"] {
        let again = project.path("again.pb.gz");
        let file = project.path(&format!("{name}.pb.gz"));
        text(project.goflame().arg("report").arg(file).args(["-f", "pprof", "-o"]).arg(&again));
        write_again(again);
    }
}
