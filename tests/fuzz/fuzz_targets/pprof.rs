//! Fuzzes the reader of pprof profiles, and every output. No input causes a panic. A profile that goflame writes and reads
//! again has the same totals.
//!
//! Input: a byte of choices (with or without valid tables before the profile, gzipped or not, which sample type), then the
//! bytes of a profile.
#![no_main]

use std::io::{Write, sink};

use flate2::Compression;
use flate2::write::GzEncoder;
use goflame::views::{GroupBy, View};
use goflame::pprof::SourceDirs;
use goflame::render::text::{Layout, Links, Sort};
use goflame::{pprof, render};
use libfuzzer_sys::fuzz_target;

/// Valid tables: strings, two sample types, two mappings, functions 1 to 4 and locations 1 to 4. So the fuzzer does not have
/// to discover the format first. More fields can follow, because a message allows its fields in any order and number.
const TABLES: &[u8] = &[
    0x32, 0, 0x32, 7, b's', b'a', b'm', b'p', b'l', b'e', b's', 0x32, 5, b'c', b'o', b'u', b'n', b't', 0x32, 3, b'c',
    b'p', b'u', 0x32, 11, b'n', b'a', b'n', b'o', b's', b'e', b'c', b'o', b'n', b'd', b's', 0x32, 4, b'/', b'a', b'p',
    b'p', 0x32, 8, b'm', b'a', b'i', b'n', b'.', b'F', b'[', b']', 0x32, 7, b'p', b'r', b'o', b'c', b'e', b's', b's',
    0x32, 3, b'p', b'i', b'd', 0x32, 9, b'g', b'o', b'r', b'o', b'u', b't', b'i', b'n', b'e', 0x32, 1, b'g', 0x32, 4,
    b'0', b'x', b'c', b'0', 0x32, 3, b'c', b'p', b'u', 0x32, 5, b'e', b'n', b't', b'r', b'y', 0x0a, 4, 8, 1, 0x10, 2,
    0x0a, 4, 8, 3, 0x10, 4, 0x1a, 6, 8, 1, 0x10, 4, 0x28, 5, 0x1a, 2, 8, 2, 0x2a, 6, 8, 1, 0x10, 6, 0x18, 6, 0x2a, 4,
    8, 2, 0x10, 7, 0x2a, 4, 8, 3, 0x18, 8, 0x2a, 4, 8, 4, 0x20, 5, 0x22, 12, 8, 1, 0x10, 1, 0x22, 2, 8, 1, 0x22, 2, 8,
    2, 0x22, 6, 8, 2, 0x22, 2, 8, 3, 0x22, 2, 8, 3, 0x22, 4, 8, 4, 0x18, 9,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choices, rest)) = bytes.split_first() else { return };
    let mut profile = if choices & 1 == 0 { rest.to_vec() } else { [TABLES, rest].concat() };
    if choices & 2 != 0 {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(&profile).unwrap();
        profile = gzip.finish().unwrap();
    }
    let sample_type = ["samples", "0", "1"].get(usize::from(choices >> 2 & 3)).copied();
    let _ = pprof::is_pprof(&profile);
    let Ok(read) = pprof::read(&profile, sample_type) else { return };
    let (profile, quality) = (read.profile, read.quality);
    assert!(profile.stack_count() <= (rest.len() + TABLES.len()) * 8 + 1, "more stacks than the bytes justify");
    if profile.event.is_sampled() {
        assert_eq!(quality.samples, Some(profile.total_count()));
    }
    let mut written = Vec::new();
    pprof::write(&profile, &[], &SourceDirs::default(), &mut written).unwrap();
    let again = pprof::read(&written, None).expect("goflame reads what it writes");
    // Numbers in pprof are below 2^63.
    if profile.total_weight() < 1 << 63 && profile.total_count() < 1 << 63 {
        assert_eq!(
            (again.profile.total_count(), again.profile.total_weight()),
            (profile.total_count(), profile.total_weight())
        );
    }
    let (by_process, by_goroutine) = (View::new(profile.clone(), GroupBy::Process), View::new(profile, GroupBy::Goroutine));
    render::folded::write(&by_process, &mut sink()).unwrap();
    let (sources, drawing) = (&SourceDirs::default(), &render::Drawing::default());
    let document = render::Document::new(&by_process, &quality, "fuzz", sources, drawing);
    render::Format::Json.write(&document, &mut sink()).unwrap();
    render::text::write(&by_process, Layout { columns: 80, has_color: false, rows: 10, sort: Sort::Cumulative }, Links::default(), &mut sink()).unwrap();
    render::flamegraph::write(&by_goroutine, "", "", &render::Drawing::default(), &mut sink()).unwrap();
});
