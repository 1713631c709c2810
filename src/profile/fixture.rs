//! Builds small profiles for tests. Stacks are written as text: `main.main|main.work|k:page_fault`.

use std::collections::HashMap;

use super::{
    Event, Frame, Function, LabelSetId, Location, LocationId, Mapping, Origin, Profile, Sample, StackId, Task, Unit,
};

/// A profile under construction.
pub(crate) struct Fixture {
    pub(crate) profile: Profile,
    /// Weight of one sample.
    pub(crate) period: u64,
    /// Build id of all mappings.
    pub(crate) build_id: &'static str,
    locations: HashMap<(Location, Vec<Frame>), LocationId>,
}

impl Fixture {
    /// An empty profile of `cpu-clock` at 997 Hz.
    pub(crate) fn new() -> Self {
        let event = Event {
            name: "cpu-clock".to_owned(),
            count_name: Event::SAMPLES.to_owned(),
            unit: Unit::Nanoseconds,
            frequency: 997,
        };
        Self { profile: Profile::new(event), period: 1_003_009, build_id: "c0ffee", locations: HashMap::new() }
    }

    /// An empty profile of `cycles`.
    pub(crate) fn new_cycles() -> Self {
        let event = Event {
            name: "cycles".to_owned(),
            count_name: Event::SAMPLES.to_owned(),
            unit: Unit::Events,
            frequency: 997,
        };
        Self { profile: Profile::new(event), period: 2_000_000, build_id: "c0ffee", locations: HashMap::new() }
    }

    /// Adds `count` samples of a stack, given as text: root first, `|` between frames.
    ///
    /// A frame is `name`, `k:name` (kernel), `c:name` (native), `v:name` (vdso) or `i:name` (inlined), and each can end
    /// with `:line`.
    pub(crate) fn add(&mut self, process: &str, stack: &str, count: u64) {
        let mut locations = Vec::new();
        let texts: Vec<&str> = stack.split('|').filter(|text| !text.is_empty()).collect();
        for texts in texts.chunk_by(|_, next| next.starts_with("i:")) {
            let frames: Vec<(Location, Frame)> = texts.iter().map(|text| self.parse_frame(text)).collect();
            let Some((location, _)) = frames.first() else { continue };
            locations.push(self.intern_location(*location, frames.iter().map(|(_, frame)| *frame).collect()));
        }
        let stack = self.profile.intern_stack(&locations);
        self.add_stack(process, stack, count);
    }

    /// Adds `count` samples of a stack.
    pub(crate) fn add_stack(&mut self, process: &str, stack: StackId, count: u64) {
        let process = self.profile.intern(process);
        let weight = count.saturating_mul(self.period);
        let task = self.profile.intern_task(Task {
            process,
            pid: 7,
            tid: 8,
            cpu: None,
            goroutine: None,
            labels: LabelSetId::EMPTY,
        });
        self.profile.add_sample(Sample { stack, task, count, weight });
    }

    /// Returns the stack of `caller` with one more frame, whose function has exactly this name.
    pub(crate) fn push(&mut self, caller: StackId, name: &str, origin: Origin) -> StackId {
        let (location, frame) = self.new_frame(name, origin, 1);
        let location = self.intern_location(location, vec![frame]);
        let mut stack = self.profile.stack(caller);
        stack.push(location);
        self.profile.intern_stack(&stack)
    }

    fn intern_location(&mut self, location: Location, frames: Vec<Frame>) -> LocationId {
        let profile = &mut self.profile;
        *self
            .locations
            .entry((location, frames))
            .or_insert_with_key(|(location, frames)| profile.add_location(*location, frames.iter().copied()))
    }

    /// Parses a frame, as [`Fixture::add`] takes it.
    fn parse_frame(&mut self, text: &str) -> (Location, Frame) {
        let (name, line) = match text.rsplit_once(':') {
            Some((name, line)) if line.parse::<u32>().is_ok() => (name, line.parse().unwrap_or(0)),
            _ => (text, 1),
        };
        let (name, origin) = match name.split_once(':') {
            Some(("k", name)) => (name, Origin::Kernel),
            Some(("c", name)) => (name, Origin::Native),
            Some(("v", name)) => (name, Origin::Vdso),
            Some(("i", name)) => (name, origin_of(name)),
            _ => (name, origin_of(name)),
        };
        self.new_frame(name, origin, line)
    }

    fn new_frame(&mut self, name: &str, origin: Origin, line: u32) -> (Location, Frame) {
        let (file, start) = match origin {
            Origin::Kernel => ("[kernel.kallsyms]", 0xffff_ffff_8100_0000),
            Origin::Native => ("/lib/libc.so.6", 0x7f00_0000_0000),
            Origin::Vdso => ("[vdso]", 0x7ffd_0000_0000),
            _ => ("/bin/app", 0x40_0000),
        };
        let file = self.profile.intern(file);
        let build_id = self.profile.intern(self.build_id);
        let mapping =
            self.profile.intern_mapping(Mapping { file, build_id, start, limit: start + 0x100_0000, offset: 0 });
        let display = self.profile.intern(name);
        let full = self.profile.intern(&name.replace("[...]", "[go.shape.struct { a int; b string }]"));
        let source = self.profile.intern(if origin == Origin::Kernel { "" } else { "/src/app/main.go" });
        let function =
            self.profile.intern_function(Function { name: full, display, file: source, start_line: 1, origin });
        let address = start + 0x1000 * (function.index() as u64 + 1) + u64::from(line);
        (Location { mapping: Some(mapping), address }, Frame { function, line })
    }
}

fn origin_of(name: &str) -> Origin {
    match name.split('/').next() {
        _ if name.starts_with("main.") => Origin::Main,
        _ if name.starts_with("runtime.") => Origin::Runtime,
        _ if name.starts_with('[') => Origin::Unknown,
        Some(first) if name.contains('/') && first.contains('.') => Origin::Module,
        _ => Origin::Std,
    }
}
