//! Field offsets of Go runtime structures, from the program's DWARF.
//!
//! Go's linker puts all types into units of package runtime (`movetomodule` in src/cmd/link/internal/ld/dwarf.go). Package
//! runtime also has one unit for each of its assembly files. In units of other packages only the first entry is read.

use gimli::{
    Abbreviations, AbbreviationsCache, AbbreviationsCacheStrategy, AttributeValue, DebugAbbrev, DebugInfo,
    DebugLineStr, DebugStr, EndianSlice, RunTimeEndian, UnitHeader,
};

use super::elf::Elf;

type Reader<'s> = EndianSlice<'s, RunTimeEndian>;

/// Maximum of the product: number of visited units × size of `.debug_abbrev` in bytes. Each unit can cause a parse of the
/// whole section, so a hostile program could take hours. In real programs, package runtime is among the first hundred
/// units.
const ABBREVIATION_BUDGET: usize = 1 << 29;

/// A field of a structure, such as `goid` of `runtime.g`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) structure: &'static str,
    pub(super) name: &'static str,
}

/// Offsets in bytes, in the order of the requested fields. `None` for a field that the structure does not have.
pub(super) type FieldOffsets<const N: usize> = [Option<u64>; N];

/// The offsets of fields in bytes from the start of their structure. `None` if the file has no readable DWARF of
/// package runtime, or if a structure is missing there.
pub(super) fn field_offsets<const N: usize>(elf: &Elf<'_>, fields: &[Field; N]) -> Option<FieldOffsets<N>> {
    let endian = if elf.format().is_big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
    let names = [".debug_info", ".debug_abbrev", ".debug_str", ".debug_line_str"];
    let [info, abbrev, str, line_str] = elf.debug_contents(names);
    let strings = StringSections {
        debug_str: DebugStr::from(EndianSlice::new(&str, endian)),
        debug_line_str: DebugLineStr::from(EndianSlice::new(&line_str, endian)),
    };
    let mut budget = ABBREVIATION_BUDGET;
    let size = abbrev.len();
    let abbrev = DebugAbbrev::from(EndianSlice::new(&abbrev, endian));
    let mut units = DebugInfo::new(&info, endian).units();
    let mut shared = AbbreviationsCache::new();
    // Go's units share their abbreviations; the cache parses them once.
    shared.populate(AbbreviationsCacheStrategy::Duplicates, &abbrev, units.clone());
    let mut search = FieldSearch::new(fields);
    while let (false, Ok(Some(unit))) = (search.is_complete(), units.next()) {
        budget = budget.checked_sub(size)?;
        let abbreviations = shared.get(&abbrev, unit.debug_abbrev_offset()).ok()?;
        if strings.is_runtime_unit(&unit, &abbreviations) {
            search.read_unit(&strings, &unit, &abbreviations).ok()?;
        }
    }
    search.is_complete().then_some(search.offsets)
}

struct StringSections<'s> {
    debug_str: DebugStr<Reader<'s>>,
    debug_line_str: DebugLineStr<Reader<'s>>,
}

impl<'s> StringSections<'s> {
    fn get(&self, value: Option<AttributeValue<Reader<'s>>>) -> Option<&'s [u8]> {
        let name = match value? {
            AttributeValue::String(name) => name,
            AttributeValue::DebugStrRef(offset) => self.debug_str.get_str(offset).ok()?,
            AttributeValue::DebugLineStrRef(offset) => self.debug_line_str.get_str(offset).ok()?,
            _ => return None,
        };
        Some(name.slice())
    }

    fn is_runtime_unit(&self, unit: &UnitHeader<Reader<'s>>, abbreviations: &Abbreviations) -> bool {
        let Ok(root) = unit.entry(abbreviations, unit.root_offset()) else { return false };
        let is_go = root.attr_value(gimli::DW_AT_language) == Some(AttributeValue::Language(gimli::DW_LANG_Go));
        is_go && self.get(root.attr_value(gimli::DW_AT_name)) == Some(b"runtime")
    }
}

struct FieldSearch<'f, const N: usize> {
    fields: &'f [Field; N],
    /// Structures that are not found yet.
    missing: Vec<&'f str>,
    offsets: FieldOffsets<N>,
}

impl<'f, const N: usize> FieldSearch<'f, N> {
    fn new(fields: &'f [Field; N]) -> Self {
        let mut missing: Vec<&str> = fields.iter().map(|field| field.structure).collect();
        missing.sort_unstable();
        missing.dedup();
        Self { fields, missing, offsets: [None; N] }
    }

    fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Reads the entries of a unit until no structure is missing.
    fn read_unit<'s>(
        &mut self,
        strings: &StringSections<'s>,
        unit: &UnitHeader<Reader<'s>>,
        abbreviations: &Abbreviations,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries(abbreviations);
        // The structure that encloses the current entry, and its depth in the tree.
        let mut current: Option<(&str, isize)> = None;
        while let Some(entry) = entries.next_dfs()? {
            if current.is_some_and(|(_, depth)| entry.depth() <= depth) {
                current = None;
                if self.is_complete() {
                    break;
                }
            }
            match (entry.tag(), current) {
                (gimli::DW_TAG_structure_type, _) => {
                    let name = strings.get(entry.attr_value(gimli::DW_AT_name));
                    if let Some(index) = self.missing.iter().position(|wanted| Some(wanted.as_bytes()) == name) {
                        current = Some((self.missing.swap_remove(index), entry.depth()));
                    }
                }
                (gimli::DW_TAG_member, Some((structure, _))) => {
                    let name = strings.get(entry.attr_value(gimli::DW_AT_name));
                    let location = entry.attr_value(gimli::DW_AT_data_member_location);
                    for (field, offset) in self.fields.iter().zip(&mut self.offsets) {
                        if field.structure == structure && Some(field.name.as_bytes()) == name {
                            *offset = location.as_ref().and_then(AttributeValue::udata_value);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
