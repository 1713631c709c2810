//! `summary.json`: the main results of a profile, for programs.
//!
//! ```text
//! {
//!   "schema": 1,                     version of this format; a program refuses a newer one
//!   "title": "server (debug)",
//!   "event": "cpu-clock",
//!   "unit": "nanoseconds",           unit of every weight below; or "bytes", or "events"
//!   "counted": "samples",            quantity in "samples"; in other profiles "inuse_objects", "contentions"; the event's
//!                                    name if the profile has only a weight
//!   "frequency": 997,                requested samples per second; 0: a fixed period was requested, or unknown
//!   "start_time_ns": 0,              wall time of the first sample since 1970; 0: unknown
//!   "duration_ns": 0,                time between the first and the last sample
//!   "samples": 20134,
//!   "total": 20194583206,            sum of all weights
//!   "functions": [{                  the 50 hottest by self weight and the 50 hottest by cumulative weight; sorted by self
//!                                    weight, cumulative weight, name
//!     "name": "main.Map[go.shape.int]", "display": "main.Map[...]",
//!     "file": "/src/main.go", "line": 12,      place of the func keyword; "" and 0: unknown
//!     "origin": "main",              or "module", "std", "runtime", "native", "vdso", "kernel", "unknown"
//!     "self": 0, "self_percent": 0.0,          self weight
//!     "cumulative": 0, "cumulative_percent": 0.0   cumulative weight, recursion counted once
//!   }],
//!   "own_lines": [{                  the 50 heaviest lines of the user's code; each sample counts for the line nearest to its leaf
//!     "function": "main.load", "file": "/src/main.go", "line": 14,
//!     "callee": "regexp.MustCompile",          heaviest function called there; null: the line itself
//!     "weight": 0, "percent": 0.0
//!   }],
//!   "function_count": 311,           number of all functions with weight
//!   "path": [{                       the hottest call path, root first
//!     "display": "main.main", "origin": "main", "weight": 0, "percent": 0.0
//!   }],
//!   "findings": [{                   what samples, runtime and kernel say together; the largest effect first
//!     "id": "gc", "title": "the garbage collector takes 43.1 % of the CPU time",
//!     "evidence": [{ "source": "gctrace", "text": "…", "value": 42.0, "unit": "% of CPU time" }],
//!     "confidence": "high",          or "medium"
//!     "advice": "…", "effect": 0.43  part of the CPU time or of the wall time
//!   }],
//!   "origins": [{ "origin": "main", "self": 0, "percent": 0.0 }],     self weight of each origin that occurs
//!   "phases": [{                     the phases of a server's run, on the clock of the samples (CLOCK_MONOTONIC); only the samples of
//!                                    the window count; empty: all samples count
//!     "name": "start",               until ready; "warm-up", "window", "stop"
//!     "start_ns": 0, "end_ns": 0
//!   }],
//!   "load": {                        what the load tool printed; null: no load, or not readable
//!     "tool": "wrk", "per_second": 9238.29,
//!     "requests": 18541, "errors": 0,          null: not printed; null below means this too
//!     "latency": { "mean": 0.00183, "p50": 0.000593, "p90": 0.00497, "p99": 0.01493 }     seconds
//!   },
//!   "runtime_pprof_comparison": {    shares against those of runtime/pprof in the same time; null: it was not fetched
//!     "sampled_samples": 9970, "fetched_samples": 1000,
//!     "signals_percent": 0.4,        sampled CPU time that making runtime/pprof's profile took
//!     "unseen_percent": 0.1,         sampled CPU time of threads that runtime/pprof does not see
//!     "functions": [{                the hottest functions of both, and all that differ by more than 3 points
//!       "display": "main.load", "sampled_percent": 40.1, "fetched_percent": 39.8,     of self weight
//!       "points": 0.3, "low": -2.9, "high": 3.5,         difference, and its interval of 95 % for all functions together
//!       "reason": null               "chance", "kernel-time", "cgo", "unwalked-stack", "signal-bias"; null: none needed or known
//!     }]
//!   },
//!   "off_cpu": {                     thread time off the CPU in the run, in seconds; null: it was not recorded
//!     "waited_seconds": 2.4,         in the profile `off-cpu` of the run
//!     "idle_seconds": 8.1,           of threads of Go's runtime that had no goroutine to run; not in the profile, as the next three
//!     "goflame_seconds": 0.0,        of goflame's own threads
//!     "preempted_seconds": 0.1,      of threads that another thread displaced from their CPU
//!     "unknown_seconds": 0.0,        of waits without a known stack
//!     "unfinished": 0,               waits that continued when the recording ended
//!     "lost": 0,                     lost records of context switches
//!     "size_bound": null,            {"bytes", "seconds"}: the file of waits reached its maximum size then; later waits are missing
//!     "from_last_samples": false,    true: each stack is that of the thread's last CPU sample before the wait, and idle threads
//!                                    are in the profile
//!     "headline": "2.40 s of waiting, 62 % at main.load"     null: no thread waited
//!   },
//!   "quality": { "grade": "good", "summary": "good: …", "reasons": [], "figures": {…} }
//! }
//! ```
//!
//! Percentages are relative to `total`, from 0 to 100, unrounded. `figures` are the fields of
//! [`crate::profile::Quality`]. A figure that the input file does not hold is null.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::io::{self, Write};

use serde::Serialize;

use super::document::{Document, ServerRun};
use super::name::escape_json;
use crate::findings::ProfileFinding;
use crate::profile::{Assessment, Grade, OffCpuTime, Origin, Profile, Quality, Unit};
use crate::views::{CallPathStep, CrossCheck, DifferenceReason, FunctionRow, SharesOfFunction, Top, UserCodeLine};

/// Version of this format.
pub const SCHEMA: u32 = 1;

/// Number of functions that are listed by self weight, and also by cumulative weight: a function that spends its time
/// in callees can have little self weight. Also the maximum number of listed lines of the user's code.
const MAX_FUNCTIONS: usize = 50;

/// Writes the summary of a profile.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = escape_json(&serde_json::to_string_pretty(&Summary::new(document))?);
    text.push('\n');
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[derive(Serialize)]
struct Summary<'a> {
    schema: u32,
    title: &'a str,
    event: &'a str,
    unit: Unit,
    #[serde(rename = "counted")]
    count_name: &'a str,
    frequency: u64,
    start_time_ns: u64,
    duration_ns: u64,
    samples: u64,
    total: u64,
    functions: Vec<FunctionSummary<'a>>,
    own_lines: Vec<UserCodeLineSummary<'a>>,
    function_count: usize,
    path: Vec<PathStep<'a>>,
    findings: &'a [ProfileFinding],
    origins: Vec<OriginShare>,
    #[serde(flatten)]
    server: ServerRun<'a>,
    runtime_pprof_comparison: Option<Comparison<'a>>,
    off_cpu: Option<&'a OffCpuTime>,
    quality: QualitySummary<'a>,
}

#[derive(Serialize)]
struct FunctionSummary<'a> {
    name: &'a str,
    display: &'a str,
    file: &'a str,
    line: u32,
    origin: Origin,
    #[serde(rename = "self")]
    self_weight: u64,
    self_percent: f64,
    cumulative: u64,
    cumulative_percent: f64,
}

#[derive(Serialize)]
struct UserCodeLineSummary<'a> {
    function: &'a str,
    file: &'a str,
    line: u32,
    callee: Option<&'a str>,
    weight: u64,
    percent: f64,
}

#[derive(Serialize)]
struct PathStep<'a> {
    display: &'a str,
    origin: Origin,
    weight: u64,
    percent: f64,
}

#[derive(Serialize)]
struct OriginShare {
    origin: Origin,
    #[serde(rename = "self")]
    self_weight: u64,
    percent: f64,
}

#[derive(Serialize)]
struct Comparison<'a> {
    sampled_samples: u64,
    fetched_samples: u64,
    signals_percent: f64,
    unseen_percent: f64,
    functions: Vec<ComparedFunction<'a>>,
}

#[derive(Serialize)]
struct ComparedFunction<'a> {
    display: &'a str,
    sampled_percent: f64,
    fetched_percent: f64,
    points: f64,
    low: f64,
    high: f64,
    reason: Option<DifferenceReason>,
}

impl<'a> From<&'a CrossCheck> for Comparison<'a> {
    fn from(check: &'a CrossCheck) -> Self {
        let function = |row: &'a SharesOfFunction| ComparedFunction {
            display: &row.name,
            sampled_percent: row.sampled_percent,
            fetched_percent: row.fetched_percent,
            points: row.points.value,
            low: row.points.low,
            high: row.points.high,
            reason: row.reason,
        };
        Self {
            sampled_samples: check.sampled_count,
            fetched_samples: check.fetched_count,
            signals_percent: check.signals_percent,
            unseen_percent: check.unseen_percent,
            functions: check.functions.iter().map(function).collect(),
        }
    }
}

#[derive(Serialize)]
struct QualitySummary<'a> {
    grade: Grade,
    summary: String,
    reasons: Vec<String>,
    figures: &'a Quality,
}

impl<'a> Summary<'a> {
    fn new(document: &Document<'a>) -> Self {
        let Document { view, quality, title, server, findings, .. } = *document;
        let (profile, top) = (view.profile(), view.top());
        let Assessment { grade, reasons } = quality.assess();
        let function = |row: &FunctionRow| {
            let function = profile.function(row.function);
            FunctionSummary {
                name: profile.str(function.name),
                display: profile.str(function.display),
                file: profile.str(function.file),
                line: function.start_line,
                origin: function.origin,
                self_weight: row.self_weight,
                self_percent: percent_of(row.self_weight, top.total),
                cumulative: row.cumulative_weight,
                cumulative_percent: percent_of(row.cumulative_weight, top.total),
            }
        };
        let step = |row: &CallPathStep| {
            let function = profile.function(row.function);
            let (display, origin) = (profile.str(function.display), function.origin);
            PathStep { display, origin, weight: row.weight, percent: percent_of(row.weight, top.total) }
        };
        let display = |id| profile.str(profile.function(id).display);
        let own_line = |row: &UserCodeLine| UserCodeLineSummary {
            function: display(row.function),
            file: profile.str(profile.function(row.function).file),
            line: row.line,
            callee: row.callee.map(display),
            weight: row.weight,
            percent: percent_of(row.weight, top.total),
        };
        Self {
            schema: SCHEMA,
            title,
            event: &profile.event.name,
            unit: profile.event.unit,
            count_name: &profile.event.count_name,
            frequency: profile.event.frequency,
            start_time_ns: profile.start_time_ns,
            duration_ns: profile.duration_ns,
            samples: profile.total_count(),
            total: top.total,
            functions: hottest_functions(top).map(function).collect(),
            own_lines: view.user_code_lines().iter().take(MAX_FUNCTIONS).map(own_line).collect(),
            function_count: top.functions.len(),
            path: top.path.iter().map(step).collect(),
            findings,
            origins: origin_shares(profile, top),
            server,
            off_cpu: document.off_cpu,
            runtime_pprof_comparison: document.cross_check.map(Into::into),
            quality: QualitySummary { grade, summary: quality.summary(), reasons, figures: quality },
        }
    }
}

/// Returns the hottest functions by self weight and by cumulative weight, in the order of [`Top::functions`].
fn hottest_functions(top: &Top) -> impl Iterator<Item = &FunctionRow> {
    let mut by_cumulative: Vec<usize> = (0..top.functions.len()).collect();
    by_cumulative.sort_by_key(|at| Reverse(top.functions[*at].cumulative_weight));
    by_cumulative.truncate(MAX_FUNCTIONS);
    let listed: HashSet<usize> = by_cumulative.into_iter().chain(0..MAX_FUNCTIONS).collect();
    top.functions.iter().enumerate().filter(move |(at, _)| listed.contains(at)).map(|(_, row)| row)
}

fn origin_shares(profile: &Profile, top: &Top) -> Vec<OriginShare> {
    let share = |origin| {
        let mut rows = top.functions.iter().filter(|row| profile.function(row.function).origin == origin).peekable();
        rows.peek()?;
        let self_weight = rows.fold(0_u64, |sum, row| sum.saturating_add(row.self_weight));
        Some(OriginShare { origin, self_weight, percent: percent_of(self_weight, top.total) })
    };
    Origin::ALL.into_iter().filter_map(share).collect()
}

fn percent_of(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::pprof::SourceDirs;
    use crate::profile::fixture::Fixture;
    use crate::render::Drawing;
    use crate::views::{CrossCheck, GroupBy, View};

    fn summary(fixture: &Fixture, quality: &Quality) -> Value {
        let mut out = Vec::new();
        let view = &View::new(fixture.profile.clone(), GroupBy::Process);
        let (sources, drawing) = (&SourceDirs::default(), &Drawing::default());
        let check = CrossCheck::new(&fixture.profile, &fixture.profile);
        let document =
            Document { cross_check: check.as_ref(), ..Document::new(view, quality, "app (debug)", sources, drawing) };
        write(&document, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn summary_has_all_documented_fields() {
        let mut fixture = Fixture::new_cycles();
        fixture.add("app", "runtime.goexit|main.main|main.Map[...]", 3);
        fixture.add("app", "runtime.goexit|main.main", 1);
        let quality = Quality {
            samples: Some(4),
            lost: Some(0),
            complete_file: true,
            event: "cycles".to_owned(),
            ..Quality::default()
        };
        let value = summary(&fixture, &quality);
        assert_eq!(value["schema"], 1);
        let compared = &value["runtime_pprof_comparison"];
        assert_eq!((&compared["sampled_samples"], &compared["fetched_samples"]), (&json!(4), &json!(4)));
        let (hottest, points) = (&compared["functions"][0], &compared["functions"][0]["points"]);
        assert_eq!((points, &hottest["reason"]), (&json!(0.0), &Value::Null));
        assert!(hottest["low"].as_f64().unwrap() < 0.0 && hottest["high"].as_f64().unwrap() > 0.0, "{hottest}");
        assert_eq!(value["title"], "app (debug)");
        assert_eq!((&value["event"], &value["unit"]), (&json!("cycles"), &json!("events")));
        assert_eq!(value["counted"], "samples");
        assert_eq!((&value["samples"], &value["total"]), (&json!(4), &json!(8_000_000)));
        assert_eq!(
            value["functions"][0],
            json!({
                "name": "main.Map[go.shape.struct { a int; b string }]",
                "display": "main.Map[...]",
                "file": "/src/app/main.go",
                "line": 1,
                "origin": "main",
                "self": 6_000_000,
                "self_percent": 75.0,
                "cumulative": 6_000_000,
                "cumulative_percent": 75.0,
            })
        );
        assert_eq!(value["function_count"], 3);
        assert_eq!(
            value["path"],
            json!([
                { "display": "runtime.goexit", "origin": "runtime", "weight": 8_000_000, "percent": 100.0 },
                { "display": "main.main", "origin": "main", "weight": 8_000_000, "percent": 100.0 },
                { "display": "main.Map[...]", "origin": "main", "weight": 6_000_000, "percent": 75.0 },
            ])
        );
        assert_eq!(
            value["origins"],
            json!([
                { "origin": "main", "self": 8_000_000, "percent": 100.0 },
                { "origin": "runtime", "self": 0, "percent": 0.0 },
            ])
        );
        assert_eq!(value["quality"]["grade"], "poor");
        assert_eq!(value["quality"]["summary"], "poor: 0 lost");
        assert_eq!(value["quality"]["reasons"].as_array().unwrap().len(), 1);
        assert_eq!(value["quality"]["figures"]["samples"], 4);
    }

    #[test]
    fn only_the_hottest_functions_are_listed() {
        let mut fixture = Fixture::new();
        for at in 0..60 {
            fixture.add("app", &format!("main.f{at}"), at + 1);
        }
        let value = summary(&fixture, &Quality::default());
        assert_eq!(value["functions"].as_array().unwrap().len(), MAX_FUNCTIONS);
        assert_eq!(value["functions"][0]["display"], "main.f59");
        assert_eq!(value["function_count"], 60);
    }

    #[test]
    fn a_function_that_spends_its_time_in_many_callees_is_listed() {
        let mut fixture = Fixture::new();
        for at in 0..60 {
            fixture.add("app", &format!("main.main|main.f{at}"), at + 1);
        }
        let value = summary(&fixture, &Quality::default());
        let functions = value["functions"].as_array().unwrap();
        assert_eq!(functions.len(), MAX_FUNCTIONS + 1);
        assert_eq!(functions[MAX_FUNCTIONS]["display"], "main.main");
        assert_eq!(functions[MAX_FUNCTIONS]["cumulative_percent"], 100.0);
    }

    #[test]
    fn empty_profile_has_no_functions_and_no_path() {
        let value = summary(&Fixture::new(), &Quality::default());
        assert_eq!((&value["total"], &value["functions"], &value["path"]), (&json!(0), &json!([]), &json!([])));
    }
}
