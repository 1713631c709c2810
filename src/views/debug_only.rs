//! Hot spots that a build without optimisation has and the optimised one does not: functions whose share is far larger there,
//! and which functions the compiler inlined them into.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::change::{Amount, ChangeVerdict, FigureChange};
use super::diff::Diff;
use super::top::{add, stack_sums};
use super::view::View;
use crate::profile::StackId;

/// A share is far larger if it is at least this many times the other one.
const FAR_LARGER: f64 = 2.0;

/// A function whose share of the unoptimised build is far larger than that of the optimised one, beyond chance.
#[derive(Debug, Clone, PartialEq)]
pub struct DebugHotSpot {
    /// Index in [`Matching::functions`](super::Matching::functions).
    pub function: usize,
    /// Whether the shares are of its self weight. Otherwise they are of its cumulative weight.
    pub is_own: bool,
    /// The shares of all samples in the optimised and in the unoptimised build, from 0 to 1.
    pub shares: [f64; 2],
    /// Whether the optimised build has samples in a copy of the function that is not inlined.
    pub is_called: bool,
    /// Names of the functions that it is inlined into in the optimised build: those with samples, the most weight first, or
    /// without any sample those of the inline tables, in the order of their code.
    pub inlined_into: Vec<String>,
}

/// Returns the hot spots, those whose share differs most first. The old profile is that of the optimised build, `optimised`.
pub fn debug_hot_spots(diff: &Diff, optimised: &View) -> Vec<DebugHotSpot> {
    let mut hosts = Hosts::new(diff, optimised);
    let spot = |(function, is_own, shares)| {
        let (is_called, hosts) = hosts.of(function);
        let inlined_into = hosts.into_iter().map(|host| diff.matching.functions[host].name.clone()).collect();
        DebugHotSpot { function, is_own, shares, is_called, inlined_into }
    };
    let far_larger = diff.functions.iter().filter_map(|row| {
        let own = far_larger(diff, &row.own).map(|shares| (row.function, true, shares));
        own.or_else(|| far_larger(diff, &row.cumulative).map(|shares| (row.function, false, shares)))
    });
    let mut spots: Vec<_> = far_larger.map(spot).collect();
    let size = |spot: &DebugHotSpot| spot.shares[1] - spot.shares[0];
    spots.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.function.cmp(&b.function)));
    spots
}

fn far_larger(diff: &Diff, change: &FigureChange) -> Option<[f64; 2]> {
    let share = |side: usize| {
        let weight = |amount: Amount| amount.weight as f64;
        weight(change.amounts[side]) / weight(diff.scale.totals[side]).max(1.0)
    };
    let shares = [share(0), share(1)];
    let grew = matches!(change.verdict, ChangeVerdict::Grew | ChangeVerdict::New);
    (grew && shares[1] >= FAR_LARGER * shares[0]).then_some(shares)
}

/// By function: the weight of the copies that are not inlined, and of those that are inlined into another function.
struct Hosts {
    called: Vec<u64>,
    inlined: Vec<BTreeMap<usize, u64>>,
}

impl Hosts {
    fn new(diff: &Diff, optimised: &View) -> Self {
        let profile = optimised.profile();
        let count = diff.matching.functions.len();
        let mut hosts = Self { called: vec![0; count], inlined: vec![BTreeMap::new(); count] };
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
                add(&mut weights[caller.index()], weight);
            }
            for location in stacks.segment(stack) {
                let mut frames = profile.frames(*location).iter();
                let position = |frame: &crate::profile::Frame| diff.matching.position(0, frame.function);
                let Some(host) = frames.next().map(position) else { continue };
                add(&mut hosts.called[host], weight);
                for function in frames.map(position) {
                    add(hosts.inlined[function].entry(host).or_default(), weight);
                }
            }
        }
        hosts
    }

    /// Returns whether a function has a copy that is not inlined, and what the others are inlined into.
    fn of(&mut self, function: usize) -> (bool, Vec<usize>) {
        let mut hosts: Vec<_> = std::mem::take(&mut self.inlined[function]).into_iter().collect();
        hosts.sort_by_key(|(host, weight)| (Reverse(*weight), *host));
        (self.called[function] > 0, hosts.into_iter().map(|(host, _)| host).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::{By, Normalize, Scale};

    fn view(stacks: &[(&str, u64)], build_id: &'static str) -> View {
        let mut fixture = Fixture::new();
        fixture.build_id = build_id;
        for (stack, count) in stacks {
            fixture.add("app", stack, *count);
        }
        View::new(fixture.profile, By::Process)
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
        let spots = debug_hot_spots(&diff, &release);
        let shown: Vec<(_, _, _, Vec<&str>)> = spots
            .iter()
            .map(|spot| {
                let hosts = spot.inlined_into.iter().map(String::as_str).collect();
                (name(spot.function), spot.is_own, spot.is_called, hosts)
            })
            .collect();
        let expected = [("main.add", true, false, vec!["main.sum", "main.mean"]), ("main.check", true, false, vec![])];
        assert_eq!(shown, expected);
        assert!((spots[0].shares[0] - 500.0 / 8_500.0).abs() < 1e-9, "{:?}", spots[0].shares);
    }
}
