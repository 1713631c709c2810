//! What the tables of a profile hold, and the handles of their entries.

use std::borrow::Cow;
use std::fmt;

/// A string in [`Profile`](super::Profile)'s string table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrId(pub(super) u32);

/// A function in [`Profile`](super::Profile)'s function table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub(super) u32);

/// A location in [`Profile`](super::Profile)'s location table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub(super) u32);

/// A task in [`Profile`](super::Profile)'s table of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(super) u32);

/// A goroutine in [`Profile`](super::Profile)'s table of goroutines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoroutineId(pub(super) u32);

/// A mapped file in [`Profile`](super::Profile)'s mapping table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MappingId(pub(super) u32);

/// A stack in [`Profile`](super::Profile)'s table of stacks. [`StackId::EMPTY`] is the stack without locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub(super) u32);

impl StackId {
    /// The stack without locations.
    pub const EMPTY: StackId = StackId(0);

    /// The stack at a position.
    pub fn from_index(at: u32) -> Self {
        Self(at)
    }

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

impl LocationId {
    /// No location.
    pub(super) const NONE: LocationId = LocationId(u32::MAX);

    /// The location at a position.
    pub fn from_index(at: u32) -> Self {
        Self(at)
    }

    /// The position of this location in tables that are indexed by location.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl TaskId {
    /// The task at a position.
    pub fn from_index(at: u32) -> Self {
        Self(at)
    }

    /// The position of this task in tables that are indexed by task.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl MappingId {
    /// The position of this mapping in [`Profile::mappings`](super::Profile::mappings).
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

/// A function at a location, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function.
    pub function: FunctionId,
    /// The line, or 0.
    pub line: u32,
}

/// An address where a sample or a call was seen. It has a frame for its function, and one more for each call that
/// the compiler inlined there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file that the address lies in.
    pub mapping: Option<MappingId>,
    /// The address as sampled: for a caller the return address minus one.
    pub address: u64,
    /// Whether it was restored from the stack copy, having been absent from the callchain.
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

/// Who ran when a sample was taken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Task {
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
}

/// A property of a sample besides its stack: what pprof calls a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label<'p> {
    /// Its name: `process`, `pid`, `thread`, `cpu`, `goroutine`, `g` (the descriptor's address of a goroutine whose number is
    /// unknown), `entry` or `creator`.
    pub key: &'static str,
    /// Its value.
    pub value: LabelValue<'p>,
}

/// The value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelValue<'p> {
    /// A text.
    Text(Cow<'p, str>),
    /// A number.
    Number(u64),
}

impl fmt::Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Equal samples, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The stack; its leaf is where the sample was taken.
    pub stack: StackId,
    /// Who ran.
    pub task: TaskId,
    /// How many samples.
    pub count: u64,
    /// The sum of their periods (or of what else was measured), in [`Event::unit`].
    pub weight: u64,
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
    /// CPU time, or other time.
    Nanoseconds,
    /// Memory.
    Bytes,
    /// Occurrences of the event.
    Events,
}

/// The sampled event, or what else was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// As perf or pprof names it: `cycles`, `cpu-clock`, `inuse_space`.
    pub name: String,
    /// What [`Sample::count`] counts: [`Event::SAMPLES`], or what else pprof files count: `inuse_objects`, `contentions`. The
    /// same as `name` where only the weight was counted.
    pub counted: String,
    /// What a weight counts.
    pub unit: Unit,
    /// Samples per second asked for; 0 when a fixed period was asked for.
    pub frequency: u64,
}

impl Event {
    /// What a sampler counts.
    pub const SAMPLES: &str = "samples";

    /// Whether samples were counted, so that their number tells how certain a share is.
    pub fn is_sampled(&self) -> bool {
        self.counted == Self::SAMPLES
    }

    /// Whether something was counted besides the weight.
    pub fn has_count(&self) -> bool {
        self.counted != self.name
    }
}
