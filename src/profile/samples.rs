//! Samples, equal ones counted together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use super::interner::position;
use super::model::{Sample, StackId, TaskId};

/// Samples, in the order in which they were first seen. Those of one stack and one task are counted together if the last
/// ones of them were seen lately, so that a program that does the same again and again takes little room however long it
/// is sampled. [`Samples::distinct`] leaves none apart.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    list: Vec<Sample>,
    /// Those seen last, by a few bits of what tells samples apart, with their positions; none before the first is added.
    recent: Vec<(StackId, TaskId, u32)>,
}

/// The bits of a position in [`Samples::recent`].
const RECENT_BITS: u32 = 12;

/// Where samples of a stack and a task are among [`Samples::recent`].
fn slot(sample: &Sample) -> usize {
    /// 2^64 divided by the golden ratio.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let key = u64::from(sample.stack.0) << 32 | u64::from(sample.task.0);
    usize::try_from(key.wrapping_mul(GOLDEN) >> (u64::BITS - RECENT_BITS)).unwrap_or(0)
}

impl Samples {
    /// Makes room for so many more; what is not used is no memory but addresses.
    pub fn reserve(&mut self, samples: usize) {
        if self.list.is_empty() {
            self.list = Vec::with_capacity(samples);
        }
    }

    /// Adds samples.
    pub fn add(&mut self, sample: Sample) {
        if self.recent.is_empty() {
            // No sample is beyond all others.
            self.recent = vec![(StackId::EMPTY, TaskId(0), u32::MAX); 1 << RECENT_BITS];
        }
        let (stack, task, at) = &mut self.recent[slot(&sample)];
        if (*stack, *task) == (sample.stack, sample.task)
            && let Some(known) = self.list.get_mut(*at as usize)
        {
            count(known, &sample);
        } else {
            (*stack, *task, *at) = (sample.stack, sample.task, position(self.list.len()));
            self.list.push(sample);
        }
    }

    /// Gives back the memory that only adding needs.
    pub fn freeze(&mut self) {
        self.recent = Vec::new();
    }

    /// All samples.
    pub fn list(&self) -> &[Sample] {
        &self.list
    }

    /// Adds samples that were gathered elsewhere, where stacks and tasks were called otherwise.
    pub fn append(&mut self, other: &Self, here: impl Fn(StackId, TaskId) -> (StackId, TaskId) + Sync) {
        self.freeze();
        self.list.par_extend(other.list.par_iter().map(|sample| {
            let (stack, task) = here(sample.stack, sample.task);
            Sample { stack, task, ..*sample }
        }));
    }

    /// All samples, those of one stack and one task counted together. `of` says which stack is meant by one that is
    /// equal to it.
    pub fn distinct(&self, of: impl Fn(StackId) -> StackId) -> Vec<Sample> {
        let mut known = HashMap::with_capacity_and_hasher(self.list.len(), RandomState::default());
        let mut distinct: Vec<Sample> = Vec::with_capacity(self.list.len());
        for sample in &self.list {
            let stack = of(sample.stack);
            match known.entry((stack, sample.task)) {
                Entry::Occupied(at) => count(&mut distinct[*at.get()], sample),
                Entry::Vacant(place) => {
                    place.insert(distinct.len());
                    distinct.push(Sample { stack, ..*sample });
                }
            }
        }
        distinct
    }

    /// Samples of which none is added any more, with other stacks and tasks.
    #[must_use]
    pub fn map(self, map: impl Fn(StackId, TaskId) -> (StackId, TaskId) + Sync) -> Self {
        let mut list = self.list;
        list.par_iter_mut().for_each(|sample| (sample.stack, sample.task) = map(sample.stack, sample.task));
        Self { list, ..Self::default() }
    }
}

/// Counts samples together with equal ones.
fn count(known: &mut Sample, more: &Sample) {
    known.count = known.count.saturating_add(more.count);
    known.weight = known.weight.saturating_add(more.weight);
}

#[cfg(test)]
mod tests {
    use super::{Sample, Samples, StackId, TaskId};

    #[test]
    fn equal_samples_are_counted_together() {
        let sample = |stack, task, weight| Sample { stack: StackId(stack), task: TaskId(task), count: 1, weight };
        let mut samples = Samples::default();
        for _ in 0..3 {
            samples.add(sample(1, 2, 10));
            samples.add(sample(2, 1, u64::MAX));
        }
        let expected = [Sample { count: 3, ..sample(1, 2, 30) }, Sample { count: 3, ..sample(2, 1, u64::MAX) }];
        assert_eq!(samples.list(), expected);
        // Of so many at once some are not remembered.
        for stack in (0..100_000).chain(0..100_000) {
            samples.add(sample(stack, 2, 1));
        }
        assert!(samples.list().len() > 100_001);
        let distinct = samples.distinct(|stack| stack);
        assert_eq!(distinct.len(), 100_001);
        assert_eq!(distinct[..2], [Sample { count: 5, ..sample(1, 2, 32) }, expected[1]]);
        assert!(distinct[2..].iter().all(|sample| sample.count == 2));
    }
}
