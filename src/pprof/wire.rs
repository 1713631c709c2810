//! Protocol buffers: reads the fields of a message in place.
//!
//! The encoding is <https://protobuf.dev/programming-guides/encoding>. A field starts with its number and type in one
//! varint. Its value follows: a varint, 4 or 8 bytes, or a length and that number of bytes.

use super::error::Error;
use crate::bytes::Cursor;

/// A message, or another range of bytes in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// Its offset in the file, in bytes.
    pub(super) offset: usize,
    /// The name that errors use for it: `a sample`.
    pub(super) what: &'static str,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    value: Value<'a>,
    /// Its offset in the file, in bytes.
    offset: usize,
    what: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    /// A message, a text or packed numbers, and the offset in the file.
    Bytes(&'a [u8], usize),
    /// 4 or 8 bytes. profile.proto has no such fields.
    Fixed,
}

/// The fields of a message, up to the first error.
pub(super) struct Fields<'a> {
    cursor: Cursor<'a>,
    /// The offset of the message's end in the file.
    end: usize,
    what: &'static str,
    failed: bool,
}

impl<'a> Piece<'a> {
    pub(super) fn fields(self) -> Fields<'a> {
        let end = self.offset.saturating_add(self.bytes.len());
        Fields { cursor: Cursor::new(self.bytes), end, what: self.what, failed: false }
    }
}

impl<'a> Fields<'a> {
    fn offset(&self) -> usize {
        self.end.saturating_sub(self.cursor.remaining())
    }

    fn field(&mut self, offset: usize) -> Option<Field<'a>> {
        let key = self.cursor.uvarint64()?;
        let number = Some(key >> 3).filter(|number| *number > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(self.cursor.uvarint64()?),
            1 => self.cursor.skip(8).map(|()| Value::Fixed)?,
            2 => {
                let length = self.cursor.uvarint64()?;
                let start = self.offset();
                Value::Bytes(self.cursor.take_u64(length)?, start)
            }
            5 => self.cursor.skip(4).map(|()| Value::Fixed)?,
            _ => return None,
        };
        Some(Field { number, value, offset, what: self.what })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.remaining() == 0 {
            return None;
        }
        let offset = self.offset();
        let field = self.field(offset);
        self.failed = field.is_none();
        Some(field.ok_or(Error::Damaged { what: self.what, offset }))
    }
}

impl<'a> Field<'a> {
    /// Makes the error for a field whose number or numbers are invalid.
    pub(super) fn damaged(&self) -> Error {
        Error::Damaged { what: self.what, offset: self.offset }
    }

    /// Returns the value as an unsigned number.
    pub(super) fn number(&self) -> Result<u64, Error> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(self.damaged()),
        }
    }

    /// Returns the value as a signed number.
    pub(super) fn signed(&self) -> Result<i64, Error> {
        self.number().map(u64::cast_signed)
    }

    /// Returns the value as a nested message or a text.
    pub(super) fn message(&self, what: &'static str) -> Result<Piece<'a>, Error> {
        match self.value {
            Value::Bytes(bytes, offset) => Ok(Piece { bytes, offset, what }),
            _ => Err(self.damaged()),
        }
    }

    /// Calls `each` for the numbers of a repeated field. The field holds one number, or several if packed.
    pub(super) fn numbers(&self, mut each: impl FnMut(u64) -> Result<(), Error>) -> Result<(), Error> {
        match self.value {
            Value::Varint(number) => each(number),
            Value::Bytes(bytes, _) => {
                let mut cursor = Cursor::new(bytes);
                while cursor.remaining() > 0 {
                    each(cursor.uvarint64().ok_or_else(|| self.damaged())?)?;
                }
                Ok(())
            }
            Value::Fixed => Err(self.damaged()),
        }
    }
}

/// Whether the bytes begin like a message. `is_field` checks the number and the encoding of each field. Checks as many
/// fields as the bytes contain.
pub(super) fn begins_with(bytes: &[u8], is_field: impl Fn(u64, u64) -> bool) -> bool {
    /// This number of valid fields cannot be a coincidence.
    const ENOUGH: usize = 16;
    let mut cursor = Cursor::new(bytes);
    for _ in 0..ENOUGH {
        if cursor.remaining() == 0 {
            break;
        }
        let known = cursor.uvarint64().filter(|key| is_field(key >> 3, key & 7));
        let (Some(key), Some(number)) = (known, cursor.uvarint64()) else { return false };
        // A length beyond the end of the bytes means that the bytes were truncated.
        if key & 7 == 2 && cursor.take_u64(number).is_none() {
            break;
        }
    }
    !bytes.is_empty()
}
