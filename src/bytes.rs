//! Bounded little-endian reading of `&[u8]`, and hexadecimal text.
//!
//! Every read past the end returns `None`, so that readers of hostile files (`perfdata`, `gobin`, `pprof`) cannot
//! panic, and cannot be made to allocate more memory than the file has bytes. Must not do I/O, and must not know any
//! format.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::as_conversions)]

use std::ffi::CStr;
use std::fmt::Write as _;

/// Formats bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A read position in a byte slice. A failed read does not move the position.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    unread: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { unread: bytes }
    }

    /// A cursor `offset` bytes after the start of `bytes`. `None` if `offset` is past the end.
    pub fn from_offset(bytes: &'a [u8], offset: usize) -> Option<Self> {
        bytes.get(offset..).map(Self::new)
    }

    /// The bytes that were not read yet.
    pub fn unread(&self) -> &'a [u8] {
        self.unread
    }

    /// The number of bytes that were not read yet.
    pub fn remaining(&self) -> usize {
        self.unread.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.unread.split_at_checked(count)?;
        self.unread = tail;
        Some(head)
    }

    /// Like [`Cursor::take`], for a count from a 64-bit field of a file.
    pub fn take_u64(&mut self, count: u64) -> Option<&'a [u8]> {
        self.take(usize::try_from(count).ok()?)
    }

    /// Skips `count` bytes. `None` if fewer bytes are unread.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    /// The next `N` bytes as an array, for example for a big-endian number.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.unread.split_first_chunk::<N>()?;
        self.unread = tail;
        Some(*head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next 2 bytes as a little-endian number.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next 4 bytes as a little-endian number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next 4 bytes as a signed little-endian number.
    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    /// The next 8 bytes as a little-endian number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The bytes before the next NUL. Skips the NUL too. `None` if there is no NUL.
    pub fn cstr(&mut self) -> Option<&'a [u8]> {
        let text = CStr::from_bytes_until_nul(self.unread).ok()?;
        self.skip(text.count_bytes().checked_add(1)?)?;
        Some(text.to_bytes())
    }

    /// The next unsigned LEB128 number of at most 32 bits, as in Go's tables.
    #[inline]
    pub fn uvarint32(&mut self) -> Option<u32> {
        // Fast path: most numbers have one byte.
        if let [byte @ ..0x80, rest @ ..] = self.unread {
            self.unread = rest;
            return Some(u32::from(*byte));
        }
        self.long_uvarint32()
    }

    fn long_uvarint32(&mut self) -> Option<u32> {
        let start = self.unread;
        let mut value = 0_u32;
        for shift in [0_u32, 7, 14, 21, 28] {
            let Some(byte) = self.u8() else { break };
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        self.unread = start;
        None
    }

    /// The next unsigned LEB128 number of at most 64 bits, as in protocol buffers.
    pub fn uvarint64(&mut self) -> Option<u64> {
        let start = self.unread;
        let mut value = 0_u64;
        for shift in (0_u32..64).step_by(7) {
            let Some(byte) = self.u8() else { break };
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds only the highest bit of the number.
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits.checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        self.unread = start;
        None
    }
}

/// Appends an unsigned LEB128 number: 7 bits per byte, the lowest bits first. The highest bit of a byte is set if more
/// bytes follow.
pub fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn values_are_read_in_order_up_to_the_end() {
        let bytes = [1, 2, 0, 3, 0, 0, 0, b'g', b'o', 0];
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.u8(), Some(1));
        assert_eq!(cursor.u16(), Some(2));
        assert_eq!(cursor.u32(), Some(3));
        assert_eq!(cursor.cstr(), Some(&b"go"[..]));
        assert_eq!(cursor.u8(), None);
    }

    #[test]
    fn a_failed_read_does_not_move_the_cursor() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.u64(), None);
        assert_eq!(cursor.cstr(), None);
        assert_eq!(cursor.take_u64(u64::MAX), None);
        assert_eq!(cursor.remaining(), 3);
    }

    #[test]
    fn varints_are_read_up_to_their_largest_value() {
        assert_eq!(Cursor::new(&[0xac, 0x02]).uvarint32(), Some(300));
        assert_eq!(Cursor::new(&[0xff; 8]).uvarint32(), None);
        let mut cut = Cursor::new(&[0x80]);
        assert_eq!(cut.uvarint32(), None);
        assert_eq!(cut.remaining(), 1);

        assert_eq!(Cursor::new(&[0xac, 0x02]).uvarint64(), Some(300));
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(Cursor::new(&largest).uvarint64(), Some(u64::MAX));
        for too_large in [&[0xff; 10][..], &[0x80; 11], &[0xff; 3]] {
            let mut cursor = Cursor::new(too_large);
            assert_eq!((cursor.uvarint64(), cursor.remaining()), (None, too_large.len()));
        }
    }
}
