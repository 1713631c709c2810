//! A profile: its tables, and its samples.

use super::interner::{Interner, position};
use super::model::{
    Event, Frame, Function, FunctionId, Goroutine, GoroutineId, Label, LabelValue, Location, LocationId, Mapping,
    MappingId, Sample, StackId, StrId, Task, TaskId,
};
use super::samples::Samples;
use super::stacks::Stacks;

/// A profile: tables of values, and the samples.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The sampled event.
    pub event: Event,
    /// Wall time of the first sample, nanoseconds since 1970; 0 when unknown.
    pub start_time_ns: u64,
    /// Time between the first and the last sample in nanoseconds.
    pub duration_ns: u64,
    samples: Samples,
    tasks: Interner<Task>,
    goroutines: Interner<Goroutine>,
    strings: Interner<Box<str>>,
    functions: Interner<Function>,
    mappings: Interner<Mapping>,
    locations: Vec<Location>,
    /// Those of all locations, each location's outermost first.
    frames: Vec<Frame>,
    /// Where the frames of each location begin and end.
    frame_ranges: Vec<(u32, u32)>,
    stacks: Stacks,
}

impl Profile {
    /// A profile without samples.
    pub fn new(event: Event) -> Self {
        let mut profile = Self {
            event,
            start_time_ns: 0,
            duration_ns: 0,
            samples: Samples::default(),
            tasks: Interner::default(),
            goroutines: Interner::default(),
            strings: Interner::default(),
            functions: Interner::default(),
            mappings: Interner::default(),
            locations: Vec::new(),
            frames: Vec::new(),
            frame_ranges: Vec::new(),
            stacks: Stacks::default(),
        };
        profile.intern("");
        profile
    }

    /// Makes room for so many more functions.
    pub fn reserve_functions(&mut self, more: usize) {
        self.functions.reserve(more);
        self.strings.reserve(more);
    }

    /// The handle of a string, which is stored once.
    pub fn intern(&mut self, text: &str) -> StrId {
        StrId(self.strings.add_ref(text))
    }

    /// The handle of a function, which is stored once.
    pub fn add_function(&mut self, function: Function) -> FunctionId {
        FunctionId(self.functions.add(function))
    }

    /// The handle of a mapping, which is stored once.
    pub fn add_mapping(&mut self, mapping: Mapping) -> MappingId {
        MappingId(self.mappings.add(mapping))
    }

    /// The handle of a goroutine, which is stored once.
    pub fn add_goroutine(&mut self, goroutine: Goroutine) -> GoroutineId {
        GoroutineId(self.goroutines.add(goroutine))
    }

    /// The handle of a task, which is stored once.
    pub fn add_task(&mut self, task: Task) -> TaskId {
        TaskId(self.tasks.add(task))
    }

    /// Adds a location with its frames, the outermost function first. Each call gives another handle, counted from 0.
    pub fn add_location(&mut self, location: Location, frames: impl IntoIterator<Item = Frame>) -> LocationId {
        self.locations.push(location);
        self.frame_ranges.push((0, 0));
        let id = LocationId(position(self.locations.len() - 1));
        self.set_location(id, location, frames);
        id
    }

    /// Adds so many locations without address and frames, for [`Profile::set_location`].
    pub fn add_locations(&mut self, count: usize) {
        let count = self.locations.len() + count;
        self.locations.resize(count, Location { mapping: None, address: 0, repaired: false });
        self.frame_ranges.resize(count, (0, 0));
    }

    /// Says what is at a location, and its frames, the outermost function first.
    pub fn set_location(&mut self, id: LocationId, location: Location, frames: impl IntoIterator<Item = Frame>) {
        let start = position(self.frames.len());
        self.frames.extend(frames);
        self.locations[id.index()] = location;
        self.frame_ranges[id.index()] = (start, position(self.frames.len()));
    }

    /// The handle of a stack, which is stored once. The root comes first.
    pub fn add_stack(&mut self, locations: &[LocationId]) -> StackId {
        self.stacks.add(locations)
    }

    /// Adds samples; [most](Samples) equal ones (stack and task) are counted together.
    pub fn add_sample(&mut self, sample: Sample) {
        self.samples.add(sample);
    }

    /// Takes over stacks and samples that were gathered elsewhere, and are those of all [locations](Self::add_location)
    /// and [tasks](Self::add_task) already here.
    pub fn set_samples(&mut self, stacks: Stacks, samples: Samples) {
        (self.stacks, self.samples) = (stacks, samples);
    }

    /// The samples, in the order in which they were first seen.
    pub fn samples(&self) -> &[Sample] {
        self.samples.list()
    }

    /// The samples, those of one stack and one task counted together.
    pub fn distinct_samples(&self) -> Vec<Sample> {
        let first = self.stacks.first_equal();
        self.samples.distinct(|stack| first.as_ref().map_or(stack, |first| first[stack.index()]))
    }

    /// The number of samples.
    pub fn total_count(&self) -> u64 {
        self.samples().iter().fold(0, |sum, sample| sum.saturating_add(sample.count))
    }

    /// The sum of all weights, in [`Event::unit`]. Periods come from files, so the sum saturates.
    pub fn total_weight(&self) -> u64 {
        self.samples().iter().fold(0, |sum, sample| sum.saturating_add(sample.weight))
    }

    /// The text of a string handle.
    pub fn str(&self, id: StrId) -> &str {
        &self.strings.items[id.0 as usize]
    }

    /// The function of a handle.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions.items[id.index()]
    }

    /// All functions, at the positions of their handles.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = (FunctionId, &Function)> {
        self.functions.items.iter().enumerate().map(|(at, item)| (FunctionId(position(at)), item))
    }

    /// The location of a handle.
    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.index()]
    }

    /// The frames of a location: its function, then the calls that were inlined into it, the innermost last. None where
    /// the location is not to be shown.
    pub fn frames(&self, id: LocationId) -> &[Frame] {
        let (start, end) = self.frame_ranges[id.index()];
        &self.frames[start as usize..end as usize]
    }

    /// All locations, at the positions of their handles.
    pub fn locations(&self) -> impl ExactSizeIterator<Item = (LocationId, &Location)> {
        self.locations.iter().enumerate().map(|(at, location)| (LocationId(position(at)), location))
    }

    /// All tasks, at the positions of their handles.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &Task> {
        self.tasks.items.iter()
    }

    /// The task of a handle.
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks.items[id.0 as usize]
    }

    /// The goroutine of a handle.
    pub fn goroutine(&self, id: GoroutineId) -> &Goroutine {
        &self.goroutines.items[id.0 as usize]
    }

    /// All mappings, at the positions of their handles.
    pub fn mappings(&self) -> impl ExactSizeIterator<Item = (MappingId, &Mapping)> {
        self.mappings.items.iter().enumerate().map(|(at, item)| (MappingId(position(at)), item))
    }

    /// All stacks.
    pub fn stacks(&self) -> &Stacks {
        &self.stacks
    }

    /// The number of stacks, [`StackId::EMPTY`] included: the length of a table indexed by stack.
    pub fn stack_count(&self) -> usize {
        self.stacks.count()
    }

    /// The locations of a stack, root first.
    pub fn stack(&self, stack: StackId) -> Vec<LocationId> {
        self.stacks.get(stack)
    }

    /// The locations of a stack, leaf first.
    pub fn leaf_first(&self, stack: StackId) -> impl Iterator<Item = LocationId> {
        self.stacks.leaf_first(stack)
    }

    /// The frames of a stack, leaf first.
    pub fn frames_leaf_first(&self, stack: StackId) -> impl Iterator<Item = Frame> {
        self.leaf_first(stack).flat_map(|location| self.frames(location).iter().rev().copied())
    }

    /// The innermost frame of a stack.
    pub fn leaf(&self, stack: StackId) -> Option<Frame> {
        self.frames_leaf_first(stack).next()
    }

    /// A property of the innermost frame of each stack, by [`StackId::index`].
    pub fn by_leaf<T: Copy>(&self, property: impl Fn(&Frame) -> T) -> Vec<Option<T>> {
        let innermost: Vec<Option<T>> = self.locations().map(|(id, _)| self.frames(id).last().map(&property)).collect();
        self.value_of_each_stack(|own, caller| {
            own.iter().rev().find_map(|location| innermost[location.index()]).or(caller)
        })
    }

    /// Whether each stack has a frame with a property, by [`StackId::index`].
    pub fn stacks_with(&self, property: impl Fn(&Frame) -> bool) -> Vec<bool> {
        let has: Vec<bool> = self.locations().map(|(id, _)| self.frames(id).iter().any(&property)).collect();
        self.value_of_each_stack(|own, caller| caller || own.iter().any(|location| has[location.index()]))
    }

    /// A value for each stack, made of the locations of its last segment and the value of its caller.
    fn value_of_each_stack<T: Copy + Default>(&self, value: impl Fn(&[LocationId], T) -> T) -> Vec<T> {
        let mut values = vec![T::default(); self.stack_count()];
        // Callers come before their callees.
        for stack in self.stacks.ids() {
            values[stack.index()] = value(self.stacks.piece(stack), values[self.stacks.caller(stack).index()]);
        }
        values
    }

    /// Keeps the samples at whose positions `keep` is true.
    pub fn retain_samples(&mut self, keep: &[bool]) {
        let mut samples = Samples::default();
        self.samples().iter().zip(keep).filter(|(_, keep)| **keep).for_each(|(sample, _)| samples.add(*sample));
        self.samples = samples;
    }

    /// Removes all frames but those with a property. Locations may be left without frames.
    pub fn retain_frames(&mut self, property: impl Fn(&Frame) -> bool) {
        let mut frames = Vec::with_capacity(self.frames.len());
        for (start, end) in &mut self.frame_ranges {
            let first = position(frames.len());
            frames.extend(self.frames[*start as usize..*end as usize].iter().copied().filter(&property));
            (*start, *end) = (first, position(frames.len()));
        }
        self.frames = frames;
    }

    /// The labels of a sample, as pprof files carry them. Ids that are 0 are unknown and left out.
    pub fn labels(&self, sample: &Sample) -> Vec<Label<'_>> {
        let task = self.task(sample.task);
        let mut labels = Vec::new();
        let mut add = |key, value| labels.push(Label { key, value });
        let process = self.str(task.process);
        if !process.is_empty() {
            add("process", LabelValue::Text(process.into()));
        }
        for (key, id) in [("pid", task.pid), ("thread", task.tid)] {
            if id > 0 {
                add(key, LabelValue::Number(u64::from(id)));
            }
        }
        if let Some(cpu) = task.cpu {
            add("cpu", LabelValue::Number(u64::from(cpu)));
        }
        if let Some(goroutine) = task.goroutine.map(|id| self.goroutine(id)) {
            match goroutine.id {
                Some(id) => add("goroutine", LabelValue::Number(id)),
                None => add("g", LabelValue::Text(format!("{:#x}", goroutine.address).into())),
            }
            for (key, text) in [("entry", goroutine.entry), ("creator", goroutine.creator)] {
                let text = self.str(text);
                if !text.is_empty() {
                    add(key, LabelValue::Text(text.into()));
                }
            }
        }
        labels
    }
}
