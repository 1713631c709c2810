//! Every class, byte order and instruction size that Go has on Linux.

use super::*;

/// A program for another machine.
fn build(machine: &str, flags: &[&str]) -> Program {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("main.go"), TINY).unwrap();
    let path = directory.path().join("program");
    let mut go = go();
    go.current_dir(&directory).env("GOARCH", machine).env("CGO_ENABLED", "0");
    run(go.args(["build", "-trimpath"]).args(flags).arg("-o").arg(&path).arg("main.go"));
    Program { bytes: fs::read(&path).unwrap(), path, _directory: directory }
}

fn check(machine: &str, flags: &[&str]) {
    let program = build(machine, flags);
    compare_with_gos_tools(&program, 7);
    let facts = program.binary().facts();
    assert_eq!(facts.machine, machine);
    assert!(facts.symtab && facts.go.is_ok() && facts.pie != flags.is_empty());
    // In inlined calls too, and with nothing but the segments to go by.
    let stripped = build(machine, &[flags, &["-ldflags=-s -w"]].concat());
    assert_same_answers(&program.binary(), &Binary::parse(&without_sections(&stripped.bytes)).unwrap(), 7);
    let binary = program.binary();
    let text = binary.pclntab().unwrap().text();
    let depths = text.step_by(7).map(|address| binary.locate(address).unwrap().frames.len());
    assert!(depths.max() >= Some(3), "{machine}");
}

#[test]
fn narrow_and_little_endian() {
    check("386", &[]);
    check("arm", &[]);
}

#[test]
fn narrow_and_big_endian() {
    check("mips", &[]);
}

#[test]
fn wide_and_little_endian() {
    for machine in ["arm64", "riscv64", "ppc64le", "mips64le"] {
        check(machine, &[]);
    }
}

#[test]
fn wide_and_big_endian() {
    check("s390x", &[]);
}

#[test]
fn position_independent() {
    for machine in ["arm64", "ppc64le"] {
        check(machine, &["-buildmode=pie"]);
    }
}

#[test]
fn cut_off_anywhere() {
    let bytes = build("mips", &[]).bytes;
    for length in (0..0x400).chain((0..bytes.len()).step_by(19_997)) {
        hostile::exercise(&bytes[..length]);
        hostile::exercise(&without_sections(&bytes[..length.max(0x400)]));
    }
}
