//! Shared by the benchmarks: runs commands under a gauge, and computes medians and ratios over rounds.
//!
//! Must not know what is measured.

pub(crate) mod gauge;
mod rounds;
mod setting;

pub(crate) use rounds::{Series, requested_rounds};
pub(crate) use setting::{Result, describe_machine, find_tool, work_directory};
