//! Samples, equal ones counted together.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::interner::position;
use super::model::{RunnerId, Sample, StackId};

/// Samples, in the order in which they were first seen.
///
/// Most stacks are of one runner: their samples are found without the index, which holds those of stacks that have
/// several.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    list: Vec<Sample>,
    /// For each stack, one more than the position of its first sample; 0 when it has none.
    first: Vec<u32>,
    index: HashTable<u32>,
    seed: RandomState,
}

impl Samples {
    /// Makes room for so many more; what is not used is no memory but addresses.
    pub fn reserve(&mut self, samples: usize) {
        self.list.reserve(samples);
    }

    /// Adds samples; those of one stack and one runner are counted together.
    pub fn add(&mut self, sample: Sample) {
        let Self { list, first, index, seed } = self;
        if first.len() <= sample.stack.index() {
            first.resize(sample.stack.index() + 1, 0);
        }
        let first = &mut first[sample.stack.index()];
        let key = |sample: &Sample| (sample.stack, sample.runner);
        let known = match first.checked_sub(1) {
            None => {
                list.push(sample);
                *first = position(list.len());
                return;
            }
            Some(at) if list[at as usize].runner == sample.runner => at,
            Some(_) => {
                let known = index.entry(
                    seed.hash_one(key(&sample)),
                    |at| key(&list[*at as usize]) == key(&sample),
                    |at| seed.hash_one(key(&list[*at as usize])),
                );
                match known {
                    Entry::Occupied(at) => *at.get(),
                    Entry::Vacant(vacant) => {
                        vacant.insert(position(list.len()));
                        list.push(sample);
                        return;
                    }
                }
            }
        };
        let known = &mut list[known as usize];
        known.count = known.count.saturating_add(sample.count);
        known.weight = known.weight.saturating_add(sample.weight);
    }

    /// All samples.
    pub fn list(&self) -> &[Sample] {
        &self.list
    }

    /// All samples, without what finds equal ones.
    pub fn into_list(self) -> Vec<Sample> {
        self.list
    }

    /// Samples of which none is added any more. They may get other stacks and runners; what is equal then stays apart.
    #[must_use]
    pub fn map(self, mut map: impl FnMut(StackId, RunnerId) -> (StackId, RunnerId)) -> Self {
        let mut list = self.list;
        for sample in &mut list {
            (sample.stack, sample.runner) = map(sample.stack, sample.runner);
        }
        Self { list, ..Self::default() }
    }
}
