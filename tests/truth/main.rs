//! Profiles held against the truth: against what a program measured of itself, and against what perf, `go tool
//! pprof`, `go tool addr2line` and inferno say of the same files.
//!
//! Real programs are built and sampled here, one at a time, because they are measured. `cargo test --test truth --
//! --nocapture` prints the figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod engines;
mod folded;
mod goroutines;
mod harness;
mod imported;
mod names;
mod native;
mod perfscript;
mod pprof;
mod raw;
mod script;
mod shares;
mod stacks;
mod stripped;
mod threads;
mod unprivileged;
