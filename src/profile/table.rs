//! A hash table of small entries, for those that are looked up by the million.
//!
//! Tables that no cache holds cost what each look-up waits for memory. Libraries' tables have the marks of their slots apart
//! from the slots, so that a look-up waits twice; here it mostly waits once, for what is asked for lies where its hash
//! says, or right behind.

/// An entry.
pub trait Slot: Copy {
    /// What no entry is.
    const FREE: Self;

    /// Whether it is that.
    fn is_free(&self) -> bool;
}

/// Entries by hash. The hashes are the caller's, and so is it to know what is equal.
#[derive(Debug, Clone)]
pub struct Table<S> {
    /// A power of two of them, or none before the first is added.
    slots: Vec<S>,
    used: usize,
}

/// The first slots.
const FEW: usize = 1 << 6;

impl<S: Slot> Default for Table<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }
}

impl<S: Slot> Table<S> {
    /// Makes room for so many entries.
    pub fn reserve(&mut self, entries: usize, hash: impl Fn(&S) -> u32) {
        if entries > most(self.slots.len()) {
            self.resize((entries / 7 * 8 + 8).next_power_of_two().max(FEW), hash);
        }
    }

    /// The entry of this hash that `is` recognises, else the one that `new` makes and that is added. `hash` gives that of
    /// an entry again.
    pub fn find_or_add(
        &mut self,
        wanted: u32,
        is: impl Fn(&S) -> bool,
        new: impl FnOnce() -> S,
        hash: impl Fn(&S) -> u32,
    ) -> S {
        if self.used >= most(self.slots.len()) {
            self.resize((self.slots.len() * 2).max(FEW), hash);
        }
        let at = find(&self.slots, wanted, is);
        let slot = &mut self.slots[at];
        if slot.is_free() {
            *slot = new();
            self.used += 1;
        }
        *slot
    }

    /// What stands where looking for this hash begins.
    pub fn first(&self, hash: u32) -> Option<&S> {
        self.slots.get(first(hash, self.slots.len()))
    }

    fn resize(&mut self, slots: usize, hash: impl Fn(&S) -> u32) {
        let old = std::mem::replace(&mut self.slots, vec![S::FREE; slots]);
        for entry in old.into_iter().filter(|slot| !slot.is_free()) {
            let free = find(&self.slots, hash(&entry), |_| false);
            self.slots[free] = entry;
        }
    }
}

/// Where the entry of this hash is that `is` recognises, or else is to be: a slot is free, for no table is full.
fn find<S: Slot>(slots: &[S], hash: u32, is: impl Fn(&S) -> bool) -> usize {
    let mut at = first(hash, slots.len());
    while !slots[at].is_free() && !is(&slots[at]) {
        at = (at + 1) & (slots.len() - 1);
    }
    at
}

/// With how many entries so many slots are as full as they may be.
fn most(slots: usize) -> usize {
    slots / 8 * 7
}

/// Where to look first, by the upper bits: a table of twice as many slots has the same order.
fn first(hash: u32, slots: usize) -> usize {
    (hash as usize * slots) >> u32::BITS
}

#[cfg(test)]
mod tests {
    use super::{Slot, Table};

    impl Slot for u32 {
        const FREE: Self = 0;

        fn is_free(&self) -> bool {
            *self == 0
        }
    }

    #[test]
    fn entries_are_found_again_whatever_their_hashes() {
        // Well spread, all alike, and such as begin at the last slot.
        for hash in [|entry: &u32| entry.wrapping_mul(0x9e37_79b9), |_: &u32| 7, |entry: &u32| !*entry] {
            let mut table = Table::default();
            assert_eq!(table.first(7), None);
            table.reserve(10, hash);
            let mut add = |entry: u32| table.find_or_add(hash(&entry), |known| *known == entry, || entry, hash);
            for round in 0..2 {
                for entry in 1..1500 {
                    assert_eq!(add(entry), entry, "round {round}");
                }
            }
            assert_eq!(table.used, 1499);
            table.reserve(100_000, hash);
            assert_eq!(table.find_or_add(hash(&7), |known| *known == 7, || 8, hash), 7);
        }
    }
}
