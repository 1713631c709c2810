//! Functions, lines and inlined calls from DWARF, for the code that Go's function table does not know: C in a cgo
//! program, and programs in other languages.
//!
//! The reading is gimli's and addr2line's. Nothing is read before the first question, and what cannot be read is not
//! there: debug information only ever adds to what the symbols say.

use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use gimli::{AbbreviationsCacheStrategy, EndianArcSlice, EndianSlice, Reader, RunTimeEndian, SectionId};

use super::elf::Elf;

/// The sections that are read. Others hold variables, types and macros.
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

/// Units of a file at most. addr2line keeps some 700 bytes of each, which may be 13 bytes of the file. The largest programs
/// have some 50,000.
const MOST_UNITS: usize = 1 << 17;

/// Debug information of a file.
pub(super) struct DebugInfo<'a> {
    /// It keeps what it has read, so that it can serve one question at a time.
    context: Mutex<Context<'a>>,
}

enum Context<'a> {
    /// All sections are read where they are in the file.
    InPlace(addr2line::Context<EndianSlice<'a, RunTimeEndian>>),
    /// Some had to be decompressed.
    Unpacked(addr2line::Context<EndianArcSlice<RunTimeEndian>>),
}

/// A function at an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DebugFrame {
    /// The linker's name where it has one, else the one in the source. `None` for code that has a line only.
    pub(super) name: Option<String>,
    pub(super) file: Option<String>,
    /// From 1; 0 is unknown.
    pub(super) line: u32,
    pub(super) is_go: bool,
}

/// The most calls that one address is shown to be in.
const DEEPEST: usize = 200;

impl<'a> DebugInfo<'a> {
    /// `None` when there is none, or its units cannot be read.
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

    /// The functions at an address, innermost first; empty where nothing is known.
    pub(super) fn frames(&self, address: u64) -> Vec<DebugFrame> {
        // addr2line computes the address behind it. There is no code at the highest one.
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
    let mut count = 0..MOST_UNITS;
    while units.next().ok()?.is_some() {
        count.next()?;
    }
    // Units may share their abbreviations, which are then parsed once.
    dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
    addr2line::Context::from_dwarf(dwarf).ok()
}

fn frames<R: Reader>(context: &addr2line::Context<R>, address: u64) -> Vec<DebugFrame> {
    let Ok(mut found) = context.find_frames(address).skip_all_loads() else { return Vec::new() };
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = found.next() {
        if frames.len() == DEEPEST {
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

/// A linker's name as C++ or Rust writes it; any other as it is.
pub(super) fn demangle(name: Cow<'_, str>) -> Cow<'_, str> {
    // A name without this prefix may still be a mangled C++ type: `f` is `float`.
    if name.starts_with("_Z") || name.starts_with("_R") { addr2line::demangle_auto(name, None) } else { name }
}
