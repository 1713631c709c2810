//! Stacks of C code in a Go program, compiled with the default flags of C compilers. They are compared with the known calls
//! of tests/workloads/cstacks. Also measures the stacks by frame pointers alone, as in `perf record -g`.

use std::ffi::OsStr;

use crate::harness::{Project, percent, print_figure, text, wait_for_turn};

/// Settings with which C code is compiled with the compiler's default flags.
const SETTINGS: &str = "[app]\npackage = '.'\nname = 'cstacks'\n\n[variant.debug]\nc_frame_pointers = false\n\n\
                        [variant.release]\nc_frame_pointers = false\n";

/// Number of recursive calls of `descend` (tests/workloads/cstacks/work.h).
const DEPTH: usize = 5;

/// The stack of the deepest call in a mode, root first. A name with `*` at the end means one or more frames.
fn expected_stack(mode: &str) -> Vec<String> {
    let (function, inner): (&str, Vec<&str>) = match mode {
        "plain" => ("plain", vec!["middle", "spin"]),
        "recursion" => ("recursion", [&["descend"; DEPTH + 1][..], &["spin"]].concat()),
        "sort" => ("sort", vec!["libc*", "compare", "weigh", "spin"]),
        "callback" => ("visit", Vec::new()),
        other => panic!("there is no mode {other}"),
    };
    let mut upper = function.to_owned();
    upper[..1].make_ascii_uppercase();
    let call = format!("main.call{upper}");
    let go = format!("main._Cfunc_{function}");
    let mut calls = vec!["runtime.goexit", "main.work", &call, &go, "runtime.cgocall"];
    if mode == "callback" {
        // As in Go's own tracebacks: the frames of the goroutine, without those of the C code that called back.
        calls.extend(["runtime.systemstack_switch", "runtime.cgocallback", "runtime.cgocallbackg"]);
        calls.extend(["runtime.cgocallbackg1", "_cgoexp_goWork", "main.goWork", "main.busy"]);
    } else {
        let wrapper = "_cgo_Cfunc";
        calls.extend(["runtime.asmcgocall", wrapper, function]);
        calls.extend(inner);
    }
    calls.into_iter().map(str::to_owned).collect()
}

/// A frame's name without the parts that differ between builds and between versions of libc.
fn normalise_name(name: &str) -> String {
    match name.strip_prefix("_cgo_").and_then(|rest| rest.split_once("_Cfunc_")) {
        Some(_) => return "_cgo_Cfunc".into(),
        None if name.starts_with("_cgoexp_") && name.ends_with("_goWork") => return "_cgoexp_goWork".into(),
        None => {}
    }
    // If the machine has a debug file of libc, the functions inside `qsort` have names.
    let is_libc = name == "[libc.so.6]" || name.contains("qsort") || name.starts_with("msort");
    if is_libc { "libc*".into() } else { name.into() }
}

/// The user frames of a folded stack, root first. `None` for system calls that libc makes while it starts a thread.
fn user_frames(stack: &str) -> Option<Vec<String>> {
    let frames = stack.split(';').skip(1);
    if frames.clone().any(|name| name.starts_with("entry_SYSCALL") || name.starts_with("ret_from_fork")) {
        return None;
    }
    let kernel = |name: &str| name.starts_with("asm_") || name.starts_with("entry_") || name == "[kernel]";
    let mut frames: Vec<String> = frames.take_while(|name| !kernel(name)).map(normalise_name).collect();
    frames.dedup_by(|a, b| a == b && a == "libc*");
    Some(frames)
}

/// Numbers of samples whose leaf is an inner function of a mode.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    all: u64,
    /// Samples with exactly the true frames, up to the Go function that calls C code.
    right: u64,
    /// Samples with exactly the true frames, up to the root of the goroutine.
    rooted: u64,
    /// Samples with a wrong frame, or without a frame between two others.
    wrong: u64,
}

impl Counts {
    fn from_folded(folded: &str, mode: &str) -> Self {
        let truth = expected_stack(mode);
        // Position of the Go function that calls C code, or that C code calls. Unwinding the stack copy must find it.
        let border = truth.iter().position(|name| name == "runtime.asmcgocall" || name == "runtime.cgocallback");
        let border = border.unwrap();
        let inner = &truth[border + 1..];
        let mut counts = Self::default();
        for line in folded.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            let count: u64 = count.parse().unwrap();
            let Some(frames) = user_frames(stack) else { continue };
            if !frames.last().is_some_and(|leaf| inner.contains(leaf)) {
                continue;
            }
            counts.all += count;
            let matches_from = |first: usize| truth[first..].starts_with(&frames);
            if matches_from(0) && frames.len() > border {
                counts.rooted += count;
            }
            if (0..=border).any(|first| matches_from(first) && first + frames.len() > border) {
                counts.right += count;
            }
            if !(0..truth.len()).any(matches_from) {
                counts.wrong += count;
            }
        }
        counts
    }

    fn describe(self) -> String {
        let share = |part: u64| percent(part, self.all);
        let (right, rooted, wrong) = (share(self.right), share(self.rooted), share(self.wrong));
        format!("{right:.2} % right, {rooted:.2} % to the root, {wrong:.2} % wrong of {}", self.all)
    }
}

/// Counts of samples in two recordings of a mode.
struct Sampled {
    /// Stacks of goflame.
    own: Counts,
    /// Stacks of perf, by frame pointers alone.
    by_frame_pointers: Counts,
}

fn measure(mode: &str, variant: &str, stack: u32) -> Sampled {
    let settings = format!("{SETTINGS}\n[record]\nstack = {stack}\n");
    let project = Project::from_workload("cstacks", &settings);
    let run = project.run(&["--variant", variant, "--", "-mode", mode, "-seconds", "2"]);
    let own = Counts::from_folded(&std::fs::read_to_string(run.file("profile.folded")).unwrap(), mode);
    let flags: &[&str] = if variant == "debug" { &["-gcflags=all=-N -l"] } else { &[] };
    let program = project.go_build("cstacks", flags);
    let perf = project.perf_record(&[program.as_os_str(), OsStr::new("-mode"), OsStr::new(mode)]);
    let by_frame_pointers = Counts::from_folded(&project.report(&perf, "folded"), mode);
    print_figure(&format!(
        "C stacks, {mode}, {variant}, {stack} bytes: {}; by frame pointers {}",
        own.describe(),
        by_frame_pointers.describe()
    ));
    assert!(own.all > 500 && by_frame_pointers.all > 500, "there are too few samples");
    Sampled { own, by_frame_pointers }
}

/// C code can use the goroutine register for other values. The Go function that called the C code shows the goroutine.
#[test]
fn c_code_belongs_to_the_goroutine_that_called_it() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("cstacks", SETTINGS);
    let run = project.run(&["--release", "--", "-mode", "recursion", "-seconds", "2"]);
    let mut report = project.goflame();
    let folded = text(report.args(["report", "-f", "folded", "--by", "entry"]).arg(run.file("perf.data")));
    let (mut all, mut right) = (0, 0);
    for line in folded.lines().filter(|line| line.contains(";descend")) {
        let count: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        all += count;
        right += if line.starts_with("main.work;") { count } else { 0 };
    }
    print_figure(&format!("goroutines of C code: {right} of {all} samples are main.work's"));
    assert!(all > 100 && percent(right, all) >= 99.0, "{right} of {all}: {folded}");
}

/// Checks a mode in which the stack copy contains all C frames.
fn check_c_stacks(mode: &str, variant: &str, stack: u32) -> Counts {
    let Sampled { own, by_frame_pointers } = measure(mode, variant, stack);
    assert!(percent(own.right, own.all) >= 99.0, "{mode}: {own:?}");
    assert!(percent(own.wrong, own.all) <= 0.2, "{mode}: {own:?}");
    assert!(percent(by_frame_pointers.right, by_frame_pointers.all) < 5.0, "{mode}: the test shows nothing");
    own
}

#[test]
fn stacks_of_c_code_that_keeps_the_frame_pointer_are_complete() {
    let _alone = wait_for_turn();
    for variant in ["release", "debug"] {
        let own = check_c_stacks("plain", variant, 1024);
        assert!(percent(own.rooted, own.all) >= 98.0, "{own:?}");
    }
}

#[test]
fn stacks_of_c_code_that_uses_every_register_are_correct() {
    let _alone = wait_for_turn();
    for variant in ["release", "debug"] {
        check_c_stacks("recursion", variant, 1024);
        check_c_stacks("sort", variant, 8192);
    }
    // libc's sort uses more stack than is copied by default. The shown frames are still correct.
    let own = measure("sort", "release", 1024).own;
    assert!(percent(own.wrong, own.all) <= 0.2, "{own:?}");
}

#[test]
fn stacks_of_go_code_called_by_c_code_are_complete() {
    let _alone = wait_for_turn();
    for variant in ["release", "debug"] {
        let own = check_c_stacks("callback", variant, 1024);
        assert!(percent(own.rooted, own.all) >= 99.0, "{own:?}");
    }
}
