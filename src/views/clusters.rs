//! How far the samples of a function are clustered in time, such as the samples of garbage collections.
//!
//! Counts of clustered samples vary more between runs than counts of independent samples: ten collections of a hundred
//! samples each vary like ten events, not like a thousand. A recording is divided into parts of equal size. The result is
//! the variance of the differences between neighbouring parts, relative to the variance of independent samples (von Neumann
//! 1941). Phases of a program change the counts seldom, so they have little influence.

use super::top::{FunctionSums, function_sums};
use crate::profile::{FunctionId, Profile};

/// Number of parts into which a recording is divided.
const PART_COUNT: usize = 40;

/// With fewer samples in a part, the clustering stays unknown.
const MIN_PART_SAMPLES: usize = 5;

/// The assumed relative variance if a profile has no times of its samples, or too few samples.
pub(super) const UNKNOWN_CLUSTERING: f64 = 2.0;

/// Variances of a function's counts, relative to those of independent samples, and at least 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clustering {
    pub(super) self_weight: f64,
    pub(super) cumulative: f64,
}

impl Clustering {
    /// Returns the larger value of each variance.
    pub(super) fn max(self, other: Self) -> Self {
        Self { self_weight: self.self_weight.max(other.self_weight), cumulative: self.cumulative.max(other.cumulative) }
    }
}

/// Returns the clustering of functions. `position` maps a function to its index in the result, which has `count` entries.
pub(super) fn clustering(profile: &Profile, position: impl Fn(FunctionId) -> usize, count: usize) -> Vec<Clustering> {
    let samples = profile.timed_samples().unwrap_or_default();
    let length = samples.len() / PART_COUNT;
    if length < MIN_PART_SAMPLES {
        return vec![Clustering { self_weight: UNKNOWN_CLUSTERING, cumulative: UNKNOWN_CLUSTERING }; count];
    }
    let mut sums = vec![FunctionSums::default(); count];
    let mut squares = vec![[0.0; 2]; count];
    let mut last: Option<Vec<FunctionSums>> = None;
    for part in samples.chunks_exact(length).take(PART_COUNT) {
        let mut stacks = vec![0; profile.stack_count()];
        for timed in part {
            stacks[profile.samples()[timed.sample as usize].stack.index()] += 1;
        }
        let counts = function_sums(profile, &stacks, &position, count);
        for (sums, counts) in sums.iter_mut().zip(&counts) {
            sums.self_weight += counts.self_weight;
            sums.cumulative += counts.cumulative;
        }
        if let Some(last) = &last {
            for (squares, (old, new)) in squares.iter_mut().zip(last.iter().zip(&counts)) {
                squares[0] += (new.self_weight as f64 - old.self_weight as f64).powi(2);
                squares[1] += (new.cumulative as f64 - old.cumulative as f64).powi(2);
            }
        }
        last = Some(counts);
    }
    let variance = |sum: u64, squares: f64| {
        let share = sum as f64 / (length * PART_COUNT) as f64;
        let independent = length as f64 * share * (1.0 - share);
        if independent > 0.0 { (squares / 2.0 / (PART_COUNT - 1) as f64 / independent).max(1.0) } else { 1.0 }
    };
    let clustering = |(sums, squares): (FunctionSums, [f64; 2])| Clustering {
        self_weight: variance(sums.self_weight, squares[0]),
        cumulative: variance(sums.cumulative, squares[1]),
    };
    sums.into_iter().zip(squares).map(clustering).collect()
}
