//! Reports that the Go runtime writes when `GODEBUG` requests them: gctrace, schedtrace, scheddetail and inittrace.
//! Bytes → events. Formats of Go 1.18 to 1.27.
//!
//! Must not read, write or wait: times are arguments.

mod cursor;
mod line;
mod splitter;
#[cfg(test)]
mod tests;
mod trace;

pub use cursor::Mismatch;
pub use line::{GcCpu, GcCycle, PackageInit, RuntimeLine, SchedulerSnapshot};
pub use splitter::{ArrivedLine, OutputSplitter, SplitOutput};
pub use trace::{GcTotals, RuntimeTrace, Timed, TraceCollector};
