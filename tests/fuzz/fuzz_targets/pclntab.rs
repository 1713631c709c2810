//! Fuzzes the reader of Go's function table: header and moduledata are valid, the other contents are arbitrary.
//!
//! Input: a byte of choices (byte order, class, layout, with or without sections), six numbers (16 bits each,
//! little-endian), then the bytes of the table's parts. The numbers are the sizes of the first four parts, the number of
//! functions, and the offset of `go:func.*` from the table's start.
#![no_main]

#[path = "../image/mod.rs"]
mod image;

use image::{DATA, ElfKind, Section, TEXT, TEXT_SIZE, exercise, elf};
use libfuzzer_sys::fuzz_target;

const MAGICS: [u64; 4] = [0xffff_fff1, 0xffff_fff0, 0xffff_fffa, 0xffff_fffb];

/// Exercises a table of Go 1.2 to 1.15: a valid header, then `body`. Such a table needs no moduledata.
fn old_table(kind: ElfKind, function_count: u64, body: &[u8], with_sections: bool) {
    let mut table = Vec::new();
    kind.push(&mut table, 4, MAGICS[3]);
    table.extend([0, 0, kind.quantum(), kind.word_size() as u8]);
    kind.push_word(&mut table, function_count);
    table.extend(body);
    let section = [Section { name: ".gopclntab", compressed: false, address: DATA, bytes: &table }];
    exercise(&elf(kind, &table, if with_sections { &section } else { &[] }));
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choices, rest)) = bytes.split_first() else { return };
    let Some((numbers, body)) = rest.split_first_chunk::<12>() else { return };
    let number = |at: usize| usize::from(u16::from_le_bytes([numbers[2 * at], numbers[2 * at + 1]]));
    let kind = ElfKind { big_endian: choices & 1 != 0, is_64_bit: choices & 2 != 0 };
    let layout = usize::from(choices >> 2 & 3);
    let with_sections = choices & 16 == 0;
    let (function_count, trees) = (number(4) as u64, number(5) as u64);
    // The header has one word more than in Go 1.16.
    let has_text = layout < 2;
    if layout == 3 {
        return old_table(kind, function_count, body, with_sections);
    }
    let header_size = 8 + kind.word_size() * if has_text { 8 } else { 7 };
    let mut offsets = [header_size as u64; 5];
    for part in 1..5 {
        offsets[part] = offsets[part - 1] + number(part - 1) as u64;
    }

    let mut table = Vec::new();
    kind.push(&mut table, 4, MAGICS[layout]);
    table.extend([0, 0, kind.quantum(), kind.word_size() as u8]);
    kind.push_word(&mut table, function_count);
    kind.push_word(&mut table, 1);
    if has_text {
        kind.push_word(&mut table, 0);
    }
    for offset in offsets {
        kind.push_word(&mut table, offset);
    }
    table.extend(body);
    let table_size = table.len() as u64;
    table.resize(table.len().next_multiple_of(8), 0);

    // The first entry of the functab and the entry after the last function are the bounds of the code.
    let step = if has_text { 4 } else { kind.word_size() };
    let base = if has_text { TEXT } else { 0 };
    let entry = |index: u64| {
        let offset = offsets[4] as usize + index as usize * 2 * step;
        base.wrapping_add(kind.read(&table, offset, step))
    };
    let mut words = vec![DATA];
    for offset in offsets {
        words.extend([DATA + offset, 0, 0]);
    }
    words.extend([
        DATA + offsets[4],
        function_count + 1,
        0,
        0,
        entry(0),
        entry(function_count),
        TEXT,
        TEXT + TEXT_SIZE,
    ]);
    words.resize(46, 0);
    for gofunc in [38, 40, 43] {
        words[gofunc] = DATA + table_size.min(trees);
    }
    let mut module = Vec::new();
    for word in words {
        kind.push_word(&mut module, word);
    }
    let module_at = DATA + table.len() as u64;
    let data = [&table[..], &module].concat();
    let sections = [
        Section { name: ".gopclntab", compressed: false, address: DATA, bytes: &table },
        Section { name: ".go.module", compressed: false, address: module_at, bytes: &module },
    ];
    exercise(&elf(kind, &data, if with_sections { &sections } else { &[] }));
});
