//! Readiness: whether this machine, toolchain and binary can give a profile that may be believed.
//!
//! Every check is data ([`Finding`]): id, status, what was found, what is needed, why it matters, how to fix it.
//! All checks run even when one fails. The checks are pure functions over [`Inputs`]: nothing here prints, reads a
//! file, runs a program or opens a perf event; whoever tried something hands in what came of it. Repairs are data, too:
//! a [`Fix`] says what is to be done, and [`repair`] turns findings into a plan that somebody else carries out.
//!
//! Ids are an interface (configuration, JSON, scripts): they are listed in [`catalogue()`] and do not change.

mod binary;
mod check;
mod docker;
mod finding;
mod fix;
mod inputs;
mod kernel;
mod permission;
mod repair;
mod rights;
mod sampling;
mod settings;
mod steadiness;
mod symbols;
mod toolchain;

#[cfg(test)]
mod tests;

pub use check::{Check, UnknownCheck, catalogue, check, unknown_checks};
pub use docker::{Daemon, DockerFacts};
pub use finding::{Finding, Group, Status, Verdict, count, summary_line, verdict};
pub use fix::{Action, Bound, Fix, Setting};
pub use inputs::{Examined, Go, GoMod, Inputs, ProbeResult, Purpose, RingSize, Tools};
pub use repair::{ByHand, Change, RepairPlan, repair};
