//! A table of entries with ids, and the memory that its entries take.

use std::collections::HashMap;
use std::num::NonZero;

use foldhash::fast::RandomState;

use super::error::Error;
use super::limits::MAX_MEMORY_BYTES;
use super::wire::RawMessage;

/// Bytes for an id that is not in the order 1, 2, 3 and so on: a slot of a hash table while the table grows.
const SCATTERED_ID_BYTES: usize = 48;

/// Memory charged for table entries, in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct ChargedMemory(usize);

impl ChargedMemory {
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MAX_MEMORY_BYTES { Err(Error::TooManyEntries) } else { Ok(()) }
    }
}

/// Table of entries with ids.
#[derive(Debug)]
pub(super) struct Table<T> {
    pub(super) items: Vec<T>,
    /// Number of entries at the start whose ids are 1, 2, 3 and so on, as Go and pprof write them.
    in_order_count: u32,
    /// Positions of the other entries, by id.
    scattered: HashMap<u64, u32, RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), in_order_count: 0, scattered: HashMap::default() }
    }
}

impl<T> Table<T> {
    /// Adds an entry. `cost` is its memory in bytes, without its id.
    pub(super) fn add(
        &mut self,
        raw: RawMessage<'_>,
        id: u64,
        item: T,
        cost: usize,
        memory: &mut ChargedMemory,
    ) -> Result<(), Error> {
        if id == 0 || self.position(id).is_some() {
            return Err(Error::InvalidId { what: raw.what, offset: raw.offset, id });
        }
        memory.charge(cost)?;
        let position = u32::try_from(self.items.len()).map_err(|_| Error::TooManyEntries)?;
        let next = position.saturating_add(1);
        if position == self.in_order_count && id == u64::from(next) {
            self.in_order_count = next;
        } else {
            memory.charge(SCATTERED_ID_BYTES)?;
            self.scattered.insert(id, position);
        }
        self.items.push(item);
        Ok(())
    }

    /// Returns the position of the entry with this id.
    pub(super) fn position(&self, id: u64) -> Option<u32> {
        match u32::try_from(id) {
            Ok(id @ 1..) if id <= self.in_order_count => id.checked_sub(1),
            _ => self.scattered.get(&id).copied(),
        }
    }

    /// Returns a reference of `raw` to the entry with this id. The id 0 means no entry.
    pub(super) fn reference(&self, raw: RawMessage<'_>, target: &'static str, id: u64) -> Result<Reference, Error> {
        match self.position(id) {
            None if id > 0 => Err(Error::DanglingReference { what: raw.what, offset: raw.offset, target, id }),
            position => Ok(Reference::new(position)),
        }
    }

    /// Returns the entry at a position.
    pub(super) fn get(&self, position: u32) -> Option<&T> {
        self.items.get(to_index(position))
    }
}

/// A reference to a table entry in 4 bytes: the position plus one, or `None` for no entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reference(Option<NonZero<u32>>);

impl Reference {
    pub(super) fn new(position: Option<u32>) -> Self {
        Self(position.and_then(|position| NonZero::new(position.checked_add(1)?)))
    }

    /// Returns the position of the entry.
    pub(super) fn position(self) -> Option<u32> {
        self.0.and_then(|one_more| one_more.get().checked_sub(1))
    }

    /// Returns the id that goflame writes for the entry.
    pub(super) fn id(self) -> u64 {
        self.0.map_or(0, |id| id.get().into())
    }
}

/// Converts a position to an index.
pub(super) fn to_index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Converts an offset or a position to 4 bytes.
pub(super) fn to_u32(at: usize) -> Result<u32, Error> {
    u32::try_from(at).map_err(|_| Error::TooManyEntries)
}
