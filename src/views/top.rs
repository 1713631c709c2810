//! The hottest functions and the hottest call path of a profile.

use std::cmp::Reverse;

use super::tree::{CallTree, LabelId, TreeLabels, self_weight};
use crate::profile::{FunctionId, Profile, Sample, StackId};

/// A function with its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    /// The function.
    pub function: FunctionId,
    /// Weight of the samples whose leaf is this function.
    pub self_weight: u64,
    /// Weight of the samples with this function anywhere in the stack. Recursion is counted once.
    pub cumulative_weight: u64,
}

/// A step of the hottest call path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPathStep {
    /// The function.
    pub function: FunctionId,
    /// Weight of the samples whose stack begins with the path up to this step.
    pub weight: u64,
}

/// The hottest functions and the hottest call path of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Every function with weight, sorted by self weight, then cumulative weight, then name.
    pub functions: Vec<FunctionRow>,
    /// The heaviest callee at each step, from the root on. All lines of a function are one step. The path ends where the self
    /// weight is at least the weight of the heaviest callee. It also ends where the heaviest callee has less than
    /// 1/[`Top::PATH_SHARE_DIVISOR`] of the total.
    pub path: Vec<CallPathStep>,
    /// Sum of all weights.
    pub total: u64,
}

impl Top {
    /// A callee with less than 1/20 of the total is not hot.
    pub const PATH_SHARE_DIVISOR: u64 = 20;

    /// Computes the table and the path. `tree` is the call tree by weight, with [`function_labels`].
    pub(super) fn new(profile: &Profile, tree: &CallTree<'_>) -> Self {
        let total = profile.total_weight();
        Self { functions: function_rows(profile), path: hottest_path(profile, tree, total), total }
    }
}

/// Returns the frame texts of a call tree with one root for all groups. The text id of a function is its position.
pub(super) fn function_labels(profile: &Profile, groups: usize) -> TreeLabels {
    let functions = profile.functions().map(|(function, _)| LabelId::from_index(function.index()));
    TreeLabels::new(vec![LabelId::NONE; groups], functions.collect())
}

fn function_rows(profile: &Profile) -> Vec<FunctionRow> {
    let weights = stack_sums(profile, |sample| sample.weight);
    let own_function = |function: FunctionId| function.index();
    let sums = function_sums(profile, &weights, own_function, profile.functions().len());
    let row = |((function, _), sums): (_, FunctionSums)| FunctionRow {
        function,
        self_weight: sums.self_weight,
        cumulative_weight: sums.cumulative,
    };
    let mut rows: Vec<_> = profile.functions().zip(sums).map(row).collect();
    rows.retain(|row| row.cumulative_weight > 0);
    rows.sort_by_key(|row| {
        (Reverse(row.self_weight), Reverse(row.cumulative_weight), function_name(profile, row.function), row.function)
    });
    rows
}

/// Sums of a value over the samples of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FunctionSums {
    /// Over the samples whose leaf is the function.
    pub(super) self_weight: u64,
    /// Over the samples with the function anywhere in the stack. Recursion is counted once.
    pub(super) cumulative: u64,
}

/// Sums a value of the stacks by function. `position` maps a function to its index in the result, which has `count` entries.
/// Several functions can share an index.
pub(super) fn function_sums(
    profile: &Profile,
    stack_sums: &[u64],
    position: impl Fn(FunctionId) -> usize,
    count: usize,
) -> Vec<FunctionSums> {
    let mut sums = vec![FunctionSums::default(); count];
    // By function: the last stack that was counted, so that recursion is counted once.
    let mut last_stack = vec![StackId::EMPTY; count];
    for stack in profile.stacks().ids() {
        let value = stack_sums[stack.index()];
        if value == 0 {
            continue;
        }
        let mut is_leaf = true;
        for frame in profile.frames_leaf_first(stack) {
            let at = position(frame.function);
            if std::mem::replace(&mut is_leaf, false) {
                add_saturating(&mut sums[at].self_weight, value);
            }
            if std::mem::replace(&mut last_stack[at], stack) != stack {
                add_saturating(&mut sums[at].cumulative, value);
            }
        }
    }
    sums
}

/// Returns the sum of a value over the samples of each stack.
pub(super) fn stack_sums(profile: &Profile, value: impl Fn(&Sample) -> u64) -> Vec<u64> {
    let mut sums = vec![0; profile.stack_count()];
    for sample in profile.samples() {
        add_saturating(&mut sums[sample.stack.index()], value(sample));
    }
    sums
}

fn hottest_path(profile: &Profile, tree: &CallTree<'_>, total: u64) -> Vec<CallPathStep> {
    let functions: Vec<FunctionId> = profile.functions().map(|(function, _)| function).collect();
    let mut path: Vec<CallPathStep> = Vec::new();
    tree.with_scratch(|scratch| {
        let Some(mut node) = tree.groups().pop() else { return };
        loop {
            let callees = tree.expand(node.walkers, scratch);
            // The root is not a function. Samples without frames are not self weight.
            let node_self_weight = match path.last() {
                Some(_) => self_weight(node.cumulative, callees.iter().map(|callee| callee.cumulative)).unwrap_or(0),
                None => 0,
            };
            let heaviest = callees.into_iter().min_by_key(|callee| {
                let function = functions[callee.label.index()];
                (Reverse(callee.cumulative), function_name(profile, function), function)
            });
            let Some(callee) = heaviest else { return };
            if callee.cumulative <= node_self_weight || callee.cumulative < total.div_ceil(Top::PATH_SHARE_DIVISOR) {
                return;
            }
            path.push(CallPathStep { function: functions[callee.label.index()], weight: callee.cumulative });
            node = callee;
        }
    });
    path
}

pub(super) fn function_name(profile: &Profile, function: FunctionId) -> &str {
    profile.str(profile.function(function).name)
}

/// Adds and saturates: weights come from files, and their sum can exceed 64 bits.
pub(super) fn add_saturating(sum: &mut u64, weight: u64) {
    *sum = sum.saturating_add(weight);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, View};

    fn top(fixture: &Fixture) -> Top {
        View::new(fixture.profile.clone(), GroupBy::Process).top().clone()
    }

    /// Returns display name, self weight and cumulative weight of each function. The weights are in samples.
    fn rows(fixture: &Fixture) -> Vec<(String, u64, u64)> {
        let profile = &fixture.profile;
        let row = |row: &FunctionRow| {
            let name = profile.str(profile.function(row.function).display).to_owned();
            (name, row.self_weight / fixture.period, row.cumulative_weight / fixture.period)
        };
        top(fixture).functions.iter().map(row).collect()
    }

    fn path(fixture: &Fixture) -> Vec<(String, u64)> {
        let profile = &fixture.profile;
        let row = |row: &CallPathStep| {
            (profile.str(profile.function(row.function).display).to_owned(), row.weight / fixture.period)
        };
        top(fixture).path.iter().map(row).collect()
    }

    fn to_owned_rows<const N: usize>(rows: [(&str, u64); N]) -> Vec<(String, u64)> {
        rows.map(|(name, weight)| (name.to_owned(), weight)).to_vec()
    }

    #[test]
    fn self_and_cumulative_count_recursion_once() {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.goexit|main.main|main.fib|main.fib|main.fib", 5);
        fixture.add("app", "runtime.goexit|main.main|main.fib|main.leaf|main.fib", 2);
        fixture.add("app", "runtime.goexit|main.main", 1);
        assert_eq!(
            rows(&fixture),
            [
                ("main.fib".to_owned(), 7, 7),
                ("main.main".to_owned(), 1, 8),
                ("runtime.goexit".to_owned(), 0, 8),
                ("main.leaf".to_owned(), 0, 2),
            ]
        );
    }

    #[test]
    fn equal_rows_are_in_order_of_name() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.b", 1);
        fixture.add("app", "main.c", 1);
        fixture.add("app", "main.a", 1);
        let names: Vec<_> = rows(&fixture).into_iter().map(|row| row.0).collect();
        assert_eq!(names, ["main.a", "main.b", "main.c"]);
    }

    #[test]
    fn path_ends_at_the_function_with_the_most_self_weight() {
        let mut fixture = Fixture::new();
        // The two lines of main.run are one step. Each alone is lighter than main.other.
        fixture.add("app", "runtime.goexit|main.main|main.run:10|main.hot", 30);
        fixture.add("app", "runtime.goexit|main.main|main.run:11|main.hot|main.inner", 19);
        fixture.add("app", "runtime.goexit|main.main|main.run:11|main.hot", 21);
        fixture.add("app", "runtime.goexit|main.main|main.other", 45);
        fixture.add("app", "runtime.mstart|runtime.gc", 60);
        let steps = [("runtime.goexit", 115), ("main.main", 115), ("main.run", 70), ("main.hot", 70)];
        assert_eq!(path(&fixture), to_owned_rows(steps), "self weight of main.hot: 51, weight of main.inner: 19");
    }

    #[test]
    fn path_ends_where_no_callee_is_hot() {
        let mut fixture = Fixture::new();
        for at in 0..21 {
            fixture.add("app", &format!("runtime.goexit|main.main|main.f{at}"), 10);
        }
        assert_eq!(path(&fixture), to_owned_rows([("runtime.goexit", 210), ("main.main", 210)]));
        // A callee with exactly 1/20 of the total is hot.
        let mut fixture = Fixture::new();
        for at in 0..20 {
            fixture.add("app", &format!("main.main|main.f{at:02}"), 10);
        }
        assert_eq!(path(&fixture), to_owned_rows([("main.main", 200), ("main.f00", 10)]));
    }

    #[test]
    fn path_ends_where_self_weight_equals_the_heaviest_callee() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|main.a", 5);
        fixture.add("app", "main.main|main.b", 4);
        fixture.add("app", "main.main", 5);
        assert_eq!(path(&fixture), to_owned_rows([("main.main", 14)]));
        fixture.add("app", "main.main|main.a", 1);
        assert_eq!(path(&fixture), to_owned_rows([("main.main", 15), ("main.a", 6)]));
    }

    #[test]
    fn an_empty_profile_has_no_rows() {
        let top = top(&Fixture::new());
        assert_eq!(top, Top { functions: vec![], path: vec![], total: 0 });
    }

    #[test]
    fn absurd_weights_saturate() {
        let mut fixture = Fixture::new();
        fixture.period = u64::MAX;
        fixture.add("app", "main.main|main.a", 1);
        fixture.add("app", "main.main|main.b", 1);
        let top = top(&fixture);
        assert_eq!(top.total, u64::MAX);
        assert_eq!(top.path.len(), 2, "{:?}", top.path);
    }
}
