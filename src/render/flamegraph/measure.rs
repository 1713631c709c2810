//! What the width of a frame counts: samples, time, memory or events.

use crate::profile::{Profile, Sample, Unit};
use crate::render::name;

/// What the width of a frame counts.
pub(super) struct Measure {
    /// The name of the unit that a frame's tooltip shows.
    pub(super) unit: String,
    /// What a width is multiplied by to show it in that unit.
    pub(super) factor: f64,
    /// Whether samples are counted, instead of their weights summed up.
    count: bool,
    /// What a sample's figure is divided by, so that the sum of all stays exact in a browser.
    divisor: u64,
}

/// Browsers compute with floating point numbers, which are exact up to here.
pub(super) const EXACT: u128 = 1 << 53;

impl Measure {
    /// Samples where all stand for the same time, as those of a clock mostly do, since numbers of
    /// samples tell how certain a width is. Otherwise the time, the memory, or the events.
    pub(super) fn of(profile: &Profile) -> Self {
        let period = profile.samples().first().map_or(0, |sample| sample.weight / sample.count.max(1));
        let even = profile.samples().iter().all(|sample| sample.count.checked_mul(period) == Some(sample.weight));
        let event = &profile.event;
        let (unit, factor, count) = match event.unit {
            _ if profile.total_weight() == 0 => (event.counted.as_str(), 1.0, true),
            Unit::Nanoseconds if even && event.is_sampled() => (event.counted.as_str(), 1.0, true),
            Unit::Nanoseconds => ("µs", 1e-3, false),
            Unit::Bytes => ("bytes", 1.0, false),
            Unit::Events => (event.name.as_str(), 1.0, false),
        };
        let mut measure = Self { unit: name::clean(unit).into_owned(), factor, count, divisor: 1 };
        let total: u128 = profile.samples().iter().map(|sample| u128::from(measure.figure(sample))).sum();
        measure.divisor = u64::try_from(total.div_ceil(EXACT)).unwrap_or(u64::MAX).max(1);
        measure.factor *= measure.divisor as f64;
        measure
    }

    fn figure(&self, sample: &Sample) -> u64 {
        if self.count { sample.count } else { sample.weight }
    }

    /// The width of a sample.
    pub(super) fn width(&self, sample: &Sample) -> u64 {
        self.figure(sample) / self.divisor
    }
}
