//! Compares unwinding by `.eh_frame` with `readelf`, and tries damaged sections.

use std::sync::LazyLock;

use super::*;

/// A program that saves registers, aligns its stack, calls through a `.plt` stub, and calls `exit`.
const C_SOURCE: &str = "#include <alloca.h>\n#include <stdlib.h>\nvoid __attribute__((noinline)) use(char *a, char *b) \
                 { __asm__ volatile(\"\" :: \"r\"(a), \"r\"(b) : \"rbx\", \"r12\", \"memory\"); }\n\
                 void __attribute__((noinline)) aligned(int n) \
                 { char a[64] __attribute__((aligned(64))); use(a, alloca(n)); }\n\
                 int main(int c, char **v) { aligned(c); exit(atoi(v[0])); }\n";

static PROGRAM: LazyLock<Program> =
    LazyLock::new(|| Program::c(C_SOURCE, &["-O2", "-fomit-frame-pointer", "-fcf-protection=none", "-Wl,-z,lazy"]));

/// The rows that `readelf` prints: the address, and the rules for CFA, `rbp`, `r14` and return address.
fn readelf_rows(path: &Path) -> Vec<(u64, [String; 4])> {
    // The exit status is ignored: readelf fails for a file without debug information, but still prints the rows.
    let mut readelf = Command::new("readelf");
    let output = readelf.arg("--debug-dump=frames-interp").arg(path).env("LC_ALL", "C").output();
    let printed = String::from_utf8(output.expect("this test needs readelf").stdout).unwrap();
    let printed = printed.split_once(".eh_frame section").unwrap().1;
    let printed = printed.split(".debug_frame section").next().unwrap();
    let mut rows = Vec::new();
    let (mut signals, mut columns, mut in_function) = (BTreeSet::new(), Vec::new(), false);
    for line in printed.lines() {
        // A register whose value is in another register is printed as `r10 (r10)`.
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with('(')).collect();
        match words[..] {
            [offset, _, _, "CIE", augmentation, ..] => {
                in_function = false;
                if augmentation.contains('S') {
                    signals.insert(format!("cie={offset}"));
                }
            }
            [_, _, _, "FDE", common, ..] => in_function = !signals.contains(common),
            ["LOC", ..] => columns = words.iter().map(|word| (*word).to_owned()).collect(),
            [location, _, ..] if in_function => {
                let Ok(location) = u64::from_str_radix(location, 16) else { continue };
                let column = |name: &str| columns.iter().position(|column| column == name);
                let value = |name: &str| column(name).map_or("u", |at| words[at]).to_owned();
                rows.push((location, [value("CFA"), value("rbp"), value("r14"), value("ra")]));
            }
            _ => {}
        }
    }
    rows
}

#[derive(Default)]
struct RowCounts {
    /// Number of rows for which goflame and readelf have the same result.
    known: usize,
    /// Number of rows without a result, because goflame does not support their rules.
    refused: usize,
}

/// Compares every row of a file with `readelf`.
fn compare(path: &Path) -> RowCounts {
    let bytes = fs::read(path).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    let number = |text: &str| text.parse::<i32>().unwrap();
    let mut compared = RowCounts::default();
    for (address, [cfa, rbp, r14, ra]) in readelf_rows(path) {
        let found = binary.native_unwind(address);
        let base = match cfa.split_once('+') {
            Some(("rsp", offset)) => Some((CfaBase::StackPointer, number(offset))),
            Some(("rbp", offset)) => Some((CfaBase::FramePointer, number(offset))),
            _ => None,
        };
        let NativeUnwind::Frame { cfa: found_cfa, frame_pointer, goroutine } = (match (found, &*ra) {
            (Some(NativeUnwind::Root), "u") => continue,
            (Some(frame), "c-8") => frame,
            (None, _) if base.is_none() || ra != "c-8" => {
                compared.refused += 1;
                continue;
            }
            _ => panic!("{address:x}: {found:?} and not {cfa} {rbp} {ra}"),
        }) else {
            panic!("{address:x}: a root and not {cfa} {rbp} {ra}");
        };
        if let Some((base, offset)) = base {
            assert_eq!(found_cfa, Cfa { base, offset, offset_after_load: None }, "{address:x}");
        } else {
            assert_eq!(cfa, "exp", "{address:x}");
        }
        for (saved, truth) in [(frame_pointer, rbp), (goroutine, r14)] {
            match truth.strip_prefix('c') {
                Some(offset) => assert_eq!(saved, SavedRegister::AtCfa(number(offset)), "{address:x}"),
                None if truth == "u" || truth == "s" => assert_eq!(saved, SavedRegister::Same, "{address:x}"),
                None => assert!(
                    matches!(saved, SavedRegister::AtFramePointer(_) | SavedRegister::Lost),
                    "{address:x}: {truth}"
                ),
            }
        }
        compared.known += 1;
    }
    compared
}

#[test]
fn every_row_has_the_same_result_as_in_readelf() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().find(|line| line.ends_with("/libc.so.6")).unwrap();
    let libc = Path::new(&libc[libc.find('/').unwrap()..]);
    let RowCounts { known, refused } = compare(libc);
    assert!(known > 10_000 && refused * 500 < known, "{refused} refused, {known} known");
    let RowCounts { known, refused } = compare(&PROGRAM.path);
    assert!(known > 10, "{refused} refused, {known} known");
}

#[test]
fn known_expressions_are_recognised() {
    let binary = PROGRAM.binary();
    // The first stub pushes a word and jumps. Every other stub jumps, pushes a word at bytes 6 to 11, and jumps.
    let (plt, _) = binary.section(".plt").unwrap();
    let offset = |byte: u64| match binary.native_unwind(plt + byte) {
        Some(NativeUnwind::Frame {
            cfa: Cfa { base: CfaBase::StackPointer, offset, offset_after_load: None }, ..
        }) => offset,
        other => panic!("{other:?}"),
    };
    assert_eq!([0, 6, 16, 26, 27, 31, 32].map(offset), [16, 24, 8, 8, 16, 16, 8]);

    let symbols = run_for_stdout(Command::new("nm").arg("-S").arg(&PROGRAM.path));
    let line = symbols.lines().find(|line| line.ends_with(" aligned")).unwrap();
    let [start, size]: [u64; 2] =
        std::array::from_fn(|at| u64::from_str_radix(line.split_whitespace().nth(at).unwrap(), 16).unwrap());
    let body = Cfa { base: CfaBase::FramePointer, offset: -8, offset_after_load: Some(0) };
    let is_body = |address: &u64| match binary.native_unwind(*address) {
        Some(NativeUnwind::Frame { cfa, frame_pointer, .. }) if cfa == body => {
            assert_eq!(frame_pointer, SavedRegister::AtFramePointer(0));
            true
        }
        _ => false,
    };
    assert!(
        (start..start + size).filter(is_body).count() > 10,
        "the compiler does not use the expression in `aligned`"
    );
}

#[test]
fn the_entry_of_a_program_is_a_root() {
    let binary = PROGRAM.binary();
    let symbols = run_for_stdout(Command::new("nm").arg(&PROGRAM.path));
    let start = symbols.lines().find(|line| line.ends_with(" _start")).unwrap();
    let start = u64::from_str_radix(start.split_whitespace().next().unwrap(), 16).unwrap();
    assert_eq!(binary.native_unwind(start + 4), Some(NativeUnwind::Root));
    assert_eq!(binary.native_unwind(0), None);
    assert_eq!(binary.native_unwind(u64::MAX), None);
}

#[test]
fn go_code_has_no_call_frame_information() {
    let program = Program::go(TINY_SOURCE, &[]);
    let binary = program.binary();
    let entry = binary.pclntab().unwrap().functions().next().unwrap().entry();
    assert_eq!(binary.native_unwind(entry), None);
}

fn section_offset(bytes: &[u8], name: &[u8]) -> usize {
    offset_of(bytes, Elf::parse(bytes).unwrap().section(name).unwrap().bytes)
}

#[test]
fn a_damaged_section_does_not_panic() {
    let whole = &PROGRAM.bytes;
    let start = section_offset(whole, b".eh_frame");
    let size = PROGRAM.binary().section(".eh_frame").unwrap().1.len();
    let text = PROGRAM.binary().section(".text").unwrap();
    for byte in start..start + size {
        for value in [0, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[byte] = value;
            let binary = Binary::parse(&bytes).unwrap();
            for address in (text.0..text.0 + text.1.len() as u64).step_by(41) {
                let _either = binary.native_unwind(address);
            }
        }
    }
}

#[test]
fn expressions_that_loop_are_not_evaluated() {
    // DW_CFA_def_cfa_expression, three bytes: DW_OP_skip -3.
    let endless = [0x0f, 3, 0x2f, 0xfd, 0xff];
    let mut bytes = PROGRAM.bytes.clone();
    let start = section_offset(&bytes, b".eh_frame");
    let sequence = [0x0f, 0x03, 0x76, 0x78, 0x06];
    let position = bytes[start..].windows(5).position(|window| window == sequence).unwrap();
    bytes[start + position..start + position + 5].copy_from_slice(&endless);
    let symbols = run_for_stdout(Command::new("nm").arg(&PROGRAM.path));
    let line = symbols.lines().find(|line| line.ends_with(" aligned")).unwrap();
    let start = u64::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap();
    let binary = Binary::parse(&bytes).unwrap();
    assert!((start..start + 64).any(|address| binary.native_unwind(address).is_none()));
}
