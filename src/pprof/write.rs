//! Writes a profile as gzipped profile.proto, with the linker's names and all stacks.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "the profile is goflame's own, not a file"
)]

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;

use flate2::{Compression, GzBuilder};

use super::messages::{
    FunctionMessage, LabelMessage, Line, LocationMessage, MappingMessage, ValueType, profile as field, sample,
};
use super::source_dirs::SourceDirs;
use super::table::Reference;
use super::wire::MessageWriter;
use crate::profile::{
    DistinctSamples, Event, Frame, Interner, LabelValue, Location, LocationId, Mapping, MappingId, Origin, Profile,
    Quantity, StackId, TaskId, Unit,
};

/// Size of the output buffer in bytes. The whole message would be as large as the profile.
const BUFFER_BYTES: usize = 1 << 16;

/// The table of strings. The first string is empty.
type Strings = Interner<Box<str>>;

/// Writes a complete profile, gzipped, for `go tool pprof` and `go build -pgo`. `comments` are the lines of
/// `go tool pprof -comments`, and `sources` the directories of the source files.
///
/// The sample types are the count, such as samples/count, if the event has a count, and the weight, such as
/// cpu/nanoseconds. The default is the weight. A profile that was read from a pprof file keeps all of its sample types;
/// the default is the shown one. A sample has the [labels](Profile::labels) that are known.
pub fn write(profile: &Profile, comments: &[&str], sources: &SourceDirs, out: &mut dyn Write) -> io::Result<()> {
    // The gzip header has no name and no time, so that the same profile gives the same bytes.
    let mut gzip = GzBuilder::new().mtime(0).write(&mut *out, Compression::default());
    write_unpacked(profile, comments, sources, &mut gzip)?;
    gzip.finish()?;
    out.flush()
}

/// Writes the samples first: they find the locations and strings that are in use.
fn write_unpacked(profile: &Profile, comments: &[&str], sources: &SourceDirs, out: &mut impl Write) -> io::Result<()> {
    let mut strings = Strings::default();
    strings.intern_str("");
    let mut message = MessageWriter::default();

    let types = SampleTypeMessages::new(profile, &mut strings);
    for value_type in &types.all {
        message.message(field::SAMPLE_TYPE, |out| value_type.write(out));
    }

    let mut locations = Locations::new(profile);
    let DistinctSamples { rows, columns, .. } = profile.distinct_samples();
    for (at, &(stack, task)) in rows.iter().enumerate() {
        let values = columns.iter().map(|column| column[at].cast_unsigned());
        message.message(field::SAMPLE, |out| write_sample((stack, task), values, &mut locations, &mut strings, out));
        message.flush(BUFFER_BYTES, out)?;
    }

    let mappings = Mappings::new(profile);
    for (id, (at, mapping)) in (1..).zip(&mappings.order) {
        let mapping = MappingMessage {
            start: mapping.start,
            limit: mapping.limit,
            file_offset: mapping.offset,
            file: strings.intern_str(profile.str(mapping.file)),
            build_id: strings.intern_str(profile.str(mapping.build_id)),
        };
        message.message(field::MAPPING, |out| mapping.write(id, mappings.has_lines[at.index()], out));
    }
    for (id, &(mapping, address, frames)) in (1..).zip(locations.written.items()) {
        let mapping = Reference::new(mapping.map(|mapping| mappings.positions[mapping.index()]));
        let location = LocationMessage { mapping, address, ..LocationMessage::default() };
        let lines = frames.iter().rev().map(|frame| Line {
            function: Reference::new(u32::try_from(frame.function.index()).ok()),
            line: frame.line,
        });
        message.message(field::LOCATION, |out| location.write(id, lines, out));
        message.flush(BUFFER_BYTES, out)?;
    }
    for (id, function) in profile.functions() {
        let named = if profile.str(function.name).is_empty() { function.display } else { function.name };
        let name = strings.intern_str(profile.str(named));
        let file = profile.str(function.file);
        let path = sources.find(file, function.origin.is_go());
        let file = strings.intern_str(path.as_deref().and_then(Path::to_str).unwrap_or(file));
        let function = FunctionMessage { name, system_name: name, file, start_line: function.start_line };
        message.message(field::FUNCTION, |out| function.write(id.index() as u64 + 1, out));
        message.flush(BUFFER_BYTES, out)?;
    }
    let comments: Vec<_> = comments.iter().map(|comment| u64::from(strings.intern_str(comment))).collect();
    for text in strings.items() {
        message.text(field::STRING, text);
        message.flush(BUFFER_BYTES, out)?;
    }

    message.number(field::TIME, to_signed(profile.start_time_ns));
    message.number(field::DURATION, to_signed(profile.duration_ns));
    if let Some((value_type, period)) = types.period {
        message.message(field::PERIOD_TYPE, |out| value_type.write(out));
        message.number(field::PERIOD, period);
    }
    message.packed(field::COMMENT, comments.into_iter());
    message.number(field::DEFAULT_SAMPLE_TYPE, types.shown.kind.into());
    message.flush(0, out)
}

/// The sample types of the written file, its default, and its period.
struct SampleTypeMessages {
    all: Vec<ValueType>,
    /// The type of the shown event's weight.
    shown: ValueType,
    /// Type and length of the period. `None` if the profile is not sampled, unless it was read from a file with a period.
    period: Option<(ValueType, u64)>,
}

impl SampleTypeMessages {
    fn new(profile: &Profile, strings: &mut Strings) -> Self {
        let event = &profile.event;
        let mut value_type =
            |kind: &str, unit: &str| ValueType { kind: strings.intern_str(kind), unit: strings.intern_str(unit) };
        if let Some(table) = profile.event_table() {
            let mut of = |quantity: &Quantity| value_type(&quantity.name, &quantity.unit);
            let all: Vec<ValueType> = table.quantities.iter().map(&mut of).collect();
            let weight = table.events[profile.shown_event_index()].weight;
            let period = table.period.as_ref().map(|(quantity, period)| (of(quantity), period.cast_unsigned()));
            return Self { shown: all[weight], all, period };
        }
        let count = event.has_count().then(|| value_type(&event.count_name, "count"));
        let shown = match event.unit {
            Unit::Nanoseconds if is_cpu_clock(event) => value_type("cpu", "nanoseconds"),
            Unit::Nanoseconds => value_type(&event.name, "nanoseconds"),
            Unit::Bytes => value_type(&event.name, "bytes"),
            Unit::Events => value_type(&event.name, "count"),
        };
        // The mean of all periods. Periods of `cycles` differ.
        let period = || to_signed(profile.total_weight() / profile.total_count().max(1));
        let period = event.is_sampled().then(|| (shown, period()));
        Self { all: count.into_iter().chain([shown]).collect(), shown, period }
    }
}

fn write_sample(
    (stack, task): (StackId, TaskId),
    values: impl Iterator<Item = u64>,
    locations: &mut Locations<'_>,
    strings: &mut Strings,
    out: &mut MessageWriter,
) {
    let profile = locations.profile;
    out.packed(sample::LOCATION, locations.location_ids(stack));
    out.packed(sample::VALUE, values);
    for label in profile.labels(task) {
        let key = strings.intern_str(label.key);
        let label = match label.value {
            LabelValue::Text(text) => LabelMessage { key, text: strings.intern_str(&text), ..LabelMessage::default() },
            LabelValue::Number(number, unit) => {
                LabelMessage { key, number, unit: strings.intern_str(unit), ..LabelMessage::default() }
            }
        };
        out.message(sample::LABEL, |out| label.write(out));
    }
}

/// Returns whether an event is one of perf's CPU clocks. pprof calls their time `cpu`.
fn is_cpu_clock(event: &Event) -> bool {
    event.is_sampled() && ["cpu-clock", "task-clock"].iter().any(|clock| event.name.starts_with(clock))
}

/// The mappings in the order in which they are written. By convention the first is the main binary: `go tool pprof` shows
/// its name.
struct Mappings<'a> {
    order: Vec<(MappingId, &'a Mapping)>,
    /// Indexed by mapping: its written position.
    positions: Vec<u32>,
    /// Indexed by mapping: whether its frames have source lines.
    has_lines: Vec<bool>,
}

impl<'a> Mappings<'a> {
    fn new(profile: &'a Profile) -> Self {
        let mut order: Vec<_> = profile.mappings().collect();
        let mut main_frames = vec![0_u64; order.len()];
        let mut has_lines = vec![false; order.len()];
        for (id, location) in profile.locations() {
            let Some(at) = location.mapping.map(MappingId::index) else { continue };
            for frame in profile.frames(id) {
                main_frames[at] += u64::from(profile.function(frame.function).origin == Origin::Main);
                has_lines[at] |= frame.line > 0;
            }
        }
        if let Some(main) = (0..order.len()).rev().max_by_key(|at| main_frames[*at]) {
            order[..=main].rotate_right(1);
        }
        let mut positions = vec![0; order.len()];
        for (position, (mapping, _)) in (0..).zip(&order) {
            positions[mapping.index()] = position;
        }
        Self { order, positions, has_lines }
    }
}

/// The written locations and their ids.
struct Locations<'a> {
    profile: &'a Profile,
    /// Indexed by location: its written id. `None` until the location is used.
    ids: Vec<Option<NonZero<u32>>>,
    written: Interner<LocationKey<'a>>,
}

/// Mapping, address and frames of a location. The frames are a part of the key because an address without a mapping may
/// have other functions in another process.
type LocationKey<'a> = (Option<MappingId>, u64, &'a [Frame]);

impl<'a> Locations<'a> {
    fn new(profile: &'a Profile) -> Self {
        Self { profile, ids: vec![None; profile.locations().len()], written: Interner::default() }
    }

    /// Returns the ids of a stack's locations, leaf first. Leaves out locations without frames, which filters hide.
    fn location_ids(&mut self, stack: StackId) -> impl Iterator<Item = u64> {
        let profile = self.profile;
        let shown = profile.leaf_first(stack).filter(|location| !profile.frames(*location).is_empty());
        shown.map(|location| self.id(location).get().into())
    }

    fn id(&mut self, location: LocationId) -> NonZero<u32> {
        let Self { profile, ids, written } = self;
        *ids[location.index()].get_or_insert_with(|| {
            let Location { mapping, address, .. } = *profile.location(location);
            NonZero::<u32>::MIN.saturating_add(written.intern((mapping, address, profile.frames(location))))
        })
    }
}

/// Limits a number to the signed type of profile.proto.
fn to_signed(value: u64) -> u64 {
    value.min(i64::MAX.cast_unsigned())
}
