//! Reads the files in which a runtime names the machine code that it makes while the program runs: perf maps
//! (`/tmp/perf-PID.map`) and jitdumps (`jit-PID.dump`).
//!
//! A perf map says which function is at an address. A jitdump also says from when on, and has source lines.
//!
//! The files may be hostile or cut off: no input causes a panic, and the result is not larger than the file justifies. This
//! module must not open files.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod jitdump;
mod perf_map;

use std::ops::Range;

pub use jitdump::parse_jitdump;
pub use perf_map::parse_perf_map;

/// Maximum number of functions that are read from a file. A server with all its code compiled has some 100,000.
const MAX_FUNCTIONS: usize = 1 << 21;

/// The functions that a file names, in the order of the file. Where two share an address, the later one holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JitCode<'b> {
    /// The functions.
    pub functions: Vec<JitFunction<'b>>,
    /// The source lines of all functions.
    pub lines: Vec<JitLine<'b>>,
    /// Whether the times are those of `CLOCK_MONOTONIC`.
    pub timed: bool,
    /// Number of entries that do not follow the format. They are left out.
    pub malformed: u64,
}

/// Code of a function at its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JitFunction<'b> {
    /// When the code came to its address, in nanoseconds. 0 in a perf map.
    pub time: u64,
    /// First address.
    pub start: u64,
    /// Size in bytes, at least 1. The code ends before the end of the address space.
    pub size: u64,
    /// Name, as the runtime wrote it.
    pub name: &'b [u8],
    /// The function's part of [`JitCode::lines`].
    pub lines: Range<usize>,
}

/// The source line from an instruction on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitLine<'b> {
    /// Distance from the function's first address in bytes. Grows within a function.
    pub offset: u64,
    /// Line number.
    pub line: u32,
    /// Source file.
    pub file: &'b [u8],
}

/// Whether code may be at these addresses.
fn is_code_range(start: u64, size: u64) -> bool {
    size > 0 && start.checked_add(size).is_some()
}
