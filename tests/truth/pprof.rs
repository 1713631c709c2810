//! Checks that `go tool pprof` reads `profile.pb.gz` and computes the same table as goflame.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::{Project, print_figure, text, tool, wait_for_turn};
use crate::raw::{Location, Raw};

/// A row of `go tool pprof -top`. The flags of pprof decide the unit.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) flat: u64,
    pub(crate) cumulative: u64,
}

/// Parses `551654950ns 10.45% 10.45% 564694067ns 10.70%  runtime.tryDeferToSpanScan`. A name can contain spaces.
fn parse_row(line: &str) -> Row {
    let mut rest = line;
    let [flat, _flat_percent, _sum, cumulative, _percent] = [(); 5].map(|()| {
        let (field, after) = rest.trim_start().split_once(' ').unwrap_or_else(|| panic!("not understood: {line}"));
        rest = after;
        field
    });
    let number = |text: &str| text.trim_end_matches(char::is_alphabetic).parse().unwrap();
    // pprof adds a suffix to functions that are always or sometimes inlined.
    let name = rest.trim();
    let name = name.strip_suffix(" (inline)").or(name.strip_suffix(" (partial-inline)")).unwrap_or(name);
    Row { name: name.to_owned(), flat: number(flat), cumulative: number(cumulative) }
}

/// All rows of `go tool pprof -top`, in nanoseconds.
fn top_in_ns(profile: &Path, by: &str) -> Vec<Row> {
    top_of(profile, &["-unit=nanoseconds", by])
}

/// All rows of `go tool pprof -top`, with these flags.
pub(crate) fn top_of(profile: &Path, flags: &[&str]) -> Vec<Row> {
    // Without -symbolize=none, pprof reads names with brackets as C++ names and drops the text in parentheses:
    // `F[go.shape.func(int)]`.
    let all = ["-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-symbolize=none"];
    let printed = text(tool("go").args(["tool", "pprof", "-top"]).args(all).args(flags).arg(profile));
    let (_, rows) = printed.split_once("cum%\n").unwrap_or_else(|| panic!("no table:\n{printed}"));
    rows.lines().map(parse_row).collect()
}

#[test]
fn pprof_agrees_with_every_row_of_the_table() {
    let _alone = wait_for_turn();
    for (example, args) in
        [("generics", ["-duration", "1s", "-depth", "60"]), ("gcpressure", ["-duration", "1s", "-workers", "4"])]
    {
        let project = Project::copy_of(&format!("examples/{example}"));
        let run = project.run(&[&["--"], &args[..]].concat());
        let mut seen: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for row in top_in_ns(&run.file("profile.pb.gz"), "-functions") {
            let known = seen.insert(row.name.clone(), (row.flat, row.cumulative));
            assert_eq!(known, None, "two rows for {}", row.name);
        }
        let summary = run.summary();
        assert_eq!(seen.len() as u64, summary["function_count"].as_u64().unwrap(), "numbers of functions");
        let total: u64 = seen.values().map(|(flat, _)| flat).sum();
        assert_eq!(total, summary["total"].as_u64().unwrap());
        let rows = summary["functions"].as_array().unwrap();
        for function in rows {
            let name = function["name"].as_str().unwrap();
            let own = (function["self"].as_u64().unwrap(), function["cumulative"].as_u64().unwrap());
            assert_eq!(seen.get(name), Some(&own), "self and cumulative of {name}");
        }
        print_figure(&format!("pprof {example}: {} of {} functions compared, all equal", rows.len(), seen.len()));
    }
}

/// A program that calls an assembly function through a function value. The compiler generates a wrapper with the same
/// name for it, because the two have different calling conventions (abi-internal.md). Both are hot.
const WRAPPED: [(&str, &str); 4] = [
    ("go.mod", "module example.com/wrapped\n\ngo 1.21\n"),
    (
        "main.go",
        "package main

func step(x uint64) uint64

// A direct call would not use the wrapper.
var through = step

func main() {
	x := uint64(1)
	for i := 0; i < 400_000_000; i++ {
		x = through(x)
	}
	println(x)
}
",
    ),
    (
        "step_amd64.s",
        "TEXT ·step(SB), 4, $0-16
	MOVQ x+0(FP), AX
	SHLQ $13, AX
	XORQ x+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET
",
    ),
    (
        "step_arm64.s",
        "TEXT ·step(SB), 4, $0-16
	MOVD x+0(FP), R0
	EOR R0<<13, R0, R0
	MOVD R0, ret+8(FP)
	RET
",
    ),
];

#[test]
fn a_wrapper_with_the_name_of_its_function_is_not_shown() {
    let _alone = wait_for_turn();
    let project = Project::from_settings("[app]\npackage = '.'\nname = 'wrapped'\n[build]\nvariant = 'release'\n");
    for (name, text) in WRAPPED {
        project.write(name, text);
    }
    let run = project.run(&[]);
    let profile = run.file("profile.pb.gz");
    let addresses = Raw::read(&profile);
    let is_wrapper = |location: &&Location| location.name == "main.step" && location.line == 0;
    let wrapper = addresses.locations.values().filter(is_wrapper).count();
    let written = addresses.locations.values().filter(|location| location.name == "main.step").count() - wrapper;
    let summary = run.summary();
    let rows: Vec<_> =
        summary["functions"].as_array().unwrap().iter().filter(|function| function["name"] == "main.step").collect();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert!(wrapper == 0 && written > 0, "{wrapper} addresses of the wrapper and {written} of the function are shown");
    let file = rows[0]["file"].as_str().unwrap();
    assert!(file.contains("step_"), "the function is written in {file}");
    let pprof = top_in_ns(&profile, "-functions").into_iter().find(|row| row.name == "main.step").unwrap();
    assert_eq!(rows[0]["self"], pprof.flat);
    assert_eq!(rows[0]["cumulative"], pprof.cumulative);
}

#[test]
fn pprof_lists_the_source_with_its_lines() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/hotspots");
    // With -trimpath, file names are import paths, for which pprof finds no source.
    let settings = "[app]\npackage = '.'\nname = 'hotspots'\n[variant.debug]\ntrimpath = false\n";
    project.write("goflame.toml", settings);
    let run = project.run(&["--", "-seconds", "1"]);
    let profile = run.file("profile.pb.gz");

    let listing = text(tool("go").args(["tool", "pprof", "-unit=nanoseconds", "-list", "main.multiply"]).arg(&profile));
    let hot = listing.lines().find(|line| line.contains("product[i][j] += factor * right[k][j]"));
    let hot = hot.unwrap_or_else(|| panic!("the source is not listed:\n{listing}"));
    let source = std::fs::read_to_string(project.path("work.go")).unwrap();
    let number = 1 + source.lines().position(|line| line.contains("+= factor * right[k][j]")).unwrap();
    assert!(hot.contains(&format!(" {number}:")), "{hot}");
    let multiply: u64 =
        top_in_ns(&profile, "-functions").iter().filter(|row| row.name == "main.multiply").map(|row| row.flat).sum();
    let lines = top_in_ns(&profile, "-lines");
    let file = project.path("work.go").display().to_string();
    let of_lines: u64 =
        lines.iter().filter(|row| row.name.starts_with(&format!("main.multiply {file}:"))).map(|row| row.flat).sum();
    assert!(multiply > 0);
    assert_eq!(of_lines, multiply, "every sample of the function has a line: {listing}");
    let innermost = format!("main.multiply {file}:{number}");
    let of_innermost: u64 = lines.iter().filter(|row| row.name == innermost).map(|row| row.flat).sum();
    assert!(of_innermost * 2 > multiply, "the innermost line has most of the time: {listing}");
}
