//! Samples merged by stack and task. Samples with negative values are not merged.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::events::EventTable;
use super::interner::position;
use super::model::{CanonicalStackId, Sample, StackId, TaskId};

/// Distinct samples, in the order in which they were first seen, and the sums of their values.
///
/// A sample with a negative value has a row of its own. Readers that leave out negative samples then find the same totals
/// as before the merge.
#[derive(Debug)]
pub struct DistinctSamples {
    /// Stack and task of each distinct sample.
    pub rows: Vec<(StackId, TaskId)>,
    /// A column for each quantity, with one sum for each row.
    pub columns: Vec<Vec<i64>>,
    /// Indexed by sample before the merge: the index of its row.
    row_of_sample: Vec<u32>,
}

impl DistinctSamples {
    /// Merges the samples of several events by canonical stack and task.
    pub(super) fn from_all_events(table: &EventTable, canonical: &[CanonicalStackId]) -> Self {
        let distinct = Self::new(table.rows().iter().copied(), canonical, |row| table.has_negative_value(row));
        table.columns().iter().fold(distinct, |distinct, column| distinct.with_column(column.iter().copied()))
    }

    /// Merges the samples of one event by canonical stack and task. The columns are count and weight, or the weight alone if
    /// `has_count` is false.
    pub fn from_one_event(samples: &[Sample], has_count: bool, canonical: &[CanonicalStackId]) -> Self {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let samples_to_merge = samples.iter().map(|sample| (sample.stack, sample.task));
        let mut distinct = Self::new(samples_to_merge, canonical, |_| false);
        if has_count {
            distinct = distinct.with_column(samples.iter().map(|sample| signed(sample.count)));
        }
        distinct.with_column(samples.iter().map(|sample| signed(sample.weight)))
    }

    /// Merges samples, except those at a position for which `is_negative` is true. `canonical` is the result of
    /// [`Stacks::canonical_ids`](super::Stacks::canonical_ids).
    fn new(
        samples: impl Iterator<Item = (StackId, TaskId)>,
        canonical: &[CanonicalStackId],
        is_negative: impl Fn(usize) -> bool,
    ) -> Self {
        let mut row_of: HashMap<(StackId, TaskId), u32, RandomState> =
            HashMap::with_capacity_and_hasher(samples.size_hint().0, RandomState::default());
        let mut rows = Vec::new();
        let row_of_sample = samples.enumerate().map(|(at, (stack, task))| {
            let CanonicalStackId(stack) = canonical[stack.index()];
            let mut add_row = || {
                rows.push((stack, task));
                position(rows.len() - 1)
            };
            if is_negative(at) { add_row() } else { *row_of.entry((stack, task)).or_insert_with(add_row) }
        });
        let row_of_sample = row_of_sample.collect();
        Self { rows, columns: Vec::new(), row_of_sample }
    }

    /// Adds a column. `values` has a value for each sample before the merge.
    fn with_column(mut self, values: impl Iterator<Item = i64>) -> Self {
        let mut column = vec![0_i64; self.rows.len()];
        for (row, value) in self.row_of_sample.iter().zip(values) {
            let sum = &mut column[*row as usize];
            *sum = sum.saturating_add(value);
        }
        self.columns.push(column);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{CanonicalStackId, DistinctSamples, StackId, TaskId};

    #[test]
    fn equal_samples_become_one_row_with_the_sums_of_all_columns_unless_they_are_negative() {
        let samples =
            [(4, 1), (3, 1), (4, 2), (4, 1), (2, 1), (4, 2)].map(|(stack, task)| (StackId(stack), TaskId(task)));
        // Stack 3 has the same frames as stack 2.
        let canonical = [0, 1, 2, 2, 4].map(|stack| CanonicalStackId(StackId(stack)));
        let distinct = DistinctSamples::new(samples.into_iter(), &canonical, |at| at == 5)
            .with_column([1, 10, 100, 1000, 4, -3].into_iter())
            .with_column([i64::MAX, 0, 2, 1, 7, 5].into_iter());
        assert_eq!(distinct.rows, [(4, 1), (2, 1), (4, 2), (4, 2)].map(|(stack, task)| (StackId(stack), TaskId(task))));
        assert_eq!(distinct.columns, [[1001, 14, 100, -3], [i64::MAX, 7, 2, 5]]);
    }
}
