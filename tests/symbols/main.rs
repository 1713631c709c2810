//! Compares `gobin` with Go at every seventh address of a program. Slow comparisons use fewer addresses. Go answers in
//! three ways: the runtime inside the program, `debug/gosym`, and `go tool addr2line`.
//!
//! The programs are the Go compiler, gofmt and a cgo program, built by the Go on PATH and by two other releases, with
//! symbols and stripped. `cargo test --test symbols -- --nocapture` prints the figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod g_layout;
mod program;

use compare::{compare_with_addr2line, compare_with_dwarf, compare_with_gosym, compare_with_runtime};
use program::{Program, Toolchain};

/// Bytes between two compared addresses. A prime number, so that all offsets in instructions occur.
const STEP: u64 = 7;
/// Bytes between two compared addresses of the Go compiler, which is ten times as large as the other programs. A debug build
/// of goflame is slow, so it compares fewer addresses.
const STEP_IN_COMPILER: u64 = if cfg!(debug_assertions) { 29 } else { 7 };

/// A release before Go 1.26 and 1.27, which both moved tables. [`NEW`] is a release after both moves.
const OLD: Toolchain = Toolchain("go1.21.13");
const NEW: Toolchain = Toolchain("go1.27.3");
const LOCAL: Toolchain = Toolchain("local");

fn compare_with_go(program: &Program, step: u64) {
    compare_with_runtime(program, step);
    compare_with_gosym(program, step);
    if !program.stripped {
        // addr2line finds the start of the code only by symbols.
        compare_with_addr2line(program, step * 7);
    }
}

#[test]
fn gofmt_has_the_same_frames_as_in_go() {
    for toolchain in [LOCAL, OLD, NEW] {
        for stripped in [false, true] {
            compare_with_go(&Program::from_go("gofmt", toolchain, stripped), STEP);
        }
    }
}

#[test]
fn a_cgo_program_has_the_same_frames_as_in_go() {
    for toolchain in [LOCAL, OLD, NEW] {
        for stripped in [false, true] {
            compare_with_go(&Program::with_c(toolchain, stripped), STEP);
        }
    }
}

#[test]
fn programs_of_go_1_13_to_1_17_have_the_same_frames_as_in_gos_tools() {
    for (esbuild, go) in [
        ("0.1.0", "go1.13.8"),
        ("0.3.0", "go1.14.2"),
        ("0.8.0", "go1.15"),
        ("0.9.0", "go1.16"),
        ("0.12.28", "go1.17.1"),
    ] {
        let program = Program::from_npm(esbuild, go);
        compare_with_gosym(&program, STEP * 7);
        if go < "go1.15" {
            compare_with_dwarf(&program, STEP * 7);
        }
    }
}

/// Checks the Go compiler of one release. Each release has a test, so that these long tests run in parallel.
fn check_compiler(toolchain: Toolchain) {
    for stripped in [false, true] {
        compare_with_go(&Program::from_go("compile", toolchain, stripped), STEP_IN_COMPILER);
    }
}

#[test]
fn the_local_go_compiler_has_the_same_frames_as_in_go() {
    check_compiler(LOCAL);
}

#[test]
fn the_old_go_compiler_has_the_same_frames_as_in_go() {
    check_compiler(OLD);
}

#[test]
fn the_new_go_compiler_has_the_same_frames_as_in_go() {
    check_compiler(NEW);
}
