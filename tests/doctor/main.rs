//! `goflame doctor` on the real machine: findings compared with the result of a run, repairs of real kernel settings, checks
//! of real binaries.
//!
//! These tests change kernel settings and restore them. So they need root and run one after the other. A lock keeps other
//! programs from changing the same settings.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod agreement;
mod binaries;
mod container;
mod harness;
mod output;
mod repair;
mod schema;
mod throttling;
