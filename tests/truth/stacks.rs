//! goflame's stacks against what is known to be true of a program, in both variants: who called a leaf without a frame,
//! whether stacks reach their roots, what is inlined where, and which goroutine ran.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use goflame::gobin::Binary;
use goflame::perfdata::{PerfData, RecordKind, abi::context};
use serde_json::Value;

use crate::harness::{Project, Run, alone, figure, percent, text, tool};
use crate::raw::Raw;

/// Functions of tests/workloads/stacks that have one caller each.
const CALLERS: [(&str, &str); 2] = [("main.leaf", "main.leafCaller"), ("main.otherLeaf", "main.otherCaller")];

fn run(variant: &str, mode: &str) -> Run {
    let project = Project::of_workload("stacks", "[app]\npackage = '.'\nname = 'stacks'\n");
    let run = project.run(&["--variant", variant, "--", "-mode", mode, "-seconds", "2"]);
    assert!(run.quality("samples") > 500, "{} samples are too few", run.quality("samples"));
    // The project is gone with its directory; what is asked for is in the archive, which is moved out of it.
    let kept = tempfile::tempdir().unwrap().keep();
    text(tool("cp").arg("-r").arg(&run.dir).arg(&kept));
    Run { dir: kept.join(run.dir.file_name().unwrap()), stderr: run.stderr }
}

/// The archived program.
fn program(run: &Run) -> PathBuf {
    run.file(run.manifest()["build"]["file"].as_str().unwrap())
}

/// Of the samples in the leaves: how many there are, and how many have the true caller.
fn right_callers(run: &Run) -> (u64, u64) {
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let (mut all, mut right) = (0, 0);
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        let frames: Vec<&str> = stack.split(';').collect();
        for (leaf, caller) in CALLERS {
            if let Some(at) = frames.iter().position(|frame| *frame == leaf) {
                all += count;
                right += if at > 0 && frames[at - 1] == caller { count } else { 0 };
            }
        }
    }
    (all, right)
}

/// The same by the kernel's callchains, which follow frame pointers, of samples that were taken in a leaf.
fn right_callers_by_frame_pointers(run: &Run) -> (u64, u64) {
    let bytes = fs::read(program(run)).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let name = |address: u64| {
        let location = binary.locate(address).ok()?;
        Some(location.frames.last()?.name.clone().into_owned())
    };
    let recording = fs::read(run.file("perf.data")).unwrap();
    let (mut all, mut right) = (0, 0);
    for record in PerfData::parse(&recording).unwrap().records() {
        let RecordKind::Sample(sample) = record.unwrap().kind else { continue };
        // The program is not position-independent: addresses are those of its file.
        let user = sample.callchain.skip_while(|word| *word != context::USER).skip(1);
        let chain: Vec<u64> = user.take(2).collect();
        let [ip, caller] = chain[..] else { continue };
        if let Some((_, true_caller)) = CALLERS.iter().find(|(leaf, _)| name(ip).as_deref() == Some(leaf)) {
            all += 1;
            right += u64::from(name(caller - 1).as_deref() == Some(true_caller));
        }
    }
    (all, right)
}

fn check_leaves(variant: &str) -> (u64, u64) {
    let _alone = alone();
    let run = run(variant, "leaf");
    let (all, right) = right_callers(&run);
    let (chains, by_frame_pointers) = right_callers_by_frame_pointers(&run);
    figure(&format!(
        "leaf callers, {variant}: {right} of {all} right ({:.2} %); by frame pointers {by_frame_pointers} of {chains}",
        percent(right, all)
    ));
    assert!(all > 500, "{all} samples in the leaves are too few");
    assert!(percent(right, all) >= 99.9, "{right} of {all} callers are right");
    (chains, by_frame_pointers)
}

#[test]
fn leaf_without_a_frame_has_its_caller() {
    let (chains, by_frame_pointers) = check_leaves("release");
    assert!(percent(by_frame_pointers, chains) < 1.0, "the leaves have frames: the test shows nothing");
}

#[test]
fn leaf_has_its_caller_in_a_debug_build() {
    check_leaves("debug");
}

fn check_roots(variant: &str) {
    let _alone = alone();
    let run = run(variant, "assembly");
    let (stacks, rooted) = (run.quality("user_stacks"), run.quality("rooted_stacks"));
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let (mut all, mut to_goexit) = (0, 0);
    for line in folded.lines().filter(|line| line.contains(";main.assembly")) {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        all += count;
        to_goexit += if stack.starts_with("stacks;runtime.goexit;runtime.main;main.main;") { count } else { 0 };
    }
    figure(&format!(
        "assembly, {variant}: {rooted} of {stacks} stacks complete ({:.2} %), {to_goexit} of {all} below main.assembly from \
         the goroutine's root, {} repaired, {} cut",
        percent(rooted, stacks),
        run.quality("repaired_stacks"),
        run.quality("cut_stacks")
    ));
    assert!(percent(rooted, stacks) >= 99.0, "{rooted} of {stacks} stacks are complete");
    assert!(all > 500 && percent(to_goexit, all) >= 99.0, "{to_goexit} of {all} stacks begin at the goroutine's root");
    // What the mode is made of is really there.
    for called in ["crypto/sha256.", "runtime.memmove", "runtime.memclrNoHeapPointers", "main.duff"] {
        assert!(folded.contains(called), "{called} was not sampled");
    }
}

#[test]
fn assembly_stacks_reach_the_root() {
    check_roots("release");
}

#[test]
fn assembly_stacks_reach_the_root_in_a_debug_build() {
    check_roots("debug");
}

#[test]
fn inlined_calls_are_those_of_the_runtime() {
    let _alone = alone();
    let run = run("release", "inlined");
    let raw = Raw::read(&run.file("profile.pb.gz"));
    let file = run.manifest()["build"]["path"].as_str().unwrap().to_owned();
    let mapping = raw.mappings.iter().find(|(_, mapped)| **mapped == file).map(|(id, _)| *id).unwrap();
    let sampled: Vec<_> = raw.locations.values().filter(|location| location.mapping == mapping).collect();
    let mut expand =
        tool_at(program(&run)).arg("-expand").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let addresses: Vec<String> = sampled.iter().map(|location| format!("{:x}", location.address)).collect();
    let mut stdin = expand.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all((addresses.join("\n") + "\n").as_bytes()).unwrap());
    let output = expand.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let (mut chains, mut inlined) = (0, 0);
    assert_eq!(printed.lines().count(), sampled.len());
    for (location, line) in sampled.iter().zip(printed.lines()) {
        let truth: Vec<&str> = line.split('\t').filter(|frame| !frame.is_empty()).collect();
        let mut own = location.inlined.clone();
        own.push(format!("{} {}:{}", location.name, location.file, location.line));
        assert_eq!(own, truth, "at {:#x}", location.address);
        chains += 1;
        inlined += u64::from(own.len() > 1);
    }
    figure(&format!(
        "inlined: {chains} sampled addresses, {inlined} with inlined calls, all as runtime.CallersFrames says"
    ));
    assert!(inlined > 10, "{inlined} inlined chains are too few");
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    assert!(folded.contains(";main.inlined;main.outer;main.middle;main.inner;main.rotate "), "{folded}");
    let picture = fs::read_to_string(run.file("flamegraph.svg")).unwrap();
    assert!(picture.contains("main.rotate (inlined)"), "inlined frames are not marked");
}

fn tool_at(path: PathBuf) -> std::process::Command {
    std::process::Command::new(path)
}

fn check_goroutines(variant: &str) {
    let _alone = alone();
    let run = run(variant, "goroutines");
    let parts: Value = serde_json::from_str(&run.stdout_log()).unwrap();
    let parts = parts.as_array().unwrap();
    let nanoseconds: u64 = parts.iter().map(|part| part["nsec"].as_u64().unwrap()).sum();
    let by = |by: &str| -> BTreeMap<String, u64> {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_goflame"));
        let folded = text(command.args(["report", "-f", "folded", "--by", by]).arg(run.file("perf.data")));
        let mut counts = BTreeMap::new();
        for line in folded.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            *counts.entry(stack.split(';').next().unwrap().to_owned()).or_insert(0) += count.parse::<u64>().unwrap();
        }
        counts
    };
    let (entries, goroutines) = (by("entry"), by("goroutine"));
    let name = |part: &Value| part["entry"].as_str().unwrap().to_owned();
    let numbered = |part: &Value| format!("stacks_goroutine_{}_{}", part["id"], name(part));
    // The rest is the scheduler's and the start of the program, which the three clocks do not count.
    let of_parts = |counts: &BTreeMap<String, u64>, name: &dyn Fn(&Value) -> String| -> u64 {
        parts.iter().map(|part| counts.get(&name(part)).copied().unwrap_or(0)).sum()
    };
    let (by_entry, by_number) = (of_parts(&entries, &name), of_parts(&goroutines, &numbered));
    let total: u64 = entries.values().sum();
    assert!(percent(by_entry, total) > 90.0 && percent(by_number, total) > 90.0, "{entries:?} {goroutines:?}");
    let mut worst = 0.0_f64;
    for part in parts {
        let truth = percent(part["nsec"].as_u64().unwrap(), nanoseconds);
        for (counts, name, all) in [(&entries, name(part), by_entry), (&goroutines, numbered(part), by_number)] {
            let seen = percent(counts.get(&name).copied().unwrap_or(0), all);
            assert!((seen - truth).abs() <= 2.0, "{name} has {seen:.2} %, and in truth {truth:.2} %: {counts:?}");
            worst = worst.max((seen - truth).abs());
        }
    }
    let labels = text(tool("go").args(["tool", "pprof", "-tags"]).arg(run.file("profile.pb.gz")));
    for label in ["thread", "goroutine", "cpu", "process"] {
        assert!(labels.contains(&format!(" {label}: ")), "pprof shows no {label}:\n{labels}");
    }
    figure(&format!("goroutines, {variant}: shares are {worst:.2} points off at most"));
}

#[test]
fn goroutines_have_their_shares() {
    check_goroutines("release");
}

#[test]
fn goroutines_have_their_shares_in_a_debug_build() {
    check_goroutines("debug");
}
