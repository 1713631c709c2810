//! What the inspection of the built binary found.

use super::catalogue::{BINARY, CheckDoc};
use super::finding::{Finding, Group, Status};
use crate::build::Mismatch;

/// What the ids of all differences begin with; the rest is the inspection's own id.
const PREFIX: &str = "binary-";

/// The prefix is in `id` too, because ids are whole constants.
const fn doc(id: &'static str, title: &'static str, feature: &'static str, why: &'static str) -> CheckDoc {
    CheckDoc { id, group: Group::Binary, title, feature, why }
}

/// Differences that make it another program than the one asked for: its profile would mislead.
static OTHER_PROGRAM: [CheckDoc; 9] = [
    doc("binary-debug-flags", "-N -l applied", "a frame for every function", "Inlined functions have no frames."),
    doc("binary-optimised", "optimised code", "ranking hot spots", "-N -l costs CPU unevenly and reorders hot spots."),
    doc("binary-go-version", "Go version in the binary", "comparable runs", "Another Go compiles to other code."),
    doc("binary-build-mode", "-buildmode", "comparable runs", "Another kind of executable has other addresses."),
    doc("binary-cgo", "C code linked in", "comparable runs", "The C library becomes part of what is measured."),
    doc("binary-cgo-enabled", "CGO_ENABLED", "comparable runs", "Packages such as net are different code without cgo."),
    doc("binary-race", "race detector", "true CPU figures", "It makes the program several times slower."),
    doc("binary-tags", "build tags", "comparable runs", "Build tags choose which files are compiled."),
    doc("binary-pgo", "-pgo", "comparable runs", "A profile changes what is inlined."),
];

/// Differences with which the profile is right, and something around it is missing.
static LESS_KNOWN: [CheckDoc; 7] = [
    doc("binary-pclntab", "Go's function table", "names, lines, inlined calls", "It names the functions of Go code."),
    doc("binary-symbol-table", "symbol table", "names of C functions", "C and assembly get their names from it."),
    doc("binary-dwarf", "DWARF", "debuggers, lines of C code", "Without it the binary cannot be debugged."),
    doc("binary-dwarf-compression", "uncompressed DWARF", "older tools", "Some tools cannot decompress it."),
    doc("binary-build-info", "Go build info", "checking the build", "It tells Go version and flags of the binary."),
    doc("binary-trimpath", "-trimpath", "reproducible builds", "Absolute paths depend on the building directory."),
    doc("binary-vcs", "-buildvcs", "reproducible builds", "Version control state changes with every stray file."),
];

/// Every difference that has an id.
pub(super) fn differences() -> impl Iterator<Item = &'static CheckDoc> {
    OTHER_PROGRAM.iter().chain(&LESS_KNOWN)
}

/// One finding for a binary that is as asked, else one for each difference.
pub(super) fn as_asked(mismatches: &[Mismatch]) -> Vec<Finding> {
    if mismatches.is_empty() {
        return vec![Finding::new(&BINARY, Status::Ok, "as asked", "a binary as asked")];
    }
    mismatches.iter().map(difference).collect()
}

/// A difference that has no id yet is reported under the family's.
fn difference(mismatch: &Mismatch) -> Finding {
    let named = |docs: &'static [CheckDoc]| docs.iter().find(|doc| doc.id.strip_prefix(PREFIX) == Some(mismatch.id));
    let (doc, status) = match (named(&OTHER_PROGRAM), named(&LESS_KNOWN)) {
        (_, Some(doc)) => (doc, Status::Warning),
        (doc, None) => (doc.unwrap_or(&BINARY), Status::Failure),
    };
    // The inspection gives advice, not a command, so it is no `Fix`.
    let why = format!("{}. {}.", sentence(mismatch.why), sentence(mismatch.fix));
    Finding::new(doc, status, &mismatch.found, &mismatch.asked).because(why)
}

fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
