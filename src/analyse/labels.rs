//! The profiler labels of a sample, from the readings of its goroutine's descriptor.
//!
//! If two readings around a sample are equal, the sample has these labels. Otherwise the labels can have changed. Then
//! the sample gets the labels of the nearer reading, which are more likely, and is marked as late. If that reading is
//! too far away, the sample gets only the mark.

use std::collections::HashMap;

use super::readings::group_readings;
use crate::perfdata::SampleFacts;
use crate::profile::{LabelSetId, Profile, TaskLabel, TaskLabelValue};
use crate::sources::{LabelReading, LabelReadings, LabelSet};

/// Name of the label that marks samples whose own labels can be wrong.
pub(super) const LATE_LABEL_NAME: &str = "labels_read";
/// Value of the label [`LATE_LABEL_NAME`].
pub(super) const LATE_LABEL_VALUE: &str = "late";

/// Maximum time between a sample and a reading that gives the sample its labels.
const MAX_AGE_NS: u64 = 100_000_000;

/// The labels of a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct SampleLabels {
    /// Position in [`Labels::sets`]. The first set is empty.
    pub(super) set: u32,
    /// Whether the labels can have changed between the sample and the reading.
    pub(super) is_late: bool,
}

/// The labels of all goroutines.
#[derive(Debug, Default)]
pub(super) struct Labels<'r> {
    /// The different label sets.
    pub(super) sets: &'r [LabelSet],
    /// Readings in time order, by process and address of the descriptor.
    by_descriptor: HashMap<(u32, u64), Vec<&'r LabelReading>>,
}

impl<'r> Labels<'r> {
    /// The label sets in a rewritten recording, or else the labels that the recorder read.
    pub(super) fn new(rewritten: Option<&'r [LabelSet]>, readings: Option<&'r LabelReadings>) -> Self {
        if let Some(sets) = rewritten {
            return Self { sets, by_descriptor: HashMap::new() };
        }
        let Some(LabelReadings { sets, readings }) = readings else { return Self::default() };
        let times = |reading: &LabelReading| (reading.first_ns, reading.last_ns);
        Self { sets, by_descriptor: group_readings(readings, |reading| (reading.pid, reading.address), times) }
    }

    /// The labels in the descriptor at an address, at a time. Empty and not late if the descriptor was never read.
    pub(super) fn find(&self, pid: u32, address: u64, time: u64) -> SampleLabels {
        let readings = self.by_descriptor.get(&(pid, address)).map(Vec::as_slice).unwrap_or_default();
        let next = readings.partition_point(|reading| reading.last_ns < time);
        let before = next.checked_sub(1).and_then(|at| readings.get(at));
        let before = before.map(|reading| (time - reading.last_ns, reading.set));
        let after = readings.get(next).map(|reading| (reading.first_ns.saturating_sub(time), reading.set));
        match before.into_iter().chain(after).min() {
            Some((age, set)) if age <= MAX_AGE_NS => SampleLabels { set, is_late: age > 0 },
            nearest => SampleLabels { set: 0, is_late: nearest.is_some() },
        }
    }

    /// Adds the labels of a sample to a profile.
    pub(super) fn add(&self, labels: SampleLabels, profile: &mut Profile) -> LabelSetId {
        let set = self.sets.get(labels.set as usize).map(Vec::as_slice).unwrap_or_default();
        let mark = (LATE_LABEL_NAME.to_owned(), LATE_LABEL_VALUE.to_owned());
        let all = set.iter().chain(labels.is_late.then_some(&mark));
        let all = all.map(|(name, value)| TaskLabel {
            key: profile.intern(name),
            value: TaskLabelValue::Text(profile.intern(value)),
        });
        let all = all.collect();
        profile.intern_labels(all)
    }

    /// Whether a sample has profiler labels. The mark of late labels does not count.
    pub(super) fn has_any(&self, labels: SampleLabels) -> bool {
        self.sets.get(labels.set as usize).is_some_and(|set| !set.is_empty())
    }
}

impl SampleLabels {
    /// The labels of a sample. `set` is a position in [`Labels::sets`].
    pub(super) fn new(set: u32, facts: SampleFacts) -> Self {
        Self { set, is_late: facts.has(SampleFacts::LATE_LABELS) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Labels, MAX_AGE_NS, SampleLabels};
    use crate::sources::{LabelReading, LabelReadings};

    #[test]
    fn a_sample_has_the_labels_of_the_readings_around_it() {
        let reading = |set, (first_ns, last_ns)| LabelReading { pid: 1, address: 8, first_ns, last_ns, set };
        let start = 1_000_000_000;
        let readings = vec![reading(1, (start, start + 50)), reading(2, (start + 150, start + 150))];
        let readings = LabelReadings { sets: vec![Vec::new(); 3], readings };
        let labels = Labels::new(None, Some(&readings));
        let at = |time: u64| {
            let SampleLabels { set, is_late } = labels.find(1, 8, time);
            (set, is_late)
        };
        assert_eq!([start, start + 20, start + 50, start + 150].map(at), [1, 1, 1, 2].map(|set| (set, false)));
        // Between two different readings, the nearer reading is used.
        assert_eq!([start + 60, start + 99, start + 101].map(at), [(1, true), (1, true), (2, true)]);
        // Before the first reading and after the last one.
        let end = start + 150;
        assert_eq!([start - 1, start - MAX_AGE_NS, end + MAX_AGE_NS].map(at), [(1, true), (1, true), (2, true)]);
        assert_eq!([start - MAX_AGE_NS - 1, end + MAX_AGE_NS + 1].map(at), [(0, true); 2], "too far away");
        assert_eq!(labels.find(2, 8, start), SampleLabels::default());
    }
}
