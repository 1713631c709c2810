//! pclntab (Go's function table, `.gopclntab`): finds it, checks it, and looks up the function of an address.
//!
//! Layouts: Go's src/internal/abi/symtab.go (magics), src/cmd/link/internal/ld/pcln.go (header and tables),
//! src/runtime/symtab.go (how the runtime reads them). Go 1.26 removed the address of the text from the header without a
//! new magic, so every table is checked against the runtime's moduledata.

use std::ops::Range;

use object::elf as raw;

use super::elf::Elf;
use super::error::PclntabAbsence;
use super::format::NumberFormat;
use super::function::Function;
use super::header::{Header, Layout};
use super::inline::{InlineIndices, InlineTrees};
use super::moduledata::{self, Moduledata};
use super::textmap::TextMap;
use crate::bytes::Cursor;

/// An entry of the functab (`functab` of Go's src/runtime/symtab.go).
#[derive(Debug, Clone, Copy, Default)]
struct FunctabEntry {
    /// Start of the function: an offset from the text, or an address before Go 1.18.
    entry: u64,
    /// Offset of the function's record.
    record: u64,
}

/// A pclntab that passed all checks.
#[derive(Debug)]
pub struct Pclntab<'a> {
    pub(super) layout: Layout,
    pub(super) format: NumberFormat,
    pub(super) quantum: u32,
    /// NUL-terminated function names.
    pub(super) names: &'a [u8],
    /// `u32` offsets into `files`, grouped by compilation unit.
    pub(super) file_offsets: &'a [u8],
    /// NUL-terminated file names.
    pub(super) files: &'a [u8],
    /// Varint tables from address to file, line, ...
    pub(super) pc_values: &'a [u8],
    /// The functab (an entry for each function, and a last entry for the end of the code), then the function records.
    pub(super) functions: &'a [u8],
    /// Offset of the functab in `functions`.
    functab_offset: usize,
    function_count: usize,
    /// Whether function records end with a 32-bit count of funcdata, as before Go 1.12. Since then the count has 8 bits.
    pub(super) has_wide_funcdata_count: bool,
    /// Addresses of the Go code, up to the end of the last function.
    text: Range<u64>,
    /// Maps functab offsets to addresses. Before Go 1.18 these are equal.
    text_map: TextMap,
    /// `None` if no function has inlined calls, or if the address of the inline trees is unknown.
    pub(super) inline_trees: Option<InlineTrees<'a>>,
    /// Function id of generated code (`FuncIDWrapper`), which is the highest id in every release.
    wrapper_id: u8,
}

impl<'a> Pclntab<'a> {
    pub(super) fn find(elf: &Elf<'a>) -> Result<Self, PclntabAbsence> {
        for name in [&b".gopclntab"[..], b".data.rel.ro.gopclntab"] {
            if let Some(section) = elf.section(name) {
                return Self::read(elf, section.address, section.bytes);
            }
        }
        // Before Go 1.26, external linkers put a PIE's table somewhere into .data.rel.ro, and section headers can be
        // stripped. Then only the first eight bytes identify the table.
        let mut refused = PclntabAbsence::NotGo;
        let format = elf.format();
        let candidates = elf.find_in_data(|word| has_magic(format, word)).filter(|(_, bytes)| is_header(format, bytes));
        for (address, bytes) in candidates.take(16) {
            match Self::read(elf, address, bytes) {
                Ok(table) => return Ok(table),
                // Other data can contain the magic by chance.
                Err(PclntabAbsence::Damaged(_)) => {}
                Err(absence) => refused = absence,
            }
        }
        Err(refused)
    }

    /// Reads and checks the table at the start of `bytes`, which can be longer than the table.
    fn read(elf: &Elf<'a>, address: u64, bytes: &'a [u8]) -> Result<Self, PclntabAbsence> {
        let format = elf.format();
        let header = Header::read(format, address, bytes)?;
        let quanta = instruction_sizes(elf.machine());
        if quanta.is_empty() {
            return Err(PclntabAbsence::Machine(elf.machine_name()));
        }
        if !quanta.contains(&header.quantum) {
            return Err(PclntabAbsence::Damaged("the instruction size does not fit the machine"));
        }
        let parts = if header.layout == Layout::Go12 {
            go12_parts(format, bytes, header.part_offsets)
        } else {
            split_at_offsets(bytes, header.part_offsets)
        };
        let [names, file_offsets, files, pc_values, functions] =
            parts.ok_or(PclntabAbsence::Damaged("its parts are out of order"))?;
        let function_count = usize::try_from(header.function_count)
            .ok()
            .filter(|count| {
                let size = count.checked_mul(2).and_then(|words| words.checked_add(1));
                let size = size.and_then(|words| words.checked_mul(header.layout.functab_word_size(format)));
                let size = size.and_then(|size| size.checked_add(header.functab_offset));
                *count > 0 && size.is_some_and(|size| size <= functions.len())
            })
            .ok_or(PclntabAbsence::Damaged("the number of functions is impossible"))?;
        let mut table = Self {
            layout: header.layout,
            format,
            quantum: header.quantum,
            names,
            file_offsets,
            files,
            pc_values,
            functions,
            functab_offset: header.functab_offset,
            function_count,
            has_wide_funcdata_count: false,
            text: 0..0,
            text_map: TextMap::from_single_section(0),
            inline_trees: None,
            wrapper_id: u8::MAX,
        };
        if table.layout == Layout::Go12 {
            return table.finish_go12(elf);
        }
        let module = moduledata::find(elf, &header).ok_or(PclntabAbsence::NoModuledata)?;
        if !table.layout.has_addresses() {
            let text = module.text..module.text_end;
            let sections = module.textsectmap_candidates.into_iter().find_map(|map| TextMap::read(elf, &text, map));
            table.text_map = sections.unwrap_or_else(|| TextMap::from_single_section(module.text));
        }
        table.text = table.checked_text_range(elf, &header, &module)?;
        table.check_functions()?;
        table.wrapper_id = table.find_wrapper_id();
        table.inline_trees = table.find_inline_trees(elf, &module);
        Ok(table)
    }

    /// Completes and checks a table of Go 1.2 to 1.15. No moduledata is needed, because the functab contains addresses.
    fn finish_go12(mut self, elf: &Elf<'a>) -> Result<Self, PclntabAbsence> {
        let entry = |index| self.functab_entry(index).map(|entry| entry.entry);
        let (first, last) = (entry(0).unwrap_or_default(), entry(self.function_count).unwrap_or_default());
        if !elf.is_code(first, last) {
            return Err(PclntabAbsence::Damaged("its functions are not in executable memory"));
        }
        self.text = first..last;
        let is_wide = self.functions().all(|function| function.can_have_wide_funcdata_count());
        self.has_wide_funcdata_count = is_wide;
        self.check_functions()?;
        self.wrapper_id = self.find_wrapper_id();
        self.inline_trees = InlineTrees::find_in_go12(elf, &self);
        Ok(self)
    }

    fn find_wrapper_id(&self) -> u8 {
        self.functions().map(|function| function.func_id()).max().filter(|highest| *highest > 0).unwrap_or(u8::MAX)
    }

    /// The addresses of the Go code, checked against the moduledata, the header and the segments.
    fn checked_text_range(
        &self,
        elf: &Elf<'_>,
        header: &Header,
        module: &Moduledata,
    ) -> Result<Range<u64>, PclntabAbsence> {
        const CUT_OFF: PclntabAbsence = PclntabAbsence::Damaged("the table of functions is cut off");
        let first = self.functab_entry(0).ok_or(CUT_OFF)?.entry;
        let last = self.functab_entry(self.function_count).ok_or(CUT_OFF)?.entry;
        let contradiction = PclntabAbsence::Damaged("it disagrees with the moduledata on where the code is");
        let (Some(start), Some(end)) = (self.text_map.address_of_offset(first), self.text_map.address_of_offset(last))
        else {
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
        // Function offsets count from the start of the text, not from the first function.
        Ok(module.text..end)
    }

    /// Checks the entry and the record of every function, to detect an unknown layout that resembles a known one.
    fn check_functions(&self) -> Result<(), PclntabAbsence> {
        const CUT_OFF: PclntabAbsence = PclntabAbsence::Damaged("a function's record is cut off");
        let mut previous = 0;
        for index in 0..self.function_count {
            let entry = self.functab_entry(index).ok_or(CUT_OFF)?.entry;
            if entry < previous {
                return Err(PclntabAbsence::Damaged("the functions are not in the order of their addresses"));
            }
            previous = entry;
            // Before Go 1.16, names and pc-value tables are between the records.
            let next = index.checked_add(1).filter(|next| *next < self.function_count && self.layout > Layout::Go12);
            let next_record = next.and_then(|next| self.functab_entry(next)).map(|next| next.record);
            self.function(index).ok_or(CUT_OFF)?.check_record(entry, next_record)?;
        }
        let last = self.functab_entry(self.function_count).unwrap_or_default();
        if last.entry < previous {
            return Err(PclntabAbsence::Damaged("the functions end before the last one starts"));
        }
        Ok(())
    }

    /// The layout of the table, which shows a range of Go releases.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The addresses that the table covers: Go code, and C code that Go's internal linker put between Go functions.
    pub fn text(&self) -> Range<u64> {
        self.text.clone()
    }

    /// The function that contains the address. Padding belongs to the function before it, as in Go's own tools. `None`
    /// outside of the Go code.
    pub fn function_at(&self, address: u64) -> Option<Function<'_, 'a>> {
        if !self.text.contains(&address) {
            return None;
        }
        let offset = self.text_map.offset_of_address(address)?;
        let (mut low, mut high) = (0, self.function_count);
        while low < high {
            let middle = low.midpoint(high);
            if self.functab_entry(middle)?.entry <= offset {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        self.function(low.checked_sub(1)?)
    }

    /// All functions in ascending order of addresses.
    pub fn functions(&self) -> impl Iterator<Item = Function<'_, 'a>> {
        (0..self.function_count).filter_map(|index| self.function(index))
    }

    fn function(&self, index: usize) -> Option<Function<'_, 'a>> {
        let current = self.functab_entry(index)?;
        let next = self.functab_entry(index.checked_add(1)?)?;
        let Range { start, end } = self.text_map.function_range(current.entry, next.entry)?;
        Function::read(self, start, end, current.record)
    }

    /// A functab entry. The entry after the last function is the end of that function, and has no record.
    fn functab_entry(&self, index: usize) -> Option<FunctabEntry> {
        let word = self.layout.functab_word_size(self.format);
        let offset = index.checked_mul(word)?.checked_mul(2)?.checked_add(self.functab_offset)?;
        let mut cursor = Cursor::from_offset(self.functions, offset)?;
        if self.layout.has_addresses() {
            let entry = self.format.read_word(&mut cursor)?;
            return Some(FunctabEntry { entry, record: self.format.read_word(&mut cursor).unwrap_or_default() });
        }
        let entry = self.format.read_u32(&mut cursor)?.into();
        Some(FunctabEntry { entry, record: self.format.read_u32(&mut cursor).unwrap_or_default().into() })
    }

    /// Finds the inline trees at an address that the moduledata suggests, else at the linker's symbol `go:func.*`.
    fn find_inline_trees(&self, elf: &Elf<'a>, module: &Moduledata) -> Option<InlineTrees<'a>> {
        let first = self.functions().find_map(|function| function.funcdata(InlineIndices::GO_1_16.funcdata))?;
        let trees_at = |base: u64| {
            let (start, bytes) = elf.segment_containing(base.checked_add(first)?)?;
            let trees = InlineTrees { funcdata_base: base, start, bytes, indices: InlineIndices::GO_1_16 };
            trees.are_plausible_in(self).then_some(trees)
        };
        if self.layout.has_addresses() {
            return trees_at(0);
        }
        let from_module = module.gofunc_candidates.into_iter().find_map(trees_at);
        from_module.or_else(|| elf.symbol_address(&[b"go:func.*", b"go.func.*"]).and_then(trees_at))
    }

    /// Whether a name begins at this offset of the names.
    pub(super) fn is_name(&self, offset: u32) -> bool {
        if self.layout == Layout::Go12 {
            let is_printable = |text: &str| !text.is_empty() && !text.contains(char::is_control);
            return self.name_at(offset).is_some_and(|name| std::str::from_utf8(name).is_ok_and(is_printable));
        }
        let Ok(offset) = usize::try_from(offset) else { return false };
        let before = offset.checked_sub(1).map_or(Some(&0), |before| self.names.get(before));
        before == Some(&0) && offset < self.names.len()
    }

    /// The name at this offset of the names. `None` if it is cut off.
    pub(super) fn name_at(&self, offset: u32) -> Option<&'a [u8]> {
        Cursor::from_offset(self.names, usize::try_from(offset).ok()?)?.cstr()
    }

    /// Whether a function id marks generated code: wrappers of methods and of calling conventions, equality and hash
    /// functions.
    pub(super) fn is_wrapper(&self, func_id: u8) -> bool {
        func_id == self.wrapper_id
    }
}

/// Possible instruction sizes of a machine in bytes (`MinLC` of Go's src/cmd/internal/sys/arch.go).
fn instruction_sizes(machine: raw::Machine) -> &'static [u32] {
    match machine {
        raw::EM_386 | raw::EM_X86_64 => &[1],
        raw::EM_S390 => &[2],
        // Go uses compressed instructions since about Go 1.26.
        raw::EM_RISCV => &[2, 4],
        raw::EM_AARCH64 | raw::EM_ARM | raw::EM_LOONGARCH | raw::EM_MIPS | raw::EM_PPC64 => &[4],
        _ => &[],
    }
}

/// Whether a word begins with the magic of a pclntab.
fn has_magic(format: NumberFormat, word: &[u8]) -> bool {
    let magic = format.read_u32(&mut Cursor::new(word));
    magic.is_some_and(|magic| matches!(magic, 0xffff_fff0 | 0xffff_fff1 | 0xffff_fffa | 0xffff_fffb))
}

/// Whether the bytes after the magic are valid in a header: two zeros, instruction size, pointer size.
fn is_header(format: NumberFormat, bytes: &[u8]) -> bool {
    let mut cursor = Cursor::new(bytes);
    cursor.skip(4).is_some()
        && cursor.u16() == Some(0)
        && matches!(cursor.u8(), Some(1 | 2 | 4))
        && cursor.u8() == Some(format.pointer_size)
}

/// The parts of a table of Go 1.2 to 1.15. Each part is the whole table, except the file indices. The file indices begin
/// with their number of words, this word included.
fn go12_parts(format: NumberFormat, bytes: &[u8], offsets: [u64; 5]) -> Option<[&[u8]; 5]> {
    let [_, start, ..] = offsets;
    let units = bytes.get(usize::try_from(start).ok()?..)?;
    let count = usize::try_from(format.read_u32(&mut Cursor::new(units))?).ok()?;
    Some([bytes, units.get(..count.checked_mul(4)?)?, bytes, bytes, bytes])
}

/// Splits `bytes` at ascending offsets. The last part ends at the end of `bytes`.
fn split_at_offsets(bytes: &[u8], offsets: [u64; 5]) -> Option<[&[u8]; 5]> {
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
