//! Compares goflame's folded stacks with perf's. For a recording of `perf record -g`, perf's stacks come from
//! `perf script | inferno-collapse-perf`. For the kept recording of a run, they come from `perf report --stdio`.
//!
//! The programs are built without inlining, because perf does not know Go's inlined calls. The two outputs sometimes use
//! different names. For each kind of difference, a function below converts perf's names. The conversions are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::harness::{Project, percent, print_figure, run_successfully, text, tool, wait_for_turn};
use crate::script::{self, Sample, cut_at_top_frame, drop_abi0};

/// Number of samples by stack. The first element is the process, then follow the frames, root first.
type Folded = BTreeMap<Vec<String>, u64>;

/// Converts perf's names to goflame's. A stack without the difference does not change.
type Conversion = fn(Vec<String>) -> Vec<String>;

/// The kinds of differences, in the order of their conversion.
const DIFFERENCES: [(&str, Conversion); 3] = [
    ("assembly without .abi0", without_abi0),
    ("type arguments as [...]", with_types_elided),
    ("cut at Go's top frame", ended_at_top_frame),
];

/// Removes the suffix of assembly functions: see [`drop_abi0`].
fn without_abi0(stack: Vec<String>) -> Vec<String> {
    rename_frames(stack, |name| drop_abi0(name).to_owned())
}

/// goflame shows `slices.Sort[...]`, like Go's tracebacks; perf shows `slices.Sort[go.shape.[]int,go.shape.int]`.
/// Names of generated functions do not change: `type:.eq.[2]string`.
fn with_types_elided(stack: Vec<String>) -> Vec<String> {
    rename_frames(stack, |name| {
        let mut depth = 0_usize;
        let mut short = String::new();
        for c in name.chars() {
            depth += usize::from(c == '[');
            if depth == 0 || (depth == 1 && c == '[') {
                short.push(c);
            }
            if c == ']' && depth > 0 {
                depth -= 1;
                if depth == 0 {
                    short.push_str("...]");
                }
            }
        }
        // A name in brackets is a placeholder for a missing name: `[kernel.kallsyms]`.
        if name.starts_with('[') || name.starts_with("type:") { name.to_owned() } else { short }
    })
}

/// goflame ends a stack at Go's top frame, for example of a signal handler. perf also shows the callers of this frame.
fn ended_at_top_frame(mut stack: Vec<String>) -> Vec<String> {
    let process = stack.remove(0);
    stack.reverse();
    cut_at_top_frame(&mut stack, |name| name.as_str());
    stack.push(process);
    stack.reverse();
    stack
}

/// goflame leaves out wrappers that the compiler generates, like Go's own tracebacks.
fn without_wrappers(stack: Vec<String>, wrappers: &BTreeSet<String>) -> Vec<String> {
    let kept = stack.into_iter().enumerate().filter(|(at, name)| *at == 0 || !wrappers.contains(name));
    kept.map(|(_, name)| name).collect()
}

/// Whether perf shows a caller of the sample under the name of the next function in memory (see
/// [`Sample::call_is_last`]). Folded stacks do not show that, because they have no addresses.
fn has_a_call_at_the_end(sample: &Sample) -> bool {
    (0..sample.frames.len()).any(|at| sample.call_is_last(at))
}

/// Converts a weight to a number of samples. inferno adds up periods, which are all equal for a clock.
fn sample_count(weight: u64, period: u64) -> u64 {
    assert_eq!(weight % period, 0, "cpu-clock has one period");
    weight / period
}

/// Renames every frame, but not the process before them.
fn rename_frames(mut stack: Vec<String>, rename: impl Fn(&str) -> String) -> Vec<String> {
    for frame in stack.iter_mut().skip(1) {
        *frame = rename(frame);
    }
    stack
}

fn parse_folded(folded: &str) -> Folded {
    let line = |line: &str| {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        (stack.split(';').map(str::to_owned).collect(), count.parse().unwrap())
    };
    folded.lines().map(line).collect()
}

/// The output of `perf script -i FILE --no-inline | inferno-collapse-perf`.
fn inferno_stacks(file: &Path) -> String {
    let script = run_successfully(tool("perf").args(["script", "--no-inline", "-i"]).arg(file));
    let mut folded = Vec::new();
    Folder::from(Options::default()).collapse(script.stdout.as_slice(), &mut folded).unwrap();
    String::from_utf8(folded).unwrap()
}

/// The stacks that `perf report --stdio` shows, as folded stacks with numbers of samples.
fn perf_report_stacks(file: &Path) -> String {
    let mut perf = tool("perf");
    perf.args(["report", "--stdio", "--no-inline", "--no-children", "--sort", "comm", "--percent-limit", "0"]);
    let printed = text(perf.args(["--max-stack", "1000", "-g", "caller,folded,0,count", "-i"]).arg(file));
    let mut folded = String::new();
    let mut process = "";
    for line in printed.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        // `   99.00%  program`, and below it `12 root;caller;leaf`.
        match line.split_once(' ').unwrap() {
            (share, name) if share.ends_with('%') => process = name.trim(),
            (count, stack) => writeln!(folded, "{process};{} {count}", with_goflames_names(stack)).unwrap(),
        }
    }
    folded
}

/// Converts the names in a stack of `perf report`, which writes an address for a frame without a name, and type arguments
/// with `;` in them.
fn with_goflames_names(stack: &str) -> String {
    let (mut short, mut depth, mut open) = (String::new(), 0_usize, 0);
    for character in stack.chars() {
        if character == '[' {
            depth += 1;
            open = if depth == 1 { short.len() } else { open };
        }
        short.push(character);
        if character == ']' {
            depth = depth.saturating_sub(1);
            if depth == 0 && short[open..].contains([' ', ';']) {
                short.replace_range(open.., "[...]");
            }
        }
    }
    let is_address = |frame: &str| frame == "0" || frame.starts_with("0x");
    let frames = short.split(';').map(|frame| if is_address(frame) { "[unknown]" } else { frame });
    frames.collect::<Vec<_>>().join(";")
}

/// Compares goflame's folded stacks of a recording with perf's (`theirs`).
fn compare_folded_stacks(title: &str, project: &Project, file: &Path, program: &Path, theirs: &str) {
    let own = parse_folded(&project.report(file, "folded"));
    let wrappers = script::wrappers(program);
    let theirs = parse_folded(theirs).into_iter().map(|(stack, weight)| (without_wrappers(stack, &wrappers), weight));
    let total: u64 = own.values().sum();
    assert!(total > 100, "{total} samples are too few to compare");
    let theirs: Vec<_> = theirs.collect();
    // perf has no name for a thread that is ending and has no id any more.
    let nameless: u64 = theirs.iter().filter(|(stack, _)| stack[0].starts_with(':')).map(|(_, weight)| weight).sum();
    let period = theirs.iter().map(|(_, weight)| weight).sum::<u64>() / total;

    let mut needed = DIFFERENCES.map(|_| 0_u64);
    let mut normalised = Folded::new();
    for (mut stack, weight) in theirs {
        let count = sample_count(weight, period);
        for ((_, convert), needed) in DIFFERENCES.iter().zip(&mut needed) {
            let converted = convert(stack.clone());
            *needed += if converted == stack { 0 } else { count };
            stack = converted;
        }
        *normalised.entry(stack).or_default() += count;
    }
    let counts: Vec<String> =
        DIFFERENCES.iter().zip(needed).map(|((name, _), needed)| format!("{name}: {needed}")).collect();
    let missing = |here: &Folded, there: &Folded| -> Vec<(String, u64)> {
        let less = |(stack, count): (&Vec<String>, &u64)| {
            let missing = count.saturating_sub(there.get(stack).copied().unwrap_or(0));
            (missing > 0).then(|| (stack.join(";"), missing))
        };
        here.iter().filter_map(less).collect()
    };
    let (perf_only, own_only) = (missing(&normalised, &own), missing(&own, &normalised));
    let differing: u64 = perf_only.iter().map(|(_, count)| count).sum();
    let nameless = sample_count(nameless, period);
    let calls_at_the_end = script::read(file).iter().filter(|sample| has_a_call_at_the_end(sample)).count() as u64;
    print_figure(&format!(
        "folded {title}: {total} samples, {differing} differ, {calls_at_the_end} with a call at the end ({})",
        counts.join(", ")
    ));
    assert!(
        differing <= calls_at_the_end + nameless && nameless < 5 && percent(calls_at_the_end, total) < 5.0,
        "{differing} of {total} samples ({:.2} %) differ; perf has\n{perf_only:#?}\ngoflame has\n{own_only:#?}",
        percent(differing, total)
    );
}

fn check_example(example: &str, build: &[&str], args: &[&str]) {
    let _alone = wait_for_turn();
    let project = Project::copy_of(&format!("examples/{example}"));
    let binary = project.go_build(example, build);
    let mut command = vec![binary.as_os_str()];
    command.extend(args.iter().map(std::ffi::OsStr::new));
    let file = project.perf_record(&command);
    compare_folded_stacks(example, &project, &file, &binary, &inferno_stacks(&file));
}

/// The default variant does not inline. perf can show the repaired stacks only because they are in the file.
#[test]
fn perf_report_of_a_kept_recording_equals_the_folded_stacks() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/hotspots");
    let run = project.run(&["--", "-seconds", "2"]);
    assert!(run.quality("repaired_stacks") > 0);
    let (file, program) = (run.file("perf.data"), run.file("bin/hotspots"));
    compare_folded_stacks("kept recording", &project, &file, &program, &perf_report_stacks(&file));
    let size = std::fs::metadata(&file).unwrap().len() / run.quality("samples");
    print_figure(&format!("kept recording: {size} bytes per sample"));
    assert!(size <= 150, "{size} bytes per sample");
}

#[test]
fn folded_stacks_of_a_perf_recording_equal_those_of_inferno() {
    check_example("gcpressure", &["-gcflags=all=-l"], &["-duration", "2s", "-workers", "4"]);
}

#[test]
fn folded_stacks_with_generics_and_closures_equal_those_of_inferno() {
    check_example("generics", &["-gcflags=all=-N -l"], &["-duration", "1s"]);
}
