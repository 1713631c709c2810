//! Programs of every class, byte order and instruction size that Go supports on Linux.

use super::*;

fn build(machine: &str, flags: &[&str]) -> Program {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("main.go"), TINY_SOURCE).unwrap();
    let path = directory.path().join("program");
    let mut go = go();
    go.current_dir(&directory).env("GOARCH", machine).env("CGO_ENABLED", "0");
    run_for_stdout(go.args(["build", "-trimpath"]).args(flags).arg("-o").arg(&path).arg("main.go"));
    Program { bytes: fs::read(&path).unwrap(), path, _directory: directory }
}

fn compare_full_and_stripped(machine: &str, flags: &[&str]) {
    let program = build(machine, flags);
    compare_with_gos_tools(&program, 7);
    let facts = program.binary().facts();
    assert_eq!(facts.machine, machine);
    assert!(facts.has_symtab && facts.go.is_ok() && facts.is_pie != flags.is_empty());
    // A stripped program without section headers has the same frames, inlined calls included.
    let stripped = build(machine, &[flags, &["-ldflags=-s -w"]].concat());
    assert_same_answers(&program.binary(), &Binary::parse(&remove_sections(&stripped.bytes)).unwrap(), 7);
    let binary = program.binary();
    let text = binary.pclntab().unwrap().text();
    let depths = text.step_by(7).map(|address| locate(&binary, address).unwrap().len());
    assert!(depths.max() >= Some(3), "{machine}");
}

#[test]
fn little_endian_32_bit_programs_are_read() {
    compare_full_and_stripped("386", &[]);
    compare_full_and_stripped("arm", &[]);
}

#[test]
fn big_endian_32_bit_programs_are_read() {
    compare_full_and_stripped("mips", &[]);
}

#[test]
fn little_endian_64_bit_programs_are_read() {
    for machine in ["arm64", "riscv64", "ppc64le", "mips64le"] {
        compare_full_and_stripped(machine, &[]);
    }
}

#[test]
fn big_endian_64_bit_programs_are_read() {
    compare_full_and_stripped("s390x", &[]);
}

#[test]
fn position_independent_programs_are_read() {
    for machine in ["arm64", "ppc64le"] {
        compare_full_and_stripped(machine, &["-buildmode=pie"]);
    }
}

#[test]
fn a_big_endian_program_cut_off_anywhere_does_not_panic() {
    let bytes = build("mips", &[]).bytes;
    for length in (0..0x400).chain((0..bytes.len()).step_by(19_997)) {
        hostile::call_all_readers(&bytes[..length]);
        hostile::call_all_readers(&remove_sections(&bytes[..length.max(0x400)]));
    }
}
