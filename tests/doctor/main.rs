//! `goflame doctor` on the real machine: its verdict against what a run then gets, its repairs against real kernel
//! settings, its words on real binaries.
//!
//! These tests change kernel settings and put them back, so they need root, run one after the other, and hold a lock
//! against everything else on the machine that does the same.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod agreement;
mod binaries;
mod container;
mod harness;
mod output;
mod repair;
mod schema;
