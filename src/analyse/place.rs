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
    /// What was asked for last, by a few bits of its address: most words are of few places.
    recent: Vec<Recent>,
}

/// An answer: of a word in an address space, the place.
#[derive(Debug, Clone, Copy)]
struct Recent {
    word: Word,
    space: u64,
    place: u32,
}

/// No place's position.
const NO_PLACE: u32 = u32::MAX;

/// Slots of [`Places::recent`].
const RECENT: usize = 1 << 13;

impl Default for Places {
    fn default() -> Self {
        let word = Word { address: 0, kernel: false, repaired: false };
        Self {
            list: Vec::new(),
            repaired: Vec::new(),
            index: HashTable::new(),
            seed: RandomState::default(),
            recent: vec![Recent { word, space: 0, place: NO_PLACE }; RECENT],
        }
    }
}

impl Places {
    /// The position of a word's place. `space` tells one address space from another, and `find` looks into it.
    pub(super) fn of_word(&mut self, word: Word, space: u64, find: impl FnOnce() -> Option<(ImageId, u64)>) -> u32 {
        let mixed = word.address ^ word.address >> 13 ^ space.wrapping_mul(0x9e5);
        let slot = usize::try_from(mixed & (RECENT as u64 - 1)).unwrap_or(0);
        let known = self.recent[slot];
        if known.word == word && known.space == space && known.place != NO_PLACE {
            return known.place;
        }
        let place = match find() {
            _ if word.kernel => Place::Kernel(word.address),
            Some((image, offset)) => Place::File(image, offset),
            None => Place::Unmapped(word.address),
        };
        let place = self.id(place, word.repaired);
        self.recent[slot] = Recent { word, space, place };
        place
    }

    /// The position of a place.
    pub(super) fn id(&mut self, place: Place, repaired: bool) -> u32 {
        let Self { list, repaired: marks, index, seed, .. } = self;
        match index.entry(
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
        }
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
