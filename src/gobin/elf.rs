//! The ELF container: segments, sections, notes, relocations, and reading at an address.

use std::fmt::Write as _;

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{
    Dyn as _, FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _, SectionTable, SymbolTable,
};

use super::error::Error;
use crate::bytes::Cursor;

/// The one kind of file header that is read.
pub(super) type Header = FileHeader64<LE>;

/// 64 KiB of them is the limit of Linux (`load_elf_phdrs` in `fs/binfmt_elf.c`). It keeps searches among them short.
const MAX_PROGRAM_HEADERS: usize = 0x1_0000 / size_of::<ProgramHeader64<LE>>();

/// A part of the file that is mapped into memory (`PT_LOAD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Link-time virtual address of the first byte.
    pub address: u64,
    /// Where the first byte is in the file.
    pub offset: u64,
    /// Number of bytes that come from the file; memory behind them is zero-filled.
    pub file_size: u64,
    /// Mapped executable.
    pub executable: bool,
    /// Mapped writable.
    pub writable: bool,
}

impl Segment {
    /// Whether the file has a byte for this address.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|into| into < self.file_size)
    }
}

/// A little-endian 64-bit program or shared object.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    program_headers: &'a [ProgramHeader64<LE>],
    segments: Vec<Segment>,
    sections: SectionTable<'a, Header>,
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        check_ident(bytes)?;
        let header = Header::parse(bytes).map_err(|_| Error::Truncated("file header"))?;
        match header.e_type(LE) {
            elf::ET_EXEC | elf::ET_DYN => {}
            elf::ET_REL => return Err(Error::Unsupported("an object file that is not linked yet")),
            elf::ET_CORE => return Err(Error::Unsupported("a core dump")),
            _ => return Err(Error::Unsupported("this type of ELF file")),
        }
        let program_headers = header.program_headers(LE, bytes).map_err(|_| Error::Truncated("program headers"))?;
        if program_headers.len() > MAX_PROGRAM_HEADERS {
            return Err(Error::Unsupported("an ELF file with more program headers than Linux loads"));
        }
        let mut segments = Vec::new();
        for segment in program_headers.iter().filter(|header| header.p_type(LE) == elf::PT_LOAD) {
            segment.data(LE, bytes).map_err(|()| Error::Truncated("segments"))?;
            let flags = segment.p_flags(LE);
            segments.push(Segment {
                address: segment.p_vaddr(LE),
                offset: segment.p_offset(LE),
                file_size: segment.p_filesz(LE),
                executable: flags.contains(elf::PF_X),
                writable: flags.contains(elf::PF_W),
            });
        }
        let sections = header.sections(LE, bytes).map_err(|_| Error::Truncated("section headers"))?;
        Ok(Self { bytes, header, program_headers, segments, sections })
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn machine(&self) -> elf::Machine {
        self.header.e_machine(LE)
    }

    /// A program that runs at any address. A shared library is `ET_DYN` too, but names no interpreter
    /// and lacks the flag. (libc.so.6, which can be run, counts as one.)
    pub(super) fn is_pie(&self) -> bool {
        let flagged = || {
            let dynamic = self.program_headers.iter().find_map(|header| header.dynamic(LE, self.bytes).ok()?);
            dynamic
                .into_iter()
                .flatten()
                .any(|entry| entry.d_tag(LE) == elf::DT_FLAGS_1 && entry.d_val(LE) & elf::DF_1_PIE.0 != 0)
        };
        self.header.e_type(LE) == elf::ET_DYN
            && (self.program_headers.iter().any(|header| header.p_type(LE) == elf::PT_INTERP) || flagged())
    }

    /// The GNU build id in hex, from the section or the segments that hold notes.
    pub(super) fn build_id(&self) -> Option<String> {
        let section = self.sections.section_by_name(LE, b".note.gnu.build-id");
        let of_section = section.and_then(|(_, header)| header.notes(LE, self.bytes).ok()?);
        let of_segments = self.program_headers.iter().filter_map(|header| header.notes(LE, self.bytes).ok()?);
        // Real files have two or three; the limit keeps overlapping ones from costing minutes.
        let notes = of_section.into_iter().chain(of_segments).take(8).flatten().flatten();
        let mut ids = notes.filter(|note| note.name() == elf::ELF_NOTE_GNU && note.n_type(LE) == elf::NT_GNU_BUILD_ID);
        let note = ids.next()?;
        let mut hex = String::new();
        for byte in note.desc() {
            write!(hex, "{byte:02x}").ok()?;
        }
        (!hex.is_empty()).then_some(hex)
    }

    /// The section's header and contents (empty when it has none in the file).
    pub(super) fn section(&self, name: &[u8]) -> Option<(&'a SectionHeader64<LE>, &'a [u8])> {
        let (_, header) = self.sections.section_by_name(LE, name)?;
        Some((header, header.data(LE, self.bytes).ok()?))
    }

    pub(super) fn section_header(&self, index: object::SectionIndex) -> Option<&'a SectionHeader64<LE>> {
        self.sections.section(index).ok()
    }

    /// The first symbol table of this kind; empty when there is none or it is damaged.
    pub(super) fn symbols(&self, kind: elf::SectionType) -> SymbolTable<'a, Header> {
        self.sections.symbols(LE, self.bytes, kind).unwrap_or_default()
    }

    /// The bytes from `address` to the end of its segment in the file.
    pub(super) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let segment = self.segments.iter().find(|segment| segment.contains(address))?;
        let start = segment.offset.checked_add(address.checked_sub(segment.address)?)?;
        let end = segment.offset.checked_add(segment.file_size)?;
        self.bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// Whether `start..end` lies in one executable segment.
    pub(super) fn is_code(&self, start: u64, end: u64) -> bool {
        self.segments.iter().any(|segment| {
            segment.executable
                && segment.contains(start)
                && end.checked_sub(1).is_some_and(|last| segment.contains(last))
        })
    }

    /// Every aligned 8-byte word of the data segments, with its address.
    pub(super) fn data_words(&self) -> impl Iterator<Item = (u64, u64)> {
        // Honest segments do not overlap. Hostile ones could make this walk the file thousands of times.
        let mut budget = self.bytes.len();
        let data = self.segments.iter().filter(|segment| !segment.executable).filter_map(move |segment| {
            let start = segment.address.checked_next_multiple_of(8)?;
            let bytes = self.at(start)?;
            budget = budget.checked_sub(bytes.len())?;
            Some((start, bytes))
        });
        data.flat_map(|(start, bytes)| {
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            (start..=u64::MAX).step_by(8).zip(words)
        })
    }

    /// Relocations of the kind "load address + addend", as (address of the word, addend).
    ///
    /// Go's linker and GNU ld leave the addend in the word too; others (lld) leave zero there.
    pub(super) fn relative_relocations(&self) -> impl Iterator<Item = (u64, u64)> {
        let kind = match self.machine() {
            elf::EM_X86_64 => Some(elf::R_X86_64_RELATIVE),
            elf::EM_AARCH64 => Some(elf::R_AARCH64_RELATIVE),
            _ => None,
        };
        // By name (external linkers', Go's own), so that hostile headers cannot give one table many times.
        let tables = [&b".rela.dyn"[..], b".rela"].into_iter().filter_map(|name| {
            let (_, header) = self.sections.section_by_name(LE, name)?;
            header.rela(LE, self.bytes).ok()?
        });
        tables.flat_map(|(entries, _)| entries).filter_map(move |entry| {
            let is_relative = Some(entry.r_type(LE, false)) == kind;
            is_relative.then(|| (entry.r_offset(LE), entry.r_addend(LE).cast_unsigned()))
        })
    }

    /// `N` words of memory at `address`, as they are once relocated to where the file was linked for.
    pub(super) fn words<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        let mut cursor = Cursor::new(self.at(address)?);
        let mut words = [0; N];
        for word in &mut words {
            *word = cursor.u64()?;
        }
        if words.contains(&0) {
            for (place, addend) in self.relative_relocations() {
                let index = place.checked_sub(address).filter(|into| into.is_multiple_of(8)).map(|into| into / 8);
                let index = index.and_then(|index| usize::try_from(index).ok());
                if let Some(word) = index.and_then(|index| words.get_mut(index)).filter(|word| **word == 0) {
                    *word = addend;
                }
            }
        }
        Some(words)
    }
}

/// The first bytes, so that each kind of wrong file gets its own words.
fn check_ident(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Error::NotElf);
    }
    match (bytes.get(4), bytes.get(5)) {
        (Some(2), Some(1)) => Ok(()),
        (Some(1), _) => Err(Error::Unsupported("a 32-bit program")),
        (Some(2), Some(2)) => Err(Error::Unsupported("a big-endian program")),
        _ => Err(Error::Truncated("file header")),
    }
}
