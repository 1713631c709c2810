//! Raw locations: the elements of raw stacks, before they are named. Each distinct one has the [`LocationId`] that it keeps
//! in the profile.

use std::hash::BuildHasher;
use std::mem;

use foldhash::fast::RandomState;

use super::address_space::{AddressSpace, Hint};
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
    /// An address that no record maps.
    Unmapped(u64),
    /// An address in a function that the program made while it ran.
    Generated(GeneratedId, u64),
}

/// Numbers of generated functions begin here in [`RawLocation::kind`].
const FIRST_GENERATED: u32 = u32::MAX - MAX_GENERATED;

impl RawLocation {
    /// The file that the location is in.
    pub(super) fn file(self) -> Option<ImageId> {
        if let Self::File(image, _) = self { Some(image) } else { None }
    }

    /// A number for everything but the address or offset. It is not `u32::MAX`.
    pub(super) fn kind(self) -> u32 {
        match self {
            Self::Kernel(_) => 0,
            Self::Unmapped(_) => 1,
            // No overflow in practice: 2^31 files would need 96 GiB of MMAP records (48 bytes each).
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

    /// The location with this kind and position.
    pub(super) fn from_parts(kind: u32, at: u64) -> Self {
        match kind {
            0 => Self::Kernel(at),
            1 => Self::Unmapped(at),
            FIRST_GENERATED.. => Self::Generated(GeneratedId(kind - FIRST_GENERATED), at),
            image => Self::File(ImageId(image - 2), at),
        }
    }

    /// The location at an address of a process. Functions that a program made are only in memory without a file.
    pub(super) fn in_user_space(
        address: u64,
        space: Option<&AddressSpace>,
        hint: &mut Hint,
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

    /// The key in the index.
    fn key(self) -> (u64, u32) {
        (self.position(), self.kind())
    }
}

/// The address of the call instruction: the return address minus one, because a return address may be the first address
/// of the next function. The leaf (`depth` 0), and the first user address below a kernel stack, are exact.
pub(super) fn call_address(depth: usize, address: RawAddress) -> u64 {
    u64::from_le_bytes(address).saturating_sub(u64::from(depth > 0))
}

/// The distinct raw locations of a recording.
#[derive(Debug)]
pub(super) struct RawLocations {
    pub(super) list: Vec<RawLocation>,
    index: SlotTable<LocationSlot>,
    seed: RandomState,
    /// Direct-mapped cache in front of the index, by some bits of the address. Most frames share few locations.
    recent: Vec<LocationSlot>,
    /// The cache misses of [`RawLocations::intern_all`], each with its position in the result.
    misses: Vec<(usize, RawLocation)>,
}

/// The key of a location and its id, so that a lookup needs no other memory.
#[derive(Debug, Clone, Copy)]
struct LocationSlot {
    /// See [`RawLocation::key`].
    address: u64,
    kind: u32,
    id: LocationId,
}

impl Slot for LocationSlot {
    // No location has this kind.
    const FREE: Self = Self { address: 0, kind: u32::MAX, id: LocationId::from_index(0) };

    fn is_free(&self) -> bool {
        self.kind == u32::MAX
    }
}

/// Number of slots of [`RawLocations::recent`].
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

/// Maximum number of locations to reserve. A table that stays small fits in the CPU caches.
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

    /// The id of a location, which is added if it is new.
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

    /// Interns several locations and appends their ids to `ids`. Looks all of them up in the cache first and then
    /// the misses in the index, so that no lookup waits for the memory of another one.
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

    /// Releases the memory that only interning needs.
    pub(super) fn release_index(&mut self) {
        self.index = SlotTable::default();
        self.recent = Vec::new();
    }
}
