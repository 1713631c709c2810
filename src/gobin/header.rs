//! The header of pclntab, and the layouts that it names.

use std::fmt;

use super::error::PclntabAbsence;
use super::format::NumberFormat;
use crate::bytes::Cursor;

/// Layout of a pclntab, named after the first Go release that has the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// Magic 0xfffffffb: addresses are absolute, and all offsets count from the start of the table.
    Go12,
    /// Magic 0xfffffffa: the table is split into parts.
    Go116,
    /// Magic 0xfffffff0: addresses are offsets from the start of the text.
    Go118,
    /// Magic 0xfffffff1: function records hold the line of the `func` keyword.
    Go120,
}

impl Layout {
    fn from_magic(magic: u32) -> Result<Self, PclntabAbsence> {
        match magic {
            0xffff_fff1 => Ok(Self::Go120),
            0xffff_fff0 => Ok(Self::Go118),
            0xffff_fffa => Ok(Self::Go116),
            0xffff_fffb => Ok(Self::Go12),
            other => Err(PclntabAbsence::UnknownMagic(other)),
        }
    }

    /// Whether the table holds addresses of functions and funcdata, as before Go 1.18. Later tables hold offsets.
    pub(super) fn has_addresses(self) -> bool {
        self <= Self::Go116
    }

    /// Size in bytes of one of the two words of a functab entry.
    pub(super) fn functab_word_size(self, format: NumberFormat) -> usize {
        if self.has_addresses() { format.word_size() } else { 4 }
    }
}

/// The Go releases with this layout.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go12 => "Go 1.2 to 1.15",
            Self::Go116 => "Go 1.16 to 1.17",
            Self::Go118 => "Go 1.18 to 1.19",
            Self::Go120 => "Go 1.20 or later",
        })
    }
}

/// The header (`pcHeader` of Go's src/runtime/symtab.go).
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) address: u64,
    pub(super) layout: Layout,
    /// Unit of address steps in pc-value tables, in bytes: the machine's smallest instruction size.
    pub(super) quantum: u32,
    pub(super) function_count: u64,
    /// Address of the text's start. 0 in Go 1.16 and 1.17, since Go 1.26, and before relocation.
    pub(super) text: u64,
    /// Offsets from the header: function names, file indices, file names, pc-value tables, functions. Before Go 1.16 only
    /// the file indices have an offset; the others are 0, because one part contains everything.
    pub(super) part_offsets: [u64; 5],
    /// Offset in bytes of the functab from the start of the functions.
    pub(super) functab_offset: usize,
}

impl Header {
    pub(super) fn read(format: NumberFormat, address: u64, bytes: &[u8]) -> Result<Self, PclntabAbsence> {
        const CUT_OFF: PclntabAbsence = PclntabAbsence::Damaged("the header is cut off");
        let mut cursor = Cursor::new(bytes);
        let layout = Layout::from_magic(format.read_u32(&mut cursor).ok_or(CUT_OFF)?)?;
        if cursor.u16() != Some(0) {
            return Err(PclntabAbsence::Damaged("the header's padding is not zero"));
        }
        let quantum = cursor.u8().ok_or(CUT_OFF)?;
        let pointer_size = cursor.u8().ok_or(CUT_OFF)?;
        if pointer_size != format.pointer_size {
            return Err(PclntabAbsence::Damaged("the pointer size does not fit the file"));
        }
        let mut word = || format.read_word(&mut cursor).ok_or(CUT_OFF);
        let function_count = word()?;
        if layout == Layout::Go12 {
            let functab_offset = format.word_size().saturating_add(8);
            let files = file_indices_offset(format, function_count, functab_offset, bytes).ok_or(CUT_OFF)?;
            let part_offsets = [0, files, 0, 0, 0];
            return Ok(Self {
                address,
                layout,
                quantum: u32::from(quantum),
                function_count,
                text: 0,
                part_offsets,
                functab_offset,
            });
        }
        let _file_count = word()?;
        let text = if layout == Layout::Go116 { 0 } else { word()? };
        let part_offsets = [word()?, word()?, word()?, word()?, word()?];
        Ok(Self { address, layout, quantum: u32::from(quantum), function_count, text, part_offsets, functab_offset: 0 })
    }
}

/// Reads the offset of the file indices in a table of Go 1.2 to 1.15. The offset is stored after the functab.
fn file_indices_offset(format: NumberFormat, function_count: u64, functab_offset: usize, bytes: &[u8]) -> Option<u64> {
    let words = usize::try_from(function_count).ok()?.checked_mul(2)?.checked_add(1)?;
    let offset = words.checked_mul(format.word_size())?.checked_add(functab_offset)?;
    format.read_u32(&mut Cursor::from_offset(bytes, offset)?).map(u64::from)
}
