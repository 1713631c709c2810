//! Series of measurements, one per round, and their medians and ratios.

use std::fmt;

use super::Result;

/// The values of one figure, which is measured once per round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Returns the middle value, or the mean of the two middle values.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// Returns the ratio of this series to `other` in each round. A load that slows down a whole round cancels out.
    pub(crate) fn ratio_to(&self, other: &Self) -> Ratio {
        Ratio(Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect()))
    }
}

/// The ratios of two series, one per round. Its text is the median, with the lowest and the highest ratio in brackets.
pub(crate) struct Ratio(Series);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lowest = self.0.0.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.0.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        f.pad(&format!("{:.3} [{lowest:.2}-{highest:.2}]", self.0.median()))
    }
}

/// Returns the number of rounds on the command line (`cargo bench --bench NAME -- ROUNDS`), or else `default`.
pub(crate) fn requested_rounds(default: usize) -> Result<usize> {
    // cargo adds `--bench` to the arguments.
    match std::env::args().skip(1).find(|argument| argument != "--bench") {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(rounds) if rounds > 0 => Ok(rounds),
            _ => Err(format!("`{text}` is not a number of rounds").into()),
        },
    }
}
