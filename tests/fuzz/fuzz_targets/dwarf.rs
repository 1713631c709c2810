//! Fuzzes the reader of DWARF: a valid C program with arbitrary debug sections.
//!
//! Input: a byte of choices (byte order, class), the index of the section that is marked as compressed (255: all sections),
//! then the sections. Each section has a size (16 bits, little-endian) and its bytes. A size beyond
//! the end of the input means the rest of the input.
#![no_main]

#[path = "../image/mod.rs"]
mod image;

use goflame::gobin::{Binary, Locator};
use image::{ElfKind, Section, TEXT, TEXT_SIZE, exercise, elf};
use libfuzzer_sys::fuzz_target;

const SECTIONS: [&str; 9] = [
    ".debug_info",
    ".debug_abbrev",
    ".debug_line",
    ".debug_line_str",
    ".debug_str",
    ".debug_rnglists",
    ".debug_ranges",
    ".debug_addr",
    ".debug_str_offsets",
];

fuzz_target!(|bytes: &[u8]| {
    let [choices, compressed, rest @ ..] = bytes else { return };
    let kind = ElfKind { big_endian: choices & 1 != 0, is_64_bit: choices & 2 != 0 };
    let mut rest = rest;
    let mut sections = Vec::new();
    for (number, name) in SECTIONS.into_iter().enumerate() {
        let (size, after) = rest.split_first_chunk::<2>().unwrap_or((&[0xff; 2], rest));
        let (bytes, after) = after.split_at(after.len().min(usize::from(u16::from_le_bytes(*size))));
        let compressed = *compressed == u8::MAX || usize::from(*compressed) == number;
        sections.push(Section { name, compressed, address: 0, bytes });
        rest = after;
    }
    let file = elf(kind, &[], &sections);
    let binary = Binary::parse(&file).expect("the file around the sections is valid");
    for address in (TEXT..TEXT + TEXT_SIZE).step_by(7) {
        let mut locator = Locator::new(&binary);
        let Ok(frames) = locator.locate(address) else { continue };
        let (physical, inlined) = frames.split_last().expect("at least one frame");
        assert!(!physical.inlined && inlined.iter().all(|frame| frame.inlined));
    }
    exercise(&file);
});
