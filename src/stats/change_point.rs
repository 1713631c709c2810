//! Positions at which a series of figures moves to another level.
//!
//! Pettitt's test (1979): at each position, the ranks before the position are compared with the ranks after it, and the
//! largest difference counts. Only the order of figures matters, so one outlier makes no change. Shuffled series show how
//! often chance alone gives as large a difference. Pettitt's formula would be far off for the few runs of an archive.
//! Several positions can have a difference close to the largest. The change is where two levels fit best. Both parts are
//! then searched in the same way.

/// A shorter series shows no change: chance alone puts 4 low figures before 5 high figures in more than 1 % of all orders.
pub const MIN_SERIES: usize = 10;

/// Probability to see a change in a series that has none.
const FALSE_CHANGE_PROBABILITY: f64 = 0.01;

/// Number of shuffled series that a series is compared with.
const SHUFFLES: u32 = 9_999;

/// Returns the positions of the first figure of each new level.
pub fn change_points(series: &[f64]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut parts = vec![(0, series)];
    while let Some((start, part)) = parts.pop() {
        if let Some(at) = change_point(part) {
            let (before, after) = part.split_at(at);
            parts.extend([(start, before), (start + at, after)]);
            found.push(start + at);
        }
    }
    found.sort_unstable();
    found
}

/// Returns the median. `None` for an empty slice.
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(*sorted.get(middle - 1)?, upper) } else { upper })
}

fn change_point(series: &[f64]) -> Option<usize> {
    if series.len() < MIN_SERIES {
        return None;
    }
    let mut ranks = double_ranks(series);
    let differences: Vec<i64> = rank_differences(&ranks).collect();
    let largest = differences.iter().copied().max()?;
    let mut random = SplitMix(0);
    let mut as_large = 0_u32;
    for _ in 0..SHUFFLES {
        random.shuffle(&mut ranks);
        as_large += u32::from(rank_differences(&ranks).max() >= Some(largest));
        if f64::from(as_large + 1) > FALSE_CHANGE_PROBABILITY * f64::from(SHUFFLES + 1) {
            return None;
        }
    }
    let is_close = |at: &usize| differences.get(at - 1).is_some_and(|difference| difference * 10 >= largest * 9);
    (1..series.len()).filter(is_close).min_by(|a, b| split_misfit(series, *a).total_cmp(&split_misfit(series, *b)))
}

/// Sums the distance of each figure from the median of its side, if the series is split at a position.
fn split_misfit(series: &[f64], at: usize) -> f64 {
    let (before, after) = series.split_at(at);
    let of_side = |side: &[f64]| {
        let level = median(side).unwrap_or_default();
        side.iter().map(|figure| (figure - level).abs()).sum::<f64>()
    };
    of_side(before) + of_side(after)
}

/// Returns twice the rank of each figure, from 1 on. Equal figures share the mean of their ranks.
fn double_ranks(series: &[f64]) -> Vec<i64> {
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|a, b| series[*a].total_cmp(&series[*b]));
    let mut ranks = vec![0; series.len()];
    let mut first = 1_i64;
    for equal in order.chunk_by(|a, b| series[*a].total_cmp(&series[*b]).is_eq()) {
        let last = first + i64::try_from(equal.len()).unwrap_or(i64::MAX) - 1;
        for at in equal {
            ranks[*at] = first + last;
        }
        first = last + 1;
    }
    ranks
}

/// Returns for each position, from the second on, how much the ranks before it differ from the ranks after it.
fn rank_differences(double_ranks: &[i64]) -> impl Iterator<Item = i64> {
    let mean = i64::try_from(double_ranks.len()).unwrap_or(i64::MAX) + 1;
    double_ranks.iter().scan(0, move |sum, rank| {
        *sum += rank - mean;
        Some(i64::abs(*sum))
    })
}

/// The random number generator `SplitMix64` (Steele, Lea and Flood 2014). Equal series are shuffled equally.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn shuffle(&mut self, items: &mut [i64]) {
        for last in (1..items.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            items.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns random figures around 1 with a standard deviation of 5 %.
    fn noise(seed: u64, length: usize) -> Vec<f64> {
        let mut random = SplitMix(seed);
        let mut uniform = || (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (0..length).map(|_| 1.0 + 0.05 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)).collect()
    }

    #[test]
    fn a_new_level_is_found_where_it_begins() {
        let mut series = noise(1, 30);
        series[18..].iter_mut().for_each(|figure| *figure *= 1.3);
        let [at] = change_points(&series)[..] else { panic!("{:?}", change_points(&series)) };
        assert!((17..=19).contains(&at), "{at}");
        assert_eq!(change_points(&[1.0, 1.1, 0.9, 1.0, 1.2, 2.0, 2.1, 2.2, 1.9, 2.3]), [5], "10 figures are enough");
        // In a rising series, ranks alone do not show where the jump is.
        let rising: Vec<f64> = (0..13).map(|at| if at < 7 { 1.0 } else { 1.5 } + f64::from(at) / 1000.0).collect();
        assert_eq!(change_points(&rising), [7]);
    }

    #[test]
    fn two_changes_are_found() {
        let mut series = noise(2, 60);
        series[20..40].iter_mut().for_each(|figure| *figure *= 0.7);
        let found = change_points(&series);
        assert!(matches!(found[..], [18..=22, 38..=42]), "{found:?}");
    }

    #[test]
    fn few_or_equal_figures_and_single_outliers_show_no_change() {
        assert_eq!(change_points(&[1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0, 9.0]), [0; 0]);
        assert_eq!(change_points(&[1.0; 40]), [0; 0]);
        assert_eq!(change_points(&[]), [0; 0]);
        let mut series = noise(3, 20);
        series[9] = 100.0;
        assert_eq!(change_points(&series), [0; 0]);
    }

    #[test]
    fn chance_rarely_looks_like_a_change() {
        let found = (0..400).filter(|seed| !change_points(&noise(1000 + seed, 20)).is_empty()).count();
        assert!(found <= 10, "{found} of 400, where 4 are expected");
    }

    #[test]
    fn the_median_is_the_middle_figure_or_the_mean_of_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
