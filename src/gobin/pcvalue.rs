//! The tables from an address to a number (file, line, stack depth, inlined call) that every Go function has.
//!
//! A table is a row of (zig-zag value difference, address difference) varints. The value starts at -1, and a
//! difference of zero ends the table, except as the first one (src/runtime/symtab.go, `step`).

use crate::bytes::Cursor;

/// One table.
#[derive(Debug, Clone, Copy)]
pub(super) struct PcValues<'a> {
    /// From the first varint on, to the end of all tables.
    pub(super) table: Cursor<'a>,
    /// What a step of the address is multiplied by.
    pub(super) quantum: u64,
    /// The function's first address.
    pub(super) entry: u64,
}

impl PcValues<'_> {
    /// The value at an address of the function; `None` behind the table's end.
    pub(super) fn at(mut self, address: u64) -> Option<i32> {
        let mut value = -1_i32;
        let mut end = self.entry;
        let mut first = true;
        loop {
            let difference = self.table.uvarint32()?;
            if difference == 0 && !first {
                return None;
            }
            first = false;
            let magnitude = (difference >> 1).cast_signed();
            value = value.wrapping_add(if difference & 1 == 0 { magnitude } else { !magnitude });
            let step = u64::from(self.table.uvarint32()?).checked_mul(self.quantum)?;
            end = end.checked_add(step)?;
            if address < end {
                return Some(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PcValues;
    use crate::bytes::Cursor;

    #[test]
    fn values_hold_up_to_the_next_step() {
        // -1 + 0 for 2 steps, + 9 for 1, - 8 for 3, end.
        let table = [0, 2, 18, 1, 15, 3, 0];
        let values = PcValues { table: Cursor::new(&table), quantum: 4, entry: 100 };
        let expected =
            [(100, Some(-1)), (107, Some(-1)), (108, Some(8)), (111, Some(8)), (112, Some(0)), (123, Some(0))];
        for (address, value) in expected {
            assert_eq!(values.at(address), value, "{address}");
        }
        assert_eq!(values.at(124), None);
    }

    #[test]
    fn a_table_that_does_not_end_has_no_value() {
        let values = |table| PcValues { table: Cursor::new(table), quantum: 1, entry: 0 };
        assert_eq!(values(&[]).at(0), None);
        assert_eq!(values(&[2]).at(0), None);
        assert_eq!(values(&[2, 1]).at(1), None);
        assert_eq!(values(&[2, 0, 2, 0, 2, 0]).at(0), None);
    }
}
