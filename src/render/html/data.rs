//! The data of the report: texts, and columns of numbers (see [`columns`](super::columns)).
//!
//! | column | one value for each | value |
//! | --- | --- | --- |
//! | `depth` | call path, in depth-first order | number of its callers |
//! | `function` | call path | position in `functions` |
//! | `inlined` | call path | 1: the compiler inlined all calls of its last function |
//! | `leaf` | sample | position of its call path, plus 1; 0: no frames |
//! | `weight` | sample | in the unit |
//! | `weight of event N` | sample | in the unit of event N |
//! | `group N` | sample | position in the names of grouping N |
//! | `time` | moment | nanoseconds since the previous moment |
//! | `sample of moment` | moment | position of its sample |
//! | `weight of moment` | moment | in the unit |
//! | `gc start` | garbage collection | microseconds since the previous start; for the first, since the start of the axis |
//! | `gc length` | garbage collection | microseconds |
//! | `gc process` | garbage collection | index of the process |
//! | `heap before`, `heap after`, `heap live` | garbage collection | MiB at the start, at the end, and found alive |
//! | `queue time` | state of the scheduler | microseconds since the previous state; for the first, since the start of the axis |
//! | `queue process` | state of the scheduler | index of the process |
//! | `queue length` | state of the scheduler | goroutines that wait for a processor |
//!
//! A moment is a single sample with its time. If times are unknown, there are no columns of moments and of the runtime. Only a
//! page of several events has columns of events.

use std::collections::HashMap;
use std::io;

use serde::Serialize;

use super::columns::{Columns, pack_columns, sanitize_to_string};
use super::events::{EventEntry, page_events};
use super::lines::{SourceEntry, UserCodeLineEntry, user_code_line_entries};
use super::timeline::Timeline;
use crate::goname;
use crate::profile::{Assessment, Function, FunctionId, Grade, Interner, Origin, Profile, Unit, position};
use crate::render::document::Document;
use crate::views::{CallPaths, GroupBy, Grouping};

/// A grouping with more groups is left out: nobody reads such a list, and it makes the file large.
const MAX_GROUPS: usize = 5000;

#[derive(Serialize)]
struct Meta<'a> {
    title: String,
    facts: Vec<(&'a str, String)>,
    notes: Vec<String>,
    quality: QualityEntry,
    event: &'a str,
    unit: Unit,
    samples: u64,
    total: u64,
    /// Empty if the page shows one event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventEntry>,
    functions: Vec<FunctionEntry>,
    packages: Vec<Box<str>>,
    own_lines: Vec<UserCodeLineEntry>,
    sources: Vec<SourceEntry>,
    groupings: Vec<GroupingEntry>,
    timeline: Option<Timeline>,
    columns: Vec<(String, usize)>,
}

#[derive(Serialize)]
struct QualityEntry {
    grade: Grade,
    summary: String,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct FunctionEntry {
    name: String,
    file: String,
    line: u32,
    origin: Origin,
    /// Position in [`Meta::packages`].
    package: u32,
}

#[derive(Serialize)]
struct GroupingEntry {
    name: String,
    names: Vec<String>,
}

/// Returns the gzipped data of a document.
pub(super) fn pack(document: &Document<'_>) -> io::Result<Vec<u8>> {
    let view = document.view;
    let events = page_events(document);
    // A page of several events has the samples of all.
    let all_rows = if events.is_empty() { None } else { view.profile().with_all_rows() };
    let profile = all_rows.as_ref().unwrap_or(view.profile());
    let paths = CallPaths::new(profile);
    let mut columns = Columns::default();
    columns.add("depth", paths.depths.iter().map(|depth| u64::from(*depth)));
    let mut functions = FunctionTable::new(profile);
    let function_of_path: Vec<u32> = paths.functions.iter().map(|id| functions.intern(*id)).collect();
    columns.add("function", function_of_path.into_iter().map(u64::from));
    columns.add("inlined", paths.inlined.iter().map(|inlined| u64::from(*inlined)));
    columns.add("leaf", paths.leaves.iter().map(|leaf| leaf.map_or(0, |path| u64::from(path) + 1)));
    columns.add("weight", profile.samples().iter().map(|sample| sample.weight));
    let groupings = add_groupings(profile, &mut columns);
    if let Some(moments) = profile.timed_samples() {
        let mut last = moments.first().map_or(0, |moment| moment.time);
        let since_last =
            moments.iter().map(|moment| moment.time.saturating_sub(std::mem::replace(&mut last, moment.time)));
        columns.add("time", since_last);
        columns.add("sample of moment", moments.iter().map(|moment| u64::from(moment.sample)));
        columns.add("weight of moment", moments.iter().map(|moment| moment.weight));
    }
    let timeline = Timeline::new(document, &mut columns);
    let Assessment { grade, reasons } = document.quality.assess();
    let annotated = document.annotated.iter().enumerate();
    let sources = annotated.filter_map(|(at, one)| {
        let lines_of_events = events.iter().filter_map(|event| event.lines.get(at));
        SourceEntry::new(profile, at, one, lines_of_events)
    });
    let sources: Vec<SourceEntry> = sources.collect();
    let events =
        events.into_iter().enumerate().map(|(at, event)| event.into_entry(at, &sources, &mut columns)).collect();
    let findings = document.findings.iter().map(|finding| sanitize_to_string(&finding.to_string()));
    let meta = Meta {
        title: sanitize_to_string(document.title),
        facts: document.facts.iter().map(|(name, value)| (*name, sanitize_to_string(value))).collect(),
        notes: findings.chain(document.notes.iter().map(|note| sanitize_to_string(note))).collect(),
        quality: QualityEntry {
            grade,
            summary: document.quality.summary(),
            reasons: reasons.iter().map(|reason| sanitize_to_string(reason)).collect(),
        },
        event: &profile.event.name,
        unit: profile.event.unit,
        samples: view.profile().total_count(),
        total: view.profile().total_weight(),
        events,
        functions: functions.entries,
        packages: functions.packages.items().to_vec(),
        own_lines: user_code_line_entries(view),
        sources,
        groupings,
        timeline,
        columns: columns.names_and_lengths,
    };
    pack_columns(&meta, &columns.bytes)
}

/// The functions of call paths. Functions with equal names are one entry.
struct FunctionTable<'p> {
    profile: &'p Profile,
    by_name: HashMap<&'p str, u32>,
    entries: Vec<FunctionEntry>,
    packages: Interner<Box<str>>,
}

impl<'p> FunctionTable<'p> {
    fn new(profile: &'p Profile) -> Self {
        Self { profile, by_name: HashMap::new(), entries: Vec::new(), packages: Interner::default() }
    }

    fn intern(&mut self, id: FunctionId) -> u32 {
        let Function { name, display, file, start_line, origin } = *self.profile.function(id);
        let display = self.profile.str(display);
        let (entries, packages) = (&mut self.entries, &mut self.packages);
        *self.by_name.entry(display).or_insert_with(|| {
            let package = match (goname::package(self.profile.str(name)), origin) {
                ("", Origin::Kernel) => "[kernel]".to_owned(),
                ("", Origin::Native) => "[C and native]".to_owned(),
                ("", Origin::Vdso) => "[vdso]".to_owned(),
                ("", _) => "[no package]".to_owned(),
                (package, _) => sanitize_to_string(package),
            };
            entries.push(FunctionEntry {
                name: sanitize_to_string(display),
                file: sanitize_to_string(self.profile.str(file)),
                line: start_line,
                origin,
                package: packages.intern_str(&package),
            });
            position(entries.len() - 1)
        })
    }
}

/// Adds a column for each property by which samples can be grouped. A property with a single group, or with more than
/// [`MAX_GROUPS`], is left out.
fn add_groupings(profile: &Profile, columns: &mut Columns) -> Vec<GroupingEntry> {
    let labels = profile.label_keys().into_iter().map(|key| (key.to_owned(), GroupBy::Label(key.to_owned())));
    let properties = [
        ("process", GroupBy::Process),
        ("thread", GroupBy::Thread),
        ("goroutine", GroupBy::Goroutine),
        ("entry", GroupBy::Entry),
    ];
    let properties = properties.into_iter().map(|(name, by)| (name.to_owned(), by)).chain(labels);
    let mut entries = Vec::new();
    for (name, by) in properties {
        let grouping = Grouping::new(profile, &by);
        if !(2..=MAX_GROUPS).contains(&grouping.names().len()) {
            continue;
        }
        let mut group_of_sample = vec![0_u64; profile.samples().len()];
        for (group, samples) in (0..).zip(grouping.samples()) {
            for sample in samples {
                group_of_sample[*sample as usize] = group;
            }
        }
        columns.add(format!("group {}", entries.len()), group_of_sample.into_iter());
        entries.push(GroupingEntry {
            name: sanitize_to_string(&name),
            names: grouping.names().map(sanitize_to_string).collect(),
        });
    }
    entries
}
