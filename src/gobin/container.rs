//! The ELF container of 32 or 64 bits and either byte order. Its fields are returned as plain integers.
//!
//! The `object` crate parses all structures. This file does not know the contents of any section.

use std::borrow::Cow;
use std::ffi::CStr;

use object::Endianness;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{
    CompressionHeader as _, Dyn as _, FileHeader, ProgramHeader as _, Rela as _, SectionHeader as _, SectionTable,
    Sym as _, SymbolTable,
};
use object::{CompressedData, CompressionFormat};

use crate::bytes::hex;

use super::error::Error;
use super::format::NumberFormat;

/// Linux loads at most 64 KiB of program headers (`load_elf_phdrs` in `fs/binfmt_elf.c`). The limit keeps searches short.
const MAX_PROGRAM_HEADERS: usize = 0x1_0000 / size_of::<elf::ProgramHeader64<Endianness>>();

/// Maximum number of symbols of a table, and of relocations. The largest programs have about 5 million. A sparse file
/// can claim any number.
const MAX_SYMBOLS: usize = 1 << 23;

/// Maximum length of a symbol's name. In a hostile file, names can overlap, and each can be as long as the file.
const MAX_NAME_BYTES: usize = 1 << 14;

/// Maximum number of notes. Real files have fewer than 20.
const MAX_NOTES: usize = 1 << 10;

/// Maximum ratio of decompressed to compressed size. Real debug information has a ratio of 3 to 10; a larger claim is an
/// attempt to exhaust the memory.
const MAX_COMPRESSION_RATIO: u64 = 256;

/// A part of the file that is mapped into memory (`PT_LOAD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Link-time virtual address of the first byte.
    pub address: u64,
    /// File offset of the first byte.
    pub offset: u64,
    /// Number of bytes in the file. The rest of the segment in memory is zero-filled.
    pub file_size: u64,
    /// Whether the segment is mapped executable.
    pub executable: bool,
    /// Whether the segment is mapped writable.
    pub writable: bool,
}

impl Segment {
    /// Whether the file contains the byte at this address.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.file_size)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ElfSection<'a> {
    pub(super) address: u64,
    /// The bytes in the file, still compressed. Empty for a section without file contents.
    pub(super) bytes: &'a [u8],
    pub(super) compressed: bool,
}

/// A relocation that sets a word to the load address plus `addend`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelativeRelocation {
    pub(super) word_address: u64,
    pub(super) addend: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    pub(super) address: u64,
    pub(super) size: u64,
    /// Offset of the name in the string table.
    pub(super) name: u32,
    pub(super) kind: elf::SymbolType,
    pub(super) bind: elf::SymbolBind,
    /// End address of the executable section that defines the symbol. `None` for a symbol of any other section.
    pub(super) code_end: Option<u64>,
}

/// A symbol table with its string table.
#[derive(Debug, Default)]
pub(super) struct SymbolList<'a> {
    pub(super) symbols: Vec<Symbol>,
    names: &'a [u8],
}

impl<'a> SymbolList<'a> {
    /// The symbol's name; empty if it has none.
    pub(super) fn name(&self, symbol: &Symbol) -> &'a [u8] {
        name_at(self.names, symbol.name)
    }
}

/// The zero-terminated name at an offset of a string table, at most its first [`MAX_NAME_BYTES`]. Empty if the table
/// ends before the zero byte.
fn name_at(names: &[u8], offset: u32) -> &[u8] {
    let rest = usize::try_from(offset).ok().and_then(|offset| names.get(offset..)).unwrap_or_default();
    match rest.get(..MAX_NAME_BYTES) {
        Some(beginning) => CStr::from_bytes_until_nul(beginning).map_or(beginning, CStr::to_bytes),
        None => CStr::from_bytes_until_nul(rest).map(CStr::to_bytes).unwrap_or_default(),
    }
}

/// An ELF file of 32 or 64 bits.
#[derive(Debug)]
pub(super) enum Container<'a> {
    Bits32(ElfOfClass<'a, FileHeader32<Endianness>>),
    Bits64(ElfOfClass<'a, FileHeader64<Endianness>>),
}

/// Evaluates the same expression for a 32-bit or a 64-bit file.
macro_rules! match_class {
    ($container:expr, $typed:ident => $value:expr) => {
        match $container {
            Container::Bits32($typed) => $value,
            Container::Bits64($typed) => $value,
        }
    };
}
pub(super) use match_class;

impl<'a> Container<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::Empty);
        }
        if !bytes.starts_with(&elf::ELFMAG) {
            return Err(Error::NotElf);
        }
        match bytes.get(4) {
            Some(1) => ElfOfClass::parse(bytes).map(Self::Bits32),
            Some(2) => ElfOfClass::parse(bytes).map(Self::Bits64),
            Some(_) => Err(Error::Unsupported("an ELF file of an unknown class")),
            None => Err(Error::Truncated("file header")),
        }
    }

    pub(super) fn format(&self) -> NumberFormat {
        let is_big_endian = match_class!(self, typed => typed.endian == Endianness::Big);
        NumberFormat { is_big_endian, pointer_size: if matches!(self, Self::Bits32(_)) { 4 } else { 8 } }
    }
}

/// An ELF file of the class (32 or 64 bits) that `H` selects.
#[derive(Debug)]
pub(super) struct ElfOfClass<'a, H: FileHeader<Endian = Endianness>> {
    bytes: &'a [u8],
    endian: Endianness,
    header: &'a H,
    program_headers: &'a [H::ProgramHeader],
    sections: SectionTable<'a, H>,
    section_names: &'a [u8],
}

impl<'a, H: FileHeader<Endian = Endianness>> ElfOfClass<'a, H> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = H::parse(bytes).map_err(|_| Error::Truncated("file header"))?;
        let endian = header.endian().map_err(|_| Error::Truncated("file header"))?;
        match header.e_type(endian) {
            elf::ET_EXEC | elf::ET_DYN => {}
            elf::ET_REL => return Err(Error::Unsupported("an object file that is not linked yet")),
            elf::ET_CORE => return Err(Error::Unsupported("a core dump")),
            _ => return Err(Error::Unsupported("this type of ELF file")),
        }
        let program_headers = header.program_headers(endian, bytes).map_err(|_| Error::Truncated("program headers"))?;
        if program_headers.len() > MAX_PROGRAM_HEADERS {
            return Err(Error::Unsupported("an ELF file with more program headers than Linux loads"));
        }
        let sections = header.sections(endian, bytes).map_err(|_| Error::Truncated("section headers"))?;
        let names = header.section_strings_index(endian, bytes).and_then(|index| sections.section(index));
        let section_names = names.and_then(|names| names.data(endian, bytes)).unwrap_or_default();
        Ok(Self { bytes, endian, header, program_headers, sections, section_names })
    }

    pub(super) fn segments(&self) -> Result<Vec<Segment>, Error> {
        let mut segments = Vec::new();
        for segment in self.program_headers.iter().filter(|header| header.p_type(self.endian) == elf::PT_LOAD) {
            segment.data(self.endian, self.bytes).map_err(|()| Error::Truncated("segments"))?;
            let flags = segment.p_flags(self.endian);
            segments.push(Segment {
                address: segment.p_vaddr(self.endian).into(),
                offset: segment.p_offset(self.endian).into(),
                file_size: segment.p_filesz(self.endian).into(),
                executable: flags.contains(elf::PF_X),
                writable: flags.contains(elf::PF_W),
            });
        }
        Ok(segments)
    }

    pub(super) fn machine(&self) -> elf::Machine {
        self.header.e_machine(self.endian)
    }

    /// See [`Elf::is_pie`](super::elf::Elf::is_pie).
    pub(super) fn is_pie(&self) -> bool {
        let has_pie_flag = || {
            let dynamic =
                self.program_headers.iter().find_map(|header| header.dynamic(self.endian, self.bytes).ok()?);
            let entries = dynamic.into_iter().flatten();
            entries.take_while(|entry| entry.d_tag(self.endian) != elf::DT_NULL).any(|entry| {
                let value: u64 = entry.d_val(self.endian).into();
                entry.d_tag(self.endian) == elf::DT_FLAGS_1 && value & elf::DF_1_PIE.0 != 0
            })
        };
        let has_interpreter = || self.program_headers.iter().any(|header| header.p_type(self.endian) == elf::PT_INTERP);
        self.header.e_type(self.endian) == elf::ET_DYN && (has_interpreter() || has_pie_flag())
    }

    /// The GNU build id in hexadecimal, from the section or from note segments.
    pub(super) fn build_id(&self) -> Option<String> {
        let section = self.header_named(b".note.gnu.build-id");
        let of_section = section.and_then(|header| header.notes(self.endian, self.bytes).ok()?);
        let of_segments =
            self.program_headers.iter().filter_map(|header| header.notes(self.endian, self.bytes).ok()?);
        // Real files have two or three note areas. The limits bound the time for a hostile file with many overlapping areas.
        let notes = of_section.into_iter().chain(of_segments).take(8).flatten().flatten().take(MAX_NOTES);
        let mut ids =
            notes.filter(|note| note.name() == elf::ELF_NOTE_GNU && note.n_type(self.endian) == elf::NT_GNU_BUILD_ID);
        let note = ids.next()?;
        Some(hex(note.desc())).filter(|id| !id.is_empty())
    }

    /// The first section header with this name. The comparison stops at the first different byte, because a hostile
    /// file can have many sections with names as long as the file.
    fn header_named(&self, name: &[u8]) -> Option<&'a H::SectionHeader> {
        let is_named = |header: &&H::SectionHeader| {
            let start = usize::try_from(header.sh_name(self.endian)).ok();
            let rest = start.and_then(|start| self.section_names.get(start..)?.strip_prefix(name));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        self.sections.iter().find(is_named)
    }

    pub(super) fn section(&self, name: &[u8]) -> Option<ElfSection<'a>> {
        let header = self.header_named(name)?;
        Some(ElfSection {
            address: header.sh_addr(self.endian).into(),
            bytes: header.data(self.endian, self.bytes).ok()?,
            compressed: header.sh_flags(self.endian).contains(elf::SHF_COMPRESSED),
        })
    }

    /// The contents of a section, decompressed. `None` if the section is missing or damaged, or has more than
    /// `max_size` bytes after decompression.
    pub(super) fn contents(&self, name: &[u8], max_size: u64) -> Option<Cow<'a, [u8]>> {
        let header = self.header_named(name)?;
        let Some((compression, offset, size)) = header.compression(self.endian, self.bytes).ok()? else {
            return header.data(self.endian, self.bytes).ok().map(Cow::Borrowed);
        };
        let stream = self.bytes.get(usize::try_from(offset).ok()?..)?.get(..usize::try_from(size).ok()?)?;
        let format = match compression.ch_type(self.endian) {
            elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
            elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
            _ => return None,
        };
        decompress(format, stream, compression.ch_size(self.endian).into(), max_size)
    }

    pub(super) fn has_symbols(&self, kind: elf::SectionType) -> bool {
        self.sections.symbols(self.endian, self.bytes, kind).is_ok_and(|table| !table.is_empty())
    }

    /// See [`Elf::symbols`](super::elf::Elf::symbols).
    pub(super) fn symbols(
        &self,
        kind: elf::SectionType,
        mut is_wanted: impl FnMut(&Symbol, &[u8]) -> bool,
    ) -> SymbolList<'a> {
        let table = self.sections.symbols(self.endian, self.bytes, kind).unwrap_or_default();
        let names = self.sections.section(table.string_section()).and_then(|names| names.data(self.endian, self.bytes));
        let names = names.unwrap_or_default();
        let symbols = table.enumerate().take(MAX_SYMBOLS).map(|(index, symbol)| Symbol {
            address: symbol.st_value(self.endian).into(),
            size: symbol.st_size(self.endian).into(),
            name: symbol.st_name(self.endian),
            kind: symbol.st_type(),
            bind: symbol.st_bind(),
            code_end: self.code_end(&table, index, symbol),
        });
        let symbols = symbols.filter(|symbol| is_wanted(symbol, name_at(names, symbol.name)));
        SymbolList { symbols: symbols.collect(), names }
    }

    fn code_end(&self, table: &SymbolTable<'a, H>, index: object::SymbolIndex, symbol: &H::Sym) -> Option<u64> {
        let section = table.symbol_section(self.endian, symbol, index).ok()??;
        let header = self.sections.section(section).ok()?;
        let (start, size): (u64, u64) = (header.sh_addr(self.endian).into(), header.sh_size(self.endian).into());
        header.sh_flags(self.endian).contains(elf::SHF_EXECINSTR).then(|| start.saturating_add(size))
    }

    /// See [`Elf::relative_relocations`](super::elf::Elf::relative_relocations).
    pub(super) fn relocations(&self, kind: elf::RelocationType) -> impl Iterator<Item = RelativeRelocation> {
        // External linkers write `.rela.dyn`, Go's linker writes `.rela`. The look-up is by name, so that hostile
        // headers cannot list one table many times.
        let tables = [&b".rela.dyn"[..], b".rela"]
            .into_iter()
            .filter_map(|name| self.header_named(name)?.rela(self.endian, self.bytes).ok()?);
        tables.flat_map(|(entries, _)| entries).take(MAX_SYMBOLS).filter_map(move |entry| {
            let addend: i64 = entry.r_addend(self.endian).into();
            let is_relative = entry.r_type(self.endian, false) == kind;
            is_relative.then(|| RelativeRelocation {
                word_address: entry.r_offset(self.endian).into(),
                addend: addend.cast_unsigned(),
            })
        })
    }
}

/// Decompresses `stream` to `size` bytes. `None` if `size` is more than `max_size`, or not plausible for the length of
/// the stream.
fn decompress(format: CompressionFormat, stream: &[u8], size: u64, max_size: u64) -> Option<Cow<'_, [u8]>> {
    let plausible = u64::try_from(stream.len()).ok()?.saturating_mul(MAX_COMPRESSION_RATIO);
    if size > plausible.min(max_size) {
        return None;
    }
    CompressedData { format, data: stream, uncompressed_size: size }.decompress().ok()
}

/// Decompresses a GNU-style section (`.zdebug_info`): `ZLIB`, the size as eight bytes in big-endian order, then the
/// stream.
pub(super) fn decompress_zdebug(bytes: &[u8], max_size: u64) -> Option<Cow<'_, [u8]>> {
    let (size, stream) = bytes.strip_prefix(b"ZLIB")?.split_first_chunk()?;
    decompress(CompressionFormat::Zlib, stream, u64::from_be_bytes(*size), max_size)
}
