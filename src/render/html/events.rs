//! The events of a profile that the page can show one at a time, such as the sample types of a heap profile.

use std::collections::HashSet;

use serde::Serialize;

use super::columns::Columns;
use super::lines::{SourceEntry, UserCodeLineEntry, user_code_line_entries};
use crate::profile::{FunctionId, Profile, Unit};
use crate::render::document::Document;
use crate::views::{FunctionLines, GroupBy, LineWeights, View, function_lines};

/// Maximum number of events of a page. A profile with more would make the page too large, so the page shows only one.
const MAX_EVENTS: usize = 20;

/// An event, and the figures that the page does not compute from the samples.
#[derive(Serialize)]
pub(super) struct EventEntry {
    name: String,
    unit: Unit,
    samples: u64,
    total: u64,
    own_lines: Vec<UserCodeLineEntry>,
    /// By function and line of the page's sources: self weight and cumulative weight.
    sources: Vec<Vec<(u64, u64)>>,
}

/// An event of a page, and a profile that shows it.
pub(super) struct PageEvent {
    profile: Profile,
    /// The source lines of the functions of [`Document::annotated`].
    pub(super) lines: Vec<FunctionLines>,
}

/// Returns the events that the page offers. Empty if there are fewer than two.
pub(super) fn page_events(document: &Document<'_>) -> Vec<PageEvent> {
    let profile = document.view.profile();
    let Some(table) = profile.event_table() else { return Vec::new() };
    // An event that is only the number of samples of another event would show the same shares.
    let is_count = |at: usize| table.events.iter().any(|other| other.event.is_sampled() && other.count == at);
    let mut names = HashSet::from([profile.event.name.as_str()]);
    let offered = (table.events.iter().enumerate())
        .filter(|(at, other)| *at == table.shown_index || (!is_count(*at) && names.insert(other.event.name.as_str())));
    let offered: Vec<usize> = offered.map(|(at, _)| at).collect();
    if !(2..=MAX_EVENTS).contains(&offered.len()) {
        return Vec::new();
    }
    let functions: Vec<FunctionId> = document.annotated.iter().map(|one| one.weights.function).collect();
    let event = |at: usize| {
        let mut profile = profile.clone();
        profile.show_event(at);
        PageEvent { lines: function_lines(&profile, &functions), profile }
    };
    offered.into_iter().map(event).collect()
}

impl PageEvent {
    /// Returns the texts and figures of the event, and adds the column of its weights. `sources` are those of the page.
    pub(super) fn into_entry(self, at: usize, sources: &[SourceEntry], columns: &mut Columns) -> EventEntry {
        let Self { profile, lines } = self;
        if let Some(table) = profile.event_table() {
            let weights = table.counts_and_weights(&table.events[table.shown_index]).map(|(_, weight)| weight);
            columns.add(format!("weight of event {at}"), weights);
        }
        let source_weights = |source: &SourceEntry| {
            let lines = lines.get(source.annotated).map(|function| &function.lines);
            let weights = source.lines.iter().map(|(number, ..)| lines?.get(number).copied());
            weights
                .map(Option::unwrap_or_default)
                .map(|line: LineWeights| (line.self_weight, line.cumulative))
                .collect()
        };
        let view = View::new(profile, GroupBy::default());
        let profile = view.profile();
        EventEntry {
            name: profile.event.name.clone(),
            unit: profile.event.unit,
            samples: profile.total_count(),
            total: profile.total_weight(),
            own_lines: user_code_line_entries(&view),
            sources: sources.iter().map(source_weights).collect(),
        }
    }
}
