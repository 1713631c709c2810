//! Builds a profile and its quality figures from the tables and samples of a file.

use std::borrow::Cow;
use std::mem;

use super::error::Error;
use super::labels::{SampleLabels, parse_address};
use super::limits::{MAX_FRAMES_PER_BYTE, MAX_MEMORY_BYTES, MAX_NAME_BYTES, MAX_STACK_FRAMES};
use super::messages::{LabelMessage, Line, LocationMessage, sample};
use super::origin::{self, CodePlace};
use super::select::{SampleTypes, Selection, quantity};
use super::table::{ChargedMemory, to_index};
use super::tables::{Tables, samples};
use super::unpack::unpack;
use super::wire::RawMessage;
use crate::goname;
use crate::profile::{
    self, EventTable, Frame, Function, FunctionId, Goroutine, GoroutineId, LabelSetId, LocationId, Mapping, MappingId,
    Origin, Profile, Quality, Sample, StackId, StrId, Task, TaskId, TaskLabel, TaskLabelValue,
};

/// An imported pprof profile.
#[derive(Debug)]
pub struct Imported {
    /// The profile.
    pub profile: Profile,
    /// The quality of the profile. Figures that a pprof file does not contain are `None` or 0.
    pub quality: Quality,
    /// The sample types of the file, and the selected one.
    pub sample_types: SampleTypes,
    /// Notes about the file for the user, one sentence each.
    pub notes: Vec<String>,
}

/// Reads a profile, gzipped or not. If the file has several sample types, the profile has an event for each. It shows the
/// requested one (by name or position), or else the one that `go tool pprof` shows.
pub fn read(bytes: &[u8], sample_type: Option<&str>) -> Result<Imported, Error> {
    let unpacked = unpack(bytes)?;
    let tables = Tables::read(&unpacked)?;
    let selection = Selection::new(&tables, sample_type)?;
    let mut builder = ProfileBuilder::new(&tables, &selection);
    builder.add_frames();
    let frames_left = unpacked.len().saturating_mul(MAX_FRAMES_PER_BYTE);
    builder.add_samples(&unpacked, frames_left)?;
    Ok(builder.finish(selection.sample_types.clone()))
}

struct ProfileBuilder<'m, 'a> {
    tables: &'m Tables<'a>,
    selection: &'m Selection,
    profile: Profile,
    /// Handles of the file's strings. `None` until first used.
    texts: Vec<Option<StrId>>,
    /// Handles of the display names. `None` until first used.
    displays: Vec<Option<StrId>>,
    mappings: Vec<MappingId>,
    /// The locations, by position in the file's table.
    locations: Vec<BuiltLocation>,
    /// Name of the main program, which is the process of samples without a process.
    program: StrId,
    quality: Quality,
    /// The values of all events. `None` if the file has one event, or if they need too much memory.
    event_table: Option<EventTable>,
    /// Memory of the file's tables and of `event_table`.
    memory: ChargedMemory,
    /// Number of samples with a negative value of the shown event.
    negative: u64,
    /// The values of the current sample: one for each sample type that is kept.
    values: Vec<i64>,
    /// The labels of the current sample that have no field of their own in [`SampleLabels`].
    other_labels: Vec<LabelMessage>,
}

/// The result of building a location.
#[derive(Debug, Clone, Copy)]
struct BuiltLocation {
    location: LocationId,
    /// Number of frames. Saturates far above [`MAX_STACK_FRAMES`].
    frames: u16,
    unnamed: u16,
    is_kernel: bool,
}

impl<'m, 'a> ProfileBuilder<'m, 'a> {
    fn new(tables: &'m Tables<'a>, selection: &'m Selection) -> Self {
        let event = selection.shown_event.event.clone();
        let quality = Quality { event: event.name.clone(), complete_file: true, ..Quality::default() };
        let mut profile = Profile::new(event);
        profile.start_time_ns = to_unsigned(tables.time_nanos);
        profile.duration_ns = to_unsigned(tables.duration_nanos);
        let program = profile.intern("");
        let mut builder = Self {
            tables,
            selection,
            profile,
            texts: vec![None; tables.strings.count()],
            displays: vec![None; tables.strings.count()],
            mappings: Vec::new(),
            locations: Vec::new(),
            program,
            quality,
            event_table: event_table(tables, selection),
            memory: tables.memory.clone(),
            negative: 0,
            values: Vec::new(),
            other_labels: Vec::new(),
        };
        builder.add_mappings();
        builder
    }

    /// Returns the handle of a string of the file.
    fn intern_text(&mut self, position: u32) -> StrId {
        let Self { tables, profile, texts, .. } = self;
        let mut intern = || profile.intern(&decode_lossy(tables.strings.text(position)));
        match texts.get_mut(to_index(position)) {
            Some(known) => *known.get_or_insert_with(intern),
            None => intern(),
        }
    }

    fn add_mappings(&mut self) {
        for mapping in &self.tables.mappings.items {
            let mapping = Mapping {
                file: self.intern_text(mapping.file),
                build_id: self.intern_text(mapping.build_id),
                start: mapping.start,
                limit: mapping.limit,
                offset: mapping.file_offset,
            };
            let id = self.profile.intern_mapping(mapping);
            self.mappings.push(id);
        }
        // By convention the first mapping is the main program.
        let program =
            self.tables.mappings.items.first().map(|first| decode_lossy(self.tables.strings.text(first.file)));
        let name = program.as_deref().map(origin::base_name).filter(|name| !name.starts_with('['));
        self.program = self.profile.intern(name.unwrap_or_default());
    }

    /// Adds the functions, and the locations that refer to them.
    fn add_frames(&mut self) {
        let tables = self.tables;
        let mut first_locations: Vec<Option<&LocationMessage>> = vec![None; tables.functions.items.len()];
        for location in &tables.locations.items {
            for line in tables.lines_of(location) {
                if let Some(first) =
                    line.function.position().and_then(|function| first_locations.get_mut(to_index(function)))
                {
                    first.get_or_insert(location);
                }
            }
        }
        let mut functions = Vec::new();
        for (function, first) in tables.functions.items.iter().zip(first_locations) {
            let first = first.cloned().unwrap_or_default();
            let named = if function.name > 0 { function.name } else { function.system_name };
            functions.push(self.add_function(named, function.file, function.start_line, &first));
        }
        for location in &tables.locations.items {
            let built = self.add_location(location, &functions);
            self.locations.push(built);
        }
    }

    /// Returns the handle of a function, and whether it is a placeholder for code without a name.
    fn add_function(
        &mut self,
        name: u32,
        file: u32,
        start_line: u32,
        location: &LocationMessage,
    ) -> (FunctionId, bool) {
        let mapping = location.mapping.position().and_then(|at| self.tables.mappings.get(at));
        let mapping = self.intern_text(mapping.map_or(0, |mapping| mapping.file));
        let (mut full, file) = (self.intern_text(name), self.intern_text(file));
        let seen = CodePlace { mapping: self.profile.str(mapping), address: location.address };
        let (named, source) = (self.profile.str(full), self.profile.str(file));
        let origin = origin::origin(named, source, seen);
        let unnamed = origin::is_placeholder(named, source);
        if named.is_empty() {
            let placeholder = seen.placeholder();
            full = self.profile.intern(&placeholder);
        }
        let display = if origin.is_go() { self.display_name(name) } else { full };
        (self.profile.intern_function(Function { name: full, display, file, start_line, origin }), unnamed)
    }

    /// Returns the handle of a Go function's name as Go programmers write it.
    fn display_name(&mut self, position: u32) -> StrId {
        let Self { tables, profile, displays, .. } = self;
        let mut intern = || profile.intern(&goname::display(&decode_lossy(tables.strings.text(position))));
        match displays.get_mut(to_index(position)) {
            Some(known) => *known.get_or_insert_with(intern),
            None => intern(),
        }
    }

    fn add_location(&mut self, location: &LocationMessage, functions: &[(FunctionId, bool)]) -> BuiltLocation {
        let (mut unnamed, mut is_kernel, mut frames) = (0_u16, false, Vec::new());
        let no_line = [Line::default()];
        let lines = self.tables.lines_of(location);
        let mut unknown = None;
        for line in if lines.is_empty() { &no_line } else { lines }.iter().rev() {
            let known = line.function.position().and_then(|at| functions.get(to_index(at))).copied();
            let (function, is_unnamed) =
                known.unwrap_or_else(|| *unknown.get_or_insert_with(|| self.add_function(0, 0, 0, location)));
            unnamed = unnamed.saturating_add(u16::from(is_unnamed));
            is_kernel = self.profile.function(function).origin == Origin::Kernel;
            frames.push(Frame { function, line: line.line });
        }
        let count = u16::try_from(frames.len()).unwrap_or(u16::MAX);
        let at = profile::Location {
            mapping: location.mapping.position().and_then(|at| self.mappings.get(to_index(at))).copied(),
            address: location.address,
        };
        BuiltLocation { location: self.profile.add_location(at, frames), frames: count, is_kernel, unnamed }
    }

    /// Adds all samples. `frames_left` is the maximum total of their frames.
    fn add_samples(&mut self, bytes: &[u8], mut frames_left: usize) -> Result<(), Error> {
        let (mut leaf_first, mut root_first) = (Vec::new(), Vec::new());
        for raw in samples(bytes) {
            let raw = raw?;
            leaf_first.clear();
            let labels = self.read_sample(raw, &mut leaf_first)?;
            let shown = self.shown_values();
            if shown.is_none() && self.event_table.is_none() {
                continue;
            }
            let frames = leaf_first
                .iter()
                .filter_map(|at| self.locations.get(to_index(*at)))
                .map(|built| usize::from(built.frames))
                .sum();
            if frames > MAX_STACK_FRAMES {
                return Err(Error::TooDeep { offset: raw.offset });
            }
            frames_left = frames_left.checked_sub(frames).ok_or(Error::TooRepetitive)?;
            root_first.clear();
            for at in leaf_first.iter().rev() {
                let Some(built) = self.locations.get(to_index(*at)).copied() else { continue };
                if let Some((count, _)) = shown {
                    self.count_frames(&built, if self.profile.event.is_sampled() { count } else { 1 });
                }
                root_first.push(built.location);
            }
            let (stack, task) = (self.profile.intern_stack(&root_first), self.intern_task(labels));
            if let Some((count, weight)) = shown {
                self.profile.add_sample(Sample { stack, task, count, weight });
            }
            self.add_row(stack, task);
        }
        Ok(())
    }

    /// Returns the labels of a sample that have a field. Stores its values in [`Self::values`], its other labels in
    /// [`Self::other_labels`], and adds its locations to `leaf_first`.
    fn read_sample(&mut self, raw: RawMessage<'_>, leaf_first: &mut Vec<u32>) -> Result<SampleLabels, Error> {
        let mut values = 0_usize;
        self.values.clear();
        let mut labels = SampleLabels::default();
        self.other_labels.clear();
        for field in raw.fields() {
            let field = field?;
            match field.number {
                sample::LOCATION => field.numbers(|id| {
                    let (what, offset) = (raw.what, raw.offset);
                    let position = self.tables.locations.position(id);
                    leaf_first.push(position.ok_or(Error::DanglingReference {
                        what,
                        offset,
                        target: "location",
                        id,
                    })?);
                    if leaf_first.len() > MAX_STACK_FRAMES { Err(Error::TooDeep { offset }) } else { Ok(()) }
                })?,
                sample::VALUE => field.numbers(|value| {
                    if values < self.selection.events.len() {
                        self.values.push(value.cast_signed());
                    }
                    values = values.saturating_add(1);
                    Ok(())
                })?,
                sample::LABEL => {
                    labels.store_label(&self.tables.strings, field.message("a label")?, &mut self.other_labels)?;
                }
                _ => {}
            }
        }
        let types = self.tables.sample_type_count;
        if values == types { Ok(labels) } else { Err(Error::WrongValueCount { offset: raw.offset, values, types }) }
    }

    /// Returns count and weight of the current sample for the shown event. `None` if both are 0, or if one is negative.
    fn shown_values(&mut self) -> Option<(u64, u64)> {
        let value = |at: usize| self.values.get(at).copied().unwrap_or(0);
        let shown = self.selection.shown_event.count_and_weight(value);
        self.negative = self.negative.saturating_add(u64::from(shown.is_none()));
        shown.filter(|(count, weight)| *count > 0 || *weight > 0)
    }

    /// Adds the current sample to the table of all events, or removes the table if it becomes too large.
    fn add_row(&mut self, stack: StackId, task: TaskId) {
        let Some(table) = &mut self.event_table else { return };
        let row = size_of::<(StackId, TaskId)>().saturating_add(size_of_val(self.values.as_slice()));
        if table.add(stack, task, &self.values) && self.memory.charge(row).is_err() {
            self.event_table = None;
        }
    }

    fn intern_task(&mut self, labels: SampleLabels) -> TaskId {
        let process = labels.process.map_or(self.program, |process| self.intern_text(process));
        let goroutine = self.intern_goroutine(labels);
        let SampleLabels { pid, thread: tid, cpu, .. } = labels;
        let labels = self.intern_other_labels();
        self.profile.intern_task(Task { process, pid, tid, cpu, goroutine, labels })
    }

    /// Interns [`Self::other_labels`].
    fn intern_other_labels(&mut self) -> LabelSetId {
        if self.other_labels.is_empty() {
            return LabelSetId::EMPTY;
        }
        let labels = mem::take(&mut self.other_labels);
        let set = labels.iter().map(|label| {
            let value = match label.text {
                0 => TaskLabelValue::Number(label.number, self.intern_text(label.unit)),
                text => TaskLabelValue::Text(self.intern_text(text)),
            };
            TaskLabel { key: self.intern_text(label.key), value }
        });
        let set = set.collect();
        self.other_labels = labels;
        self.profile.intern_labels(set)
    }

    /// Interns the goroutine that the labels name.
    fn intern_goroutine(&mut self, labels: SampleLabels) -> Option<GoroutineId> {
        let address = labels.g_address.and_then(|text| parse_address(self.tables.strings.text(text)));
        if labels.goroutine.is_none() && address.is_none() {
            return None;
        }
        let goroutine = Goroutine {
            pid: labels.pid,
            address: address.unwrap_or(0),
            id: labels.goroutine,
            entry: self.intern_text(labels.entry),
            creator: self.intern_text(labels.creator),
        };
        Some(self.profile.intern_goroutine(goroutine))
    }

    /// Adds the frames of a location to the quality figures, `times` times.
    fn count_frames(&mut self, built: &BuiltLocation, times: u64) {
        let quality = &mut self.quality;
        let (frames, unnamed) = if built.is_kernel {
            (&mut quality.kernel_frames, &mut quality.unnamed_kernel_frames)
        } else {
            (&mut quality.user_frames, &mut quality.unnamed_user_frames)
        };
        *frames = frames.saturating_add(times.saturating_mul(built.frames.into()));
        *unnamed = unnamed.saturating_add(times.saturating_mul(built.unnamed.into()));
    }

    fn finish(self, sample_types: SampleTypes) -> Imported {
        let Self { mut profile, mut quality, event_table, selection, negative, .. } = self;
        let total = profile.total_count();
        quality.samples = (profile.event.is_sampled() || profile.samples().is_empty()).then_some(total);
        let unnamed = quality.unnamed_user_frames.saturating_add(quality.unnamed_kernel_frames);
        if unnamed > 0 {
            quality.unnamed_reasons = vec![("the profile names no function there".to_owned(), unnamed)];
        }
        let mut notes = Vec::new();
        if negative > 0 {
            let (samples, are) = if negative == 1 {
                ("1 sample has a negative value".to_owned(), "it is")
            } else {
                (format!("{negative} samples have negative values"), "they are")
            };
            notes.push(format!("{samples}, as differences of profiles do: {are} left out"));
        }
        match event_table {
            Some(table) => profile.set_event_table(table, selection.shown_index),
            None if sample_types.others.is_empty() => {}
            None => notes.push(format!(
                "the other sample types are left out: with them, the profile would take more than {} MiB of memory",
                MAX_MEMORY_BYTES >> 20
            )),
        }
        Imported { profile, quality, sample_types, notes }
    }
}

/// Returns an empty table for the values of all events. `None` if the file has one event.
fn event_table(tables: &Tables<'_>, selection: &Selection) -> Option<EventTable> {
    let quantities: Vec<_> = tables.sample_types.iter().map(|kind| quantity(tables, *kind)).collect();
    let has_several = quantities.len() > 1;
    let mut table = EventTable::new(quantities, selection.events.clone());
    table.period = (tables.period > 0).then(|| (quantity(tables, tables.period_type), tables.period));
    has_several.then_some(table)
}

/// Decodes a text of the file and cuts it at the maximum name length. A sequence of bytes that are not UTF-8 becomes
/// one replacement character. A replacement character for each byte would make the text three times as long.
fn decode_lossy(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() && !text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Cow::Owned(text)
}

/// Converts a value of the file. A negative value means unknown.
fn to_unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
