//! Converts between addresses and the text offsets of pclntab.
//!
//! Offsets count from the start of the text. On 32-bit ARM and PowerPC, where a call has a limited range, the linker splits
//! a very large text into sections. Other code can be between two sections, so the runtime has a map (`textsectmap` of
//! src/runtime/symtab.go, since Go 1.18).

use std::ops::Range;

use super::elf::Elf;
use super::moduledata::GoSlice;

/// Maximum number of sections. Each section except the last has about 28 MB (the linker's `TrampLimit`).
const MAX_SECTIONS: u64 = 64;

/// Maximum difference in bytes between the end of the last section and `runtime.etext`, in either direction.
const MAX_PADDING_BYTES: u64 = 64;

/// The sections of a text, in ascending order of offsets and addresses.
#[derive(Debug)]
pub(super) struct TextMap {
    sections: Vec<TextSection>,
}

/// `textsect` of Go's src/runtime/symtab.go.
#[derive(Debug, Clone, Copy)]
struct TextSection {
    /// Offset of the section's first byte from the start of the text.
    start: u64,
    /// Offset after the section's last byte.
    end: u64,
    /// Address of the section's first byte.
    address: u64,
}

impl TextMap {
    pub(super) fn from_single_section(text_start: u64) -> Self {
        Self { sections: vec![TextSection { start: 0, end: u64::MAX, address: text_start }] }
    }

    /// Reads a map. `None` if the map has fewer than two sections, or if its sections do not cover `text` in ascending order.
    pub(super) fn read(elf: &Elf<'_>, text: &Range<u64>, map: GoSlice) -> Option<Self> {
        if !(2..=MAX_SECTIONS).contains(&map.length) {
            return None;
        }
        let size = u64::from(elf.format().pointer_size).checked_mul(3)?;
        let sections = (0..map.length).map(|index| {
            let [start, end, address] = elf.read_words(map.address.checked_add(index.checked_mul(size)?)?)?;
            Some(TextSection { start, end, address })
        });
        let map = Self { sections: sections.collect::<Option<_>>()? };
        map.covers(text).then_some(map)
    }

    fn covers(&self, text: &Range<u64>) -> bool {
        // Offset and address of the end of the previous section.
        let mut previous_end = Some((0, text.start));
        for TextSection { start, end, address } in self.sections.iter().copied() {
            let is_next = |(offset, end_address)| offset <= start && end_address <= address && start < end;
            if !previous_end.is_some_and(is_next) {
                return false;
            }
            previous_end = end.checked_sub(start).and_then(|size| Some((end, address.checked_add(size)?)));
        }
        let starts = self.sections.first().is_some_and(|first| first.start == 0 && first.address == text.start);
        starts && previous_end.is_some_and(|(_, address)| address.abs_diff(text.end) <= MAX_PADDING_BYTES)
    }

    /// The address of an offset. The end of the last section is a valid offset.
    pub(super) fn address_of_offset(&self, offset: u64) -> Option<u64> {
        let next = self.sections.partition_point(|section| section.start <= offset);
        let TextSection { start, end, address } = *self.sections.get(next.checked_sub(1)?)?;
        if offset < end || (offset == end && next == self.sections.len()) {
            address.checked_add(offset.checked_sub(start)?)
        } else {
            None
        }
    }

    /// The addresses of a function that starts at the offset `start`. `next` is the offset of the next function. A function
    /// never extends beyond its section.
    pub(super) fn function_range(&self, start: u64, next: u64) -> Option<Range<u64>> {
        let entry = self.address_of_offset(start)?;
        let section = self.sections.partition_point(|section| section.start <= start).checked_sub(1)?;
        let end = next.min(self.sections.get(section)?.end);
        Some(entry..entry.checked_add(end.saturating_sub(start))?)
    }

    /// The offset of an address. `None` between two sections.
    pub(super) fn offset_of_address(&self, address: u64) -> Option<u64> {
        let next = self.sections.partition_point(|section| section.address <= address);
        let section = *self.sections.get(next.checked_sub(1)?)?;
        section.start.checked_add(address.checked_sub(section.address)?).filter(|offset| *offset < section.end)
    }
}

#[cfg(test)]
mod tests {
    use super::{TextMap, TextSection};

    fn text_map(sections: &[(u64, u64, u64)]) -> TextMap {
        let section = |&(start, end, address)| TextSection { start, end, address };
        TextMap { sections: sections.iter().map(section).collect() }
    }

    #[test]
    fn offsets_of_a_single_section_count_from_its_start() {
        let map = TextMap::from_single_section(0x1000);
        assert_eq!(map.address_of_offset(8), Some(0x1008));
        assert_eq!(map.offset_of_address(0x1008), Some(8));
        assert_eq!(map.offset_of_address(0xfff), None);
        assert_eq!(map.function_range(8, 24), Some(0x1008..0x1018));
        assert_eq!(map.address_of_offset(u64::MAX), None);
    }

    #[test]
    fn gaps_between_sections_have_no_offset() {
        let map = text_map(&[(0, 0x10, 0x1000), (0x20, 0x40, 0x1100)]);
        assert!(map.covers(&(0x1000..0x1120)));
        for (offset, address) in [(0, 0x1000), (0xf, 0x100f), (0x20, 0x1100), (0x3f, 0x111f)] {
            assert_eq!((map.address_of_offset(offset), map.offset_of_address(address)), (Some(address), Some(offset)));
        }
        assert_eq!([0x10, 0x1f, 0x41].map(|offset| map.address_of_offset(offset)), [None; 3]);
        assert_eq!([0xfff, 0x1010, 0x10ff, 0x1120].map(|address| map.offset_of_address(address)), [None; 4]);
        assert_eq!(map.address_of_offset(0x40), Some(0x1120));
        assert_eq!(map.function_range(8, 0x20), Some(0x1008..0x1010));
        assert_eq!(map.function_range(0x20, 0x40), Some(0x1100..0x1120));
    }

    #[test]
    fn sections_that_do_not_cover_the_text_are_refused() {
        let text = 0x1000..0x1120;
        for sections in [
            [(1, 0x10, 0x1000), (0x20, 0x40, 0x1100)],
            [(0, 0x10, 0x1001), (0x20, 0x40, 0x1100)],
            [(0, 0x10, 0x1000), (0xf, 0x2f, 0x1100)],
            [(0, 0x10, 0x1000), (0x20, 0x40, 0x100f)],
            [(0, 0x10, 0x1000), (0x20, 0x90, 0x1100)],
            [(0, 0x10, 0x1000), (0x20, 0x20, 0x1120)],
            [(0, 0x10, 0x1000), (0x20, u64::MAX, 0x1100)],
        ] {
            assert!(!text_map(&sections).covers(&text), "{sections:x?}");
        }
    }
}
