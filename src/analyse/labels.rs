//! The profiler labels of a sample, from the readings of its goroutine's descriptor.
//!
//! Two equal readings around a sample, with little time between them, tell its labels. Otherwise the labels may have changed.
//! Then the nearer reading is taken, and marked as late: it is the more likely one, and as often too early as too late.

use std::collections::HashMap;

use super::readings::group_readings;
use crate::perfdata::SampleFacts;
use crate::profile::{LabelSetId, Profile, TaskLabel, TaskLabelValue};
use crate::sources::{LabelReading, LabelReadings, LabelSet};

/// Name and value of the label that samples with late labels have.
pub(super) const READ: &str = "labels_read";
pub(super) const LATE: &str = "late";

/// Time in nanoseconds after which a reading no longer tells anything.
const MAX_AGE: u64 = 100_000_000;

/// The labels of a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct SampleLabels {
    /// Position in [`Labels::sets`]. The first set is empty.
    pub(super) set: u32,
    /// Whether they may have changed between the sample and the reading.
    pub(super) late: bool,
}

/// The labels of all goroutines.
#[derive(Debug, Default)]
pub(super) struct Labels<'r> {
    /// Different sets.
    pub(super) sets: &'r [LabelSet],
    /// By process and address of the descriptor, in the order of time.
    by_descriptor: HashMap<(u32, u64), Vec<&'r LabelReading>>,
}

impl<'r> Labels<'r> {
    /// The sets of a recording that goflame has rewritten, or the labels that the recorder read.
    pub(super) fn new(rewritten: Option<&'r [LabelSet]>, readings: Option<&'r LabelReadings>) -> Self {
        if let Some(sets) = rewritten {
            return Self { sets, by_descriptor: HashMap::new() };
        }
        let Some(LabelReadings { sets, readings }) = readings else { return Self::default() };
        let times = |reading: &LabelReading| (reading.first_ns, reading.last_ns);
        Self { sets, by_descriptor: group_readings(readings, |reading| (reading.pid, reading.address), times) }
    }

    /// The labels in a descriptor at a time.
    pub(super) fn at(&self, pid: u32, address: u64, time: u64) -> SampleLabels {
        let readings = self.by_descriptor.get(&(pid, address)).map(Vec::as_slice).unwrap_or_default();
        let next = readings.partition_point(|reading| reading.last_ns < time);
        let before = next.checked_sub(1).and_then(|at| readings.get(at));
        let before = before.map(|reading| (time - reading.last_ns, reading.set));
        let after = readings.get(next).map(|reading| (reading.first_ns.saturating_sub(time), reading.set));
        match before.into_iter().chain(after).min() {
            Some((age, set)) if age <= MAX_AGE => SampleLabels { set, late: age > 0 },
            nearest => SampleLabels { set: 0, late: nearest.is_some() },
        }
    }

    /// Adds the labels of a sample to a profile.
    pub(super) fn add(&self, labels: SampleLabels, profile: &mut Profile) -> LabelSetId {
        let set = self.sets.get(labels.set as usize).map(Vec::as_slice).unwrap_or_default();
        let mark = (READ.to_owned(), LATE.to_owned());
        let all = set.iter().chain(labels.late.then_some(&mark));
        let all = all.map(|(name, value)| TaskLabel {
            key: profile.intern(name),
            value: TaskLabelValue::Text(profile.intern(value)),
        });
        let all = all.collect();
        profile.intern_labels(all)
    }

    /// Whether a sample has labels.
    pub(super) fn has_any(&self, labels: SampleLabels) -> bool {
        self.sets.get(labels.set as usize).is_some_and(|set| !set.is_empty())
    }
}

impl SampleLabels {
    /// Those of a sample with these facts.
    pub(super) fn new(set: u32, facts: SampleFacts) -> Self {
        Self { set, late: facts.has(SampleFacts::LATE_LABELS) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Labels, MAX_AGE, SampleLabels};
    use crate::sources::{LabelReading, LabelReadings};

    #[test]
    fn readings_around_a_sample_tell_its_labels() {
        let reading = |set, (first_ns, last_ns)| LabelReading { pid: 1, address: 8, first_ns, last_ns, set };
        let start = 1_000_000_000;
        let readings = vec![reading(1, (start, start + 50)), reading(2, (start + 150, start + 150))];
        let readings = LabelReadings { sets: vec![Vec::new(); 3], readings };
        let labels = Labels::new(None, Some(&readings));
        let at = |time: u64| {
            let SampleLabels { set, late } = labels.at(1, 8, time);
            (set, late)
        };
        assert_eq!([start, start + 20, start + 50, start + 150].map(at), [1, 1, 1, 2].map(|set| (set, false)));
        // Between two different readings the nearer one is more likely.
        assert_eq!([start + 60, start + 99, start + 101].map(at), [(1, true), (1, true), (2, true)]);
        // Outside of them.
        let end = start + 150;
        assert_eq!([start - 1, start - MAX_AGE, end + MAX_AGE].map(at), [(1, true), (1, true), (2, true)]);
        assert_eq!([start - MAX_AGE - 1, end + MAX_AGE + 1].map(at), [(0, true); 2], "too far away");
        assert_eq!(labels.at(2, 8, start), SampleLabels::default());
    }
}
