//! Compares `gobin` with Go at every seventh address (in a debug build of goflame at fewer addresses of the Go compiler).
//! Go answers in three ways: the runtime inside the program, `debug/gosym`, and `go tool addr2line`.
//!
//! The programs are the Go compiler, gofmt and a cgo program, built by the Go on PATH and by two other releases, with
//! symbols and stripped. `cargo test --test symbols -- --nocapture` prints the figures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod g_layout;
mod program;

use compare::{with_addr2line, with_dwarf, with_gosym, with_runtime};
use program::{Program, Toolchain};

/// Bytes between two compared addresses. A prime, so that all offsets in instructions occur.
const STEP: u64 = 7;
/// The same for the Go compiler, which is ten times as large. A debug build of goflame compares fewer addresses.
const STEP_IN_COMPILER: u64 = if cfg!(debug_assertions) { 29 } else { 7 };

/// Releases before and after Go 1.26 and 1.27, which both moved tables.
const OLD: Toolchain = Toolchain("go1.21.13");
const NEW: Toolchain = Toolchain("go1.27.3");
const LOCAL: Toolchain = Toolchain("local");

fn check(program: &Program, step: u64) {
    with_runtime(program, step);
    with_gosym(program, step);
    if !program.stripped {
        // addr2line finds the start of the text only by symbols.
        with_addr2line(program, step * 7);
    }
}

#[test]
fn gofmt_has_the_same_frames_as_in_go() {
    for toolchain in [LOCAL, OLD, NEW] {
        for stripped in [false, true] {
            check(&Program::from_go("gofmt", toolchain, stripped), STEP);
        }
    }
}

#[test]
fn a_cgo_program_has_the_same_frames_as_in_go() {
    for toolchain in [LOCAL, OLD, NEW] {
        for stripped in [false, true] {
            check(&Program::with_c(toolchain, stripped), STEP);
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
        with_gosym(&program, STEP * 7);
        if go < "go1.15" {
            with_dwarf(&program, STEP * 7);
        }
    }
}

/// The compiler is ten times as large as the other programs. One test for each release, so that they run in parallel.
fn check_compiler(toolchain: Toolchain) {
    for stripped in [false, true] {
        check(&Program::from_go("compile", toolchain, stripped), STEP_IN_COMPILER);
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
