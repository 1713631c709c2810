//! The quantity that the widths of frames show: samples, time, memory or events.

use crate::profile::Unit;
use crate::render::name;
use crate::views::{SampleValue, View};

/// The quantity that the widths of frames show.
pub(super) struct Measure {
    /// Unit in the tooltips of frames.
    pub(super) unit: String,
    /// Factor that converts a width to that unit.
    pub(super) factor: f64,
    /// The value of samples that a width sums.
    pub(super) value: SampleValue,
    /// Divisor of weights, so that their sum is at most [`MAX_EXACT`].
    divisor: u64,
}

/// Largest sum of widths: 2^53. Browsers compute with 64-bit floating point numbers, which are exact up to here.
pub(super) const MAX_EXACT: u64 = 1 << 53;

impl Measure {
    /// Chooses samples if all have the same weight, as samples of a clock usually do: their number shows how certain a width
    /// is. Otherwise chooses time, memory or events.
    pub(super) fn new(view: &View) -> Self {
        let event = &view.profile().event;
        let (unit, factor, value) = match event.unit {
            _ if view.total(SampleValue::Weight) == 0 => (event.count_name.as_str(), 1.0, SampleValue::Count),
            Unit::Nanoseconds if view.period().is_some() && event.is_sampled() => {
                (event.count_name.as_str(), 1.0, SampleValue::Count)
            }
            Unit::Nanoseconds => ("µs", 1e-3, SampleValue::Weight),
            Unit::Bytes => ("bytes", 1.0, SampleValue::Weight),
            Unit::Events => (event.name.as_str(), 1.0, SampleValue::Weight),
        };
        let divisor = view.total(value).div_ceil(MAX_EXACT).max(1);
        Self { unit: name::clean(unit).into_owned(), factor: factor * divisor as f64, value, divisor }
    }

    /// Returns the width of a frame with this weight.
    pub(super) fn width(&self, weight: u64) -> u64 {
        weight / self.divisor
    }
}
