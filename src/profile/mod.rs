//! The profile model: what a sampler saw, with names.
//!
//! A leaf that everything points at: it imports nothing of the crate but room in memory, does no I/O and knows neither
//! perf records nor output formats. Strings, functions, locations and stacks are stored once and
//! referred to by handle, so that a sample is a few integers.

mod figures;
#[cfg(test)]
pub(crate) mod fixture;
mod interner;
mod model;
mod quality;
mod samples;
mod stacks;
mod table;
mod tables;

pub use figures::{counted, grouped, percent, samples};
pub use interner::{Interner, position};
pub use model::{
    Event, Frame, Function, FunctionId, Goroutine, GoroutineId, Label, LabelValue, Location, LocationId, Mapping,
    MappingId, Origin, Sample, StackId, StrId, Task, TaskId, Unit,
};
pub use quality::{CpuSeen, Grade, Quality, SizeBound};
pub use samples::Samples;
pub use stacks::{Stacks, Wanted};
pub use table::{Slot, Table};
pub use tables::Profile;
