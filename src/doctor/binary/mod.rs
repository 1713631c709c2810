//! Checks of a binary: its properties, and their differences from the requested build.
//!
//! Each property has one check. If the binary differs from the requested build, the finding reports the difference.
//! Otherwise it judges the property as for any binary.

mod difference;
mod state;

use super::check::{Check, Judge};
use super::finding::Group;
use difference::{judge_as_asked, judge_harmless_difference, judge_misleading_difference};

macro_rules! check {
    ($id:literal, $title:literal, $feature:literal, $why:literal, $judge:expr) => {
        Check {
            id: $id,
            group: Group::Binary,
            title: $title,
            feature: $feature,
            why_it_matters: $why,
            is_in_run: false,
            judge: Judge::Optional($judge),
        }
    };
}

/// A check that `goflame run` also performs, because it can find a difference from the requested build.
macro_rules! run_check {
    ($($part:tt)*) => { Check { is_in_run: true, ..check!($($part)*) } };
}

pub(super) static CHECKS: [Check; 22] = [
    check!(
        "binary-file",
        "a Go program",
        "every profile",
        "Frames get their names from tables that Go's linker writes into the file; the file is read, not run.",
        state::judge_file_type
    ),
    run_check!(
        "binary-as-asked",
        "the built binary, inspected",
        "trustworthy profiles",
        "GOFLAGS, a wrapper or a cache can change the result of a build, and a profile of another binary is misleading. \
         Each difference has its own id that begins with binary-.",
        |check, inputs| judge_as_asked(check, inputs, &CHECKS)
    ),
    run_check!(
        "binary-go-version",
        "Go version in the binary",
        "comparable runs",
        "Another Go version generates other code.",
        |check, inputs| judge_misleading_difference(check, inputs).or_else(|| state::judge_go_version(check, inputs))
    ),
    run_check!(
        "binary-build-info",
        "Go build info",
        "checking the build",
        "It holds the Go version and the flags of the build.",
        |check, inputs| judge_harmless_difference(check, inputs).or_else(|| state::judge_build_info(check, inputs))
    ),
    check!(
        "binary-flags",
        "build flags",
        "knowing what is measured",
        "The go command records them; with -trimpath it leaves out the linker flags.",
        state::judge_build_flags
    ),
    run_check!(
        "binary-pclntab",
        "Go's function table",
        "names, lines, inlined calls",
        "It holds the names of Go functions, also in a stripped binary.",
        |check, inputs| judge_harmless_difference(check, inputs).or_else(|| state::judge_pclntab(check, inputs))
    ),
    run_check!(
        "binary-symbol-table",
        "symbol table",
        "names of C functions",
        "It holds the names of C and assembly functions.",
        |check, inputs| judge_harmless_difference(check, inputs).or_else(|| state::judge_symbol_table(check, inputs))
    ),
    run_check!(
        "binary-dwarf",
        "DWARF",
        "debuggers, lines of C code",
        "Without it the binary cannot be debugged.",
        |check, inputs| judge_harmless_difference(check, inputs).or_else(|| state::judge_dwarf(check, inputs))
    ),
    run_check!(
        "binary-dwarf-compression",
        "uncompressed DWARF",
        "older tools",
        "Some tools cannot decompress it; goflame can.",
        |check, inputs| judge_harmless_difference(check, inputs)
            .or_else(|| state::judge_dwarf_compression(check, inputs))
    ),
    check!(
        "binary-frame-pointers",
        "frame pointers",
        "callchains",
        "The kernel follows them to walk the stack: amd64 has them since Go 1.7, arm64 reliably since Go 1.21.",
        state::judge_frame_pointers
    ),
    run_check!(
        "binary-debug-flags",
        "-N -l applied",
        "a frame for every function",
        "Inlined functions have no frames.",
        judge_misleading_difference
    ),
    run_check!(
        "binary-optimised",
        "optimised code",
        "ranking hot spots",
        "-N -l costs CPU unevenly and reorders hot spots.",
        |check, inputs| judge_misleading_difference(check, inputs).or_else(|| state::judge_optimisation(check, inputs))
    ),
    check!(
        "binary-inlining",
        "inlined calls",
        "a frame for every function",
        "An inlined call has no frame; the function table holds its position.",
        state::judge_inlining
    ),
    run_check!(
        "binary-build-mode",
        "-buildmode",
        "comparable runs",
        "Another kind of executable has other addresses.",
        |check, inputs| judge_misleading_difference(check, inputs).or_else(|| state::judge_build_mode(check, inputs))
    ),
    run_check!(
        "binary-cgo",
        "C code linked in",
        "comparable runs",
        "The C library becomes a part of the measured program.",
        |check, inputs| judge_misleading_difference(check, inputs).or_else(|| state::judge_c_code(check, inputs))
    ),
    run_check!(
        "binary-cgo-enabled",
        "CGO_ENABLED",
        "comparable runs",
        "Packages such as net are built from other code without cgo.",
        judge_misleading_difference
    ),
    run_check!(
        "binary-race",
        "race detector",
        "true CPU figures",
        "It makes the program several times slower.",
        |check, inputs| judge_misleading_difference(check, inputs)
            .or_else(|| state::judge_race_detector(check, inputs))
    ),
    run_check!(
        "binary-tags",
        "build tags",
        "comparable runs",
        "Build tags select the files that are compiled.",
        judge_misleading_difference
    ),
    run_check!(
        "binary-pgo",
        "-pgo",
        "comparable runs",
        "A profile changes what is inlined.",
        judge_misleading_difference
    ),
    run_check!(
        "binary-trimpath",
        "-trimpath",
        "reproducible builds",
        "Absolute paths depend on the directory of the build.",
        judge_harmless_difference
    ),
    run_check!(
        "binary-vcs",
        "-buildvcs",
        "reproducible builds",
        "The version control state changes with every untracked file.",
        |check, inputs| judge_harmless_difference(check, inputs).or_else(|| state::judge_vcs_revision(check, inputs))
    ),
    check!(
        "binary-build-id",
        "build id",
        "identifying binaries",
        "A recording identifies the binary by its GNU build id, which Go writes since 1.24.",
        state::judge_build_id
    ),
];
