//! One function of pclntab (`_func` in Go's src/runtime/runtime2.go) and its pc-value tables.

use super::error::{PclntabAbsence, SpDeltaAbsence};
use super::header::Layout;
use super::pclntab::Pclntab;
use super::pcvalue;
use super::unwind::SpecialFunction;
use crate::bytes::Cursor;

/// `FuncFlagTopFrame`, `FuncFlagSPWrite`, `FuncFlagAsm` of Go's src/internal/abi/symtab.go. Before Go 1.17 there are no flags.
const FLAG_TOP_FRAME: u8 = 1;
const FLAG_SP_WRITE: u8 = 2;
const FLAG_ASSEMBLY: u8 = 4;

/// A function of pclntab.
#[derive(Debug, Clone, Copy)]
pub struct Function<'t, 'a> {
    table: &'t Pclntab<'a>,
    entry: u64,
    end: u64,
    /// The function's start as the record stores it: an offset from the text, or an address before Go 1.18.
    raw_entry: u64,
    name: u32,
    pc_sp: u32,
    pc_file: u32,
    pc_line: u32,
    unit: u32,
    start_line: u32,
    id: u8,
    flags: u8,
    pcdata_count: u32,
    funcdata_count: u8,
    /// The bytes of the record's two arrays: `pcdata_count` values, then `funcdata_count` values.
    arrays: Cursor<'a>,
}

impl<'t, 'a> Function<'t, 'a> {
    pub(super) fn read(table: &'t Pclntab<'a>, entry: u64, end: u64, record: u64) -> Option<Self> {
        let mut cursor = Cursor::from_offset(table.functions, usize::try_from(record).ok()?)?;
        let format = table.format;
        let raw_entry = if table.layout.has_addresses() {
            format.read_word(&mut cursor)?
        } else {
            u64::from(format.read_u32(&mut cursor)?)
        };
        let mut number = || format.read_u32(&mut cursor);
        let name = number()?;
        let _args = number()?;
        let _defer_return = number()?;
        let (pc_sp, pc_file, pc_line) = (number()?, number()?, number()?);
        let pcdata_count = number()?;
        let unit = if table.layout == Layout::Go12 { 0 } else { number()? };
        let start_line = if table.layout == Layout::Go120 { number()? } else { 0 };
        let last = [cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?];
        let [id, flags, _padding, funcdata_count] = match last {
            [count, ..] if table.has_wide_funcdata_count => [0, 0, 0, count],
            last => last,
        };
        Some(Self {
            table,
            entry,
            end,
            raw_entry,
            name,
            pc_sp,
            pc_file,
            pc_line,
            unit,
            start_line,
            id,
            flags,
            pcdata_count,
            funcdata_count,
            arrays: cursor,
        })
    }

    /// Whether the last four bytes of the record can be a 32-bit count of funcdata, as before Go 1.12. Since Go 1.12 the
    /// count is the last byte. False for big-endian files, where the last byte is right for both forms.
    pub(super) fn can_have_wide_funcdata_count(&self) -> bool {
        !self.table.format.is_big_endian && self.funcdata_count == 0 && self.flags == 0
    }

    /// Checks the record against the functab and the names, to detect a wrong layout. The record must repeat the functab's
    /// entry, refer to the start of a name, and end where the next record starts.
    pub(super) fn check_record(&self, raw_entry: u64, next_record: Option<u64>) -> Result<(), PclntabAbsence> {
        if self.raw_entry != raw_entry {
            return Err(PclntabAbsence::Damaged("a function's record is for another address"));
        }
        if !self.table.is_name(self.name) {
            return Err(PclntabAbsence::Damaged("a function's record does not refer to the start of a name"));
        }
        let end = self.record_end().ok_or(PclntabAbsence::Damaged("a function's record is cut off"))?;
        if next_record.is_some_and(|next| next != end) {
            return Err(PclntabAbsence::Damaged("the functions' records do not follow one another"));
        }
        Ok(())
    }

    /// Offset of the next record, which is aligned to the pointer size.
    fn record_end(&self) -> Option<u64> {
        let count = usize::from(self.funcdata_count);
        let mut rest = self.arrays;
        rest.skip(to_usize(self.pcdata_count).checked_mul(4)?)?;
        rest.skip(self.funcdata_padding())?;
        rest.skip(count.checked_mul(self.funcdata_size())?)?;
        let end = self.table.functions.len().checked_sub(rest.remaining())?;
        u64::try_from(end.checked_next_multiple_of(self.table.format.word_size())?).ok()
    }

    /// The function's first address.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The function's end address, padding included.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The linker's name. `None` if it is cut off.
    pub fn name(&self) -> Option<&'a [u8]> {
        self.table.name_at(self.name)
    }

    /// The line of the `func` keyword; 0 before Go 1.20 and for assembly.
    pub fn start_line(&self) -> u32 {
        self.start_line
    }

    /// Whether this is Go code. The table also contains C functions that Go's internal linker adds (for `net` and `os/user`),
    /// without line tables.
    pub fn is_go(&self) -> bool {
        self.pc_line != 0
    }

    /// `FuncID`: not 0 for functions that the runtime treats specially and for generated code. The ids change between Go
    /// releases (src/internal/abi/symtab.go).
    pub(super) fn func_id(&self) -> u8 {
        self.id
    }

    /// Whether the compiler generated the function: a wrapper, an equality function.
    pub fn is_wrapper(&self) -> bool {
        self.table.is_wrapper(self.id)
    }

    pub(super) fn table(&self) -> &'t Pclntab<'a> {
        self.table
    }

    /// `FuncFlagTopFrame`: the function is the root of its stack.
    pub fn is_top_frame(&self) -> bool {
        // Before Go 1.17, function ids are used instead of the flag (`topofstack` of src/runtime/traceback.go).
        let by_name = || {
            let special = self.name().and_then(SpecialFunction::from_name);
            matches!(special, Some(SpecialFunction::Goexit | SpecialFunction::ThreadStart))
        };
        self.flags & FLAG_TOP_FRAME != 0 || (self.table.layout.has_addresses() && by_name())
    }

    /// `FuncFlagSPWrite`: the function writes arbitrary values to the stack pointer.
    pub(super) fn writes_sp(&self) -> bool {
        self.flags & FLAG_SP_WRITE != 0
    }

    /// `FuncFlagAsm`: the function is written in assembly.
    pub(super) fn is_assembly(&self) -> bool {
        self.flags & FLAG_ASSEMBLY != 0
    }

    /// The source file with this index (a value of the table [`file_table`](Self::file_table)).
    pub(super) fn file_name(&self, file: i32) -> Option<&'a [u8]> {
        // Before Go 1.16, the word at index 0 is the number of indices.
        let file = u32::try_from(file).ok().filter(|file| *file > 0 || self.table.layout > Layout::Go12)?;
        let position = to_usize(self.unit.checked_add(file)?).checked_mul(4)?;
        let offset = self
            .table
            .format
            .read_u32(&mut Cursor::from_offset(self.table.file_offsets, position)?)
            .filter(|offset| *offset != u32::MAX)?;
        Cursor::from_offset(self.table.files, to_usize(offset))?.cstr()
    }

    /// The pc-value table of file indices.
    pub(super) fn file_table(&self) -> Option<Cursor<'a>> {
        self.pc_values(self.pc_file)
    }

    /// The pc-value table of lines.
    pub(super) fn line_table(&self) -> Option<Cursor<'a>> {
        self.pc_values(self.pc_line)
    }

    /// The funcdata with this index: an offset from `go:func.*`, or an address before Go 1.18.
    pub(super) fn funcdata(&self, number: usize) -> Option<u64> {
        if number >= usize::from(self.funcdata_count) {
            return None;
        }
        let mut array = self.arrays;
        array.skip(to_usize(self.pcdata_count).checked_mul(4)?)?;
        array.skip(self.funcdata_padding())?;
        array.skip(number.checked_mul(self.funcdata_size())?)?;
        if self.table.layout.has_addresses() {
            return self.table.format.read_word(&mut array).filter(|address| *address != 0);
        }
        self.table.format.read_u32(&mut array).filter(|offset| *offset != u32::MAX).map(u64::from)
    }

    fn funcdata_size(&self) -> usize {
        if self.table.layout.has_addresses() { self.table.format.word_size() } else { 4 }
    }

    /// Bytes of padding before the funcdata pointers of Go before 1.18, which are aligned to 8 bytes. A record starts with a
    /// word and 4-byte fields: eight such fields before Go 1.16, nine since.
    fn funcdata_padding(&self) -> usize {
        let pointers = self.table.layout.has_addresses() && self.table.format.pointer_size == 8;
        let is_aligned = self.pcdata_count.is_multiple_of(2) == (self.table.layout == Layout::Go12);
        if pointers && !is_aligned { 4 } else { 0 }
    }

    /// The pcdata with this index: the offset of a pc-value table.
    pub(super) fn pcdata(&self, number: u32) -> Option<u32> {
        if number >= self.pcdata_count {
            return None;
        }
        let mut array = self.arrays;
        array.skip(to_usize(number).checked_mul(4)?)?;
        self.table.format.read_u32(&mut array)
    }

    /// The SP delta (pcsp): bytes on the function's stack before the instruction at an address runs.
    pub(super) fn sp_delta_at(&self, address: u64) -> Result<u32, SpDeltaAbsence> {
        if self.pc_sp == 0 {
            return Err(SpDeltaAbsence::NoTable);
        }
        let delta = self.value_at(self.pc_sp, address).ok_or(SpDeltaAbsence::NotCovered)?;
        u32::try_from(delta).map_err(|_| SpDeltaAbsence::NotCovered)
    }

    /// The largest SP delta of the function: the size of its frame. 0 without a table.
    pub(super) fn largest_sp_delta(&self) -> u32 {
        let largest = self.pc_values(self.pc_sp).and_then(|table| pcvalue::largest_value(table, self.table.quantum));
        largest.and_then(|delta| u32::try_from(delta).ok()).unwrap_or(0)
    }

    /// The source file of the function's first instruction.
    pub(super) fn first_file(&self) -> Option<&'a [u8]> {
        self.file_name(self.value_at(self.pc_file, self.entry)?)
    }

    /// The pc-value table at an offset. `None` for the offset 0, which means "no table".
    pub(super) fn pc_values(&self, offset: u32) -> Option<Cursor<'a>> {
        if offset == 0 { None } else { Cursor::from_offset(self.table.pc_values, to_usize(offset)) }
    }

    /// The value of the pc-value table at an offset for an address inside the function.
    pub(super) fn value_at(&self, offset: u32, address: u64) -> Option<i32> {
        pcvalue::value_at(self.pc_values(offset)?, self.table.quantum, self.offset_of_address(address)?)
    }

    /// Bytes from the function's entry to an address inside it.
    pub(super) fn offset_of_address(&self, address: u64) -> Option<u32> {
        u32::try_from(address.checked_sub(self.entry)?).ok()
    }
}

/// Converts an offset or a count. If `usize` is too small, returns `usize::MAX`, which is past the end of every slice.
fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
