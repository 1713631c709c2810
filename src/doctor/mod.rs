//! Readiness checks: whether this machine, toolchain and binary can produce a trustworthy profile.
//!
//! The result of a check is a [`Finding`]: id, status, found state, needed state, why it matters, how to fix it. All
//! checks run even if one fails. A check is a pure function of [`Inputs`]: the caller reads files, runs programs and
//! opens perf events, and passes the results. Repairs are data too: a [`Fix`] describes an action, and [`plan_repair`] turns
//! findings into a plan. Only [`carry_out`] and [`undo`] change the machine. Must not print.
//!
//! The ids of checks are an interface (configuration, JSON, scripts): [`catalogue()`] lists them, and they do not change.

mod binary;
mod check;
mod docker;
mod finding;
mod fix;
mod inputs;
mod kernel;
mod permission;
mod registry;
mod repair;
mod rights;
mod sampling;
mod steadiness;
mod symbols;
mod toolchain;

#[cfg(test)]
mod tests;

pub use check::Check;
pub use finding::{Finding, Group, Status, Strictness, count, is_ready, status_summary, summary_line};
pub use fix::{Action, Bound, Fix, Setting};
pub use inputs::{BuildDirectory, ExaminedBinary, GoFacts, Inputs, ProbeResult, Purpose, RingSize, Target, Tools};
pub use registry::{UnknownCheck, catalogue, check, expand_groups, unknown_checks};
pub use repair::{
    Change, ManualRepair, RepairError, RepairPlan, RepairStep, StateDamage, UndoableChanges, carry_out, plan_repair,
    undo, undoable_changes,
};
