//! Tests with real programs: the real Go builds each program twice, with a planted difference.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use super::*;

/// Builds this main.go in its own directory, with flags and variables.
fn build(dir: &Path, main: &str, flags: &[&str], env: &[(&str, &str)]) -> Vec<u8> {
    fs::write(dir.join("go.mod"), "module example.com/m\n\ngo 1.21\n").unwrap();
    fs::write(dir.join("main.go"), main).unwrap();
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-buildvcs=false"]).args(flags).args(["-o", "program", "."]).current_dir(dir);
    let go =
        go.envs([("GOFLAGS", ""), ("GOENV", "off"), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "1")]).envs(env.to_vec());
    let out = go.output().unwrap();
    assert!(out.status.success(), "{out:?}");
    fs::read(dir.join("program")).unwrap()
}

/// Builds a program twice, and returns the ids and texts of the culprits.
fn find_culprits_of(
    main: &str,
    first: (&[&str], &[(&str, &str)]),
    second: (&[&str], &[(&str, &str)]),
) -> (Vec<&'static str>, String) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let a = build(dirs[0].path(), main, first.0, first.1);
    let b = build(dirs[1].path(), main, second.0, second.1);
    let side = |bytes, dir, name| ComparedProgram { bytes, dir, name };
    let difference = compare_programs(&side(&a, dirs[0].path(), "here"), &side(&b, dirs[1].path(), "there")).unwrap();
    assert!(!difference.sections.is_empty());
    let ids = difference.culprits.iter().map(|culprit| culprit.id).collect();
    let texts: Vec<_> = difference.culprits.into_iter().map(|culprit| culprit.text).collect();
    (ids, texts.join("\n"))
}

const C_PROGRAM: &str =
    "package main\n\n// static int one(void) { return 1; }\nimport \"C\"\n\nfunc main() { println(C.one()) }\n";
const GO_PROGRAM: &str = "package main\n\nfunc main() { println(\"hello\") }\n";

#[test]
fn different_flags_of_the_c_compiler_are_blamed_on_cgo() {
    // With -trimpath, Go does not record the C flags, so only the C code shows the difference.
    let (ids, _) = find_culprits_of(C_PROGRAM, (&[], &[("CGO_CFLAGS", "-O1")]), (&[], &[("CGO_CFLAGS", "-O0")]));
    assert_eq!(ids, ["cgo"]);
    let kept: &[&str] = &["-trimpath=false"];
    let (ids, text) = find_culprits_of(C_PROGRAM, (kept, &[("CGO_CFLAGS", "-O1")]), (kept, &[("CGO_CFLAGS", "-O0")]));
    assert_eq!(ids, ["cgo", "paths", "cgo"]);
    assert!(text.starts_with("CGO_CFLAGS is \"-O1\" here, \"-O0\" there: set it in the variant's env"), "{text}");
}

#[test]
fn a_path_in_c_code_is_found_despite_trimpath() {
    // The linker writes the path into the program.
    let main = C_PROGRAM.replace("// static", "// #cgo LDFLAGS: -Wl,-rpath,${SRCDIR}\n// static");
    let (ids, text) = find_culprits_of(&main, (&[], &[]), (&[], &[]));
    assert_eq!(ids, ["paths", "cgo"]);
    assert!(text.starts_with("the program contains a path despite -trimpath: look for ${SRCDIR}"), "{text}");
}

#[test]
fn different_flags_and_environment_are_reported() {
    let (ids, text) = find_culprits_of(GO_PROGRAM, (&["-tags=x"], &[]), (&[], &[("CGO_ENABLED", "0")]));
    assert_eq!(ids, ["flags", "environment"]);
    assert!(text.contains("-tags is \"x\" here, not set there"), "{text}");
    assert!(text.contains("CGO_ENABLED is \"1\" here, \"0\" there"), "{text}");
}

#[test]
fn a_difference_in_the_build_id_only_is_reported() {
    // Flags that change only the build id. -trimpath keeps them out of the build information.
    let (ids, _) =
        find_culprits_of(GO_PROGRAM, (&["-ldflags=-X=main.none=1"], &[]), (&["-ldflags=-X=main.none=2"], &[]));
    assert_eq!(ids, ["build-id"]);
}

#[test]
fn bytes_that_are_not_elf_are_compared_by_size() {
    let side = |bytes| ComparedProgram { bytes, dir: Path::new("/p"), name: "x" };
    assert_eq!(compare_programs(&side(b"a"), &side(b"a")), None);
    let difference = compare_programs(&side(b"a"), &side(b"bc")).unwrap();
    assert_eq!(difference.sections, ["1 bytes and 2 bytes, and at least one is not an ELF file"]);
    assert_eq!(difference.culprits[0].id, "sources");
}
