//! Builds in containers of a real Docker engine, which `tests/setup/engine run` starts for these tests alone; the lock
//! file; and proof that builds are reproducible.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

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
