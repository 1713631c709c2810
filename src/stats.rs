//! How far chance alone can move a number of samples: the formulas of confidence intervals, corrected for many comparisons.
//! Callers choose the confidence. Also finds where a series of figures changes beyond chance.
//!
//! Must not know what was counted.

mod change_point;

pub use change_point::{MIN_SERIES, change_points, median};

/// An estimated value with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimated value.
    pub value: f64,
    /// Lower bound of the interval.
    pub low: f64,
    /// Upper bound of the interval.
    pub high: f64,
}

impl Estimate {
    /// A value without uncertainty: both bounds equal it.
    pub fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// Estimates the expected number of independent events after `count` of them occurred: the score interval of a Poisson
    /// distribution. `critical` is the half width of the interval in standard deviations.
    pub fn from_count(count: f64, critical: f64) -> Self {
        let square = critical * critical;
        let (middle, half) = (count + square / 2.0, critical * (count + square / 4.0).sqrt());
        Self { value: count, low: (middle - half).max(0.0), high: middle + half }
    }

    /// Estimates how many of `total` events have a property after `count` of them had it: the score interval of a binomial
    /// distribution (Wilson 1927), times `total`.
    pub fn from_proportion(count: f64, total: f64, critical: f64) -> Self {
        if total <= 0.0 {
            return Self::exact(0.0);
        }
        let (share, square) = (count / total, critical * critical);
        let scale = total / (1.0 + square / total);
        let middle = (share + square / (2.0 * total)) * scale;
        let half = critical * (share * (1.0 - share) / total + square / (4.0 * total * total)).max(0.0).sqrt() * scale;
        Self { value: count, low: (middle - half).max(0.0), high: (middle + half).min(total) }
    }

    /// Multiplies the value and both bounds by a factor.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }

    /// Widens both sides of the interval by an independent deviation.
    #[must_use]
    pub fn widened(self, deviation: f64) -> Self {
        let Self { value, low, high } = self;
        Self { value, low: value - (value - low).hypot(deviation), high: value + (high - value).hypot(deviation) }
    }

    /// Subtracts an independent estimate. The interval is that of Newcombe 1998, method 10.
    #[must_use]
    pub fn subtract(self, other: Self) -> Self {
        let value = self.value - other.value;
        let below = (self.value - self.low).hypot(other.high - other.value);
        let above = (self.high - self.value).hypot(other.value - other.low);
        Self { value, low: value - below, high: value + above }
    }
}

/// Returns the half width of an interval in standard deviations of a normal distribution. With this width, all of
/// `comparisons` intervals hold together with the probability `1 - error` (Bonferroni).
pub fn critical_value(error: f64, comparisons: usize) -> f64 {
    let tail = error / 2.0 / comparisons.max(1) as f64;
    // Abramowitz and Stegun 26.2.23, whose error is below 0.00045.
    let t = (-2.0 * tail.ln()).sqrt();
    let numerator = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let denominator = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - numerator / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.0006, "{found} is not {expected}");
    }

    #[test]
    fn critical_values_equal_the_published_tables() {
        for (comparisons, expected) in [(1, 1.959_96), (5, 2.575_83), (50, 3.290_53), (5_000, 4.417_17)] {
            assert_near(critical_value(0.05, comparisons), expected);
        }
    }

    /// Newcombe 1998, table II, method 10: 56/70 against 48/80 has the interval 0.0524 to 0.3339.
    #[test]
    fn differences_of_shares_equal_the_published_examples() {
        let share = |count, total| Estimate::from_proportion(count, total, 1.959_964).scaled(1.0 / total);
        for (old, new, low, high) in [
            ((48.0, 80.0), (56.0, 70.0), 0.0524, 0.3339),
            ((3.0, 10.0), (9.0, 10.0), 0.1705, 0.8090),
            ((0.0, 29.0), (5.0, 56.0), -0.0381, 0.1926),
            ((0.0, 10.0), (10.0, 10.0), 0.6075, 1.0),
        ] {
            let difference = share(new.0, new.1).subtract(share(old.0, old.1));
            assert_near(difference.low, low);
            assert_near(difference.high, high);
        }
    }

    #[test]
    fn the_interval_of_a_count_contains_it() {
        let none = Estimate::from_count(0.0, 1.96);
        assert_near(none.low, 0.0);
        assert_near(none.high, 3.8416);
        let many = Estimate::from_count(10_000.0, 1.96);
        assert!((9_800.0..9_810.0).contains(&many.low) && (10_190.0..10_200.0).contains(&many.high), "{many:?}");
        assert_eq!(Estimate::from_proportion(0.0, 0.0, 1.96), Estimate::exact(0.0));
    }
}
