//! Tests of properties that all formats share.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{self, BufWriter, Write};

use clap::ValueEnum;

use super::diff::{DiffDocument, DiffFormat, DrawnWidth, write_text};
use super::{Document, Format, ServerRun, folded, text};
use crate::pprof::SourceDirs;
use crate::profile::fixture::Fixture;
use crate::profile::{Origin, Quality, StackId};
use crate::views::{By, Diff, Normalize, Scale, View};

type Renderer = Box<dyn Fn(&View, &mut dyn Write) -> io::Result<()>>;

/// Returns all formats, the terminal report and all formats of the differences to an empty profile, with their names.
fn renderers() -> Vec<(String, Renderer)> {
    let format = |format: &Format| -> (String, Renderer) {
        let format = *format;
        let write = move |view: &View, out: &mut dyn Write| {
            let (quality, sources) = (&Quality::default(), &SourceDirs::default());
            format.write(
                &Document {
                    view,
                    quality,
                    title: "title",
                    sources,
                    facts: &[],
                    notes: &[],
                    findings: &[],
                    server: ServerRun::default(),
                },
                out,
            )
        };
        (format!("{format:?}"), Box::new(write))
    };
    let layout = text::Layout { columns: 80, color: true, rows: text::ROWS, sort: text::Sort::SelfWeight };
    let report: Renderer = Box::new(move |view, out| text::write(view, layout, out));
    let diff: Renderer = Box::new(move |view, out| differences(view, |document| write_text(document, layout, out)));
    let diff_format = |format: &DiffFormat| -> (String, Renderer) {
        let format = *format;
        let write =
            move |view: &View, out: &mut dyn Write| differences(view, |document| format.write(document, 20, out));
        (format!("Diff{format:?}"), Box::new(write))
    };
    let formats = Format::value_variants().iter().map(format);
    let diffs = DiffFormat::value_variants().iter().map(diff_format);
    formats.chain(diffs).chain([("report".to_owned(), report), ("diff".to_owned(), diff)]).collect()
}

fn differences(view: &View, write: impl FnOnce(&DiffDocument<'_>) -> io::Result<()>) -> io::Result<()> {
    let (quality, sources, old) = (&Quality::default(), &SourceDirs::default(), view_of_nothing());
    let diff = Diff::new([&old, view], Scale::new([old.profile(), view.profile()], Normalize::Time, None));
    let document = |view| Document {
        view,
        quality,
        title: "a|`<b>",
        sources,
        facts: &[],
        notes: &[],
        findings: &[],
        server: ServerRun::default(),
    };
    write(&DiffDocument {
        diff: &diff,
        sides: [document(&old), document(view)],
        names: ["old", "new"],
        title: None,
        notes: &["<i> `x`".to_owned()],
        width: DrawnWidth::New,
    })
}

fn view_of_nothing() -> View {
    view(Fixture::new())
}

fn view(fixture: Fixture) -> View {
    View::new(fixture.profile, By::Process)
}

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
    for (format, write) in renderers() {
        for fixture in [busy(), Fixture::new()] {
            let view = view(fixture);
            // The buffer holds the whole output, so that only the flush can fail.
            let mut out = BufWriter::with_capacity(1 << 20, File::options().write(true).open("/dev/full").unwrap());
            let result = write(&view, &mut out);
            let (file, _) = out.into_parts();
            drop(file);
            if format == "Folded" && view.profile().samples().is_empty() {
                continue; // writes nothing
            }
            let error = result.expect_err(&format);
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{format}");
        }
    }
}

#[test]
fn same_profile_gives_same_bytes() {
    for (format, write) in renderers() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write(&view(busy()), &mut one).unwrap();
        write(&view(busy()), &mut two).unwrap();
        assert!(one == two, "{format} differs");
    }
}

#[test]
fn hostile_names_inject_no_escapes_markup_or_lines() {
    let mut fixture = Fixture::new();
    let mut stack = StackId::EMPTY;
    for name in
        ["<script>alert(1)</script>", "a;b\nc", "\u{1b}[2J", "\"'&]]>--", "x 12", "", "y_[k]", "# z", "\u{202e}"]
    {
        stack = fixture.push(stack, name, Origin::Main);
        fixture.add_stack("# p;\n1 2", stack, 1);
    }
    let view = view(fixture);
    for (format, write) in renderers().into_iter().filter(|(format, _)| format != "Pprof") {
        let mut out = Vec::new();
        write(&view, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let plain = text.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        let plain = plain.replace("\u{1b}[35m", "");
        assert!(!plain.contains('\u{1b}'), "{format} passes an escape on");
        assert!(format.ends_with("Json") || !plain.contains('\u{202e}'), "{format} passes a direction mark on");
        assert!(!format.ends_with("Svg") || !plain.contains("<script>alert"), "{format} passes markup on");
    }
    let mut out = Vec::new();
    folded::write(&view, &mut out).unwrap();
    let folded = String::from_utf8(out).unwrap();
    assert_eq!(folded.lines().count(), 9);
    assert_eq!(folded.lines().nth(1), Some("#_p:_1_2;<script>alert(1)</script>;a:b c 1"));
}
