#![allow(clippy::unwrap_used)]

use std::io;

use super::draw::NOTICE;
use super::measure::MAX_EXACT;
use super::tree::MAX_FRAMES;
use super::{legend, palette, write};
use crate::profile::fixture::Fixture;
use crate::profile::{Event, Origin, Profile, StackId, Unit};
use crate::views::{By, View};

fn svg(profile: &Profile) -> String {
    let mut out = Vec::new();
    write(&View::new(profile.clone(), By::Process), "app (debug) <1>", "997 Hz, cpu-clock", &mut out).unwrap();
    let svg = String::from_utf8(out).unwrap();
    assert_well_formed(&svg);
    svg
}

/// Asserts that tags are balanced and that no comment contains `--`.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some((_, tail)) = rest.split_once('<') {
        rest = tail;
        for (start, end) in [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>"), ("!", ">")] {
            if rest.starts_with(start) {
                let (inside, tail) = rest[start.len()..].split_once(end).unwrap();
                assert!(start != "!--" || !inside.contains("--"), "a comment holds -- : {inside}");
                rest = tail;
                break;
            }
        }
        if tail.starts_with(['!', '?']) {
            continue;
        }
        let (tag, tail) = rest.split_once('>').unwrap();
        rest = tail;
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert_eq!(rest, "\n");
}

/// Returns tooltip and fill colour of every frame.
fn frames(svg: &str) -> Vec<(&str, &str)> {
    let (_, frames) = svg.split_once(r#"<svg id="frames""#).unwrap();
    frames
        .split("<g><title>")
        .skip(1)
        .map(|frame| {
            let (title, rest) = frame.split_once("</title>").unwrap();
            (title, rest.split_once("fill=\"").unwrap().1.split_once('"').unwrap().0)
        })
        .collect()
}

fn titles(svg: &str) -> Vec<&str> {
    frames(svg).into_iter().map(|frame| frame.0).collect()
}

#[test]
fn frames_are_processes_and_functions_sorted_by_name() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.F|main.y", 2);
    fixture.add("app", "main.F.func1|main.x", 3);
    fixture.add("app", "main.F", 1);
    fixture.add("zapp", "main.F", 4);
    let svg = svg(&fixture.profile);
    let mut found = titles(&svg);
    found.sort_unstable();
    // If lines were sorted as text, main.F in app would be two frames.
    assert_eq!(
        found,
        [
            "all (10 samples, 100%)",
            "app (6 samples, 60.00%)",
            "main.F (3 samples, 30.00%)",
            "main.F (4 samples, 40.00%)",
            "main.F.func1 (3 samples, 30.00%)",
            "main.x (3 samples, 30.00%)",
            "main.y (2 samples, 20.00%)",
            "zapp (4 samples, 40.00%)",
        ]
    );
}

#[test]
fn widths_are_time_if_periods_differ() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.a", 2);
    fixture.period = 500_000;
    fixture.add("app", "main.b", 1);
    let svg = svg(&fixture.profile);
    assert!(titles(&svg).contains(&"main.a (2,006 µs, 80.05%)"), "{:?}", titles(&svg));
}

#[test]
fn widths_are_events_if_events_were_sampled() {
    let mut fixture = Fixture::new_cycles();
    fixture.add("app", "main.a", 2);
    assert!(titles(&svg(&fixture.profile)).contains(&"main.a (4,000,000 cycles, 100.00%)"));
}

#[test]
fn absurd_weights_are_scaled_to_exact_numbers_of_browsers() {
    let mut fixture = Fixture::new_cycles();
    fixture.period = u64::MAX;
    for name in ["main.a", "main.b", "main.c", "main.d"] {
        fixture.add("app", name, 1);
    }
    let svg = svg(&fixture.profile);
    let (_, total) = svg.split_once("total_samples=\"").unwrap();
    let total: u64 = total.split_once('"').unwrap().0.parse().unwrap();
    assert!(total <= MAX_EXACT && total > MAX_EXACT / 2, "{total}");
}

#[test]
fn origins_differ_in_colour_and_are_in_the_legend() {
    let mut fixture = Fixture::new();
    // One text for functions of four origins and for a process.
    let mut stack = StackId::EMPTY;
    for origin in [Origin::Main, Origin::Kernel, Origin::Native, Origin::Std] {
        stack = fixture.push(stack, "memmove", origin);
    }
    fixture.add_stack("memmove", stack, 3);
    fixture.add("memmove", "runtime.goexit", 1);
    let svg = svg(&fixture.profile);
    let mut colours: Vec<_> = frames(&svg)
        .into_iter()
        .filter(|frame| frame.0 == "memmove (3 samples, 75.00%)")
        .map(|frame| frame.1)
        .collect();
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 4, "{colours:?}");
    assert!(frames(&svg).contains(&("memmove (4 samples, 100.00%)", "rgb(237,237,237)")));
    for label in
        ["main module 0 %", "standard library 75.0 %", "runtime and GC 25.0 %", "C and native 0 %", "kernel 0 %"]
    {
        assert!(svg.contains(&format!(">{label}</text>")), "{label} is missing");
    }
    assert!(!svg.contains("other modules") && !svg.contains("unknown"));
}

#[test]
fn every_origin_has_its_own_colour() {
    let mut colours: Vec<_> = Origin::ALL.iter().map(|origin| palette::origin_colour(*origin)).collect();
    colours.sort_unstable_by_key(|colour| (colour.r, colour.g, colour.b));
    colours.dedup();
    assert_eq!(colours.len(), Origin::ALL.len());
}

#[test]
fn names_that_are_special_to_inferno_are_shown_unchanged() {
    let mut fixture = Fixture::new();
    for name in ["f_[k]", "f_[k]_[i]", "worker 3", "1.5", "-", "--", "# f", "a;b", "<b>&\"'", " x "] {
        let stack = fixture.push(StackId::EMPTY, name, Origin::Main);
        fixture.add_stack("# 12", stack, 1);
    }
    let svg = svg(&fixture.profile);
    let mut found: Vec<_> = titles(&svg).into_iter().map(|title| title.split(" (").next().unwrap()).collect();
    found.sort_unstable();
    let mut expected = [
        "all",
        "#_12",
        "f_[k]",
        "f_[k]_[i]",
        "worker\u{a0}3",
        "1.5",
        "-",
        "--",
        "# f",
        "a:b",
        "&lt;b&gt;&amp;&quot;&apos;",
        "x",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let dash = frames(&svg).into_iter().find(|frame| frame.0.starts_with("- (")).unwrap();
    assert_ne!(dash.1, "rgb(200,200,200)", "inferno's grey for -");
}

#[test]
fn long_names_are_shortened() {
    let mut fixture = Fixture::new();
    fixture.add("app", &format!("main.{}.end", "x".repeat(100_000)), 1);
    let svg = svg(&fixture.profile);
    assert!(svg.len() < 30_000);
    assert!(titles(&svg).iter().any(|title| title.contains("…") && title.contains(".end (1 samples")));
}

#[test]
fn huge_profiles_are_cut_to_the_widest_frames() {
    let mut fixture = Fixture::new();
    for at in 0..1500 {
        let stack: Vec<_> = (0..12).map(|depth| format!("main.worker{at}.step{depth}")).collect();
        fixture.add("app", &stack.join("|"), if at < 100 { 1000 } else { 990 });
    }
    // Narrower than half a pixel.
    fixture.add("app", "main.narrow", 1);
    let svg = svg(&fixture.profile);
    assert_eq!(frames(&svg).len(), MAX_FRAMES + 1, "with the root frame");
    assert!(svg.len() < 4_000_000, "{} bytes", svg.len());
    assert!(svg.contains("997 Hz, cpu-clock (the 8 000 widest frames)"));
    assert!(
        titles(&svg).iter().filter(|title| title.contains("(1,000 samples")).count() == 1200,
        "the widest are drawn"
    );
    assert!(!svg.contains("main.narrow"));
    assert!(titles(&svg).contains(&"app (1,486,001 samples, 100.00%)"), "frames that are not drawn still count");
}

#[test]
fn processes_that_are_not_drawn_still_count() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main", 9_999);
    fixture.add("tiny", "main.main", 1);
    let svg = svg(&fixture.profile);
    assert!(titles(&svg).contains(&"app (9,999 samples, 99.99%)"), "{:?}", titles(&svg));
    assert!(titles(&svg).contains(&"(others) (1 samples, 0.01%)"));
}

#[test]
fn legend_is_above_the_frames() {
    let mut fixture = Fixture::new();
    fixture.add("app", "runtime.goexit|main.main", 1);
    let svg = svg(&fixture.profile);
    // 4 frames of 16 pixels, 60 pixels above and 34 below in inferno, and 26 for the legend.
    assert!(svg.contains(r#"height="184" onload="init(evt)" viewBox="0 0 1200 184""#));
    assert!(svg.contains(r#"<rect x="0" y="0" width="100%" height="184" fill="url(#background)"/>"#));
    let at = |part: &str| svg.find(part).unwrap_or_else(|| panic!("{part} is missing"));
    let order = [r#"id="subtitle""#, r#"<svg id="legend""#, r#"<g transform="translate(0,26)">"#, r#"id="details""#];
    assert!(order.map(at).is_sorted());
    assert!(svg.contains(">app (debug) &lt;1&gt;</text>"));
}

#[test]
fn legend_fits_into_the_image() {
    let all: Vec<_> = Origin::ALL.into_iter().map(|origin| (origin, 1_000_001)).collect();
    let entries = legend::entries(&all);
    assert!(legend::width(&entries) <= 1200, "{}", legend::width(&entries));
}

#[test]
fn svg_of_another_inferno_version_is_an_error() {
    for svg in ["", "<svg></svg>", r#"<svg viewBox="0 0 10 10"><text id="details"></svg>"#] {
        assert_eq!(legend::add(svg, &[]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

/// Earlier versions did not name inferno or its licence in the SVG.
#[test]
fn every_flame_graph_names_the_licence_of_its_script() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main", 1);
    let svg = svg(&fixture.profile);
    let (before, script) = svg.split_once("<script").unwrap();
    assert_eq!(before.matches(NOTICE).count(), 1, "{before}");
    assert!(script.contains("function init(evt)"), "inferno's script is in the file");
    // The image in the repository needs the notice too.
    assert!(include_str!("../../../examples/webserver/flamegraph.svg").contains(NOTICE));
    let locked = include_str!("../../../Cargo.lock");
    let (_, version) = locked.split_once("name = \"inferno\"\nversion = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    assert!(NOTICE.contains(&format!("inferno {version} ")), "the notice names version {version}");
}

#[test]
fn empty_profile_gives_an_svg_without_frames() {
    let event =
        Event { name: "cycles".to_owned(), count_name: Event::SAMPLES.to_owned(), unit: Unit::Events, frequency: 0 };
    let svg = svg(&Profile::new(event));
    assert!(svg.contains(">no samples</text>"));
    assert!(svg.contains(">app (debug) &lt;1&gt;</text>"));
}
