//! Tests of properties that all formats share.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{self, BufWriter, Write};

use clap::ValueEnum;

use super::diff::{DiffDocument, DiffFormat, WidthSource, write_text};
use super::{Document, Drawing, Format, folded, text};
use crate::pprof::SourceDirs;
use crate::profile::fixture::Fixture;
use crate::profile::{Origin, Quality, StackId};
use crate::stacktext;
use crate::views::{Diff, GroupBy, Normalize, Scale, View};

type Renderer = Box<dyn Fn(&View, &mut dyn Write) -> io::Result<()>>;

/// Returns the renderers of all formats, of the terminal report and of all formats of comparisons, each with its name.
fn renderers() -> Vec<(String, Renderer)> {
    let format = |format: &Format| -> (String, Renderer) {
        let format = *format;
        let write = move |view: &View, out: &mut dyn Write| {
            let (quality, sources, drawing) = (&Quality::default(), &SourceDirs::default(), &Drawing::default());
            format.write(&Document::new(view, quality, "title", sources, drawing), out)
        };
        (format!("{format:?}"), Box::new(write))
    };
    let layout = text::Layout { columns: 80, has_color: true, rows: text::DEFAULT_ROWS, sort: text::Sort::SelfWeight };
    let report: Renderer = Box::new(move |view, out| text::write(view, layout, text::Links::default(), out));
    let diff: Renderer =
        Box::new(move |view, out| write_comparison(view, |document| write_text(document, layout, out)));
    let diff_format = |format: &DiffFormat| -> (String, Renderer) {
        let format = *format;
        let write =
            move |view: &View, out: &mut dyn Write| write_comparison(view, |document| format.write(document, 20, out));
        (format!("Diff{format:?}"), Box::new(write))
    };
    let formats = Format::value_variants().iter().map(format);
    let diffs = DiffFormat::value_variants().iter().map(diff_format);
    formats.chain(diffs).chain([("report".to_owned(), report), ("diff".to_owned(), diff)]).collect()
}

/// Writes the comparison of an empty profile with a view.
fn write_comparison(view: &View, write: impl FnOnce(&DiffDocument<'_>) -> io::Result<()>) -> io::Result<()> {
    let (quality, sources, old) = (&Quality::default(), &SourceDirs::default(), empty_view());
    let drawing = &Drawing::default();
    let diff = Diff::new([&old, view], Scale::new([old.profile(), view.profile()], Normalize::Time, None));
    let document = |view| Document::new(view, quality, "a|`<b>", sources, drawing);
    write(&DiffDocument {
        diff: &diff,
        sides: [document(&old), document(view)],
        names: ["old", "new"],
        title: None,
        notes: &["<i> `x`".to_owned()],
        width_source: WidthSource::New,
        labels: ["old", "new"],
        work: Some("<b>work"),
        debug_only: &[],
    })
}

fn empty_view() -> View {
    view(Fixture::new())
}

fn view(fixture: Fixture) -> View {
    View::new(fixture.profile, GroupBy::Process)
}

fn busy_fixture() -> Fixture {
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
        for fixture in [busy_fixture(), Fixture::new()] {
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
        write(&view(busy_fixture()), &mut one).unwrap();
        write(&view(busy_fixture()), &mut two).unwrap();
        assert!(one == two, "{format} differs");
    }
}

/// Names that would break out of a format that does not escape them.
fn hostile_names() -> Vec<String> {
    let names = [
        "<script>alert(1)</script>",
        "a;b\nc",
        "\u{1b}[2J",
        "\"'&]]>--",
        "x 12",
        "",
        "y_[k]",
        "# z",
        "\u{202e}rtl",
        "a|b\\|c`d`<img src=x onerror=alert(1)>",
        "\u{0}\u{7f}\u{9b}31m\u{2028}",
        "</title></svg></script><!--",
        "${x}{data}",
    ];
    names.into_iter().map(str::to_owned).chain(["n".repeat(10_000), "<&\u{202e}".repeat(2_000)]).collect()
}

/// Returns a view in which functions, the process, the event and the source file have hostile names, and its sample count.
fn hostile_view() -> (View, u64) {
    let mut fixture = Fixture::new();
    fixture.profile.event.name = "cpu|`<b>\u{1b}[2J\u{202e}".to_owned();
    let mut stack = StackId::EMPTY;
    let names = hostile_names();
    for name in &names {
        stack = fixture.push(stack, name, Origin::Main);
        fixture.add_stack("# p;\n1 2</script>", stack, 1);
    }
    (view(fixture), names.len() as u64)
}

#[test]
fn hostile_names_inject_no_escapes_markup_or_lines() {
    let (view, count) = hostile_view();
    for (format, write) in renderers().into_iter().filter(|(format, _)| format != "Pprof") {
        let mut out = Vec::new();
        write(&view, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let plain = text.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        let plain = plain.replace("\u{1b}[35m", "");
        let harmful = |c: char| c.is_control() && c != '\n';
        assert!(
            !plain.contains(harmful) || format == "Html" || format.ends_with("Svg"),
            "{format} passes a control on"
        );
        assert!(!plain.contains('\u{1b}'), "{format} passes an escape on");
        assert!(!plain.contains('\u{202e}'), "{format} passes a direction mark on");
        let markup = ["<script>alert", "<img", "</title></svg>", "<b>"];
        if format.ends_with("Svg") || format == "Html" {
            assert!(!markup.iter().any(|markup| plain.contains(markup)), "{format} passes markup on");
        }
        if ["Json", "DiffJson", "Speedscope", "Firefox", "ChromeTrace"].contains(&format.as_str()) {
            serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{format}: {error}"));
        }
        if format.ends_with("Markdown") {
            assert!(text.len() < 60_500, "{format} has {} bytes", text.len());
            assert_harmless_markdown(&text, &format);
        }
    }
    let mut out = Vec::new();
    folded::write(&view, &mut out).unwrap();
    let folded = String::from_utf8(out).unwrap();
    assert_eq!(folded.lines().count() as u64, count);
    assert_eq!(folded.lines().nth(1), Some("#_p:_1_2</script>;<script>alert(1)</script>;a:b c 1"));
    let read = stacktext::read_folded(folded.as_bytes()).unwrap();
    assert_eq!((read.profile.total_count(), read.notes), (count, Vec::new()));
}

/// Parses Markdown as GitHub does. Fails on HTML, links and pictures, and on rows that do not have the cells of their table.
fn assert_harmless_markdown(text: &str, format: &str) {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let mut cells = 0;
    let mut columns = 0;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => panic!("{format} passes HTML on: {html}"),
            Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::CodeBlock(_)) => panic!("{format}: {event:?}"),
            Event::Start(Tag::Table(alignments)) => columns = alignments.len(),
            Event::Start(Tag::TableRow) => cells = 0,
            Event::Start(Tag::TableCell) => cells += 1,
            // GitHub cuts a row with more cells than the table, so the last cell with the function would be lost.
            Event::End(TagEnd::TableRow) => assert_eq!(cells, columns, "{format}"),
            _ => {}
        }
    }
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert!(bars >= 4 && line.matches('`').count() % 2 == 0, "{format}: {line}");
    }
}

#[test]
fn markdown_stays_below_the_limit_of_github() {
    let mut fixture = Fixture::new();
    let wide = "世".repeat(4_000);
    for at in 0..200 {
        let calls: Vec<String> = (0..60).map(|depth| format!("main.{wide}{at}_{depth}")).collect();
        fixture.add("app", &calls.join("|"), 1);
    }
    let (view, quality, sources) = (view(fixture), Quality::default(), SourceDirs::default());
    let facts: Vec<_> = (0..500).map(|_| ("Fact", wide.clone())).collect();
    let notes: Vec<_> = (0..500).map(|_| wide.clone()).collect();
    let drawing = &Drawing::default();
    let document =
        Document { facts: &facts, notes: &notes, ..Document::new(&view, &quality, &wide, &sources, drawing) };
    let mut out = Vec::new();
    Format::Markdown.write(&document, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.len() < 60_500 && text.ends_with('\n'), "{} bytes", text.len());
    assert!(text.contains("… and 480 more"));
}

/// Every format that holds all samples holds the same total.
#[test]
fn totals_are_equal_in_every_format() {
    let view = view(busy_fixture());
    let json = |format: Format| -> serde_json::Value {
        let mut out = Vec::new();
        let (quality, sources, drawing) = (&Quality::default(), &SourceDirs::default(), &Drawing::default());
        let document = Document::new(&view, quality, "title", sources, drawing);
        format.write(&document, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    };
    let profile = view.profile();
    let (count, weight) = (profile.total_count(), profile.total_weight());
    let sum = |values: &serde_json::Value| {
        values.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).sum::<u64>()
    };

    let speedscope = json(Format::Speedscope);
    let profiles = speedscope["profiles"].as_array().unwrap();
    let names: Vec<_> = profiles.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "helper"]);
    assert_eq!(profiles.iter().map(|one| sum(&one["weights"])).sum::<u64>(), weight);
    assert_eq!(profiles.iter().map(|one| one["endValue"].as_u64().unwrap()).sum::<u64>(), weight);

    let firefox = json(Format::Firefox);
    let threads = firefox["threads"].as_array().unwrap();
    assert_eq!(threads.iter().map(|thread| sum(&thread["samples"]["weight"])).sum::<u64>(), count);

    let trace = json(Format::ChromeTrace);
    let (mut open, mut total) = (0, 0.0);
    for event in trace["traceEvents"].as_array().unwrap() {
        let ts = event["ts"].as_f64().unwrap_or_default();
        match event["ph"].as_str().unwrap() {
            "B" if open == 0 => (open, total) = (1, total - ts),
            "B" => open += 1,
            "E" if open == 1 => (open, total) = (0, total + ts),
            "E" => open -= 1,
            other => assert_eq!(other, "M"),
        }
    }
    assert_eq!(open, 0);
    assert!((total * 1000.0 - weight as f64).abs() < 1.0, "{total} µs of {weight} ns");
}
