//! The tables of a profile and their handles.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::interner::{Interner, position};
use super::trie::Trie;

/// A string in [`Profile`]'s string table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrId(u32);

/// A function in [`Profile`]'s function table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(u32);

/// A frame in [`Profile`]'s frame table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(u32);

/// A goroutine in [`Profile`]'s table of goroutines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoroutineId(u32);

/// A mapped file in [`Profile`]'s mapping table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MappingId(u32);

/// A stack: a frame on top of a caller's stack. [`StackId::EMPTY`] is the stack without frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(u32);

impl StackId {
    /// The stack without frames, which every stack grows from.
    pub const EMPTY: StackId = StackId(Trie::ROOT);

    /// The position of this stack in tables that are indexed by stack.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl FunctionId {
    /// The position of this function in tables that are indexed by function.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl FrameId {
    /// The position of this frame in tables that are indexed by frame.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl MappingId {
    /// The position of this mapping in [`Profile::mappings`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whose code a function is, as far as its name and its file tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The main module of the profiled program.
    Main,
    /// Another Go module.
    Module,
    /// Go's standard library.
    Std,
    /// The Go runtime and garbage collector.
    Runtime,
    /// Code that Go's tables do not know: C, C++, Rust, libc, the vdso.
    Native,
    /// The kernel.
    Kernel,
    /// An address without a name.
    Unknown,
}

impl Origin {
    /// Every origin, in the order in which legends list them.
    pub const ALL: [Origin; 7] =
        [Origin::Main, Origin::Module, Origin::Std, Origin::Runtime, Origin::Native, Origin::Kernel, Origin::Unknown];
}

impl Origin {
    /// Whether this is Go code.
    pub fn is_go(self) -> bool {
        matches!(self, Self::Main | Self::Module | Self::Std | Self::Runtime)
    }
}

/// A function, once per name, file and origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    /// The linker's name, which pprof files carry: `main.Map[go.shape.int]`.
    pub name: StrId,
    /// The name as Go programmers write it: `main.Map[...]`.
    pub display: StrId,
    /// The source file, or the empty string.
    pub file: StrId,
    /// The line of the `func` keyword, or 0.
    pub start_line: u32,
    /// Whose code it is.
    pub origin: Origin,
}

/// A place in a function where a sample or a call was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function.
    pub function: FunctionId,
    /// The line, or 0.
    pub line: u32,
    /// The file that the address lies in.
    pub mapping: Option<MappingId>,
    /// The address as sampled: for a caller the return address minus one.
    pub address: u64,
    /// Whether the compiler inlined this call into the frame before it (towards the root). Such a
    /// frame has the address of the frame that it was inlined into.
    pub inlined: bool,
    /// Whether the frame was restored from the stack copy, having been absent from the callchain.
    pub repaired: bool,
}

/// A file mapped into a sampled process, or the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Path, or a name in brackets such as `[kernel.kallsyms]`.
    pub file: StrId,
    /// Build id in hexadecimal, or the empty string.
    pub build_id: StrId,
    /// First mapped address.
    pub start: u64,
    /// First address after the mapping.
    pub limit: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
}

/// Equal samples, counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sample {
    /// The stack; its leaf is where the sample was taken.
    pub stack: StackId,
    /// The command name of the process (comm).
    pub process: StrId,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// The CPU, where the recording tells.
    pub cpu: Option<u32>,
    /// The goroutine that ran, where the recording tells.
    pub goroutine: Option<GoroutineId>,
    /// How many samples.
    pub count: u64,
    /// The sum of their periods, in [`Event::unit`].
    pub weight: u64,
}

impl Sample {
    /// What makes samples equal.
    fn key(&self) -> impl Eq + std::hash::Hash + use<> {
        (self.stack, self.process, self.pid, self.tid, self.cpu, self.goroutine)
    }
}

/// A goroutine, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Goroutine {
    /// Its process.
    pub pid: u32,
    /// The address of its descriptor (`runtime.g`), which the runtime gives to another goroutine when this one ends.
    pub address: u64,
    /// Its number in Go's own tracebacks.
    pub id: Option<u64>,
    /// The function that its `go` statement called; the empty string where that is not known.
    pub entry: StrId,
    /// The function with that `go` statement; the empty string where that is not known.
    pub creator: StrId,
}

/// What a sample's weight counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// CPU time.
    Nanoseconds,
    /// Occurrences of the event.
    Events,
}

/// The sampled event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// As perf names it: `cycles`, `cpu-clock`.
    pub name: String,
    /// What a weight counts.
    pub unit: Unit,
    /// Samples per second asked for; 0 when a fixed period was asked for.
    pub frequency: u64,
}

/// A profile: tables of interned values, and the samples.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The sampled event.
    pub event: Event,
    /// Wall time of the first sample, nanoseconds since 1970; 0 when unknown.
    pub start_time_ns: u64,
    /// Time between the first and the last sample in nanoseconds.
    pub duration_ns: u64,
    samples: Vec<Sample>,
    /// For each stack, one more than the position of its first sample; 0 when it has none.
    first_samples: Vec<u32>,
    /// The other samples of stacks that have several.
    sample_index: HashTable<u32>,
    seed: RandomState,
    goroutines: Interner<Goroutine>,
    strings: Interner<Box<str>>,
    functions: Interner<Function>,
    frames: Interner<Frame>,
    mappings: Interner<Mapping>,
    /// Keys are frames.
    stacks: Trie,
}

impl Profile {
    /// A profile without samples.
    pub fn new(event: Event) -> Self {
        let mut profile = Self {
            event,
            start_time_ns: 0,
            duration_ns: 0,
            samples: Vec::new(),
            first_samples: Vec::new(),
            sample_index: HashTable::new(),
            seed: RandomState::default(),
            goroutines: Interner::default(),
            strings: Interner::default(),
            functions: Interner::default(),
            frames: Interner::default(),
            mappings: Interner::default(),
            stacks: Trie::default(),
        };
        profile.intern("");
        profile
    }

    /// The handle of a string, which is stored once.
    pub fn intern(&mut self, text: &str) -> StrId {
        StrId(self.strings.add_ref(text))
    }

    /// The handle of a function, which is stored once.
    pub fn add_function(&mut self, function: Function) -> FunctionId {
        FunctionId(self.functions.add(function))
    }

    /// The handle of a frame, which is stored once.
    pub fn add_frame(&mut self, frame: Frame) -> FrameId {
        FrameId(self.frames.add(frame))
    }

    /// The handle of a mapping, which is stored once.
    pub fn add_mapping(&mut self, mapping: Mapping) -> MappingId {
        MappingId(self.mappings.add(mapping))
    }

    /// The stack in which `frame` runs on top of `caller`.
    pub fn push(&mut self, caller: StackId, frame: FrameId) -> StackId {
        StackId(self.stacks.push(caller.0, frame.0))
    }

    /// The handle of a goroutine, which is stored once.
    pub fn add_goroutine(&mut self, goroutine: Goroutine) -> GoroutineId {
        GoroutineId(self.goroutines.add(goroutine))
    }

    /// Takes all samples out.
    pub(super) fn take_samples(&mut self) -> Vec<Sample> {
        self.sample_index.clear();
        self.first_samples.clear();
        std::mem::take(&mut self.samples)
    }

    /// Makes room for so many different samples.
    pub fn reserve_samples(&mut self, count: usize) {
        self.samples.reserve_exact(count);
        let stacks = self.stacks.count();
        self.first_samples.resize(stacks, 0);
    }

    /// Adds samples; equal ones (stack, process, thread, CPU, goroutine) are counted together.
    pub fn add_sample(&mut self, sample: Sample) {
        let Self { samples, first_samples, sample_index, seed, .. } = self;
        if first_samples.len() <= sample.stack.index() {
            first_samples.resize(sample.stack.index() + 1, 0);
        }
        let first = &mut first_samples[sample.stack.index()];
        let known = match first.checked_sub(1) {
            None => {
                samples.push(sample);
                *first = position(samples.len());
                return;
            }
            Some(at) if samples[at as usize].key() == sample.key() => at,
            Some(_) => {
                let known = sample_index.entry(
                    seed.hash_one(sample.key()),
                    |at| samples[*at as usize].key() == sample.key(),
                    |at| seed.hash_one(samples[*at as usize].key()),
                );
                match known {
                    Entry::Occupied(at) => *at.get(),
                    Entry::Vacant(vacant) => {
                        vacant.insert(position(samples.len()));
                        samples.push(sample);
                        return;
                    }
                }
            }
        };
        let known = &mut samples[known as usize];
        known.count = known.count.saturating_add(sample.count);
        known.weight = known.weight.saturating_add(sample.weight);
    }

    /// The samples, in the order in which they were first seen.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The number of samples.
    pub fn total_count(&self) -> u64 {
        self.samples.iter().fold(0, |sum, sample| sum.saturating_add(sample.count))
    }

    /// The sum of all weights, in [`Event::unit`]. Periods come from files, so the sum saturates.
    pub fn total_weight(&self) -> u64 {
        self.samples.iter().fold(0, |sum, sample| sum.saturating_add(sample.weight))
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

    /// The frame of a handle.
    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames.items[id.index()]
    }

    /// The function of a frame.
    pub fn frame_function(&self, id: FrameId) -> &Function {
        self.function(self.frame(id).function)
    }

    /// The goroutine of a handle.
    pub fn goroutine(&self, id: GoroutineId) -> &Goroutine {
        &self.goroutines.items[id.0 as usize]
    }

    /// All mappings, at the positions of their handles.
    pub fn mappings(&self) -> impl ExactSizeIterator<Item = (MappingId, &Mapping)> {
        self.mappings.items.iter().enumerate().map(|(at, item)| (MappingId(position(at)), item))
    }

    /// The number of stacks, [`StackId::EMPTY`] included: the length of a table indexed by stack.
    pub fn stack_count(&self) -> usize {
        self.stacks.count()
    }

    /// Every stack that has frames, as (stack, its leaf, the stack of its caller). Callers come before
    /// their callees, so that a walk from the back adds callees up into callers.
    pub fn stacks(&self) -> impl DoubleEndedIterator<Item = (StackId, FrameId, StackId)> {
        self.stacks.nodes().map(|(stack, caller, frame)| (StackId(stack), FrameId(frame), StackId(caller)))
    }

    /// The leaf of a stack and the stack of its caller; `None` for [`StackId::EMPTY`].
    pub fn leaf(&self, stack: StackId) -> Option<(FrameId, StackId)> {
        self.stacks.get(stack.0).map(|(caller, frame)| (FrameId(frame), StackId(caller)))
    }

    /// The frames of a stack, leaf first.
    pub fn frames_leaf_first(&self, stack: StackId) -> impl Iterator<Item = FrameId> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let (frame, caller) = self.leaf(at)?;
            at = caller;
            Some(frame)
        })
    }

    /// The frames of a stack, root first.
    pub fn frames_root_first(&self, stack: StackId) -> Vec<FrameId> {
        let mut frames: Vec<_> = self.frames_leaf_first(stack).collect();
        frames.reverse();
        frames
    }
}
