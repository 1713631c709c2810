#![allow(clippy::unwrap_used)]

use std::io;
use std::process::Command;

use super::draw::NOTICE;
use super::measure::MAX_EXACT_WIDTH;
use super::tree::MAX_FRAMES;
use super::{frames, page, palette, write};
use crate::profile::fixture::Fixture;
use crate::profile::{Event, Origin, Profile, StackId, Unit};
use crate::render::{Drawing, FramePalette, MinWidth};
use crate::views::{GroupBy, View};

fn svg(profile: &Profile) -> String {
    svg_with(profile, &Drawing::default())
}

fn svg_with(profile: &Profile, drawing: &Drawing) -> String {
    let mut out = Vec::new();
    let view = View::new(profile.clone(), GroupBy::Process);
    write(&view, "app (debug) <1>", "997 Hz, cpu-clock", drawing, &mut out).unwrap();
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
        .split("<title>")
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
            "all (10 ms, 100 %, 10 samples)",
            "app (6 ms, 60 %, 6 samples)",
            "main.F (app/main.go:1, 3 ms, 30 %, 3 samples)",
            "main.F (app/main.go:1, 4 ms, 40 %, 4 samples)",
            "main.F.func1 (app/main.go:1, 3 ms, 30 %, 3 samples)",
            "main.x (app/main.go:1, 3 ms, 30 %, 3 samples)",
            "main.y (app/main.go:1, 2 ms, 20 %, 2 samples)",
            "zapp (4 ms, 40 %, 4 samples)",
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
    assert!(titles(&svg).contains(&"main.a (app/main.go:1, 2 ms, 80 %)"), "{:?}", titles(&svg));
}

#[test]
fn widths_are_events_if_events_were_sampled() {
    let mut fixture = Fixture::new_cycles();
    fixture.add("app", "main.a", 2);
    assert!(titles(&svg(&fixture.profile)).contains(&"main.a (app/main.go:1, 4 M cycles, 100 %)"));
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
    assert!(total <= MAX_EXACT_WIDTH && total > MAX_EXACT_WIDTH / 2, "{total}");
}

#[test]
fn origins_differ_in_colour_and_are_in_the_legend() {
    let mut fixture = Fixture::new();
    // The same name for functions of four origins and for a process.
    let mut stack = StackId::EMPTY;
    for origin in [Origin::Main, Origin::Kernel, Origin::Native, Origin::Std] {
        stack = fixture.push(stack, "memmove", origin);
    }
    fixture.add_stack("memmove", stack, 3);
    fixture.add("memmove", "runtime.goexit", 1);
    let svg = svg(&fixture.profile);
    let mut colours: Vec<_> = frames(&svg)
        .into_iter()
        .filter(|frame| frame.0.starts_with("memmove (") && frame.0.ends_with("3 ms, 75 %, 3 samples)"))
        .map(|frame| frame.1)
        .collect();
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 4, "{colours:?}");
    assert!(frames(&svg).contains(&("memmove (4 ms, 100 %, 4 samples)", "rgb(237,237,237)")));
    // Earlier, the legend showed self shares alone: `main module 0 %` with 75 % of the time below it.
    for label in [
        "main module 75 %, self 0 %",
        "standard library 75 %, self 75 %",
        "runtime and GC 25 %, self 25 %",
        "C and native 75 %, self 0 %",
        "kernel 75 %, self 0 %",
    ] {
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
    let mut expected =
        ["all", "#_12", "f_[k]", "f_[k]_[i]", "worker 3", "1.5", "-", "--", "# f", "a:b", "&lt;b&gt;&amp;\"'", "x"];
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
    assert!(titles(&svg).iter().any(|title| title.contains("…") && title.contains(".end (app/main.go:1, ")));
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
        titles(&svg).iter().filter(|title| title.contains(" 1 000 samples)")).count() == 1200,
        "the widest are drawn"
    );
    assert!(!svg.contains("main.narrow"));
    assert!(
        titles(&svg).contains(&"app (1490.47 s, 100 %, 1 486 001 samples)"),
        "frames that are not drawn still count"
    );
}

#[test]
fn processes_that_are_not_drawn_still_count() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main", 9_999);
    fixture.add("tiny", "main.main", 1);
    let svg = svg(&fixture.profile);
    assert!(titles(&svg).contains(&"app (10.03 s, 99.9 %, 9 999 samples)"), "{:?}", titles(&svg));
    assert!(titles(&svg).contains(&"(others) (1 ms, &lt;0.1 %, 1 sample)"));
}

#[test]
fn legend_is_above_the_frames() {
    let mut fixture = Fixture::new();
    fixture.add("app", "runtime.goexit|main.main", 1);
    let svg = svg(&fixture.profile);
    // 4 frames of 16 pixels, 60 pixels above and 34 below in inferno, and 15 for the legend.
    assert!(svg.contains(r#"height="173" onload="init(evt)" viewBox="0 0 1200 173""#));
    let at = |part: &str| svg.find(part).unwrap_or_else(|| panic!("{part} is missing"));
    let order = [
        r#"id="subtitle""#,
        r#"id="search""#,
        r#"<g id="legend">"#,
        r#"<g id="body" transform="translate(0,15)">"#,
        r#"id="details""#,
        r#"<svg id="frames""#,
    ];
    assert!(order.map(at).is_sorted());
    assert!(svg.contains(">app (debug) &lt;1&gt;</text>"));
}

#[test]
fn a_wide_legend_has_several_rows() {
    let mut fixture = Fixture::new();
    for frame in ["main.a", "x.y/z.A", "fmt.A", "runtime.a", "c:memcpy", "v:time", "k:read", "[unknown]"] {
        fixture.add("app", frame, 300);
    }
    let svg = svg(&fixture.profile);
    let (_, legend) = svg.split_once(r#"<g id="legend">"#).unwrap();
    let (legend, _) = legend.split_once(r#"<g id="body""#).unwrap();
    let places = legend.split(r#"<g transform="translate("#).skip(1);
    let places: Vec<_> = places.map(|entry| entry.split_once(')').unwrap().0).collect();
    assert_eq!(places.iter().filter(|place| place.starts_with("10,")).count(), 2, "{places:?}");
    assert!(places.iter().all(|place| place.split_once(',').unwrap().0.parse::<usize>().unwrap() < 1000), "{places:?}");
    assert!(svg.contains(r#"<g id="body" transform="translate(0,33)">"#));
}

/// Earlier, tooltips named neither the file and line nor the time.
#[test]
fn a_tooltip_names_the_line_with_the_most_time() {
    let mut fixture = Fixture::new();
    for (line, count) in [(7, 2), (9, 5), (8, 4)] {
        fixture.add("app", &format!("runtime.main|main.work:{line}|main.step:3"), count);
    }
    fixture.add("app", "runtime.main|main.other|main.work:8", 9);
    let svg = svg(&fixture.profile);
    for title in [
        "main.work (app/main.go:9, 11 ms, 55 %, 11 samples)",
        "main.step (app/main.go:3, 11 ms, 55 %, 11 samples)",
        "main.work (app/main.go:8, 9 ms, 45 %, 9 samples)",
    ] {
        assert!(titles(&svg).contains(&title), "{title} is not in {:?}", titles(&svg));
    }
}

/// Earlier, time in the vdso counted as C and native.
#[test]
fn time_in_the_vdso_has_an_origin_of_its_own() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main|time.Now|v:__vdso_clock_gettime", 1);
    fixture.add("app", "main.main", 1);
    let svg = svg(&fixture.profile);
    assert!(svg.contains(">vdso 50 %, self 50 %</text>") && !svg.contains("C and native"));
}

/// Earlier, names lost their beginning: `..ge.func1`.
#[test]
fn labels_lose_the_package_before_the_function() {
    let mut fixture = Fixture::new();
    let name = "example.com/shop/v2/web.(*Handler).ServeManyPages";
    for (at, width) in [(1, 320), (2, 195), (3, 165), (4, 97), (5, 54), (6, 22)] {
        fixture.add("app", &format!("main.f{at}|{name}"), width);
    }
    fixture.add("app", "main.filler", 147);
    let svg = svg(&fixture.profile);
    let (_, frames) = svg.split_once(r#"<svg id="frames""#).unwrap();
    let mut labels: Vec<_> = frames
        .split("<title>")
        .filter(|frame| frame.starts_with(name))
        .map(|frame| frame.split_once("</text>").unwrap().0.rsplit_once('>').unwrap().1)
        .collect();
    labels.sort_by_key(|label| label.len());
    let expected =
        ["", "ServeM..", "ServeManyPages", "(*Handler).ServeManyPages", "web.(*Handler).ServeManyPages", name];
    assert_eq!(labels, expected);
}

#[test]
fn scripts_shorten_names_as_goflame_does() {
    let names = [
        "net/http.(*conn).serve",
        "gopkg.in/yaml.v3.Unmarshal",
        "main.init.0 (inlined)",
        "github.com/a/b.Map[...].func1",
        "go:(*struct { sync.Mutex; a/b.C }).Lock",
        "type:.eq.main.T",
        "entry.isra.0",
        "std::map<a/b>::find (inlined)",
        "example.com/app.Überprüfung",
        "kworker/0:1",
        "",
    ];
    let mut expected = Vec::new();
    for (name, is_go, limit) in
        names.iter().flat_map(|name| (0..52).map(move |limit| (name, limit % 2 == 0, limit / 2)))
    {
        expected.push(serde_json::json!([name, is_go, limit, frames::fit(name, is_go, limit)]));
    }
    let script = page::SCRIPT.split("// Replaces the function").next().unwrap();
    let cases = serde_json::to_string(&expected).unwrap();
    let check = "for (var [name, is_go, limit, want] of CASES) {
        var got = fit(name, is_go, limit);
        if (got !== want) console.log(name, is_go, limit, got, want);
    }";
    let program = format!("{script}\n{}", check.replace("CASES", &cases));
    let output =
        Command::new("node").args(["-e", &program]).output().expect("node is installed (make test installs it)");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), ""), "{output:?}");
}

/// Earlier, the background was always white.
#[test]
fn dark_backgrounds_are_respected() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main", 1);
    let empty = Profile::new(fixture.profile.event.clone());
    for profile in [&fixture.profile, &empty] {
        let svg = svg(profile);
        let (_, dark) = svg.split_once("@media (prefers-color-scheme: dark)").unwrap();
        assert!(dark.contains("#backdrop { fill: #121212; }"));
        assert!(svg.contains(r##"height="100%" fill="#ffffff""##) && svg.contains(r#"id="backdrop""#));
    }
}

#[test]
fn svg_of_another_inferno_version_is_an_error() {
    for svg in ["", "<svg></svg>", r#"<svg viewBox="0 0 1200 10"><text id="details"></svg>"#] {
        assert_eq!(page::assemble(svg, &[], &Drawing::default()).unwrap_err().kind(), io::ErrorKind::InvalidData);
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
    assert!(include_str!("../../../docs/pictures/slowcli.svg").contains(NOTICE));
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

/// Returns the names of an SVG's frames, from the top to the bottom.
fn names_from_the_top(svg: &str) -> Vec<String> {
    let mut frames: Vec<(f64, String)> = svg
        .split("<title>")
        .skip(1)
        .filter_map(|frame| {
            let (name, rest) = frame.split_once(" (")?;
            let (_, y) = rest.split_once("y=\"")?;
            rest.contains("<rect x=").then(|| (y.split('"').next().unwrap().parse().unwrap(), name.to_owned()))
        })
        .collect();
    frames.sort_by(|a, b| a.0.total_cmp(&b.0));
    frames.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn options_of_flamegraph_change_the_drawing() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main|main.a|main.leaf", 6);
    fixture.add("app", "main.main|i:main.leaf", 3);
    fixture.add("app", "main.main|main.rare", 1);
    let profile = &fixture.profile;
    let plain = svg(profile);
    assert!(plain.contains("main.rare") && plain.contains("main module") && plain.contains("main.leaf (inlined)"));

    let wide = svg_with(profile, &Drawing { width: Some(640), ..Drawing::default() });
    assert!(wide.contains(r#"<svg version="1.1" width="640""#) && wide.contains(r#"viewBox="0 0 640 "#), "{wide}");
    assert!(wide.contains("fluiddrawing = false"));
    for min_width in [MinWidth::Percent(11.0), MinWidth::Pixels(130.0)] {
        let narrow = svg_with(profile, &Drawing { min_width: Some(min_width), ..Drawing::default() });
        assert!(narrow.contains("main.a") && !narrow.contains("main.rare"), "{min_width:?}");
    }
    let subtitle = svg_with(profile, &Drawing { subtitle: Some("from <here>".to_owned()), ..Drawing::default() });
    assert!(subtitle.contains("from &lt;here&gt;") && !subtitle.contains("997 Hz"));

    let top = names_from_the_top(&svg_with(profile, &Drawing { is_inverted: true, ..Drawing::default() }));
    assert_eq!(top[..3], ["all", "app", "main.main"]);
    assert_eq!(names_from_the_top(&plain).last().map(String::as_str), Some("all"));

    let reversed = svg_with(profile, &Drawing { is_inverted: true, is_reversed: true, ..Drawing::default() });
    let top = names_from_the_top(&reversed);
    assert_eq!(top[..2], ["all", "app"]);
    assert!(top[2..4].contains(&"main.leaf".to_owned()) && top[2..4].contains(&"main.rare".to_owned()), "{top:?}");
    assert!(reversed.contains("main.leaf (app/main.go:1, 9 ms, 90 %, 9 samples)"), "{reversed}");
    assert!(reversed.contains("main module 100 %, self 100 %"), "the legend is of the stacks as they are");
}

#[test]
fn a_palette_colours_functions_of_all_origins_alike() {
    let mut fixture = Fixture::new();
    fixture.add("app", "main.main|k:page_fault", 6);
    fixture.add("app", "c:main.main", 6);
    for palette in [FramePalette::Hot, FramePalette::Io] {
        let svg = svg_with(&fixture.profile, &Drawing { palette, ..Drawing::default() });
        let fill = |name: &str| {
            let frames = svg.split("<title>").filter(|frame| frame.starts_with(name));
            let fills =
                frames.map(|frame| frame.split_once("fill=\"").unwrap().1.split_once('"').unwrap().0.to_owned());
            fills.collect::<Vec<_>>()
        };
        let main = fill("main.main");
        assert!(main.len() == 2 && main[0] == main[1] && main[0] != fill("page_fault")[0], "{main:?}");
        assert!(!svg.contains("main module"), "the legend explains other colours");
    }
}
