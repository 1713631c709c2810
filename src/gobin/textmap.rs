//! From the offsets that Go's function table counts in to addresses.
//!
//! They count from the start of the text, but for a text that is so large that its linker cut it into sections (32-bit
//! ARM and PowerPC, where a call does not reach any farther): other code may then lie between two of them, and the
//! runtime has a map (`textsectmap` of src/runtime/symtab.go, since Go 1.18).

use std::ops::Range;

use super::elf::Elf;

/// Sections in a map at most. Each but the last is of some 28 megabytes (the linker's `TrampLimit`).
const MOST_SECTIONS: u64 = 64;

/// Bytes between the end of the last section and the linker's mark for it, which is in front of the end or behind it.
const PADDING: u64 = 64;

/// The sections of a text, by rising offset and address.
#[derive(Debug)]
pub(super) struct TextMap {
    sections: Vec<Section>,
}

/// `textsect` of the runtime.
#[derive(Debug, Clone, Copy)]
struct Section {
    offsets: (u64, u64),
    /// Of the first byte.
    address: u64,
}

impl TextMap {
    /// One section, from an address on.
    pub(super) fn whole(address: u64) -> Self {
        Self { sections: vec![Section { offsets: (0, u64::MAX), address }] }
    }

    /// The map at an address of the file. `None` unless it is one of several sections that lie one behind the other and
    /// fill `text` from its start to its end.
    pub(super) fn read(elf: &Elf<'_>, text: &Range<u64>, (address, count): (u64, u64)) -> Option<Self> {
        if !(2..=MOST_SECTIONS).contains(&count) {
            return None;
        }
        let size = u64::from(elf.format().pointer_size).checked_mul(3)?;
        let sections = (0..count).map(|at| {
            let [start, end, address] = elf.words(address.checked_add(at.checked_mul(size)?)?)?;
            Some(Section { offsets: (start, end), address })
        });
        let map = Self { sections: sections.collect::<Option<_>>()? };
        map.fills(text).then_some(map)
    }

    fn fills(&self, text: &Range<u64>) -> bool {
        let mut behind = Some((0, text.start));
        for Section { offsets: (start, end), address } in self.sections.iter().copied() {
            let follows = behind.is_some_and(|(offset, place)| offset <= start && place <= address && start < end);
            if !follows {
                return false;
            }
            behind = end.checked_sub(start).and_then(|size| Some((end, address.checked_add(size)?)));
        }
        let begins = self.sections.first().is_some_and(|first| first.offsets.0 == 0 && first.address == text.start);
        begins && behind.is_some_and(|(_, place)| place.abs_diff(text.end) <= PADDING)
    }

    /// The address that an offset stands for. The end of the last section is one too.
    pub(super) fn address(&self, offset: u64) -> Option<u64> {
        let next = self.sections.partition_point(|section| section.offsets.0 <= offset);
        let Section { offsets: (start, end), address } = *self.sections.get(next.checked_sub(1)?)?;
        if offset < end || (offset == end && next == self.sections.len()) {
            address.checked_add(offset.checked_sub(start)?)
        } else {
            None
        }
    }

    /// The addresses of a function that begins at an offset, and after which the next one begins at another.
    pub(super) fn addresses(&self, start: u64, next: u64) -> Option<Range<u64>> {
        let entry = self.address(start)?;
        let last = self.sections.partition_point(|section| section.offsets.0 <= start).checked_sub(1)?;
        let end = next.min(self.sections.get(last)?.offsets.1);
        Some(entry..entry.checked_add(end.saturating_sub(start))?)
    }

    /// The offset that stands for an address; `None` between two sections.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        let next = self.sections.partition_point(|section| section.address <= address);
        let Section { offsets: (start, end), address: first } = *self.sections.get(next.checked_sub(1)?)?;
        start.checked_add(address.checked_sub(first)?).filter(|offset| *offset < end)
    }
}

#[cfg(test)]
mod tests {
    use super::{Section, TextMap};

    fn map(sections: &[(u64, u64, u64)]) -> TextMap {
        let section = |&(start, end, address)| Section { offsets: (start, end), address };
        TextMap { sections: sections.iter().map(section).collect() }
    }

    #[test]
    fn one_section_counts_from_its_start() {
        let map = TextMap::whole(0x1000);
        assert_eq!(map.address(8), Some(0x1008));
        assert_eq!(map.offset(0x1008), Some(8));
        assert_eq!(map.offset(0xfff), None);
        assert_eq!(map.addresses(8, 24), Some(0x1008..0x1018));
        assert_eq!(map.address(u64::MAX), None);
    }

    #[test]
    fn sections_have_gaps_between_them() {
        let map = map(&[(0, 0x10, 0x1000), (0x20, 0x40, 0x1100)]);
        assert!(map.fills(&(0x1000..0x1120)));
        for (offset, address) in [(0, 0x1000), (0xf, 0x100f), (0x20, 0x1100), (0x3f, 0x111f)] {
            assert_eq!((map.address(offset), map.offset(address)), (Some(address), Some(offset)));
        }
        assert_eq!([0x10, 0x1f, 0x41].map(|offset| map.address(offset)), [None; 3]);
        assert_eq!([0xfff, 0x1010, 0x10ff, 0x1120].map(|address| map.offset(address)), [None; 4]);
        assert_eq!(map.address(0x40), Some(0x1120));
        // The last function of a section ends with it.
        assert_eq!(map.addresses(8, 0x20), Some(0x1008..0x1010));
        assert_eq!(map.addresses(0x20, 0x40), Some(0x1100..0x1120));
    }

    #[test]
    fn what_is_no_map_is_not_taken_for_one() {
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
            assert!(!map(&sections).fills(&text), "{sections:x?}");
        }
    }
}
