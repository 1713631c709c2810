//! The Go function table (`.gopclntab`): where it is, whether it holds up, and which function an address is in.
//!
//! Layouts: Go's src/internal/abi/symtab.go (magics), src/cmd/link/internal/ld/pcln.go (header and tables),
//! src/runtime/symtab.go (how the runtime reads them). The magic did not change in Go 1.26 and 1.27 although
//! the address of the text left the header, so every table is checked against the runtime's moduledata.

use std::ops::Range;

use object::elf as raw;

use super::elf::Elf;
use super::error::PclntabAbsence;
use super::function::Function;
use super::moduledata;
use crate::bytes::Cursor;

/// The generations of the table that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// Magic 0xfffffffa: addresses are absolute.
    Go116,
    /// Magic 0xfffffff0: addresses are offsets from the start of the text.
    Go118,
    /// Magic 0xfffffff1: functions know the line they start at.
    Go120,
}

impl Layout {
    /// The Go releases, as words for a user.
    pub fn words(self) -> &'static str {
        match self {
            Self::Go116 => "Go 1.16 to 1.17",
            Self::Go118 => "Go 1.18 to 1.19",
            Self::Go120 => "Go 1.20 or later",
        }
    }

    fn of_magic(magic: u32) -> Result<Self, PclntabAbsence> {
        match magic {
            0xffff_fff1 => Ok(Self::Go120),
            0xffff_fff0 => Ok(Self::Go118),
            0xffff_fffa => Ok(Self::Go116),
            0xffff_fffb => Err(PclntabAbsence::TooOld),
            other => Err(PclntabAbsence::UnknownMagic(other)),
        }
    }

    /// Size of one half of an entry of the table of functions.
    fn entry_word(self) -> usize {
        if self == Self::Go116 { 8 } else { 4 }
    }
}

/// The header and the tables behind it, as far as the table itself tells.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Address of the header.
    pub(super) address: u64,
    pub(super) layout: Layout,
    /// What a step of an address is multiplied by: the machine's smallest instruction size.
    pub(super) quantum: u64,
    pub(super) function_count: u64,
    /// 0 in Go 1.16 and 1.17 (which do not need it), since 1.26, and before relocation.
    text: u64,
    /// Offsets from the header: function names, file indices, file names, pc-value tables, functions.
    pub(super) offsets: [u64; 5],
}

impl Header {
    fn read(address: u64, bytes: &[u8]) -> Result<Self, PclntabAbsence> {
        const CUT: PclntabAbsence = PclntabAbsence::Damaged("the header is cut off");
        let mut cursor = Cursor::new(bytes);
        let layout = Layout::of_magic(cursor.u32().ok_or(CUT)?)?;
        if cursor.u16() != Some(0) {
            return Err(PclntabAbsence::Damaged("the header's padding is not zero"));
        }
        let quantum = cursor.u8().ok_or(CUT)?;
        let pointer_size = cursor.u8().ok_or(CUT)?;
        if pointer_size != 8 {
            return Err(PclntabAbsence::PointerSize(pointer_size));
        }
        let mut word = || cursor.u64().ok_or(CUT);
        let function_count = word()?;
        let _file_count = word()?;
        let text = if layout == Layout::Go116 { 0 } else { word()? };
        let offsets = [word()?, word()?, word()?, word()?, word()?];
        Ok(Self { address, layout, quantum: u64::from(quantum), function_count, text, offsets })
    }
}

/// A Go function table that held up to every check.
#[derive(Debug)]
pub struct Pclntab<'a> {
    pub(super) layout: Layout,
    pub(super) quantum: u64,
    /// NUL-terminated function names.
    pub(super) names: &'a [u8],
    /// `u32` indices into `files`, by compilation unit.
    pub(super) units: &'a [u8],
    /// NUL-terminated file names.
    pub(super) files: &'a [u8],
    /// Varint tables from address to file, line, ...
    pub(super) pc_values: &'a [u8],
    /// (entry, offset of the record) pairs and one last entry, then the records they point to.
    pub(super) functions: &'a [u8],
    function_count: usize,
    /// The Go code. The last function ends at its end.
    text: Range<u64>,
}

impl<'a> Pclntab<'a> {
    pub(super) fn find(elf: &Elf<'a>) -> Result<Self, PclntabAbsence> {
        for name in [&b".gopclntab"[..], b".data.rel.ro.gopclntab"] {
            if let Some((header, bytes)) = elf.section(name) {
                return Self::read(elf, header.sh_addr.get(object::LittleEndian), bytes);
            }
        }
        // External linkers put a PIE's table somewhere into .data.rel.ro before Go 1.26, and section
        // headers can be stripped. The first eight bytes then are all that there is to look for.
        let mut refused = PclntabAbsence::NotGo;
        let candidates = elf.data_words().filter(|(_, word)| is_header(*word));
        for (address, _) in candidates.take(16) {
            let Some(bytes) = elf.at(address) else { continue };
            match Self::read(elf, address, bytes) {
                Ok(table) => return Ok(table),
                // The magic alone may be a number in someone's data.
                Err(PclntabAbsence::Damaged(_)) => {}
                Err(absence) => refused = absence,
            }
        }
        Err(refused)
    }

    /// Reads and checks the table at the start of `bytes`, which may be longer than the table.
    fn read(elf: &Elf<'a>, address: u64, bytes: &'a [u8]) -> Result<Self, PclntabAbsence> {
        let header = Header::read(address, bytes)?;
        let expected_quantum = match elf.machine() {
            raw::EM_X86_64 => 1,
            raw::EM_AARCH64 => 4,
            other => return Err(PclntabAbsence::Machine(super::facts::machine_words(other))),
        };
        if header.quantum != expected_quantum {
            return Err(PclntabAbsence::Damaged("the instruction size is not the machine's"));
        }
        let [names, units, files, pc_values, functions] =
            split(bytes, header.offsets).ok_or(PclntabAbsence::Damaged("its parts are out of order"))?;
        let function_count = usize::try_from(header.function_count)
            .ok()
            .filter(|count| {
                let size = count.checked_mul(2).and_then(|words| words.checked_add(1));
                let size = size.and_then(|words| words.checked_mul(header.layout.entry_word()));
                *count > 0 && size.is_some_and(|size| size <= functions.len())
            })
            .ok_or(PclntabAbsence::Damaged("the number of functions is impossible"))?;
        let mut table = Self {
            layout: header.layout,
            quantum: header.quantum,
            names,
            units,
            files,
            pc_values,
            functions,
            function_count,
            text: 0..0,
        };
        table.text = table.check_text(elf, &header)?;
        table.check_functions()?;
        Ok(table)
    }

    /// Where the functions are, confirmed by the moduledata, the header and the segments.
    fn check_text(&self, elf: &Elf<'_>, header: &Header) -> Result<Range<u64>, PclntabAbsence> {
        const CUT: PclntabAbsence = PclntabAbsence::Damaged("the table of functions is cut off");
        let module = moduledata::find(elf, header).ok_or(PclntabAbsence::NoModuledata)?;
        let (first, _) = self.raw_entry(0).ok_or(CUT)?;
        let (last, _) = self.raw_entry(self.function_count).ok_or(CUT)?;
        let base = if self.layout == Layout::Go116 { 0 } else { module.text };
        let contradiction = PclntabAbsence::Damaged("it disagrees with the moduledata on where the code is");
        let (Some(start), Some(end)) = (base.checked_add(first), base.checked_add(last)) else {
            return Err(contradiction);
        };
        let header_agrees = header.text == 0 || header.text == module.text;
        let bounds_agree = start == module.min_pc && end == module.max_pc;
        let inside = module.text <= start && start < end && end <= module.text_end;
        if !(header_agrees && bounds_agree && inside) {
            return Err(contradiction);
        }
        if !elf.is_code(start, end) {
            return Err(PclntabAbsence::Damaged("its functions are not in executable memory"));
        }
        // Offsets count from the start of the text, so that is what has to be kept.
        Ok(module.text..end)
    }

    /// Every function's entry and record, so that a layout that only looks familiar is noticed.
    fn check_functions(&self) -> Result<(), PclntabAbsence> {
        const CUT: PclntabAbsence = PclntabAbsence::Damaged("a function's record is cut off");
        let mut previous = 0;
        for index in 0..self.function_count {
            let (entry, _) = self.raw_entry(index).ok_or(CUT)?;
            if entry < previous {
                return Err(PclntabAbsence::Damaged("the functions are not in the order of their addresses"));
            }
            previous = entry;
            let next = index.checked_add(1).filter(|next| *next < self.function_count);
            let next_record = next.and_then(|next| self.raw_entry(next)).map(|(_, record)| record);
            self.function(index).ok_or(CUT)?.check(entry, next_record)?;
        }
        let (last, _) = self.raw_entry(self.function_count).unwrap_or_default();
        if last < previous {
            return Err(PclntabAbsence::Damaged("the functions end before the last one starts"));
        }
        Ok(())
    }

    /// The generation of the table.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The addresses that the table answers for: all Go code, and C code that Go's own linker put among it.
    pub fn text(&self) -> Range<u64> {
        self.text.clone()
    }

    /// The function that holds the address. Padding belongs to the function before it, as it does for
    /// Go's own tools. `None` outside of the Go code.
    pub fn function_at(&self, address: u64) -> Option<Function<'_, 'a>> {
        if !self.text.contains(&address) {
            return None;
        }
        let wanted = if self.layout == Layout::Go116 { address } else { address.checked_sub(self.text.start)? };
        let (mut low, mut high) = (0, self.function_count);
        while low < high {
            let middle = low.midpoint(high);
            if self.raw_entry(middle)?.0 <= wanted {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        self.function(low.checked_sub(1)?)
    }

    /// All functions by rising address.
    pub fn functions(&self) -> impl Iterator<Item = Function<'_, 'a>> {
        (0..self.function_count).filter_map(|index| self.function(index))
    }

    fn function(&self, index: usize) -> Option<Function<'_, 'a>> {
        let (entry, record) = self.raw_entry(index)?;
        let (end, _) = self.raw_entry(index.checked_add(1)?)?;
        let base = if self.layout == Layout::Go116 { 0 } else { self.text.start };
        Function::read(self, base.checked_add(entry)?, base.checked_add(end)?, record)
    }

    /// An entry of the table of functions as it is there: where the function starts, where its record is.
    /// The entry behind the last function tells where that ends, and has no record.
    fn raw_entry(&self, index: usize) -> Option<(u64, u64)> {
        let word = self.layout.entry_word();
        let mut cursor = Cursor::at(self.functions, index.checked_mul(word)?.checked_mul(2)?)?;
        if self.layout == Layout::Go116 {
            return Some((cursor.u64()?, cursor.u64().unwrap_or_default()));
        }
        Some((u64::from(cursor.u32()?), u64::from(cursor.u32().unwrap_or_default())))
    }
}

/// Whether these can be the first eight bytes of a table: magic, two zeros, instruction size, pointer size.
fn is_header(word: u64) -> bool {
    let [magic, rest @ .., quantum, pointer_size] = word.to_le_bytes();
    matches!(magic, 0xf0 | 0xf1 | 0xfa | 0xfb)
        && rest == [0xff, 0xff, 0xff, 0, 0]
        && matches!(quantum, 1 | 2 | 4)
        && matches!(pointer_size, 4 | 8)
}

/// Cuts `bytes` at the offsets, which must rise; the last part goes to the end.
fn split(bytes: &[u8], offsets: [u64; 5]) -> Option<[&[u8]; 5]> {
    let mut parts = [bytes; 5];
    let ends = offsets.iter().skip(1).copied().chain([u64::try_from(bytes.len()).ok()?]);
    for ((part, start), end) in parts.iter_mut().zip(offsets).zip(ends) {
        if start >= end {
            return None;
        }
        *part = bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
    }
    Some(parts)
}
