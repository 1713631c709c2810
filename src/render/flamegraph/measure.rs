//! What the width of a frame counts: samples, time, memory or events.

use crate::profile::Unit;
use crate::render::name;
use crate::views::{Value, View};

/// What the width of a frame counts.
pub(super) struct Measure {
    /// The name of the unit that a frame's tooltip shows.
    pub(super) unit: String,
    /// What a width is multiplied by to show it in that unit.
    pub(super) factor: f64,
    /// What is added up.
    pub(super) value: Value,
    /// What weights are divided by, so that the sum of all stays exact in a browser.
    divisor: u64,
}

/// Browsers compute with floating point numbers, which are exact up to here.
pub(super) const EXACT: u64 = 1 << 53;

impl Measure {
    /// Samples where all have the same weight, as those of a clock mostly do, since numbers of samples tell how certain
    /// a width is. Otherwise the time, the memory, or the events.
    pub(super) fn new(view: &View) -> Self {
        let event = &view.profile().event;
        let (unit, factor, value) = match event.unit {
            _ if view.total(Value::Weight) == 0 => (event.counted.as_str(), 1.0, Value::Count),
            Unit::Nanoseconds if view.period().is_some() && event.is_sampled() => {
                (event.counted.as_str(), 1.0, Value::Count)
            }
            Unit::Nanoseconds => ("µs", 1e-3, Value::Weight),
            Unit::Bytes => ("bytes", 1.0, Value::Weight),
            Unit::Events => (event.name.as_str(), 1.0, Value::Weight),
        };
        let divisor = view.total(value).div_ceil(EXACT).max(1);
        Self { unit: name::clean(unit).into_owned(), factor: factor * divisor as f64, value, divisor }
    }

    /// The width of a frame of this weight.
    pub(super) fn width(&self, weight: u64) -> u64 {
        weight / self.divisor
    }
}
