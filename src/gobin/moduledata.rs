//! The runtime's moduledata: address ranges of the Go code and addresses of the tables that its functions refer to.
//!
//! The first 24 words are the same from Go 1.16 to 1.27 (src/runtime/symtab.go). The later words `gofunc` and
//! `textsectmap` have moved several times, and the file has no version number for them. So every known position is
//! tried, and the data that the position refers to shows whether it is right.

use super::elf::Elf;
use super::header::Header;
use crate::bytes::Cursor;

pub(super) struct Moduledata {
    /// `runtime.text`: function offsets count from here. Not the start of `.text` if C code is linked in.
    pub(super) text: u64,
    /// `runtime.etext`.
    pub(super) text_end: u64,
    /// Entry of the first function.
    pub(super) min_pc: u64,
    /// End of the last function.
    pub(super) max_pc: u64,
    /// Candidates for `gofunc`, the address from which offsets of inline trees count.
    pub(super) gofunc_candidates: [u64; 3],
    /// Candidates for `textsectmap`, the slice of text sections.
    pub(super) textsectmap_candidates: [GoSlice; 4],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct GoSlice {
    pub(super) address: u64,
    pub(super) length: u64,
}

/// Word index of `gofunc`: in Go 1.27, in 1.20 to 1.26, in 1.18 and 1.19.
const GOFUNC_WORDS: [usize; 3] = [43, 40, 38];

/// Word index of `textsectmap`: in Go 1.27, in 1.26, in 1.20 to 1.25, in 1.18 and 1.19.
const TEXTSECTMAP_WORDS: [usize; 4] = [45, 42, 41, 39];

pub(super) fn find(elf: &Elf<'_>, header: &Header) -> Option<Moduledata> {
    let format = elf.format();
    // Since Go 1.26 the moduledata has its own section.
    let section = elf.section(b".go.module").map(|section| section.address);
    // In older releases, it is found by its first word: a pointer to pclntab, stored in place or by a relocation.
    let points_to_table = |bytes: &[u8]| format.read_word(&mut Cursor::new(bytes)) == Some(header.address);
    let in_place = elf.find_in_data(points_to_table).map(|(address, _)| address);
    let relocated =
        elf.relative_relocations().filter(|found| found.addend == header.address).map(|found| found.word_address);
    section.into_iter().chain(in_place).chain(relocated).take(32).find_map(|address| read(elf, header, address))
}

/// Reads the moduledata at `address`. `None` if a pointer into pclntab disagrees with the header.
fn read(elf: &Elf<'_>, header: &Header, address: u64) -> Option<Moduledata> {
    // The pointer pcHeader; the slices (pointer, length, capacity) funcnametab, cutab, filetab, pctab, pclntable and
    // ftab; then addresses.
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
    ]: [u64; 24] = elf.read_words(address)?;
    let all_words: [u64; 47] = elf.read_words(address).unwrap_or([0; 47]);
    let expected = header.part_offsets.map(|offset| header.address.checked_add(offset));
    let agrees = table == header.address
        && [names, units, files, pc_values, functions].map(Some) == expected
        && entries == functions
        && Some(entry_count) == header.function_count.checked_add(1);
    let word = |index: usize| all_words.get(index).copied().unwrap_or_default();
    let gofunc_candidates = GOFUNC_WORDS.map(word);
    let textsectmap_candidates =
        TEXTSECTMAP_WORDS.map(|index| GoSlice { address: word(index), length: word(index.saturating_add(1)) });
    agrees.then_some(Moduledata { text, text_end, min_pc, max_pc, gofunc_candidates, textsectmap_candidates })
}
