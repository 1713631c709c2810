//! How much the samples of a function come in clusters, such as those of a garbage collection.
//!
//! Counts of independent samples vary between runs as dice do. Samples in clusters vary more: ten collections of a hundred
//! samples each vary like ten, not like a thousand. So a recording is divided into parts, and the counts of neighbouring
//! parts are compared: the variance of their differences, relative to that of independent samples (von Neumann 1941). Phases
//! of a program, which change the counts seldom, have little influence.

use super::top::{FunctionSums, function_sums};
use crate::profile::{FunctionId, Profile};

/// Number of parts of a recording.
const PARTS: usize = 40;

/// Fewer samples in a part say nothing about clusters.
const MIN_PART: usize = 5;

/// The variance of profiles without the times of their samples, relative to that of independent samples.
pub(super) const UNKNOWN: f64 = 2.0;

/// Variances of a function's counts, relative to those of independent samples, and at least 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clustering {
    pub(super) own: f64,
    pub(super) cumulative: f64,
}

impl Clustering {
    /// Returns the larger variances of two profiles.
    pub(super) fn max(self, other: Self) -> Self {
        Self { own: self.own.max(other.own), cumulative: self.cumulative.max(other.cumulative) }
    }
}

/// Returns the clustering of functions. `position` tells where a function is in the list of `count`.
pub(super) fn clustering(profile: &Profile, position: impl Fn(FunctionId) -> usize, count: usize) -> Vec<Clustering> {
    let samples = profile.timed_samples().unwrap_or_default();
    let length = samples.len() / PARTS;
    if length < MIN_PART {
        return vec![Clustering { own: UNKNOWN, cumulative: UNKNOWN }; count];
    }
    let mut sums = vec![FunctionSums::default(); count];
    let mut squares = vec![[0.0; 2]; count];
    let mut last: Option<Vec<FunctionSums>> = None;
    for part in samples.chunks_exact(length).take(PARTS) {
        let mut stacks = vec![0; profile.stack_count()];
        for timed in part {
            stacks[profile.samples()[timed.sample as usize].stack.index()] += 1;
        }
        let counts = function_sums(profile, &stacks, &position, count);
        for (sums, counts) in sums.iter_mut().zip(&counts) {
            sums.own += counts.own;
            sums.cumulative += counts.cumulative;
        }
        if let Some(last) = &last {
            for (squares, (old, new)) in squares.iter_mut().zip(last.iter().zip(&counts)) {
                squares[0] += (new.own as f64 - old.own as f64).powi(2);
                squares[1] += (new.cumulative as f64 - old.cumulative as f64).powi(2);
            }
        }
        last = Some(counts);
    }
    let variance = |sum: u64, squares: f64| {
        let share = sum as f64 / (length * PARTS) as f64;
        let independent = length as f64 * share * (1.0 - share);
        if independent > 0.0 { (squares / 2.0 / (PARTS - 1) as f64 / independent).max(1.0) } else { 1.0 }
    };
    let clustering = |(sums, squares): (FunctionSums, [f64; 2])| Clustering {
        own: variance(sums.own, squares[0]),
        cumulative: variance(sums.cumulative, squares[1]),
    };
    sums.into_iter().zip(squares).map(clustering).collect()
}
