//! The quantity that the widths of frames show: samples, time, memory or events. Also formats figures of tooltips and legend.

use crate::profile::{Event, Unit, format_count, format_share};
use crate::render::amount::{AmountFormat, sample_count};
use crate::render::name;
use crate::views::{SummedValue, View};

/// The quantity that the widths of frames show.
pub(super) struct Measure<'v> {
    event: &'v Event,
    /// Whether widths sum counts or weights of samples.
    pub(super) kind: SummedValue,
    /// All widths are values divided by this number, so that the total is at most [`MAX_EXACT_WIDTH`].
    divisor: u64,
    total: u64,
    /// Factor from a value to its weight: the period if values are counts, 1 if they are weights. `None` if the profile
    /// has no weights.
    unit_weight: Option<u64>,
    /// Number of samples. `None` if the profile was not sampled.
    samples: Option<u64>,
}

/// Largest sum of widths: 2^53. Browsers compute with 64-bit floating point numbers, which are exact up to here.
pub(super) const MAX_EXACT_WIDTH: u64 = 1 << 53;

impl<'v> Measure<'v> {
    /// Chooses samples if all have the same weight, as samples of a clock usually do. Their number shows how certain a width
    /// is. Otherwise chooses time, memory or events.
    pub(super) fn new(view: &'v View) -> Self {
        let event = &view.profile().event;
        let (kind, unit_weight) = match (event.unit, view.period()) {
            _ if view.total(SummedValue::Weight) == 0 => (SummedValue::Count, None),
            (Unit::Nanoseconds, Some(period)) if event.is_sampled() => (SummedValue::Count, Some(period)),
            _ => (SummedValue::Weight, Some(1)),
        };
        let total = view.total(kind);
        let divisor = total.div_ceil(MAX_EXACT_WIDTH).max(1);
        Self { event, kind, divisor, total, unit_weight, samples: sample_count(view.profile()) }
    }

    /// Returns the width of a frame with this value.
    pub(super) fn width(&self, value: u64) -> u64 {
        value / self.divisor
    }

    /// Returns the value of all samples.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Formats the share of a value in the total.
    pub(super) fn format_share(&self, value: u64) -> String {
        format_share(value, self.total, self.samples)
    }

    /// Formats a value for a tooltip: `0.73 s, 23.9 %, 731 samples`.
    pub(super) fn describe_value(&self, value: u64) -> String {
        let mut parts = Vec::new();
        if let Some(weight) = self.unit_weight {
            let sample = self.samples.map(|samples| self.total.saturating_mul(weight) / samples.max(1));
            let weight = value.saturating_mul(weight);
            let amount = AmountFormat::new(self.event.unit, weight, sample).format(weight);
            parts.push(match self.event.unit {
                Unit::Events => format!("{amount} {}", name::clean_name(&self.event.name)),
                Unit::Nanoseconds | Unit::Bytes => amount,
            });
        }
        parts.push(self.format_share(value));
        if self.kind == SummedValue::Count {
            parts.push(name::sanitize(&format_count(self.event, value)).into_owned());
        }
        parts.join(", ")
    }
}
