//! Reads an ELF file from its bytes: functions, lines, inlined calls, unwind tables, build info and facts about the build.
//! Gives the reason for each part that is missing.
//!
//! Go code gets its names, lines and inlined calls from pclntab (Go's function table, `.gopclntab`). The Go runtime
//! needs this table for its stack traces, so `strip` and `-ldflags=-s` keep it. Other code gets its names from the ELF
//! symbol tables and DWARF. Go frames are unwound with the function table's SP deltas, C frames with `.eh_frame`. All
//! addresses in this module are link-time virtual addresses; [`Binary::address_of_offset`] converts a mapping's file
//! offset to one.
//!
//! The file may be hostile: no input causes a panic, and every table is checked against a second part of the file. A table
//! that contradicts itself is refused with the reason, because a wrong name is worse than none. This module must not open
//! files and must not know perf.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod assembly;
mod binary;
mod buildinfo;
mod calls;
mod cfi;
mod container;
mod debuginfo;
mod dwarf;
mod elf;
mod error;
mod facts;
mod format;
mod function;
mod g_layout;
mod header;
mod inline;
mod locator;
mod moduledata;
mod native;
mod optimisation;
mod pclntab;
mod pcvalue;
mod source_frame;
mod structs;
mod symbols;
#[cfg(test)]
mod tests;
mod textmap;
mod unwind;
mod wrapper;

pub use assembly::Assembly;
pub use binary::Binary;
pub use buildinfo::{BuildInfo, Module};
pub use cfi::{Cfa, CfaBase, NativeUnwind, SavedRegister};
pub use container::Segment;
pub use dwarf::DwarfFacts;
pub use error::{BuildInfoAbsence, Error, GLayoutAbsence, NameAbsence, PclntabAbsence, SpDeltaAbsence};
pub use facts::BinaryFacts;
pub use function::Function;
pub use g_layout::{GLayout, GLayoutSource, LabelForm};
pub use header::Layout;
pub use locator::Locator;
pub use optimisation::{InliningEvidence, Optimisation};
pub use pclntab::Pclntab;
pub use source_frame::SourceFrame;
pub use unwind::{GoUnwind, SpecialFunction};
