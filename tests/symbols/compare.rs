//! Compares goflame's symbols with those of Go's tools. Each comparison prints its figures, and fails with the first
//! differences.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::process::{Command, Stdio};

use goflame::gobin::{Locator, SourceFrame};
use object::{Object as _, ObjectSection as _};

use crate::program::{Program, text};

/// The answers of an oracle: a program that prints what Go says about addresses. The oracle prints a line for each
/// address whose answer differs from the answer for the address before.
struct Answers {
    /// Address and answer, in ascending order of addresses.
    lines: Vec<(u64, String)>,
}

impl Answers {
    fn read(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let (address, answer) = line.split_once('\x1e').unwrap();
            lines.push((u64::from_str_radix(address, 16).unwrap(), answer.to_owned()));
        }
        assert!(child.wait().unwrap().success(), "{command:?}");
        assert!(lines.len() > 1000, "{} answers from {command:?}", lines.len());
        Self { lines }
    }

    /// Compares the oracle's answers with `mine`, goflame's answers, at every `step`th address. `excuse` gets both
    /// answers if they differ. For a known error of the oracle, `excuse` returns the right answer.
    fn compare(
        &self,
        oracle: &str,
        text: Range<u64>,
        step: u64,
        mut mine: impl FnMut(u64) -> String,
        mut excuse: impl FnMut(&str, &str) -> String,
    ) -> Counts {
        let mut counts = Counts::default();
        let mut differences = String::new();
        let mut at = 0;
        for address in text.step_by(usize::try_from(step).unwrap()) {
            while self.lines.get(at + 1).is_some_and(|(next, _)| *next <= address) {
                at += 1;
            }
            let expected = self.lines.get(at).filter(|(from, _)| *from <= address).map_or("", |(_, answer)| answer);
            let found = mine(address);
            counts.addresses += 1;
            counts.inlined += u64::from(expected.contains('\x1e'));
            counts.deepest = counts.deepest.max(expected.split('\x1e').count());
            if found != expected && excuse(expected, &found) == found {
                counts.excused += 1;
            } else if found != expected {
                counts.different += 1;
                if counts.different <= 5 {
                    writeln!(differences, "{address:#x}\n  goflame: {found:?}\n  {oracle}: {expected:?}").unwrap();
                }
            }
        }
        assert_eq!(counts.different, 0, "of {} addresses:\n{differences}", counts.addresses);
        counts
    }
}

#[derive(Default)]
struct Counts {
    addresses: u64,
    inlined: u64,
    deepest: usize,
    excused: u64,
    different: u64,
}

/// Prints a measurement of a test.
#[expect(clippy::print_stderr, reason = "figures are for people; the test harness keeps them unless asked")]
fn print_figure(program: &Program, text: &str) {
    eprintln!("figure: {}: {text}", program.name);
}

fn code_range(program: &Program) -> Range<u64> {
    let text = program.binary().pclntab().unwrap().text();
    assert!(text.end - text.start > 500_000, "{text:x?}");
    text
}

/// Formats a frame as the oracles do.
fn format_frame(frame: &SourceFrame<'_>, start_line: u32) -> String {
    let file = frame.file.as_deref();
    format!("{}\x1f{}\x1f{}\x1f{start_line}\x1f{:x}", frame.name, file.unwrap_or("?"), frame.line, frame.entry)
}

/// Formats frames without the wrappers that Go's stacks leave out: wrappers that do not call a panic function
/// (`elideWrapperCalling` in src/runtime/traceback.go). A single frame is kept.
fn without_wrappers(frames: &[SourceFrame<'_>]) -> Vec<String> {
    let mut callee = "";
    let mut kept = Vec::new();
    for frame in frames {
        let panics = matches!(callee, "runtime.gopanic" | "runtime.sigpanic" | "runtime.panicwrap");
        if !frame.wrapper || panics || frames.len() == 1 {
            kept.push(format_frame(frame, frame.start_line));
        }
        callee = &frame.name;
    }
    kept
}

/// Compares name, file, line and start line of every frame with the runtime inside the program.
pub(crate) fn compare_with_runtime(program: &Program, step: u64) {
    let (text, binary) = (code_range(program), program.binary());
    let mut itself = Command::new(&program.path);
    itself.env("GOFLAME_SYMBOLS", format!("{:x} {:x} {step}", text.start, text.end));
    let mut locator = Locator::new(&binary);
    let mine = |address| without_wrappers(locator.locate(address).unwrap()).join("\x1e");
    // The runtime has no name for the function whose name is at offset 0: for the runtime, offset 0 means no name
    // (`funcName` in src/runtime/symtab.go).
    let mut first_name = BTreeSet::new();
    let mut not_askable = 0;
    let excuse = |expected: &str, found: &str| {
        if expected == "?" {
            not_askable += 1;
            return found.to_owned();
        }
        let frames = expected.split('\x1e').zip(found.split('\x1e')).map(|(expected, found)| {
            if !expected.starts_with('\x1f') {
                return expected.to_owned();
            }
            let (name, _) = found.split_once('\x1f').unwrap();
            first_name.insert(name.to_owned());
            format!("{name}{expected}")
        });
        frames.collect::<Vec<_>>().join("\x1e")
    };
    let counts = Answers::read(&mut itself).compare("runtime", text, step, mine, excuse);
    assert!(first_name.len() <= 1, "the runtime has no name for {first_name:?}");
    assert!(counts.inlined * 20 > counts.addresses && counts.deepest > 4, "{} of {}", counts.inlined, counts.addresses);
    let Counts { addresses, inlined, deepest, excused, .. } = counts;
    print_figure(
        program,
        &format!(
            "{addresses} addresses compared with the runtime, {inlined} in inlined calls, at most {deepest} frames; \
             excused: {not_askable} right before a function or the end, {} because the runtime lacks the name {first_name:?}",
            excused - not_askable
        ),
    );
}

/// Compares the physical function and the innermost line with debug/gosym.
pub(crate) fn compare_with_gosym(program: &Program, step: u64) {
    let (text, binary) = (code_range(program), program.binary());
    let mut gosym = Command::new(program.gosym());
    gosym.arg(&program.path).args([text.start, text.end, step].map(|number| number.to_string()));
    let mut locator = Locator::new(&binary);
    let mine = |address| {
        let frames = locator.locate(address).unwrap();
        let (innermost, physical) = (&frames[0], frames.last().unwrap());
        format_frame(&SourceFrame { name: physical.name.clone(), ..innermost.clone() }, 0)
    };
    let excuse = |expected: &str, found: &str| if is_marker(found) { found } else { expected }.to_owned();
    let counts = Answers::read(&mut gosym).compare("gosym", text, step, mine, excuse);
    let Counts { addresses, excused, .. } = counts;
    print_figure(
        program,
        &format!("{addresses} addresses compared with debug/gosym; excused: {excused} in linker markers"),
    );
}

/// Compares the names and lines of inlined calls and of their callers with the program's debug information.
///
/// Old releases of Go left some inlined calls out of the debug information, and gave the last instructions of a function the
/// line 0 or 1. So up to 1 % of the addresses can differ.
pub(crate) fn compare_with_dwarf(program: &Program, step: u64) {
    let (text, binary) = (code_range(program), program.binary());
    let debug_information = DebugInformation::read(&program.bytes);
    let mut locator = Locator::new(&binary);
    let (mut addresses, mut differences) = (0_u32, Vec::new());
    for address in text.step_by(usize::try_from(step).unwrap()) {
        let expected = debug_information.frames(address);
        if expected.len() < 2 {
            continue;
        }
        let found = locator.locate(address).unwrap().iter().map(|frame| (frame.name.to_string(), frame.line));
        let found: Vec<_> = found.collect();
        addresses += 1;
        if found != expected {
            differences.push(format!("{address:#x}\n  goflame: {found:?}\n  DWARF: {expected:?}"));
        }
    }
    assert!(addresses > 1000, "{addresses} addresses in inlined calls");
    let first = differences[..differences.len().min(5)].join("\n");
    assert!(differences.len() * 100 < addresses as usize, "{} of {addresses} differ:\n{first}", differences.len());
    print_figure(
        program,
        &format!("{addresses} addresses in inlined calls compared with DWARF, {} differ", differences.len()),
    );
}

struct DebugInformation(addr2line::Context<gimli::EndianRcSlice<gimli::LittleEndian>>);

impl DebugInformation {
    fn read(bytes: &[u8]) -> Self {
        let file = object::File::parse(bytes).unwrap();
        let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
            let data = file.section_by_name(id.name()).map(|section| section.uncompressed_data().unwrap());
            Ok(gimli::EndianRcSlice::new(data.unwrap_or_default().into(), gimli::LittleEndian))
        };
        Self(addr2line::Context::from_dwarf(gimli::Dwarf::load(section).unwrap()).unwrap())
    }

    fn frames(&self, address: u64) -> Vec<(String, u32)> {
        let mut frames = self.0.find_frames(address).skip_all_loads().unwrap();
        let mut found = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            let Some(function) = frame.function else { break };
            let line = frame.location.and_then(|location| location.line).unwrap_or(0);
            found.push((function.raw_name().unwrap().into_owned(), line));
        }
        found
    }
}

/// Compares the physical function and the innermost line with `go tool addr2line`.
pub(crate) fn compare_with_addr2line(program: &Program, step: u64) {
    let binary = program.binary();
    let addresses: Vec<u64> = code_range(program).step_by(usize::try_from(step).unwrap()).collect();
    let list = program.path.with_extension("addresses");
    let mut lines = String::new();
    for address in &addresses {
        writeln!(lines, "{address:#x}").unwrap();
    }
    fs::write(&list, lines).unwrap();
    let mut tool = program.toolchain.go();
    tool.args(["tool", "addr2line"]).arg(&program.path).stdin(File::open(&list).unwrap());
    let answers = text(&mut tool);
    let mut answers = answers.lines();
    let mut locator = Locator::new(&binary);
    for address in &addresses {
        let (name, line) = (answers.next().unwrap(), answers.next().unwrap());
        let frames = locator.locate(*address).unwrap();
        let (innermost, physical) = (&frames[0], frames.last().unwrap());
        assert_eq!(symbol_name(&physical.name), symbol_name(name), "{address:#x}");
        if is_marker(&physical.name) {
            continue;
        }
        let found = innermost.file.as_ref().map_or("?:0".to_owned(), |file| format!("{file}:{}", innermost.line));
        assert_eq!(found, if line.starts_with(':') { "?:0" } else { line }, "{address:#x}");
    }
    assert_eq!(answers.next(), None);
    print_figure(program, &format!("{} addresses compared with go tool addr2line", addresses.len()));
}

/// Whether an answer is a linker marker around the FIPS code. Markers have no line table. `debug/gosym` wrongly reads the
/// table at offset 0 for markers, the runtime does not.
fn is_marker(answer: &str) -> bool {
    ["go:textfipsstart", "go:textfipsend"].iter().any(|marker| answer.starts_with(marker))
}

/// Name in the spelling of the function table: symbol tables have `.` in place of `·`, and a suffix for assembly.
fn symbol_name(name: &str) -> String {
    name.strip_suffix(".abi0").unwrap_or(name).replace('·', ".")
}
