//! What raw stacks are made of: places, each a number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::files::ImageId;

/// Where a frame's code is. The address of a caller is that of its call: the return address less one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An address in the kernel.
    Kernel(u64),
    /// An offset in a mapped file.
    File(ImageId, u64),
    /// An address that no record maps.
    Unmapped(u64),
}

/// A frame of a raw stack: a place, by position in [`Places`], and whether the stack copy restored it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawFrame(u32);

const REPAIRED: u32 = 1 << 31;

impl RawFrame {
    pub(super) fn new(place: u32, repaired: bool) -> Self {
        Self(if repaired { place | REPAIRED } else { place })
    }

    /// As the key of a tree.
    pub(super) fn key(self) -> u32 {
        self.0
    }

    pub(super) fn of_key(key: u32) -> Self {
        Self(key)
    }

    pub(super) fn place(self) -> usize {
        (self.0 & !REPAIRED) as usize
    }

    pub(super) fn repaired(self) -> bool {
        self.0 & REPAIRED != 0
    }
}

/// A stack: a node of a tree whose keys are frames, as [`RawFrame::key`].
pub(super) type NodeId = u32;

/// The distinct places of a recording.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,
    index: HashTable<u32>,
    seed: RandomState,
    /// What was asked for last, by a few bits of its address: most frames are of few places.
    recent: Vec<(Place, u32)>,
}

/// No place's position.
const NO_ID: u32 = u32::MAX;

/// Slots of [`Places::recent`].
const RECENT: usize = 1 << 13;

impl Default for Places {
    fn default() -> Self {
        let nowhere = (Place::Unmapped(0), NO_ID);
        Self { list: Vec::new(), index: HashTable::new(), seed: RandomState::default(), recent: vec![nowhere; RECENT] }
    }
}

impl Places {
    /// The position of a place.
    pub(super) fn id(&mut self, place: Place) -> u32 {
        let (Place::Kernel(address) | Place::File(_, address) | Place::Unmapped(address)) = place;
        let slot = usize::try_from((address ^ address >> 13) & (RECENT as u64 - 1)).unwrap_or(0);
        let (known, id) = self.recent[slot];
        if known == place && id != NO_ID {
            return id;
        }
        let Self { list, index, seed, .. } = self;
        let id = match index.entry(
            seed.hash_one(place),
            |at| list[*at as usize] == place,
            |at| seed.hash_one(list[*at as usize]),
        ) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let at = position(list.len());
                vacant.insert(at);
                list.push(place);
                at
            }
        };
        self.recent[slot] = (place, id);
        id
    }
}

/// A position as a handle; memory ends long before two thousand million entries.
pub(super) fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
