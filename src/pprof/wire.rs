//! Protocol buffers: reads the fields of a message in place, and writes messages.
//!
//! The encoding is <https://protobuf.dev/programming-guides/encoding>. A field starts with its number and type in one
//! varint. Its value follows: a varint, 4 or 8 bytes, or a length and that number of bytes.

use std::io::{self, Write};

use super::error::Error;
use crate::bytes::{Cursor, push_varint};

/// A message, or another range of bytes in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawMessage<'a> {
    pub(super) bytes: &'a [u8],
    /// Offset of the message in the unpacked profile, in bytes.
    pub(super) offset: usize,
    /// Name of the message in errors: `a sample`.
    pub(super) what: &'static str,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawField<'a> {
    pub(super) number: u64,
    value: FieldValue<'a>,
    /// Offset of the field in the unpacked profile, in bytes.
    offset: usize,
    what: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum FieldValue<'a> {
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

impl<'a> RawMessage<'a> {
    pub(super) fn fields(self) -> Fields<'a> {
        let end = self.offset.saturating_add(self.bytes.len());
        Fields { cursor: Cursor::new(self.bytes), end, what: self.what, failed: false }
    }

    /// Returns the values of the fields 1 to `N`, which must be numbers. The value of a missing field is 0.
    pub(super) fn numbers<const N: usize>(self) -> Result<[u64; N], Error> {
        let mut numbers = [0; N];
        for field in self.fields() {
            let field = field?;
            let at = usize::try_from(field.number).ok().and_then(|number| number.checked_sub(1));
            if let Some(number) = at.and_then(|at| numbers.get_mut(at)) {
                *number = field.number()?;
            }
        }
        Ok(numbers)
    }
}

impl<'a> Fields<'a> {
    fn offset(&self) -> usize {
        self.end.saturating_sub(self.cursor.remaining())
    }

    /// Reads the next field, at an offset in the file. `None` if the field is damaged.
    fn read_field(&mut self, offset: usize) -> Option<RawField<'a>> {
        let key = self.cursor.uvarint64()?;
        let number = Some(key >> 3).filter(|number| *number > 0)?;
        let value = match key & 7 {
            0 => FieldValue::Varint(self.cursor.uvarint64()?),
            1 => self.cursor.skip(8).map(|()| FieldValue::Fixed)?,
            2 => {
                let length = self.cursor.uvarint64()?;
                let start = self.offset();
                FieldValue::Bytes(self.cursor.take_u64(length)?, start)
            }
            5 => self.cursor.skip(4).map(|()| FieldValue::Fixed)?,
            _ => return None,
        };
        Some(RawField { number, value, offset, what: self.what })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<RawField<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.remaining() == 0 {
            return None;
        }
        let offset = self.offset();
        let field = self.read_field(offset);
        self.failed = field.is_none();
        Some(field.ok_or(Error::Damaged { what: self.what, offset }))
    }
}

impl<'a> RawField<'a> {
    /// Returns the error for a field whose value is invalid.
    pub(super) fn damaged_error(&self) -> Error {
        Error::Damaged { what: self.what, offset: self.offset }
    }

    /// Returns the value as an unsigned number.
    pub(super) fn number(&self) -> Result<u64, Error> {
        match self.value {
            FieldValue::Varint(number) => Ok(number),
            _ => Err(self.damaged_error()),
        }
    }

    /// Returns the value as a signed number.
    pub(super) fn signed_number(&self) -> Result<i64, Error> {
        self.number().map(u64::cast_signed)
    }

    /// Returns the value as a nested message or a text.
    pub(super) fn message(&self, what: &'static str) -> Result<RawMessage<'a>, Error> {
        match self.value {
            FieldValue::Bytes(bytes, offset) => Ok(RawMessage { bytes, offset, what }),
            _ => Err(self.damaged_error()),
        }
    }

    /// Calls `each` for the numbers of a repeated field. The field holds one number, or several if packed.
    pub(super) fn numbers(&self, mut each: impl FnMut(u64) -> Result<(), Error>) -> Result<(), Error> {
        match self.value {
            FieldValue::Varint(number) => each(number),
            FieldValue::Bytes(bytes, _) => {
                let mut cursor = Cursor::new(bytes);
                while cursor.remaining() > 0 {
                    each(cursor.uvarint64().ok_or_else(|| self.damaged_error())?)?;
                }
                Ok(())
            }
            FieldValue::Fixed => Err(self.damaged_error()),
        }
    }
}

/// Messages under construction, as bytes.
#[derive(Debug, Default)]
pub(super) struct MessageWriter(Vec<u8>);

impl MessageWriter {
    /// Adds a number, unless it is 0, which is the default. A negative number is written as its two's complement.
    pub(super) fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3);
            self.varint(value);
        }
    }

    /// Adds numbers, in the fields 1 to `N`.
    pub(super) fn numbers<const N: usize>(&mut self, values: [u64; N]) {
        for (field, value) in (1..).zip(values) {
            self.number(field, value);
        }
    }

    /// Adds an element of a repeated text.
    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.message(field, |out| out.0.extend_from_slice(text.as_bytes()));
    }

    /// Adds repeated numbers in one field.
    pub(super) fn packed(&mut self, field: u64, values: impl Iterator<Item = u64>) {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.message(field, |out| values.for_each(|value| out.varint(value)));
        }
    }

    /// Adds a message, which `write` writes.
    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.varint(field << 3 | 2);
        let start = self.0.len();
        write(self);
        // The length of the message is known only now: append it, and move it before the message.
        let length = self.0.len().saturating_sub(start);
        self.varint(u64::try_from(length).unwrap_or(u64::MAX));
        self.0.get_mut(start..).unwrap_or_default().rotate_left(length);
    }

    /// Moves the messages to `out` once they have at least `size` bytes.
    pub(super) fn flush(&mut self, size: usize, out: &mut impl Write) -> io::Result<()> {
        if self.0.len() >= size {
            out.write_all(&self.0)?;
            self.0.clear();
        }
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, value: u64) {
        push_varint(&mut self.0, value);
    }
}

/// Whether the bytes begin like a message. `is_field` checks the number and the encoding of each field. The bytes can
/// end within the content of a field, but not within a number.
pub(super) fn begins_with(bytes: &[u8], is_field: impl Fn(u64, u64) -> bool) -> bool {
    /// Maximum number of fields to check. That many valid fields are no coincidence.
    const MAX_CHECKED_FIELDS: usize = 16;
    let mut cursor = Cursor::new(bytes);
    for _ in 0..MAX_CHECKED_FIELDS {
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
