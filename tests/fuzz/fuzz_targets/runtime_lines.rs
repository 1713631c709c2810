//! Fuzzes the separation of the Go runtime's lines from a program's output. No input causes a panic or the loss of a byte.
#![no_main]

use goflame::gotrace::{RuntimeLine, Separated, Separator, TraceCollector};
use libfuzzer_sys::fuzz_target;

// The byte 0xff ends a write. Each write arrives 100 ms after the previous write.
fuzz_target!(|data: &[u8]| {
    let _ = RuntimeLine::parse(data);
    let (mut separator, mut out) = (Separator::default(), Separated::default());
    let mut written = 0;
    for (index, piece) in data.split(|byte| *byte == 0xff).enumerate() {
        written += piece.len();
        separator.push(piece, index as u64 * 100_000_000, &mut out);
    }
    separator.finish(&mut out);
    let lines = out.lines.iter().map(|line| line.bytes.len()).sum::<usize>();
    assert_eq!(out.program.len() + lines + out.cut_lines.concat().len(), written);
    let mut collector = TraceCollector::default();
    out.lines.into_iter().for_each(|line| collector.add(line));
    let trace = collector.finish();
    assert_eq!(trace.select_time_range(&(0..u64::MAX)).gc_totals(), trace.gc_totals());
});
