//! The Go function table (`.gopclntab`): where it is, whether it holds up, and which function an address is in.
//!
//! Layouts: Go's src/internal/abi/symtab.go (magics), src/cmd/link/internal/ld/pcln.go (header and tables),
//! src/runtime/symtab.go (how the runtime reads them). The magic did not change in Go 1.26 and 1.27 although
//! the address of the text left the header, so every table is checked against the runtime's moduledata.

use std::ops::Range;

use object::elf as raw;

use super::elf::Elf;
use super::error::PclntabAbsence;
use super::format::Format;
use super::function::Function;
use super::inline::Trees;
use super::moduledata::{self, Moduledata};
use super::textmap::TextMap;
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
    fn entry_word(self, format: Format) -> usize {
        if self == Self::Go116 { format.word_size() } else { 4 }
    }
}

/// The header and the tables behind it, as far as the table itself tells.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Address of the header.
    pub(super) address: u64,
    pub(super) layout: Layout,
    /// What a step of an address is multiplied by: the machine's smallest instruction size.
    pub(super) quantum: u32,
    pub(super) function_count: u64,
    /// 0 in Go 1.16 and 1.17 (which do not need it), since 1.26, and before relocation.
    text: u64,
    /// Offsets from the header: function names, file indices, file names, pc-value tables, functions.
    pub(super) offsets: [u64; 5],
}

impl Header {
    fn read(format: Format, address: u64, bytes: &[u8]) -> Result<Self, PclntabAbsence> {
        const CUT: PclntabAbsence = PclntabAbsence::Damaged("the header is cut off");
        let mut cursor = Cursor::new(bytes);
        let layout = Layout::of_magic(format.u32(&mut cursor).ok_or(CUT)?)?;
        if cursor.u16() != Some(0) {
            return Err(PclntabAbsence::Damaged("the header's padding is not zero"));
        }
        let quantum = cursor.u8().ok_or(CUT)?;
        let pointer_size = cursor.u8().ok_or(CUT)?;
        if pointer_size != format.pointer_size {
            return Err(PclntabAbsence::Damaged("the pointer size is not the file's"));
        }
        let mut word = || format.word(&mut cursor).ok_or(CUT);
        let function_count = word()?;
        let _file_count = word()?;
        let text = if layout == Layout::Go116 { 0 } else { word()? };
        let offsets = [word()?, word()?, word()?, word()?, word()?];
        Ok(Self { address, layout, quantum: u32::from(quantum), function_count, text, offsets })
    }
}

/// A Go function table that held up to every check.
#[derive(Debug)]
pub struct Pclntab<'a> {
    pub(super) layout: Layout,
    pub(super) format: Format,
    pub(super) quantum: u32,
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
    /// What the functions' offsets stand for. In Go 1.16 and 1.17 they are addresses.
    places: TextMap,
    /// Where inlined calls are. `None` when no function has any, or where they are is not known.
    pub(super) trees: Option<Trees<'a>>,
    /// The number of the function id that marks what the compiler made up: the last one, in every release.
    wrapper_id: u8,
}

impl<'a> Pclntab<'a> {
    pub(super) fn find(elf: &Elf<'a>) -> Result<Self, PclntabAbsence> {
        for name in [&b".gopclntab"[..], b".data.rel.ro.gopclntab"] {
            if let Some(section) = elf.section(name) {
                return Self::read(elf, section.address, section.bytes);
            }
        }
        // External linkers put a PIE's table somewhere into .data.rel.ro before Go 1.26, and section
        // headers can be stripped. The first eight bytes then are all that there is to look for.
        let mut refused = PclntabAbsence::NotGo;
        let format = elf.format();
        let candidates = elf.data_places(|word| has_magic(format, word)).filter(|(_, bytes)| is_header(format, bytes));
        for (address, bytes) in candidates.take(16) {
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
        let format = elf.format();
        let header = Header::read(format, address, bytes)?;
        let quanta = instruction_sizes(elf.machine());
        if quanta.is_empty() {
            return Err(PclntabAbsence::Machine(super::facts::machine_words(elf)));
        }
        if !quanta.contains(&header.quantum) {
            return Err(PclntabAbsence::Damaged("the instruction size is not the machine's"));
        }
        let [names, units, files, pc_values, functions] =
            split(bytes, header.offsets).ok_or(PclntabAbsence::Damaged("its parts are out of order"))?;
        let function_count = usize::try_from(header.function_count)
            .ok()
            .filter(|count| {
                let size = count.checked_mul(2).and_then(|words| words.checked_add(1));
                let size = size.and_then(|words| words.checked_mul(header.layout.entry_word(format)));
                *count > 0 && size.is_some_and(|size| size <= functions.len())
            })
            .ok_or(PclntabAbsence::Damaged("the number of functions is impossible"))?;
        let mut table = Self {
            layout: header.layout,
            format,
            quantum: header.quantum,
            names,
            units,
            files,
            pc_values,
            functions,
            function_count,
            text: 0..0,
            places: TextMap::whole(0),
            trees: None,
            wrapper_id: u8::MAX,
        };
        let module = moduledata::find(elf, &header).ok_or(PclntabAbsence::NoModuledata)?;
        if table.layout != Layout::Go116 {
            let text = module.text..module.text_end;
            let sections = module.section_candidates.into_iter().find_map(|map| TextMap::read(elf, &text, map));
            table.places = sections.unwrap_or_else(|| TextMap::whole(module.text));
        }
        table.text = table.check_text(elf, &header, &module)?;
        table.check_functions()?;
        table.wrapper_id = table.functions().map(|function| function.id()).max().unwrap_or(u8::MAX);
        table.trees = table.find_trees(elf, &module);
        Ok(table)
    }

    /// Where the functions are, confirmed by the moduledata, the header and the segments.
    fn check_text(&self, elf: &Elf<'_>, header: &Header, module: &Moduledata) -> Result<Range<u64>, PclntabAbsence> {
        const CUT: PclntabAbsence = PclntabAbsence::Damaged("the table of functions is cut off");
        let (first, _) = self.raw_entry(0).ok_or(CUT)?;
        let (last, _) = self.raw_entry(self.function_count).ok_or(CUT)?;
        let contradiction = PclntabAbsence::Damaged("it disagrees with the moduledata on where the code is");
        let (Some(start), Some(end)) = (self.places.address(first), self.places.address(last)) else {
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
        let wanted = self.places.offset(address)?;
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
        let (next, _) = self.raw_entry(index.checked_add(1)?)?;
        let Range { start, end } = self.places.addresses(entry, next)?;
        Function::read(self, start, end, record)
    }

    /// An entry of the table of functions as it is there: where the function starts, where its record is.
    /// The entry behind the last function tells where that ends, and has no record.
    fn raw_entry(&self, index: usize) -> Option<(u64, u64)> {
        let word = self.layout.entry_word(self.format);
        let mut cursor = Cursor::at(self.functions, index.checked_mul(word)?.checked_mul(2)?)?;
        if self.layout == Layout::Go116 {
            return Some((self.format.word(&mut cursor)?, self.format.word(&mut cursor).unwrap_or_default()));
        }
        let entry = self.format.u32(&mut cursor)?;
        Some((u64::from(entry), u64::from(self.format.u32(&mut cursor).unwrap_or_default())))
    }

    /// Where the inlined calls are. Where a word of the moduledata is meant to tell, but points at no calls, the
    /// linker's symbol for the same place is asked.
    fn find_trees(&self, elf: &Elf<'a>, module: &Moduledata) -> Option<Trees<'a>> {
        let first = self.functions().find_map(|function| function.inline_tree_place())?;
        let trees_at = |base: u64| {
            let at = base.checked_add(first)?;
            let (start, bytes) = elf.segment_around(at)?;
            let trees = Trees { base, start, bytes };
            trees.check(self).then_some(trees)
        };
        if self.layout == Layout::Go116 {
            return trees_at(0);
        }
        let of_module = module.gofunc_candidates.into_iter().find_map(trees_at);
        of_module.or_else(|| elf.symbol_address(&[b"go:func.*", b"go.func.*"]).and_then(trees_at))
    }

    /// Whether a name begins at this place among the names.
    pub(super) fn is_name(&self, place: u32) -> bool {
        let Ok(place) = usize::try_from(place) else { return false };
        let before = place.checked_sub(1).map_or(Some(&0), |before| self.names.get(before));
        before == Some(&0) && place < self.names.len()
    }

    /// The name at this place. `None` when its bytes run out of the table.
    pub(super) fn name_at(&self, place: u32) -> Option<&'a [u8]> {
        Cursor::at(self.names, usize::try_from(place).ok()?)?.cstr()
    }

    /// Whether a function id is the one of generated code: wrappers of methods and of the calling conventions,
    /// equality and hash functions.
    pub(super) fn is_wrapper(&self, func_id: u8) -> bool {
        func_id == self.wrapper_id
    }

    /// Whether inlined calls can be shown. `false` is an unknown layout of a release that is newer than this program:
    /// names and lines are then those of the physical functions.
    pub fn knows_inlining(&self) -> bool {
        self.trees.is_some() || !self.functions().any(|function| function.has_inline_tree())
    }
}

/// What a step of an address can be on a machine (`MinLC` of Go's src/cmd/internal/sys/arch.go).
fn instruction_sizes(machine: raw::Machine) -> &'static [u32] {
    match machine {
        raw::EM_386 | raw::EM_X86_64 => &[1],
        raw::EM_S390 => &[2],
        // Go writes compressed instructions since Go 1.26 or so.
        raw::EM_RISCV => &[2, 4],
        raw::EM_AARCH64 | raw::EM_ARM | raw::EM_LOONGARCH | raw::EM_MIPS | raw::EM_PPC64 => &[4],
        _ => &[],
    }
}

/// Whether a table's magic stands at the start of a word.
fn has_magic(format: Format, word: &[u8]) -> bool {
    let magic = format.u32(&mut Cursor::new(word));
    magic.is_some_and(|magic| matches!(magic, 0xffff_fff0 | 0xffff_fff1 | 0xffff_fffa | 0xffff_fffb))
}

/// Whether a table can go on so behind its magic: two zeros, instruction size, pointer size.
fn is_header(format: Format, bytes: &[u8]) -> bool {
    let mut cursor = Cursor::new(bytes);
    cursor.skip(4).is_some()
        && cursor.u16() == Some(0)
        && matches!(cursor.u8(), Some(1 | 2 | 4))
        && cursor.u8() == Some(format.pointer_size)
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
