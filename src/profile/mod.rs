//! The profile model: samples, stacks, locations and functions of a recording or a pprof file.
//!
//! Strings, functions, mappings, tasks and stacks are interned: stored once and referred to by handle, so that a sample is
//! a few integers.
//!
//! Must not import other modules of the crate, do I/O, or know perf records or output formats.

mod distinct;
mod event_choice;
mod events;
mod figures;
#[cfg(test)]
pub(crate) mod fixture;
mod interner;
mod model;
mod off_cpu;
mod phase;
mod quality;
mod samples;
mod stacks;
mod table;
mod tables;

pub use distinct::DistinctSamples;
pub use events::{EventTable, Quantity, TableEvent};
pub use figures::{format_count, format_number, format_percent, format_samples, format_share, format_total_count};
pub use interner::{Interner, position};
pub use model::{
    CanonicalStackId, Event, Frame, Function, FunctionId, Goroutine, GoroutineId, Label, LabelSetId, LabelValue,
    Location, LocationId, Mapping, MappingId, Origin, Sample, StackId, StrId, Task, TaskId, TaskLabel, TaskLabelValue,
    Unit,
};
pub use off_cpu::OffCpuTime;
pub use phase::{Phase, PhaseName, describe_phases};
pub use quality::{Assessment, CpuCoverage, FEW_SAMPLES, Grade, NO_KERNEL_TIME, Quality, SizeBound};
pub use samples::{Samples, TimedSample};
pub use stacks::{SegmentKey, Stacks};
pub use table::{Slot, SlotTable};
pub use tables::Profile;
