//! The callers and callees of functions, as pprof's `-peek` shows them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::top::{add_saturating, stack_sums};
use super::view::View;
use crate::profile::{Function, FunctionId, Profile, StrId};

/// A function with its callers and callees. Functions with the same display name count as one.
#[derive(Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The function.
    pub function: FunctionId,
    /// Weight of the samples whose leaf is the function.
    pub self_weight: u64,
    /// Weight of the samples with the function anywhere in the stack.
    pub cumulative: u64,
    /// Weight of the samples whose root is the function.
    pub root_weight: u64,
    /// Each caller with the weight of its calls to the function, the heaviest first. A sample counts once for a caller. Calls
    /// of the function to itself do not count.
    pub callers: Vec<(FunctionId, u64)>,
    /// Each callee with the weight of the function's calls to it, the heaviest first. A sample counts once for a
    /// callee. Calls of the function to itself do not count.
    pub callees: Vec<(FunctionId, u64)>,
}

/// The weights of one function, while stacks are added.
#[derive(Default)]
struct NeighbourSums {
    self_weight: u64,
    cumulative: u64,
    root_weight: u64,
    /// By display name of the caller: a function with this name, and the weight of its calls.
    callers: BTreeMap<StrId, (Option<FunctionId>, u64)>,
    callees: BTreeMap<StrId, (Option<FunctionId>, u64)>,
}

impl View {
    /// Returns the functions with weight whose name `matches` accepts, the largest cumulative weight first. Functions with
    /// the same display name count as one.
    pub fn matching_functions(&self, matches: impl Fn(&str) -> bool) -> Vec<FunctionId> {
        let profile = self.profile();
        let is_match =
            |function: &Function| [function.display, function.name].iter().any(|text| matches(profile.str(*text)));
        let mut rows: Vec<_> =
            self.top().functions.iter().filter(|row| is_match(profile.function(row.function))).collect();
        rows.sort_by_key(|row| (Reverse(row.cumulative_weight), Reverse(row.self_weight)));
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert(profile.function(row.function).display));
        rows.into_iter().map(|row| row.function).collect()
    }
}

/// Returns the callers and callees of each function, in the order of `functions`.
pub fn neighbours(profile: &Profile, functions: &[FunctionId]) -> Vec<Neighbours> {
    let display = |id: FunctionId| profile.function(id).display;
    let wanted: HashMap<StrId, usize> = functions.iter().enumerate().map(|(at, id)| (display(*id), at)).collect();
    let mut sums: Vec<NeighbourSums> = functions.iter().map(|_| NeighbourSums::default()).collect();
    let weights = stack_sums(profile, |sample| sample.weight);
    // The functions and calls that the current stack has counted, so that recursion is counted once.
    let (mut counted, mut counted_calls) = (BTreeSet::new(), BTreeSet::new());
    for stack in profile.stacks().ids().filter(|stack| weights[stack.index()] > 0) {
        let weight = weights[stack.index()];
        counted.clear();
        counted_calls.clear();
        let mut inner: Option<FunctionId> = None;
        for frame in profile.frames_leaf_first(stack) {
            let (outer, name) = (frame.function, display(frame.function));
            let outer_at = wanted.get(&name);
            if let Some(at) = outer_at {
                if inner.is_none() {
                    add_saturating(&mut sums[*at].self_weight, weight);
                }
                if counted.insert(name) {
                    add_saturating(&mut sums[*at].cumulative, weight);
                }
            }
            if let Some(inner) = inner.filter(|inner| display(*inner) != name) {
                let called = display(inner);
                let inner_at = wanted.get(&called);
                if (outer_at.is_some() || inner_at.is_some()) && counted_calls.insert((name, called)) {
                    let count = |list: &mut BTreeMap<_, (Option<FunctionId>, u64)>, key, function| {
                        let (one, sum) = list.entry(key).or_default();
                        one.get_or_insert(function);
                        add_saturating(sum, weight);
                    };
                    if let Some(at) = outer_at {
                        count(&mut sums[*at].callees, called, inner);
                    }
                    if let Some(at) = inner_at {
                        count(&mut sums[*at].callers, name, outer);
                    }
                }
            }
            inner = Some(outer);
        }
        if let Some(at) = inner.and_then(|root| wanted.get(&display(root))) {
            add_saturating(&mut sums[*at].root_weight, weight);
        }
    }
    let sorted = |list: BTreeMap<StrId, (Option<FunctionId>, u64)>| {
        let mut rows: Vec<_> = list.into_values().filter_map(|(function, weight)| Some((function?, weight))).collect();
        rows.sort_by_key(|(function, weight)| (Reverse(*weight), profile.str(display(*function))));
        rows
    };
    let rows = functions.iter().zip(sums).map(|(function, sums)| Neighbours {
        function: *function,
        self_weight: sums.self_weight,
        cumulative: sums.cumulative,
        root_weight: sums.root_weight,
        callers: sorted(sums.callers),
        callees: sorted(sums.callees),
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::GroupBy;

    #[test]
    fn a_sample_counts_once_for_each_neighbour() {
        let mut fixture = Fixture::new();
        fixture.period = 1;
        fixture.add("app", "main.main|main.fib|main.fib|main.leaf", 5);
        fixture.add("app", "main.main|main.fib|main.leaf|main.fib|main.leaf", 2);
        fixture.add("app", "main.fib:2|main.other", 4);
        fixture.add("app", "main.main|main.fib", 1);
        let view = View::new(fixture.profile, GroupBy::Process);
        let profile = view.profile();
        let named = |rows: &[(FunctionId, u64)]| -> Vec<(String, u64)> {
            let name = |id: FunctionId| profile.str(profile.function(id).display).to_owned();
            rows.iter().map(|(id, weight)| (name(*id), *weight)).collect()
        };
        let owned =
            |rows: &[(&str, u64)]| rows.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect::<Vec<_>>();
        let functions = view.matching_functions(|name| name.contains("fib") || name.contains("leaf"));
        let [fib, leaf] = &neighbours(profile, &functions)[..] else { panic!("{functions:?}") };
        assert_eq!((fib.self_weight, fib.cumulative, fib.root_weight), (1, 12, 4));
        assert_eq!(named(&fib.callers), owned(&[("main.main", 8), ("main.leaf", 2)]));
        assert_eq!(named(&fib.callees), owned(&[("main.leaf", 7), ("main.other", 4)]));
        assert_eq!((leaf.self_weight, leaf.cumulative, leaf.root_weight), (7, 7, 0));
        assert_eq!(named(&leaf.callers), owned(&[("main.fib", 7)]));
    }
}
