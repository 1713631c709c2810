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

/// Maximum number of compilation units in a file. addr2line keeps about 700 bytes for each unit, but a unit may take
/// only 13 bytes of the file. The largest programs have about 50,000 units.
const MAX_UNITS: usize = 1 << 17;

/// The debug information of a file.
pub(super) struct DebugInfo<'a> {
    /// addr2line's parser. It caches what it parses and cannot be shared by threads, so a mutex serves one look-up at a
    /// time.
    context: Mutex<Context<'a>>,
}

enum Context<'a> {
    /// No section is compressed: all are borrowed from the file.
    InPlace(addr2line::Context<EndianSlice<'a, RunTimeEndian>>),
    /// At least one section is compressed: all are owned.
    Unpacked(addr2line::Context<EndianArcSlice<RunTimeEndian>>),
}

/// A function at an address, or an inlined call of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DebugFrame {
    /// The linker's name, or the name in the source if there is no linker's name. `None` if only the line is known.
    pub(super) name: Option<String>,
    pub(super) file: Option<String>,
    /// The line number, from 1. 0 if unknown.
    pub(super) line: u32,
    pub(super) is_go: bool,
}

/// Maximum number of frames of one address. An address with more frames gets none.
const MAX_FRAMES: usize = 200;

impl<'a> DebugInfo<'a> {
    /// Reads the debug information. `None` if the file has none, or if its units are damaged or more than
    /// [`MAX_UNITS`].
    pub(super) fn read(elf: &Elf<'a>) -> Option<Self> {
        let endian = if elf.format().big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
        let mut contents = elf.debug_contents(SECTIONS.map(SectionId::name));
        let in_place = contents.iter().all(|section| matches!(section, Cow::Borrowed(_)));
        let mut of = |id: SectionId| {
            let at = SECTIONS.iter().position(|wanted| *wanted == id);
            at.and_then(|at| contents.get_mut(at)).map(mem::take).unwrap_or_default()
        };
        let context = if in_place {
            let borrowed = |bytes: Cow<'a, [u8]>| if let Cow::Borrowed(bytes) = bytes { bytes } else { &[] };
            Context::InPlace(context(|id| EndianSlice::new(borrowed(of(id)), endian))?)
        } else {
            Context::Unpacked(context(|id| EndianArcSlice::new(Arc::from(of(id)), endian))?)
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

fn context<R: Reader>(mut section: impl FnMut(SectionId) -> R) -> Option<addr2line::Context<R>> {
    let mut dwarf = gimli::Dwarf::load(|id| Ok::<_, gimli::Error>(section(id))).ok()?;
    let mut units = dwarf.units();
    let mut count = 0..MAX_UNITS;
    while units.next().ok()?.is_some() {
        count.next()?;
    }
    // Parses abbreviations that several units share only once.
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
        let place = frame.location;
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok()).map(demangle);
        frames.push(DebugFrame {
            name: name.map(Cow::into_owned).filter(|name| !name.is_empty()),
            file: place.as_ref().and_then(|place| place.file).map(str::to_owned),
            line: place.as_ref().and_then(|place| place.line).unwrap_or_default(),
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
    // A name without this prefix may still be a mangled C++ type: `f` is `float`.
    if name.starts_with("_Z") || name.starts_with("_R") { addr2line::demangle_auto(name, None) } else { name }
}
