//! The source lines of the page: the heaviest lines of the user's code, and the lines of hot functions.

use std::collections::BTreeSet;

use serde::Serialize;

use super::columns::sanitize_to_string;
use crate::profile::{FunctionId, Profile};
use crate::render::source::{AnnotatedFunction, SourceText};
use crate::views::{FunctionLines, LineWeights, UserCodeLine, View};

/// Maximum number of listed lines of the user's code.
const MAX_USER_CODE_LINES: usize = 30;

#[derive(Serialize)]
pub(super) struct UserCodeLineEntry {
    function: String,
    file: String,
    line: u32,
    callee: Option<String>,
    weight: u64,
}

/// Returns the heaviest lines of the user's code.
pub(super) fn user_code_line_entries(view: &View) -> Vec<UserCodeLineEntry> {
    let profile = view.profile();
    let display = |id: FunctionId| sanitize_to_string(profile.str(profile.function(id).display));
    let entry = |line: &UserCodeLine| UserCodeLineEntry {
        function: display(line.function),
        file: sanitize_to_string(profile.str(profile.function(line.function).file)),
        line: line.line,
        callee: line.callee.map(display),
        weight: line.weight,
    };
    view.user_code_lines().iter().take(MAX_USER_CODE_LINES).map(entry).collect()
}

#[derive(Serialize)]
pub(super) struct SourceEntry {
    /// Index in [`Document::annotated`].
    #[serde(skip)]
    pub(super) annotated: usize,
    function: String,
    file: String,
    /// Why the file may differ from the one that was compiled.
    doubt: Option<String>,
    /// Number, text, self weight and cumulative weight of each line. The text of an unknown line is `None`.
    pub(super) lines: Vec<(u32, Option<String>, u64, u64)>,
}

impl SourceEntry {
    /// Returns the source of a function: the lines with a text, or with a weight of one of the events. Tabs become four
    /// spaces, because [`sanitize_to_string`] would make one space of each.
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
            let text = lines.get(&number).map(|line| sanitize_to_string(&line.replace('\t', "    ")));
            (number, text, self_weight, cumulative)
        };
        Some(Self {
            annotated: at,
            function: sanitize_to_string(profile.str(function.display)),
            file: sanitize_to_string(profile.str(function.file)),
            doubt: doubt.as_deref().map(sanitize_to_string),
            lines: numbers.into_iter().map(line).collect(),
        })
    }
}
