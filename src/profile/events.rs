//! A table of the samples of several events, such as the sample types of a pprof file.

use super::model::{Event, Sample, StackId, TaskId};

/// A measured quantity: a sample type of a pprof file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// Name: `inuse_space`.
    pub name: String,
    /// Unit in the words of the file: `bytes`, `milliseconds`.
    pub unit: String,
}

/// An event of an [`EventTable`], and the quantities that are its count and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEvent {
    /// The event.
    pub event: Event,
    /// Index of the quantity that becomes [`Sample::count`]. Equal to `weight` if there is no separate count.
    pub count: usize,
    /// Index of the quantity that becomes [`Sample::weight`].
    pub weight: usize,
    /// Factor that converts the weight to [`Event::unit`].
    pub scale: u64,
}

impl TableEvent {
    /// Returns count and weight of a sample, given its quantities by index. `None` if one of them is
    /// negative.
    pub fn count_and_weight(&self, quantity: impl Fn(usize) -> i64) -> Option<(u64, u64)> {
        let value = |at| u64::try_from(quantity(at)).ok();
        let (count, weight) = (value(self.count)?, value(self.weight)?.saturating_mul(self.scale));
        Some((if self.count == self.weight { weight } else { count }, weight))
    }
}

/// The samples of several events. A row is a sample. A column holds one quantity of all rows.
///
/// Values are those of the file: they can be negative in the difference of two profiles. Rows can have equal stacks and
/// tasks.
#[derive(Debug, Clone, Default)]
pub struct EventTable {
    /// The events. All of them are made of `quantities`.
    pub events: Vec<TableEvent>,
    /// The name and unit of each column.
    pub quantities: Vec<Quantity>,
    /// The sampling period in the words of the file: a quantity, and how much of it passed between two samples. `None`
    /// if the file does not say it.
    pub period: Option<(Quantity, i64)>,
    /// Stack and task of each row.
    rows: Vec<(StackId, TaskId)>,
    columns: Vec<Vec<i64>>,
}

impl EventTable {
    /// Returns a table without rows.
    pub fn new(quantities: Vec<Quantity>, events: Vec<TableEvent>) -> Self {
        let columns = vec![Vec::new(); quantities.len()];
        Self { events, quantities, columns, ..Self::default() }
    }

    /// Adds a sample with a value for each quantity. Returns true if the table got a new row, and false if the sample was
    /// merged with the last row.
    ///
    /// Consecutive samples of one stack and task are merged, unless one has a negative value: events leave out the samples
    /// with negative values, so a sum must not hide them.
    pub fn add(&mut self, stack: StackId, task: TaskId, values: &[i64]) -> bool {
        let is_equal = self.rows.last() == Some(&(stack, task));
        let is_merged =
            is_equal && values.iter().all(|value| *value >= 0) && !self.has_negative_value(self.rows.len() - 1);
        if is_merged {
            let sums = self.columns.iter_mut().filter_map(|column| column.last_mut());
            sums.zip(values).for_each(|(sum, value)| *sum = sum.saturating_add(*value));
        } else {
            self.rows.push((stack, task));
            self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(*value));
        }
        !is_merged
    }

    /// Returns whether a quantity of a row is negative.
    pub(super) fn has_negative_value(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column[row] < 0)
    }

    /// Returns stack and task of each row.
    pub fn rows(&self) -> &[(StackId, TaskId)] {
        &self.rows
    }

    /// Returns the values of each quantity, one for each row.
    pub fn columns(&self) -> &[Vec<i64>] {
        &self.columns
    }

    /// Returns count and weight of each row for an event. If one of them is negative, both are 0.
    pub fn counts_and_weights<'t>(&'t self, event: &'t TableEvent) -> impl ExactSizeIterator<Item = (u64, u64)> + 't {
        let value = |row: usize| event.count_and_weight(|column| self.columns[column][row]).unwrap_or_default();
        (0..self.rows.len()).map(value)
    }

    /// Returns a sample for each row, with count and weight of an event. Both can be 0.
    pub(super) fn samples<'t>(&'t self, event: &'t TableEvent) -> impl Iterator<Item = Sample> + 't {
        let sample = |(&(stack, task), (count, weight))| Sample { stack, task, count, weight };
        self.rows.iter().zip(self.counts_and_weights(event)).map(sample)
    }

    /// Removes the rows for which `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(StackId, TaskId) -> bool) {
        let kept: Vec<bool> = self.rows.iter().map(|(stack, task)| keep(*stack, *task)).collect();
        retain_marked(&mut self.rows, &kept);
        self.columns.iter_mut().for_each(|column| retain_marked(column, &kept));
    }

    /// Replaces the stack of every row by the result of `translate`.
    pub(super) fn remap(&mut self, translate: impl Fn(StackId) -> StackId) {
        self.rows.iter_mut().for_each(|(stack, _)| *stack = translate(*stack));
    }
}

/// Removes the items at whose positions `kept` is false.
fn retain_marked<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next().copied().unwrap_or(false));
}
