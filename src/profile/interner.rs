//! A table that stores each value once.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Stores each value once. The handle of a value is its position.
///
/// The index holds only positions, so that no value is in memory twice. Each interner hashes with its own random seed, so
/// that no input file can provoke collisions.
#[derive(Debug, Clone)]
pub struct Interner<T> {
    pub(super) items: Vec<T>,
    index: HashTable<u32>,
    seed: RandomState,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { items: Vec::new(), index: HashTable::new(), seed: RandomState::default() }
    }
}

impl<T> Interner<T> {
    /// Returns all values. A handle is an index into this slice.
    pub fn items(&self) -> &[T] {
        &self.items
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// Reserves room for `additional` values. Without it, each growth of the index hashes all values again.
    pub(super) fn reserve(&mut self, additional: usize) {
        let Self { items, index, seed } = self;
        index.reserve(additional, |at| seed.hash_one(&items[*at as usize]));
        items.reserve(additional);
    }

    /// Returns the position of a value. Adds the value if it is new.
    pub fn intern(&mut self, item: T) -> u32 {
        let Self { items, index, seed } = self;
        let hash = seed.hash_one(&item);
        match index.entry(hash, |at| items[*at as usize] == item, |at| seed.hash_one(&items[*at as usize])) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let at = position(items.len());
                entry.insert(at);
                items.push(item);
                at
            }
        }
    }
}

impl Interner<Box<str>> {
    /// Returns the position of a text. Adds the text if it is new, and only then allocates.
    pub fn intern_str(&mut self, text: &str) -> u32 {
        let Self { items, index, seed } = self;
        // `Box<str>` has the same hash as its `str`.
        let hash = seed.hash_one(text);
        *index
            .entry(hash, |at| &*items[*at as usize] == text, |at| seed.hash_one(&items[*at as usize]))
            .or_insert_with(|| {
                items.push(text.into());
                position(items.len() - 1)
            })
            .get()
    }
}

/// Converts a table position to the integer of a handle. Memory is exhausted long before a table has 2^32 entries.
pub fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
