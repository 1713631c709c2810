//! The pc-value tables of a Go function: they map an address to a number (file, line, SP delta, inlined call).
//!
//! A table is a sequence of varint pairs: zig-zag difference of the value, difference of the address. The value starts
//! at -1. A value difference of zero ends the table, except in the first pair (src/runtime/symtab.go, `step`).

use crate::bytes::Cursor;

/// A value and the range of addresses that have the value. The range starts at the end of the previous span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ValueSpan {
    /// End of the range, in bytes from the function's entry.
    end: u32,
    value: i32,
}

/// The spans of a table, in ascending order of addresses.
#[derive(Debug, Clone)]
struct ValueSpans<'a> {
    rest: Cursor<'a>,
    /// Size of one address step in bytes.
    quantum: u32,
    last: ValueSpan,
    is_first: bool,
}

impl<'a> ValueSpans<'a> {
    fn new(table: Cursor<'a>, quantum: u32) -> Self {
        Self { rest: table, quantum, last: ValueSpan { end: 0, value: -1 }, is_first: true }
    }
}

impl ValueSpans<'_> {
    #[inline]
    fn read(&mut self) -> Option<ValueSpan> {
        let difference = self.rest.uvarint32()?;
        let is_first = std::mem::take(&mut self.is_first);
        if difference == 0 && !is_first {
            return None;
        }
        let magnitude = (difference >> 1).cast_signed();
        let value = self.last.value.wrapping_add(if difference & 1 == 0 { magnitude } else { !magnitude });
        let step = self.rest.uvarint32()?.checked_mul(self.quantum)?;
        self.last = ValueSpan { end: self.last.end.checked_add(step)?, value };
        Some(self.last)
    }
}

impl Iterator for ValueSpans<'_> {
    type Item = ValueSpan;

    #[inline]
    fn next(&mut self) -> Option<ValueSpan> {
        let span = self.read();
        if span.is_none() {
            // The bytes that follow belong to the next table.
            self.rest = Cursor::new(&[]);
        }
        span
    }
}

/// The values of a table, in ascending order of addresses.
pub(super) fn values(table: Cursor<'_>, quantum: u32) -> impl Iterator<Item = i32> {
    ValueSpans::new(table, quantum).map(|span| span.value)
}

/// The value at an offset in bytes from the function's entry. `None` after the table's end. Other bytes can follow the
/// table.
pub(super) fn value_at(table: Cursor<'_>, quantum: u32, offset: u32) -> Option<i32> {
    ValueSpans::new(table, quantum).find(|span| offset < span.end).map(|span| span.value)
}

pub(super) fn largest_value(table: Cursor<'_>, quantum: u32) -> Option<i32> {
    ValueSpans::new(table, quantum).map(|span| span.value).max()
}

/// A pc-value table for many look-ups. Stores the spans that are already decoded.
#[derive(Debug)]
pub(super) struct DecodedTable<'a> {
    /// The part of the table that is not decoded yet.
    rest: ValueSpans<'a>,
    /// Decoded spans. Empty spans are left out.
    spans: Vec<ValueSpan>,
}

impl<'a> DecodedTable<'a> {
    pub(super) fn new() -> Self {
        Self { rest: ValueSpans::new(Cursor::new(&[]), 1), spans: Vec::new() }
    }

    /// Replaces the table. Spans are decoded on demand. `None` means an empty table.
    pub(super) fn replace(&mut self, table: Option<Cursor<'a>>, quantum: u32) {
        self.rest = ValueSpans::new(table.unwrap_or(Cursor::new(&[])), quantum);
        self.spans.clear();
    }

    /// Like the function [`value_at`], but decodes only the part of the table that is not decoded yet.
    #[inline]
    pub(super) fn value_at(&mut self, offset: u32) -> Option<i32> {
        if self.spans.last().is_some_and(|last| offset < last.end) {
            let index = self.spans.partition_point(|span| span.end <= offset);
            return self.spans.get(index).map(|span| span.value);
        }
        let mut end = self.rest.last.end;
        for span in &mut self.rest {
            if span.end > end {
                self.spans.push(span);
                end = span.end;
            }
            if offset < end {
                return Some(span.value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{DecodedTable, value_at};
    use crate::bytes::Cursor;

    /// Looks up an offset with and without [`DecodedTable`]. The two results must be equal.
    fn look_up_twice(decoded: &mut DecodedTable<'_>, table: &[u8], quantum: u32, offset: u32) -> Option<i32> {
        let value = value_at(Cursor::new(table), quantum, offset);
        assert_eq!(decoded.value_at(offset), value, "{offset}");
        value
    }

    #[test]
    fn a_value_is_valid_up_to_the_end_of_its_span() {
        // Value -1 for 2 steps, value 8 for 1 step, value 0 for 3 steps, end of the table.
        let table = [0, 2, 18, 1, 15, 3, 0];
        let expected =
            [(0, Some(-1)), (7, Some(-1)), (8, Some(8)), (11, Some(8)), (12, Some(0)), (23, Some(0)), (24, None)];
        let mut decoded = DecodedTable::new();
        decoded.replace(Some(Cursor::new(&table)), 4);
        for (offset, value) in expected.iter().chain(expected.iter().rev()).chain(&expected) {
            assert_eq!(look_up_twice(&mut decoded, &table, 4, *offset), *value, "{offset}");
        }
    }

    #[test]
    fn a_table_that_is_cut_off_has_no_value() {
        let value = |table: &[u8], offset| {
            let mut decoded = DecodedTable::new();
            decoded.replace(Some(Cursor::new(table)), 1);
            look_up_twice(&mut decoded, table, 1, offset)
        };
        assert_eq!(value(&[], 0), None);
        assert_eq!(value(&[2], 0), None);
        assert_eq!(value(&[2, 1], 1), None);
        assert_eq!(value(&[2, 0, 2, 0, 2, 0], 0), None);
    }
}
