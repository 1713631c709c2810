//! A hash table of small entries, for millions of look-ups.
//!
//! Look-ups in a table that is larger than the CPU's caches wait for memory. Tables of common libraries keep the metadata
//! of slots apart from the slots, so a look-up has two cache misses. Here an entry is at its home slot or right behind
//! it, so most look-ups have only one cache miss.

/// An entry of a [`SlotTable`].
pub trait Slot: Copy {
    /// The value of a slot without an entry.
    const FREE: Self;

    /// Returns whether the slot has no entry.
    fn is_free(&self) -> bool;
}

/// Entries by hash, with open addressing and linear probing. The caller computes hashes and compares entries.
#[derive(Debug, Clone)]
pub struct SlotTable<S> {
    /// The length is a power of two, or 0 before the first entry.
    slots: Vec<S>,
    used: usize,
}

/// Number of slots of the smallest table.
const MIN_SLOTS: usize = 1 << 6;

impl<S: Slot> Default for SlotTable<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }
}

impl<S: Slot> SlotTable<S> {
    /// Makes the table large enough for `entries` entries in total. `hash_of` computes the hash of an entry.
    pub fn reserve(&mut self, entries: usize, hash_of: impl Fn(&S) -> u32) {
        if entries > max_entries(self.slots.len()) {
            self.resize((entries / 7 * 8 + 8).next_power_of_two().max(MIN_SLOTS), hash_of);
        }
    }

    /// Returns the entry with this hash for which `is_equal` holds. If there is none, adds the result of `new`. `hash_of`
    /// computes the hash of an entry when the table grows.
    pub fn get_or_insert_with(
        &mut self,
        hash: u32,
        is_equal: impl Fn(&S) -> bool,
        new: impl FnOnce() -> S,
        hash_of: impl Fn(&S) -> u32,
    ) -> S {
        if self.used >= max_entries(self.slots.len()) {
            self.resize((self.slots.len() * 2).max(MIN_SLOTS), hash_of);
        }
        let at = find_slot(&self.slots, hash, is_equal);
        let slot = &mut self.slots[at];
        if slot.is_free() {
            *slot = new();
            self.used += 1;
        }
        *slot
    }

    /// Returns the slot where the search for this hash begins. The slot can be free, or have an entry with another
    /// hash. `None` if the table has no slots yet.
    pub fn home_slot(&self, hash: u32) -> Option<&S> {
        self.slots.get(home_index(hash, self.slots.len()))
    }

    fn resize(&mut self, slots: usize, hash_of: impl Fn(&S) -> u32) {
        let old = std::mem::replace(&mut self.slots, vec![S::FREE; slots]);
        for entry in old.into_iter().filter(|slot| !slot.is_free()) {
            let free = find_slot(&self.slots, hash_of(&entry), |_| false);
            self.slots[free] = entry;
        }
    }
}

/// Returns the index of the entry with this hash for which `is_equal` holds, or else of a free slot for it. The loop ends
/// because no table is full.
fn find_slot<S: Slot>(slots: &[S], hash: u32, is_equal: impl Fn(&S) -> bool) -> usize {
    let mut at = home_index(hash, slots.len());
    while !slots[at].is_free() && !is_equal(&slots[at]) {
        at = (at + 1) & (slots.len() - 1);
    }
    at
}

/// Maximum load: 7/8 of the slots.
fn max_entries(slots: usize) -> usize {
    slots / 8 * 7
}

/// Returns the index of a hash's home slot: the upper bits of the hash, so that entries keep their order when the table
/// grows.
fn home_index(hash: u32, slots: usize) -> usize {
    (hash as usize * slots) >> u32::BITS
}

#[cfg(test)]
mod tests {
    use super::{Slot, SlotTable};

    impl Slot for u32 {
        const FREE: Self = 0;

        fn is_free(&self) -> bool {
            *self == 0
        }
    }

    #[test]
    fn entries_are_found_with_any_hash_function() {
        // Evenly distributed hashes, equal hashes, and hashes whose home slots are at the end of the table.
        for hash in [|entry: &u32| entry.wrapping_mul(0x9e37_79b9), |_: &u32| 7, |entry: &u32| !*entry] {
            let mut table = SlotTable::default();
            assert_eq!(table.home_slot(7), None);
            table.reserve(10, hash);
            let mut add = |entry: u32| table.get_or_insert_with(hash(&entry), |known| *known == entry, || entry, hash);
            for round in 0..2 {
                for entry in 1..1500 {
                    assert_eq!(add(entry), entry, "round {round}");
                }
            }
            assert_eq!(table.used, 1499);
            table.reserve(100_000, hash);
            assert_eq!(table.get_or_insert_with(hash(&7), |known| *known == 7, || 8, hash), 7);
        }
    }
}
