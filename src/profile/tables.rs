//! [`Profile`]: tables of interned values, and the samples that refer to them.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::ops::{BitOr, Bound, Range};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::distinct::DistinctSamples;
use super::events::EventTable;
use super::interner::{Interner, position};
use super::model::{
    Event, Frame, Function, FunctionId, Goroutine, GoroutineId, Label, LabelSetId, LabelValue, Location, LocationId,
    Mapping, MappingId, Sample, StackId, StrId, Task, TaskId, TaskLabel, TaskLabelValue,
};
use super::samples::{Samples, TimedSample};
use super::stacks::Stacks;

/// A profile: an event, its samples, and the tables that they refer to.
///
/// - Strings, functions, mappings, goroutines, label sets and tasks are interned: equal handles mean equal entries, and
///   different handles mean different entries. All code may rely on this.
/// - Different handles of locations, stacks and samples may mean equal ones. Analysis does not merge them: most readers
///   only sum over samples, and merging takes about 5 % of the CPU time of a flame graph (recording of `go build -a std`).
///   Code that counts or writes distinct stacks uses [`Profile::distinct_samples`].
/// - A caller segment of a stack has a lower id than its callees, so that tables indexed by stack are filled in one
///   pass.
/// - The time of each sample is known only if the analysis was asked to keep it: [`Profile::timed_samples`].
/// - A profile with several events shows one: [`Profile::event`] and [`Profile::samples`] are of that event alone. Code that
///   needs the others reads [`Profile::event_table`], which also has the samples without a value of the shown event. All
///   changes of samples and stacks change both. Only pprof files have several events, and their samples have no times.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The shown event.
    pub event: Event,
    /// Wall time of the first sample in nanoseconds since 1970, or 0 if unknown.
    pub start_time_ns: u64,
    /// Time of the first sample on the recording's clock in nanoseconds, or 0 if unknown.
    pub first_time_ns: u64,
    /// Time between the first and the last sample in nanoseconds.
    pub duration_ns: u64,
    pub(super) samples: Samples,
    /// `None` if the profile has only the shown event. Clones of the profile share the table until one of them changes it.
    pub(super) event_table: Option<Arc<EventTable>>,
    /// Index of the shown event in the table. 0 if there is no table.
    pub(super) shown_event_index: usize,
    tasks: Interner<Task>,
    goroutines: Interner<Goroutine>,
    label_sets: Interner<Box<[TaskLabel]>>,
    strings: Interner<Box<str>>,
    functions: Interner<Function>,
    mappings: Interner<Mapping>,
    locations: Vec<Location>,
    /// Frames of all locations. The frames of one location are together, the outermost first.
    frames: Vec<Frame>,
    /// Indexed by location: start and end of its frames in `frames`.
    frame_ranges: Vec<(u32, u32)>,
    stacks: Stacks,
}

impl Profile {
    /// Returns a profile without samples.
    pub fn new(event: Event) -> Self {
        let mut profile = Self {
            event,
            start_time_ns: 0,
            first_time_ns: 0,
            duration_ns: 0,
            samples: Samples::default(),
            event_table: None,
            shown_event_index: 0,
            tasks: Interner::default(),
            goroutines: Interner::default(),
            label_sets: Interner::default(),
            strings: Interner::default(),
            functions: Interner::default(),
            mappings: Interner::default(),
            locations: Vec::new(),
            frames: Vec::new(),
            frame_ranges: Vec::new(),
            stacks: Stacks::default(),
        };
        profile.intern("");
        profile.intern_labels(Vec::new());
        profile
    }

    /// Reserves room for `additional` functions and their names.
    pub fn reserve_functions(&mut self, additional: usize) {
        self.functions.reserve(additional);
        self.strings.reserve(additional);
    }

    /// Interns a string.
    pub fn intern(&mut self, text: &str) -> StrId {
        StrId(self.strings.intern_str(text))
    }

    /// Interns a function.
    pub fn intern_function(&mut self, function: Function) -> FunctionId {
        FunctionId(self.functions.intern(function))
    }

    /// Interns a mapping.
    pub fn intern_mapping(&mut self, mapping: Mapping) -> MappingId {
        MappingId(self.mappings.intern(mapping))
    }

    /// Interns a goroutine.
    pub fn intern_goroutine(&mut self, goroutine: Goroutine) -> GoroutineId {
        GoroutineId(self.goroutines.intern(goroutine))
    }

    /// Interns a set of labels. Their order does not matter.
    pub fn intern_labels(&mut self, mut labels: Vec<TaskLabel>) -> LabelSetId {
        labels.sort_unstable();
        LabelSetId(self.label_sets.intern(labels.into()))
    }

    /// Interns a task.
    pub fn intern_task(&mut self, task: Task) -> TaskId {
        TaskId(self.tasks.intern(task))
    }

    /// Adds a location with its frames, the outermost first. Each call returns a new handle, counted from 0.
    pub fn add_location(&mut self, location: Location, frames: impl IntoIterator<Item = Frame>) -> LocationId {
        self.locations.push(location);
        self.frame_ranges.push((0, 0));
        let id = LocationId(position(self.locations.len() - 1));
        self.set_location(id, location, frames);
        id
    }

    /// Adds `count` empty locations, to be filled by [`Profile::set_location`].
    pub fn add_locations(&mut self, count: usize) {
        let count = self.locations.len() + count;
        self.locations.resize(count, Location { mapping: None, address: 0 });
        self.frame_ranges.resize(count, (0, 0));
    }

    /// Fills an empty location with its address and its frames, the outermost first.
    pub fn set_location(&mut self, id: LocationId, location: Location, frames: impl IntoIterator<Item = Frame>) {
        let start = position(self.frames.len());
        self.frames.extend(frames);
        self.locations[id.index()] = location;
        self.frame_ranges[id.index()] = (start, position(self.frames.len()));
    }

    /// Interns a stack. The root comes first.
    pub fn intern_stack(&mut self, locations: &[LocationId]) -> StackId {
        self.stacks.intern(locations)
    }

    /// Adds a sample. [Most](Samples) samples with equal stack and task are merged.
    pub fn add_sample(&mut self, sample: Sample) {
        self.samples.add(sample);
    }

    /// Replaces all stacks and samples. The new ones refer to the [locations](Self::add_location) and
    /// [tasks](Self::intern_task) of this profile. Events that are not shown are removed.
    pub fn set_samples(&mut self, stacks: Stacks, samples: Samples) {
        (self.stacks, self.samples) = (stacks, samples);
        (self.event_table, self.shown_event_index) = (None, 0);
    }

    /// Returns the samples in the order in which they were first seen. Samples may be equal.
    pub fn samples(&self) -> &[Sample] {
        self.samples.list()
    }

    /// Returns every single sample with its time, in the order of time. `None` if times are not kept.
    pub fn timed_samples(&self) -> Option<&[TimedSample]> {
        self.samples.timed()
    }

    /// Returns the samples, merged by task and by the shown part of the stack: locations without frames do not count.
    /// Samples with a negative value are not merged. The columns are the [quantities](EventTable::quantities) of all events.
    /// With one event, they are count and weight, or the weight alone if the event has no count.
    pub fn distinct_samples(&self) -> DistinctSamples {
        let seed = RandomState::default();
        let shown = self.locations().map(|(id, location)| {
            let frames = self.frames(id);
            (!frames.is_empty()).then(|| seed.hash_one((location, frames)))
        });
        let shown: Vec<Option<u64>> = shown.collect();
        let canonical = self.stacks.canonical_ids(|location| shown[location.index()]);
        match &self.event_table {
            Some(table) => DistinctSamples::from_all_events(table, &canonical),
            None => DistinctSamples::from_one_event(self.samples(), self.event.has_count(), &canonical),
        }
    }

    /// Returns the sum of all counts.
    pub fn total_count(&self) -> u64 {
        self.samples().iter().fold(0, |sum, sample| sum.saturating_add(sample.count))
    }

    /// Returns the sum of all weights, in [`Event::unit`]. The sum saturates, because weights come from files.
    pub fn total_weight(&self) -> u64 {
        self.samples().iter().fold(0, |sum, sample| sum.saturating_add(sample.weight))
    }

    /// Returns the string of a handle.
    pub fn str(&self, id: StrId) -> &str {
        &self.strings.items[id.0 as usize]
    }

    /// Returns the function of a handle.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions.items[id.index()]
    }

    /// Returns all functions in the order of their handles.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = (FunctionId, &Function)> {
        self.functions.items.iter().enumerate().map(|(at, item)| (FunctionId(position(at)), item))
    }

    /// Returns the location of a handle.
    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.index()]
    }

    /// Returns the frames of a location: the function itself, then the calls that were inlined there, the innermost last.
    /// Empty if the location is hidden.
    pub fn frames(&self, id: LocationId) -> &[Frame] {
        let (start, end) = self.frame_ranges[id.index()];
        &self.frames[start as usize..end as usize]
    }

    /// Returns all locations in the order of their handles.
    pub fn locations(&self) -> impl ExactSizeIterator<Item = (LocationId, &Location)> {
        self.locations.iter().enumerate().map(|(at, location)| (LocationId(position(at)), location))
    }

    /// Returns all tasks in the order of their handles.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &Task> {
        self.tasks.items.iter()
    }

    /// Returns the task of a handle.
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks.items[id.0 as usize]
    }

    /// Returns the goroutine of a handle.
    pub fn goroutine(&self, id: GoroutineId) -> &Goroutine {
        &self.goroutines.items[id.0 as usize]
    }

    /// Returns the mapping of a handle.
    pub fn mapping(&self, id: MappingId) -> &Mapping {
        &self.mappings.items[id.index()]
    }

    /// Returns all mappings in the order of their handles.
    pub fn mappings(&self) -> impl ExactSizeIterator<Item = (MappingId, &Mapping)> {
        self.mappings.items.iter().enumerate().map(|(at, item)| (MappingId(position(at)), item))
    }

    /// Returns all stacks.
    pub fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    /// Returns the number of stacks, [`StackId::EMPTY`] included: the length of a table that is indexed by stack.
    pub fn stack_count(&self) -> usize {
        self.stacks.count()
    }

    /// Returns the locations of a stack, root first.
    pub fn stack(&self, stack: StackId) -> Vec<LocationId> {
        self.stacks.root_first(stack)
    }

    /// Returns the locations of a stack, leaf first.
    pub fn leaf_first(&self, stack: StackId) -> impl Iterator<Item = LocationId> {
        self.stacks.leaf_first(stack)
    }

    /// Returns the frames of a stack, leaf first.
    pub fn frames_leaf_first(&self, stack: StackId) -> impl Iterator<Item = Frame> {
        self.leaf_first(stack).flat_map(|location| self.frames(location).iter().rev().copied())
    }

    /// Returns the leaf frame of a stack. `None` if the stack has no frames.
    pub fn leaf(&self, stack: StackId) -> Option<Frame> {
        self.frames_leaf_first(stack).next()
    }

    /// Applies `property` to the leaf frame of each stack. Returns the results by [`StackId::index`], `None` for stacks without
    /// frames.
    pub fn leaf_properties<T: Copy>(&self, property: impl Fn(&Frame) -> T) -> Vec<Option<T>> {
        let last_frames: Vec<Option<T>> =
            self.locations().map(|(id, _)| self.frames(id).last().map(&property)).collect();
        self.fold_stacks(|segment, caller| {
            segment.iter().rev().find_map(|location| last_frames[location.index()]).or(caller)
        })
    }

    /// Returns for each stack whether `property` is true for one of its frames, by [`StackId::index`].
    pub fn stacks_with_frame(&self, property: impl Fn(&Location, Frame) -> bool) -> Vec<bool> {
        let has_one = |(id, location)| self.frames(id).iter().any(|frame| property(location, *frame));
        let has: Vec<bool> = self.locations().map(has_one).collect();
        self.fold_stacks(|segment, caller| caller || segment.iter().any(|location| has[location.index()]))
    }

    /// Returns for each stack the union of a set of bits over its frames, by [`StackId::index`].
    pub fn union_stack_bits<B>(&self, bits: impl Fn(&Frame) -> B) -> Vec<B>
    where
        B: Copy + Default + BitOr<Output = B>,
    {
        let union = |frames: &[Frame]| frames.iter().fold(B::default(), |all, frame| all | bits(frame));
        let own_bits: Vec<B> = self.locations().map(|(id, _)| union(self.frames(id))).collect();
        self.fold_stacks(|segment, caller| {
            segment.iter().fold(caller, |all, location| all | own_bits[location.index()])
        })
    }

    /// Computes a value for each stack, from the locations of its last segment and the value of its caller.
    fn fold_stacks<T: Copy + Default>(&self, value: impl Fn(&[LocationId], T) -> T) -> Vec<T> {
        let mut values = vec![T::default(); self.stack_count()];
        // A caller has a lower id than its callees.
        for stack in self.stacks.ids() {
            values[stack.index()] = value(self.stacks.segment(stack), values[self.stacks.caller(stack).index()]);
        }
        values
    }

    /// Removes the samples for whose stack and task `keep` is false.
    pub fn retain_samples(&mut self, keep: impl Fn(StackId, TaskId) -> bool) {
        self.samples = self.samples.retain(|sample| keep(sample.stack, sample.task));
        if let Some(table) = &mut self.event_table {
            Arc::make_mut(table).retain(keep);
        }
    }

    /// Returns the stack of each sample, of all events. Stacks repeat.
    fn stacks_of_samples(&self) -> Vec<StackId> {
        let of_table = self.event_table.iter().flat_map(|table| table.rows()).map(|(stack, _)| *stack);
        self.samples().iter().map(|sample| sample.stack).chain(of_table).collect()
    }

    /// Replaces the stack of every sample, of all events.
    fn replace_stacks(&mut self, translate: impl Fn(StackId) -> StackId + Sync) {
        if let Some(table) = &mut self.event_table {
            Arc::make_mut(table).remap(&translate);
        }
        self.samples = std::mem::take(&mut self.samples).remap(|stack, task| (translate(stack), task));
    }

    /// Keeps only the samples that were taken within a range of time, given in nanoseconds since
    /// [`Profile::first_time_ns`]. Start time, first time and duration of the profile become those of the range.
    /// Changes nothing if times are not kept.
    pub fn retain_times(&mut self, range: &Range<u64>) {
        let start = self.first_time_ns.saturating_add(range.start);
        // If the end of the range overflows, the range includes all later samples.
        let end = self.first_time_ns.checked_add(range.end).map_or(Bound::Unbounded, Bound::Excluded);
        let Some(samples) = self.samples.within_times((Bound::Included(start), end)) else { return };
        self.samples = samples;
        let from = range.start.min(self.duration_ns);
        self.first_time_ns += from;
        if self.start_time_ns > 0 {
            self.start_time_ns = self.start_time_ns.saturating_add(from);
        }
        self.duration_ns = range.end.min(self.duration_ns).saturating_sub(from);
    }

    /// Removes the callers of the first frame from the root for which `property` is true. A stack without such a frame
    /// becomes empty.
    pub fn retain_callees_of(&mut self, property: impl Fn(&Location, Frame) -> bool) {
        let first = |(id, location)| self.frames(id).iter().position(|frame| property(location, *frame));
        let first_frames: Vec<Option<usize>> = self.locations().map(first).collect();
        // Key: a location with a matching frame. Value: a location with the same address, without the frames before
        // that frame.
        let mut starts: HashMap<LocationId, LocationId> = HashMap::new();
        let mut cut: Vec<Option<StackId>> = vec![None; self.stack_count()];
        for stack in self.stacks_of_samples() {
            if cut[stack.index()].is_some() {
                continue;
            }
            let mut locations = self.stacks.root_first(stack);
            let found = locations.iter().position(|location| first_frames[location.index()].is_some());
            locations.drain(..found.unwrap_or(locations.len()));
            if let Some(start) = locations.first_mut()
                && let Some(frame @ 1..) = first_frames[start.index()]
            {
                let whole = *start;
                *start = *starts.entry(whole).or_insert_with(|| {
                    let frames = self.frames(whole)[frame..].to_vec();
                    self.add_location(self.locations[whole.index()], frames)
                });
            }
            cut[stack.index()] = Some(self.stacks.intern(&locations));
        }
        self.replace_stacks(|stack| cut[stack.index()].unwrap_or(StackId::EMPTY));
    }

    /// Removes the frames for which `property` is false. A location whose frames are all removed is hidden.
    pub fn retain_frames(&mut self, property: impl Fn(&Location, Frame) -> bool) {
        let mut frames = Vec::with_capacity(self.frames.len());
        for ((start, end), location) in self.frame_ranges.iter_mut().zip(&self.locations) {
            let first = position(frames.len());
            let kept = self.frames[*start as usize..*end as usize].iter().filter(|frame| property(location, **frame));
            frames.extend(kept.copied());
            (*start, *end) = (first, position(frames.len()));
        }
        self.frames = frames;
    }

    /// Returns a profile with the same samples, at the same positions, whose stacks are reversed: the leaf is the root.
    /// Every location of the result has one frame, and the address 0.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        (reversed.locations, reversed.frames, reversed.frame_ranges) = (Vec::new(), Vec::new(), Vec::new());
        let mut stacks = Stacks::default();
        let mut locations: HashMap<(Option<MappingId>, Frame), LocationId, RandomState> = HashMap::default();
        let mut reversed_stacks = vec![None; self.stack_count()];
        for stack in self.stacks_of_samples() {
            reversed_stacks[stack.index()].get_or_insert_with(|| {
                let frames = self.leaf_first(stack).flat_map(|at| {
                    let mapping = self.location(at).mapping;
                    self.frames(at).iter().rev().map(move |frame| (mapping, *frame))
                });
                let leaf_first = frames.map(|(mapping, frame)| {
                    *locations
                        .entry((mapping, frame))
                        .or_insert_with(|| reversed.add_location(Location { mapping, address: 0 }, [frame]))
                });
                stacks.intern(&leaf_first.collect::<Vec<_>>())
            });
        }
        reversed.replace_stacks(|stack| reversed_stacks[stack.index()].unwrap_or(StackId::EMPTY));
        reversed.stacks = stacks;
        reversed
    }

    /// Returns the names of all [`TaskLabel`]s, also of those that no sample refers to.
    pub fn label_keys(&self) -> BTreeSet<&str> {
        self.label_sets.items.iter().flatten().map(|label| self.str(label.key)).collect()
    }

    /// Returns the labels of a task, as pprof files carry them. Unknown values are left out, such as ids that are 0.
    pub fn labels(&self, task: TaskId) -> Vec<Label<'_>> {
        let task = self.task(task);
        let mut labels = Vec::new();
        let mut add = |key, value| labels.push(Label { key, value });
        let process = self.str(task.process);
        if !process.is_empty() {
            add("process", LabelValue::Text(process.into()));
        }
        for (key, id) in [("pid", task.pid), ("thread", task.tid)] {
            if id > 0 {
                add(key, LabelValue::Number(i64::from(id), ""));
            }
        }
        if let Some(cpu) = task.cpu {
            add("cpu", LabelValue::Number(i64::from(cpu), ""));
        }
        if let Some(goroutine) = task.goroutine.map(|id| self.goroutine(id)) {
            match goroutine.id {
                Some(id) => add("goroutine", LabelValue::Number(i64::try_from(id).unwrap_or(i64::MAX), "")),
                None => add("g", LabelValue::Text(format!("{:#x}", goroutine.address).into())),
            }
            for (key, text) in [("entry", goroutine.entry), ("creator", goroutine.creator)] {
                let text = self.str(text);
                if !text.is_empty() {
                    add(key, LabelValue::Text(text.into()));
                }
            }
        }
        for TaskLabel { key, value } in &self.label_sets.items[task.labels.0 as usize] {
            let value = match *value {
                TaskLabelValue::Text(text) => LabelValue::Text(self.str(text).into()),
                TaskLabelValue::Number(number, unit) => LabelValue::Number(number, self.str(unit)),
            };
            labels.push(Label { key: self.str(*key), value });
        }
        labels
    }
}
