//! Where structures of the Go runtime have their fields, as the program's own DWARF says.
//!
//! Go's linker hangs every type on a unit of package runtime, which has one for each of its assembly files too
//! (`movetomodule` in src/cmd/link/internal/ld/dwarf.go). Of other packages' units only the first entry is read.

use gimli::{
    Abbreviations, AbbreviationsCache, AbbreviationsCacheStrategy, AttributeValue, DebugAbbrev, DebugInfo,
    DebugLineStr, DebugStr, EndianSlice, RunTimeEndian, UnitHeader,
};

use super::elf::Elf;

type Reader<'s> = EndianSlice<'s, RunTimeEndian>;

/// Units that are passed over, times the bytes of abbreviations that each may have of its own: honest programs have runtime
/// among their first hundred units, and hostile ones could keep this busy for hours.
const MOST_ABBREVIATIONS: usize = 1 << 29;

/// Offsets of fields, by the structure and the field that were asked for; `None` for what is not there.
pub(super) type Offsets<const N: usize> = [Option<u64>; N];

/// Where the fields (structure and name: `("runtime.g", "goid")`) are, in bytes from the start of their structure.
/// `None` when the file has no readable DWARF of package runtime.
pub(super) fn field_offsets<const N: usize>(elf: &Elf<'_>, fields: &[(&str, &str); N]) -> Option<Offsets<N>> {
    let endian = if elf.format().big_endian { RunTimeEndian::Big } else { RunTimeEndian::Little };
    let section = |name| elf.debug_contents(name).unwrap_or_default();
    let [info, abbrev, str, line_str] = [".debug_info", ".debug_abbrev", ".debug_str", ".debug_line_str"].map(section);
    let names = Names {
        in_str: DebugStr::from(EndianSlice::new(&str, endian)),
        in_line_str: DebugLineStr::from(EndianSlice::new(&line_str, endian)),
    };
    let mut budget = MOST_ABBREVIATIONS;
    let size = abbrev.len();
    let abbrev = DebugAbbrev::from(EndianSlice::new(&abbrev, endian));
    let mut units = DebugInfo::new(&info, endian).units();
    let mut shared = AbbreviationsCache::new();
    // Go's units share their abbreviations, which are then parsed once.
    shared.populate(AbbreviationsCacheStrategy::Duplicates, &abbrev, units.clone());
    let mut search = Search::of(fields);
    while let (false, Ok(Some(unit))) = (search.is_over(), units.next()) {
        budget = budget.checked_sub(size)?;
        let abbreviations = shared.get(&abbrev, unit.debug_abbrev_offset()).ok()?;
        if names.is_of_runtime(&unit, &abbreviations) {
            search.read(&names, &unit, &abbreviations).ok()?;
        }
    }
    search.is_over().then_some(search.found)
}

/// The sections that names may be in.
struct Names<'s> {
    in_str: DebugStr<Reader<'s>>,
    in_line_str: DebugLineStr<Reader<'s>>,
}

impl<'s> Names<'s> {
    fn get(&self, value: Option<AttributeValue<Reader<'s>>>) -> Option<&'s [u8]> {
        let name = match value? {
            AttributeValue::String(name) => name,
            AttributeValue::DebugStrRef(offset) => self.in_str.get_str(offset).ok()?,
            AttributeValue::DebugLineStrRef(offset) => self.in_line_str.get_str(offset).ok()?,
            _ => return None,
        };
        Some(name.slice())
    }

    fn is_of_runtime(&self, unit: &UnitHeader<Reader<'s>>, abbreviations: &Abbreviations) -> bool {
        let Ok(root) = unit.entry(abbreviations, unit.root_offset()) else { return false };
        let is_go = root.attr_value(gimli::DW_AT_language) == Some(AttributeValue::Language(gimli::DW_LANG_Go));
        is_go && self.get(root.attr_value(gimli::DW_AT_name)) == Some(b"runtime")
    }
}

/// What is looked for, and what of it was found.
struct Search<'f, const N: usize> {
    fields: &'f [(&'f str, &'f str); N],
    /// Structures that were not met yet.
    missing: Vec<&'f str>,
    found: Offsets<N>,
}

impl<'f, const N: usize> Search<'f, N> {
    fn of(fields: &'f [(&'f str, &'f str); N]) -> Self {
        let mut missing: Vec<&str> = fields.iter().map(|(structure, _)| *structure).collect();
        missing.sort_unstable();
        missing.dedup();
        Self { fields, missing, found: [None; N] }
    }

    fn is_over(&self) -> bool {
        self.missing.is_empty()
    }

    /// Reads the entries of a unit, as far as there is something to be found.
    fn read<'s>(
        &mut self,
        names: &Names<'s>,
        unit: &UnitHeader<Reader<'s>>,
        abbreviations: &Abbreviations,
    ) -> gimli::Result<()> {
        let mut entries = unit.entries(abbreviations);
        // The structure whose members come now, and how deep in the tree it is.
        let mut inside: Option<(&str, isize)> = None;
        while let Some(entry) = entries.next_dfs()? {
            if inside.is_some_and(|(_, depth)| entry.depth() <= depth) {
                inside = None;
                if self.is_over() {
                    break;
                }
            }
            match (entry.tag(), inside) {
                (gimli::DW_TAG_structure_type, _) => {
                    let name = names.get(entry.attr_value(gimli::DW_AT_name));
                    if let Some(at) = self.missing.iter().position(|wanted| Some(wanted.as_bytes()) == name) {
                        inside = Some((self.missing.swap_remove(at), entry.depth()));
                    }
                }
                (gimli::DW_TAG_member, Some((structure, _))) => {
                    let name = names.get(entry.attr_value(gimli::DW_AT_name));
                    let offset = entry.attr_value(gimli::DW_AT_data_member_location);
                    for ((of, field), place) in self.fields.iter().zip(&mut self.found) {
                        if *of == structure && Some(field.as_bytes()) == name {
                            *place = offset.as_ref().and_then(AttributeValue::udata_value);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
