//! The samples of a profile, equal ones counted together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use super::interner::position;
use super::model::{Sample, StackId, TaskId};

/// Samples, in the order in which they were first seen.
///
/// Samples with the same stack and task are merged if one of them is among the recent ones. So a program that repeats
/// itself needs little memory, however long it is sampled. The list may still hold equal samples:
/// [`Samples::distinct`] merges all.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    list: Vec<Sample>,
    /// Cache of recent samples and their positions in `list`, indexed by [`recent_slot`]. Empty until the first sample is
    /// added, and after [`Samples::freeze`].
    recent: Vec<(StackId, TaskId, u32)>,
}

/// Number of bits of an index into [`Samples::recent`].
const RECENT_BITS: u32 = 12;

/// Returns the index into [`Samples::recent`] for the stack and task of a sample.
fn recent_slot(sample: &Sample) -> usize {
    /// 2^64 divided by the golden ratio, for Fibonacci hashing.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let key = u64::from(sample.stack.0) << 32 | u64::from(sample.task.0);
    usize::try_from(key.wrapping_mul(GOLDEN) >> (u64::BITS - RECENT_BITS)).unwrap_or(0)
}

impl Samples {
    /// Allocates room for `capacity` samples if there are none yet. Unused capacity costs only address space.
    pub fn reserve(&mut self, capacity: usize) {
        if self.list.is_empty() {
            self.list = Vec::with_capacity(capacity);
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, sample: Sample) {
        if self.recent.is_empty() {
            // `u32::MAX` is the position of no sample.
            self.recent = vec![(StackId::EMPTY, TaskId(0), u32::MAX); 1 << RECENT_BITS];
        }
        let (stack, task, at) = &mut self.recent[recent_slot(&sample)];
        if (*stack, *task) == (sample.stack, sample.task)
            && let Some(equal) = self.list.get_mut(*at as usize)
        {
            merge(equal, &sample);
        } else {
            (*stack, *task, *at) = (sample.stack, sample.task, position(self.list.len()));
            self.list.push(sample);
        }
    }

    /// Frees the memory that only [`Samples::add`] needs.
    pub fn freeze(&mut self) {
        self.recent = Vec::new();
    }

    /// Returns all samples.
    pub fn list(&self) -> &[Sample] {
        &self.list
    }

    /// Appends the samples of another shard. `translate` converts its stacks and tasks to those of this one. Equal samples
    /// are not merged.
    pub fn append(&mut self, other: &Self, translate: impl Fn(StackId, TaskId) -> (StackId, TaskId) + Sync) {
        self.freeze();
        self.list.par_extend(other.list.par_iter().map(|sample| {
            let (stack, task) = translate(sample.stack, sample.task);
            Sample { stack, task, ..*sample }
        }));
    }

    /// Returns all samples, merged by stack and task. `canonical` returns the canonical stack of a stack (see
    /// [`Stacks`](super::Stacks)).
    pub fn distinct(&self, canonical: impl Fn(StackId) -> StackId) -> Vec<Sample> {
        let mut positions = HashMap::with_capacity_and_hasher(self.list.len(), RandomState::default());
        let mut distinct: Vec<Sample> = Vec::with_capacity(self.list.len());
        for sample in &self.list {
            let stack = canonical(sample.stack);
            match positions.entry((stack, sample.task)) {
                Entry::Occupied(at) => merge(&mut distinct[*at.get()], sample),
                Entry::Vacant(entry) => {
                    entry.insert(distinct.len());
                    distinct.push(Sample { stack, ..*sample });
                }
            }
        }
        distinct
    }

    /// Replaces the stack and task of every sample by those that `translate` returns, and freezes the samples.
    #[must_use]
    pub fn remap(self, translate: impl Fn(StackId, TaskId) -> (StackId, TaskId) + Sync) -> Self {
        let mut list = self.list;
        list.par_iter_mut().for_each(|sample| (sample.stack, sample.task) = translate(sample.stack, sample.task));
        Self { list, ..Self::default() }
    }
}

/// Adds the count and weight of `sample` to an equal one.
fn merge(equal: &mut Sample, sample: &Sample) {
    equal.count = equal.count.saturating_add(sample.count);
    equal.weight = equal.weight.saturating_add(sample.weight);
}

#[cfg(test)]
mod tests {
    use super::{Sample, Samples, StackId, TaskId};

    #[test]
    fn equal_samples_are_merged() {
        let sample = |stack, task, weight| Sample { stack: StackId(stack), task: TaskId(task), count: 1, weight };
        let mut samples = Samples::default();
        for _ in 0..3 {
            samples.add(sample(1, 2, 10));
            samples.add(sample(2, 1, u64::MAX));
        }
        let expected = [Sample { count: 3, ..sample(1, 2, 30) }, Sample { count: 3, ..sample(2, 1, u64::MAX) }];
        assert_eq!(samples.list(), expected);
        // More stacks than `recent` can hold.
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
