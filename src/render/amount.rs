//! Formats weights for people: all weights of a report in one unit, so that they are easy to compare.

use crate::profile::{Profile, Unit};

/// Formats the weights of a report in one unit.
pub(super) struct AmountFormat {
    scale: u64,
    symbol: &'static str,
    /// Number of decimals: at most 2.
    decimals: usize,
}

impl AmountFormat {
    /// Chooses the largest unit that is not larger than `total`, and as many decimals as the number of samples justifies.
    /// `sample` is the mean weight of a sample, or `None` for a weight that was not sampled.
    pub(super) fn new(unit: Unit, total: u64, sample: Option<u64>) -> Self {
        let scales: &[(u64, &str)] = match unit {
            Unit::Nanoseconds => &[(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")],
            Unit::Bytes => &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")],
            Unit::Events => &[(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"), (1, "")],
        };
        let (scale, symbol) = scales.iter().find(|(scale, _)| total >= *scale).copied().unwrap_or((1, ""));
        // A decimal is shown if its step is at least half a sample.
        let is_justified = |step: u64| sample.is_none_or(|weight| step >= weight / 2);
        let decimals =
            [scale / 10, scale / 100].into_iter().take_while(|step| *step > 0 && is_justified(*step)).count();
        Self { scale, symbol, decimals }
    }

    /// Formats a weight: `8.12 s`. A weight that would round to 0 is `<0.01 s`.
    pub(super) fn format(&self, weight: u64) -> String {
        let decimals = self.decimals;
        let steps = [1, 10, 100][decimals];
        let rounded = (u128::from(weight) * steps + u128::from(self.scale) / 2) / u128::from(self.scale);
        let text = match (rounded, decimals) {
            (0, 0) if weight > 0 => "<1".to_owned(),
            (0, _) if weight > 0 => format!("<0.{:0>decimals$}", 1),
            (_, 0) => rounded.to_string(),
            _ => format!("{}.{:0>decimals$}", rounded / steps, rounded % steps),
        };
        if self.symbol.is_empty() { text } else { format!("{text} {}", self.symbol) }
    }

    /// Formats a weight with two decimals and without the unit.
    pub(super) fn format_number(&self, weight: f64) -> String {
        format!("{:.2}", weight / self.scale as f64)
    }

    /// Returns the weight of one unit.
    pub(super) fn unit_weight(&self) -> f64 {
        self.scale as f64
    }

    pub(super) fn unit_symbol(&self) -> &'static str {
        self.symbol
    }
}

/// Returns the number of samples. `None` if the weight of the profile was not sampled.
pub(super) fn sample_count(profile: &Profile) -> Option<u64> {
    profile.event.is_sampled().then(|| profile.total_count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_fits_the_total() {
        let format = |unit, total, weight| AmountFormat::new(unit, total, None).format(weight);
        assert_eq!(format(Unit::Nanoseconds, 20_194_583_206, 8_124_000_000), "8.12 s");
        assert_eq!(format(Unit::Nanoseconds, 20_194_583_206, 1_003_009), "<0.01 s");
        assert_eq!(format(Unit::Nanoseconds, 20_194_583_206, 0), "0.00 s");
        assert_eq!(format(Unit::Nanoseconds, 999_999_999, 1_003_009), "1.00 ms");
        assert_eq!(format(Unit::Bytes, 5 << 20, 1 << 19), "0.50 MiB");
        assert_eq!(format(Unit::Bytes, 1023, 1023), "1023 B");
        assert_eq!(format(Unit::Events, 31_415_926_535, 31_415_926_535), "31.42 G");
        assert_eq!(format(Unit::Events, 12, 12), "12");
        assert_eq!(format(Unit::Events, u64::MAX, u64::MAX), "18446744.07 T");
    }

    /// Earlier, one sample of a clock with 997 Hz was `1.00 ms`.
    #[test]
    fn amounts_have_only_the_decimals_that_their_samples_justify() {
        let format = |total, weight| AmountFormat::new(Unit::Nanoseconds, total, Some(1_003_009)).format(weight);
        assert_eq!(format(30_090_270, 1_003_009), "1 ms");
        assert_eq!(format(30_090_270, 501), "<1 ms");
        assert_eq!(format(3_009_027_000, 1_003_009_000), "1.00 s");
        let rare = |weight| AmountFormat::new(Unit::Nanoseconds, 3_000_000_000, Some(100_000_000)).format(weight);
        assert_eq!((rare(1_100_000_000), rare(10)), ("1.1 s".to_owned(), "<0.1 s".to_owned()));
    }
}
