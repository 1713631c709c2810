//! One function of the Go function table (`_func` in Go's src/runtime/runtime2.go) and its pc-value tables.

use super::error::PclntabAbsence;
use super::pclntab::{Layout, Pclntab};
use crate::bytes::Cursor;

/// `FuncFlagTopFrame` of Go's src/internal/abi/symtab.go.
const FLAG_TOP_FRAME: u8 = 1;
/// `FUNCDATA_InlTree` of the same file.
const FUNCDATA_INLINE_TREE: usize = 3;

/// A function's record.
#[derive(Debug, Clone, Copy)]
pub struct Function<'t, 'a> {
    table: &'t Pclntab<'a>,
    entry: u64,
    end: u64,
    /// What the record itself says that the entry is: an offset from the text, or an address in Go 1.16 and 1.17.
    raw_entry: u64,
    name: u32,
    pc_file: u32,
    pc_line: u32,
    unit: u32,
    start_line: u32,
    flags: u8,
    pcdata_count: u32,
    funcdata_count: u8,
    /// `pcdata_count` words, then `funcdata_count` words.
    arrays: Cursor<'a>,
}

impl<'t, 'a> Function<'t, 'a> {
    pub(super) fn read(table: &'t Pclntab<'a>, entry: u64, end: u64, record: u64) -> Option<Self> {
        let mut cursor = Cursor::at(table.functions, usize::try_from(record).ok()?)?;
        let raw_entry = if table.layout == Layout::Go116 { cursor.u64()? } else { u64::from(cursor.u32()?) };
        let name = cursor.u32()?;
        let _args = cursor.u32()?;
        let _defer_return = cursor.u32()?;
        let _pc_sp = cursor.u32()?;
        let pc_file = cursor.u32()?;
        let pc_line = cursor.u32()?;
        let pcdata_count = cursor.u32()?;
        let unit = cursor.u32()?;
        let start_line = if table.layout == Layout::Go120 { cursor.u32()? } else { 0 };
        let _func_id = cursor.u8()?;
        let flags = cursor.u8()?; // zero in Go 1.16, which had no flags
        let _padding = cursor.u8()?;
        let funcdata_count = cursor.u8()?;
        Some(Self {
            table,
            entry,
            end,
            raw_entry,
            name,
            pc_file,
            pc_line,
            unit,
            start_line,
            flags,
            pcdata_count,
            funcdata_count,
            arrays: cursor,
        })
    }

    /// Whether the record can be one: its entry is repeated in it, its name is one of the names (and not the
    /// middle of one), and it ends where the next record starts, which no other layout of its fields would.
    pub(super) fn check(&self, raw_entry: u64, next_record: Option<u64>) -> Result<(), PclntabAbsence> {
        if self.raw_entry != raw_entry {
            return Err(PclntabAbsence::Damaged("a function's record is of another address"));
        }
        let name = index(self.name);
        let before = name.checked_sub(1).map_or(Some(&0), |before| self.table.names.get(before));
        if before != Some(&0) || name >= self.table.names.len() {
            return Err(PclntabAbsence::Damaged("a function's name is not one of the names"));
        }
        let end = self.record_end().ok_or(PclntabAbsence::Damaged("a function's record is cut off"))?;
        if next_record.is_some_and(|next| next != end) {
            return Err(PclntabAbsence::Damaged("the functions' records do not follow one another"));
        }
        Ok(())
    }

    /// Where the record after this one starts, which is at a multiple of 8.
    fn record_end(&self) -> Option<u64> {
        let count = usize::from(self.funcdata_count);
        let mut rest = self.arrays;
        rest.skip(index(self.pcdata_count).checked_mul(4)?)?;
        rest.skip(self.funcdata_padding())?;
        rest.skip(count.checked_mul(self.funcdata_size())?)?;
        let end = self.table.functions.len().checked_sub(rest.remaining())?;
        u64::try_from(end.checked_next_multiple_of(8)?).ok()
    }

    /// The first address.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The address behind the last one, padding included.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The linker's name. `None` when its bytes run out of the table.
    pub fn name(&self) -> Option<&'a [u8]> {
        Cursor::at(self.table.names, index(self.name))?.cstr()
    }

    /// The line of the `func` keyword; 0 before Go 1.20 and for assembly.
    pub fn start_line(&self) -> u32 {
        self.start_line
    }

    /// Whether this is Go code. Where Go's linker links C code in itself (as it does for `net` and `os/user`), the
    /// table names that code too, but has no lines for it.
    pub fn is_go(&self) -> bool {
        self.pc_line != 0
    }

    /// The root of every stack it is in.
    pub fn is_top_frame(&self) -> bool {
        self.flags & FLAG_TOP_FRAME != 0
    }

    /// The line at an address inside the function, from 1.
    pub fn line_at(&self, address: u64) -> Option<u32> {
        u32::try_from(self.value_at(self.pc_line, address)?).ok().filter(|line| *line > 0)
    }

    /// The source file at an address inside the function.
    pub fn file_at(&self, address: u64) -> Option<&'a [u8]> {
        let number = u32::try_from(self.value_at(self.pc_file, address)?).ok()?;
        let place = index(self.unit.checked_add(number)?).checked_mul(4)?;
        let offset = Cursor::at(self.table.units, place)?.u32().filter(|offset| *offset != u32::MAX)?;
        Cursor::at(self.table.files, index(offset))?.cstr()
    }

    /// Whether the compiler put calls of other functions into this one's body.
    pub fn has_inline_tree(&self) -> bool {
        usize::from(self.funcdata_count) > FUNCDATA_INLINE_TREE && self.funcdata(FUNCDATA_INLINE_TREE).is_some()
    }

    /// The funcdata of a number below the count: an offset from `go:func.*`, or an address in Go 1.16 and 1.17.
    fn funcdata(&self, number: usize) -> Option<u64> {
        let mut array = self.arrays;
        array.skip(index(self.pcdata_count).checked_mul(4)?)?;
        array.skip(self.funcdata_padding())?;
        array.skip(number.checked_mul(self.funcdata_size())?)?;
        if self.table.layout == Layout::Go116 {
            return array.u64().filter(|address| *address != 0);
        }
        array.u32().filter(|offset| *offset != u32::MAX).map(u64::from)
    }

    fn funcdata_size(&self) -> usize {
        if self.table.layout == Layout::Go116 { 8 } else { 4 }
    }

    /// Pointers are at multiples of 8, and 44 bytes stand before the arrays.
    fn funcdata_padding(&self) -> usize {
        let pointers = self.table.layout == Layout::Go116;
        if pointers && self.pcdata_count.is_multiple_of(2) { 4 } else { 0 }
    }

    /// The value that a pc-value table has for an address inside the function; `None` when it has none.
    ///
    /// Such a table is a row of (zig-zag value difference, address difference) varints. The value starts at -1,
    /// and a difference of zero ends the table, except as the first one.
    fn value_at(&self, table: u32, address: u64) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut cursor = Cursor::at(self.table.pc_values, index(table))?;
        let mut value = -1_i32;
        let mut end = self.entry;
        loop {
            let difference = cursor.uvarint32()?;
            if difference == 0 && end != self.entry {
                return None;
            }
            let magnitude = (difference >> 1).cast_signed();
            value = value.wrapping_add(if difference & 1 == 0 { magnitude } else { !magnitude });
            let step = u64::from(cursor.uvarint32()?).checked_mul(self.table.quantum)?;
            end = end.checked_add(step)?;
            if address < end {
                return Some(value);
            }
        }
    }
}

/// A 32-bit offset or count as an index; beyond every slice where it does not fit.
fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
