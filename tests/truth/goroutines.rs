//! Which goroutine ran, held against what goroutines measured of themselves: each of them reads the CPU clock of the
//! thread that it has for its own. Some compute, and some have the runtime work for them on the stacks of the threads.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Project, Run, alone, figure, percent, text, tool};
use crate::raw::Raw;

/// Points that a share may be off.
const TOLERANCE: f64 = 2.0;

/// What a goroutine measured.
struct Part {
    entry: String,
    id: u64,
    thread: u32,
    nanoseconds: u64,
}

impl Part {
    /// How goflame calls the goroutine in folded stacks.
    fn name(&self) -> String {
        format!("stacks_goroutine_{}_{}", self.id, self.entry)
    }
}

/// A stack in folded form: the part of the profile that it is in, and the samples.
struct Stack {
    part: String,
    samples: u64,
}

struct Measured {
    parts: Vec<Part>,
    by_entry: Vec<Stack>,
    by_goroutine: Vec<Stack>,
    raw: Raw,
}

impl Measured {
    fn of(variant: &str, mode: &str, settings: &str) -> Self {
        let settings = format!("[app]\npackage = '.'\nname = 'stacks'\n{settings}");
        let project = Project::of_workload("stacks", &settings);
        let run = project.run(&["--variant", variant, "--", "-mode", mode, "-seconds", "3"]);
        let parts: Value = serde_json::from_str(&run.stdout_log()).unwrap();
        let part = |part: &Value| Part {
            entry: part["entry"].as_str().unwrap().to_owned(),
            id: part["id"].as_u64().unwrap(),
            thread: part["thread"].as_u64().unwrap().try_into().unwrap(),
            nanoseconds: part["nsec"].as_u64().unwrap(),
        };
        let labels = text(tool("go").args(["tool", "pprof", "-tags"]).arg(run.file("profile.pb.gz")));
        for label in ["thread", "goroutine", "cpu", "process"] {
            assert!(labels.contains(&format!(" {label}: ")), "pprof shows no {label}:\n{labels}");
        }
        Self {
            parts: parts.as_array().unwrap().iter().map(part).collect(),
            by_entry: folded(&project, &run, "entry"),
            by_goroutine: folded(&project, &run, "goroutine"),
            raw: Raw::read(&run.file("profile.pb.gz")),
        }
    }

    /// The share of all samples that have one of the names, and how many points the worst share of a name is off.
    fn hold_against(&self, stacks: &[Stack], name: impl Fn(&Part) -> String) -> (f64, f64) {
        let mut counts = BTreeMap::new();
        for stack in stacks {
            *counts.entry(stack.part.clone()).or_insert(0) += stack.samples;
        }
        let mut truth = BTreeMap::new();
        for part in &self.parts {
            *truth.entry(name(part)).or_insert(0) += part.nanoseconds;
        }
        let count = |name| counts.get(name).copied().unwrap_or(0);
        let (all, named): (u64, u64) = (counts.values().sum(), truth.keys().map(count).sum());
        let nanoseconds: u64 = truth.values().sum();
        let mut worst = 0.0_f64;
        for (name, time) in &truth {
            let (truth, seen) = (percent(*time, nanoseconds), percent(count(name), named));
            let off = (seen - truth).abs();
            assert!(off <= TOLERANCE, "{name} has {seen:.2} %, and in truth {truth:.2} %: {counts:?}");
            worst = worst.max(off);
        }
        (percent(named, all), worst)
    }

    /// Of the samples of the parts below a function: how many there are, how many have a goroutine, and how many the
    /// wrong one. The threads, which the goroutines have for their own, tell whose a sample is.
    fn below(&self, function: &str) -> (u64, u64, u64) {
        let named = |id: &u64, name: &str| self.raw.locations.get(id).is_some_and(|location| location.name == name);
        let (mut all, mut known, mut wrong) = (0, 0, 0);
        for sample in &self.raw.samples {
            let has = |name: &str| sample.stack.iter().any(|id| named(id, name));
            let Some(part) = self.parts.iter().find(|part| part.thread == sample.tid) else { continue };
            if !has(function) || !has("main.spend") {
                continue;
            }
            all += sample.count;
            known += if sample.goroutine.is_some() { sample.count } else { 0 };
            wrong += if sample.goroutine.is_some_and(|id| id != part.id) { sample.count } else { 0 };
        }
        (all, known, wrong)
    }
}

fn folded(project: &Project, run: &Run, by: &str) -> Vec<Stack> {
    let printed = text(project.goflame().args(["report", "-f", "folded", "--by", by]).arg(run.file("perf.data")));
    let stack = |line: &str| {
        let (stack, samples) = line.rsplit_once(' ').unwrap();
        let part = stack.split(';').next().unwrap();
        Stack { part: part.to_owned(), samples: samples.parse().unwrap() }
    };
    printed.lines().map(stack).collect()
}

fn check_computing(variant: &str) {
    let _alone = alone();
    let measured = Measured::of(variant, "goroutines", "");
    let (by_entry, entries_off) = measured.hold_against(&measured.by_entry, |part| part.entry.clone());
    let (by_number, numbers_off) = measured.hold_against(&measured.by_goroutine, Part::name);
    // The rest is the scheduler's and the start of the program, which the three clocks do not count.
    assert!(by_entry > 90.0 && by_number > 90.0, "{by_entry:.1} % have an entry, {by_number:.1} % a number");
    figure(&format!("goroutines, {variant}: shares are {:.2} points off at most", entries_off.max(numbers_off)));
}

#[test]
fn goroutines_have_their_shares() {
    check_computing("release");
}

#[test]
fn goroutines_have_their_shares_in_a_debug_build() {
    check_computing("debug");
}

/// So many bytes hold what the runtime puts on a thread's own stack when it prints a goroutine's.
const DEEP_COPY: &str = "[record]\nstack = 2048\n";

fn check_systemstack(variant: &str) {
    let _alone = alone();
    let measured = Measured::of(variant, "systemstack", DEEP_COPY);
    let (_, entries_off) = measured.hold_against(&measured.by_entry, |part| part.entry.clone());
    let (by_number, numbers_off) = measured.hold_against(&measured.by_goroutine, Part::name);
    let (all, known, wrong) = measured.below("runtime.systemstack");
    let share = percent(known, all);
    figure(&format!(
        "systemstack, {variant}: {known} of {all} samples on threads' own stacks have a goroutine ({share:.1} %), {wrong} the \
         wrong one; {by_number:.1} % of all samples have one of the five; shares are {entries_off:.2} points off at most by \
         entry, {numbers_off:.2} by number"
    ));
    assert!(all > 500, "{all} samples below systemstack are too few");
    assert_eq!(wrong, 0, "of {known}");
    assert!(share >= 95.0, "{known} of {all} samples below systemstack have a goroutine");
}

#[test]
fn goroutines_have_the_work_that_the_runtime_does_for_them() {
    check_systemstack("release");
}

#[test]
fn goroutines_have_the_work_of_the_runtime_in_a_debug_build() {
    check_systemstack("debug");
}
