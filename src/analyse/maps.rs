//! Address spaces as the records tell them: what is mapped where, in which process, at this moment.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::files::ImageId;

#[derive(Debug, Clone, Copy)]
struct Map {
    /// The first address behind it.
    end: u64,
    /// Offset in the file of the map's first byte.
    offset: u64,
    image: ImageId,
}

/// The maps of one process, by start address; they never overlap.
#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    maps: BTreeMap<u64, Map>,
    /// Changes whenever the maps do, and is no other space's.
    version: u64,
}

/// The map that answered last: stacks mostly stay in one file.
#[derive(Debug, Default)]
pub(super) struct Hint(Option<(u64, Map)>);

/// So many maps may be copied for children of a process; a recording that asks for more is not an honest one, and
/// its children start empty.
const MOST_COPIES: usize = 4_000_000;

/// The address spaces of all processes.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// A child shares its parent's space until one of them maps something.
    by_process: HashMap<u32, Rc<Space>, RandomState>,
    /// Maps that were copied because a shared space changed.
    copied: usize,
    /// Changes of all spaces so far.
    changes: u64,
}

impl Space {
    /// The image that an address lies in, and the address as an offset in its file.
    pub(super) fn find(&self, address: u64, hint: &mut Hint) -> Option<(ImageId, u64)> {
        let (start, map) = match hint.0 {
            Some((start, map)) if (start..map.end).contains(&address) => (start, map),
            _ => {
                let (start, map) = self.maps.range(..=address).next_back().filter(|(_, map)| address < map.end)?;
                hint.0 = Some((*start, *map));
                (*start, *map)
            }
        };
        Some((map.image, map.offset.wrapping_add(address - start)))
    }

    /// A number that changes whenever the maps do.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

impl Spaces {
    /// A file is mapped; what was there before is gone, as with `mmap(MAP_FIXED)`.
    pub(super) fn map(&mut self, pid: u32, start: u64, length: u64, offset: u64, image: ImageId) {
        let Some(end) = start.checked_add(length).filter(|end| *end > start) else { return };
        let space = self.by_process.entry(pid).or_default();
        if Rc::strong_count(space) > 1 {
            self.copied = self.copied.saturating_add(space.maps.len());
            if self.copied > MOST_COPIES {
                *space = Rc::default();
            }
        }
        let space = Rc::make_mut(space);
        self.changes += 1;
        space.version = self.changes;
        let maps = &mut space.maps;
        let overlapping: Vec<(u64, Map)> =
            maps.range(..end).rev().take_while(|(_, map)| map.end > start).map(|(at, map)| (*at, *map)).collect();
        for (at, old) in overlapping {
            maps.remove(&at);
            if at < start {
                maps.insert(at, Map { end: start, ..old });
            }
            if old.end > end {
                maps.insert(end, Map { offset: old.offset.wrapping_add(end - at), ..old });
            }
        }
        maps.insert(start, Map { end, offset, image });
    }

    /// A process forked: the child starts with what the parent has.
    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        let inherited = self.by_process.get(&parent).cloned().unwrap_or_default();
        self.by_process.insert(child, inherited);
    }

    /// A process executed another program: nothing of its address space is left.
    pub(super) fn exec(&mut self, pid: u32) {
        self.by_process.remove(&pid);
    }

    /// The address space of a process, as it is now.
    pub(super) fn of(&self, pid: u32) -> Option<&Space> {
        self.by_process.get(&pid).map(Rc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hint, ImageId, Spaces};

    const A: ImageId = ImageId(0);
    const B: ImageId = ImageId(1);

    impl Spaces {
        fn find(&self, pid: u32, address: u64) -> Option<(ImageId, u64)> {
            self.of(pid)?.find(address, &mut Hint::default())
        }
    }

    #[test]
    fn finds_offsets_in_files() {
        let mut spaces = Spaces::default();
        spaces.map(1, 0x1000, 0x1000, 0x400, A);
        assert_eq!(spaces.find(1, 0x1000), Some((A, 0x400)));
        assert_eq!(spaces.find(1, 0x1fff), Some((A, 0x13ff)));
        assert_eq!(spaces.find(1, 0x2000), None);
        assert_eq!(spaces.find(1, 0xfff), None);
        assert_eq!(spaces.find(2, 0x1000), None);
    }

    #[test]
    fn a_new_map_cuts_a_hole_into_an_old_one() {
        let mut spaces = Spaces::default();
        spaces.map(1, 0x1000, 0x3000, 0, A);
        spaces.map(1, 0x2000, 0x1000, 0, B);
        assert_eq!(spaces.find(1, 0x1800), Some((A, 0x800)));
        assert_eq!(spaces.find(1, 0x2800), Some((B, 0x800)));
        assert_eq!(spaces.find(1, 0x3800), Some((A, 0x2800)));
    }

    #[test]
    fn a_new_map_replaces_several() {
        let mut spaces = Spaces::default();
        for at in 1..5 {
            spaces.map(1, at * 0x1000, 0x1000, 0, A);
        }
        spaces.map(1, 0x1800, 0x3000, 0, B);
        assert_eq!(spaces.find(1, 0x17ff), Some((A, 0x7ff)));
        assert_eq!(spaces.find(1, 0x3000), Some((B, 0x1800)));
        assert_eq!(spaces.find(1, 0x4800), Some((A, 0x800)));
    }

    #[test]
    fn fork_copies_and_exec_clears() {
        let mut spaces = Spaces::default();
        spaces.map(1, 0x1000, 0x1000, 0, A);
        spaces.fork(1, 2);
        spaces.exec(1);
        assert_eq!(spaces.find(1, 0x1000), None);
        assert_eq!(spaces.find(2, 0x1000), Some((A, 0)));
    }

    #[test]
    fn absurd_maps_are_ignored() {
        let mut spaces = Spaces::default();
        spaces.map(1, u64::MAX, 2, 0, A);
        spaces.map(1, 5, 0, 0, A);
        assert_eq!(spaces.find(1, 5), None);
        assert_eq!(spaces.find(1, u64::MAX), None);
    }
}
