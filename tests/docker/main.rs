//! Builds in containers of a real Docker engine, which `tests/setup/engine run` starts only for these tests. Also checks the
//! lock file, and that builds are reproducible.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod builds;
mod doctor;
mod endings;
mod endpoint;
mod engine;
#[allow(dead_code, reason = "shared with tests/cli, which uses all of it")]
#[path = "../cli/harness.rs"]
mod harness;
mod images;
mod inside;
mod lock;
mod record;
mod toolchain;
mod verify;
