//! Compares gobin with `go tool nm` and `go tool addr2line` on programs that the Go toolchain on PATH builds.
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

const NAMES_SOURCE: &str = include_str!("../testdata/names.go");
const CGO_SOURCE: &str = include_str!("../testdata/cgo.go");
const TINY_SOURCE: &str = "package main\n\nfunc main() { println(1) }\n";

/// Looks up an address with a new locator.
fn locate<'a>(binary: &Binary<'a>, address: u64) -> Result<Vec<SourceFrame<'a>>, NameAbsence> {
    Locator::new(binary).locate(address).map(<[_]>::to_vec)
}

struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl Program {
    /// Runs `go build` on a main package of one file, or on a package of the standard library if `source` is `None`.
    fn build(source: Option<&str>, cgo: &str, flags: &[&str], package: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if let Some(source) = source {
            fs::write(directory.path().join("main.go"), source).unwrap();
            fs::write(directory.path().join("go.mod"), "module example.com/app\n\ngo 1.23\n").unwrap();
        }
        let path = directory.path().join("program");
        let mut go = go();
        go.current_dir(&directory).env("CGO_ENABLED", cgo).arg("build").arg("-o").arg(&path);
        run_for_stdout(go.args(flags).arg(package));
        Self { bytes: fs::read(&path).unwrap(), path, _directory: directory }
    }

    fn go(source: &str, flags: &[&str]) -> Self {
        Self::build(Some(source), "0", flags, ".")
    }

    fn cgo(flags: &[&str]) -> Self {
        Self::build(Some(CGO_SOURCE), "1", flags, ".")
    }

    fn c(source: &str, flags: &[&str]) -> Self {
        Self::compile("gcc", "main.c", source, flags)
    }

    fn compile(compiler: &str, file: &str, source: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        fs::write(directory.path().join(file), source).unwrap();
        run_for_stdout(Command::new(compiler).current_dir(&directory).args(flags).arg("-o").arg(&path).arg(file));
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

/// Runs a command and returns its standard output. Panics if the command is missing or fails.
fn run_for_stdout(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn go_tool<I: AsRef<OsStr>>(arguments: &[I]) -> Command {
    let mut command = go();
    command.arg("tool").args(arguments);
    command
}

/// The output of Go's own tools for a program.
struct Oracle {
    /// Names by address, without linker suffixes.
    symbols: BTreeMap<u64, BTreeSet<String>>,
    go_text: Range<u64>,
}

impl Oracle {
    fn new(path: &Path) -> Self {
        let mut symbols: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut go_text = 0..0;
        for line in run_for_stdout(&mut go_tool(&[OsStr::new("nm"), path.as_os_str()])).lines() {
            let mut columns = line.trim_start().splitn(3, ' ');
            let (address, kind, name) = (columns.next().unwrap(), columns.next().unwrap(), columns.next());
            let (Ok(address), "T" | "t", Some(name)) = (u64::from_str_radix(address, 16), kind, name) else { continue };
            match name {
                "runtime.text" => go_text.start = address,
                "runtime.etext" => go_text.end = address,
                name => {
                    symbols.entry(address).or_default().insert(plain_name(name));
                }
            }
        }
        assert!(symbols.len() > 1000 && !go_text.is_empty(), "{} symbols", symbols.len());
        Self { symbols, go_text }
    }

    /// Name, file and line of each address.
    fn lines(path: &Path, addresses: &[u64]) -> Vec<(String, String, u32)> {
        let list = path.with_extension("addresses");
        let mut file = File::create(&list).unwrap();
        for address in addresses {
            writeln!(file, "{address:#x}").unwrap();
        }
        let mut tool = go_tool(&[OsStr::new("addr2line"), path.as_os_str()]);
        let answers = run_for_stdout(tool.stdin(File::open(&list).unwrap()));
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), 2 * addresses.len());
        let parse = |pair: &[&str]| {
            let (file, line) = pair[1].rsplit_once(':').unwrap();
            // addr2line prints -1 or less for an address without a line, for example in padding.
            (plain_name(pair[0]), file.to_owned(), line.parse::<i64>().unwrap().try_into().unwrap_or(0))
        };
        answers.chunks(2).map(parse).collect()
    }
}

/// A name in one spelling for all sources: symbol tables have `.` instead of `·`, and a suffix for assembly.
fn plain_name(name: &str) -> String {
    name.strip_suffix(".abi0").unwrap_or(name).replace('·', ".")
}

/// Compares every symbol, and every `step`th address of the Go code, with the output of Go's own tools.
fn compare_with_gos_tools(program: &Program, step: usize) {
    let oracle = Oracle::new(&program.path);
    let binary = program.binary();
    for (address, names) in &oracle.symbols {
        let frames = locate(&binary, *address).unwrap_or_else(|reason| panic!("{address:#x} {names:?}: {reason}"));
        let frame = frames.last().unwrap();
        assert!(names.contains(&plain_name(&frame.name)), "{address:#x}: {} is none of {names:?}", frame.name);
        assert_eq!(frame.entry, *address);
    }
    let addresses: Vec<u64> = oracle.go_text.clone().step_by(step).collect();
    let expected = Oracle::lines(&program.path, &addresses);
    let mut with_line = 0;
    let mut locator = Locator::new(&binary);
    for (address, (name, file, line)) in addresses.iter().zip(expected) {
        let Ok(frames) = locator.locate(*address) else {
            // The address is after the last function.
            assert_eq!(name, "?", "{address:#x}");
            continue;
        };
        // addr2line prints the name of the physical function and the line of the innermost call.
        let (innermost, physical) = (&frames[0], frames.last().unwrap());
        assert_eq!(plain_name(&physical.name), name, "{address:#x}");
        if physical.is_go {
            let place = (innermost.file.as_deref().unwrap_or_default(), innermost.line);
            assert_eq!(place, (file.as_str(), line), "{address:#x}");
            with_line += usize::from(line > 0);
        }
    }
    assert!(with_line * 10 > addresses.len() * 9, "{with_line} of {} addresses have lines", addresses.len());
}

/// Compares two binaries at every `step`th address of the Go code, and at every function's entry.
fn assert_same_answers(a: &Binary<'_>, b: &Binary<'_>, step: usize) {
    let text = a.pclntab().unwrap().text();
    assert_eq!(text, b.pclntab().unwrap().text());
    let entries = a.pclntab().unwrap().functions().map(|function| function.entry()).collect::<Vec<_>>();
    assert!(entries.len() > 1000);
    for address in text.step_by(step).chain(entries) {
        assert_eq!(locate(a, address).unwrap(), locate(b, address).unwrap(), "{address:#x}");
    }
}

#[test]
fn a_locator_gives_the_same_frames_in_any_order_of_addresses() {
    for program in [Program::go(NAMES_SOURCE, &[]), Program::cgo(&[])] {
        let binary = program.binary();
        let text = binary.pclntab().unwrap().text();
        // Includes C code before the Go code, and addresses after all code.
        let (before, after) = (text.start.saturating_sub(200), text.end + 2);
        let ascending: Vec<u64> = (before..after).step_by(13).collect();
        let descending = ascending.iter().rev();
        let mixed = (0..ascending.len()).map(|index| &ascending[index * 7919 % ascending.len()]);
        let mut locator = Locator::new(&binary);
        for address in ascending.iter().chain(descending).chain(mixed) {
            let expected = locate(&binary, *address);
            assert_eq!(locator.locate(*address).map(<[_]>::to_vec), expected, "{address:#x}");
        }
    }
}

/// A copy without section headers, like the output of some packers.
fn remove_sections(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (offset, counts) = if bytes[4] == 1 { (32..36, 48..52) } else { (40..48, 60..64) };
    bytes[offset].fill(0); // e_shoff
    bytes[counts].fill(0); // e_shnum, e_shstrndx
    bytes
}

/// The file offset of `part`, a subslice of `file`.
fn offset_of(file: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - file.as_ptr() as usize
}

fn file_offset(bytes: &[u8], address: u64) -> usize {
    let elf = Elf::parse(bytes).unwrap();
    let segment = elf.segments().iter().find(|segment| segment.contains(address)).unwrap();
    usize::try_from(segment.offset + (address - segment.address)).unwrap()
}

/// A copy with zeros in the words that relocations overwrite, like the output of lld.
fn remove_addends(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let mut count = 0;
    for relocation in Elf::parse(bytes).unwrap().relative_relocations() {
        let offset = file_offset(bytes, relocation.word_address);
        changed[offset..offset + 8].fill(0);
        count += 1;
    }
    assert!(count > 1000, "{count} relocations");
    changed
}

#[test]
fn executable_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::go(NAMES_SOURCE, &[]), 7);
}

#[test]
fn debug_build_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::go(NAMES_SOURCE, &["-gcflags=all=-N -l"]), 7);
}

#[test]
fn pie_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::go(NAMES_SOURCE, &["-buildmode=pie", "-trimpath"]), 7);
}

#[test]
fn cgo_agrees_with_gos_tools() {
    let program = Program::cgo(&[]);
    compare_with_gos_tools(&program, 7);
    // The program has C code before the Go code.
    let oracle = Oracle::new(&program.path);
    for (name, is_go) in [("_start", false), ("x_cgo_init", false), ("main.main", true), ("crosscall2", true)] {
        let (address, _) = oracle.symbols.iter().find(|(_, names)| names.contains(name)).unwrap();
        let frames = locate(&program.binary(), *address).unwrap();
        assert_eq!((&*frames[0].name, frames[0].is_go), (name, is_go));
    }
}

#[test]
fn cgo_pie_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::cgo(&["-buildmode=pie"]), 7);
}

#[test]
fn c_code_from_gos_internal_linker_is_not_go_code() {
    let source = "package main\n\nimport \"os/user\"\n\nfunc main() { user.Current() }\n";
    let program = Program::build(Some(source), "1", &["-ldflags=-linkmode=internal"], ".");
    compare_with_gos_tools(&program, 7);
    let oracle = Oracle::new(&program.path);
    let (address, _) = oracle.symbols.iter().find(|(_, names)| names.contains("x_cgo_init")).unwrap();
    assert!(oracle.go_text.contains(address));
    let frame = locate(&program.binary(), *address).unwrap().remove(0);
    assert_eq!((&*frame.name, frame.is_go, frame.line), ("x_cgo_init", false, 0));
}

#[test]
fn a_large_program_agrees_with_gos_tools() {
    compare_with_gos_tools(&Program::build(None, "0", &[], "cmd/gofmt"), 61);
}

#[test]
fn stripped_go_code_keeps_its_frames() {
    for flags in [&["-trimpath"][..], &["-trimpath", "-buildmode=pie"]] {
        let full = Program::go(NAMES_SOURCE, flags);
        let stripped = Program::go(NAMES_SOURCE, &[flags, &["-ldflags=-s -w"]].concat());
        assert!(full.binary().facts().has_symtab && !stripped.binary().facts().has_symtab);
        assert_same_answers(&full.binary(), &stripped.binary(), 7);
        assert_same_answers(&full.binary(), &Binary::parse(&remove_sections(&stripped.bytes)).unwrap(), 7);
    }
}

#[test]
fn a_stripped_cgo_pie_keeps_its_go_frames() {
    let full = Program::cgo(&["-trimpath", "-buildmode=pie"]);
    let stripped = Program::cgo(&["-trimpath", "-buildmode=pie", "-ldflags=-s -w"]);
    assert_same_answers(&full.binary(), &stripped.binary(), 7);
    let no_sections = remove_sections(&stripped.bytes);
    assert_same_answers(&full.binary(), &Binary::parse(&no_sections).unwrap(), 7);
    assert_eq!(Binary::parse(&no_sections).unwrap().facts().go, full.binary().facts().go);
    assert!(full.binary().facts().go.is_ok());
    let no_addends = remove_addends(&full.bytes);
    assert_same_answers(&full.binary(), &Binary::parse(&no_addends).unwrap(), 7);
    // Without sections and without addends, the relocated addresses are lost.
    let neither = remove_sections(&no_addends);
    let neither = Binary::parse(&neither).unwrap();
    assert_eq!(neither.pclntab().unwrap_err(), &PclntabAbsence::NoModuledata);
    let entry = full.binary().pclntab().unwrap().text().start;
    assert_eq!(locate(&neither, entry), Err(NameAbsence::Refused(PclntabAbsence::NoModuledata)));
}

#[test]
fn facts_match_the_build() {
    let plain = Program::cgo(&["-buildmode=pie", "-ldflags=-compressdwarf=false"]);
    let facts = plain.binary().facts();
    assert_eq!(facts.machine, std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"));
    assert!(facts.is_pie && facts.has_symtab && facts.uses_cgo);
    assert_eq!(facts.pclntab, Ok(Layout::Go120));
    assert!(facts.dwarf.is_present && !facts.dwarf.is_compressed && facts.dwarf.version.is_some(), "{:?}", facts.dwarf);
    let info = facts.go.unwrap();
    assert_eq!(format!("go version {} linux/amd64\n", info.go_version), run_for_stdout(go().arg("version")));
    assert_eq!(info.path, "example.com/app");
    assert_eq!(info.module.as_ref().unwrap().path, "example.com/app");
    assert_eq!(info.setting("-buildmode"), Some("pie"));
    assert_eq!(info.setting("-ldflags"), Some("-compressdwarf=false"));
    let notes = run_for_stdout(Command::new("readelf").arg("-n").arg(&plain.path));
    let id = facts.build_id.unwrap();
    assert!(notes.contains(&format!("Build ID: {id}")), "{id} in {notes}");

    let stripped = Program::go(TINY_SOURCE, &["-ldflags=-s -w"]).binary().facts();
    assert!(!stripped.is_pie && !stripped.has_symtab && !stripped.uses_cgo && !stripped.dwarf.is_present);
    let compressed = Program::go(NAMES_SOURCE, &[]).binary().facts().dwarf;
    assert!(compressed.is_present && compressed.is_compressed && compressed.version >= Some(4), "{compressed:?}");
}

#[test]
fn debug_builds_are_recognised() {
    let judge = |flag: &str| {
        let program = Program::go(NAMES_SOURCE, &[flag]);
        let facts = program.binary().facts();
        (facts.optimisation, facts.inlining.unwrap())
    };
    let (debug, evidence) = judge("-gcflags=all=-N -l");
    assert_eq!((debug, evidence.functions_with_inline_tree), (Optimisation::Debug, 0));
    let (named, evidence) = judge("-gcflags=-N -l");
    assert!(named.to_string().contains("did not reach every package"), "{named}");
    assert_eq!(evidence.main_package_functions_with_inline_tree, 0);
    assert!(evidence.main_package_functions > 20 && evidence.functions_with_inline_tree > 100, "{evidence:?}");
    let (release, evidence) = judge("-gcflags=");
    assert_eq!(release, Optimisation::Optimised { why: evidence.to_string() });
    assert!(evidence.main_package_functions_with_inline_tree > 0);
    let (only_l, _) = judge("-gcflags=all=-l");
    assert!(only_l.to_string().contains("turns off inlining, and no other"), "{only_l}");
}

#[test]
fn runtime_functions_do_not_count_as_jumps_to_generated_code() {
    let program = Program::go(TINY_SOURCE, &[]);
    let (binary, elf) = (program.binary(), Elf::parse(&program.bytes).unwrap());
    let mut functions = binary.pclntab().unwrap().functions();
    // On amd64, `runtime.reflectcall` ends with a jump to `runtime.badreflectcall`.
    let is_call =
        |function: &Function<'_, '_>| function.is_assembly() && function.name() == Some(b"runtime.reflectcall");
    let call = functions.find(is_call).expect("runtime.reflectcall");
    assert!(!calls::ends_with_jump_to_register(&call, &elf));
}

#[test]
fn roots_and_start_lines_are_known() {
    let program = Program::go(NAMES_SOURCE, &[]);
    let binary = program.binary();
    let table = binary.pclntab().unwrap();
    let name = |function: &Function<'_, '_>| String::from_utf8_lossy(function.name().unwrap()).into_owned();
    let roots: BTreeSet<String> = table.functions().filter(Function::is_top_frame).map(|f| name(&f)).collect();
    for root in ["runtime.goexit", "runtime.mstart", "runtime.rt0_go"] {
        assert!(roots.contains(root), "{roots:?}");
    }
    let main = table.functions().find(|function| name(function) == "main.main").unwrap();
    let line = NAMES_SOURCE.lines().position(|line| line.starts_with("func main()")).unwrap() + 1;
    let frame = locate(&binary, main.entry()).unwrap().pop().unwrap();
    assert_eq!(u64::from(frame.start_line), line as u64);
    assert_eq!(Path::new(frame.file.as_deref().unwrap()).file_name().unwrap(), "main.go");
    assert!(!frame.is_top_frame);
}

#[test]
fn file_offsets_are_converted_to_addresses() {
    for program in [Program::go(TINY_SOURCE, &["-buildmode=pie"]), Program::cgo(&["-buildmode=pie"])] {
        let binary = program.binary();
        for segment in binary.load_segments() {
            for offset in [0, segment.file_size / 2, segment.file_size - 1] {
                assert_eq!(binary.address_of_offset(segment.offset + offset), Some(segment.address + offset));
            }
        }
        assert_eq!(binary.address_of_offset(program.bytes.len() as u64), None);
        assert_eq!(binary.address_of_offset(u64::MAX), None);
    }
}

#[test]
fn files_that_are_not_programs_are_refused_with_the_reason() {
    assert_eq!(Binary::parse(b"").unwrap_err(), Error::Empty);
    assert_eq!(Binary::parse(b"#!/bin/sh\n").unwrap_err(), Error::NotElf);
    assert_eq!(Binary::parse(b"\x7fELF").unwrap_err(), Error::Truncated("file header"));
    let object = Program::c("int main(void) { return 0; }\n", &["-c"]);
    assert!(matches!(Binary::parse(&object.bytes).unwrap_err(), Error::Unsupported(_)));
    let ls = fs::read("/bin/ls").unwrap();
    let ls = Binary::parse(&ls).unwrap();
    assert_eq!(ls.facts().pclntab, Err(PclntabAbsence::NotGo));
    assert_eq!(ls.facts().optimisation.to_string(), "unknown (there is no readable Go function table)");
}

mod callframes;
mod go12;
mod hostile;
mod machines;
mod native;
mod sections;
