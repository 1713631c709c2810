//! Hot spots of the unoptimised build only: functions whose share is far larger than in the optimised build. Also names the
//! functions that the compiler inlined them into.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::change::{Amount, ChangeVerdict, FigureChange};
use super::diff::Diff;
use super::top::{add_saturating, stack_sums};
use super::view::View;
use crate::profile::StackId;

/// A share is far larger if it is at least this many times the other share.
const FAR_LARGER_FACTOR: f64 = 2.0;

/// A function whose share in the unoptimised build is far larger than in the optimised build, beyond chance.
#[derive(Debug, Clone, PartialEq)]
pub struct DebugHotSpot {
    /// Index in [`Matching::functions`](super::Matching::functions).
    pub function: usize,
    /// Whether `shares` are shares of self weight. Otherwise they are shares of cumulative weight.
    pub is_self_weight: bool,
    /// The function's shares in the optimised and in the unoptimised build, from 0 to 1.
    pub shares: [f64; 2],
    /// Whether the optimised build has samples in a copy of the function that is not inlined.
    pub is_called: bool,
    /// Names of the functions into which the optimised build inlines this function, the heaviest first. Empty if its
    /// inlined copies have no samples: then the names can be added from the inline tables of the binary.
    pub inlined_into: Vec<String>,
}

/// Returns the hot spots, the one with the largest difference of shares first. `optimised` must be the old profile of `diff`.
pub fn find_debug_hot_spots(diff: &Diff, optimised: &View) -> Vec<DebugHotSpot> {
    let mut copies = FunctionCopies::new(diff, optimised);
    let spot = |(function, is_self_weight, shares)| {
        let (is_called, hosts) = copies.take_hosts(function);
        let inlined_into = hosts.into_iter().map(|host| diff.matching.functions[host].name.clone()).collect();
        DebugHotSpot { function, is_self_weight, shares, is_called, inlined_into }
    };
    let far_larger = diff.functions.iter().filter_map(|row| {
        let own = far_larger_shares(diff, &row.self_weight).map(|shares| (row.function, true, shares));
        own.or_else(|| far_larger_shares(diff, &row.cumulative).map(|shares| (row.function, false, shares)))
    });
    let mut spots: Vec<_> = far_larger.map(spot).collect();
    let size = |spot: &DebugHotSpot| spot.shares[1] - spot.shares[0];
    spots.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.function.cmp(&b.function)));
    spots
}

/// Returns the shares in both builds if the share in the unoptimised build is far larger.
fn far_larger_shares(diff: &Diff, change: &FigureChange) -> Option<[f64; 2]> {
    let share = |side: usize| {
        let weight = |amount: Amount| amount.weight as f64;
        weight(change.amounts[side]) / weight(diff.scale.totals[side]).max(1.0)
    };
    let shares = [share(0), share(1)];
    let grew = matches!(change.verdict, ChangeVerdict::Grew | ChangeVerdict::New);
    (grew && shares[1] >= FAR_LARGER_FACTOR * shares[0]).then_some(shares)
}

/// The weights of the copies of each function, by index in [`Matching::functions`](super::Matching::functions).
struct FunctionCopies {
    /// Weight of the copy that is not inlined.
    not_inlined: Vec<u64>,
    /// Weights of the inlined copies, by the function that contains the copy.
    inlined: Vec<BTreeMap<usize, u64>>,
}

impl FunctionCopies {
    fn new(diff: &Diff, optimised: &View) -> Self {
        let profile = optimised.profile();
        let count = diff.matching.functions.len();
        let mut copies = Self { not_inlined: vec![0; count], inlined: vec![BTreeMap::new(); count] };
        let mut weights = stack_sums(profile, |sample| sample.weight);
        let stacks = profile.stacks();
        // The weight of a stack counts for its callers too. A caller has a lower id.
        for stack in stacks.ids().rev() {
            let weight = weights[stack.index()];
            let caller = stacks.caller(stack);
            if weight == 0 {
                continue;
            }
            if caller != StackId::EMPTY {
                add_saturating(&mut weights[caller.index()], weight);
            }
            for location in stacks.segment(stack) {
                let mut frames = profile.frames(*location).iter();
                let position = |frame: &crate::profile::Frame| diff.matching.position(0, frame.function);
                let Some(host) = frames.next().map(position) else { continue };
                add_saturating(&mut copies.not_inlined[host], weight);
                for function in frames.map(position) {
                    add_saturating(copies.inlined[function].entry(host).or_default(), weight);
                }
            }
        }
        copies
    }

    /// Returns whether a function has a copy that is not inlined, and the functions that contain its inlined copies, the
    /// heaviest first.
    fn take_hosts(&mut self, function: usize) -> (bool, Vec<usize>) {
        let mut hosts: Vec<_> = std::mem::take(&mut self.inlined[function]).into_iter().collect();
        hosts.sort_by_key(|(host, weight)| (Reverse(*weight), *host));
        (self.not_inlined[function] > 0, hosts.into_iter().map(|(host, _)| host).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, Normalize, Scale};

    fn view(stacks: &[(&str, u64)], build_id: &'static str) -> View {
        let mut fixture = Fixture::new();
        fixture.build_id = build_id;
        for (stack, count) in stacks {
            fixture.add("app", stack, *count);
        }
        View::new(fixture.profile, GroupBy::Process)
    }

    #[test]
    fn a_function_that_is_inlined_away_is_named_with_its_host() {
        let release = view(
            &[
                ("main.main|main.sum:1|i:main.add", 300),
                ("main.main|main.sum:2", 4_000),
                ("main.main|main.rank", 4_000),
                ("main.main|main.mean:1|i:main.sum|i:main.add", 200),
            ],
            "0ldc0de",
        );
        let debug = view(
            &[
                ("main.main|main.sum|main.add", 6_000),
                ("main.main|main.sum", 4_000),
                ("main.main|main.rank", 4_500),
                ("main.main|main.check", 3_000),
            ],
            "c0ffee",
        );
        let scale = Scale::new([release.profile(), debug.profile()], Normalize::Share, None);
        let diff = Diff::new([&release, &debug], scale);
        let name = |at: usize| diff.matching.functions[at].name.as_str();
        let spots = find_debug_hot_spots(&diff, &release);
        let shown: Vec<(_, _, _, Vec<&str>)> = spots
            .iter()
            .map(|spot| {
                let hosts = spot.inlined_into.iter().map(String::as_str).collect();
                (name(spot.function), spot.is_self_weight, spot.is_called, hosts)
            })
            .collect();
        let expected = [("main.add", true, false, vec!["main.sum", "main.mean"]), ("main.check", true, false, vec![])];
        assert_eq!(shown, expected);
        assert!((spots[0].shares[0] - 500.0 / 8_500.0).abs() < 1e-9, "{:?}", spots[0].shares);
    }
}
