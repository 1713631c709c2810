//! The runtime's moduledata: where the Go code is, and what its functions refer to.
//!
//! Its first 24 words have not changed from Go 1.16 to 1.27 (src/runtime/symtab.go). The words behind them that are
//! read, `gofunc` and `textsectmap`, have moved more than once, and would move again without a sign. So every place where
//! one has ever been is a candidate, and what it points at decides.

use super::elf::Elf;
use super::pclntab::Header;
use crate::bytes::Cursor;

/// What the moduledata says about the code.
pub(super) struct Moduledata {
    /// `runtime.text`, which function offsets count from. Not the start of `.text` when C code was linked in.
    pub(super) text: u64,
    /// `runtime.etext`.
    pub(super) text_end: u64,
    /// The first function's entry.
    pub(super) min_pc: u64,
    /// The last function's end.
    pub(super) max_pc: u64,
    /// What may be `gofunc`, the address that inline trees are counted from.
    pub(super) gofunc_candidates: [u64; 3],
    /// What may be `textsectmap`, where the sections of the text are: address and count.
    pub(super) section_candidates: [(u64, u64); 4],
}

/// Words in front of `gofunc`: in Go 1.27, in 1.20 to 1.26, in 1.18 and 1.19.
const GOFUNC: [usize; 3] = [43, 40, 38];

/// Words in front of `textsectmap`: in Go 1.27, in 1.26, in 1.20 to 1.25, in 1.18 and 1.19.
const SECTIONS: [usize; 4] = [45, 42, 41, 39];

/// The moduledata that belongs to this function table.
pub(super) fn find(elf: &Elf<'_>, header: &Header) -> Option<Moduledata> {
    let format = elf.format();
    // A section of its own since Go 1.26.
    let section = elf.section(b".go.module").map(|section| section.address);
    // Elsewhere it is the structure that starts with a pointer to the table, in place or by relocation.
    let points = |bytes: &[u8]| format.word(&mut Cursor::new(bytes)) == Some(header.address);
    let in_place = elf.data_places(points).map(|(address, _)| address);
    let relocated =
        elf.relative_relocations().filter(|(_, addend)| *addend == header.address).map(|(address, _)| address);
    section.into_iter().chain(in_place).chain(relocated).take(32).find_map(|address| read(elf, header, address))
}

/// Reads what is at `address`; `None` unless all its pointers into the function table agree with the header.
fn read(elf: &Elf<'_>, header: &Header, address: u64) -> Option<Moduledata> {
    // pcHeader, then slices (pointer, length, capacity) of names, units, files, pc-values, functions (as bytes
    // and as entries), then addresses.
    let [
        table,
        names,
        _,
        _,
        units,
        _,
        _,
        files,
        _,
        _,
        pc_values,
        _,
        _,
        functions,
        _,
        _,
        entries,
        entry_count,
        _,
        _findfunctab,
        min_pc,
        max_pc,
        text,
        text_end,
    ]: [u64; 24] = elf.words(address)?;
    let further: [u64; 47] = elf.words(address).unwrap_or([0; 47]);
    let expected = header.offsets.map(|offset| header.address.checked_add(offset));
    let agrees = table == header.address
        && [names, units, files, pc_values, functions].map(Some) == expected
        && entries == functions
        && Some(entry_count) == header.function_count.checked_add(1);
    let word = |at: usize| further.get(at).copied().unwrap_or_default();
    let gofunc_candidates = GOFUNC.map(word);
    let section_candidates = SECTIONS.map(|at| (word(at), word(at.saturating_add(1))));
    agrees.then_some(Moduledata { text, text_end, min_pc, max_pc, gofunc_candidates, section_candidates })
}
