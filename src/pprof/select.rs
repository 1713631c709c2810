//! Makes an event of each sample type of a file, with its unit, and selects the event to show.

use super::error::Error;
use super::messages::ValueType;
use super::tables::Tables;
use crate::profile::{Event, Quantity, TableEvent, Unit};

/// The sample types of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleTypes {
    /// The sample type that is shown, with its unit: `cpu/nanoseconds`.
    pub shown: String,
    /// The names of the other sample types, in the order of the file.
    pub others: Vec<String>,
}

/// The events of a file.
#[derive(Debug)]
pub(super) struct Selection {
    /// The event of each sample type. At least one.
    pub(super) events: Vec<TableEvent>,
    /// The event to show.
    pub(super) shown_event: TableEvent,
    /// Its index in `events`.
    pub(super) shown_index: usize,
    pub(super) sample_types: SampleTypes,
}

impl Selection {
    /// Selects the requested sample type by name or position. Without a request, selects the file's default or else the
    /// last one, as `go tool pprof` does.
    pub(super) fn new(tables: &Tables<'_>, asked: Option<&str>) -> Result<Self, Error> {
        let types = &tables.sample_types;
        let names: Vec<String> = types.iter().map(|sample_type| display_text(tables, sample_type.kind)).collect();
        let at = match asked {
            Some(asked) => requested_type(&names, asked)
                .ok_or_else(|| Error::UnknownSampleType { asked: asked.to_owned(), known: names.clone() })?,
            None => default_type(tables, &names).ok_or(Error::NoSampleType)?,
        };
        let columns = types.iter().zip(&names).enumerate();
        let events: Vec<TableEvent> =
            columns.map(|(at, (sample_type, name))| event(tables, &names, *sample_type, name, at)).collect();
        let (Some(shown), Some(sample_type)) = (events.get(at).cloned(), types.get(at)) else {
            return Err(Error::NoSampleType);
        };
        let others = names.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, name)| name.clone()).collect();
        let sample_types =
            SampleTypes { shown: format!("{}/{}", shown.event.name, display_text(tables, sample_type.unit)), others };
        Ok(Self { events, shown_event: shown, shown_index: at, sample_types })
    }
}

/// Returns the event of the sample type at a position.
fn event(tables: &Tables<'_>, names: &[String], sample_type: ValueType, name: &str, weight: usize) -> TableEvent {
    let (unit, scale) = parse_unit(tables.strings.text(sample_type.unit));
    // Sample types with the same name cannot be distinguished.
    let count = find_count_type(tables, names, weight).filter(|at| names.get(*at).is_some_and(|other| other != name));
    let count = count.unwrap_or(weight);
    let mut event = Event {
        name: name.to_owned(),
        count_name: names.get(count).map_or(name, String::as_str).to_owned(),
        unit,
        frequency: frequency(tables, sample_type, scale),
    };
    // perf's converters have other names for the number of samples.
    if event.has_count() && is_sample_count(&event.count_name) && event.name != Event::SAMPLES {
        Event::SAMPLES.clone_into(&mut event.count_name);
    }
    TableEvent { event, count, weight, scale }
}

/// Returns the name and the unit of a sample type as texts.
pub(super) fn quantity(tables: &Tables<'_>, sample_type: ValueType) -> Quantity {
    Quantity { name: display_text(tables, sample_type.kind), unit: display_text(tables, sample_type.unit) }
}

/// Returns the position of the sample type with the name `asked`. If no type has this name, `asked` can be a position.
fn requested_type(names: &[String], asked: &str) -> Option<usize> {
    let by_name = names.iter().position(|name| name == asked);
    by_name.or_else(|| asked.parse().ok().filter(|at| *at < names.len()))
}

/// Returns the position of the file's default sample type, or else of the last one.
fn default_type(tables: &Tables<'_>, names: &[String]) -> Option<usize> {
    let default = display_text(tables, tables.default_sample_type);
    let by_name = names.iter().position(|name| *name == default).filter(|_| !default.is_empty());
    by_name.or_else(|| names.len().checked_sub(1))
}

/// Finds the sample type that holds the counts of another sample type: the nearest number of samples before it, or else
/// objects or contentions directly before it.
fn find_count_type(tables: &Tables<'_>, names: &[String], weight: usize) -> Option<usize> {
    let is_count =
        |at: usize| tables.sample_types.get(at).is_some_and(|kind| tables.strings.text(kind.unit) == b"count");
    let samples = |at: &usize| is_count(*at) && names.get(*at).is_some_and(|name| is_sample_count(name));
    if let Some(samples) = (0..weight).rev().find(samples) {
        return Some(samples);
    }
    let unit = tables.sample_types.get(weight).map(|kind| parse_unit(tables.strings.text(kind.unit)).0)?;
    weight.checked_sub(1).filter(|before| is_count(*before) && unit != Unit::Events)
}

/// Whether a sample type is the number of samples. Go and goflame write `samples`. `perf_to_profile` writes `cycles_sample`
/// next to `cycles_event`.
fn is_sample_count(name: &str) -> bool {
    name == Event::SAMPLES || name.ends_with("_sample")
}

/// Returns the unit of a profile, and the factor from a pprof unit to it.
fn parse_unit(unit: &[u8]) -> (Unit, u64) {
    match unit {
        b"nanoseconds" | b"ns" => (Unit::Nanoseconds, 1),
        b"microseconds" | b"us" => (Unit::Nanoseconds, 1_000),
        b"milliseconds" | b"ms" => (Unit::Nanoseconds, 1_000_000),
        b"seconds" | b"s" => (Unit::Nanoseconds, 1_000_000_000),
        b"bytes" => (Unit::Bytes, 1),
        _ => (Unit::Events, 1),
    }
}

/// Returns the samples per second if the sample type is a time and was sampled by time, or else 0.
fn frequency(tables: &Tables<'_>, sample_type: ValueType, scale: u64) -> u64 {
    let period = u64::try_from(tables.period).unwrap_or(0).saturating_mul(scale);
    let same = tables.strings.text(tables.period_type.kind) == tables.strings.text(sample_type.kind)
        && tables.strings.text(tables.period_type.unit) == tables.strings.text(sample_type.unit);
    let is_time = parse_unit(tables.strings.text(sample_type.unit)).0 == Unit::Nanoseconds;
    if !same || !is_time {
        return 0;
    }
    1_000_000_000_u64.saturating_add(period / 2).checked_div(period).unwrap_or(0)
}

/// Returns a text of the file, shortened for display.
fn display_text(tables: &Tables<'_>, position: u32) -> String {
    const MAX_BYTES: usize = 200;
    let text = tables.strings.text(position);
    String::from_utf8_lossy(text.get(..MAX_BYTES).unwrap_or(text)).into_owned()
}
