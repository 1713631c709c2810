//! Address spaces as the records tell them: what is mapped where, in which process, at this moment.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A mapped file, by position in the list of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ImageId(pub(super) u32);

#[derive(Debug, Clone, Copy)]
struct Map {
    end: u64,
    /// Offset in the file of the map's first byte.
    offset: u64,
    image: ImageId,
}

/// The maps of one process, by start address; they never overlap.
#[derive(Debug, Clone, Default)]
struct Space {
    maps: BTreeMap<u64, Map>,
}

/// So many maps may be copied for children of a process; a recording that asks for more is not an honest one, and
/// its children start empty.
const MOST_COPIES: usize = 4_000_000;

/// The address spaces of all processes.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// A child shares its parent's space until one of them maps something.
    spaces: HashMap<u32, Rc<Space>>,
    /// Maps that were copied because a shared space changed.
    copied: usize,
}

impl Spaces {
    /// A file is mapped; what was there before is gone, as with `mmap(MAP_FIXED)`.
    pub(super) fn map(&mut self, pid: u32, start: u64, length: u64, offset: u64, image: ImageId) {
        let Some(end) = start.checked_add(length).filter(|end| *end > start) else { return };
        let space = self.spaces.entry(pid).or_default();
        if Rc::strong_count(space) > 1 {
            self.copied = self.copied.saturating_add(space.maps.len());
            if self.copied > MOST_COPIES {
                *space = Rc::default();
            }
        }
        let maps = &mut Rc::make_mut(space).maps;
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
        let inherited = self.spaces.get(&parent).cloned().unwrap_or_default();
        self.spaces.insert(child, inherited);
    }

    /// A process executed another program: nothing of its address space is left.
    pub(super) fn exec(&mut self, pid: u32) {
        self.spaces.remove(&pid);
    }

    /// The image that an address lies in, and the address as an offset in its file.
    pub(super) fn find(&self, pid: u32, address: u64) -> Option<(ImageId, u64)> {
        let (start, map) = self.spaces.get(&pid)?.maps.range(..=address).next_back()?;
        (address < map.end).then(|| (map.image, map.offset.wrapping_add(address - start)))
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageId, Spaces};

    const A: ImageId = ImageId(0);
    const B: ImageId = ImageId(1);

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
