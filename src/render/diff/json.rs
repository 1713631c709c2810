//! The differences as JSON, for programs.
//!
//! ```text
//! {
//!   "schema": 1,                     version of this format; a program refuses a newer one
//!   "old": { "name": "20261130-…", "title": "app (debug)", "event": "cpu-clock", "unit": "nanoseconds",
//!            "frequency": 997, "duration_ns": 0, "samples": 3201, "total": 3210631809, "grade": "good" },
//!   "new": { … },
//!   "measure": "share",              what values are: "share" (0 to 1), "weight", "per-second", "per-unit"
//!   "summary": "1 function grew beyond chance; total CPU time 3.21 s → 3.90 s",
//!   "sampled": true,                 false: the counts are not samples, so that chance is not judged
//!   "comparisons": 84,               number of differences that the intervals are corrected for
//!   "counts": { "grew": 1, "shrank": 0, "new": 0, "gone": 0 },     functions by the change of their self weight
//!   "functions": [{                  all, in the order of the table
//!     "name": "main.slow", "origin": "main", "file": "/src/main.go", "line": 12,
//!     "old_names": ["main.slow"], "new_names": ["main.slow"],
//!     "self": { "old": 0.30, "new": 0.36, "change": 0.06, "low": 0.048, "high": 0.072, "verdict": "grew",
//!               "old_samples": 963, "new_samples": 1404 },
//!     "cumulative": { … }            "verdict": "grew", "shrank", "new", "gone", or "unclear": chance can explain the change
//!   }],
//!   "variants": {                    only with --variants: old is the release build, new the debug build
//!     "work": "time of an operation of BenchmarkX: 1.20 µs in release, 5.10 µs in debug, 4.25 times as long",
//!     "debug_only": [{ "name": "main.add", "figure": "self", "release_share": 0.004, "debug_share": 0.12,
//!                      "called": false, "inlined_into": ["main.sum"] }]
//!   },
//!   "notes": []
//! }
//! ```

use std::io::{self, Write};

use serde::Serialize;

use super::document::DiffDocument;
use crate::profile::{Grade, Origin, Unit};
use crate::render::name::escape_json;
use crate::views::{ChangeVerdict, DebugHotSpot, FigureChange, FunctionChange, ValueKind};

/// Version of this format.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct DiffFigures<'a> {
    schema: u32,
    old: SideFigures<'a>,
    new: SideFigures<'a>,
    measure: &'static str,
    summary: String,
    sampled: bool,
    comparisons: usize,
    counts: Counts,
    functions: Vec<FunctionFigures<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variants: Option<VariantFigures<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct VariantFigures<'a> {
    work: &'a str,
    debug_only: Vec<DebugOnlyFigures<'a>>,
}

#[derive(Serialize)]
struct DebugOnlyFigures<'a> {
    name: &'a str,
    figure: &'static str,
    release_share: f64,
    debug_share: f64,
    called: bool,
    inlined_into: &'a [String],
}

#[derive(Serialize)]
struct SideFigures<'a> {
    name: &'a str,
    title: &'a str,
    event: &'a str,
    unit: Unit,
    frequency: u64,
    duration_ns: u64,
    samples: u64,
    total: u64,
    grade: Grade,
}

#[derive(Serialize)]
struct Counts {
    grew: usize,
    shrank: usize,
    new: usize,
    gone: usize,
}

#[derive(Serialize)]
struct FunctionFigures<'a> {
    name: &'a str,
    origin: Origin,
    file: &'a str,
    line: u32,
    old_names: &'a [String],
    new_names: &'a [String],
    #[serde(rename = "self")]
    self_weight: ChangeFigures,
    cumulative: ChangeFigures,
}

#[derive(Serialize)]
struct ChangeFigures {
    old: f64,
    new: f64,
    change: f64,
    low: f64,
    high: f64,
    verdict: ChangeVerdict,
    old_samples: u64,
    new_samples: u64,
}

pub(super) fn write(document: &DiffDocument<'_>, out: &mut dyn Write) -> io::Result<()> {
    let diff = document.diff;
    let [old, new] = [0, 1].map(|side: usize| side_figures(document, side));
    let count = |verdict| diff.count_with_verdict(verdict);
    let figures = DiffFigures {
        schema: SCHEMA_VERSION,
        old,
        new,
        measure: match diff.scale.value_kind {
            ValueKind::Share => "share",
            ValueKind::Weight => "weight",
            ValueKind::WeightPerSecond => "per-second",
            ValueKind::WeightPerUnit => "per-unit",
        },
        summary: document.summary(),
        sampled: diff.scale.is_sampled,
        comparisons: diff.comparisons,
        counts: Counts {
            grew: count(ChangeVerdict::Grew),
            shrank: count(ChangeVerdict::Shrank),
            new: count(ChangeVerdict::New),
            gone: count(ChangeVerdict::Gone),
        },
        functions: diff.functions.iter().map(|row| function_figures(document, row)).collect(),
        variants: document.work.map(|work| VariantFigures { work, debug_only: debug_only_figures(document) }),
        notes: document.notes,
    };
    let mut text = escape_json(&serde_json::to_string_pretty(&figures)?);
    text.push('\n');
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn side_figures<'a>(document: &DiffDocument<'a>, side: usize) -> SideFigures<'a> {
    let shown = &document.sides[side];
    let (profile, total) = (shown.view.profile(), document.diff.scale.totals[side]);
    SideFigures {
        name: document.names[side],
        title: shown.title,
        event: &profile.event.name,
        unit: profile.event.unit,
        frequency: profile.event.frequency,
        duration_ns: profile.duration_ns,
        samples: total.count,
        total: total.weight,
        grade: shown.quality.assess().grade,
    }
}

fn function_figures<'a>(document: &DiffDocument<'a>, row: &FunctionChange) -> FunctionFigures<'a> {
    let function = &document.diff.matching.functions[row.function];
    FunctionFigures {
        name: &function.name,
        origin: function.origin,
        file: &function.file,
        line: function.start_line,
        old_names: &function.names[0],
        new_names: &function.names[1],
        self_weight: change_figures(&row.self_weight),
        cumulative: change_figures(&row.cumulative),
    }
}

fn debug_only_figures<'a>(document: &DiffDocument<'a>) -> Vec<DebugOnlyFigures<'a>> {
    let name = |at: usize| document.diff.matching.functions[at].name.as_str();
    let figures = |spot: &'a DebugHotSpot| DebugOnlyFigures {
        name: name(spot.function),
        figure: if spot.is_self_weight { "self" } else { "cumulative" },
        release_share: spot.shares[0],
        debug_share: spot.shares[1],
        called: spot.is_called,
        inlined_into: &spot.inlined_into,
    };
    document.debug_only.iter().map(figures).collect()
}

fn change_figures(change: &FigureChange) -> ChangeFigures {
    let ([old, new], [old_amount, new_amount]) = (change.values, change.amounts);
    ChangeFigures {
        old,
        new,
        change: change.difference.value,
        low: change.difference.low,
        high: change.difference.high,
        verdict: change.verdict,
        old_samples: old_amount.count,
        new_samples: new_amount.count,
    }
}
