//! Reads lines and writes that were recorded from real programs of several Go versions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use super::{ArrivedLine, Mismatch, OutputSplitter, RuntimeLine, RuntimeTrace, SplitOutput, TraceCollector};

/// Go version, and standard error of a program with `gctrace=1,schedtrace=100,inittrace=1`, then with
/// `schedtrace=300,scheddetail=1`.
const RECORDED_LINES: [(&str, &str); 5] = [
    ("1.18", include_str!("go1.18.txt")),
    ("1.19", include_str!("go1.19.txt")),
    ("1.21", include_str!("go1.21.txt")),
    ("1.25", include_str!("go1.25.txt")),
    ("1.27", include_str!("go1.27.txt")),
];

/// Go version, and all writes to standard error of a program that writes `partial ` again and again, with
/// `gctrace=1,schedtrace=5`. One JSON string for each write, as read from a pipe in packet mode.
const RECORDED_PIECES: [(&str, &str); 4] = [
    ("1.19", include_str!("pieces-go1.19.txt")),
    ("1.21", include_str!("pieces-go1.21.txt")),
    ("1.25", include_str!("pieces-go1.25.txt")),
    ("1.27", include_str!("pieces-go1.27.txt")),
];

const GC_LINE: &str = "gc 2 @0.706s 10%: 0.059+0.20+1.5 ms clock, 0.11+0.5/0.048/7+0.12 ms cpu, 9->10->2 MB, 4 MB goal, 1 MB \
                  stacks, 3 MB globals, 2 P (forced)\n";

/// Splits a line into the pieces that the runtime writes: numbers and texts.
fn split_into_pieces(line: &str) -> Vec<&[u8]> {
    let is_number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    if let Some((package, rest)) = line.strip_prefix("init ").and_then(|rest| rest.split_once(" @")) {
        let rest = &line[line.len() - rest.len() - 2..];
        return [&[b"init ", package.as_bytes()], &split_into_pieces(rest)[..]].concat();
    }
    if let [b' ', b' ', b'P' | b'M' | b'G', ..] = line.as_bytes() {
        return [&[&line.as_bytes()[..3]], &split_into_pieces(&line[3..])[..]].concat();
    }
    line.as_bytes().chunk_by(|a, b| is_number(*a) == is_number(*b)).collect()
}

/// Separates writes that arrive at intervals of one microsecond. Returns the program's output, the runtime's lines, and the
/// runtime's incomplete lines.
fn separate<'p>(writes: impl IntoIterator<Item = &'p [u8]>) -> (String, Vec<ArrivedLine>, String) {
    let (mut splitter, mut out) = (OutputSplitter::default(), SplitOutput::default());
    let mut last = 0;
    for (index, piece) in writes.into_iter().enumerate() {
        last = index as u64 * 1000;
        splitter.push(piece, last, &mut out);
    }
    splitter.expire(last, &mut out);
    splitter.finish(&mut out);
    (String::from_utf8(out.program).unwrap(), out.lines, String::from_utf8(out.cut_lines.concat()).unwrap())
}

fn program_bytes<'p>(writes: impl IntoIterator<Item = &'p [u8]>) -> String {
    separate(writes).0
}

fn lines_as_text(lines: &[ArrivedLine]) -> String {
    lines.iter().map(|line| String::from_utf8(line.bytes.clone()).unwrap()).collect()
}

fn collect_trace(lines: Vec<ArrivedLine>) -> RuntimeTrace {
    let mut collector = TraceCollector::default();
    for line in lines {
        collector.add(line);
    }
    collector.finish()
}

#[test]
fn every_recorded_line_of_every_version_is_read() {
    for (version, recorded) in RECORDED_LINES {
        let (program, lines, _) = separate(recorded.split_inclusive('\n').flat_map(split_into_pieces));
        assert_eq!((program.as_str(), lines_as_text(&lines).as_str()), ("", recorded), "Go {version}");
        let trace = collect_trace(lines);
        assert!(!trace.gc.is_empty(), "Go {version}");
        assert!(trace.scheduler.len() >= 5 && trace.inits.len() > 4, "Go {version}");
        for snapshot in &trace.scheduler {
            assert_eq!(snapshot.event.processor_queues.len(), 2, "Go {version}: {snapshot:?}");
            assert_eq!(snapshot.event.gomaxprocs, 2, "Go {version}");
        }
        assert!(trace.gc.iter().all(|gc| gc.event.heap_goal_mb >= 4 && gc.event.clock_ns[1] > 0), "Go {version}");
    }
}

#[test]
fn runtime_lines_between_and_inside_lines_of_the_program_are_removed() {
    for (version, recorded) in RECORDED_PIECES {
        let writes: Vec<String> = recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (program, lines, cut) = separate(writes.iter().map(String::as_bytes));
        let is_programs = |write: &&String| matches!(write.as_str(), "partial " | "end without newline");
        let programs: String = writes.iter().filter(is_programs).map(String::as_str).collect();
        assert_eq!(program, programs, "Go {version}");
        let runtime: String = writes.iter().filter(|write| !is_programs(write)).map(String::as_str).collect();
        assert_eq!(lines_as_text(&lines) + &cut, runtime, "Go {version}");
        assert!(!collect_trace(lines).gc.is_empty(), "Go {version}");
    }
}

#[test]
fn a_line_cut_at_any_byte_is_incomplete_and_no_byte_of_it_is_lost() {
    for (version, recorded) in RECORDED_LINES {
        for line in recorded.split_inclusive('\n') {
            for length in 0..line.len() {
                let cut = &line[..length];
                let mismatch = RuntimeLine::parse(cut.as_bytes()).unwrap_err();
                assert_ne!(mismatch, Mismatch::Different, "Go {version}: {cut:?}");
                let (program, _, runtime) = separate(split_into_pieces(cut));
                assert_eq!(runtime + &program, cut, "Go {version}");
            }
            RuntimeLine::parse(line.as_bytes()).unwrap();
            let longer = format!("{line}x");
            assert_eq!(RuntimeLine::parse(longer.as_bytes()), Err(Mismatch::Different), "{longer:?}");
        }
    }
}

#[test]
fn the_figures_of_a_collection_are_read_exactly() {
    let Ok(RuntimeLine::Gc(cycle)) = RuntimeLine::parse(GC_LINE.as_bytes()) else { panic!("not a collection") };
    assert_eq!((cycle.number, cycle.at_ns, cycle.percent), (2, 706_000_000, 10));
    assert_eq!(cycle.clock_ns, [59_000, 200_000, 1_500_000]);
    let cpu = (cycle.cpu.pauses_ns, cycle.cpu.assist_ns, cycle.cpu.background_ns, cycle.cpu.idle_ns);
    assert_eq!(cpu, (230_000, 500_000, 48_000, 7_000_000));
    let heap = (cycle.heap_before_mb, cycle.heap_after_mb, cycle.heap_live_mb, cycle.heap_goal_mb);
    assert_eq!(heap, (9, 10, 2, 4));
    assert_eq!((cycle.stacks_mb, cycle.globals_mb, cycle.processors, cycle.forced), (1, 3, 2, true));
    let leaks = GC_LINE.replace("10%", "10% (checking for goroutine leaks)").replace(" (forced)", "");
    assert!(matches!(RuntimeLine::parse(leaks.as_bytes()), Ok(RuntimeLine::Gc(cycle)) if !cycle.forced));
}

#[test]
fn numbers_in_a_form_that_the_runtime_does_not_write_are_rejected() {
    for (from, to) in [
        ("gc 2", "gc 02"),
        ("gc 2", "gc 99999999999999999999"),
        ("0.706", "0.7060000000001"),
        ("0.706", "99999999999999.0"),
        ("0.706", "-0.706"),
        ("9->", " 9->"),
        ("ms clock", "ms  clock"),
        (" P (forced)", " P (forced) "),
    ] {
        let line = GC_LINE.replacen(from, to, 1);
        assert_eq!(RuntimeLine::parse(line.as_bytes()), Err(Mismatch::Different), "{line}");
    }
}

#[test]
fn lines_that_the_program_prints_stay_in_its_output() {
    let first = GC_LINE.replace("gc 2", "gc 1");
    // The runtime never writes a line with one write.
    assert_eq!(program_bytes([first.as_bytes()]), first);
    // The runtime never writes a number and a text with one write.
    assert_eq!(program_bytes([&b"gc "[..], &first.as_bytes()[3..]]), first);
    // A collection whose number does not follow the last number.
    assert_eq!(program_bytes(split_into_pieces(GC_LINE)), GC_LINE);
    let third = first.replace("gc 1", "gc 3");
    assert_eq!(program_bytes([split_into_pieces(&first), split_into_pieces(&third)].concat()), third);
    // Details without a snapshot before them.
    let detail = "  G2: status=4(sleep) m=nil lockedm=nil\n";
    assert_eq!(program_bytes(split_into_pieces(detail)), detail);
    let late = RECORDED_LINES[3].1.lines().rfind(|line| line.starts_with("SCHED 3")).unwrap().to_owned() + "\n";
    assert_eq!(program_bytes(split_into_pieces(&late)), late);
}

#[test]
fn an_incomplete_line_is_passed_on_after_two_seconds() {
    let (mut splitter, mut out) = (OutputSplitter::default(), SplitOutput::default());
    for piece in [&b"before "[..], b"gc ", b"1", b" after"] {
        splitter.push(piece, 0, &mut out);
    }
    assert_eq!(out.program, b"before ");
    splitter.expire(2_000_000_000, &mut out);
    assert_eq!(out.program, b"before ");
    splitter.expire(2_000_000_001, &mut out);
    assert_eq!(out.program, b"before gc 1 after");
    // The rejected line can have been the runtime's, so the next line can have any number.
    for piece in split_into_pieces(GC_LINE) {
        splitter.push(piece, 3_000_000_000, &mut out);
    }
    assert_eq!(lines_as_text(&out.lines), GC_LINE);
}

#[test]
fn a_line_that_the_end_of_the_program_cuts_off_is_the_runtimes() {
    let first = GC_LINE.replace("gc 2", "gc 1");
    let whole = split_into_pieces(&first);
    let (program, lines, cut) = separate([&[&b"before "[..]], &whole[..9], &[b"after".as_slice()]].concat());
    assert_eq!((program.as_str(), lines.len(), cut.as_bytes()), ("before after", 0, &whole[..9].concat()[..]));
    assert_eq!(program_bytes([&b"before "[..], b"gc "]), "before gc ");
    assert_eq!(program_bytes([&b"gc "[..], b"2", b" @"]), "gc 2 @", "the first collection was not seen");
    // The runtime never writes single bytes of a text.
    assert_eq!(program_bytes(GC_LINE.as_bytes().chunks(1)), GC_LINE);
    let (program, ..) = separate([&b"SCHED "[..], b"0", b"m", b"s", b": "]);
    assert_eq!(program, "ms: ");
}

#[test]
fn output_of_the_program_like_the_start_of_a_line_gets_no_piece_of_another_line() {
    let first = GC_LINE.replace("gc 2", "gc 1");
    let line = split_into_pieces(&first);
    for length in 1..line.len() {
        let writes = [&line[..length], &[b"SCHED ".as_slice()], &line[length..]].concat();
        let (program, lines, _) = separate(writes);
        assert_eq!((program.as_str(), lines_as_text(&lines)), ("SCHED ", first.clone()), "after {length} pieces");
    }
}

#[test]
fn at_most_16_mib_are_held_back() {
    let (mut splitter, mut out) = (OutputSplitter::default(), SplitOutput::default());
    splitter.push(b"gc ", 0, &mut out);
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..256 {
        splitter.push(&block, 0, &mut out);
    }
    assert_eq!(out.program.len(), 3 + 256 * block.len());
}

#[test]
fn lines_of_several_threads_and_processes_are_distinguished() {
    let first = GC_LINE.replace("gc 2", "gc 1");
    // One thread prints inside the line of another thread. Then a second process prints its first collection.
    let scheduler = "SCHED 0ms: gomaxprocs=1 idleprocs=0 threads=4 spinningthreads=0 idlethreads=1 runqueue=2 [0]\n";
    let outer = split_into_pieces(scheduler);
    let writes = [
        &outer[..13],
        &split_into_pieces(&first),
        &outer[13..],
        &split_into_pieces(GC_LINE),
        &split_into_pieces(&first),
    ]
    .concat();
    let (program, lines, _) = separate(writes);
    assert_eq!(program, "");
    let found: Vec<_> = lines.iter().map(|line| (&line.bytes[..4], line.process)).collect();
    assert_eq!(found, [(&b"gc 1"[..], 0), (b"SCHE", 0), (b"gc 2", 0), (b"gc 1", 1)]);
}

#[test]
fn times_are_put_on_the_clock_of_the_samples() {
    let line = |number: u64, at: &str, arrived_ns| {
        let bytes = GC_LINE.replace("gc 2", &format!("gc {number}")).replace("0.706", at).into_bytes();
        ArrivedLine { line: RuntimeLine::parse(&bytes).unwrap(), bytes, process: 0, arrived_ns }
    };
    // Each collection took 1.759 ms. The second line was read with the shortest delay.
    let trace = collect_trace(vec![line(1, "0.500", 1_511_000_000), line(2, "0.700", 1_702_759_000)]);
    let starts: Vec<_> = trace.gc.iter().map(|gc| gc.time_ns).collect();
    assert_eq!(starts, [1_501_000_000, 1_701_000_000]);
    assert_eq!(trace.select_time_range(&(1_600_000_000..u64::MAX)).gc.len(), 1);
    let totals = trace.gc_totals();
    assert_eq!((totals.cycles, totals.mark_ns(), totals.pauses_ns), (2, 2 * 7_548_000, 2 * 1_559_000));
}

proptest::proptest! {
    #[test]
    fn no_byte_of_any_writes_is_lost(writes in proptest::collection::vec("(gc |SCHED |init |[0-9]|\\.|%: | @|s |\n|x| ){0,3}", 0..60)) {
        let (program, lines, cut) = separate(writes.iter().map(String::as_bytes));
        proptest::prop_assert_eq!(program.len() + lines_as_text(&lines).len() + cut.len(), writes.concat().len());
    }
}
