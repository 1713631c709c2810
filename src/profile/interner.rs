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
    /// Makes room for so many more: a table that grows asks each value for its hash again.
    pub(super) fn reserve(&mut self, more: usize) {
        let Self { items, index, seed } = self;
        index.reserve(more, |at| seed.hash_one(&items[*at as usize]));
        items.reserve(more);
    }

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
        let Self { items, index, seed } = self;
        // A box is hashed as what it holds.
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

/// A table position as a handle. Memory is exhausted long before four thousand million entries.
pub fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
