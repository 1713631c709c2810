//! The entries of a profile's tables, and their handles.

use std::borrow::Cow;
use std::fmt;

/// Handle of a string in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrId(pub(super) u32);

/// Handle of a [`Function`] in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub(super) u32);

/// Handle of a [`Location`] in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub(super) u32);

/// Handle of a [`Task`] in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(super) u32);

/// Handle of a [`Goroutine`] in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoroutineId(pub(super) u32);

/// Handle of a [`Mapping`] in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MappingId(pub(super) u32);

/// Handle of a set of [`TaskLabel`]s in a [`Profile`](super::Profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSetId(pub(super) u32);

impl LabelSetId {
    /// The set without labels.
    pub const EMPTY: LabelSetId = LabelSetId(0);
}

/// Handle of a stack in [`Stacks`](super::Stacks). Equal ids mean equal stacks. Different ids can mean equal stacks too:
/// to distinguish stacks, compare their [`CanonicalStackId`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub(super) u32);

/// The first of several equal stacks. Equal ids mean equal stacks, and different ids mean different stacks. Only
/// [`Stacks::canonical_ids`](super::Stacks::canonical_ids) makes these ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CanonicalStackId(pub(super) StackId);

impl StackId {
    /// The stack without locations.
    pub const EMPTY: StackId = StackId(0);

    /// Returns the handle of the stack at a position.
    pub fn from_index(at: u32) -> Self {
        Self(at)
    }

    /// Returns the index of this stack in tables that are indexed by stack.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl FunctionId {
    /// Returns the index of this function in tables that are indexed by function.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl LocationId {
    /// Marks an unused place of a stack segment.
    pub(super) const NONE: LocationId = LocationId(u32::MAX);

    /// Returns the handle of the location at a position.
    pub const fn from_index(at: u32) -> Self {
        Self(at)
    }

    /// Returns the index of this location in tables that are indexed by location.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl TaskId {
    /// Returns the handle of the task at a position.
    pub fn from_index(at: u32) -> Self {
        Self(at)
    }

    /// Returns the index of this task in tables that are indexed by task.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl MappingId {
    /// Returns the index of this mapping in [`Profile::mappings`](super::Profile::mappings).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whose code a function is, derived from its name and its file.
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
    /// Code without entries in Go's tables: C, C++, Rust, libc.
    Native,
    /// The vdso: code that the kernel maps into every process, mostly to read a clock.
    Vdso,
    /// The kernel.
    Kernel,
    /// An address without a name.
    Unknown,
}

impl Origin {
    /// Every origin, in the order in which legends list them.
    pub const ALL: [Origin; 8] = [
        Origin::Main,
        Origin::Module,
        Origin::Std,
        Origin::Runtime,
        Origin::Native,
        Origin::Vdso,
        Origin::Kernel,
        Origin::Unknown,
    ];

    /// Returns whether this is Go code.
    pub fn is_go(self) -> bool {
        matches!(self, Self::Main | Self::Module | Self::Std | Self::Runtime)
    }
}

/// A function. Interned, so that equal functions have one handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Function {
    /// The linker's name, as in pprof files: `main.Map[go.shape.int]`.
    pub name: StrId,
    /// The name as Go programmers write it: `main.Map[...]`.
    pub display: StrId,
    /// The source file, or the empty string if unknown.
    pub file: StrId,
    /// The line of the `func` keyword, or 0 if unknown.
    pub start_line: u32,
    /// Whose code it is.
    pub origin: Origin,
}

/// A function at a location. See [`Location`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function.
    pub function: FunctionId,
    /// The source line, or 0 if unknown.
    pub line: u32,
}

/// An address where a sample was taken or a call was made. A location has one frame for its function, and one more for
/// each call that the compiler inlined there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The mapping that contains the address. `None` if unknown.
    pub mapping: Option<MappingId>,
    /// The sampled address. For a caller: the return address minus one, which is inside the call instruction.
    pub address: u64,
}

/// A file mapped into a sampled process, or the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Path, or a name in brackets such as `[kernel.kallsyms]`.
    pub file: StrId,
    /// Build id in hexadecimal, or the empty string if unknown.
    pub build_id: StrId,
    /// First mapped address.
    pub start: u64,
    /// First address after the mapping.
    pub limit: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
}

/// Who ran when a sample was taken, and on which CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Task {
    /// The comm of the process.
    pub process: StrId,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// The CPU. `None` if the recording does not hold it.
    pub cpu: Option<u32>,
    /// The goroutine that ran. `None` if unknown.
    pub goroutine: Option<GoroutineId>,
    /// Labels that the program set, and those from a pprof file that have no field above.
    pub labels: LabelSetId,
}

/// A label of a task: a profiler label, or a label of a pprof file that has no other field in [`Task`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskLabel {
    /// The name.
    pub key: StrId,
    /// The value.
    pub value: TaskLabelValue,
}

/// The value of a [`TaskLabel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskLabelValue {
    /// A text.
    Text(StrId),
    /// A number and its unit, which is the empty string if the file has none.
    Number(i64, StrId),
}

/// A label of a sample, as pprof files carry it: a name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label<'p> {
    /// The name: `process`, `pid`, `thread`, `cpu`, `goroutine`, `g`, `entry`, `creator`, or the name of a
    /// [`TaskLabel`]. `g` is the address of the `runtime.g` of a goroutine whose number is unknown.
    pub key: &'p str,
    /// The value.
    pub value: LabelValue<'p>,
}

/// The value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelValue<'p> {
    /// A string label.
    Text(Cow<'p, str>),
    /// A numeric label and its unit, which is empty if it has none.
    Number(i64, &'p str),
}

impl fmt::Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number, unit) => write!(f, "{number}{unit}"),
        }
    }
}

/// Equal samples: one stack, one task, and the sums over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The stack. The samples were taken at the leaf.
    pub stack: StackId,
    /// The task that ran.
    pub task: TaskId,
    /// The count: a number of samples, or of the quantity that [`Event::count_name`] names.
    pub count: u64,
    /// The weight, in [`Event::unit`]: the sum of the periods, or the measured amount.
    pub weight: u64,
}

/// A goroutine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Goroutine {
    /// Process id.
    pub pid: u32,
    /// The address of its `runtime.g`. When the goroutine ends, the runtime reuses the structure for another goroutine.
    pub address: u64,
    /// The number that Go's tracebacks show (`goid`). `None` if unknown.
    pub id: Option<u64>,
    /// The function that the `go` statement called, or the empty string if unknown.
    pub entry: StrId,
    /// The function with the `go` statement, or the empty string if unknown.
    pub creator: StrId,
}

/// The unit of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Time, such as CPU time.
    Nanoseconds,
    /// Bytes of memory.
    Bytes,
    /// Occurrences of the event.
    Events,
}

/// The sampled event, or another measured quantity of a pprof file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name in perf or pprof: `cycles`, `cpu-clock`, `inuse_space`.
    pub name: String,
    /// Name of the quantity in [`Sample::count`]: [`Event::SAMPLES`], or from a pprof file `inuse_objects` or
    /// `contentions`. Equal to `name` if the profile has only a weight.
    pub count_name: String,
    /// The unit of [`Sample::weight`].
    pub unit: Unit,
    /// Requested samples per second. 0 if unknown, if a fixed period was requested, or if the event was not sampled.
    pub frequency: u64,
}

impl Event {
    /// The [count name](Event::count_name) of sampled profiles.
    pub const SAMPLES: &str = "samples";

    /// Name of the event whose weight is the time that threads waited.
    const OFF_CPU: &str = "off-cpu";

    /// Returns the event of a profile of waits.
    pub fn waits() -> Self {
        Self { name: Self::OFF_CPU.to_owned(), count_name: "waits".to_owned(), unit: Unit::Nanoseconds, frequency: 0 }
    }

    /// Returns whether the weight is the time that threads waited.
    pub fn is_of_waits(&self) -> bool {
        self.name == Self::OFF_CPU
    }

    /// Returns whether the count is a number of samples, which says how certain a share is.
    pub fn is_sampled(&self) -> bool {
        self.count_name == Self::SAMPLES
    }

    /// Returns whether the profile has a count besides the weight.
    pub fn has_count(&self) -> bool {
        self.count_name != self.name
    }
}
