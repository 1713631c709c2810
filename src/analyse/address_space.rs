//! Address spaces of processes: the files that are mapped at the current time of the recording.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::files::ImageId;

#[derive(Debug, Clone, Copy)]
struct MappedRange {
    /// The first address after the mapping.
    end: u64,
    /// Offset in the file of the mapping's first byte.
    offset: u64,
    image: ImageId,
}

/// The address space of one process: mappings by start address, which never overlap.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressSpace {
    mappings: BTreeMap<u64, MappedRange>,
    /// Version number of the mappings. It changes with every change, and no two address spaces have the same number.
    version: u64,
}

/// The mapping of the last lookup. Most addresses of a stack lie in the same mapping.
#[derive(Debug, Default)]
pub(super) struct Hint(Option<(u64, MappedRange)>);

/// Maximum number of mappings that are copied for child processes. Only a crafted recording reaches it. After that,
/// children start with no mappings.
const MAX_COPIED_MAPPINGS: usize = 4_000_000;

/// The address spaces of all processes.
#[derive(Debug, Default)]
pub(super) struct AddressSpaces {
    /// A child shares its parent's address space until one of them changes.
    by_process: HashMap<u32, Rc<AddressSpace>, RandomState>,
    /// Number of mappings that were copied because a shared address space changed.
    copied: usize,
    /// Number of changes of all address spaces.
    changes: u64,
}

impl AddressSpace {
    /// The image that is mapped at an address, and the offset of the address in its file.
    pub(super) fn find(&self, address: u64, hint: &mut Hint) -> Option<(ImageId, u64)> {
        let (start, mapping) = match hint.0 {
            Some((start, mapping)) if (start..mapping.end).contains(&address) => (start, mapping),
            _ => {
                let (start, mapping) = self.mappings.range(..=address).next_back()?;
                if address >= mapping.end {
                    return None;
                }
                hint.0 = Some((*start, *mapping));
                (*start, *mapping)
            }
        };
        Some((mapping.image, mapping.offset.wrapping_add(address - start)))
    }

    /// A number that changes with every change of the mappings. No two address spaces have the same.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

impl AddressSpaces {
    /// Maps a file. Replaces earlier mappings at these addresses, like `mmap(MAP_FIXED)`.
    pub(super) fn map(&mut self, pid: u32, start: u64, length: u64, offset: u64, image: ImageId) {
        let Some(end) = start.checked_add(length).filter(|end| *end > start) else { return };
        let space = self.by_process.entry(pid).or_default();
        if Rc::strong_count(space) > 1 {
            self.copied = self.copied.saturating_add(space.mappings.len());
            if self.copied > MAX_COPIED_MAPPINGS {
                *space = Rc::default();
            }
        }
        let space = Rc::make_mut(space);
        self.changes += 1;
        space.version = self.changes;
        let mappings = &mut space.mappings;
        let overlapping: Vec<(u64, MappedRange)> =
            mappings.range(..end).rev().take_while(|(_, old)| old.end > start).map(|(at, old)| (*at, *old)).collect();
        for (at, old) in overlapping {
            mappings.remove(&at);
            if at < start {
                mappings.insert(at, MappedRange { end: start, ..old });
            }
            if old.end > end {
                mappings.insert(end, MappedRange { offset: old.offset.wrapping_add(end - at), ..old });
            }
        }
        mappings.insert(start, MappedRange { end, offset, image });
    }

    /// Gives a child process the mappings of its parent.
    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        let inherited = self.by_process.get(&parent).cloned().unwrap_or_default();
        self.by_process.insert(child, inherited);
    }

    /// Removes all mappings of a process, which has executed another program.
    pub(super) fn exec(&mut self, pid: u32) {
        self.by_process.remove(&pid);
    }

    /// The address space of a process. `None` if nothing was mapped.
    pub(super) fn get(&self, pid: u32) -> Option<&AddressSpace> {
        self.by_process.get(&pid).map(Rc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressSpaces, Hint, ImageId};

    const A: ImageId = ImageId(0);
    const B: ImageId = ImageId(1);

    impl AddressSpaces {
        fn find(&self, pid: u32, address: u64) -> Option<(ImageId, u64)> {
            self.get(pid)?.find(address, &mut Hint::default())
        }
    }

    #[test]
    fn an_address_is_resolved_to_an_offset_in_a_file() {
        let mut spaces = AddressSpaces::default();
        spaces.map(1, 0x1000, 0x1000, 0x400, A);
        assert_eq!(spaces.find(1, 0x1000), Some((A, 0x400)));
        assert_eq!(spaces.find(1, 0x1fff), Some((A, 0x13ff)));
        assert_eq!(spaces.find(1, 0x2000), None);
        assert_eq!(spaces.find(1, 0xfff), None);
        assert_eq!(spaces.find(2, 0x1000), None);
    }

    #[test]
    fn a_new_mapping_replaces_the_middle_of_an_old_one() {
        let mut spaces = AddressSpaces::default();
        spaces.map(1, 0x1000, 0x3000, 0, A);
        spaces.map(1, 0x2000, 0x1000, 0, B);
        assert_eq!(spaces.find(1, 0x1800), Some((A, 0x800)));
        assert_eq!(spaces.find(1, 0x2800), Some((B, 0x800)));
        assert_eq!(spaces.find(1, 0x3800), Some((A, 0x2800)));
    }

    #[test]
    fn a_new_mapping_replaces_several_old_ones() {
        let mut spaces = AddressSpaces::default();
        for at in 1..5 {
            spaces.map(1, at * 0x1000, 0x1000, 0, A);
        }
        spaces.map(1, 0x1800, 0x3000, 0, B);
        assert_eq!(spaces.find(1, 0x17ff), Some((A, 0x7ff)));
        assert_eq!(spaces.find(1, 0x3000), Some((B, 0x1800)));
        assert_eq!(spaces.find(1, 0x4800), Some((A, 0x800)));
    }

    #[test]
    fn a_fork_copies_mappings_and_an_exec_removes_them() {
        let mut spaces = AddressSpaces::default();
        spaces.map(1, 0x1000, 0x1000, 0, A);
        spaces.fork(1, 2);
        spaces.exec(1);
        assert_eq!(spaces.find(1, 0x1000), None);
        assert_eq!(spaces.find(2, 0x1000), Some((A, 0)));
    }

    #[test]
    fn mappings_that_are_empty_or_overflow_are_ignored() {
        let mut spaces = AddressSpaces::default();
        spaces.map(1, u64::MAX, 2, 0, A);
        spaces.map(1, 5, 0, 0, A);
        assert_eq!(spaces.find(1, 5), None);
        assert_eq!(spaces.find(1, u64::MAX), None);
    }
}
