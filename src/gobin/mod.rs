//! The bytes of an ELF file in; functions, lines, build info and facts about the build out, or the
//! reason why not.
//!
//! Go code is named by the file's own function table (`.gopclntab`, which the runtime needs for its
//! stack traces and which `strip` and `-ldflags=-s` leave in place), with every call that was inlined; everything else
//! by the ELF symbol tables and DWARF. The same table tells how to walk over a Go function's frame, and `.eh_frame` how
//! to walk over a C function's. Every address taken or given here is a link-time virtual address;
//! [`Binary::address_of_offset`] turns a mapping's file offset into one.
//!
//! The file is hostile: nothing here panics, and nothing is believed that the file does not confirm in a
//! second place. A table whose layout does not hold up is refused with the reason, since a wrong name
//! is worse than none. Must not open files, and must not know perf.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod binary;
mod buildinfo;
mod cfi;
mod container;
mod debuginfo;
mod descriptor;
mod dwarf;
mod elf;
mod error;
mod facts;
mod format;
mod function;
mod inline;
mod location;
mod locator;
mod moduledata;
mod native;
mod optimisation;
mod pclntab;
mod pcvalue;
mod structs;
mod symbols;
#[cfg(test)]
mod tests;
mod textmap;
mod unwind;

pub use binary::Binary;
pub use buildinfo::{BuildInfo, Module};
pub use cfi::{Cfa, CfaBase, NativeUnwind, Saved};
pub use container::Segment;
pub use descriptor::{DescriptorOffsets, OffsetsSource};
pub use dwarf::DwarfFacts;
pub use error::{BuildInfoAbsence, Error, NoDescriptors, NoSpDelta, PclntabAbsence, Reason};
pub use facts::Facts;
pub use function::Function;
pub use location::{Location, SourceFrame};
pub use locator::Locator;
pub use optimisation::{InliningEvidence, Optimisation};
pub use pclntab::{Layout, Pclntab};
pub use unwind::{GoUnwind, Special};
