//! The change of a figure from an old profile to a new one, and its confidence interval: how far chance can have moved it.

use clap::ValueEnum;

use crate::profile::Profile;
use crate::stats::{Estimate, critical_value};

/// The probability that at least one of all reported changes is chance alone.
const FALSE_CHANGE_PROBABILITY: f64 = 0.05;

/// A figure with fewer samples, in both profiles together, is not judged.
const MIN_COUNT: u64 = 10;

/// Standard deviation of a function's weight between equal runs, relative to the weight. Memory layout, scheduling and other
/// programs cause it, in addition to the chance of sampling.
const RUN_VARIATION: f64 = 0.015;

/// Standard deviation of any function's weight between equal runs, relative to the total: how often the scheduler wakes a
/// thread depends on the machine. In 78 pairs of equal runs on a busy machine, `runtime.sysmon` and `main.main` differed by
/// up to 0.65 % of the total.
const SCHEDULING_VARIATION: f64 = 0.0015;

/// How weights of two profiles are made comparable. The comment of a value is its help.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Normalize {
    /// Shares of all samples: programs that ran for different times can be compared
    #[default]
    Share,
    /// The weights as they are, such as CPU seconds: two runs that did the same work
    Time,
    /// Weights for each second between the first and the last sample
    Wall,
}

/// The meaning of the values of a [`FigureChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A share of the total, from 0 to 1.
    Share,
    /// A weight.
    Weight,
    /// A weight for each second.
    WeightPerSecond,
    /// A weight for each unit of work.
    WeightPerUnit,
}

/// A weight, and its number of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// The weight, in [`Event::unit`](crate::profile::Event::unit).
    pub weight: u64,
    /// The count.
    pub count: u64,
}

/// Converts the weights of two profiles to comparable values.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The meaning of the values that the scale returns.
    pub value_kind: ValueKind,
    /// The totals of both profiles, the old one first.
    pub totals: [Amount; 2],
    /// Whether all counts are numbers of samples, so that the chance of sampling is known.
    pub is_sampled: bool,
    factors: [f64; 2],
}

/// The direction of a change. [`Self::Unclear`] if chance can explain the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeVerdict {
    /// The figure grew.
    Grew,
    /// The figure shrank.
    Shrank,
    /// The old figure is 0, the new one is not.
    New,
    /// The new figure is 0, the old one was not.
    Gone,
    /// Chance alone can explain the difference, or there are too few samples to judge it.
    Unclear,
}

/// A figure in two profiles.
#[derive(Debug, Clone, Copy)]
pub struct FigureChange {
    /// Weight and count of the samples in both profiles, the old one first.
    pub amounts: [Amount; 2],
    /// The comparable values of both profiles, the old one first.
    pub values: [f64; 2],
    /// The new value minus the old one, with its confidence interval.
    pub difference: Estimate,
    /// The direction of the change.
    pub verdict: ChangeVerdict,
}

impl Scale {
    /// Returns the scale of two profiles. `units` are the units of work that each program did. If they are known,
    /// `normalize` has no effect.
    pub fn new(profiles: [&Profile; 2], normalize: Normalize, units: Option<[f64; 2]>) -> Self {
        let totals = profiles.map(|profile| Amount { weight: profile.total_weight(), count: profile.total_count() });
        let seconds = profiles.map(|profile| profile.duration_ns as f64 / 1e9);
        let (value_kind, divisors) = match (normalize, units) {
            (_, Some(units)) => (ValueKind::WeightPerUnit, units),
            (Normalize::Share, _) => (ValueKind::Share, totals.map(|total| total.weight as f64)),
            (Normalize::Time, _) => (ValueKind::Weight, [1.0; 2]),
            (Normalize::Wall, _) => (ValueKind::WeightPerSecond, seconds),
        };
        let factors = divisors.map(|divisor| if divisor > 0.0 { divisor.recip() } else { 0.0 });
        let is_sampled = profiles.iter().all(|profile| profile.event.is_sampled());
        Self { value_kind, totals, is_sampled, factors }
    }

    /// Returns the factors that convert weights to values, the old profile's first.
    pub fn factors(&self) -> [f64; 2] {
        self.factors
    }

    /// Returns the larger total as a value, rounded down.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "larger values become the largest integer"
    )]
    pub fn larger_total(&self) -> u64 {
        let value = |side: usize| self.totals[side].weight as f64 * self.factors[side];
        value(0).max(value(1)) as u64
    }

    /// Returns whether both profiles together have enough samples of a figure to judge it.
    pub(super) fn is_judged(&self, amounts: [Amount; 2]) -> bool {
        !self.is_sampled || amounts[0].count.saturating_add(amounts[1].count) >= MIN_COUNT
    }

    /// Returns the [critical value](critical_value) for a number of comparisons.
    pub(super) fn critical_value(comparisons: usize) -> f64 {
        critical_value(FALSE_CHANGE_PROBABILITY, comparisons)
    }

    /// Compares the amounts of both profiles. `critical` is the half width of intervals in standard deviations. `clustering`
    /// is the variance of counts, relative to that of independent samples.
    pub fn compare_amounts(&self, amounts: [Amount; 2], critical: f64, clustering: f64) -> FigureChange {
        let [old, new] = [0, 1].map(|side: usize| self.estimate(side, amounts[side], critical, clustering));
        let difference = new.subtract(old);
        let verdict = match (amounts[0].weight, amounts[1].weight) {
            _ if !self.is_judged(amounts) => ChangeVerdict::Unclear,
            (0, _) if difference.low > 0.0 => ChangeVerdict::New,
            (_, 0) if difference.high < 0.0 => ChangeVerdict::Gone,
            _ if difference.low > 0.0 => ChangeVerdict::Grew,
            _ if difference.high < 0.0 => ChangeVerdict::Shrank,
            _ => ChangeVerdict::Unclear,
        };
        FigureChange { amounts, values: [old.value, new.value], difference, verdict }
    }

    /// Returns the value of an amount, with an interval that follows from the number of samples.
    fn estimate(&self, side: usize, amount: Amount, critical: f64, clustering: f64) -> Estimate {
        let (total, factor) = (self.totals[side], self.factors[side]);
        let value = amount.weight as f64 * factor;
        // Clustered samples vary as much as this smaller number of independent samples.
        let (count, all) = (amount.count as f64 / clustering, total.count as f64 / clustering);
        if !self.is_sampled {
            return Estimate::exact(value);
        }
        let counted = match self.value_kind {
            ValueKind::Share => Estimate::from_proportion(count, all, critical),
            _ => Estimate::from_count(count, critical),
        };
        // The mean value of a sample of this amount, or of all samples if the amount has none.
        let sample = if amount.count > 0 { value / count } else { total.weight as f64 * factor / all };
        let varying = if self.value_kind == ValueKind::Share { value * (1.0 - value) } else { value };
        let scheduling = SCHEDULING_VARIATION * total.weight as f64 * factor;
        let estimate = counted.scaled(sample).widened(critical * (RUN_VARIATION * varying).hypot(scheduling));
        // The exact value has no rounding error, so equal values have the difference 0.
        Estimate { value, ..estimate }
    }
}

impl FigureChange {
    /// Returns whether the difference is beyond chance.
    pub fn is_clear(&self) -> bool {
        self.verdict != ChangeVerdict::Unclear
    }

    /// Returns the distance from the difference to the bound nearer to 0. A difference larger than this is beyond chance.
    pub fn margin(&self) -> f64 {
        let Estimate { value, low, high } = self.difference;
        if value > 0.0 { value - low } else { high - value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;

    fn change(old: [u64; 2], new: [u64; 2], comparisons: usize) -> FigureChange {
        let profile = |[part, total]: [u64; 2]| {
            let mut fixture = Fixture::new();
            fixture.add("app", "main.f", part);
            fixture.add("app", "main.g", total - part);
            fixture.profile
        };
        let profiles = [profile(old), profile(new)];
        let scale = Scale::new([&profiles[0], &profiles[1]], Normalize::Share, None);
        let amount = |count| Amount { weight: count * 1_003_009, count };
        scale.compare_amounts([amount(old[0]), amount(new[0])], Scale::critical_value(comparisons), 1.0)
    }

    #[test]
    fn the_number_of_samples_decides_whether_a_difference_is_chance() {
        for (old, new, comparisons, verdict) in [
            ([30, 100], [34, 100], 1, ChangeVerdict::Unclear),
            ([3_000, 10_000], [3_400, 10_000], 1, ChangeVerdict::Grew),
            ([3_400, 10_000], [3_000, 10_000], 1, ChangeVerdict::Shrank),
            ([300, 1_000], [360, 1_000], 1, ChangeVerdict::Grew),
            ([300, 1_000], [360, 1_000], 100, ChangeVerdict::Unclear),
            ([0, 1_000], [60, 1_000], 100, ChangeVerdict::New),
            ([60, 1_000], [0, 1_000], 100, ChangeVerdict::Gone),
            ([0, 1_000], [1, 1_000], 1, ChangeVerdict::Unclear),
            ([0, 1_000], [9, 1_000], 1, ChangeVerdict::Unclear),
            ([1_000, 1_000], [1_000, 1_000], 1, ChangeVerdict::Unclear),
        ] {
            assert_eq!(change(old, new, comparisons).verdict, verdict, "{old:?} {new:?} {comparisons}");
        }
    }

    #[test]
    fn profiles_of_different_rates_and_lengths_have_equal_shares() {
        let same = change([300, 1_000], [2_991, 9_970], 1);
        assert_eq!(same.verdict, ChangeVerdict::Unclear);
        assert!(same.difference.value.abs() < 1e-9, "{same:?}");
    }

    #[test]
    fn the_margin_agrees_with_the_verdict() {
        for new in 300..400 {
            let change = change([300, 1_000], [new, 1_000], 1);
            assert_eq!(change.difference.value.abs() > change.margin(), change.is_clear(), "{new}");
        }
    }

    #[test]
    fn a_single_sample_with_a_huge_weight_makes_no_clear_change() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.g", 1_000);
        let old = fixture.profile.clone();
        fixture.period = 100_000_000;
        fixture.add("app", "main.f", 1);
        let scale = Scale::new([&old, &fixture.profile], Normalize::Share, None);
        let change = scale.compare_amounts([Amount::default(), Amount { weight: 100_000_000, count: 1 }], 1.96, 1.0);
        assert!(change.values[1] > 0.09, "{change:?}");
        assert_eq!(change.verdict, ChangeVerdict::Unclear);
    }
}
