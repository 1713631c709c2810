//! Shares of functions in a profile, compared with shares that the program measured itself.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Project, Run, print_figure, text, tool, wait_for_turn};

/// Maximum error of a share, in percentage points.
const TOLERANCE: f64 = 3.0;

/// Share of each function, in percent.
pub(crate) type Shares = BTreeMap<String, f64>;

/// The shares that hotspots measured and printed.
pub(crate) fn measured_shares(run: &Run) -> Shares {
    let printed: Value = serde_json::from_str(&run.stdout_log()).unwrap();
    let functions = printed["functions"].as_array().unwrap();
    let share =
        |function: &Value| (function["name"].as_str().unwrap().to_owned(), function["share"].as_f64().unwrap() * 100.0);
    functions.iter().map(share).collect()
}

/// The cumulative shares in summary.json.
pub(crate) fn shares_in_summary(run: &Run) -> Shares {
    let summary = run.summary();
    let functions = summary["functions"].as_array().unwrap();
    let share = |function: &Value| {
        (function["name"].as_str().unwrap().to_owned(), function["cumulative_percent"].as_f64().unwrap())
    };
    functions.iter().map(share).collect()
}

/// The cumulative shares in profile.pb.gz, as `go tool pprof` prints them.
fn shares_in_pprof(run: &Run) -> Shares {
    let table = text(tool("go").args(["tool", "pprof", "-top", "-cum", "-nodecount=0"]).arg(run.file("profile.pb.gz")));
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_flat, _flat_percent, _sum, _cum, cum_percent, name] = fields[..] else { return None };
        Some((name.to_owned(), cum_percent.strip_suffix('%')?.parse().ok()?))
    });
    rows.collect()
}

/// Fails if the error of a function's share exceeds the tolerance. Returns the largest error.
pub(crate) fn assert_close(source: &str, truth: &Shares, seen: &Shares) -> f64 {
    assert!(!truth.is_empty());
    let mut worst = 0.0_f64;
    for (name, truth) in truth {
        let seen = seen.get(name).copied().unwrap_or(0.0);
        let error = (seen - truth).abs();
        assert!(error <= TOLERANCE, "{source}: {name} has {seen:.2} %, and in truth {truth:.2} %");
        worst = worst.max(error);
    }
    worst
}

fn check_shares(variant: &str) {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/hotspots");
    let run = project.run(&["--variant", variant, "--", "-seconds", "2"]);
    let truth = measured_shares(&run);
    assert_eq!(truth.len(), 5, "hotspots measures five functions");
    let summary = assert_close("summary.json", &truth, &shares_in_summary(&run));
    let pprof = assert_close("go tool pprof", &truth, &shares_in_pprof(&run));
    print_figure(&format!("{variant}: summary.json is {summary:.2} points off at most, pprof {pprof:.2}"));
}

#[test]
fn shares_in_a_debug_build_are_the_measured_shares() {
    check_shares("debug");
}

#[test]
fn shares_in_a_release_build_are_the_measured_shares() {
    check_shares("release");
}
