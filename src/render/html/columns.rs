//! The columns of numbers of the page's data.

use crate::bytes::push_varint;

/// Columns one after the other; a value is an unsigned LEB128 number.
#[derive(Default)]
pub(super) struct Columns {
    /// Name and number of values of each column.
    pub(super) lengths: Vec<(String, usize)>,
    pub(super) bytes: Vec<u8>,
}

impl Columns {
    pub(super) fn add(&mut self, name: impl Into<String>, values: impl ExactSizeIterator<Item = u64>) {
        self.lengths.push((name.into(), values.len()));
        for value in values {
            push_varint(&mut self.bytes, value);
        }
    }
}
