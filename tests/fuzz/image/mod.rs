//! Builds small valid ELF files around the bytes of a fuzzer, so that the fuzzer does not have to discover the ELF
//! format first.

use goflame::gobin::{Binary, Locator};
use goflame::goname;

/// Address of the code.
pub const TEXT: u64 = 0x1_0000;
/// Size of the code in bytes.
pub const TEXT_SIZE: u64 = 0x1000;
/// Address of the data.
pub const DATA: u64 = 0x10_0000;

/// Class, byte order and machine of a file.
#[derive(Clone, Copy)]
pub struct ElfKind {
    pub big_endian: bool,
    pub is_64_bit: bool,
}

impl ElfKind {
    /// ELF number of 386, amd64, mips or s390x. Their smallest instructions have 1, 1, 4 and 2 bytes.
    fn machine(self) -> u64 {
        match (self.big_endian, self.is_64_bit) {
            (false, false) => 3,
            (false, true) => 62,
            (true, false) => 8,
            (true, true) => 22,
        }
    }

    /// Size in bytes of the smallest instruction.
    pub fn quantum(self) -> u8 {
        match self.machine() {
            8 => 4,
            22 => 2,
            _ => 1,
        }
    }

    pub fn word_size(self) -> usize {
        if self.is_64_bit { 8 } else { 4 }
    }

    pub fn push(self, bytes: &mut Vec<u8>, size: usize, value: u64) {
        if self.big_endian {
            bytes.extend(&value.to_be_bytes()[8 - size..]);
        } else {
            bytes.extend(&value.to_le_bytes()[..size]);
        }
    }

    /// Appends a pointer, or a number of the same size.
    pub fn push_word(self, bytes: &mut Vec<u8>, value: u64) {
        self.push(bytes, self.word_size(), value);
    }

    /// Reads a number of `size` bytes. 0 if the bytes are too short.
    pub fn read(self, bytes: &[u8], offset: usize, size: usize) -> u64 {
        let field = bytes.get(offset..).and_then(|rest| rest.get(..size)).unwrap_or(&[0; 8][..size]);
        let step = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { field.iter().fold(0, step) } else { field.iter().rev().fold(0, step) }
    }
}

pub struct Section<'a> {
    pub name: &'a str,
    /// Whether the section has the flag `SHF_COMPRESSED`.
    pub compressed: bool,
    /// 0 if the section is not loaded into memory.
    pub address: u64,
    pub bytes: &'a [u8],
}

/// Builds an executable with code at [`TEXT`] and `data` at [`DATA`]. If `sections` is empty, the file has no section
/// headers.
pub fn elf(kind: ElfKind, data: &[u8], sections: &[Section<'_>]) -> Vec<u8> {
    let (header, program, entry) = if kind.is_64_bit { (64, 56, 64) } else { (52, 32, 40) };
    let text_at = header + 2 * program;
    let data_at = text_at + TEXT_SIZE as usize;
    let mut names = vec![0];
    let mut contents: Vec<u8> = Vec::new();
    let mut table = vec![0; entry];
    let contents_at = data_at + data.len();
    let mut add = |name: &str, section_kind, flags, address, bytes: &[u8], names: &mut Vec<u8>| {
        kind.push(&mut table, 4, names.len() as u64);
        names.extend(name.bytes().chain([0]));
        kind.push(&mut table, 4, section_kind);
        for word in [flags, address, (contents_at + contents.len()) as u64, bytes.len() as u64] {
            kind.push_word(&mut table, word);
        }
        kind.push(&mut table, 8, 0);
        kind.push_word(&mut table, 1);
        kind.push_word(&mut table, 0);
        contents.extend(bytes);
    };
    for section in sections {
        let flags = if section.compressed { 0x800 } else { 0 };
        add(section.name, 1, flags, section.address, section.bytes, &mut names);
    }
    let names_before = names.len();
    let mut all_names = names.clone();
    all_names.extend(*b".shstrtab\0");
    add(".shstrtab", 3, 0, 0, &all_names, &mut names);
    debug_assert_eq!(names_before + 10, names.len());
    let sections_at = contents_at + contents.len();

    let mut file = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(kind.is_64_bit), 1 + u8::from(kind.big_endian), 1];
    file.resize(16, 0);
    kind.push(&mut file, 2, 2);
    kind.push(&mut file, 2, kind.machine());
    kind.push(&mut file, 4, 1);
    let count = if sections.is_empty() { 0 } else { sections.len() as u64 + 2 };
    for word in [TEXT, header as u64, if count == 0 { 0 } else { sections_at as u64 }] {
        kind.push_word(&mut file, word);
    }
    kind.push(&mut file, 4, 0);
    for half in [header, program, 2, entry] {
        kind.push(&mut file, 2, half as u64);
    }
    kind.push(&mut file, 2, count);
    kind.push(&mut file, 2, count.saturating_sub(1));
    for (flags, at, address, size) in [(5, text_at, TEXT, TEXT_SIZE), (6, data_at, DATA, data.len() as u64)] {
        kind.push(&mut file, 4, 1);
        if kind.is_64_bit {
            kind.push(&mut file, 4, flags);
        }
        for word in [at as u64, address, address, size, size] {
            kind.push_word(&mut file, word);
        }
        if !kind.is_64_bit {
            kind.push(&mut file, 4, flags);
        }
        kind.push_word(&mut file, 1);
    }
    file.resize(data_at, 0);
    file.extend(data);
    file.extend(contents);
    file.extend(table);
    file
}

/// Calls all readers of `gobin` on a file.
pub fn exercise(bytes: &[u8]) {
    let Ok(binary) = Binary::parse(bytes) else { return };
    let facts = binary.facts();
    assert_eq!(facts.build_id, binary.build_id());
    let _either = binary.g_layout();
    let mut locator = Locator::new(&binary);
    let mut exercise_at = |address| {
        let _either = (binary.unwind(address), binary.native_unwind(address));
        let frames = Locator::new(&binary).locate(address).map(<[_]>::to_vec);
        // Earlier look-ups must not change the result.
        assert_eq!(locator.locate(address), frames.as_deref().map_err(Clone::clone));
        let Ok(frames) = frames else { return };
        let (physical, inlined) = frames.split_last().expect("at least one frame");
        assert!(!physical.inlined && inlined.iter().all(|frame| frame.inlined && !frame.is_top_frame));
        for frame in frames {
            goname::display(&frame.name);
            goname::package(&frame.name);
        }
    };
    for segment in binary.load_segments() {
        let last = segment.address.saturating_add(segment.file_size.saturating_sub(1));
        for address in [segment.address, segment.address.midpoint(last), last, last.saturating_add(1)] {
            exercise_at(address);
        }
        binary.address_of_offset(segment.offset);
    }
    if let Ok(table) = binary.pclntab() {
        for function in table.functions().take(200) {
            let last = function.end().saturating_sub(1);
            for address in [function.entry(), function.entry().midpoint(last), last] {
                exercise_at(address);
            }
        }
    }
    for section in [".eh_frame", ".eh_frame_hdr", ".debug_frame"] {
        binary.section(section);
    }
}
