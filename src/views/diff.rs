//! The differences between two profiles: by function, and by node of a call tree that both share.

use std::collections::BTreeMap;

use super::change::{Amount, ChangeVerdict, FigureChange, Scale};
use super::clusters::{Clustering, clustering};
use super::matching::Matching;
use super::top::{FunctionSums, function_sums, stack_sums};
use super::tree::{CallTree, LabelId, TreeLabels};
use super::view::{SummedValue, View};
use super::walk::Walker;
use crate::profile::Sample;

/// The differences between an old and a new profile.
#[derive(Debug)]
pub struct Diff {
    /// The functions of both profiles.
    pub matching: Matching,
    /// Every function with weight in at least one profile. Functions whose self weight changed beyond chance come first, then
    /// functions whose cumulative weight did, then all others. In each part, the largest change is first.
    pub functions: Vec<FunctionChange>,
    /// Number of differences that were judged. With a probability of 95 %, all of their intervals contain the true
    /// difference.
    pub comparisons: usize,
    /// Converts weights to comparable values.
    pub scale: Scale,
    /// Clustering of each function, by index in [`Matching::functions`].
    clusters: Vec<Clustering>,
}

/// The change of a function.
#[derive(Debug, Clone, Copy)]
pub struct FunctionChange {
    /// Index in [`Matching::functions`].
    pub function: usize,
    /// Change of the function's self weight.
    pub self_weight: FigureChange,
    /// Change of the function's cumulative weight.
    pub cumulative: FigureChange,
}

/// A node of the call tree of both profiles.
#[derive(Debug, Clone, Copy)]
pub struct NodeChange {
    /// Index of the caller in the list of nodes. The root is its own caller.
    pub parent: usize,
    /// Index in [`Matching::functions`]. `None` for the root.
    pub function: Option<usize>,
    /// Change of the node's cumulative weight.
    pub change: FigureChange,
}

impl Diff {
    /// Compares two views, the old one first.
    pub fn new(views: [&View; 2], scale: Scale) -> Self {
        let matching = Matching::new(views.map(View::profile));
        let amounts = [0, 1].map(|side: usize| function_amounts(views[side], &matching, side));
        let pairs = || (0..matching.functions.len()).map(|at| (at, amounts[0][at], amounts[1][at]));
        let own = |old: &FunctionAmounts, new: &FunctionAmounts| [old.self_weight, new.self_weight];
        let cumulative = |old: &FunctionAmounts, new: &FunctionAmounts| [old.cumulative, new.cumulative];
        let judged = |amounts| usize::from(scale.is_judged(amounts));
        let comparisons = pairs().map(|(_, old, new)| judged(own(&old, &new)) + judged(cumulative(&old, &new))).sum();
        let critical = Scale::critical_value(comparisons);
        let [old, new] = [0, 1].map(|side: usize| {
            clustering(views[side].profile(), |function| matching.position(side, function), matching.functions.len())
        });
        let clusters: Vec<_> = old.into_iter().zip(new).map(|(old, new)| old.max(new)).collect();
        let change = |(function, old, new): (usize, FunctionAmounts, FunctionAmounts)| FunctionChange {
            function,
            self_weight: scale.compare_amounts(own(&old, &new), critical, clusters[function].self_weight),
            cumulative: scale.compare_amounts(cumulative(&old, &new), critical, clusters[function].cumulative),
        };
        let mut functions: Vec<_> = pairs().map(change).collect();
        functions.retain(|row| row.cumulative.amounts.iter().any(|amount| amount.weight > 0));
        let mut diff = Self { matching, functions, comparisons, scale, clusters };
        diff.sort_by(|row| [&row.self_weight, &row.cumulative]);
        diff
    }

    /// Sorts the functions by the first of two changes, and then by the second.
    pub fn sort_by(&mut self, changes: impl Fn(&FunctionChange) -> [&FigureChange; 2]) {
        let rank = |row: &FunctionChange| changes(row).iter().position(|change| change.is_clear()).unwrap_or(2);
        let size = |row: &FunctionChange, at: usize| changes(row)[at].difference.value.abs();
        let names = &self.matching.functions;
        self.functions.sort_by(|a, b| {
            // If only the second change is clear, its size comes first.
            let at = usize::from(rank(a) == 1);
            let by_size =
                || size(b, at).total_cmp(&size(a, at)).then_with(|| size(b, 1 - at).total_cmp(&size(a, 1 - at)));
            rank(a).cmp(&rank(b)).then_with(by_size).then_with(|| names[a.function].name.cmp(&names[b.function].name))
        });
    }

    /// Returns the number of functions whose self weight has this verdict.
    pub fn count_with_verdict(&self, verdict: ChangeVerdict) -> usize {
        self.functions.iter().filter(|row| row.self_weight.verdict == verdict).count()
    }

    /// Returns the call tree of both profiles. Frames are one node if their functions match and their callers match. A node
    /// with less than `1 / min_share_divisor` of the total in each profile is left out. The root is first, and a caller
    /// comes before its callees.
    pub fn call_tree(&self, views: [&View; 2], min_share_divisor: u64) -> Vec<NodeChange> {
        let trees = [0, 1].map(|side: usize| {
            let positions = &self.matching.positions[side];
            [SummedValue::Weight, SummedValue::Count].map(|value| {
                let labels = || {
                    let functions = positions.iter().map(|at| LabelId::from_index(*at)).collect();
                    TreeLabels::new(vec![LabelId::NONE; views[side].grouping().names().len()], functions)
                };
                views[side].call_tree(value, 1, labels)
            })
        });
        let min_weights = [0, 1].map(|side: usize| views[side].total(SummedValue::Weight).div_ceil(min_share_divisor));
        let is_wide = |amounts: &[Amount; 2]| (0..2).any(|side| amounts[side].weight >= min_weights[side].max(1));
        let mut nodes = vec![(0, None, self.scale.totals)];
        let roots = trees.each_ref().map(|trees| trees.each_ref().map(|tree| root_walkers(tree)));
        let mut pending = vec![(0, roots)];
        while let Some((parent, walkers)) = pending.pop() {
            let mut callees: BTreeMap<usize, ([Amount; 2], DiffWalkers)> = BTreeMap::new();
            for (side, walkers) in walkers.into_iter().enumerate() {
                for (value, walkers) in walkers.into_iter().enumerate() {
                    let tree = &trees[side][value];
                    for node in tree.with_scratch(|scratch| tree.expand(walkers, scratch)) {
                        let (amounts, walkers) = callees.entry(node.label.index()).or_default();
                        let amount = &mut amounts[side];
                        *(if value == 0 { &mut amount.weight } else { &mut amount.count }) = node.cumulative;
                        walkers[side][value] = node.walkers;
                    }
                }
            }
            for (function, (amounts, walkers)) in callees.into_iter().filter(|(_, (amounts, _))| is_wide(amounts)) {
                nodes.push((parent, Some(function), amounts));
                pending.push((nodes.len() - 1, walkers));
            }
        }
        let judged = nodes.iter().filter(|(_, _, amounts)| self.scale.is_judged(*amounts)).count();
        let critical = Scale::critical_value(judged);
        let change = |(parent, function, amounts): (usize, Option<usize>, [Amount; 2])| {
            let clustering = function.map_or(1.0, |function| self.clusters[function].cumulative);
            NodeChange { parent, function, change: self.scale.compare_amounts(amounts, critical, clustering) }
        };
        nodes.into_iter().map(change).collect()
    }
}

/// The walkers of a node, by profile (the old one first) and by value (weight, then count).
type DiffWalkers = [[Vec<Walker>; 2]; 2];

fn root_walkers(tree: &CallTree<'_>) -> Vec<Walker> {
    tree.groups().into_iter().flat_map(|node| node.walkers).collect()
}

/// Weight and count of a function in one profile.
#[derive(Debug, Clone, Copy, Default)]
struct FunctionAmounts {
    self_weight: Amount,
    cumulative: Amount,
}

/// Returns weight and count of each matched function in the old (0) or the new (1) profile.
fn function_amounts(view: &View, matching: &Matching, side: usize) -> Vec<FunctionAmounts> {
    let profile = view.profile();
    let sums = |value: fn(&Sample) -> u64| {
        let position = |function| matching.position(side, function);
        function_sums(profile, &stack_sums(profile, value), position, matching.functions.len())
    };
    let amounts = |(weight, count): (FunctionSums, FunctionSums)| FunctionAmounts {
        self_weight: Amount { weight: weight.self_weight, count: count.self_weight },
        cumulative: Amount { weight: weight.cumulative, count: count.cumulative },
    };
    sums(|sample| sample.weight).into_iter().zip(sums(|sample| sample.count)).map(amounts).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, Normalize};

    fn views(old: &[(&str, u64)], new: &[(&str, u64)]) -> [View; 2] {
        views_of_builds([(old, "0ldc0de"), (new, "c0ffee")])
    }

    fn views_of_builds(sides: [(&[(&str, u64)], &'static str); 2]) -> [View; 2] {
        sides.map(|(stacks, build_id)| {
            let mut fixture = Fixture::new();
            fixture.build_id = build_id;
            for (stack, count) in stacks {
                fixture.add("app", stack, *count);
            }
            View::new(fixture.profile, GroupBy::Process)
        })
    }

    fn diff(views: &[View; 2], normalize: Normalize) -> Diff {
        let [old, new] = views;
        Diff::new([old, new], Scale::new([old.profile(), new.profile()], normalize, None))
    }

    #[test]
    fn the_function_that_grew_most_is_first() {
        let old = [("main.main|main.a", 4_000), ("main.main|main.b", 3_000), ("main.main|main.c", 3_000)];
        let new = [("main.main|main.a", 4_000), ("main.main|main.b", 3_600), ("main.main|main.c", 3_000)];
        let views = views(&old, &new);
        for normalize in [Normalize::Share, Normalize::Time] {
            let diff = diff(&views, normalize);
            let first = diff.functions[0];
            assert_eq!(diff.matching.functions[first.function].name, "main.b");
            assert_eq!(first.self_weight.verdict, ChangeVerdict::Grew, "{first:?}");
        }
        let diff = diff(&views, Normalize::Time);
        assert_eq!(
            (diff.count_with_verdict(ChangeVerdict::Grew), diff.count_with_verdict(ChangeVerdict::Shrank)),
            (1, 0),
            "{:?}",
            diff.functions
        );
    }

    #[test]
    fn changes_are_summed_up_the_call_tree() {
        let old = [("main.main|main.a|main.x", 2_000), ("main.main|main.a|main.y", 1_000), ("main.main|main.b", 1_000)];
        let new = [("main.main|main.a|main.x", 1_000), ("main.main|main.a|main.y", 2_000), ("main.main|main.n", 1_000)];
        let views = views(&old, &new);
        let diff = diff(&views, Normalize::Share);
        let nodes = diff.call_tree([&views[0], &views[1]], 2_000);
        let node = |node: &NodeChange| {
            let name = node.function.map_or("", |at| &diff.matching.functions[at].name);
            (name.to_owned(), node.change.amounts.map(|amount| amount.count), node.change.verdict)
        };
        let mut found: Vec<_> = nodes.iter().map(node).collect();
        found[1..].sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("", [4_000, 4_000], ChangeVerdict::Unclear),
            ("main.a", [3_000, 3_000], ChangeVerdict::Unclear),
            ("main.b", [1_000, 0], ChangeVerdict::Gone),
            ("main.main", [4_000, 4_000], ChangeVerdict::Unclear),
            ("main.n", [0, 1_000], ChangeVerdict::New),
            ("main.x", [2_000, 1_000], ChangeVerdict::Shrank),
            ("main.y", [1_000, 2_000], ChangeVerdict::Grew),
        ];
        assert_eq!(found, expected.map(|(name, counts, verdict)| (name.to_owned(), counts, verdict)));
        assert!(nodes.iter().enumerate().skip(1).all(|(at, node)| node.parent < at));
    }

    #[test]
    fn closures_of_one_build_are_not_matched_under_other_names() {
        let (old, new) = ([("main.main|main.f.func1", 1_000)], [("main.main|main.f.func2", 1_000)]);
        let count = |build_ids: [&'static str; 2]| {
            let views = views_of_builds([(&old, build_ids[0]), (&new, build_ids[1])]);
            diff(&views, Normalize::Share).matching.functions.len()
        };
        assert_eq!((count(["0ldc0de", "c0ffee"]), count(["c0ffee", "c0ffee"])), (2, 3));
    }

    #[test]
    fn functions_that_match_the_same_function_are_one_row() {
        let old = [("main.main|main.f.func1", 1_000), ("main.main|main.f.func2|main.f.func1", 1_000)];
        let new = [("main.main|main.f.func3", 2_000)];
        let views = views(&old, &new);
        let diff = diff(&views, Normalize::Share);
        let row = diff.functions.iter().find(|row| diff.matching.functions[row.function].is_renamed()).unwrap();
        assert_eq!(row.cumulative.amounts.map(|amount| amount.count), [2_000, 2_000]);
        assert_eq!(row.self_weight.amounts.map(|amount| amount.count), [2_000, 2_000]);
    }
}
