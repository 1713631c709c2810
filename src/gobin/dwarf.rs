//! Whether there is DWARF, and of which version. The contents are not read.

use std::io::Read as _;

use object::elf;

use super::elf::Elf;
use super::format::Format;
use crate::bytes::Cursor;

/// What is known of the debug information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DwarfFacts {
    /// There is a `.debug_info` (or, of old, `.zdebug_info`).
    pub present: bool,
    /// The version of the first unit, when it could be read.
    pub version: Option<u16>,
    /// It is compressed, which some tools cannot read.
    pub compressed: bool,
}

impl DwarfFacts {
    pub(super) fn find(elf: &Elf<'_>) -> Self {
        if let Some(section) = elf.section(b".debug_info") {
            let stream = || inflate_elf(elf.format(), section.bytes).and_then(|start| version(elf.format(), start));
            let version = if section.compressed { stream() } else { version(elf.format(), section.bytes) };
            // What `objcopy --only-keep-debug` leaves behind in the program is a header without contents.
            return Self { present: !section.bytes.is_empty(), version, compressed: section.compressed };
        }
        if let Some(section) = elf.section(b".zdebug_info") {
            let stream = section.bytes.strip_prefix(b"ZLIB").and_then(|rest| rest.get(8..));
            let version = stream.and_then(inflate).and_then(|start| version(elf.format(), start));
            return Self { present: true, version, compressed: true };
        }
        Self { present: false, version: None, compressed: false }
    }
}

/// Enough of a unit for its version: a length of 12 bytes in the 64-bit form, and the version.
const UNIT_START: usize = 14;

/// The version in the header of the unit at the start of `bytes`.
fn version(format: Format, bytes: impl AsRef<[u8]>) -> Option<u16> {
    let mut cursor = Cursor::new(bytes.as_ref());
    if format.u32(&mut cursor)? == u32::MAX {
        cursor.skip(8)?;
    }
    format.u16(&mut cursor)
}

/// The first bytes of a `SHF_COMPRESSED` section (`Elf64_Chdr` or `Elf32_Chdr`, and a stream), if it is zlib's.
fn inflate_elf(format: Format, bytes: &[u8]) -> Option<[u8; UNIT_START]> {
    let mut cursor = Cursor::new(bytes);
    let kind = format.u32(&mut cursor)?;
    cursor.skip(if format.pointer_size == 8 { 20 } else { 8 })?;
    if kind == elf::ELFCOMPRESS_ZLIB.0 { inflate(cursor.rest()) } else { None }
}

/// The first bytes of a zlib stream; no more of it is decompressed than a block needs.
fn inflate(stream: &[u8]) -> Option<[u8; UNIT_START]> {
    let mut start = [0; UNIT_START];
    flate2::read::ZlibDecoder::new(stream).read_exact(&mut start).ok()?;
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::{Format, version};

    #[test]
    fn both_forms_of_the_length() {
        let little = Format { big_endian: false, pointer_size: 8 };
        let big = Format { big_endian: true, pointer_size: 4 };
        assert_eq!(version(little, [9, 0, 0, 0, 5, 0]), Some(5));
        assert_eq!(version(big, [0, 0, 0, 9, 0, 5]), Some(5));
        assert_eq!(version(little, [255, 255, 255, 255, 9, 0, 0, 0, 0, 0, 0, 0, 4, 0]), Some(4));
        assert_eq!(version(little, [9, 0, 0, 0, 5]), None);
    }
}
