//! Reads the files in which a runtime names the machine code that it makes while the program runs: perf maps
//! (`/tmp/perf-PID.map`) and jitdumps (`jit-PID.dump`).
//!
//! A perf map says which function is at an address. A jitdump also has source lines, and the time at which the code of
//! the function was placed there.
//!
//! The files can be hostile or cut off: no input causes a panic, and the size of the result is limited by the size of the
//! file. This module must not open files.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

mod jitdump;
mod perf_map;

use std::ops::Range;

pub use jitdump::parse_jitdump;
pub use perf_map::parse_perf_map;

/// Maximum number of functions that are read from a file. A server with all its code compiled has about 100,000.
const MAX_FUNCTIONS: usize = 1 << 21;

/// The functions that a code file names, in the order of the file. If two functions share an address, the later one is
/// valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JitCode<'b> {
    /// The functions.
    pub functions: Vec<JitFunction<'b>>,
    /// The source lines of all functions.
    pub lines: Vec<JitLine<'b>>,
    /// Whether [`JitFunction::time`] is a time of `CLOCK_MONOTONIC`.
    pub has_times: bool,
    /// Number of entries that do not follow the format and were left out.
    pub malformed_entries: u64,
}

/// A function of generated code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JitFunction<'b> {
    /// Time at which the code was placed at its address, in nanoseconds. 0 in a perf map.
    pub time: u64,
    /// First address.
    pub start: u64,
    /// Size in bytes, at least 1. The code ends before the end of the address space.
    pub size: u64,
    /// Name, as the runtime wrote it.
    pub name: &'b [u8],
    /// Range of the function's source lines in [`JitCode::lines`].
    pub lines: Range<usize>,
}

/// A source line and the first instruction that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitLine<'b> {
    /// Bytes from the function's first address to the instruction. Ascending within a function.
    pub offset: u64,
    /// Line number.
    pub line: u32,
    /// Source file.
    pub file: &'b [u8],
}

/// Whether code can have this address and size: it is not empty, and ends in the address space.
fn is_code_range(start: u64, size: u64) -> bool {
    size > 0 && start.checked_add(size).is_some()
}
