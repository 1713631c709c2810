//! Against real programs: what the Go toolchain on PATH builds, held against its own `nm` and `addr2line`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::elf::Elf;
use super::*;

const NAMES: &str = include_str!("testdata/names.go");
const CGO: &str = include_str!("testdata/cgo.go");
const TINY: &str = "package main\n\nfunc main() { println(1) }\n";

/// A built program. The directory lives as long as it.
struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl Program {
    /// `go build` of a main package in one file, or of a package of the standard library when `source` is none.
    fn build(source: Option<&str>, cgo: &str, flags: &[&str], package: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if let Some(source) = source {
            fs::write(directory.path().join("main.go"), source).unwrap();
            fs::write(directory.path().join("go.mod"), "module example.com/app\n\ngo 1.23\n").unwrap();
        }
        let path = directory.path().join("program");
        let mut go = go();
        go.current_dir(&directory).env("CGO_ENABLED", cgo).arg("build").arg("-o").arg(&path);
        run(go.args(flags).arg(package));
        Self { bytes: fs::read(&path).unwrap(), path, _directory: directory }
    }

    fn go(source: &str, flags: &[&str]) -> Self {
        Self::build(Some(source), "0", flags, ".")
    }

    fn cgo(flags: &[&str]) -> Self {
        Self::build(Some(CGO), "1", flags, ".")
    }

    fn c(source: &str, flags: &[&str]) -> Self {
        Self::compile("gcc", "main.c", source, flags)
    }

    fn compile(compiler: &str, file: &str, source: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        fs::write(directory.path().join(file), source).unwrap();
        run(Command::new(compiler).current_dir(&directory).args(flags).arg("-o").arg(&path).arg(file));
        Self { bytes: fs::read(&path).unwrap(), path, _directory: directory }
    }

    fn binary(&self) -> Binary<'_> {
        Binary::parse(&self.bytes).unwrap()
    }
}

fn go() -> Command {
    let mut go = Command::new("go");
    go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-buildvcs=false").env("GOWORK", "off");
    go
}

/// Runs to the end and gives standard output; a missing tool or a failure ends the test and says which.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn go_tool<I: AsRef<OsStr>>(arguments: &[I]) -> Command {
    let mut command = go();
    command.arg("tool").args(arguments);
    command
}

/// What Go's own tools say of a program.
struct Oracle {
    /// Names by address, linker suffixes dropped.
    symbols: BTreeMap<u64, BTreeSet<String>>,
    go_text: Range<u64>,
}

impl Oracle {
    fn of(path: &Path) -> Self {
        let mut symbols: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut go_text = 0..0;
        for line in run(&mut go_tool(&[OsStr::new("nm"), path.as_os_str()])).lines() {
            let mut columns = line.trim_start().splitn(3, ' ');
            let (address, kind, name) = (columns.next().unwrap(), columns.next().unwrap(), columns.next());
            let (Ok(address), "T" | "t", Some(name)) = (u64::from_str_radix(address, 16), kind, name) else { continue };
            match name {
                "runtime.text" => go_text.start = address,
                "runtime.etext" => go_text.end = address,
                name => {
                    symbols.entry(address).or_default().insert(plain(name));
                }
            }
        }
        assert!(symbols.len() > 1000 && !go_text.is_empty(), "{} symbols", symbols.len());
        Self { symbols, go_text }
    }

    /// (name, file, line) for each address.
    fn lines(path: &Path, addresses: &[u64]) -> Vec<(String, String, u32)> {
        let list = path.with_extension("addresses");
        let mut file = File::create(&list).unwrap();
        for address in addresses {
            writeln!(file, "{address:#x}").unwrap();
        }
        let mut tool = go_tool(&[OsStr::new("addr2line"), path.as_os_str()]);
        let answers = run(tool.stdin(File::open(&list).unwrap()));
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), 2 * addresses.len());
        let parse = |pair: &[&str]| {
            let (file, line) = pair[1].rsplit_once(':').unwrap();
            // It gives -1 and less for what has no line, such as padding.
            (plain(pair[0]), file.to_owned(), line.parse::<i64>().unwrap().try_into().unwrap_or(0))
        };
        answers.chunks(2).map(parse).collect()
    }
}

/// The symbol table has `.` for `·`, and a suffix for assembly.
fn plain(name: &str) -> String {
    name.strip_suffix(".abi0").unwrap_or(name).replace('·', ".")
}

/// Every symbol, and every `step`th address of the Go code.
fn compare_with_gos_tools(program: &Program, step: usize) {
    let oracle = Oracle::of(&program.path);
    let binary = program.binary();
    for (address, names) in &oracle.symbols {
        let location = binary.locate(*address).unwrap_or_else(|reason| panic!("{address:#x} {names:?}: {reason}"));
        let frame = location.frames.last().unwrap();
        assert!(names.contains(&plain(&frame.name)), "{address:#x}: {} is none of {names:?}", frame.name);
        assert_eq!(frame.entry, *address);
    }
    let addresses: Vec<u64> = oracle.go_text.clone().step_by(step).collect();
    let expected = Oracle::lines(&program.path, &addresses);
    let mut with_line = 0;
    let mut locator = Locator::new(&binary);
    for (address, (name, file, line)) in addresses.iter().zip(expected) {
        let Ok(frames) = locator.locate(*address) else {
            // Behind the last function.
            assert_eq!(name, "?", "{address:#x}");
            continue;
        };
        // addr2line names the physical function, and gives the line of the innermost call.
        let (innermost, physical) = (&frames[0], frames.last().unwrap());
        assert_eq!(plain(&physical.name), name, "{address:#x}");
        if physical.is_go {
            let place = (innermost.file.as_deref().unwrap_or_default(), innermost.line);
            assert_eq!(place, (file.as_str(), line), "{address:#x}");
            with_line += usize::from(line > 0);
        }
    }
    assert!(with_line * 10 > addresses.len() * 9, "{with_line} of {} addresses have lines", addresses.len());
}

/// Every `step`th address of the Go code that the first one knows.
fn assert_same_answers(a: &Binary<'_>, b: &Binary<'_>, step: usize) {
    let text = a.pclntab().unwrap().text();
    assert_eq!(text, b.pclntab().unwrap().text());
    let entries = a.pclntab().unwrap().functions().map(|function| function.entry()).collect::<Vec<_>>();
    assert!(entries.len() > 1000);
    for address in text.step_by(step).chain(entries) {
        assert_eq!(a.locate(address).unwrap(), b.locate(address).unwrap(), "{address:#x}");
    }
}

#[test]
fn the_order_of_questions_changes_no_answer() {
    for program in [Program::go(NAMES, &[]), Program::cgo(&[])] {
        let binary = program.binary();
        let text = binary.pclntab().unwrap().text();
        // C code and the place behind all code are asked for too.
        let (before, behind) = (text.start.saturating_sub(200), text.end + 2);
        let rising: Vec<u64> = (before..behind).step_by(13).collect();
        let falling = rising.iter().rev();
        let mixed = (0..rising.len()).map(|at| &rising[at * 7919 % rising.len()]);
        let mut locator = Locator::new(&binary);
        for address in rising.iter().chain(falling).chain(mixed) {
            let expected = binary.locate(*address).map(|location| location.frames);
            assert_eq!(locator.locate(*address).map(<[_]>::to_vec), expected, "{address:#x}");
        }
    }
}

/// A copy without section headers, as some packers leave it.
fn without_sections(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (offset, counts) = if bytes[4] == 1 { (32..36, 48..52) } else { (40..48, 60..64) };
    bytes[offset].fill(0); // e_shoff
    bytes[counts].fill(0); // e_shnum, e_shstrndx
    bytes
}

/// Where a part of the file begins in it.
fn offset_of(file: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - file.as_ptr() as usize
}

/// Where the byte of an address is in the file.
fn place(bytes: &[u8], address: u64) -> usize {
    let elf = Elf::parse(bytes).unwrap();
    let segment = elf.segments().iter().find(|segment| segment.contains(address)).unwrap();
    usize::try_from(segment.offset + (address - segment.address)).unwrap()
}

/// A copy with zero where relocations will write, as lld leaves it.
fn without_addends(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let mut count = 0;
    for (address, _) in Elf::parse(bytes).unwrap().relative_relocations() {
        let place = place(bytes, address);
        changed[place..place + 8].fill(0);
        count += 1;
    }
    assert!(count > 1000, "{count} relocations");
    changed
}

#[test]
fn executable_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::go(NAMES, &[]), 7);
}

#[test]
fn debug_build_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::go(NAMES, &["-gcflags=all=-N -l"]), 7);
}

#[test]
fn pie_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::go(NAMES, &["-buildmode=pie", "-trimpath"]), 7);
}

#[test]
fn cgo_agrees_with_gos_tools() {
    let program = Program::cgo(&[]);
    compare_with_gos_tools(&program, 7);
    // C code stands before Go's here, and one name of each is known to be there.
    let oracle = Oracle::of(&program.path);
    for (name, is_go) in [("_start", false), ("x_cgo_init", false), ("main.main", true), ("crosscall2", true)] {
        let (address, _) = oracle.symbols.iter().find(|(_, names)| names.contains(name)).unwrap();
        let location = program.binary().locate(*address).unwrap();
        assert_eq!((&*location.frames[0].name, location.frames[0].is_go), (name, is_go));
    }
}

#[test]
fn cgo_pie_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::cgo(&["-buildmode=pie"]), 7);
}

#[test]
fn c_code_linked_by_go_is_not_go() {
    let source = "package main\n\nimport \"os/user\"\n\nfunc main() { user.Current() }\n";
    let program = Program::build(Some(source), "1", &["-ldflags=-linkmode=internal"], ".");
    compare_with_gos_tools(&program, 7);
    let oracle = Oracle::of(&program.path);
    let (address, _) = oracle.symbols.iter().find(|(_, names)| names.contains("x_cgo_init")).unwrap();
    assert!(oracle.go_text.contains(address));
    let frame = program.binary().locate(*address).unwrap().frames.remove(0);
    assert_eq!((&*frame.name, frame.is_go, frame.line), ("x_cgo_init", false, 0));
}

#[test]
fn a_large_program_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::build(None, "0", &[], "cmd/gofmt"), 61);
}

#[test]
fn stripping_changes_no_go_name() {
    for flags in [&["-trimpath"][..], &["-trimpath", "-buildmode=pie"]] {
        let full = Program::go(NAMES, flags);
        let stripped = Program::go(NAMES, &[flags, &["-ldflags=-s -w"]].concat());
        assert!(full.binary().facts().symtab && !stripped.binary().facts().symtab);
        assert_same_answers(&full.binary(), &stripped.binary(), 7);
        assert_same_answers(&full.binary(), &Binary::parse(&without_sections(&stripped.bytes)).unwrap(), 7);
    }
}

#[test]
fn stripping_a_cgo_pie_changes_no_go_name() {
    let full = Program::cgo(&["-trimpath", "-buildmode=pie"]);
    let stripped = Program::cgo(&["-trimpath", "-buildmode=pie", "-ldflags=-s -w"]);
    assert_same_answers(&full.binary(), &stripped.binary(), 7);
    let no_sections = without_sections(&stripped.bytes);
    assert_same_answers(&full.binary(), &Binary::parse(&no_sections).unwrap(), 7);
    assert_eq!(Binary::parse(&no_sections).unwrap().facts().go, full.binary().facts().go);
    assert!(full.binary().facts().go.is_ok());
    let no_addends = without_addends(&full.bytes);
    assert_same_answers(&full.binary(), &Binary::parse(&no_addends).unwrap(), 7);
    // The addends are then gone with the sections, and with them every way to know the addresses.
    let neither = without_sections(&no_addends);
    let neither = Binary::parse(&neither).unwrap();
    assert_eq!(neither.pclntab().unwrap_err(), &PclntabAbsence::NoModuledata);
    let entry = full.binary().pclntab().unwrap().text().start;
    assert_eq!(neither.locate(entry), Err(Reason::Refused(PclntabAbsence::NoModuledata)));
}

#[test]
fn facts_of_builds() {
    let plain = Program::cgo(&["-buildmode=pie", "-ldflags=-compressdwarf=false"]);
    let facts = plain.binary().facts();
    assert_eq!(facts.machine, std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"));
    assert!(facts.pie && facts.symtab && facts.cgo);
    assert_eq!(facts.pclntab.as_deref(), Ok("Go 1.20 or later"));
    assert!(facts.dwarf.present && !facts.dwarf.compressed && facts.dwarf.version.is_some(), "{:?}", facts.dwarf);
    let info = facts.go.unwrap();
    assert_eq!(format!("go version {} linux/amd64\n", info.go_version), run(go().arg("version")));
    assert_eq!(info.path, "example.com/app");
    assert_eq!(info.module.as_ref().unwrap().path, "example.com/app");
    assert_eq!(info.setting("-buildmode"), Some("pie"));
    assert_eq!(info.setting("-ldflags"), Some("-compressdwarf=false"));
    let noted = run(Command::new("readelf").arg("-n").arg(&plain.path));
    let id = facts.build_id.unwrap();
    assert!(noted.contains(&format!("Build ID: {id}")), "{id} in {noted}");

    let stripped = Program::go(TINY, &["-ldflags=-s -w"]).binary().facts();
    assert!(!stripped.pie && !stripped.symtab && !stripped.cgo && !stripped.dwarf.present);
    let compressed = Program::go(NAMES, &[]).binary().facts().dwarf;
    assert!(compressed.present && compressed.compressed && compressed.version >= Some(4), "{compressed:?}");
}

#[test]
fn whether_the_optimiser_was_off() {
    let judge = |flag: &str| {
        let program = Program::go(NAMES, &[flag]);
        let facts = program.binary().facts();
        (facts.optimisation, facts.inlining.unwrap())
    };
    let (debug, evidence) = judge("-gcflags=all=-N -l");
    assert_eq!((debug, evidence.with_inline_tree), (Optimisation::Debug, 0));
    let (named, evidence) = judge("-gcflags=-N -l");
    assert!(named.to_string().contains("did not reach every package"), "{named}");
    assert_eq!(evidence.main_package_with_inline_tree, 0);
    assert!(evidence.main_package_functions > 20 && evidence.with_inline_tree > 100, "{evidence:?}");
    let (release, evidence) = judge("-gcflags=");
    assert_eq!(release, Optimisation::Optimised { why: evidence.to_string() });
    assert!(evidence.main_package_with_inline_tree > 0);
    let (only_l, _) = judge("-gcflags=all=-l");
    assert!(only_l.to_string().contains("turns off inlining, and no other"), "{only_l}");
}

#[test]
fn top_frames_and_first_lines() {
    let program = Program::go(NAMES, &[]);
    let binary = program.binary();
    let table = binary.pclntab().unwrap();
    let name = |function: &Function<'_, '_>| String::from_utf8_lossy(function.name().unwrap()).into_owned();
    let roots: BTreeSet<String> = table.functions().filter(Function::is_top_frame).map(|f| name(&f)).collect();
    for root in ["runtime.goexit", "runtime.mstart", "runtime.rt0_go"] {
        assert!(roots.contains(root), "{roots:?}");
    }
    let main = table.functions().find(|function| name(function) == "main.main").unwrap();
    let line = NAMES.lines().position(|line| line.starts_with("func main()")).unwrap() + 1;
    let frame = binary.locate(main.entry()).unwrap().frames.pop().unwrap();
    assert_eq!(u64::from(frame.start_line), line as u64);
    assert_eq!(Path::new(frame.file.as_deref().unwrap()).file_name().unwrap(), "main.go");
    assert!(!frame.top_frame);
}

#[test]
fn file_offsets_become_addresses() {
    for program in [Program::go(TINY, &["-buildmode=pie"]), Program::cgo(&["-buildmode=pie"])] {
        let binary = program.binary();
        for segment in binary.load_segments() {
            for into in [0, segment.file_size / 2, segment.file_size - 1] {
                assert_eq!(binary.address_of_offset(segment.offset + into), Some(segment.address + into));
            }
        }
        assert_eq!(binary.address_of_offset(program.bytes.len() as u64), None);
        assert_eq!(binary.address_of_offset(u64::MAX), None);
    }
}

#[test]
fn other_files_are_refused_with_their_reason() {
    assert_eq!(Binary::parse(b"").unwrap_err(), Error::Empty);
    assert_eq!(Binary::parse(b"#!/bin/sh\n").unwrap_err(), Error::NotElf);
    assert_eq!(Binary::parse(b"\x7fELF").unwrap_err(), Error::Truncated("file header"));
    let object = Program::c("int main(void) { return 0; }\n", &["-c"]);
    assert!(matches!(Binary::parse(&object.bytes).unwrap_err(), Error::Unsupported(_)));
    let ls = fs::read("/bin/ls").unwrap();
    let ls = Binary::parse(&ls).unwrap();
    assert_eq!(ls.facts().pclntab, Err("no Go function table in the file".to_owned()));
    assert_eq!(ls.facts().optimisation.to_string(), "unknown (there is no readable Go function table)");
}

mod callframes;
mod hostile;
mod machines;
mod native;
mod sections;
