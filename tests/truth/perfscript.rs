//! Checks that `perf script` finds the same samples and symbols in goflame's perf.data as goflame.
//!
//! The file contains the repaired stacks, so perf shows them too. The module `stacks` compares them with the truth. The
//! programs are built without inlining and optimisation, because perf does not know Go's inlined calls.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use goflame::perfdata::{PerfData, RecordKind, abi::context, unpack};

use crate::harness::{Project, Run, percent, print_figure, run_successfully, text, tool, wait_for_turn};
use crate::raw::Raw;
use crate::script::{self, Frame, Sample, cut_at_top_frame, drop_abi0};

/// Number of samples by process, thread and stack, leaf first. `None` in place of a name means any name.
type Stacks = BTreeMap<(u32, u32, Vec<Option<String>>), u64>;

/// Number of samples or frames for each difference that the comparison tolerates.
#[derive(Debug, Default)]
struct Allowances {
    cut: u64,
    abi0: u64,
    wrappers: u64,
    /// Frames whose call is the last instruction of its function, see [`Sample::call_is_last`].
    call_is_last: u64,
    /// Frames for which perf has a file but no symbol. goflame can have a symbol.
    unknown: u64,
}

/// The number of addresses in each sample's callchain, by thread and time.
fn chain_lengths(bytes: &[u8]) -> HashMap<(u32, u64), usize> {
    let data = PerfData::parse(bytes).unwrap();
    let mut lengths = HashMap::new();
    for record in data.records() {
        if let RecordKind::Sample(sample) = record.unwrap().kind {
            let addresses = sample.callchain.filter(|word| *word < context::MAX).count();
            lengths.insert((sample.tid.unwrap().cast_unsigned(), sample.time.unwrap()), addresses);
        }
    }
    lengths
}

fn normalise_frame(sample: &Sample, at: usize, allowed: &mut Allowances) -> Option<String> {
    let Frame { symbol, dso, .. } = &sample.frames[at];
    if sample.call_is_last(at) {
        allowed.call_is_last += 1;
        return None;
    }
    // For an unmapped address, goflame has no name either, so the names must be equal.
    if symbol == "[unknown]" && dso != "[unknown]" {
        allowed.unknown += 1;
        return None;
    }
    let name = drop_abi0(symbol);
    allowed.abi0 += u64::from(name != symbol);
    Some(name.to_owned())
}

/// perf's stacks, in the form in which goflame shows them.
fn stacks_of_perf(run: &Run, allowed: &mut Allowances) -> Stacks {
    let recording = fs::read(run.file("perf.data")).unwrap();
    let lengths = chain_lengths(&unpack(&recording, &[]).unwrap().unwrap_or(recording));
    let samples = script::read(&run.file("perf.data"));
    let program = run.file(run.manifest()["build"]["file"].as_str().unwrap());
    let wrappers = script::wrappers(&program);
    assert_eq!(samples.len(), lengths.len(), "perf script and goflame count different numbers of samples");
    let mut stacks = Stacks::new();
    for mut sample in samples {
        let length = *lengths
            .get(&(sample.tid, sample.time))
            .unwrap_or_else(|| panic!("goflame has no sample of thread {} at {}", sample.tid, sample.time));
        assert_eq!(sample.frames.len(), length, "perf shows the callchain only: {sample:?}");
        allowed.cut += u64::from(cut_at_top_frame(&mut sample.frames, |frame| drop_abi0(&frame.symbol)));
        let is_shown = |at: &usize| !wrappers.contains(&sample.frames[*at].symbol);
        let names: Vec<_> =
            (0..sample.frames.len()).filter(is_shown).map(|at| normalise_frame(&sample, at, allowed)).collect();
        allowed.wrappers += u64::from(names.len() < sample.frames.len());
        *stacks.entry((sample.pid, sample.tid, names)).or_insert(0) += 1;
    }
    stacks
}

fn stacks_of_goflame(run: &Run) -> BTreeMap<(u32, u32, Vec<String>), u64> {
    let raw = Raw::read(&run.file("profile.pb.gz"));
    let mut stacks = BTreeMap::new();
    for sample in &raw.samples {
        let names = sample.stack.iter().map(|id| raw.locations[id].name.clone()).collect();
        *stacks.entry((sample.pid, sample.tid, names)).or_insert(0) += sample.count;
    }
    stacks
}

/// Checks that goflame and perf have the same stacks: removes each of perf's stacks from goflame's stacks.
fn compare_stacks(run: &Run) {
    let mut allowed = Allowances::default();
    let perf = stacks_of_perf(run, &mut allowed);
    let mut own = stacks_of_goflame(run);
    let total: u64 = own.values().sum();
    assert_eq!(perf.values().sum::<u64>(), total);
    // Stacks without wildcards first, so that a stack with wildcards does not match the counterpart of an exact stack.
    let (exact, gaps): (Vec<_>, Vec<_>) = perf.iter().partition(|((_, _, stack), _)| stack.iter().all(Option::is_some));
    let mut differing = Vec::new();
    for ((pid, tid, stack), count) in exact.into_iter().chain(gaps) {
        for _ in 0..*count {
            let fits = |names: &[String]| {
                // While the kernel replaces a program, goflame no longer resolves addresses in the old program. perf does.
                let is_replaced = |own: &str| own == "[unknown]" && names.iter().any(|name| name == "load_elf_binary");
                let is_same = |own: &String, perf: &Option<String>| {
                    perf.as_ref().is_none_or(|perf| perf == own || is_replaced(own))
                };
                names.len() == stack.len() && names.iter().zip(stack).all(|(own, perf)| is_same(own, perf))
            };
            let found = own.iter_mut().find(|(key, left)| **left > 0 && (key.0, key.1) == (*pid, *tid) && fits(&key.2));
            match found {
                Some((_, left)) => *left -= 1,
                None => differing.push((pid, tid, stack)),
            }
        }
    }
    let wild = allowed.call_is_last + allowed.unknown;
    assert!(percent(wild, total) < 5.0, "too many frames fit every name: {allowed:?}");
    let left: Vec<_> = own.iter().filter(|(_, left)| **left > 0).take(5).collect();
    print_figure(&format!("perf script: {total} samples, {} differ ({allowed:?})", differing.len()));
    assert!(
        differing.is_empty(),
        "{} of {total} samples ({:.2} %) differ; perf has\n{:#?}\ngoflame has\n{left:#?}",
        differing.len(),
        percent(differing.len() as u64, total),
        &differing[..differing.len().min(5)],
    );
}

#[test]
fn perf_script_finds_the_same_samples_and_symbols() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/generics");
    let run = project.run(&["--", "-duration", "1s"]);
    compare_stacks(&run);
}

#[test]
fn perf_script_finds_the_same_in_a_program_with_garbage_collection() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/gcpressure");
    let run = project.run(&["--", "-duration", "2s", "-workers", "4"]);
    compare_stacks(&run);

    let file = run.file("perf.data");
    let report = text(tool("perf").args(["report", "--stdio", "-i"]).arg(&file));
    assert!(report.contains("main.churn"), "{report}");
    let header = text(tool("perf").args(["script", "--header-only", "-i"]).arg(&file));
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(header.contains(&format!("# hostname : {hostname}\n")), "{header}");
    let event = run.manifest()["sampler"]["event"].as_str().unwrap().to_owned();
    assert!(header.contains(&format!("# event : name = {event}")), "{header}");
    let events = run_successfully(tool("perf").args(["evlist", "-i"]).arg(&file));
    assert!(String::from_utf8_lossy(&events.stdout).starts_with(&event));
}

#[test]
fn perf_script_finds_the_same_in_a_tree_of_processes() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("spawner", "[app]\npackage = '.'\nname = 'spawner'\n");
    let run = project.run(&["--", "-linger", "200ms"]);
    compare_stacks(&run);
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    for role in ["parent", "child", "grandchild", "orphan"] {
        assert!(folded.contains(&format!(";main.{role}Work;main.compute")), "the {role} is missing:\n{folded}");
    }
}
