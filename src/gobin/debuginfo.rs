//! Functions, lines and inlined calls from DWARF, for code that pclntab does not contain: C in a cgo program, and
//! programs in other languages.
//!
//! gimli and addr2line parse the DWARF. The sections are loaded at the first look-up. Damaged DWARF counts as missing:
//! then the names come from the symbol table alone.

use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use gimli::{AbbreviationsCacheStrategy, EndianArcSlice, EndianSlice, Reader, RunTimeEndian, SectionId};

use super::elf::Elf;

/// The sections that are read. The other sections describe variables, types and macros.
const SECTIONS: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Maximum number of compilation units in a file. addr2line needs about 700 bytes of memory for each unit, but a unit can
/// be as small as 13 bytes in the file. The largest programs have about 50,000 units.
const MAX_UNITS: usize = 1 << 17;

pub(super) struct DebugInfo<'a> {
    /// addr2line's parser, with a cache. Not thread-safe, so the mutex allows one look-up at a time.
    context: Mutex<Context<'a>>,
}

enum Context<'a> {
    /// No section is compressed: all are borrowed from the file.
    InPlace(addr2line::Context<EndianSlice<'a, RunTimeEndian>>),
    /// At least one section is compressed: all are copied to memory.
    Unpacked(addr2line::Context<EndianArcSlice<RunTimeEndian>>),
}

/// A function at an address, or a function that is inlined there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DebugFrame {
    /// The linker's name, demangled, else the name in the source. `None` if only the line is known.
    pub(super) name: Option<String>,
    pub(super) file: Option<String>,
    /// The line number, from 1. 0 if unknown.
    pub(super) line: u32,
    pub(super) is_go: bool,
}

/// Maximum number of frames of one address. For an address with more frames, no frames are returned.
const MAX_FRAMES: usize = 200;

impl<'a> DebugInfo<'a> {
    /// Reads the debug information. `None` if the file has none, or if its units are damaged or more than
    /// [`MAX_UNITS`].
    pub(super) fn read(elf: &Elf<'a>) -> Option<Self> {
        let endian = if elf.format().is_big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let mut contents = elf.debug_contents(SECTIONS.map(SectionId::name));
        let in_place = contents.iter().all(|section| matches!(section, Cow::Borrowed(_)));
        let mut take_section = |id: SectionId| {
            let index = SECTIONS.iter().position(|wanted| *wanted == id);
            index.and_then(|index| contents.get_mut(index)).map(mem::take).unwrap_or_default()
        };
        let context = if in_place {
            let borrowed = |bytes: Cow<'a, [u8]>| if let Cow::Borrowed(bytes) = bytes { bytes } else { &[] };
            Context::InPlace(parse_context(|id| EndianSlice::new(borrowed(take_section(id)), endian))?)
        } else {
            Context::Unpacked(parse_context(|id| EndianArcSlice::new(Arc::from(take_section(id)), endian))?)
        };
        Some(Self { context: Mutex::new(context) })
    }

    /// The frames of an address, innermost first. Empty if the DWARF does not cover the address.
    pub(super) fn frames(&self, address: u64) -> Vec<DebugFrame> {
        // addr2line computes `address + 1`, which would overflow. No code is at this address.
        if address == u64::MAX {
            return Vec::new();
        }
        match &*self.context.lock().unwrap_or_else(PoisonError::into_inner) {
            Context::InPlace(context) => frames(context, address),
            Context::Unpacked(context) => frames(context, address),
        }
    }
}

fn parse_context<R: Reader>(mut section: impl FnMut(SectionId) -> R) -> Option<addr2line::Context<R>> {
    let mut dwarf = gimli::Dwarf::load(|id| Ok::<_, gimli::Error>(section(id))).ok()?;
    let mut units = dwarf.units();
    let mut count = 0..MAX_UNITS;
    while units.next().ok()?.is_some() {
        count.next()?;
    }
    // Abbreviations that several units share are parsed only once.
    dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
    addr2line::Context::from_dwarf(dwarf).ok()
}

fn frames<R: Reader>(context: &addr2line::Context<R>, address: u64) -> Vec<DebugFrame> {
    let Ok(mut found) = context.find_frames(address).skip_all_loads() else { return Vec::new() };
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = found.next() {
        if frames.len() == MAX_FRAMES {
            return Vec::new();
        }
        let location = frame.location;
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok()).map(demangle);
        frames.push(DebugFrame {
            name: name.map(Cow::into_owned).filter(|name| !name.is_empty()),
            file: location.as_ref().and_then(|location| location.file).map(str::to_owned),
            line: location.as_ref().and_then(|location| location.line).unwrap_or_default(),
            is_go: frame.function.is_some_and(|function| function.language == Some(gimli::DW_LANG_Go)),
        });
    }
    frames
}

impl std::fmt::Debug for DebugInfo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugInfo").finish_non_exhaustive()
    }
}

/// Demangles a linker's name of C++ or Rust. Returns any other name unchanged.
pub(super) fn demangle(name: Cow<'_, str>) -> Cow<'_, str> {
    // Without this check, the C function `f` would be shown as the C++ type `float`.
    if name.starts_with("_Z") || name.starts_with("_R") { addr2line::demangle_auto(name, None) } else { name }
}
