//! The bytes of an ELF file in; functions, lines, build info and facts about the build out, or the
//! reason why not.
//!
//! Go code is named by the file's own function table (`.gopclntab`, which the runtime needs for its
//! stack traces and which `strip` and `-ldflags=-s` leave in place), everything else by the ELF symbol
//! tables. Every address taken or given here is a link-time virtual address; [`Binary::address_of_offset`]
//! turns a mapping's file offset into one.
//!
//! The file is hostile: nothing here panics, and nothing is believed that the file does not confirm in a
//! second place. A table whose layout does not hold up is refused with the reason, since a wrong name
//! is worse than none. Must not open files, and must not know perf.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod binary;
mod buildinfo;
mod dwarf;
mod elf;
mod error;
mod facts;
mod function;
mod location;
mod moduledata;
mod optimisation;
mod pclntab;
mod symbols;
#[cfg(test)]
mod tests;

pub mod name;

pub use binary::Binary;
pub use buildinfo::{BuildInfo, Module};
pub use dwarf::DwarfFacts;
pub use elf::Segment;
pub use error::{BuildInfoAbsence, Error, PclntabAbsence, Reason};
pub use facts::Facts;
pub use function::Function;
pub use location::{Location, SourceFrame};
pub use optimisation::{InliningEvidence, Optimisation};
pub use pclntab::{Layout, Pclntab};
