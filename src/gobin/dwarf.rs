//! Detects whether a file has DWARF, and its version. Reads only the header of the first unit.

use std::io::Read as _;

use object::elf;

use super::elf::Elf;
use super::format::NumberFormat;
use crate::bytes::Cursor;

/// Facts about the debug information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DwarfFacts {
    /// Whether the file has a `.debug_info` or an old `.zdebug_info`.
    pub is_present: bool,
    /// DWARF version of the first unit; `None` if it cannot be read.
    pub version: Option<u16>,
    /// Whether the sections are compressed, which some tools cannot read.
    pub is_compressed: bool,
}

impl DwarfFacts {
    pub(super) fn find(elf: &Elf<'_>) -> Self {
        if let Some(section) = elf.section(b".debug_info") {
            let inflated =
                || inflate_elf_section(elf.format(), section.bytes).and_then(|start| read_version(elf.format(), start));
            let version = if section.compressed { inflated() } else { read_version(elf.format(), section.bytes) };
            // `objcopy --only-keep-debug` leaves a section header without contents in the program.
            return Self { is_present: !section.bytes.is_empty(), version, is_compressed: section.compressed };
        }
        if let Some(section) = elf.section(b".zdebug_info") {
            let stream = section.bytes.strip_prefix(b"ZLIB").and_then(|rest| rest.get(8..));
            let version = stream.and_then(inflate_zlib).and_then(|start| read_version(elf.format(), start));
            return Self { is_present: true, version, is_compressed: true };
        }
        Self { is_present: false, version: None, is_compressed: false }
    }
}

/// Size in bytes of the beginning of a unit in 64-bit DWARF: its length (12 bytes) and its version (2 bytes).
const UNIT_START_SIZE: usize = 14;

/// The version in the header of the unit at the start of `bytes`.
fn read_version(format: NumberFormat, bytes: impl AsRef<[u8]>) -> Option<u16> {
    let mut cursor = Cursor::new(bytes.as_ref());
    if format.read_u32(&mut cursor)? == u32::MAX {
        cursor.skip(8)?;
    }
    format.read_u16(&mut cursor)
}

/// The first decompressed bytes of a `SHF_COMPRESSED` section (`Elf64_Chdr` or `Elf32_Chdr`, then a zlib stream).
fn inflate_elf_section(format: NumberFormat, bytes: &[u8]) -> Option<[u8; UNIT_START_SIZE]> {
    let mut cursor = Cursor::new(bytes);
    let kind = format.read_u32(&mut cursor)?;
    cursor.skip(if format.pointer_size == 8 { 20 } else { 8 })?;
    if kind == elf::ELFCOMPRESS_ZLIB.0 { inflate_zlib(cursor.unread()) } else { None }
}

fn inflate_zlib(stream: &[u8]) -> Option<[u8; UNIT_START_SIZE]> {
    let mut start = [0; UNIT_START_SIZE];
    flate2::read::ZlibDecoder::new(stream).read_exact(&mut start).ok()?;
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::{NumberFormat, read_version};

    #[test]
    fn the_version_is_read_after_a_32_bit_or_64_bit_length() {
        let little = NumberFormat { is_big_endian: false, pointer_size: 8 };
        let big = NumberFormat { is_big_endian: true, pointer_size: 4 };
        assert_eq!(read_version(little, [9, 0, 0, 0, 5, 0]), Some(5));
        assert_eq!(read_version(big, [0, 0, 0, 9, 0, 5]), Some(5));
        assert_eq!(read_version(little, [255, 255, 255, 255, 9, 0, 0, 0, 0, 0, 0, 0, 4, 0]), Some(4));
        assert_eq!(read_version(little, [9, 0, 0, 0, 5]), None);
    }
}
