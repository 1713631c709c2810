//! The data of the page of a comparison: texts, and columns of numbers (see [`columns`](super::columns)).
//!
//! | column | one value for each | value |
//! | --- | --- | --- |
//! | `parent` | node of the call tree of both profiles | its position minus that of its caller; 0: the root |
//! | `function` | node | position in `functions`, plus 1; 0: the root |
//! | `SIDE depth` | call path of a profile, in depth-first order | number of its callers |
//! | `SIDE function` | call path | position in `functions`, plus 1; 0: a function without weight |
//! | `SIDE self` | call path | weight |
//! | `LIST old`, `LIST new` | entry | weight |
//! | `LIST old samples`, `LIST new samples` | entry | count |
//! | `LIST below`, `LIST above` | entry | distance from the difference to the bounds of its interval, in steps |
//! | `LIST verdict` | entry | position in `verdicts` |
//!
//! A `LIST` is `node` (cumulative weights of nodes), or `self` or `cumulative` (weights of functions). Functions without
//! weight are left out. The call tree has no narrow nodes, so that only drawn differences are judged. A `SIDE` is `old` or
//! `new`. The call paths of both sides are complete.

use std::io;

use serde::Serialize;

use super::columns::{Columns, pack_columns, sanitize_to_string};
use crate::render::diff::debug_only::{self, DEBUG_ONLY_HEADING, DebugOnlyEntry};
use crate::render::diff::document::{DiffDocument, WidthSource};
use crate::render::flamegraph::MIN_SHARE_DIVISOR;
use crate::views::{CallPaths, ChangeVerdict, FigureChange, ValueKind};

/// The order of the verdicts in columns.
const VERDICT_ORDER: [ChangeVerdict; 5] =
    [ChangeVerdict::Unclear, ChangeVerdict::Grew, ChangeVerdict::Shrank, ChangeVerdict::New, ChangeVerdict::Gone];

/// Number of steps in the larger total. Bounds of intervals are rounded to a step.
const STEPS_IN_TOTAL: f64 = 1e9;

#[derive(Serialize)]
struct DiffMeta<'a> {
    summary: String,
    work: String,
    explanation: String,
    notes: Vec<String>,
    labels: [&'a str; 2],
    facts: Vec<(String, [String; 2])>,
    /// The profile whose weights are the widths when the page opens: 0 for the old one, 1 for the new one.
    width: usize,
    /// Values are weights times these factors.
    factors: [f64; 2],
    /// The value of one step of an interval's bound.
    step: f64,
    /// Values are divided by this number before they are shown.
    scale: f64,
    decimals: usize,
    value_unit: String,
    /// The unit of differences.
    unit: String,
    /// Whether values are shares of the total.
    shares: bool,
    sampled: bool,
    unclear: String,
    verdicts: [ChangeVerdict; 5],
    functions: Vec<DiffFunctionEntry>,
    renamed: Vec<[String; 2]>,
    only_heading: &'a str,
    only: Vec<DebugOnlyEntry>,
    columns: Vec<(String, usize)>,
}

#[derive(Serialize)]
struct DiffFunctionEntry {
    name: String,
    file: String,
    line: u32,
}

/// Returns the gzipped data of a comparison.
pub(super) fn pack(document: &DiffDocument<'_>) -> io::Result<Vec<u8>> {
    let diff = document.diff;
    let nodes = diff.call_tree(document.views(), MIN_SHARE_DIVISOR);
    let totals = nodes.first().map_or([0.0; 2], |root| root.change.values);
    let step = totals[0].max(totals[1]) / STEPS_IN_TOTAL;
    let mut positions = vec![None; diff.matching.functions.len()];
    for (at, row) in diff.functions.iter().enumerate() {
        positions[row.function] = Some(at);
    }
    let plus_1 = |function: usize| positions[function].map_or(0, |at| at as u64 + 1);
    let mut columns = Columns::default();
    columns.add("parent", nodes.iter().enumerate().map(|(at, node)| (at - node.parent) as u64));
    columns.add("function", nodes.iter().map(|node| node.function.map_or(0, plus_1)));
    add_changes(&mut columns, "node", &nodes.iter().map(|node| node.change).collect::<Vec<_>>(), step);
    add_changes(&mut columns, "self", &diff.functions.iter().map(|row| row.self_weight).collect::<Vec<_>>(), step);
    add_changes(&mut columns, "cumulative", &diff.functions.iter().map(|row| row.cumulative).collect::<Vec<_>>(), step);
    for (side, name) in ["old", "new"].into_iter().enumerate() {
        let profile = document.views()[side].profile();
        let paths = CallPaths::new(profile);
        let mut weights = vec![0_u64; paths.depths.len()];
        for (leaf, sample) in paths.leaves.iter().zip(profile.samples()) {
            if let Some(path) = leaf {
                let weight = &mut weights[*path as usize];
                *weight = weight.saturating_add(sample.weight);
            }
        }
        let functions = paths.functions.iter().map(|id| plus_1(diff.matching.position(side, *id)));
        columns.add(format!("{name} depth"), paths.depths.iter().map(|depth| u64::from(*depth)));
        columns.add(format!("{name} function"), functions);
        columns.add(format!("{name} self"), weights.into_iter());
    }
    let only = |entry: DebugOnlyEntry| Some(DebugOnlyEntry { function: positions[entry.function]?, ..entry });
    let values = document.value_format();
    let figures = values.page_format();
    let meta = DiffMeta {
        summary: document.summary(),
        work: document.work.map(sanitize_to_string).unwrap_or_default(),
        explanation: document.explanation(),
        notes: merged_notes(document),
        labels: document.labels,
        facts: merged_facts(document),
        width: usize::from(document.width_source == WidthSource::New),
        factors: diff.scale.factors(),
        step,
        scale: figures.scale,
        decimals: figures.decimals,
        value_unit: figures.unit,
        unit: values.unit(),
        shares: diff.scale.value_kind == ValueKind::Share,
        sampled: diff.scale.is_sampled,
        unclear: format!("no change{}", document.beyond_chance_words()),
        verdicts: VERDICT_ORDER,
        functions: diff.functions.iter().map(|row| function_entry(document, row.function)).collect(),
        renamed: document.renamed_functions(),
        only_heading: DEBUG_ONLY_HEADING,
        only: debug_only::entries(document).into_iter().filter_map(only).collect(),
        columns: columns.names_and_lengths,
    };
    pack_columns(&meta, &columns.bytes)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a distance is not negative, and saturates"
)]
fn add_changes(columns: &mut Columns, list: &str, changes: &[FigureChange], step: f64) {
    let steps = |distance: f64| if step > 0.0 { (distance.max(0.0) / step).round() as u64 } else { 0 };
    let mut add = |part: &str, value: &dyn Fn(&FigureChange) -> u64| {
        columns.add(format!("{list} {part}"), changes.iter().map(value));
    };
    add("old", &|change| change.amounts[0].weight);
    add("new", &|change| change.amounts[1].weight);
    add("old samples", &|change| change.amounts[0].count);
    add("new samples", &|change| change.amounts[1].count);
    add("below", &|change| steps(change.difference.value - change.difference.low));
    add("above", &|change| steps(change.difference.high - change.difference.value));
    add("verdict", &|change| VERDICT_ORDER.iter().position(|verdict| *verdict == change.verdict).unwrap_or(0) as u64);
}

fn function_entry(document: &DiffDocument<'_>, at: usize) -> DiffFunctionEntry {
    let function = &document.diff.matching.functions[at];
    DiffFunctionEntry {
        name: document.function_name(at),
        file: sanitize_to_string(&function.file),
        line: function.start_line,
    }
}

/// Returns the notes on the comparison, and the reasons for the grade and the notes of each profile.
fn merged_notes(document: &DiffDocument<'_>) -> Vec<String> {
    let of_sides = document.sides.iter().zip(document.labels).flat_map(|(side, label)| {
        let reasons = side.quality.assess().reasons;
        let notes = reasons.into_iter().chain(side.notes.iter().cloned());
        notes.map(move |note| format!("{label}: {note}"))
    });
    document.notes.iter().cloned().chain(of_sides).map(|note| sanitize_to_string(&note)).collect()
}

/// Returns the facts of both runs, in the order of the run with more facts.
fn merged_facts(document: &DiffDocument<'_>) -> Vec<(String, [String; 2])> {
    let sides = document.sides.map(|side| side.facts);
    let longer = usize::from(sides[1].len() > sides[0].len());
    let mut names: Vec<&str> = sides[longer].iter().map(|(name, _)| *name).collect();
    for (name, _) in sides[1 - longer] {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let value = |side: usize, name: &str| {
        let fact = sides[side].iter().find(|(other, _)| *other == name);
        fact.map_or_else(String::new, |(_, value)| sanitize_to_string(value))
    };
    let profiles = ("Profile".to_owned(), [0, 1].map(|side: usize| document.description(side)));
    let facts = names.into_iter().map(|name| (name.to_owned(), [value(0, name), value(1, name)]));
    std::iter::once(profiles).chain(facts).collect()
}
