//! Readiness: whether this machine, toolchain and binary can give a profile that may be believed.
//!
//! Every check is data ([`Finding`]): id, status, what was found, what is needed, why it matters, how to fix it.
//! All checks run even when one fails. The checks are pure functions over [`Inputs`]: nothing here prints, reads a
//! file, runs a program or opens a perf event; whoever tried something hands in what came of it.
//!
//! Ids are an interface (configuration, JSON, scripts): they are listed in [`catalogue()`] and do not change.

mod binary;
mod catalogue;
mod check;
mod finding;
mod inputs;
mod kernel;
mod permission;
mod sampling;
mod toolchain;

#[cfg(test)]
mod tests;

pub use catalogue::{CheckDoc, catalogue};
pub use check::check;
pub use finding::{Finding, Fix, Group, Status, Verdict, summary_line, verdict};
pub use inputs::{Inputs, ProbeResult, RingSize};
