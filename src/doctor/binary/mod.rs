//! Checks of a binary: what it is, and how it differs from what was asked for.
//!
//! Each property has one id. Where the build was asked for something and the binary shows something else, the finding
//! tells that difference; otherwise it tells what the binary shows, judged for any program that is to be profiled.

mod difference;
mod state;

use super::check::{Check, Judge};
use super::finding::Group;
use difference::{as_asked, less_known, other_program};

/// A check of a property, with its judgement.
macro_rules! check {
    ($id:literal, $title:literal, $feature:literal, $why:literal, $judge:expr) => {
        Check {
            id: $id,
            group: Group::Binary,
            title: $title,
            feature: $feature,
            why: $why,
            in_run: false,
            judge: Judge::Asked($judge),
        }
    };
}

/// A check that a run makes too, since the binary could be another than the one that was asked for.
macro_rules! run_check {
    ($($part:tt)*) => { Check { in_run: true, ..check!($($part)*) } };
}

pub(super) static CHECKS: [Check; 22] = [
    check!(
        "binary-file",
        "a Go program",
        "every profile",
        "Stacks are named by what Go's linker leaves in the file; nothing is run to find out.",
        state::file
    ),
    run_check!(
        "binary-as-asked",
        "the built binary, inspected",
        "trustworthy profiles",
        "GOFLAGS, a wrapper or a cache can change what a build really did; a profile of another binary misleads. Each \
         difference has an id of its own that begins with binary-.",
        as_asked
    ),
    run_check!(
        "binary-go-version",
        "Go version in the binary",
        "comparable runs",
        "Another Go compiles to other code.",
        |check, inputs| other_program(check, inputs).or_else(|| state::go_version(check, inputs))
    ),
    run_check!(
        "binary-build-info",
        "Go build info",
        "checking the build",
        "It tells Go version and flags of the binary.",
        |check, inputs| less_known(check, inputs).or_else(|| state::build_info(check, inputs))
    ),
    check!(
        "binary-flags",
        "build flags",
        "knowing what is measured",
        "They are what the go command wrote down; with -trimpath it leaves out the linker's.",
        state::flags
    ),
    run_check!(
        "binary-pclntab",
        "Go's function table",
        "names, lines, inlined calls",
        "It names the functions of Go code, in a stripped binary too.",
        |check, inputs| less_known(check, inputs).or_else(|| state::pclntab(check, inputs))
    ),
    run_check!(
        "binary-symbol-table",
        "symbol table",
        "names of C functions",
        "C and assembly get their names from it.",
        |check, inputs| less_known(check, inputs).or_else(|| state::symbol_table(check, inputs))
    ),
    run_check!(
        "binary-dwarf",
        "DWARF",
        "debuggers, lines of C code",
        "Without it the binary cannot be debugged.",
        |check, inputs| less_known(check, inputs).or_else(|| state::dwarf(check, inputs))
    ),
    run_check!(
        "binary-dwarf-compression",
        "uncompressed DWARF",
        "older tools",
        "Some tools cannot decompress it; goflame can.",
        |check, inputs| less_known(check, inputs).or_else(|| state::compression(check, inputs))
    ),
    check!(
        "binary-frame-pointers",
        "frame pointers",
        "call chains",
        "The kernel walks the stack along them: amd64 has them since Go 1.7, arm64 reliably since Go 1.21.",
        state::frame_pointers
    ),
    run_check!(
        "binary-debug-flags",
        "-N -l applied",
        "a frame for every function",
        "Inlined functions have no frames.",
        other_program
    ),
    run_check!(
        "binary-optimised",
        "optimised code",
        "ranking hot spots",
        "-N -l costs CPU unevenly and reorders hot spots.",
        |check, inputs| other_program(check, inputs).or_else(|| state::optimised(check, inputs))
    ),
    check!(
        "binary-inlining",
        "inlined calls",
        "a frame for every function",
        "What was inlined has no frame of its own; the function table says where it is.",
        state::inlining
    ),
    run_check!(
        "binary-build-mode",
        "-buildmode",
        "comparable runs",
        "Another kind of executable has other addresses.",
        |check, inputs| other_program(check, inputs).or_else(|| state::build_mode(check, inputs))
    ),
    run_check!(
        "binary-cgo",
        "C code linked in",
        "comparable runs",
        "The C library becomes part of what is measured.",
        |check, inputs| other_program(check, inputs).or_else(|| state::cgo(check, inputs))
    ),
    run_check!(
        "binary-cgo-enabled",
        "CGO_ENABLED",
        "comparable runs",
        "Packages such as net are different code without cgo.",
        other_program
    ),
    run_check!(
        "binary-race",
        "race detector",
        "true CPU figures",
        "It makes the program several times slower.",
        |check, inputs| other_program(check, inputs).or_else(|| state::race(check, inputs))
    ),
    run_check!(
        "binary-tags",
        "build tags",
        "comparable runs",
        "Build tags choose which files are compiled.",
        other_program
    ),
    run_check!("binary-pgo", "-pgo", "comparable runs", "A profile changes what is inlined.", other_program),
    run_check!(
        "binary-trimpath",
        "-trimpath",
        "reproducible builds",
        "Absolute paths depend on the building directory.",
        less_known
    ),
    run_check!(
        "binary-vcs",
        "-buildvcs",
        "reproducible builds",
        "Version control state changes with every stray file.",
        |check, inputs| less_known(check, inputs).or_else(|| state::vcs(check, inputs))
    ),
    check!(
        "binary-build-id",
        "build id",
        "telling binaries apart",
        "A recording names the binary by its GNU build id, which Go writes since 1.24.",
        state::build_id
    ),
];
