//! [`Elf`]: segments, sections, symbols and relocations of a file, and its bytes by address.

use std::borrow::Cow;

use object::elf;

use super::container::{
    Container, ElfSection, RelativeRelocation, Segment, Symbol, SymbolList, decompress_zdebug, match_class,
};
use super::error::Error;
use super::format::NumberFormat;
use crate::bytes::Cursor;

/// Maximum number of bytes of the data segments that are searched for structures that have no section. In Go programs,
/// these structures are in the first 100 MB. A sparse file can have terabytes.
const MAX_SEARCHED_BYTES: usize = 256 << 20;

/// Total size in bytes to which the debug sections of any file are allowed to unpack, even of a tiny file.
const MIN_UNPACKED_LIMIT_BYTES: u64 = 64 << 20;

/// Number of unpacked bytes that are allowed for each byte of the file, beyond [`MIN_UNPACKED_LIMIT_BYTES`]. The debug
/// information of compilers unpacks to 2 to 5 times its size, and the file has other bytes too.
const UNPACKED_BYTES_PER_FILE_BYTE: u64 = 16;

/// Maximum total size in bytes of unpacked debug sections. In the largest programs, they have a few GiB.
const MAX_UNPACKED_LIMIT_BYTES: u64 = 4 << 30;

/// A program or shared object, of 32 or 64 bits and either byte order.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    container: Container<'a>,
    segments: Vec<Segment>,
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let container = Container::parse(bytes)?;
        let segments = match_class!(&container, typed => typed.segments())?;
        Ok(Self { bytes, container, segments })
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn format(&self) -> NumberFormat {
        self.container.format()
    }

    pub(super) fn machine(&self) -> elf::Machine {
        match_class!(&self.container, typed => typed.machine())
    }

    /// The GOARCH name of the machine, or `ELF machine N`.
    pub(super) fn machine_name(&self) -> String {
        let NumberFormat { is_big_endian, pointer_size } = self.format();
        let known = match (self.machine(), pointer_size, is_big_endian) {
            (elf::EM_386, _, _) => "386",
            (elf::EM_X86_64, _, _) => "amd64",
            (elf::EM_ARM, _, _) => "arm",
            (elf::EM_AARCH64, _, _) => "arm64",
            (elf::EM_LOONGARCH, _, _) => "loong64",
            (elf::EM_MIPS, 4, true) => "mips",
            (elf::EM_MIPS, 4, false) => "mipsle",
            (elf::EM_MIPS, _, true) => "mips64",
            (elf::EM_MIPS, _, false) => "mips64le",
            (elf::EM_PPC64, _, true) => "ppc64",
            (elf::EM_PPC64, _, false) => "ppc64le",
            (elf::EM_RISCV, _, _) => "riscv64",
            (elf::EM_S390, _, _) => "s390x",
            (other, _, _) => return format!("ELF machine {}", other.0),
        };
        known.to_owned()
    }

    /// Whether the file is a position-independent program. A shared library is `ET_DYN` too, but has no interpreter and
    /// no `DF_1_PIE` flag. libc.so.6 has an interpreter and counts as a program.
    pub(super) fn is_pie(&self) -> bool {
        match_class!(&self.container, typed => typed.is_pie())
    }

    /// The GNU build id in hexadecimal.
    pub(super) fn build_id(&self) -> Option<String> {
        match_class!(&self.container, typed => typed.build_id())
    }

    pub(super) fn section(&self, name: &[u8]) -> Option<ElfSection<'a>> {
        match_class!(&self.container, typed => typed.section(name))
    }

    /// The decompressed contents of a section. `None` if the section is missing, damaged or too large.
    pub(super) fn contents(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        match_class!(&self.container, typed => typed.contents(name, self.max_unpacked_bytes()))
    }

    /// The decompressed contents of the `.debug_` sections with these names, or of their old compressed form
    /// (`.zdebug_`). Empty for a section that is missing, damaged, or too large. All sections share one size limit, because
    /// several section headers can point at the same compressed bytes.
    pub(super) fn debug_contents<const N: usize>(&self, names: [&str; N]) -> [Cow<'a, [u8]>; N] {
        let mut budget = self.max_unpacked_bytes();
        names.map(|name| {
            let contents =
                match_class!(&self.container, typed => typed.contents(name.as_bytes(), budget)).or_else(|| {
                    let old = name.replacen(".debug_", ".zdebug_", 1);
                    decompress_zdebug(self.section(old.as_bytes())?.bytes, budget)
                });
            if let Some(Cow::Owned(unpacked)) = &contents {
                budget = budget.saturating_sub(u64::try_from(unpacked.len()).unwrap_or(u64::MAX));
            }
            contents.unwrap_or_default()
        })
    }

    /// Maximum total size in bytes of the unpacked sections of this file.
    fn max_unpacked_bytes(&self) -> u64 {
        let size = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        MIN_UNPACKED_LIMIT_BYTES
            .saturating_add(size.saturating_mul(UNPACKED_BYTES_PER_FILE_BYTE))
            .min(MAX_UNPACKED_LIMIT_BYTES)
    }

    /// Whether the file has a symbol table of this kind that is not empty.
    pub(super) fn has_symbols(&self, kind: elf::SectionType) -> bool {
        match_class!(&self.container, typed => typed.has_symbols(kind))
    }

    /// The symbols of the first table of this kind for which `is_wanted` is true. `is_wanted` gets symbol and name.
    /// Empty if the table is missing or damaged.
    pub(super) fn symbols(
        &self,
        kind: elf::SectionType,
        is_wanted: impl FnMut(&Symbol, &[u8]) -> bool,
    ) -> SymbolList<'a> {
        match_class!(&self.container, typed => typed.symbols(kind, is_wanted))
    }

    /// The address of the first symbol of `.symtab` with one of these names.
    pub(super) fn symbol_address(&self, names: &[&[u8]]) -> Option<u64> {
        self.symbol(names).map(|symbol| symbol.address)
    }

    /// The first symbol of `.symtab` with one of these names.
    pub(super) fn symbol(&self, names: &[&[u8]]) -> Option<Symbol> {
        let found = self.symbols(elf::SHT_SYMTAB, |_, name| names.contains(&name));
        found.symbols.first().copied()
    }

    /// The file's bytes from `address` to the end of its segment.
    pub(super) fn bytes_from(&self, address: u64) -> Option<&'a [u8]> {
        let segment = self.segments.iter().find(|segment| segment.contains(address))?;
        let start = segment.offset.checked_add(address.checked_sub(segment.address)?)?;
        let end = segment.offset.checked_add(segment.file_size)?;
        self.bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// The start address and the bytes of the segment that contains `address`.
    pub(super) fn segment_containing(&self, address: u64) -> Option<(u64, &'a [u8])> {
        let segment = self.segments.iter().find(|segment| segment.contains(address))?;
        Some((segment.address, self.bytes_from(segment.address)?))
    }

    /// Whether one executable segment contains `start..end`.
    pub(super) fn is_code(&self, start: u64, end: u64) -> bool {
        self.segments.iter().any(|segment| {
            segment.executable
                && segment.contains(start)
                && end.checked_sub(1).is_some_and(|last| segment.contains(last))
        })
    }

    /// Searches the data segments for a structure. Returns each pointer-aligned address at which `is_first_word` accepts
    /// the word, with the bytes from there to the end of the segment. Searches writable segments first.
    pub(super) fn find_in_data(
        &self,
        is_first_word: impl Fn(&[u8]) -> bool + Copy,
    ) -> impl Iterator<Item = (u64, &'a [u8])> {
        // The segments of a valid file do not overlap. In a hostile file, thousands of segments could contain the same
        // bytes; the budget bounds the search.
        let mut budget = self.bytes.len().min(MAX_SEARCHED_BYTES);
        let size = self.format().word_size();
        let segments = |writable| self.segments.iter().filter(move |segment| segment.writable == writable);
        let data = segments(true).chain(segments(false)).filter(|segment| !segment.executable);
        let data = data.filter_map(move |segment| {
            let start = segment.address.checked_next_multiple_of(u64::try_from(size).ok()?)?;
            let bytes = self.bytes_from(start)?;
            let searched = bytes.get(..budget).unwrap_or(bytes);
            budget = budget.checked_sub(searched.len())?;
            Some((start, bytes, searched))
        });
        data.flat_map(move |(start, bytes, searched)| {
            let words = searched.chunks_exact(size).enumerate().filter(move |(_, word)| is_first_word(word));
            words.filter_map(move |(index, _)| {
                let offset = index.checked_mul(size)?;
                Some((start.checked_add(u64::try_from(offset).ok()?)?, bytes.get(offset..)?))
            })
        })
    }

    /// Relocations that set a word to "load address + addend".
    ///
    /// Go's linker and GNU ld also store the addend in the word itself; lld stores zero there. On the machines that are
    /// not listed here, the addend is only in the word, so no relocations are returned.
    pub(super) fn relative_relocations(&self) -> Box<dyn Iterator<Item = RelativeRelocation> + '_> {
        let kind = match self.machine() {
            elf::EM_X86_64 => elf::R_X86_64_RELATIVE,
            elf::EM_AARCH64 => elf::R_AARCH64_RELATIVE,
            elf::EM_PPC64 => elf::R_PPC64_RELATIVE,
            elf::EM_RISCV => elf::R_RISCV_RELATIVE,
            elf::EM_S390 => elf::R_390_RELATIVE,
            elf::EM_LOONGARCH => elf::R_LARCH_RELATIVE,
            _ => return Box::new(std::iter::empty()),
        };
        match &self.container {
            Container::Bits32(typed) => Box::new(typed.relocations(kind)),
            Container::Bits64(typed) => Box::new(typed.relocations(kind)),
        }
    }

    /// Reads `N` words at `address`. Applies relocations as if the file were loaded at its link-time addresses.
    pub(super) fn read_words<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        let format = self.format();
        let mut cursor = Cursor::new(self.bytes_from(address)?);
        let mut words = [0; N];
        for word in &mut words {
            *word = format.read_word(&mut cursor)?;
        }
        if words.contains(&0) {
            let size = u64::from(format.pointer_size);
            for RelativeRelocation { word_address, addend } in self.relative_relocations() {
                let offset = word_address.checked_sub(address).filter(|offset| offset.is_multiple_of(size));
                let index = offset.and_then(|offset| usize::try_from(offset.checked_div(size)?).ok());
                if let Some(word) = index.and_then(|index| words.get_mut(index)).filter(|word| **word == 0) {
                    *word = addend;
                }
            }
        }
        Some(words)
    }
}
