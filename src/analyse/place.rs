//! What raw stacks are made of: places, each a number.

use std::hash::BuildHasher;
use std::mem;

use foldhash::fast::RandomState;

use super::files::ImageId;
use crate::perfdata::RawAddress;
use crate::profile::{LocationId, Slot, Table, position};

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
    /// The address, and what tells places of one address apart.
    fn key(self, repaired: bool) -> (u64, u32) {
        let (address, kind) = match self {
            Self::Kernel(address) => (address, 0),
            Self::Unmapped(address) => (address, 1),
            // What a recording says of a file takes more than the byte that would be needed for so many of them.
            Self::File(image, offset) => (offset, image.0.saturating_add(2)),
        };
        (address, kind << 1 | u32::from(repaired))
    }
}

/// Where the call was that an address is from, which is so many frames above the leaf: a return address may be the first
/// one after the function that called; one less lies in the call instruction. The leaf, and the first user address under a
/// kernel stack, are exact.
pub(super) fn called_from(depth: usize, address: RawAddress) -> u64 {
    u64::from_le_bytes(address).saturating_sub(u64::from(depth > 0))
}

/// The distinct places of a recording. Those that a stack copy restored are apart.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,
    pub(super) repaired: Vec<bool>,
    index: Table<Known>,
    seed: RandomState,
    /// What was asked for last, by a few bits of its address: most frames are of few places.
    recent: Vec<Known>,
    /// Those that were not among it, with what they are the position of.
    missed: Vec<(usize, Place, bool)>,
}

/// A place by what it is known by, so that nothing else is looked at to find it.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// See [`Place::key`].
    address: u64,
    kind: u32,
    id: u32,
}

impl Slot for Known {
    // No place is of this kind.
    const FREE: Self = Self { address: 0, kind: u32::MAX, id: 0 };

    fn is_free(&self) -> bool {
        self.kind == u32::MAX
    }
}

/// Slots of [`Places::recent`].
const RECENT: usize = 1 << 14;

impl Default for Places {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            repaired: Vec::new(),
            index: Table::default(),
            seed: RandomState::default(),
            recent: vec![Known::FREE; RECENT],
            missed: Vec::new(),
        }
    }
}

/// Where a place of this address is among [`Places::recent`].
fn slot(address: u64) -> usize {
    usize::try_from((address ^ address >> 13) & (RECENT as u64 - 1)).unwrap_or(0)
}

/// For more places than this no room is made beforehand: a table that stays small is found in caches.
const MOST_RESERVED: usize = 50_000;

#[expect(clippy::cast_possible_truncation, reason = "a part of the hash")]
fn hash(seed: &RandomState, address: u64, kind: u32) -> u32 {
    seed.hash_one((address, kind)) as u32
}

impl Places {
    /// Makes room for what so many samples mostly have.
    pub(super) fn reserve(&mut self, samples: usize) {
        let places = (samples / 4).min(MOST_RESERVED);
        let seed = &self.seed;
        self.index.reserve(places, |known| hash(seed, known.address, known.kind));
    }

    /// The position of a place.
    pub(super) fn id(&mut self, place: Place, repaired: bool) -> u32 {
        let (address, kind) = place.key(repaired);
        let Self { list, repaired: marks, index, seed, .. } = self;
        let known = index.find_or_add(
            hash(seed, address, kind),
            |known| (known.address, known.kind) == (address, kind),
            || {
                list.push(place);
                marks.push(repaired);
                Known { address, kind, id: position(list.len() - 1) }
            },
            |known| hash(seed, known.address, known.kind),
        );
        self.recent[slot(address)] = known;
        known.id
    }

    /// Adds the positions of places to `ids`. What was asked for lately is looked up first, for all of them, and what is
    /// not among it after that: none of the look-ups waits for another one's memory.
    pub(super) fn ids(&mut self, places: impl Iterator<Item = (Place, bool)>, ids: &mut Vec<LocationId>) {
        self.missed.clear();
        for (place, repaired) in places {
            let (address, kind) = place.key(repaired);
            let recent = self.recent[slot(address)];
            if (recent.address, recent.kind) != (address, kind) {
                self.missed.push((ids.len(), place, repaired));
            }
            ids.push(LocationId::from_index(recent.id));
        }
        let missed = mem::take(&mut self.missed);
        for (at, place, repaired) in &missed {
            ids[*at] = LocationId::from_index(self.id(*place, *repaired));
        }
        self.missed = missed;
    }

    /// Gives back the memory that only adding needs.
    pub(super) fn freeze(&mut self) {
        self.index = Table::default();
        self.recent = Vec::new();
    }

    /// Every place, and whether it was restored.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, bool)> {
        self.list.iter().copied().zip(self.repaired.iter().copied())
    }
}
