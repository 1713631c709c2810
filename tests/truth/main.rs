//! Compares goflame's profiles with the truth: with programs that measure themselves, and with the output of perf,
//! `go tool pprof`, `go tool addr2line` and inferno for the same files.
//!
//! The tests build and sample real programs, one at a time, because they measure CPU time. `cargo test --test truth --
//! --nocapture` prints the figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attached;
mod binaries;
mod by_default;
#[cfg(target_arch = "x86_64")]
mod cases;
mod differences;
mod engines;
mod folded;
#[cfg(target_arch = "x86_64")]
mod generated;
mod goroutines;
mod harness;
mod imported;
mod kept;
mod labels;
mod names;
mod native;
mod off_cpu;
mod perfscript;
mod pprof;
mod raw;
mod runtime_pprof;
mod script;
mod shares;
mod short_lives;
mod stacks;
mod stripped;
mod threads;
mod unprivileged;
