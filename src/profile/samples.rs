//! The samples of a profile. Equal samples are merged.

use std::ops::RangeBounds;

use rayon::prelude::*;

use super::interner::position;
use super::model::{Sample, StackId, TaskId};

/// Samples, in the order in which they were first seen.
///
/// Samples with the same stack and task are merged if one of them was added recently. So a program that repeats
/// itself needs little memory, however long it is sampled. The list can still hold equal samples:
/// [`Profile::distinct_samples`](super::Profile::distinct_samples) merges all.
///
/// On request, the time of each single sample is kept beside the list: [`Samples::with_times`].
#[derive(Debug, Clone, Default)]
pub struct Samples {
    list: Vec<Sample>,
    /// `None` if times are not kept.
    timed: Option<Vec<TimedSample>>,
    /// Cache of recent samples and their positions in `list`, indexed by [`recent_slot`]. Empty until the first sample is
    /// added, and after [`Samples::release_index`].
    recent: Vec<(StackId, TaskId, u32)>,
}

/// A single sample: its time, and the merged sample that it is a part of. 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedSample {
    /// Time on the recording's clock, in nanoseconds.
    pub time: u64,
    /// The weight of this sample alone.
    pub weight: u64,
    /// Position of the merged sample in [`Samples::list`], which has the stack and the task.
    pub sample: u32,
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
    /// Returns an empty list that keeps the time of every sample that [`Samples::add_timed`] adds.
    pub fn with_times() -> Self {
        Self { timed: Some(Vec::new()), ..Self::default() }
    }

    /// Allocates room for `capacity` samples if there are none yet. Unused capacity costs only address space.
    pub fn reserve(&mut self, capacity: usize) {
        if self.list.is_empty() {
            self.list = Vec::with_capacity(capacity);
        }
    }

    /// Adds a sample that was taken at a time of the recording's clock, in nanoseconds.
    pub fn add_timed(&mut self, time: u64, sample: Sample) {
        let at = self.add(sample);
        if let Some(timed) = &mut self.timed {
            timed.push(TimedSample { time, weight: sample.weight, sample: at });
        }
    }

    /// Adds a sample, or merges it with an equal one. Returns the position of the result in [`Samples::list`].
    pub fn add(&mut self, sample: Sample) -> u32 {
        if self.recent.is_empty() {
            // No sample is at the position `u32::MAX`.
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
        *at
    }

    /// Releases the memory that only [`Samples::add`] needs.
    pub fn release_index(&mut self) {
        self.recent = Vec::new();
    }

    /// Returns all samples.
    pub fn list(&self) -> &[Sample] {
        &self.list
    }

    /// Returns each sample before the merge, with its time. `None` if times are not kept.
    pub fn timed(&self) -> Option<&[TimedSample]> {
        self.timed.as_deref()
    }

    /// Returns the samples for which `keep` is true.
    #[must_use]
    pub fn retain(&self, keep: impl Fn(&Sample) -> bool) -> Self {
        let mut kept = Self::default();
        let kept_at = self.list.iter().map(|sample| keep(sample).then(|| kept.add(*sample)));
        let kept_at: Vec<Option<u32>> = kept_at.collect();
        let timed = self.timed.as_ref().map(|timed| {
            let kept = |timed: &TimedSample| Some(TimedSample { sample: kept_at[timed.sample as usize]?, ..*timed });
            timed.iter().filter_map(kept).collect()
        });
        Self { timed, ..kept }
    }

    /// Returns the samples that were taken at these times of the recording's clock. `None` if times are not kept.
    pub fn within_times(&self, range: impl RangeBounds<u64>) -> Option<Self> {
        let timed = self.timed()?.iter().filter(|timed| range.contains(&timed.time)).copied();
        let timed: Vec<TimedSample> = timed.collect();
        let mut list: Vec<Sample> = self.list.iter().map(|sample| Sample { count: 0, weight: 0, ..*sample }).collect();
        for TimedSample { weight, sample, .. } in &timed {
            let sample = &mut list[*sample as usize];
            merge(sample, &Sample { count: 1, weight: *weight, ..*sample });
        }
        Some(Self { list, timed: Some(timed), recent: Vec::new() }.retain(|sample| sample.count > 0))
    }

    /// Appends the samples of another shard. `translate` converts stacks and tasks of that shard to stacks and tasks of
    /// this shard. Equal samples are not merged.
    pub fn append(&mut self, other: &Self, translate: impl Fn(StackId, TaskId) -> (StackId, TaskId) + Sync) {
        self.release_index();
        let offset = position(self.list.len());
        if let (Some(timed), Some(others)) = (&mut self.timed, &other.timed) {
            timed.extend(others.iter().map(|timed| TimedSample { sample: timed.sample + offset, ..*timed }));
        }
        self.list.par_extend(other.list.par_iter().map(|sample| {
            let (stack, task) = translate(sample.stack, sample.task);
            Sample { stack, task, ..*sample }
        }));
    }

    /// Replaces the stack and task of every sample by the results of `translate`.
    #[must_use]
    pub fn remap(mut self, translate: impl Fn(StackId, TaskId) -> (StackId, TaskId) + Sync) -> Self {
        self.release_index();
        self.list.par_iter_mut().for_each(|sample| (sample.stack, sample.task) = translate(sample.stack, sample.task));
        self
    }
}

impl FromIterator<Sample> for Samples {
    /// Returns these samples at the same positions, without merging equal ones.
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        Self { list: samples.into_iter().collect(), ..Self::default() }
    }
}

/// Adds the count and weight of `sample` to an equal sample.
fn merge(equal: &mut Sample, sample: &Sample) {
    equal.count = equal.count.saturating_add(sample.count);
    equal.weight = equal.weight.saturating_add(sample.weight);
}

#[cfg(test)]
mod tests {
    use super::{Sample, Samples, StackId, TaskId, TimedSample};

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
    }

    #[test]
    fn slices_of_time_sum_up_to_all_samples() {
        let sample = |stack, weight| Sample { stack: StackId(stack), task: TaskId(0), count: 1, weight };
        let (mut samples, mut later) = (Samples::with_times(), Samples::with_times());
        for time in 0..10 {
            samples.add_timed(time, sample(u32::from(time > 3), time));
            later.add_timed(time + 10, sample(2, 1));
        }
        samples.append(&later, |stack, task| (stack, task));
        let slice = |times| samples.within_times(times).expect("times are kept");
        assert_eq!(slice(0..0).list(), []);
        assert_eq!(slice(2..5).list(), [Sample { count: 2, ..sample(0, 5) }, sample(1, 4)]);
        assert_eq!(slice(9..12).list(), [sample(1, 9), Sample { count: 2, ..sample(2, 2) }]);
        assert_eq!(slice(11..12).timed(), Some(&[TimedSample { time: 11, weight: 1, sample: 0 }][..]));
        assert_eq!(slice(0..20).list(), samples.list());
        let without_first = samples.retain(|sample| sample.stack != StackId(0));
        assert_eq!(without_first.timed().map(<[_]>::len), Some(16));
        assert_eq!(
            without_first.within_times(..10).expect("times are kept").list(),
            [Sample { count: 6, ..sample(1, 39) }]
        );
        assert!(Samples::default().within_times(..).is_none());
    }
}
