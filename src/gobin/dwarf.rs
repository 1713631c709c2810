//! Whether there is DWARF, and of which version. The contents are not read.

use std::io::Read as _;

use object::LittleEndian as LE;
use object::elf;

use super::elf::Elf;
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
        if let Some((header, bytes)) = elf.section(b".debug_info") {
            let compressed = header.sh_flags.get(LE).contains(elf::SHF_COMPRESSED);
            let version = if compressed { inflate_elf(bytes).and_then(version) } else { version(bytes) };
            // What `objcopy --only-keep-debug` leaves behind in the program is a header without contents.
            return Self { present: !bytes.is_empty(), version, compressed };
        }
        if let Some((_, bytes)) = elf.section(b".zdebug_info") {
            let stream = bytes.strip_prefix(b"ZLIB").and_then(|rest| rest.get(8..));
            return Self { present: true, version: stream.and_then(inflate).and_then(version), compressed: true };
        }
        Self { present: false, version: None, compressed: false }
    }
}

/// Enough of a unit for its version: a length of 12 bytes in the 64-bit form, and the version.
const UNIT_START: usize = 14;

/// The version in the header of the unit at the start of `bytes`.
fn version(bytes: impl AsRef<[u8]>) -> Option<u16> {
    let mut cursor = Cursor::new(bytes.as_ref());
    if cursor.u32()? == u32::MAX {
        cursor.u64()?;
    }
    cursor.u16()
}

/// The first bytes of a `SHF_COMPRESSED` section (`Elf64_Chdr` and a stream), if it is zlib's.
fn inflate_elf(bytes: &[u8]) -> Option<[u8; UNIT_START]> {
    let mut cursor = Cursor::new(bytes);
    let kind = cursor.u32()?;
    cursor.skip(20)?;
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
    use super::version;

    #[test]
    fn both_forms_of_the_length() {
        assert_eq!(version([9, 0, 0, 0, 5, 0]), Some(5));
        assert_eq!(version([255, 255, 255, 255, 9, 0, 0, 0, 0, 0, 0, 0, 4, 0]), Some(4));
        assert_eq!(version([9, 0, 0, 0, 5]), None);
    }
}
