//! The tables from an address to a number (file, line, stack depth, inlined call) that every Go function has.
//!
//! A table is a row of (zig-zag value difference, address difference) varints. The value starts at -1, and a
//! difference of zero ends the table, except as the first one (src/runtime/symtab.go, `step`).

use crate::bytes::Cursor;

/// A value, and where it ends to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// From the function's entry.
    end: u32,
    value: i32,
}

/// The runs of a table, in the order of their addresses.
#[derive(Debug, Clone)]
struct Runs<'a> {
    rest: Cursor<'a>,
    /// What a step of the address is multiplied by.
    quantum: u32,
    last: Run,
    first: bool,
}

impl<'a> Runs<'a> {
    fn new(table: Cursor<'a>, quantum: u32) -> Self {
        Self { rest: table, quantum, last: Run { end: 0, value: -1 }, first: true }
    }
}

impl Runs<'_> {
    #[inline]
    fn read(&mut self) -> Option<Run> {
        let difference = self.rest.uvarint32()?;
        let first = std::mem::take(&mut self.first);
        if difference == 0 && !first {
            return None;
        }
        let magnitude = (difference >> 1).cast_signed();
        let value = self.last.value.wrapping_add(if difference & 1 == 0 { magnitude } else { !magnitude });
        let step = self.rest.uvarint32()?.checked_mul(self.quantum)?;
        self.last = Run { end: self.last.end.checked_add(step)?, value };
        Some(self.last)
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let run = self.read();
        if run.is_none() {
            // Whatever follows is not of this table.
            self.rest = Cursor::new(&[]);
        }
        run
    }
}

/// The value that a table has for the address so many bytes behind the function's entry; `None` behind the table's end.
/// `table` reaches from the first varint to the end of all tables.
pub(super) fn value_at(table: Cursor<'_>, quantum: u32, offset: u32) -> Option<i32> {
    Runs::new(table, quantum).find(|run| offset < run.end).map(|run| run.value)
}

/// A table that is asked for many addresses. What has been read of it stays decoded.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    /// What has not been read yet.
    rest: Runs<'a>,
    /// Those that hold for at least one byte.
    runs: Vec<Run>,
}

impl<'a> Decoded<'a> {
    /// Of no table.
    pub(super) fn new() -> Self {
        Self { rest: Runs::new(Cursor::new(&[]), 1), runs: Vec::new() }
    }

    /// Takes another table's place, of which nothing is read before the first question.
    pub(super) fn restart(&mut self, table: Option<Cursor<'a>>, quantum: u32) {
        self.rest = Runs::new(table.unwrap_or(Cursor::new(&[])), quantum);
        self.runs.clear();
    }

    /// As [`value_at`].
    #[inline]
    pub(super) fn value_at(&mut self, offset: u32) -> Option<i32> {
        if self.runs.last().is_some_and(|last| offset < last.end) {
            let at = self.runs.partition_point(|run| run.end <= offset);
            return self.runs.get(at).map(|run| run.value);
        }
        let mut end = self.rest.last.end;
        for run in &mut self.rest {
            if run.end > end {
                self.runs.push(run);
                end = run.end;
            }
            if offset < end {
                return Some(run.value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoded, value_at};
    use crate::bytes::Cursor;

    /// What both ways of asking say, the second one after all that was asked before.
    fn both(decoded: &mut Decoded<'_>, table: &[u8], quantum: u32, offset: u32) -> Option<i32> {
        let value = value_at(Cursor::new(table), quantum, offset);
        assert_eq!(decoded.value_at(offset), value, "{offset}");
        value
    }

    #[test]
    fn values_hold_up_to_the_next_step() {
        // -1 + 0 for 2 steps, + 9 for 1, - 8 for 3, end.
        let table = [0, 2, 18, 1, 15, 3, 0];
        let expected =
            [(0, Some(-1)), (7, Some(-1)), (8, Some(8)), (11, Some(8)), (12, Some(0)), (23, Some(0)), (24, None)];
        let mut decoded = Decoded::new();
        decoded.restart(Some(Cursor::new(&table)), 4);
        for (offset, value) in expected.iter().chain(expected.iter().rev()).chain(&expected) {
            assert_eq!(both(&mut decoded, &table, 4, *offset), *value, "{offset}");
        }
    }

    #[test]
    fn a_table_that_does_not_end_has_no_value() {
        let at = |table: &[u8], offset| {
            let mut decoded = Decoded::new();
            decoded.restart(Some(Cursor::new(table)), 1);
            both(&mut decoded, table, 1, offset)
        };
        assert_eq!(at(&[], 0), None);
        assert_eq!(at(&[2], 0), None);
        assert_eq!(at(&[2, 1], 1), None);
        assert_eq!(at(&[2, 0, 2, 0, 2, 0], 0), None);
    }
}
