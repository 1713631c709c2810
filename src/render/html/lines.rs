//! The source lines of the page: the heaviest of the user's code, and those of hot functions.

use std::collections::BTreeSet;

use serde::Serialize;

use super::columns::shown;
use crate::profile::{FunctionId, Profile};
use crate::render::source::{AnnotatedFunction, SourceText};
use crate::views::{FunctionLines, LineWeights, OwnLine, View};

/// Number of lines of the user's code that are listed.
const OWN_LINES: usize = 30;

#[derive(Serialize)]
pub(super) struct OwnLineEntry {
    function: String,
    file: String,
    line: u32,
    callee: Option<String>,
    weight: u64,
}

/// Returns the heaviest lines of the user's code.
pub(super) fn own_line_entries(view: &View) -> Vec<OwnLineEntry> {
    let profile = view.profile();
    let display = |id: FunctionId| shown(profile.str(profile.function(id).display));
    let entry = |line: &OwnLine| OwnLineEntry {
        function: display(line.function),
        file: shown(profile.str(profile.function(line.function).file)),
        line: line.line,
        callee: line.callee.map(display),
        weight: line.weight,
    };
    view.own_lines().iter().take(OWN_LINES).map(entry).collect()
}

/// The source of a function.
#[derive(Serialize)]
pub(super) struct SourceEntry {
    /// Index in [`Document::annotated`].
    #[serde(skip)]
    pub(super) annotated: usize,
    function: String,
    file: String,
    /// Why the file may not be the one that was compiled.
    doubt: Option<String>,
    /// Number, text, self weight and cumulative weight of each line. A line without a text is unknown.
    pub(super) lines: Vec<(u32, Option<String>, u64, u64)>,
}

impl SourceEntry {
    /// Returns the source of a function: the lines with a text, or with a weight of one of the events. Lines have no tabs: `shown`
    /// would replace each with one space.
    pub(super) fn new<'l>(
        profile: &Profile,
        at: usize,
        annotated: &AnnotatedFunction,
        lines_of_events: impl Iterator<Item = &'l FunctionLines>,
    ) -> Option<Self> {
        let SourceText::Found { lines, doubt, .. } = &annotated.source else { return None };
        let function = profile.function(annotated.weights.function);
        let weights = &annotated.weights.lines;
        let numbers =
            lines.keys().chain(weights.keys()).chain(lines_of_events.flat_map(|function| function.lines.keys()));
        let numbers: BTreeSet<u32> = numbers.copied().collect();
        let line = |number: u32| {
            let LineWeights { self_weight, cumulative } = weights.get(&number).copied().unwrap_or_default();
            let text = lines.get(&number).map(|line| shown(&line.replace('\t', "    ")));
            (number, text, self_weight, cumulative)
        };
        Some(Self {
            annotated: at,
            function: shown(profile.str(function.display)),
            file: shown(profile.str(function.file)),
            doubt: doubt.as_deref().map(shown),
            lines: numbers.into_iter().map(line).collect(),
        })
    }
}
