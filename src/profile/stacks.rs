//! Stacks, each stored once, as a row of locations.
//!
//! Rows and not a tree of shared callers: most stacks of a recording differ near their leaf, and a tree spends on each
//! frame a look-up that misses every cache, where a row costs one for the whole stack. Four bytes a frame are half of what
//! a recording has for it, so that rows never need more memory than the file that they come from.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::prelude::*;

use super::interner::position;
use super::model::{LocationId, StackId};

/// Different stacks, in the order in which they were first seen. The first is [`StackId::EMPTY`].
#[derive(Debug, Clone)]
pub struct Stacks {
    /// The locations of all stacks, each stack's from its root to its leaf.
    locations: Vec<LocationId>,
    /// Where each stack is in `locations`.
    rows: Vec<Row>,
    index: HashTable<Known>,
    seed: RandomState,
}

/// Where the locations of a stack are.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    start: u32,
    length: u32,
}

impl Row {
    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// A stack, and a part of its hash, which spares a look at its locations.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u32,
    stack: StackId,
}

impl Known {
    /// The hash that the index goes by, which wants its upper and its lower bits well mixed.
    fn spread(self) -> u64 {
        /// 2^64 divided by the golden ratio: odd, so that nothing is lost.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let spread = u64::from(self.hash).wrapping_mul(GOLDEN);
        spread ^ spread >> 32
    }
}

/// A depth that most stacks do not reach.
const COMMON_DEPTH: usize = 32;

impl Default for Stacks {
    fn default() -> Self {
        Self {
            locations: Vec::new(),
            rows: vec![Row::default()],
            index: HashTable::new(),
            seed: RandomState::default(),
        }
    }
}

impl Stacks {
    /// Makes room for so many stacks more of a common depth, which spares copies as they become many. What is not used is
    /// no memory but addresses.
    pub fn reserve(&mut self, stacks: usize) {
        self.rows.reserve(stacks);
        self.locations.reserve(stacks * COMMON_DEPTH);
    }

    /// The stack of these locations, root first, which is added unless it is there.
    pub fn add(&mut self, locations: &[LocationId]) -> StackId {
        if locations.is_empty() {
            return StackId::EMPTY;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash")]
        let hash = self.seed.hash_one(locations) as u32;
        let new = Known { hash, stack: StackId(position(self.rows.len())) };
        let Self { locations: all, rows, index, .. } = self;
        let known = index.entry(
            new.spread(),
            |known| known.hash == hash && &all[rows[known.stack.index()].range()] == locations,
            |known| known.spread(),
        );
        match known {
            Entry::Occupied(known) => known.get().stack,
            Entry::Vacant(place) => {
                place.insert(new);
                rows.push(Row { start: position(all.len()), length: position(locations.len()) });
                all.extend_from_slice(locations);
                new.stack
            }
        }
    }

    /// The locations of a stack, root first.
    pub fn get(&self, stack: StackId) -> &[LocationId] {
        &self.locations[self.range(stack)]
    }

    /// Where the locations of a stack are in [`Stacks::all`].
    pub(super) fn range(&self, stack: StackId) -> Range<usize> {
        self.rows[stack.index()].range()
    }

    /// The locations of all stacks.
    pub(super) fn all(&self) -> &[LocationId] {
        &self.locations
    }

    /// The number of stacks, [`StackId::EMPTY`] included.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Every stack but [`StackId::EMPTY`], with its locations.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (StackId, &[LocationId])> {
        (1..self.rows.len()).map(|at| self.at(at))
    }

    /// As [`Stacks::iter`], on all cores.
    pub fn par_iter(&self) -> impl IndexedParallelIterator<Item = (StackId, &[LocationId])> {
        (1..self.rows.len()).into_par_iter().map(|at| self.at(at))
    }

    fn at(&self, position_of_stack: usize) -> (StackId, &[LocationId]) {
        let stack = StackId(position(position_of_stack));
        (stack, self.get(stack))
    }

    /// Gives back the memory that only adding needs. What is added from then on may stand twice.
    pub fn freeze(&mut self) {
        self.index = HashTable::new();
    }

    /// Gives a stack other locations, as many as it has or less: `rewrite` is handed its own and adds those that it
    /// gets. Stacks that become equal stay apart, and so does what is added from then on.
    pub fn rewrite(&mut self, stack: StackId, rewrite: impl FnOnce(&[LocationId], &mut Vec<LocationId>)) {
        self.freeze();
        let old = &mut self.locations[self.rows[stack.index()].range()];
        let mut new = Vec::with_capacity(old.len());
        rewrite(old, &mut new);
        new.truncate(old.len());
        old[..new.len()].copy_from_slice(&new);
        self.rows[stack.index()].length = position(new.len());
    }

    /// Puts other locations in the place of leaves, where `other` gives one. Stacks that become equal stay apart, and so
    /// does what is added from then on.
    pub fn replace_leaves(&mut self, mut other: impl FnMut(LocationId) -> Option<LocationId>) {
        self.freeze();
        for row in &self.rows {
            if let Some(leaf) = self.locations[row.range()].last_mut() {
                *leaf = other(*leaf).unwrap_or(*leaf);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LocationId, StackId, Stacks};

    fn row(numbers: &[u32]) -> Vec<LocationId> {
        numbers.iter().map(|number| LocationId(*number)).collect()
    }

    fn rows(stacks: &Stacks) -> Vec<Vec<u32>> {
        stacks.iter().map(|(_, locations)| locations.iter().map(|location| location.0).collect()).collect()
    }

    #[test]
    fn equal_stacks_are_one() {
        let mut stacks = Stacks::default();
        assert_eq!(stacks.add(&[]), StackId::EMPTY);
        let first = stacks.add(&row(&[1, 2, 3]));
        let others = [&[1, 2][..], &[1, 2, 4], &[2, 3], &[3, 2, 1], &[1, 2, 3, 0], &[0]].map(|other| {
            let other = stacks.add(&row(other));
            assert_ne!(other, first);
            other
        });
        assert_eq!(stacks.add(&row(&[1, 2, 3])), first);
        assert_eq!(stacks.add(&row(&[0])), others[5]);
        assert_eq!(stacks.get(first), row(&[1, 2, 3]));
        assert_eq!(stacks.get(StackId::EMPTY), []);
        assert_eq!(stacks.count(), 8);
        // Many, so that the index grows.
        let many: Vec<_> = (0..10_000).map(|at| stacks.add(&row(&[at, at + 1]))).collect();
        for (at, stack) in (0..).zip(&many) {
            assert_eq!(stacks.add(&row(&[at, at + 1])), *stack);
            assert_eq!(stacks.get(*stack), row(&[at, at + 1]));
        }
        assert_eq!(stacks.count(), 8 + many.len() - 2, "[1, 2] and [2, 3] were there");
    }

    #[test]
    fn stacks_get_other_locations() {
        let mut stacks = Stacks::default();
        let ids = [&[1, 2, 3][..], &[4], &[5, 6]].map(|numbers| stacks.add(&row(numbers)));
        stacks.rewrite(ids[0], |locations, row| {
            assert_eq!(locations.len(), 3);
            row.extend(locations.iter().filter(|location| location.0 != 2).map(|location| LocationId(location.0 * 10)));
        });
        stacks.rewrite(ids[1], |_, _| ());
        // More than there is room for.
        stacks.rewrite(ids[2], |locations, row| row.extend([locations, locations].concat()));
        assert_eq!(rows(&stacks), [vec![10, 30], vec![], vec![5, 6]]);
        assert_eq!(stacks.add(&row(&[7])).index(), 4);
        stacks.replace_leaves(|leaf| (leaf == LocationId(6)).then_some(LocationId(61)));
        assert_eq!(rows(&stacks), [vec![10, 30], vec![], vec![5, 61], vec![7]]);
    }
}
