//! Where the runtime keeps its goroutines: what goflame knows of a Go version, which stripped programs are read by, held
//! against the DWARF of programs that this version built.

use goflame::gobin::{Binary, DescriptorOffsets, NoDescriptors, OffsetsSource};

use crate::program::{Program, Toolchain};

/// With DWARF 4 and 5; 1.23 to 1.26 each moved something.
const TOOLCHAINS: [Toolchain; 5] =
    [Toolchain("go1.21.13"), Toolchain("go1.23.4"), Toolchain("go1.25.5"), Toolchain("local"), Toolchain("go1.27.3")];

fn offsets(program: &Program, source: OffsetsSource) -> DescriptorOffsets {
    let (offsets, by) = program.binary().descriptors().unwrap_or_else(|error| panic!("{}: {error}", program.name));
    assert_eq!(by, source, "{}", program.name);
    offsets
}

#[test]
fn stripped_programs_are_read_like_those_with_dwarf() {
    for toolchain in TOOLCHAINS {
        let dwarf = offsets(&Program::with_c(toolchain, false), OffsetsSource::Dwarf);
        let version = offsets(&Program::with_c(toolchain, true), OffsetsSource::Version);
        assert_eq!(dwarf, version, "{}", toolchain.0);
    }
}

/// Replaces text of the same length, wherever it stands.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (from, mut bytes) = (from.as_bytes(), bytes.to_vec());
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "the program does not say what it was built with");
    for at in places {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn a_version_that_nobody_has_looked_at_is_read_by_its_dwarf_only() {
    let new = Toolchain("go1.27.3");
    let known = Program::with_c(new, false);
    let bytes = replaced(&known.bytes, "go1.27.3", "go1.99.3");
    let descriptors = Binary::parse(&bytes).unwrap().descriptors();
    assert_eq!(descriptors, Ok((offsets(&known, OffsetsSource::Dwarf), OffsetsSource::Dwarf)));
    let bytes = replaced(&Program::with_c(new, true).bytes, "go1.27.3", "go1.99.3");
    let refused = Binary::parse(&bytes).unwrap().descriptors().unwrap_err();
    assert_eq!(refused, NoDescriptors::UnknownVersion("go1.99.3".into()));
    let text = "the program has no DWARF that says where the runtime keeps its goroutines, and where go1.99.3 keeps them is not known";
    assert_eq!(refused.to_string(), text);
}
