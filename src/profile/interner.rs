//! Tables in which each value is stored once.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Stores each value once; a handle is its position. The index holds positions alone, so that no value is in memory
/// twice, and its hash has a seed of its own, so that no file can choose what collides.
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
    /// All values, at their positions.
    pub fn items(&self) -> &[T] {
        &self.items
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The position of a value, which is added unless it is there.
    pub fn add(&mut self, item: T) -> u32 {
        let Self { items, index, seed } = self;
        let hash = seed.hash_one(&item);
        match index.entry(hash, |at| items[*at as usize] == item, |at| seed.hash_one(&items[*at as usize])) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let at = position(items.len());
                place.insert(at);
                items.push(item);
                at
            }
        }
    }
}

impl Interner<Box<str>> {
    /// The position of a text.
    pub fn add_ref(&mut self, text: &str) -> u32 {
        // A box is hashed as what it holds.
        let known = self.index.find(self.seed.hash_one(text), |at| &*self.items[*at as usize] == text);
        match known {
            Some(at) => *at,
            None => self.add(text.into()),
        }
    }
}

/// A table for so many entries. A large one has so much room that its memory is given back to the system as soon as it is
/// gone, which allocators do with little of what is smaller; what is not used is no memory but addresses.
pub(super) fn room<T>(entries: usize) -> Vec<T> {
    const LARGE: usize = 1 << 20;
    const ROOM: usize = 40 << 20;
    let size = size_of::<T>().max(1);
    Vec::with_capacity(if entries >= LARGE / size { entries.max(ROOM / size) } else { entries })
}

/// A table position as a handle. Memory is exhausted long before four thousand million entries.
pub fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
