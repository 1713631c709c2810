//! A text that is split into sections. Go's linker does that only on 32-bit ARM and PowerPC, with tens of megabytes of
//! code, so these tests change a small program as if the linker had split it.

use super::*;

/// Bytes between the end offset of the first section and the start offset of the second.
const GAP: u32 = 0x1000;

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, words: &[u64]) {
    for (at, word) in (at..).step_by(8).zip(words) {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// Splits the text before the function with this index. Returns the program and the file offset of the map.
fn split(program: &Program, index: usize) -> (Vec<u8>, usize) {
    let mut bytes = program.bytes.clone();
    let (table, module) = {
        let elf = Elf::parse(&program.bytes).unwrap();
        let offset = |name: &str| offset_of(&program.bytes, elf.section(name.as_bytes()).unwrap().bytes);
        (offset(".gopclntab"), offset(".go.module"))
    };
    let count = word(&bytes, table + 8) as usize;
    let functions = table + word(&bytes, table + 64) as usize;
    let border = half(&bytes, functions + index * 8);
    for at in index..=count {
        let entry = functions + at * 8;
        let moved = (half(&bytes, entry) + GAP).to_le_bytes();
        let record = functions + half(&bytes, entry + 4) as usize;
        bytes[entry..entry + 4].copy_from_slice(&moved);
        if at < count {
            bytes[record..record + 4].copy_from_slice(&moved);
        }
    }
    // The map overwrites the findfunctab, which only the runtime reads.
    let [index_at, text, text_end] = [19, 22, 23].map(|at| word(&bytes, module + at * 8));
    let map = file_offset(&bytes, index_at);
    let version = program.binary().build_info().unwrap().go_version;
    let at = if version.starts_with("go1.26") { 42 } else { 45 };
    let [old_map, sections] = [0, 1].map(|further| word(&bytes, module + (at + further) * 8));
    let old_map = file_offset(&bytes, old_map);
    let [start, size, base] = [0, 8, 16].map(|field| word(&bytes, old_map + field));
    assert_eq!((sections, start, base), (1, 0, text), "{version} has its textsectmap at another offset");
    assert!(size.abs_diff(text_end - text) <= 64);
    let (border, gap) = (u64::from(border), u64::from(GAP));
    put(&mut bytes, map, &[0, border, text, border + gap, size + gap, text + border]);
    put(&mut bytes, module + at * 8, &[index_at, 2, 2]);
    (bytes, map)
}

#[test]
fn a_text_in_two_sections_has_the_same_functions() {
    let program = Program::go(NAMES, &[]);
    let (bytes, map) = split(&program, 700);
    assert_same_answers(&program.binary(), &Binary::parse(&bytes).unwrap(), 7);
    // Without a valid map the offsets lead to wrong addresses.
    let mut without = bytes.clone();
    put(&mut without, map, &[1]);
    let refused = PclntabAbsence::Damaged("it disagrees with the moduledata on where the code is");
    assert_eq!(Binary::parse(&without).unwrap().pclntab().unwrap_err(), &refused);
    for at in (map..map + 48).step_by(4) {
        for value in [1, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            hostile::exercise(&damaged);
        }
    }
}
