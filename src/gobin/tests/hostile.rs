//! Damaged files cause no panic. Where the damage can be detected, the file is refused with the right reason.

use super::*;

/// Calls every function of [`Binary`].
pub(super) fn call_all_readers(bytes: &[u8]) {
    let Ok(binary) = Binary::parse(bytes) else { return };
    let facts = binary.facts();
    assert!(facts.build_id.is_none_or(|id| id.len() <= 2 * bytes.len()));
    for segment in binary.load_segments() {
        let step = usize::try_from(segment.file_size / 40).unwrap().max(1);
        for address in (segment.address..segment.address.saturating_add(segment.file_size)).step_by(step) {
            let _either = (locate(&binary, address), binary.native_unwind(address));
        }
        binary.address_of_offset(segment.offset);
    }
    for address in [0, 1, u64::MAX] {
        let _either = (locate(&binary, address), binary.native_unwind(address));
        binary.address_of_offset(address);
    }
}

fn tiny_program() -> Program {
    Program::go(TINY_SOURCE, &["-buildmode=pie"])
}

/// File offsets of the parts that are parsed: headers, function table, moduledata, notes, ...
fn parsed_parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let elf = Elf::parse(bytes).unwrap();
    let mut parts = vec![0..0x1000, bytes.len() - 64 * 30..bytes.len()];
    let section_headers = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
    parts.push(section_headers..(section_headers + 64 * 30).min(bytes.len()));
    for name in [
        ".gopclntab",
        ".go.module",
        ".go.buildinfo",
        ".note.gnu.build-id",
        ".symtab",
        ".dynsym",
        ".rela",
        ".debug_info",
        ".dynamic",
    ] {
        let Some(section) = elf.section(name.as_bytes()) else { continue };
        let start = offset_of(bytes, section.bytes);
        parts.push(start..start + section.bytes.len().min(0x400));
    }
    let start = offset_of(bytes, elf.section(b".gopclntab").unwrap().bytes);
    for word in [0, 2, 3, 4, 5] {
        let field = start + 24 + word * 8;
        let table = start + u64::from_le_bytes(bytes[field..field + 8].try_into().unwrap()) as usize;
        parts.push(table..table + 0x200);
    }
    parts
}

#[test]
fn the_highest_address_has_no_debug_information() {
    let program = tiny_program();
    let debug = debuginfo::DebugInfo::read(&Elf::parse(&program.bytes).unwrap()).unwrap();
    // Found by fuzzing: a text section can end at the highest address.
    assert!(debug.frames(u64::MAX).is_empty());
}

#[test]
fn debug_information_with_too_many_empty_units_is_refused() {
    let units = |count: usize| {
        // Units of 12 bytes, each with one entry without attributes. addr2line needs 700 bytes of memory for each unit.
        let source = format!(
            r#"__asm__(".section .debug_abbrev,\"\",@progbits\n.byte 1,0x11,0,0,0,0\n"
                ".section .debug_info,\"\",@progbits\n"
                ".rept {count}\n.long 8\n.value 4\n.long 0\n.byte 8,1\n.endr\n.text\n");
            int main(void) {{ return 0; }}"#
        );
        let program = Program::c(&source, &[]);
        debuginfo::DebugInfo::read(&Elf::parse(&program.bytes).unwrap()).is_some()
    };
    assert!(units(1 << 16));
    assert!(!units((1 << 17) + 1));
}

#[test]
fn a_file_cut_off_anywhere_does_not_panic() {
    let program = tiny_program();
    let bytes = &program.bytes;
    let mut lengths: BTreeSet<usize> = (0..0x1000).chain((0..bytes.len()).step_by(9973)).collect();
    for part in parsed_parts(bytes) {
        lengths.extend(part.step_by(13));
    }
    for length in lengths {
        call_all_readers(&bytes[..length]);
        // A consistent file of the same length: it has no section headers, and no segment extends beyond the end of the
        // file.
        let mut consistent = remove_sections(&bytes[..length.max(0x1000)]);
        shorten_segments(&mut consistent);
        call_all_readers(&consistent);
    }
}

/// Cuts all segments off at the end of the file.
fn shorten_segments(bytes: &mut [u8]) {
    let total = bytes.len() as u64;
    let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    for header in (64..).step_by(56).take(count) {
        let field = |at: usize| header + at..header + at + 8;
        let offset = u64::from_le_bytes(bytes[field(8)].try_into().unwrap());
        let size = u64::from_le_bytes(bytes[field(32)].try_into().unwrap());
        let new_size = size.min(total.saturating_sub(offset));
        bytes[field(8)].copy_from_slice(&offset.min(total).to_le_bytes());
        bytes[field(32)].copy_from_slice(&new_size.to_le_bytes());
    }
}

#[test]
fn changed_bytes_do_not_panic() {
    let mut bytes = tiny_program().bytes;
    let parts = parsed_parts(&bytes);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..600 {
        let original = bytes.clone();
        for _ in 0..=round % 4 {
            let part = parts[random(parts.len())].clone();
            let at = part.start + random(part.len());
            match random(3) {
                0 => bytes[at] ^= 1 << random(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                _ => {
                    let at = (at & !3).min(original.len() - 4);
                    bytes[at..at + 4]
                        .copy_from_slice(&[0, u32::MAX, 0x7fff_ffff, 0x8000_0000][random(4)].to_le_bytes());
                }
            }
        }
        call_all_readers(&bytes);
        bytes = original;
    }
}

#[test]
fn the_go_version_gives_the_g_layout_if_the_runtimes_debug_information_is_damaged() {
    let program = Program::go(TINY_SOURCE, &["-ldflags=-compressdwarf=false"]);
    let (layout, source) = program.binary().g_layout().unwrap();
    assert_eq!(source, GLayoutSource::Dwarf);
    let elf = Elf::parse(&program.bytes).unwrap();
    let mut refused = 0;
    for name in [".debug_info", ".debug_abbrev"] {
        let section = elf.section(name.as_bytes()).unwrap().bytes;
        let start = offset_of(&program.bytes, section);
        for at in (0..section.len()).step_by(section.len() / 40) {
            let mut bytes = program.bytes.clone();
            bytes[start + at..start + section.len()].fill(if at % 2 == 0 { 0 } else { 0xff });
            let (found, source) = Binary::parse(&bytes).unwrap().g_layout().unwrap();
            assert_eq!(found, layout, "{name} damaged from byte {at}");
            refused += u32::from(source == GLayoutSource::Version);
        }
    }
    assert!(refused > 10, "{refused} were refused");
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let program = Program::go(TINY_SOURCE, &[]);
    let elf = Elf::parse(&program.bytes).unwrap();
    let table = elf.section(b".gopclntab").unwrap();
    let module = elf.section(b".go.module").unwrap();
    let [table_at, module_at] = [table, module].map(|section| offset_of(&program.bytes, section.bytes));
    let offset = |word: usize| u64::from_le_bytes(table.bytes[word * 8..word * 8 + 8].try_into().unwrap()) as usize;
    let functions = table_at + offset(8);
    let record =
        functions + u32::from_le_bytes(program.bytes[functions + 4..functions + 8].try_into().unwrap()) as usize;
    let damaged = |reason| PclntabAbsence::Damaged(reason);
    let elsewhere = damaged("it disagrees with the moduledata on where the code is");
    for (at, patch, expected) in [
        (table_at, &[0xfb][..], damaged("its parts are out of order")),
        (table_at, &[0xf2], PclntabAbsence::UnknownMagic(0xffff_fff2)),
        (table_at + 5, &[1], damaged("the header's padding is not zero")),
        (table_at + 6, &[4], damaged("the instruction size does not fit the machine")),
        (table_at + 7, &[4], damaged("the pointer size does not fit the file")),
        (table_at + 8, &[0; 8], damaged("the number of functions is impossible")),
        (table_at + 8, &[0xff; 8], damaged("the number of functions is impossible")),
        (table_at + 8, &[1, 0], PclntabAbsence::NoModuledata),
        (table_at + 24, &[1], elsewhere.clone()),
        (table_at + 32, &[0xff; 8], damaged("its parts are out of order")),
        (table_at + 40, &[0; 8], damaged("its parts are out of order")),
        (module_at, &[0xff], PclntabAbsence::NoModuledata),
        (module_at + 17 * 8, &[0xff], PclntabAbsence::NoModuledata),
        (module_at + 20 * 8, &[0x10], elsewhere.clone()),
        (module_at + 22 * 8, &[0x10], elsewhere),
        // With the magic of another layout, the fields of the records have other offsets.
        (table_at, &[0xf0], damaged("the functions' records do not follow one another")),
        (functions + 16, &[0; 4], damaged("the functions are not in the order of their addresses")),
        (functions + 4, &[0xff; 4], damaged("a function's record is cut off")),
        (record, &[1], damaged("a function's record is for another address")),
        (record + 4, &[0xff; 4], damaged("a function's record does not refer to the start of a name")),
        (record + 28, &[0xff; 4], damaged("a function's record is cut off")),
        (record + 28, &[9], damaged("the functions' records do not follow one another")),
    ] {
        let mut bytes = program.bytes.clone();
        bytes[at..at + patch.len()].copy_from_slice(patch);
        let binary = Binary::parse(&bytes).unwrap();
        assert_eq!(binary.pclntab().err(), Some(&expected), "{patch:x?} at {at:#x}");
        // Names still come from the symbol table, which also marks Go code; lines come from the debug information.
        let address = program.binary().pclntab().unwrap().functions().nth(100).unwrap().entry();
        let (with, without) = (locate(&program.binary(), address).unwrap(), locate(&binary, address).unwrap());
        assert_eq!(with.last().unwrap().name, without.last().unwrap().name);
        assert!(without.iter().all(|frame| frame.is_go));
    }
}

#[test]
fn more_segments_than_linux_loads_are_refused() {
    let mut bytes = tiny_program().bytes;
    bytes[56..58].copy_from_slice(&1171_u16.to_le_bytes());
    assert!(matches!(Binary::parse(&bytes).unwrap_err(), Error::Unsupported(what) if what.contains("program headers")));
}

#[test]
fn changed_debug_information_does_not_panic() {
    let source = "static inline __attribute__((always_inline)) int in(volatile int *a) { return *a * 3; }\n\
                  int main(int c, char **v) { (void)v; return in(&c) + in(&c); }\n";
    let mut bytes = Program::c(source, &["-O2", "-g"]).bytes;
    let parts: Vec<Range<usize>> = {
        let elf = Elf::parse(&bytes).unwrap();
        let sections = [".debug_info", ".debug_abbrev", ".debug_line", ".debug_rnglists"];
        let sections = sections.iter().filter_map(|name| elf.section(name.as_bytes()));
        let range = |start: usize, size| start..start + size;
        sections.map(|section| range(offset_of(&bytes, section.bytes), section.bytes.len())).collect()
    };
    assert!(parts.len() >= 3);
    for at in parts.into_iter().flatten() {
        let original = bytes[at];
        for value in [0, 0x7f, 0xff, original ^ 1] {
            bytes[at] = value;
            call_all_readers(&bytes);
        }
        bytes[at] = original;
    }
}
