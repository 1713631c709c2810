//! The events of a profile that the page can show one at a time, such as the sample types of a heap profile.

use std::collections::HashSet;

use serde::Serialize;

use super::columns::Columns;
use super::lines::{SourceEntry, UserCodeLineEntry, user_code_line_entries};
use crate::profile::{EventTable, FunctionId, TableEvent, Unit};
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

/// An event of a page, and the figures that the page does not compute.
pub(super) struct PageEvent<'p> {
    table: &'p EventTable,
    event: &'p TableEvent,
    samples: u64,
    total: u64,
    own_lines: Vec<UserCodeLineEntry>,
    /// The source lines of the functions of [`Document::annotated`].
    pub(super) lines: Vec<FunctionLines>,
}

/// Returns the events that the page offers. Empty if there are fewer than two, or more than [`MAX_EVENTS`].
pub(super) fn page_events<'p>(document: &Document<'p>) -> Vec<PageEvent<'p>> {
    let profile = document.view.profile();
    let Some(table) = profile.event_table() else { return Vec::new() };
    // An event that is only the number of samples of another event would show the same shares.
    let is_count = |at: usize| table.events.iter().any(|other| other.event.is_sampled() && other.count == at);
    let mut names = HashSet::from([profile.event.name.as_str()]);
    let offered = (table.events.iter().enumerate()).filter(|(at, other)| {
        *at == profile.shown_event_index() || (!is_count(*at) && names.insert(other.event.name.as_str()))
    });
    let offered: Vec<usize> = offered.map(|(at, _)| at).collect();
    if !(2..=MAX_EVENTS).contains(&offered.len()) {
        return Vec::new();
    }
    let functions: Vec<FunctionId> = document.annotated.iter().map(|one| one.weights.function).collect();
    // One copy of the profile shows one event after the other: copies for all events could take gigabytes.
    let mut profile = profile.clone();
    let mut events = Vec::new();
    for at in offered {
        profile.show_event(at);
        let view = View::new(profile, GroupBy::default());
        events.push(PageEvent {
            table,
            event: &table.events[at],
            samples: view.profile().total_count(),
            total: view.profile().total_weight(),
            own_lines: user_code_line_entries(&view),
            lines: function_lines(view.profile(), &functions),
        });
        profile = view.into_profile();
    }
    events
}

impl PageEvent<'_> {
    /// Returns the texts and figures of the event, and adds the column of its weights. `sources` are those of the page.
    pub(super) fn into_entry(self, at: usize, sources: &[SourceEntry], columns: &mut Columns) -> EventEntry {
        let Self { table, event, samples, total, own_lines, lines } = self;
        columns.add(format!("weight of event {at}"), table.counts_and_weights(event).map(|(_, weight)| weight));
        let source_weights = |source: &SourceEntry| {
            let lines = lines.get(source.annotated).map(|function| &function.lines);
            let weights = source.lines.iter().map(|(number, ..)| lines?.get(number).copied());
            weights
                .map(Option::unwrap_or_default)
                .map(|line: LineWeights| (line.self_weight, line.cumulative))
                .collect()
        };
        EventEntry {
            name: event.event.name.clone(),
            unit: event.event.unit,
            samples,
            total,
            own_lines,
            sources: sources.iter().map(source_weights).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read;

    use flate2::read::GzDecoder;
    use serde_json::Value;

    use crate::pprof::{self, SourceDirs};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Event, EventTable, Profile, Quality, Quantity, TableEvent, Unit};
    use crate::render::html::data;
    use crate::render::{Document, Drawing, Format};
    use crate::views::{GroupBy, View};

    const NAMES: [&str; 2] = ["alloc_space", "inuse_space"];

    /// Returns a heap profile that shows `inuse_space`. A stack has the values 100, -40 and 5, another one has 30.
    fn heap_with_negative_sample() -> Profile {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|main.mixed", 1);
        fixture.add("app", "main.main|main.positive", 1);
        let mut profile = fixture.profile;
        let [mixed, positive] = [0, 1].map(|at: usize| profile.samples()[at]);
        let event = |(at, name): (usize, &str)| TableEvent {
            event: Event { name: name.to_owned(), count_name: name.to_owned(), unit: Unit::Bytes, frequency: 0 },
            count: at,
            weight: at,
            scale: 1,
        };
        let quantities = NAMES.map(|name| Quantity { name: name.to_owned(), unit: "bytes".to_owned() });
        let events = NAMES.into_iter().enumerate().map(event).collect();
        let mut table = EventTable::new(quantities.to_vec(), events);
        for (sample, values) in
            [(mixed, [200, 100]), (mixed, [10, -40]), (mixed, [1, 5]), (positive, [2, 10]), (positive, [3, 20])]
        {
            table.add(sample.stack, sample.task, &values);
        }
        profile.set_event_table(table, 1);
        profile.show_event(1);
        profile
    }

    /// Returns the texts of the page and the summary of a profile.
    fn page_and_summary(profile: Profile) -> [Value; 2] {
        let view = View::new(profile, GroupBy::default());
        let (quality, sources, drawing) = (Quality::default(), SourceDirs::default(), Drawing::default());
        let document = Document::new(&view, &quality, "title", &sources, &drawing);
        let mut page = Vec::new();
        GzDecoder::new(&data::pack(&document).unwrap()[..]).read_to_end(&mut page).unwrap();
        let length = u32::from_le_bytes(*page.first_chunk().unwrap()) as usize;
        let mut summary = Vec::new();
        Format::Json.write(&document, &mut summary).unwrap();
        [&page[4..4 + length], &summary[..]].map(|json| serde_json::from_slice(json).unwrap())
    }

    /// Returns the total and the weights of the lines.
    fn weights(entry: &Value) -> (u64, Vec<u64>) {
        let weight = |value: &Value| value.as_u64().unwrap();
        let lines = entry["own_lines"].as_array().unwrap().iter().map(|line| weight(&line["weight"]));
        (weight(&entry["total"]), lines.collect())
    }

    #[test]
    fn all_formats_leave_out_the_same_negative_samples() {
        let profile = heap_with_negative_sample();
        let mut file = Vec::new();
        pprof::write(&profile, &[], &SourceDirs::default(), &mut file).unwrap();
        let reread = pprof::read(&file, Some("inuse_space")).unwrap();
        assert_eq!(reread.notes, ["1 sample has a negative value, as differences of profiles do: it is left out"]);
        for profile in [profile, reread.profile] {
            let [page, summary] = page_and_summary(profile);
            assert_eq!(weights(&page), (135, vec![105, 30]));
            assert_eq!(weights(&summary), weights(&page));
            let events = page["events"].as_array().unwrap();
            assert_eq!(events.iter().map(|event| event["name"].as_str().unwrap()).collect::<Vec<_>>(), NAMES);
            assert_eq!(weights(&events[0]), (216, vec![211, 5]));
            assert_eq!(weights(&events[1]), weights(&page));
        }
    }
}
