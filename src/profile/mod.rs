//! The profile model: what a sampler saw, with names.
//!
//! A leaf that everything points at: it imports nothing of the crate, does no I/O and knows neither
//! perf records nor output formats. Strings, functions, frames and stacks are interned once and
//! referred to by handle, so that a sample is a few integers and stacks share their prefixes.

mod figures;
#[cfg(test)]
pub(crate) mod fixture;
mod interner;
mod model;
mod quality;
mod table;
mod trie;
mod view;

pub use figures::{grouped, percent, samples};
pub use model::{
    Event, Frame, FrameId, Function, FunctionId, Goroutine, GoroutineId, Mapping, MappingId, Origin, Profile, Sample,
    StackId, StrId, Unit,
};
pub use quality::{CpuSeen, Grade, Quality};
pub use table::{FunctionRow, PathRow, Top};
pub use trie::Trie;
pub use view::{By, GroupRow};
