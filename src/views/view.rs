//! [`View`]: a profile with the tables that all output formats share.

use std::sync::OnceLock;

use super::filter::Filters;
use super::grouping::{GroupBy, Grouping};
use super::moments::{Moment, ThreadMoments, moments_by_group, moments_of_threads};
use super::paths::CallPaths;
use super::top::{Top, function_labels};
use super::tree::{CallTree, TreeLabels};
use super::user_code::{UserCodeLine, user_code_lines};
use super::walk::StackWalk;
use crate::profile::{Profile, Sample};

/// A value of a sample that a call tree sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummedValue {
    /// The number of samples.
    Count,
    /// The weight, in [`Event::unit`](crate::profile::Event::unit).
    Weight,
}

impl SummedValue {
    fn get(self, sample: &Sample) -> u64 {
        match self {
            Self::Count => sample.count,
            Self::Weight => sample.weight,
        }
    }
}

/// A profile, its samples in groups, and the tables that all formats share. Each table is built when it is first needed,
/// and kept.
#[derive(Debug)]
pub struct View {
    profile: Profile,
    grouping: Grouping,
    /// Weight of a single sample. `None` if the weights differ.
    period: Option<u64>,
    /// All values are divided by this number, so that their sums fit into 64 bits.
    divisor: u64,
    by_count: OnceLock<StackWalk>,
    by_weight: OnceLock<StackWalk>,
    top: OnceLock<Top>,
    user_code_lines: OnceLock<Vec<UserCodeLine>>,
}

impl View {
    /// Returns a view of all samples.
    #[expect(clippy::needless_pass_by_value, reason = "most callers name a property: `GroupBy::Process`")]
    pub fn new(profile: Profile, by: GroupBy) -> Self {
        let grouping = Grouping::new(&profile, &by);
        let period = common_period(&profile);
        let divisor = overflow_divisor(&profile);
        let (by_count, by_weight) = (OnceLock::new(), OnceLock::new());
        let (top, user_code_lines) = (OnceLock::new(), OnceLock::new());
        Self { profile, grouping, period, divisor, by_count, by_weight, top, user_code_lines }
    }

    /// Returns a view of the samples and frames that the filters keep.
    pub fn filtered(profile: Profile, filters: &Filters, by: GroupBy) -> Self {
        Self::new(filters.apply(profile), by)
    }

    /// Returns the profile, as the filters left it.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns a view of the same samples with reversed stacks: each leaf becomes the root. No call of the result
    /// counts as inlined.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let profile = self.profile.reversed();
        let (by_count, by_weight) = (OnceLock::new(), OnceLock::new());
        let (top, user_code_lines) = (OnceLock::new(), OnceLock::new());
        let Self { period, divisor, .. } = *self;
        Self { profile, grouping: self.grouping.clone(), period, divisor, by_count, by_weight, top, user_code_lines }
    }

    /// Drops the tables and returns the profile.
    pub fn into_profile(self) -> Profile {
        self.profile
    }

    /// Returns the samples in groups.
    pub fn grouping(&self) -> &Grouping {
        &self.grouping
    }

    /// Returns the weight of a single sample. `None` if the weights differ. Samples of a clock usually have equal weights.
    pub fn period(&self) -> Option<u64> {
        self.period
    }

    /// Returns the sum of a value over all samples: the weight of the whole call tree. Values come from files. If their
    /// sum exceeds 64 bits, all are divided by the same number first.
    pub fn total(&self, kind: SummedValue) -> u64 {
        self.profile.samples().iter().map(|sample| self.value(kind, sample)).sum()
    }

    /// Returns the value of a sample, as the call tree sums it.
    pub fn value(&self, kind: SummedValue, sample: &Sample) -> u64 {
        kind.get(sample) / self.divisor
    }

    /// Returns the hottest functions and the hottest call path.
    pub fn top(&self) -> &Top {
        get_or_build(&self.top, || {
            let labels = || function_labels(&self.profile, self.grouping.names().len());
            Top::new(&self.profile, &self.call_tree(SummedValue::Weight, 1, labels))
        })
    }

    /// Returns the lines of the user's code, the heaviest first. Each sample counts for the line that is nearest to its
    /// leaf. Empty if no stack contains the user's code.
    pub fn user_code_lines(&self) -> &[UserCodeLine] {
        get_or_build::<Vec<_>>(&self.user_code_lines, || user_code_lines(&self.profile))
    }

    /// Returns the samples of each thread, one by one. `paths` are the call paths of the profile.
    pub fn moments_of_threads(&self, paths: &CallPaths) -> Vec<ThreadMoments> {
        moments_of_threads(&self.profile, paths)
    }

    /// Returns the samples of each group, one by one, in the order of [`Grouping::names`]. `paths` are the call paths of the
    /// profile.
    pub fn moments_of_groups(&self, paths: &CallPaths) -> Vec<Vec<Moment>> {
        let mut groups = vec![0; self.profile.samples().len()];
        for (group, samples) in self.grouping.samples().enumerate() {
            for sample in samples {
                groups[*sample as usize] = group;
            }
        }
        moments_by_group(&self.profile, paths, |at| groups[at], self.grouping.names().len())
    }

    /// Returns the call tree of a value without callees whose weight is below `min_weight`. `labels` runs in parallel with
    /// the walk of the stacks.
    pub fn call_tree(
        &self,
        kind: SummedValue,
        min_weight: u64,
        labels: impl FnOnce() -> TreeLabels + Send,
    ) -> CallTree<'_> {
        let ((walk, scale), labels) = rayon::join(|| self.walk(kind), labels);
        let samples = self.profile.samples();
        let weight = |at: &u32| self.value(kind, &samples[*at as usize]);
        let group_weights = self.grouping.samples().map(|group| group.iter().map(weight).sum());
        CallTree::new(&self.profile, walk, scale, group_weights.collect(), labels, min_weight)
    }

    /// Returns the walk of all stacks for a value, and the factor to multiply its weights by.
    fn walk(&self, kind: SummedValue) -> (&StackWalk, u64) {
        // With a common period, the walk by count serves both values.
        match (kind, self.period) {
            (SummedValue::Weight, Some(period @ 1..)) if self.divisor == 1 => {
                (get_or_build(&self.by_count, || self.new_walk(SummedValue::Count)), period)
            }
            (SummedValue::Weight, _) => (get_or_build(&self.by_weight, || self.new_walk(kind)), 1),
            (SummedValue::Count, _) => (get_or_build(&self.by_count, || self.new_walk(kind)), 1),
        }
    }

    fn new_walk(&self, kind: SummedValue) -> StackWalk {
        let samples = self.profile.samples();
        let stack = |at: &u32| {
            let sample = &samples[*at as usize];
            (sample.stack, self.value(kind, sample))
        };
        StackWalk::new(&self.profile, self.grouping.samples().map(|group| group.iter().map(stack)))
    }
}

/// Returns the value of a cell, and builds it if the cell is empty. `build` runs outside of the cell's lock: while `build`
/// waits for rayon, rayon can give the thread other work that needs the same cell.
fn get_or_build<T>(cell: &OnceLock<T>, build: impl FnOnce() -> T) -> &T {
    if let Some(value) = cell.get() {
        return value;
    }
    let value = build();
    cell.get_or_init(|| value)
}

/// Returns the weight of a single sample, if all weights are equal.
fn common_period(profile: &Profile) -> Option<u64> {
    let period = profile.samples().first().map_or(0, |sample| sample.weight / sample.count.max(1));
    let same = |sample: &Sample| sample.count.checked_mul(period) == Some(sample.weight);
    profile.samples().iter().all(same).then_some(period)
}

/// Returns the divisor that keeps the sums of counts and of weights within 64 bits. It is 1 unless a file holds absurd
/// values.
fn overflow_divisor(profile: &Profile) -> u64 {
    let sum = |kind: SummedValue| profile.samples().iter().map(|sample| u128::from(kind.get(sample))).sum::<u128>();
    let largest = sum(SummedValue::Count).max(sum(SummedValue::Weight));
    u64::try_from(largest >> u64::BITS).unwrap_or(u64::MAX).saturating_add(1)
}
