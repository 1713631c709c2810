//! Converts a `Profile` to the messages of profile.proto.

use std::collections::HashMap;
use std::io::{self, Write};

use prost::Message as _;

use super::wire;
use crate::profile::{
    Event, Frame, LabelValue, Location, LocationId, Mapping, MappingId, Origin, Profile, Sample, StackId, Unit,
};

/// Number of samples that are encoded at once. All of them as messages would take 10 times the memory of the profile.
const SAMPLES_AT_ONCE: usize = 1000;

/// Writes the profile as one message, in parts: protocol buffers that follow each other are one message.
pub(super) fn write(profile: &Profile, comments: &[String], out: &mut impl Write) -> io::Result<()> {
    let mut strings = Strings::default();
    let event = &profile.event;
    let mut value_type = |kind, unit| wire::ValueType { kind: strings.intern(kind), unit: strings.intern(unit) };
    let count_type = event.has_count().then(|| value_type(&event.count_name, "count"));
    let weight_type = match event.unit {
        Unit::Nanoseconds if is_cpu_clock(event) => value_type("cpu", "nanoseconds"),
        Unit::Nanoseconds => value_type(&event.name, "nanoseconds"),
        Unit::Bytes => value_type(&event.name, "bytes"),
        Unit::Events => value_type(&event.name, "count"),
    };
    let mappings = Mappings::new(profile);
    let mut locations = Locations {
        profile,
        mappings: &mappings,
        id_of_location: vec![None; profile.locations().len()],
        ids: HashMap::new(),
        list: Vec::new(),
    };
    let sample_type = count_type.into_iter().chain([weight_type]).collect();
    let types = wire::Profile { sample_type, ..wire::Profile::default() };
    out.write_all(&types.encode_to_vec())?;
    for samples in profile.distinct_samples().chunks(SAMPLES_AT_ONCE) {
        let sample = samples.iter().map(|sample| encode_sample(sample, &mut locations, &mut strings)).collect();
        let samples = wire::Profile { sample, ..wire::Profile::default() };
        out.write_all(&samples.encode_to_vec())?;
    }
    let location = locations.list;
    let mapping = mappings.encode(&mut strings);
    let function = encode_functions(profile, &mut strings);
    let comment = comments.iter().map(|comment| strings.intern(comment)).collect();
    let rest = wire::Profile {
        mapping,
        location,
        function,
        time_nanos: signed(profile.start_time_ns),
        duration_nanos: signed(profile.duration_ns),
        // Only sampled profiles have a period.
        period_type: event.is_sampled().then_some(weight_type),
        // The mean of all periods. Periods of `cycles` differ.
        period: if event.is_sampled() { signed(profile.total_weight() / profile.total_count().max(1)) } else { 0 },
        comment,
        default_sample_type: weight_type.kind,
        string_table: strings.list,
        ..wire::Profile::default()
    };
    out.write_all(&rest.encode_to_vec())
}

fn encode_sample(sample: &Sample, locations: &mut Locations<'_>, strings: &mut Strings) -> wire::Sample {
    let label = locations.profile.labels(sample).into_iter().map(|label| {
        let key = strings.intern(label.key);
        match label.value {
            LabelValue::Text(text) => wire::Label { key, str: strings.intern(&text), num: 0 },
            LabelValue::Number(num) => wire::Label { key, str: 0, num: signed(num) },
        }
    });
    let label = label.collect();
    wire::Sample {
        location_id: locations.stack_ids(sample.stack),
        value: if locations.profile.event.has_count() {
            vec![signed(sample.count), signed(sample.weight)]
        } else {
            vec![signed(sample.weight)]
        },
        label,
    }
}

fn encode_functions(profile: &Profile, strings: &mut Strings) -> Vec<wire::Function> {
    profile
        .functions()
        .map(|(id, function)| {
            let named = if profile.str(function.name).is_empty() { function.display } else { function.name };
            let name = strings.intern(profile.str(named));
            wire::Function {
                id: id.index() as u64 + 1,
                // `go build -pgo` reads the linker's name from here, not from system_name.
                name,
                system_name: name,
                filename: strings.intern(profile.str(function.file)),
                start_line: i64::from(function.start_line),
            }
        })
        .collect()
}

/// Returns whether an event is one of perf's CPU clocks. pprof calls their time `cpu`.
fn is_cpu_clock(event: &Event) -> bool {
    event.is_sampled() && ["cpu-clock", "task-clock"].iter().any(|clock| event.name.starts_with(clock))
}

/// The string table and the ids of its strings. The first string is empty.
struct Strings {
    ids: HashMap<String, i64>,
    list: Vec<String>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { ids: HashMap::from([(String::new(), 0)]), list: vec![String::new()] }
    }
}

impl Strings {
    fn intern(&mut self, text: &str) -> i64 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = signed(self.list.len() as u64);
        self.ids.insert(text.to_owned(), id);
        self.list.push(text.to_owned());
        id
    }
}

/// The mappings in the order in which they are written. By convention the first is the main binary: `go tool pprof` shows
/// its name.
struct Mappings<'a> {
    profile: &'a Profile,
    order: Vec<(MappingId, &'a Mapping)>,
    /// Written ids, by mapping.
    ids: Vec<u64>,
    /// By mapping: whether its frames have source lines.
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
        let mut ids = vec![0; order.len()];
        for (id, (mapping, _)) in (1..).zip(&order) {
            ids[mapping.index()] = id;
        }
        Self { profile, order, ids, has_lines }
    }

    fn encode(&self, strings: &mut Strings) -> Vec<wire::Mapping> {
        (1..)
            .zip(&self.order)
            .map(|(id, (at, mapping))| {
                let has_lines = self.has_lines[at.index()];
                wire::Mapping {
                    id,
                    memory_start: mapping.start,
                    memory_limit: mapping.limit,
                    file_offset: mapping.offset,
                    filename: strings.intern(self.profile.str(mapping.file)),
                    build_id: strings.intern(self.profile.str(mapping.build_id)),
                    // goflame has named all frames that it can, so pprof need not read the binaries.
                    has_functions: true,
                    has_filenames: has_lines,
                    has_line_numbers: has_lines,
                    has_inline_frames: true,
                }
            })
            .collect()
    }
}

/// The written locations and their ids.
struct Locations<'a> {
    profile: &'a Profile,
    mappings: &'a Mappings<'a>,
    /// Written ids, by location.
    id_of_location: Vec<Option<u64>>,
    ids: HashMap<LocationKey, u64>,
    list: Vec<wire::Location>,
}

/// Mapping id, address and lines of a location. The lines are a part of the key because an address without a mapping may
/// have other functions in another process.
type LocationKey = (u64, u64, Vec<wire::Line>);

impl Locations<'_> {
    /// Returns the ids of a stack's locations, leaf first.
    fn stack_ids(&mut self, stack: StackId) -> Vec<u64> {
        let profile = self.profile;
        let shown = profile.leaf_first(stack).filter(|location| !profile.frames(*location).is_empty());
        shown.map(|location| self.id(location)).collect()
    }

    fn id(&mut self, location: LocationId) -> u64 {
        if let Some(id) = self.id_of_location[location.index()] {
            return id;
        }
        let line =
            |frame: &Frame| wire::Line { function_id: frame.function.index() as u64 + 1, line: i64::from(frame.line) };
        let line: Vec<_> = self.profile.frames(location).iter().rev().map(line).collect();
        let Location { mapping, address, .. } = *self.profile.location(location);
        let mapping_id = mapping.map_or(0, |mapping| self.mappings.ids[mapping.index()]);
        let list = &mut self.list;
        let id = *self.ids.entry((mapping_id, address, line)).or_insert_with_key(|(_, _, line)| {
            let id = list.len() as u64 + 1;
            list.push(wire::Location { id, mapping_id, address, line: line.clone() });
            id
        });
        self.id_of_location[location.index()] = Some(id);
        id
    }
}

/// Converts a number to the signed type of profile.proto. A larger number becomes the maximum.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
