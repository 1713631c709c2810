#![allow(clippy::unwrap_used)]

use super::{DiffDocument, DiffFormat, WidthSource, write_text};
use crate::pprof::SourceDirs;
use crate::profile::Quality;
use crate::profile::fixture::Fixture;
use crate::render::text::{Layout, Sort};
use crate::render::{Document, Drawing};
use crate::views::{Diff, GroupBy, Normalize, Scale, View};

const OLD: [(&str, u64); 4] = [
    ("main.main|main.parse", 5_000),
    ("main.main|main.rank", 3_000),
    ("main.main|main.old<&>|main.f.func1", 1_000),
    ("main.main|main.same", 1_000),
];
const NEW: [(&str, u64); 4] = [
    ("main.main|main.parse", 4_000),
    ("main.main|main.rank", 4_500),
    ("main.main|main.`new|x", 1_400),
    ("main.main|main.same|main.f.func2", 1_000),
];

fn write_comparison(
    normalize: Normalize,
    write: impl Fn(&DiffDocument<'_>, &mut Vec<u8>),
    width: WidthSource,
) -> String {
    let [old, new] = [(&OLD, "0ldc0de"), (&NEW, "c0ffee")].map(|(stacks, build_id)| {
        let mut fixture = Fixture::new();
        fixture.build_id = build_id;
        for (stack, count) in stacks {
            fixture.add("app", &stack.replace("`new|x", "`new"), *count);
        }
        View::new(fixture.profile, GroupBy::Process)
    });
    let diff = Diff::new([&old, &new], Scale::new([old.profile(), new.profile()], normalize, None));
    let (quality, sources, drawing) = (&Quality::default(), &SourceDirs::default(), &Drawing::default());
    let document = |view| Document::new(view, quality, "app [debug]", sources, drawing);
    let document = DiffDocument {
        diff: &diff,
        sides: [document(&old), document(&new)],
        names: ["20261130-1", "cpu.pb.gz"],
        title: None,
        notes: &[],
        width_source: width,
        labels: ["old", "new"],
        work: None,
        debug_only: &[],
    };
    let mut out = Vec::new();
    write(&document, &mut out);
    String::from_utf8(out).unwrap()
}

fn text(normalize: Normalize, columns: usize) -> String {
    let layout = Layout { columns, has_color: false, rows: 3, sort: Sort::SelfWeight };
    write_comparison(normalize, |document, out| write_text(document, layout, out).unwrap(), WidthSource::New)
}

#[test]
fn the_table_begins_with_the_result() {
    let text = text(Normalize::Share, 120);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "1 function grew, 1 shrank, 1 is new, 1 is gone beyond chance, 1 more with what it calls; total CPU time 10.03 s → 10.93 s",
            "old  20261130-1 app [debug]: cpu-clock, 997 Hz, 10 000 samples, quality fair",
            "new  cpu.pb.gz app [debug]: cpu-clock, 997 Hz, 10 900 samples, quality fair",
            "",
            "shares of all samples in percent, changes in percentage points; ± holds with 95 % for all 12 comparisons together",
        ]
    );
    assert_eq!(
        lines[5].split_whitespace().collect::<Vec<_>>().join(" "),
        "self old new change cum old new change function"
    );
    let names = lines[6..9].iter().map(|line| line.split_whitespace().last().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["main.parse", "main.`new", "main.rank"]);
    assert!(lines[6].starts_with("shrank  ") && lines[6].contains("−13.30 ± "), "{}", lines[6]);
    assert_eq!(lines[9], "4 other functions, 2 of them changed");
    assert!(text.contains("\nGone, with what they called\n10.0 %  main.old<&>\n"), "{text}");
    assert!(text.ends_with("\nMatched under different names\nmain.f.func1 → main.f.func2\n"), "{text}");
}

#[test]
fn lines_fit_into_the_terminal_and_numbers_are_not_shortened() {
    for columns in [40, 60, 80, 100, 200] {
        let text = text(Normalize::Time, columns);
        let table = text.lines().skip(3);
        for line in table {
            assert!(crate::render::columns::width(line) <= columns, "{columns}: {line}");
        }
        assert!(text.contains("+1.50 ± "), "{columns}: {text}");
    }
    // Earlier, both columns had the heading `change` in narrow terminals.
    let heading = |columns| {
        let text = text(Normalize::Time, columns);
        let line = text.lines().find(|line| line.ends_with("function")).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(heading(200), "self old new change cum old new change function");
    assert_eq!(heading(80), "self change cum change function");
    assert_eq!(heading(40), "self change function");
}

#[test]
fn markdown_escapes_names() {
    let write = |document: &DiffDocument<'_>, out: &mut Vec<u8>| DiffFormat::Markdown.write(document, 10, out).unwrap();
    let markdown = write_comparison(Normalize::Share, write, WidthSource::New);
    let row = markdown.lines().find(|line| line.starts_with("| new |")).unwrap();
    assert!(row.starts_with("| new | `main.'new` | 0 | 12.8 % | **+12.84 ± "), "{row}");
    assert_eq!(row.matches(" | ").count(), 7, "{row}");
    assert!(markdown.contains("- `main.old<&>` 10.0 %\n"), "{markdown}");
    assert!(markdown.contains("- `main.f.func1` → `main.f.func2`\n"), "{markdown}");
}

/// Returns the tooltip and the colour of each frame.
fn frames(width: WidthSource) -> Vec<(String, String)> {
    let svg =
        write_comparison(Normalize::Share, |document, out| DiffFormat::Svg.write(document, 10, out).unwrap(), width);
    let frame = |frame: &str| {
        let (title, rest) = frame.split_once("</title>").unwrap();
        let colour = rest.split_once("fill=\"").unwrap().1.split_once('"').unwrap().0;
        (title.to_owned(), colour.to_owned())
    };
    svg.split("<title>").skip(1).map(frame).collect()
}

#[test]
fn the_flame_graph_shows_the_figures_and_colours_of_both_profiles() {
    let new = frames(WidthSource::New);
    let colour = |frames: &[(String, String)], name: &str| {
        let found = frames.iter().find(|(title, _)| title.starts_with(&format!("{name} ")));
        found.unwrap_or_else(|| panic!("no {name} in {frames:?}")).clone()
    };
    let (title, red) = colour(&new, "main.rank");
    assert!(title.starts_with("main.rank (30.0 % → 41.3 %: +11.28 ± "), "{title}");
    assert!(title.ends_with(" percentage points, grew; 3 000 samples and 4 500 samples)"), "{title}");
    let (_, blue) = colour(&new, "main.parse");
    let (title, yellow) = colour(&new, "main.`new");
    assert!(title.contains(", new; 0 samples and 1 400 samples)"), "{title}");
    let (title, grey) = colour(&new, "main.main");
    assert!(title.contains("no change beyond chance"), "{title}");
    let channels = |colour: &str| {
        let inside = colour.trim_start_matches("rgb(").trim_end_matches(')').split(',');
        inside.map(|channel| channel.parse::<i32>().unwrap()).collect::<Vec<_>>()
    };
    let [red, blue, yellow, grey] = [red, blue, yellow, grey].map(|colour| channels(&colour));
    assert!(red[0] > red[2] + 20 && blue[2] > blue[0] + 20, "{red:?} {blue:?}");
    assert_eq!((yellow, grey[0] == grey[2]), (vec![240, 200, 60], true), "{grey:?}");
    assert!(!new.iter().any(|(title, _)| title.starts_with("main.old")), "{new:?}");

    let old = frames(WidthSource::Old);
    let (title, _) = colour(&old, "main.old&lt;&amp;&gt;");
    assert!(title.contains(", gone; 1 000 samples and 0 samples)"), "{title}");
    assert!(!old.iter().any(|(title, _)| title.starts_with("main.`new")), "{old:?}");
    // inferno's script takes the text before the last parenthesis as the name.
    let of_frames = new.iter().chain(&old).filter(|(title, _)| title.contains(" → "));
    let has_name = |title: &str| title.rsplit_once(" (").is_some_and(|(_, tail)| tail.ends_with(')'));
    assert!(of_frames.clone().count() > 8 && of_frames.clone().all(|(title, _)| has_name(title)), "{new:?}");
}
