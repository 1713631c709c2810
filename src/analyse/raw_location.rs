//! Raw locations: the elements of raw stacks, before they are named. Each distinct raw location has a [`LocationId`], which
//! it keeps in the profile.

use std::hash::BuildHasher;
use std::mem;

use foldhash::fast::RandomState;

use super::address_space::{AddressSpace, LookupHint};
use super::files::{Files, ImageId};
use super::generated::{GeneratedId, MAX_GENERATED};
use crate::perfdata::RawAddress;
use crate::profile::{LocationId, Slot, SlotTable, position};

/// Position of a frame's code. For a caller it is the position of the call: the return address minus one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RawLocation {
    /// An address in the kernel.
    Kernel(u64),
    /// An offset in a mapped file.
    File(ImageId, u64),
    /// An address outside of all known mappings.
    Unmapped(u64),
    /// An address in a function of generated code.
    Generated(GeneratedId, u64),
}

/// Result of [`RawLocation::kind`] for the first function of generated code.
const FIRST_GENERATED: u32 = u32::MAX - MAX_GENERATED;

impl RawLocation {
    /// The mapped file that contains the location.
    pub(super) fn file(self) -> Option<ImageId> {
        if let Self::File(image, _) = self { Some(image) } else { None }
    }

    /// A number for the variant with its file or function. Never `u32::MAX`.
    pub(super) fn kind(self) -> u32 {
        match self {
            Self::Kernel(_) => 0,
            Self::Unmapped(_) => 1,
            // Stays below `FIRST_GENERATED` in practice: even 2^31 files would need 96 GiB of MMAP records (48 bytes
            // each).
            Self::File(image, _) => image.0.saturating_add(2),
            Self::Generated(id, _) => FIRST_GENERATED.saturating_add(id.0),
        }
    }

    /// The address or offset.
    pub(super) fn position(self) -> u64 {
        match self {
            Self::Kernel(at) | Self::Unmapped(at) | Self::File(_, at) | Self::Generated(_, at) => at,
        }
    }

    /// The location with this [kind](Self::kind) and [position](Self::position).
    pub(super) fn from_parts(kind: u32, at: u64) -> Self {
        match kind {
            0 => Self::Kernel(at),
            1 => Self::Unmapped(at),
            FIRST_GENERATED.. => Self::Generated(GeneratedId(kind - FIRST_GENERATED), at),
            image => Self::File(ImageId(image - 2), at),
        }
    }

    /// The location at an address of a process. Generated code is looked up only where no file is mapped.
    pub(super) fn from_user_address(
        address: u64,
        space: Option<&AddressSpace>,
        hint: &mut LookupHint,
        files: &Files<'_>,
    ) -> Self {
        let mapped = space.and_then(|space| space.find(address, hint));
        let in_file = mapped.map_or(Self::Unmapped(address), |(image, offset)| Self::File(image, offset));
        match (mapped, space) {
            (Some((image, _)), _) if !files.is_memory(image) => in_file,
            (_, Some(space)) => space.find_generated(address).map_or(in_file, |id| Self::Generated(id, address)),
            (_, None) => in_file,
        }
    }

    /// Position and kind, the key in the index of [`RawLocations`].
    fn key(self) -> (u64, u32) {
        (self.position(), self.kind())
    }
}

/// The address of the call instruction: the return address minus one, because a return address can be the first address of
/// the next function. The first address of the kernel part and of the user part (`depth` 0) is exact.
pub(super) fn call_address(depth: usize, address: RawAddress) -> u64 {
    u64::from_le_bytes(address).saturating_sub(u64::from(depth > 0))
}

/// The distinct raw locations of a recording.
#[derive(Debug)]
pub(super) struct RawLocations {
    pub(super) list: Vec<RawLocation>,
    index: SlotTable<LocationSlot>,
    seed: RandomState,
    /// Direct-mapped cache of the index, by some bits of the address. Saves time because most frames share few locations.
    recent: Vec<LocationSlot>,
    /// The cache misses of [`RawLocations::intern_all`], each with the position of its id in the result.
    misses: Vec<(usize, RawLocation)>,
}

/// The key and the id of a location. Contains all that a lookup needs.
#[derive(Debug, Clone, Copy)]
struct LocationSlot {
    /// Result of [`RawLocation::position`].
    address: u64,
    kind: u32,
    id: LocationId,
}

impl Slot for LocationSlot {
    // No location has the kind `u32::MAX`.
    const FREE: Self = Self { address: 0, kind: u32::MAX, id: LocationId::from_index(0) };

    fn is_free(&self) -> bool {
        self.kind == u32::MAX
    }
}

/// Number of slots of [`RawLocations::recent`]. Must be a power of two.
const RECENT_SLOTS: usize = 1 << 14;

impl Default for RawLocations {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            index: SlotTable::default(),
            seed: RandomState::default(),
            recent: vec![LocationSlot::FREE; RECENT_SLOTS],
            misses: Vec::new(),
        }
    }
}

/// The slot of an address in [`RawLocations::recent`].
fn recent_slot(address: u64) -> usize {
    usize::try_from((address ^ address >> 13) & (RECENT_SLOTS as u64 - 1)).unwrap_or(0)
}

/// Maximum number of locations for which memory is reserved. A small table fits in the CPU caches.
const MAX_RESERVED: usize = 50_000;

#[expect(clippy::cast_possible_truncation, reason = "32 bits of the hash are enough")]
fn hash(seed: &RandomState, address: u64, kind: u32) -> u32 {
    seed.hash_one((address, kind)) as u32
}

impl RawLocations {
    /// Reserves room for the typical number of locations of `samples` samples.
    pub(super) fn reserve(&mut self, samples: usize) {
        let locations = (samples / 4).min(MAX_RESERVED);
        let seed = &self.seed;
        self.index.reserve(locations, |entry| hash(seed, entry.address, entry.kind));
    }

    /// Returns the id of a location. Adds the location if it is new.
    pub(super) fn intern(&mut self, location: RawLocation) -> LocationId {
        let (address, kind) = location.key();
        let Self { list, index, seed, .. } = self;
        let entry = index.get_or_insert_with(
            hash(seed, address, kind),
            |entry| (entry.address, entry.kind) == (address, kind),
            || {
                list.push(location);
                LocationSlot { address, kind, id: LocationId::from_index(position(list.len() - 1)) }
            },
            |entry| hash(seed, entry.address, entry.kind),
        );
        self.recent[recent_slot(address)] = entry;
        entry.id
    }

    /// Interns several locations and appends their ids to `ids`. First looks all locations up in the cache, then the misses
    /// in the index, so that the CPU can overlap the memory accesses.
    pub(super) fn intern_all(&mut self, locations: impl Iterator<Item = RawLocation>, ids: &mut Vec<LocationId>) {
        self.misses.clear();
        for location in locations {
            let (address, kind) = location.key();
            let recent = self.recent[recent_slot(address)];
            if (recent.address, recent.kind) != (address, kind) {
                self.misses.push((ids.len(), location));
            }
            ids.push(recent.id);
        }
        let misses = mem::take(&mut self.misses);
        for (at, location) in &misses {
            ids[*at] = self.intern(*location);
        }
        self.misses = misses;
    }

    /// Releases the memory that only interning needs. No location can be added after that.
    pub(super) fn release_index(&mut self) {
        self.index = SlotTable::default();
        self.recent = Vec::new();
    }
}
