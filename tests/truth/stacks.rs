//! Compares goflame's stacks with the true stacks of a program, in both variants: callers of leaves without a frame, roots
//! of stacks, and inlined calls.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use goflame::gobin::{Binary, Locator};
use goflame::perfdata::{PerfData, RecordKind, abi::context};

use crate::harness::{Project, Run, percent, print_figure, text, tool, wait_for_turn};
use crate::raw::Raw;

/// Leaf functions of tests/workloads/stacks, each with its only caller.
const CALLERS: [(&str, &str); 2] = [("main.leaf", "main.leafCaller"), ("main.otherLeaf", "main.otherCaller")];

fn run(variant: &str, mode: &str) -> Run {
    let project = Project::from_workload("stacks", "[app]\npackage = '.'\nname = 'stacks'\n[archive]\nraw = true\n");
    let run = project.run(&["--variant", variant, "--", "-mode", mode, "-seconds", "2"]);
    assert!(run.quality("samples") > 500, "{} samples are too few", run.quality("samples"));
    // Copies the run, because the project's directory is removed when `project` is dropped.
    let kept = tempfile::tempdir().unwrap().keep();
    text(tool("cp").arg("-r").arg(&run.dir).arg(&kept));
    Run { dir: kept.join(run.dir.file_name().unwrap()), stderr: run.stderr }
}

/// Path of the archived program.
fn program(run: &Run) -> PathBuf {
    run.file(run.manifest()["build"]["file"].as_str().unwrap())
}

/// Runs a mode of another workload. The returned project keeps the files of the run.
fn run_workload(workload: &str, mode: &str) -> (Project, Run) {
    let project = Project::from_workload(workload, &format!("[app]\npackage = '.'\nname = '{workload}'\n"));
    let run = project.run(&["--release", "--", "-mode", mode]);
    (project, run)
}

/// Numbers of samples in the leaf functions of [`CALLERS`].
#[derive(Debug, Default, Clone, Copy)]
struct LeafSamples {
    all: u64,
    /// Number of samples with the true caller.
    right: u64,
}

/// Counts the samples in the leaf functions, in goflame's profile.
fn leaf_samples(run: &Run) -> LeafSamples {
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let mut samples = LeafSamples::default();
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        let count: u64 = count.parse().unwrap();
        let frames: Vec<&str> = stack.split(';').collect();
        for (leaf, caller) in CALLERS {
            if let Some(at) = frames.iter().position(|frame| *frame == leaf) {
                samples.all += count;
                samples.right += if at > 0 && frames[at - 1] == caller { count } else { 0 };
            }
        }
    }
    samples
}

/// Counts the samples in the leaf functions, in the kernel's callchains, which follow frame pointers.
fn leaf_samples_by_frame_pointers(run: &Run) -> LeafSamples {
    let bytes = fs::read(program(run)).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let name = |address: u64| {
        let mut locator = Locator::new(&binary);
        Some(locator.locate(address).ok()?.last()?.name.clone().into_owned())
    };
    let recording = fs::read(run.file("perf.data")).unwrap();
    let mut samples = LeafSamples::default();
    for record in PerfData::parse(&recording).unwrap().records() {
        let RecordKind::Sample(sample) = record.unwrap().kind else { continue };
        // The program is not position-independent, so run-time addresses are the addresses in the file.
        let user = sample.callchain.skip_while(|word| *word != context::USER).skip(1);
        let chain: Vec<u64> = user.take(2).collect();
        let [ip, caller] = chain[..] else { continue };
        if let Some((_, true_caller)) = CALLERS.iter().find(|(leaf, _)| name(ip).as_deref() == Some(leaf)) {
            samples.all += 1;
            samples.right += u64::from(name(caller - 1).as_deref() == Some(true_caller));
        }
    }
    samples
}

/// Checks the callers of leaf functions in goflame's profile. Returns the counts by frame pointers.
fn check_leaves(variant: &str) -> LeafSamples {
    let _alone = wait_for_turn();
    let run = run(variant, "leaf");
    let LeafSamples { all, right } = leaf_samples(&run);
    let by_frame_pointers = leaf_samples_by_frame_pointers(&run);
    print_figure(&format!(
        "leaf callers, {variant}: {right} of {all} right ({:.2} %); by frame pointers {} of {}",
        percent(right, all),
        by_frame_pointers.right,
        by_frame_pointers.all
    ));
    assert!(all > 500, "{all} samples in the leaves are too few");
    assert!(percent(right, all) >= 99.9, "{right} of {all} callers are right");
    by_frame_pointers
}

#[test]
fn a_leaf_without_a_frame_has_its_caller() {
    let by_frame_pointers = check_leaves("release");
    let share = percent(by_frame_pointers.right, by_frame_pointers.all);
    assert!(share < 1.0, "the leaves have frames: the test shows nothing");
}

#[test]
fn a_leaf_has_its_caller_in_a_debug_build() {
    check_leaves("debug");
}

fn check_roots(variant: &str) {
    let _alone = wait_for_turn();
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
    print_figure(&format!(
        "assembly, {variant}: {rooted} of {stacks} stacks complete ({:.2} %), {to_goexit} of {all} below main.assembly from \
         the goroutine's root, {} repaired, {} cut",
        percent(rooted, stacks),
        run.quality("repaired_stacks"),
        run.quality("cut_stacks")
    ));
    assert!(percent(rooted, stacks) >= 99.0, "{rooted} of {stacks} stacks are complete");
    assert!(all > 500 && percent(to_goexit, all) >= 99.0, "{to_goexit} of {all} stacks begin at the goroutine's root");
    // All functions of the mode must have samples.
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

/// Removes the directory of a frame's file: the binary has trimmed paths, the pprof file has paths of this machine's
/// sources.
fn without_directory(frame: &str) -> String {
    let (name, place) = frame.rsplit_once(' ').unwrap();
    format!("{name} {}", place.rsplit('/').next().unwrap())
}

#[test]
fn inlined_calls_equal_those_of_the_runtime() {
    let _alone = wait_for_turn();
    let run = run("release", "inlined");
    let raw = Raw::read(&run.file("profile.pb.gz"));
    let file = run.manifest()["build"]["path"].as_str().unwrap().to_owned();
    let mapping = raw.mappings.iter().find(|(_, mapped)| **mapped == file).map(|(id, _)| *id).unwrap();
    let sampled: Vec<_> = raw.locations.values().filter(|location| location.mapping == mapping).collect();
    let mut expand =
        command_at(program(&run)).arg("-expand").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let addresses: Vec<String> = sampled.iter().map(|location| format!("{:x}", location.address)).collect();
    let mut stdin = expand.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all((addresses.join("\n") + "\n").as_bytes()).unwrap());
    let output = expand.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let (mut chains, mut inlined, mut generic) = (0, 0, 0);
    assert_eq!(printed.lines().count(), sampled.len());
    for (location, line) in sampled.iter().zip(printed.lines()) {
        let truth: Vec<&str> = line.split('\t').filter(|frame| !frame.is_empty()).collect();
        let last = format!("{} {}:{}", location.name, location.file, location.line);
        let own: Vec<String> = location.inlined.iter().chain([&last]).map(|frame| with_types_elided(frame)).collect();
        // goflame shows a wrapper between calling conventions as the wrapped function, with that function's file.
        let same = |(own, truth): (&String, &&str)| match truth.strip_suffix("<autogenerated>:1") {
            Some(name) => own.starts_with(name) && own.ends_with(":0"),
            // In a pprof profile, a function has one file. `main.init` has code from several files, so its file is the
            // placeholder `<autogenerated>`, and lines of other files are left out.
            None => match own.strip_suffix("<autogenerated>:0") {
                Some(name) => truth.starts_with(name),
                None => without_directory(own) == without_directory(truth),
            },
        };
        let all_same = own.len() == truth.len() && own.iter().zip(&truth).all(same);
        assert!(all_same, "at {:#x}: {own:?}, and CallersFrames says {truth:?}", location.address);
        chains += 1;
        inlined += u64::from(own.len() > 1);
        generic += u64::from(last.starts_with("main.generic[go.shape.uint64] ") && own.len() > 1);
    }
    print_figure(&format!(
        "inlined: {chains} sampled addresses, {inlined} with inlined calls, all as runtime.CallersFrames says"
    ));
    // On a busy machine, the program has few samples: 10 addresses with inlined calls at load 15.
    assert!(inlined >= 5, "{inlined} inlined chains are too few");
    assert!(generic > 0, "no call that is inlined in a generic function was sampled");
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    assert!(folded.contains(";main.inlined;main.outer;main.middle;main.inner"), "{folded}");
    // Both call paths of `rotate` are correct. The CPU decides which path has samples.
    let within = folded.contains(";main.inlined;main.outer;main.middle;main.inner;main.rotate ");
    assert!(within || folded.contains(";main.inlined;main.outer;main.inner;main.rotate "), "{folded}");
    let picture = fs::read_to_string(run.file("flamegraph.svg")).unwrap();
    assert!(picture.contains("main.rotate (inlined)"), "inlined frames are not marked");
}

/// Converts a full name, as in pprof files, to the form that the runtime prints: `[...]` replaces the text from the first to
/// the last bracket (`funcNamePiecesForPrint` in src/runtime/traceback.go).
fn with_types_elided(frame: &str) -> String {
    match (frame.find('['), frame.rfind(']')) {
        (Some(first), Some(last)) if first < last => format!("{}[...]{}", &frame[..first], &frame[last + 1..]),
        _ => frame.to_owned(),
    }
}

fn command_at(path: PathBuf) -> std::process::Command {
    std::process::Command::new(path)
}

#[test]
fn time_in_wrappers_counts_for_their_callers() {
    let _alone = wait_for_turn();
    for (mode, wrapper) in [("promoted", "main.(*outer).Get"), ("value", "main.(*record).Get")] {
        let (_project, run) = run_workload("wrappers", mode);
        let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
        assert!(!folded.contains(wrapper), "{wrapper} is shown:\n{folded}");
        let own = folded.lines().filter_map(|line| line.rsplit_once(";main.total ")).map(|(_, count)| count);
        let own: u64 = own.map(|count| count.parse::<u64>().unwrap()).sum();
        print_figure(&format!("wrappers, {mode}: {own} samples are main.total's own"));
        assert!(own >= 100, "{own} samples are too few");
    }
}

#[test]
fn stacks_end_where_frame_pointers_no_longer_advance() {
    let _alone = wait_for_turn();
    for mode in ["circle", "pair"] {
        let (project, run) = run_workload("goroutines", mode);
        let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
        let caller = format!(";runtime.goexit;runtime.main;main.main;main.{mode}");
        let count = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        let of_mode = |line: &&str| line.contains(&format!("main.{mode}"));
        let right: u64 = folded.lines().filter(|line| line.contains(&caller)).map(count).sum();
        let all: u64 = folded.lines().filter(of_mode).map(count).sum();
        assert!(all >= 100 && right == all, "{right} of {all}:\n{folded}");
        // Few stacks are truncated. In a signal handler, the stack copy is of the handler's stack and shows no cycle.
        let truncated = run.quality("truncated_stacks");
        assert!(truncated * 100 <= run.quality("samples"), "{truncated} stacks are truncated");
        let reasons = run.summary()["quality"]["reasons"].to_string();
        assert!(!reasons.contains("perf_event_max_stack"), "{reasons}");

        // perf records no stack copy. A repeated address that is not code is still detected.
        if mode == "circle" {
            let program = run.file(run.manifest()["build"]["file"].as_str().unwrap());
            let recorded = project.perf_record(&[program.as_os_str(), "-mode".as_ref(), mode.as_ref()]);
            let folded = project.report(&recorded, "folded");
            assert!(folded.lines().filter(of_mode).map(count).sum::<u64>() >= 100, "{folded}");
            assert!(!folded.contains("[unknown]"), "{folded}");
        }
    }
}

#[test]
fn threads_made_by_c_code_have_names_and_cause_no_wrong_advice() {
    let _alone = wait_for_turn();
    let (_project, run) = run_workload("cthreads", "");
    let (frames, unnamed) = (run.quality("user_frames"), run.quality("unnamed_user_frames"));
    print_figure(&format!("threads of C code: {unnamed} of {frames} user frames have no name"));
    // A frame pointer that leads to itself would add about 120 unnamed frames to a sample.
    assert!(frames >= 500 && unnamed * 200 <= frames, "{unnamed} of {frames}");
    let (stacks, rooted) = (run.quality("user_stacks"), run.quality("rooted_stacks"));
    assert!(rooted * 100 >= stacks * 95, "{rooted} of {stacks} are complete");
    assert!(!run.stderr.contains("perf_event_max_stack"), "{}", run.stderr);
}
