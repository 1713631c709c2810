//! Byte order and pointer size of an ELF file.

use crate::bytes::Cursor;

/// Byte order and pointer size of the machine that the program was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumberFormat {
    pub(super) is_big_endian: bool,
    /// Size of a pointer in bytes: 4 or 8.
    pub(super) pointer_size: u8,
}

impl NumberFormat {
    pub(super) fn read_u16(self, cursor: &mut Cursor<'_>) -> Option<u16> {
        let bytes = cursor.array()?;
        Some(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn read_u32(self, cursor: &mut Cursor<'_>) -> Option<u32> {
        let bytes = cursor.array()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn read_u64(self, cursor: &mut Cursor<'_>) -> Option<u64> {
        let bytes = cursor.array()?;
        Some(if self.is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// Reads a pointer, or a number of the same size.
    pub(super) fn read_word(self, cursor: &mut Cursor<'_>) -> Option<u64> {
        if self.pointer_size == 8 { self.read_u64(cursor) } else { self.read_u32(cursor).map(u64::from) }
    }

    /// Size of a pointer in bytes.
    pub(super) fn word_size(self) -> usize {
        usize::from(self.pointer_size)
    }
}

#[cfg(test)]
mod tests {
    use super::NumberFormat;
    use crate::bytes::Cursor;

    #[test]
    fn both_byte_orders_and_pointer_sizes_are_read() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        for (is_big_endian, pointer_size, half, word) in [
            (false, 4, 0x0201, 0x0403_0201),
            (false, 8, 0x0201, 0x0807_0605_0403_0201),
            (true, 4, 0x0102, 0x0102_0304),
            (true, 8, 0x0102, 0x0102_0304_0506_0708),
        ] {
            let format = NumberFormat { is_big_endian, pointer_size };
            assert_eq!(format.read_u16(&mut Cursor::new(&bytes)), Some(half));
            assert_eq!(format.read_word(&mut Cursor::new(&bytes)), Some(word));
            assert_eq!(format.read_word(&mut Cursor::new(&bytes[..3])), None);
        }
    }
}
