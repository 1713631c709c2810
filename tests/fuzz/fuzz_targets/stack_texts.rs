//! Fuzzes the readers of texts with stacks, and every output. No input causes a panic. Folded stacks that goflame writes and
//! reads again have the same total.
//!
//! Input: a byte that chooses the reader, then the text.
#![no_main]

use std::io::sink;

use goflame::profile::Quality;
use goflame::pprof::SourceDirs;
use goflame::render::{Document, Drawing, Format, folded};
use goflame::stacktext::{self, StackText};
use goflame::views::{GroupBy, View};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let _ = (stacktext::is_folded(text), stacktext::is_perf_script(text));
    let read = if choice & 1 == 0 { stacktext::read_folded(text) } else { stacktext::read_perf_script(text, None) };
    let Ok(StackText { profile, notes, .. }) = read else { return };
    assert!(profile.stack_count() <= text.len() + 1, "more stacks than the bytes justify");
    let count = profile.total_count();
    let view = View::new(profile, GroupBy::Process);
    let mut written = Vec::new();
    folded::write(&view, &mut written).unwrap();
    let again = stacktext::read_folded(&written).expect("goflame reads what it writes");
    // Counts are divided if their sum needs more than 64 bits.
    if count < u64::MAX {
        assert_eq!(again.profile.total_count(), count);
    }
    let (quality, sources, drawing) = (&Quality::default(), &SourceDirs::default(), &Drawing::default());
    let document = Document { notes: &notes, ..Document::new(&view, quality, "", sources, drawing) };
    for format in [Format::Speedscope, Format::Firefox, Format::ChromeTrace, Format::Markdown, Format::Json] {
        format.write(&document, &mut sink()).unwrap();
    }
});
