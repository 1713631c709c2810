//! Shares of goroutines, compared with what the goroutines measure: each goroutine is locked to a thread and reads the CPU
//! clock of this thread. Some goroutines compute. Others call the runtime, which works on the stack of the thread.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Project, Run, percent, print_figure, text, tool, wait_for_turn};
use crate::raw::Raw;

/// Maximum error of a share, in percentage points.
const TOLERANCE: f64 = 2.0;

/// The CPU time that a goroutine measured for itself.
struct GoroutineTime {
    entry: String,
    id: u64,
    thread: u32,
    nanoseconds: u64,
}

impl GoroutineTime {
    /// The goroutine's name in folded stacks of goflame.
    fn folded_name(&self) -> String {
        format!("stacks_goroutine_{}_{}", self.id, self.entry)
    }
}

/// A folded stack, its group, and its number of samples.
struct Stack {
    group: String,
    /// The frames, root first, with `;` between them and before the first one.
    frames: String,
    samples: u64,
}

/// The true times of a run's goroutines and goflame's profile of it.
struct Measured {
    goroutines: Vec<GoroutineTime>,
    by_entry: Vec<Stack>,
    by_goroutine: Vec<Stack>,
    raw: Raw,
}

/// Result of a comparison of shares.
struct Comparison {
    /// Percentage of the samples that belong to one of the measured groups.
    covered_percent: f64,
    /// Largest error of a group's share, in percentage points.
    worst: f64,
}

/// Numbers of samples with a function on the stack.
struct SamplesBelow {
    all: u64,
    /// Samples with a goroutine, right or wrong.
    known: u64,
    wrong: u64,
}

impl Measured {
    fn run(variant: &str, mode: &str, settings: &str) -> Self {
        let settings = format!("[app]\npackage = '.'\nname = 'stacks'\n{settings}");
        let project = Project::from_workload("stacks", &settings);
        let run = project.run(&["--variant", variant, "--", "-mode", mode, "-seconds", "3"]);
        let printed: Value = serde_json::from_str(&run.stdout_log()).unwrap();
        let goroutine = |printed: &Value| GoroutineTime {
            entry: printed["entry"].as_str().unwrap().to_owned(),
            id: printed["id"].as_u64().unwrap(),
            thread: printed["thread"].as_u64().unwrap().try_into().unwrap(),
            nanoseconds: printed["nsec"].as_u64().unwrap(),
        };
        let labels = text(tool("go").args(["tool", "pprof", "-tags"]).arg(run.file("profile.pb.gz")));
        for label in ["thread", "goroutine", "cpu", "process"] {
            assert!(labels.contains(&format!(" {label}: ")), "pprof shows no {label}:\n{labels}");
        }
        Self {
            goroutines: printed.as_array().unwrap().iter().map(goroutine).collect(),
            by_entry: folded(&project, &run, "entry"),
            by_goroutine: folded(&project, &run, "goroutine"),
            raw: Raw::read(&run.file("profile.pb.gz")),
        }
    }

    /// Compares the shares of groups with the truth. `name` returns the group of a goroutine.
    fn compare(&self, stacks: &[Stack], name: impl Fn(&GoroutineTime) -> String) -> Comparison {
        let mut counts = BTreeMap::new();
        for stack in stacks {
            *counts.entry(stack.group.clone()).or_insert(0) += stack.samples;
        }
        let mut truth = BTreeMap::new();
        for goroutine in &self.goroutines {
            *truth.entry(name(goroutine)).or_insert(0) += goroutine.nanoseconds;
        }
        let count = |name| counts.get(name).copied().unwrap_or(0);
        let (all, named): (u64, u64) = (counts.values().sum(), truth.keys().map(count).sum());
        let nanoseconds: u64 = truth.values().sum();
        let mut worst = 0.0_f64;
        for (name, time) in &truth {
            let (truth, seen) = (percent(*time, nanoseconds), percent(count(name), named));
            let error = (seen - truth).abs();
            assert!(error <= TOLERANCE, "{name} has {seen:.2} %, and in truth {truth:.2} %: {counts:?}");
            worst = worst.max(error);
        }
        Comparison { covered_percent: percent(named, all), worst }
    }

    /// The samples of the measured goroutines with `function` on the stack. The thread of a sample shows the true goroutine.
    fn samples_below(&self, function: &str) -> SamplesBelow {
        let named = |id: &u64, name: &str| self.raw.locations.get(id).is_some_and(|location| location.name == name);
        let mut below = SamplesBelow { all: 0, known: 0, wrong: 0 };
        for sample in &self.raw.samples {
            let has = |name: &str| sample.stack.iter().any(|id| named(id, name));
            let Some(truth) = self.goroutines.iter().find(|truth| truth.thread == sample.tid) else { continue };
            if !has(function) || !has("main.spend") {
                continue;
            }
            below.all += sample.count;
            below.known += if sample.goroutine.is_some() { sample.count } else { 0 };
            below.wrong += if sample.goroutine.is_some_and(|id| id != truth.id) { sample.count } else { 0 };
        }
        below
    }
}

fn folded(project: &Project, run: &Run, by: &str) -> Vec<Stack> {
    let printed = text(project.goflame().args(["report", "-f", "folded", "--by", by]).arg(run.file("perf.data")));
    let stack = |line: &str| {
        let (stack, samples) = line.rsplit_once(' ').unwrap();
        let (group, frames) = stack.split_at(stack.find(';').unwrap());
        Stack { group: group.to_owned(), frames: frames.to_owned(), samples: samples.parse().unwrap() }
    };
    printed.lines().map(stack).collect()
}

fn check_computing(variant: &str) {
    let _alone = wait_for_turn();
    let measured = Measured::run(variant, "goroutines", "");
    let by_entry = measured.compare(&measured.by_entry, |goroutine| goroutine.entry.clone());
    let by_id = measured.compare(&measured.by_goroutine, GoroutineTime::folded_name);
    // The other samples are of the scheduler and of the program's start, which the three goroutines do not measure.
    let (entry, id) = (by_entry.covered_percent, by_id.covered_percent);
    assert!(entry > 90.0 && id > 90.0, "{entry:.1} % have an entry, {id:.1} % an id");
    print_figure(&format!(
        "goroutines, {variant}: shares are {:.2} points off at most",
        by_entry.worst.max(by_id.worst)
    ));
}

#[test]
fn goroutines_have_their_true_shares() {
    check_computing("release");
}

#[test]
fn goroutines_have_their_true_shares_in_a_debug_build() {
    check_computing("debug");
}

/// A stack copy of 2048 bytes contains all frames on the thread's own stack while the runtime prints a goroutine's stack.
const LARGE_COPY_SETTINGS: &str = "[record]\nstack = 2048\n";

fn check_systemstack(variant: &str) {
    let _alone = wait_for_turn();
    let measured = Measured::run(variant, "systemstack", LARGE_COPY_SETTINGS);
    let by_entry = measured.compare(&measured.by_entry, |goroutine| goroutine.entry.clone());
    let by_id = measured.compare(&measured.by_goroutine, GoroutineTime::folded_name);
    let SamplesBelow { all, known, wrong } = measured.samples_below("runtime.systemstack");
    let share = percent(known, all);
    print_figure(&format!(
        "systemstack, {variant}: {known} of {all} samples on threads' own stacks have a goroutine ({share:.1} %), {wrong} the \
         wrong one; {:.1} % of all samples have one of the five; shares are {:.2} points off at most by entry, {:.2} by id",
        by_id.covered_percent, by_entry.worst, by_id.worst
    ));
    assert!(all > 500, "{all} samples below systemstack are too few");
    assert_eq!(wrong, 0, "of {known}");
    assert!(share >= 95.0, "{known} of {all} samples below systemstack have a goroutine");
}

#[test]
fn work_of_the_runtime_is_assigned_to_the_calling_goroutine() {
    check_systemstack("release");
}

#[test]
fn work_of_the_runtime_is_assigned_to_the_calling_goroutine_in_a_debug_build() {
    check_systemstack("debug");
}

/// A run of tests/workloads/goroutines, whose code makes goroutines hard to find.
struct HiddenRun {
    /// Keeps the directory of the run.
    _project: Project,
    run: Run,
    /// Ids of the computing goroutines, which the program printed.
    ids: Vec<u64>,
    by_entry: Vec<Stack>,
    by_goroutine: Vec<Stack>,
}

impl HiddenRun {
    fn new(mode: &str, n: u64) -> Self {
        let project = Project::from_workload("goroutines", "[app]\npackage = '.'\nname = 'goroutines'\n");
        let run = project.run(&["--release", "--", "-mode", mode, "-n", &n.to_string()]);
        let ids = run.stdout_log().lines().map(|line| line.parse().unwrap()).collect();
        let (by_entry, by_goroutine) = (folded(&project, &run, "entry"), folded(&project, &run, "goroutine"));
        Self { _project: project, run, ids, by_entry, by_goroutine }
    }

    /// Checks that stacks with a function belong to a printed goroutine with this entry, or to no goroutine.
    fn check_function(&self, function: &str, entry: &str) {
        let function = format!(";{function};");
        let groups: Vec<String> = self.ids.iter().map(|id| format!("goroutines_goroutine_{id}_{entry}")).collect();
        let (mut all, mut right, mut unknown) = (0, 0, 0);
        for Stack { group, frames, samples } in &self.by_goroutine {
            if format!("{frames};").contains(&function) {
                all += samples;
                right += if groups.contains(group) { *samples } else { 0 };
                unknown += if group == "(no_goroutine)" { *samples } else { 0 };
            }
        }
        print_figure(&format!("{entry}: {right} of {all} samples have the right goroutine, {unknown} have none"));
        assert!(all >= 100, "{all} samples are too few");
        assert_eq!(right + unknown, all, "goroutines that do not exist: {:?}", self.groups());
        assert!(percent(right, all) >= 95.0, "{:?}", self.groups());
    }

    fn groups(&self) -> BTreeMap<&str, u64> {
        let mut groups = BTreeMap::new();
        for stack in &self.by_goroutine {
            *groups.entry(stack.group.as_str()).or_default() += stack.samples;
        }
        groups
    }

    /// Number of samples whose goroutine has this entry.
    fn samples_with_entry(&self, entry: &str) -> u64 {
        self.by_entry.iter().filter(|stack| stack.group == entry).map(|stack| stack.samples).sum()
    }
}

#[test]
fn data_in_the_goroutine_register_is_not_taken_for_a_goroutine() {
    let _alone = wait_for_turn();
    let run = HiddenRun::new("spin", 1_000_000_000);
    run.check_function("main.spin", "main.spinner");
    let foreign = run.run.quality("foreign_goroutine_registers");
    assert!(foreign >= 100, "{foreign} foreign registers are counted");
}

#[test]
fn memory_that_looks_like_a_descriptor_is_not_taken_for_a_goroutine() {
    let _alone = wait_for_turn();
    let run = HiddenRun::new("walk", 400_000_000);
    // A function literal starts one of the two goroutines.
    let (named, literal) = (run.samples_with_entry("main.walker"), run.samples_with_entry("main.main.func1"));
    assert!(named >= 50 && literal >= 50, "{named} and {literal}: {:?}", run.groups());
    let groups = run.groups();
    for group in groups.keys().filter(|group| group.contains("main.")) {
        assert!(run.ids.iter().any(|id| group.contains(&format!("_{id}_"))), "{groups:?}");
    }
}

#[test]
fn the_entry_is_the_function_in_the_go_statement() {
    let _alone = wait_for_turn();
    let run = HiddenRun::new("entries", 200_000_000);
    for entry in ["main.plain", "main.(*counter).serve", "main.small"] {
        let samples = run.samples_with_entry(entry);
        assert!(samples >= 50, "{entry} has {samples} samples: {:?}", run.groups());
    }
}

#[test]
fn stack_growth_belongs_to_the_goroutine_that_grows() {
    let _alone = wait_for_turn();
    for (mode, entry) in [("brief", "main.newcomer"), ("crowd", "main.(*climber).start")] {
        let run = HiddenRun::new(mode, 1_500_000_000);
        let growing = |stack: &&Stack| stack.frames.contains("runtime.newstack;runtime.copystack");
        let all: u64 = run.by_entry.iter().filter(growing).map(|stack| stack.samples).sum();
        let known: u64 = run.by_entry.iter().filter(growing).filter(|s| s.group == entry).map(|s| s.samples).sum();
        print_figure(&format!("{mode}: the goroutine is known in {known} of {all} samples of stack growth"));
        assert!(all >= 50, "{all} samples of {mode} are too few");
        // A goroutine that lives for a millisecond can end before its descriptor is read. When goflame did not use the saved
        // argument of `copystack`, only 3 of 745 samples had a goroutine.
        assert!(percent(known, all) >= 40.0, "{mode}: {known} of {all}: {:?}", run.groups());
    }
}
