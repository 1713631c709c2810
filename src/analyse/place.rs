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

impl Place {
    /// What tells places of one address apart. `None` for files of very high numbers.
    fn tag(self, repaired: bool) -> Option<u32> {
        let kind = match self {
            Self::Kernel(_) => 0,
            Self::Unmapped(_) => 1,
            Self::File(image, _) => image.0.checked_add(2)?,
        };
        Some(kind.checked_mul(2)? + u32::from(repaired))
    }
}

/// A stack: a node of a tree whose keys are places, by position in [`Places`].
pub(super) type NodeId = u32;

/// An address as a sample has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) address: u64,
    pub(super) kernel: bool,
    /// Whether the stack copy restored it.
    pub(super) repaired: bool,
}

/// The distinct places of a recording. Those that a stack copy restored are apart.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,
    pub(super) repaired: Vec<bool>,
    index: HashTable<u32>,
    seed: RandomState,
    /// What was asked for last, by a few bits of its address: most frames are of few places.
    recent: Vec<Recent>,
}

/// A place that was asked for, in as few bytes as can be: the more are at hand, the fewer are searched.
#[derive(Debug, Clone, Copy)]
struct Recent {
    address: u64,
    /// See [`Place::tag`].
    tag: u32,
    id: u32,
}

/// No place's position.
const NO_ID: u32 = u32::MAX;

/// Slots of [`Places::recent`].
const RECENT: usize = 1 << 14;

impl Default for Places {
    fn default() -> Self {
        let nowhere = Recent { address: 0, tag: 0, id: NO_ID };
        Self {
            list: Vec::new(),
            repaired: Vec::new(),
            index: HashTable::new(),
            seed: RandomState::default(),
            recent: vec![nowhere; RECENT],
        }
    }
}

impl Places {
    /// The position of a place.
    pub(super) fn id(&mut self, place: Place, repaired: bool) -> u32 {
        let (Place::Kernel(address) | Place::File(_, address) | Place::Unmapped(address)) = place;
        let slot = usize::try_from((address ^ address >> 13) & (RECENT as u64 - 1)).unwrap_or(0);
        let known = self.recent[slot];
        let tag = place.tag(repaired);
        if known.address == address && Some(known.tag) == tag && known.id != NO_ID {
            return known.id;
        }
        let Self { list, repaired: marks, index, seed, .. } = self;
        let id = match index.entry(
            seed.hash_one((place, repaired)),
            |at| (list[*at as usize], marks[*at as usize]) == (place, repaired),
            |at| seed.hash_one((list[*at as usize], marks[*at as usize])),
        ) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let at = position(list.len());
                vacant.insert(at);
                list.push(place);
                marks.push(repaired);
                at
            }
        };
        if let Some(tag) = tag {
            self.recent[slot] = Recent { address, tag, id };
        }
        id
    }

    /// Every place, and whether it was restored.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, bool)> {
        self.list.iter().copied().zip(self.repaired.iter().copied())
    }
}

/// A position as a handle; memory ends long before two thousand million entries.
pub(super) fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
