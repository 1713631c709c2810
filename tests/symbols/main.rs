//! What `gobin` says of every seventh address (fewer of the compiler's in a debug build) held against what Go says of the
//! same ones: the runtime itself inside the very program, `debug/gosym`, and `go tool addr2line`.
//!
//! The programs are the Go compiler, gofmt and one with C in it, by the Go on PATH and by two others, with symbols and
//! stripped. `cargo test --test symbols -- --nocapture` prints the figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod descriptors;
mod program;

use compare::{with_addr2line, with_gosym, with_runtime};
use program::{Program, Toolchain};

/// Every how many bytes an address is asked for. A prime, so that all places in instructions come up.
const STEP: u64 = 7;
/// The same in the compiler, which is ten times as large. A debug build has to be content with fewer.
const STEP_IN_COMPILER: u64 = if cfg!(debug_assertions) { 29 } else { 7 };

/// Before the linker's tables moved, after, and in between: 1.26 and 1.27 each changed where things are.
const OLD: Toolchain = Toolchain("go1.21.13");
const NEW: Toolchain = Toolchain("go1.27.3");
const LOCAL: Toolchain = Toolchain("local");

fn check(program: &Program, step: u64) {
    with_runtime(program, step);
    with_gosym(program, step);
    if !program.stripped {
        // It knows where a program begins only by its symbols.
        with_addr2line(program, step * 7);
    }
}

#[test]
fn gofmt() {
    for toolchain in [LOCAL, OLD, NEW] {
        for stripped in [false, true] {
            check(&Program::of_go("gofmt", toolchain, stripped), STEP);
        }
    }
}

#[test]
fn a_cgo_program() {
    for toolchain in [LOCAL, OLD, NEW] {
        for stripped in [false, true] {
            check(&Program::with_c(toolchain, stripped), STEP);
        }
    }
}

/// Ten times as large as the others, so each on a core of its own.
fn check_compiler(toolchain: Toolchain) {
    for stripped in [false, true] {
        check(&Program::of_go("compile", toolchain, stripped), STEP_IN_COMPILER);
    }
}

#[test]
fn the_go_compiler() {
    check_compiler(LOCAL);
}

#[test]
fn the_go_compiler_before_the_tables_moved() {
    check_compiler(OLD);
}

#[test]
fn the_go_compiler_after_the_tables_moved() {
    check_compiler(NEW);
}
