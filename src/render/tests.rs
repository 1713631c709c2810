//! What holds for every format.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::{flamegraph, folded, pprof, summary, text};
use crate::profile::fixture::Fixture;
use crate::profile::{Origin, Profile, Quality, StackId};

type Renderer = (&'static str, fn(&Profile, &mut dyn Write) -> io::Result<()>);

const RENDERERS: [Renderer; 5] = [
    ("folded", |profile, out| folded::write(profile, out)),
    ("flamegraph", |profile, out| flamegraph::write(profile, &flamegraph::Options::default(), out)),
    ("pprof", |profile, out| pprof::write(profile, &pprof::Options::default(), out)),
    ("summary", |profile, out| summary::write(profile, &Quality::default(), "title", out)),
    ("text", |profile, out| text::write(profile, text::Options { columns: 80, color: true }, out)),
];

fn busy() -> Fixture {
    let mut fixture = Fixture::new();
    for (at, leaf) in
        ["main.a", "main.b", "runtime.mallocgc", "sort.Sort", "k:page_fault", "c:memcpy"].iter().enumerate()
    {
        fixture.add("app", &format!("runtime.goexit|main.main|{leaf}"), at as u64 + 1);
        fixture.add("helper", &format!("runtime.goexit|{leaf}"), 2);
    }
    fixture
}

#[test]
fn full_disk_is_an_error_in_every_format() {
    for (format, write) in RENDERERS {
        for profile in [busy().profile, Fixture::new().profile] {
            // Smaller than the buffer, so that nothing fails before the flush.
            let mut out = BufWriter::with_capacity(1 << 20, File::options().write(true).open("/dev/full").unwrap());
            let result = write(&profile, &mut out);
            let (file, _) = out.into_parts();
            drop(file);
            if format == "folded" && profile.samples().is_empty() {
                continue; // writes nothing
            }
            let error = result.expect_err(format);
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{format}");
        }
    }
}

#[test]
fn same_profile_gives_same_bytes() {
    for (format, write) in RENDERERS {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write(&busy().profile, &mut one).unwrap();
        write(&busy().profile, &mut two).unwrap();
        assert!(one == two, "{format} differs");
    }
}

#[test]
fn hostile_names_neither_act_nor_break_lines() {
    let mut fixture = Fixture::new();
    let mut stack = StackId::EMPTY;
    for name in
        ["<script>alert(1)</script>", "a;b\nc", "\u{1b}[2J", "\"'&]]>--", "x 12", "", "y_[k]", "# z", "\u{202e}"]
    {
        stack = fixture.push(stack, name, Origin::Main);
        fixture.add_stack("# p;\n1 2", stack, 1);
    }
    for (format, write) in RENDERERS.into_iter().filter(|(format, _)| *format != "pprof") {
        let mut out = Vec::new();
        write(&fixture.profile, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let plain = text.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        let plain = plain.replace("\u{1b}[35m", "");
        assert!(!plain.contains('\u{1b}'), "{format} passes an escape on");
        assert!(format == "summary" || !plain.contains('\u{202e}'), "{format} passes a direction mark on");
        assert!(format != "flamegraph" || !plain.contains("<script>alert"), "{format} passes markup on");
    }
    let mut out = Vec::new();
    folded::write(&fixture.profile, &mut out).unwrap();
    let folded = String::from_utf8(out).unwrap();
    assert_eq!(folded.lines().count(), 9);
    assert_eq!(folded.lines().nth(1), Some("#_p:_1_2;<script>alert(1)</script>;a:b c 1"));
}
