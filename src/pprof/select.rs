//! Selects the sample type to show, and the sample type that counts its samples.

use super::error::Error;
use super::messages::ValueType;
use super::tables::Tables;
use crate::profile::{Event, Unit};

/// The sample types of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleTypes {
    /// The sample type that is shown, with its unit: `cpu/nanoseconds`.
    pub shown: String,
    /// The names of the others.
    pub others: Vec<String>,
}

/// The values to read from each sample.
#[derive(Debug)]
pub(super) struct Selection {
    /// Number of values of a sample.
    pub(super) types: usize,
    /// Index of the weight.
    pub(super) weight: usize,
    /// Factor that converts the weight to [`Event::unit`].
    pub(super) scale: u64,
    /// Index of the count. May equal `weight`.
    pub(super) count: usize,
    pub(super) event: Event,
    pub(super) sample_types: SampleTypes,
}

impl Selection {
    /// Selects the requested sample type by name or position. Without a request, selects the file's default or else the
    /// last one, as `go tool pprof` does.
    pub(super) fn new(tables: &Tables<'_>, asked: Option<&str>) -> Result<Self, Error> {
        let types = &tables.sample_types;
        let names: Vec<String> = types.iter().map(|sample_type| text(tables, sample_type.kind)).collect();
        let weight = match asked {
            Some(asked) => position(&names, asked)
                .ok_or_else(|| Error::UnknownSampleType { asked: asked.to_owned(), known: names.clone() })?,
            None => default(tables, &names).ok_or(Error::NoSampleType)?,
        };
        let (Some(chosen), Some(name)) = (types.get(weight), names.get(weight)) else {
            return Err(Error::NoSampleType);
        };
        let (unit, scale) = unit_of(tables.strings.text(chosen.unit));
        // Sample types with the same name cannot be distinguished.
        let count = count_of(tables, weight).filter(|at| names.get(*at) != Some(name)).unwrap_or(weight);
        let mut event = Event {
            name: name.clone(),
            count_name: names.get(count).unwrap_or(name).clone(),
            unit,
            frequency: frequency(tables, *chosen, scale),
        };
        // Independent of the name that perf's converters use.
        if event.has_count() && is_samples(&event.count_name) && event.name != Event::SAMPLES {
            Event::SAMPLES.clone_into(&mut event.count_name);
        }
        let others = names.iter().enumerate().filter(|(at, _)| *at != weight).map(|(_, name)| name.clone()).collect();
        let shown = format!("{name}/{}", text(tables, chosen.unit));
        let sample_types = SampleTypes { shown, others };
        Ok(Self { types: tables.sample_type_count, weight, scale, count, event, sample_types })
    }
}

fn position(names: &[String], asked: &str) -> Option<usize> {
    let by_name = names.iter().position(|name| name == asked);
    by_name.or_else(|| asked.parse().ok().filter(|at| *at < names.len()))
}

fn default(tables: &Tables<'_>, names: &[String]) -> Option<usize> {
    let default = text(tables, tables.default_sample_type);
    let by_name = names.iter().position(|name| *name == default).filter(|_| !default.is_empty());
    by_name.or_else(|| names.len().checked_sub(1))
}

/// Finds the sample type that counts for another one: samples anywhere before it, or objects or contentions directly
/// before it.
fn count_of(tables: &Tables<'_>, weight: usize) -> Option<usize> {
    let is_count =
        |at: usize| tables.sample_types.get(at).is_some_and(|kind| tables.strings.text(kind.unit) == b"count");
    let samples = |at: &usize| {
        let kind = tables.sample_types.get(*at);
        is_count(*at) && kind.is_some_and(|kind| is_samples(&text(tables, kind.kind)))
    };
    if let Some(samples) = (0..weight).rev().find(samples) {
        return Some(samples);
    }
    let unit = tables.sample_types.get(weight).map(|kind| unit_of(tables.strings.text(kind.unit)).0)?;
    weight.checked_sub(1).filter(|before| is_count(*before) && unit != Unit::Events)
}

/// `samples` as Go and goflame write it; `perf_to_profile` writes `cycles_sample` next to `cycles_event`.
fn is_samples(name: &str) -> bool {
    name == Event::SAMPLES || name.ends_with("_sample")
}

/// Returns the unit of a profile, and the factor from a pprof unit to it.
fn unit_of(unit: &[u8]) -> (Unit, u64) {
    match unit {
        b"nanoseconds" | b"ns" => (Unit::Nanoseconds, 1),
        b"microseconds" | b"us" => (Unit::Nanoseconds, 1_000),
        b"milliseconds" | b"ms" => (Unit::Nanoseconds, 1_000_000),
        b"seconds" | b"s" => (Unit::Nanoseconds, 1_000_000_000),
        b"bytes" => (Unit::Bytes, 1),
        _ => (Unit::Events, 1),
    }
}

/// Samples per second, if the selected type is a time and was sampled by time.
fn frequency(tables: &Tables<'_>, shown: ValueType, scale: u64) -> u64 {
    let period = u64::try_from(tables.period).unwrap_or(0).saturating_mul(scale);
    let same = tables.strings.text(tables.period_type.kind) == tables.strings.text(shown.kind)
        && tables.strings.text(tables.period_type.unit) == tables.strings.text(shown.unit);
    let is_time = unit_of(tables.strings.text(shown.unit)).0 == Unit::Nanoseconds;
    if !same || !is_time {
        return 0;
    }
    1_000_000_000_u64.saturating_add(period / 2).checked_div(period).unwrap_or(0)
}

/// Returns a text of the file, shortened for display.
fn text(tables: &Tables<'_>, position: u32) -> String {
    const MAX_BYTES: usize = 200;
    let text = tables.strings.text(position);
    String::from_utf8_lossy(text.get(..MAX_BYTES).unwrap_or(text)).into_owned()
}
