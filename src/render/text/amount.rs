//! Formats weights for people: all weights of a report in one unit, so that they are easy to compare.

use crate::profile::Unit;

/// Formats the weights of a report in one unit.
pub(super) struct Amounts {
    scale: u64,
    symbol: &'static str,
}

impl Amounts {
    /// Chooses the largest unit that is not larger than `total`.
    pub(super) fn new(unit: Unit, total: u64) -> Self {
        let scales: &[(u64, &str)] = match unit {
            Unit::Nanoseconds => &[(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")],
            Unit::Bytes => &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")],
            Unit::Events => &[(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"), (1, "")],
        };
        let (scale, symbol) = scales.iter().find(|(scale, _)| total >= *scale).copied().unwrap_or((1, ""));
        Self { scale, symbol }
    }

    /// Formats a weight with two decimals: `8.12 s`. A weight that would round to 0 is `<0.01 s`.
    pub(super) fn format(&self, weight: u64) -> String {
        let hundredths = (u128::from(weight) * 100 + u128::from(self.scale) / 2) / u128::from(self.scale);
        let text = match (self.scale, hundredths) {
            (1, _) => weight.to_string(),
            (_, 0) if weight > 0 => "<0.01".to_owned(),
            _ => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        };
        if self.symbol.is_empty() { text } else { format!("{text} {}", self.symbol) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_fits_the_total() {
        let format = |unit, total, weight| Amounts::new(unit, total).format(weight);
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
}
