//! A profile with everything that its views share.

use std::sync::OnceLock;

use super::filter::Filters;
use super::grouping::{By, Grouping};
use super::top::Top;
use super::tree::{CallTree, Labels};
use super::walk::StackWalk;
use crate::profile::{Profile, Sample};

/// The value of a sample that a view adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// How many samples.
    Count,
    /// Their weight, in [`Event::unit`](crate::profile::Event::unit).
    Weight,
}

impl Value {
    fn of(self, sample: &Sample) -> u64 {
        match self {
            Self::Count => sample.count,
            Self::Weight => sample.weight,
        }
    }
}

/// A profile, its samples divided into groups, and the tables that all formats share. Each is made when it is first
/// asked for, and kept.
#[derive(Debug)]
pub struct View {
    profile: Profile,
    grouping: Grouping,
    period: Option<u64>,
    shrink: u64,
    by_count: OnceLock<StackWalk>,
    by_weight: OnceLock<StackWalk>,
    top: OnceLock<Top>,
}

impl View {
    /// A view of all samples.
    pub fn new(profile: Profile, by: By) -> Self {
        let grouping = Grouping::new(&profile, by);
        let period = common_period(&profile);
        let shrink = shrink(&profile);
        let (by_count, by_weight, top) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { profile, grouping, period, shrink, by_count, by_weight, top }
    }

    /// A view of the samples and frames that the filters leave.
    pub fn filtered(profile: Profile, filters: &Filters, by: By) -> Self {
        Self::new(filters.apply(profile), by)
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The groups of its samples.
    pub fn grouping(&self) -> &Grouping {
        &self.grouping
    }

    /// The weight of each sample, where all samples have the same, as those of a clock mostly do.
    pub fn period(&self) -> Option<u64> {
        self.period
    }

    /// The sum of a value over all samples: the weight of the whole call tree. Values come from files; where their sum
    /// exceeds 64 bits, each is divided by the same number first.
    pub fn total(&self, value: Value) -> u64 {
        self.profile.samples().iter().map(|sample| self.value(value, sample)).sum()
    }

    /// The value of a sample, as the call tree adds it up.
    pub fn value(&self, value: Value, sample: &Sample) -> u64 {
        value.of(sample) / self.shrink
    }

    /// Hot functions and the hottest call path.
    pub fn top(&self) -> &Top {
        kept(&self.top, || Top::new(self))
    }

    /// The call tree of a value without the callees below `narrowest`. `labels` runs beside the walk of the stacks.
    pub fn call_tree(&self, value: Value, narrowest: u64, labels: impl FnOnce() -> Labels + Send) -> CallTree<'_> {
        let ((walk, scale), labels) = rayon::join(|| self.walk(value), labels);
        let samples = self.profile.samples();
        let weight = |at: &u32| self.value(value, &samples[*at as usize]);
        let group_weights = self.grouping.samples().map(|group| group.iter().map(weight).sum());
        CallTree::new(&self.profile, walk, scale, group_weights.collect(), labels, narrowest)
    }

    /// The walk of all stacks for a value, and what its weights are to be multiplied by.
    fn walk(&self, value: Value) -> (&StackWalk, u64) {
        // With a common period one walk serves both values.
        match (value, self.period) {
            (Value::Weight, Some(period @ 1..)) if self.shrink == 1 => {
                (kept(&self.by_count, || self.walk_of(Value::Count)), period)
            }
            (Value::Weight, _) => (kept(&self.by_weight, || self.walk_of(value)), 1),
            (Value::Count, _) => (kept(&self.by_count, || self.walk_of(value)), 1),
        }
    }

    fn walk_of(&self, value: Value) -> StackWalk {
        let samples = self.profile.samples();
        let stack = |at: &u32| {
            let sample = &samples[*at as usize];
            (sample.stack, self.value(value, sample))
        };
        StackWalk::new(&self.profile, self.grouping.samples().map(|group| group.iter().map(stack)))
    }
}

/// The value of a cell, which is made at first. It is made outside of the cell's lock: a thread that waits for rayon
/// inside the lock may be given other work that needs the same cell.
fn kept<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(known) = cell.get() {
        return known;
    }
    let value = make();
    cell.get_or_init(|| value)
}

/// The weight of each sample, if all have the same.
fn common_period(profile: &Profile) -> Option<u64> {
    let period = profile.samples().first().map_or(0, |sample| sample.weight / sample.count.max(1));
    let same = |sample: &Sample| sample.count.checked_mul(period) == Some(sample.weight);
    profile.samples().iter().all(same).then_some(period)
}

/// What values are divided by so that neither sum exceeds 64 bits: 1 in every sane profile.
fn shrink(profile: &Profile) -> u64 {
    let sum = |value: Value| profile.samples().iter().map(|sample| u128::from(value.of(sample))).sum::<u128>();
    let largest = sum(Value::Count).max(sum(Value::Weight));
    u64::try_from(largest >> u64::BITS).unwrap_or(u64::MAX).saturating_add(1)
}
