//! Shared by the benchmarks: running commands under a gauge, rounds, and ratios of medians.
//!
//! Must not know what is measured.

pub(crate) mod gauge;
mod rounds;
mod setting;

pub(crate) use rounds::{Series, rounds_asked};
pub(crate) use setting::{Result, describe_machine, need, work_directory};
