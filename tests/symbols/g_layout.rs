//! Compares the field offsets of `runtime.g` and `runtime.m` that goflame knows for a Go version with the DWARF of programs
//! that this version built.

use goflame::gobin::{Binary, GLayout, GLayoutAbsence, GLayoutSource};

use crate::program::{Program, Toolchain};

/// Versions with DWARF 4 and 5. The releases 1.23, 1.25 and 1.26 moved fields.
const TOOLCHAINS: [Toolchain; 5] =
    [Toolchain("go1.21.13"), Toolchain("go1.23.4"), Toolchain("go1.25.5"), Toolchain("local"), Toolchain("go1.27.3")];

fn layout(program: &Program, expected: GLayoutSource) -> GLayout {
    let (layout, source) = program.binary().g_layout().unwrap_or_else(|error| panic!("{}: {error}", program.name));
    assert_eq!(source, expected, "{}", program.name);
    layout
}

#[test]
fn a_stripped_program_has_the_same_layout_as_one_with_dwarf() {
    for toolchain in TOOLCHAINS {
        let dwarf = layout(&Program::with_c(toolchain, false), GLayoutSource::Dwarf);
        let version = layout(&Program::with_c(toolchain, true), GLayoutSource::Version);
        assert_eq!(dwarf, version, "{}", toolchain.0);
    }
}

/// Replaces all occurrences of a text by one of the same length.
fn replace_all(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (from, mut bytes) = (from.as_bytes(), bytes.to_vec());
    let found: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!found.is_empty(), "the program does not contain the version of its Go");
    for at in found {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn a_program_of_an_unknown_version_needs_dwarf() {
    let new = Toolchain("go1.27.3");
    let known = Program::with_c(new, false);
    let bytes = replace_all(&known.bytes, "go1.27.3", "go1.99.3");
    let found = Binary::parse(&bytes).unwrap().g_layout();
    assert_eq!(found, Ok((layout(&known, GLayoutSource::Dwarf), GLayoutSource::Dwarf)));
    let bytes = replace_all(&Program::with_c(new, true).bytes, "go1.27.3", "go1.99.3");
    let refused = Binary::parse(&bytes).unwrap().g_layout().unwrap_err();
    assert_eq!(refused, GLayoutAbsence::UnknownVersion("go1.99.3".into()));
    let text = "the layout of the runtime's goroutine descriptors is unknown: the program has no DWARF of package runtime, \
                and goflame does not know the layout of go1.99.3";
    assert_eq!(refused.to_string(), text);
}
