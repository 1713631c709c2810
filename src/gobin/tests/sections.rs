//! A text that is split into sections. Go's linker splits a text only on 32-bit ARM and PowerPC, at tens of megabytes of
//! code. So these tests change a small program as if the linker had split its text.

use super::*;

/// Bytes between the end offset of the first section and the start offset of the second.
const GAP_BYTES: u32 = 0x1000;

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn write_words(bytes: &mut [u8], at: usize, words: &[u64]) {
    for (at, word) in (at..).step_by(8).zip(words) {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// Splits the text before the function with this index. Returns the program and the file offset of the map.
fn split_text(program: &Program, index: usize) -> (Vec<u8>, usize) {
    let mut bytes = program.bytes.clone();
    let (table, module) = {
        let elf = Elf::parse(&program.bytes).unwrap();
        let offset = |name: &str| offset_of(&program.bytes, elf.section(name.as_bytes()).unwrap().bytes);
        (offset(".gopclntab"), offset(".go.module"))
    };
    let count = read_u64(&bytes, table + 8) as usize;
    let functions = table + read_u64(&bytes, table + 64) as usize;
    let border = read_u32(&bytes, functions + index * 8);
    for at in index..=count {
        let entry = functions + at * 8;
        let moved = (read_u32(&bytes, entry) + GAP_BYTES).to_le_bytes();
        let record = functions + read_u32(&bytes, entry + 4) as usize;
        bytes[entry..entry + 4].copy_from_slice(&moved);
        if at < count {
            bytes[record..record + 4].copy_from_slice(&moved);
        }
    }
    // The map overwrites the findfunctab, which only the runtime reads.
    let [index_at, text, text_end] = [19, 22, 23].map(|at| read_u64(&bytes, module + at * 8));
    let map = file_offset(&bytes, index_at);
    let version = program.binary().build_info().unwrap().go_version;
    let at = if version.starts_with("go1.26") { 42 } else { 45 };
    let [old_map, sections] = [at, at + 1].map(|index| read_u64(&bytes, module + index * 8));
    let old_map = file_offset(&bytes, old_map);
    let [start, size, base] = [0, 8, 16].map(|field| read_u64(&bytes, old_map + field));
    assert_eq!((sections, start, base), (1, 0, text), "{version} has its textsectmap at another offset");
    assert!(size.abs_diff(text_end - text) <= 64);
    let (border, gap) = (u64::from(border), u64::from(GAP_BYTES));
    write_words(&mut bytes, map, &[0, border, text, border + gap, size + gap, text + border]);
    write_words(&mut bytes, module + at * 8, &[index_at, 2, 2]);
    (bytes, map)
}

#[test]
fn a_text_in_two_sections_has_the_same_functions() {
    let program = Program::go(NAMES_SOURCE, &[]);
    let (bytes, map) = split_text(&program, 700);
    assert_same_answers(&program.binary(), &Binary::parse(&bytes).unwrap(), 7);
    // Without a valid map the offsets lead to wrong addresses.
    let mut without = bytes.clone();
    write_words(&mut without, map, &[1]);
    let refused = PclntabAbsence::Damaged("it disagrees with the moduledata on where the code is");
    assert_eq!(Binary::parse(&without).unwrap().pclntab().unwrap_err(), &refused);
    for at in (map..map + 48).step_by(4) {
        for value in [1, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            hostile::call_all_readers(&damaged);
        }
    }
}
