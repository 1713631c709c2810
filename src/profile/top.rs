//! The hottest functions and the hottest call path of a profile.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Frame, FunctionId, Profile, StackId, Walk, Walker};

/// One line of the table of hot functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionRow {
    /// The function.
    pub function: FunctionId,
    /// Weight of the samples whose leaf is this function.
    pub self_weight: u64,
    /// Weight of the samples that have this function anywhere on their stack, each counted once.
    pub cumulative_weight: u64,
}

/// One step of the hottest call path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRow {
    /// The function, and of all lines in it that the path passes through, the heaviest.
    pub frame: Frame,
    /// Weight of the samples that pass through this path.
    pub weight: u64,
}

/// What a profile says at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Every function that samples passed through, by self weight, then cumulative weight, then name.
    pub functions: Vec<FunctionRow>,
    /// From the root, the heaviest callee at each step, down to where the time is spent: the path ends at a
    /// function that keeps at least as much for itself as its heaviest callee gets, or whose heaviest
    /// callee gets less than [`Top::PATH_SHARE`] of the total. Places in one function are one step.
    pub path: Vec<PathRow>,
    /// Sum of all weights.
    pub total: u64,
}

impl Top {
    /// A step with less than one part in so many of the total is too light to be called hot.
    pub const PATH_SHARE: u64 = 20;

    /// Counts a profile.
    pub fn of(profile: &Profile) -> Self {
        let mut weights = vec![0; profile.stack_count()];
        for sample in profile.samples() {
            add(&mut weights[sample.stack.index()], sample.weight);
        }
        let stacks = profile.stacks.ids().map(|stack| (stack, weights[stack.index()]));
        let stacks: Vec<(StackId, u64)> = stacks.filter(|(_, weight)| *weight > 0).collect();
        let total = profile.total_weight();
        Self { functions: functions(profile, &stacks), path: path(profile, &stacks, total), total }
    }
}

fn functions(profile: &Profile, stacks: &[(StackId, u64)]) -> Vec<FunctionRow> {
    let mut rows: Vec<_> = profile
        .functions()
        .map(|(function, _)| FunctionRow { function, self_weight: 0, cumulative_weight: 0 })
        .collect();
    // The stack that each function was counted in last: a recursive call is counted once.
    let mut counted = vec![StackId::EMPTY; rows.len()];
    for (stack, weight) in stacks {
        let mut is_leaf = true;
        for frame in profile.frames_leaf_first(*stack) {
            let at = frame.function.index();
            if std::mem::replace(&mut is_leaf, false) {
                add(&mut rows[at].self_weight, *weight);
            }
            if std::mem::replace(&mut counted[at], *stack) != *stack {
                add(&mut rows[at].cumulative_weight, *weight);
            }
        }
    }
    rows.retain(|row| row.cumulative_weight > 0);
    rows.sort_by_key(|row| {
        (Reverse(row.self_weight), Reverse(row.cumulative_weight), name(profile, row.function), row.function)
    });
    rows
}

fn path(profile: &Profile, stacks: &[(StackId, u64)], total: u64) -> Vec<PathRow> {
    let walk = Walk::of(profile, [stacks.iter().copied()]);
    let mut path: Vec<PathRow> = Vec::new();
    let mut walkers: Vec<Walker> = walk.roots(0).collect();
    loop {
        let mut by_function: BTreeMap<FunctionId, Step> = BTreeMap::new();
        let mut passed_on = 0;
        while let Some(mut walker) = walkers.pop() {
            let Some((frame, _)) = walk.step(&mut walker) else {
                walkers.extend(walk.callees(&walker));
                continue;
            };
            let step = by_function.entry(frame.function).or_default();
            add(&mut step.weight, walker.weight);
            add(step.lines.entry(frame.line).or_default(), walker.weight);
            add(&mut passed_on, walker.weight);
            step.walkers.push(walker);
        }
        let heaviest = by_function
            .into_iter()
            .min_by_key(|(function, step)| (Reverse(step.weight), name(profile, *function), *function));
        let Some((function, step)) = heaviest else { return path };
        let own = path.last().map_or(0, |row| row.weight.saturating_sub(passed_on));
        if step.weight <= own || step.weight < total.div_ceil(Top::PATH_SHARE) {
            return path;
        }
        let line = step.lines.iter().min_by_key(|(line, weight)| (Reverse(**weight), **line));
        let frame = Frame { function, line: line.map_or(0, |(line, _)| *line) };
        path.push(PathRow { frame, weight: step.weight });
        walkers = step.walkers;
    }
}

/// A function that may be the next step of the path, with the stacks that pass through it there.
#[derive(Default)]
struct Step {
    weight: u64,
    lines: BTreeMap<u32, u64>,
    walkers: Vec<Walker>,
}

fn name(profile: &Profile, function: FunctionId) -> &str {
    profile.str(profile.function(function).name)
}

/// Weights come from files, so that their sum may be anything.
fn add(sum: &mut u64, weight: u64) {
    *sum = sum.saturating_add(weight);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;

    /// (display name, self, cumulative) in samples.
    fn rows(fixture: &Fixture) -> Vec<(String, u64, u64)> {
        let profile = &fixture.profile;
        let row = |row: &FunctionRow| {
            let name = profile.str(profile.function(row.function).display).to_owned();
            (name, row.self_weight / fixture.period, row.cumulative_weight / fixture.period)
        };
        Top::of(profile).functions.iter().map(row).collect()
    }

    fn path(fixture: &Fixture) -> Vec<(String, u64)> {
        let profile = &fixture.profile;
        let row = |row: &PathRow| {
            (profile.str(profile.function(row.frame.function).display).to_owned(), row.weight / fixture.period)
        };
        Top::of(profile).path.iter().map(row).collect()
    }

    fn owned<const N: usize>(rows: [(&str, u64); N]) -> Vec<(String, u64)> {
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
    fn path_leads_to_where_the_time_is_spent() {
        let mut fixture = Fixture::new();
        // Two places in main.run are one step, though main.other is heavier than either.
        fixture.add("app", "runtime.goexit|main.main|main.run:10|main.hot", 30);
        fixture.add("app", "runtime.goexit|main.main|main.run:11|main.hot|main.inner", 19);
        fixture.add("app", "runtime.goexit|main.main|main.run:11|main.hot", 21);
        fixture.add("app", "runtime.goexit|main.main|main.other", 45);
        fixture.add("app", "runtime.mstart|runtime.gc", 60);
        let steps = [("runtime.goexit", 115), ("main.main", 115), ("main.run", 70), ("main.hot", 70)];
        assert_eq!(path(&fixture), owned(steps), "main.hot keeps 51 and main.inner gets 19");
        let profile = &fixture.profile;
        assert_eq!(Top::of(profile).path[2].frame.line, 11, "the heavier of the two places stands for the step");
    }

    #[test]
    fn path_ends_where_time_spreads_out() {
        let mut fixture = Fixture::new();
        for at in 0..21 {
            fixture.add("app", &format!("runtime.goexit|main.main|main.f{at}"), 10);
        }
        assert_eq!(path(&fixture), owned([("runtime.goexit", 210), ("main.main", 210)]));
        // A twentieth of the whole is hot.
        let mut fixture = Fixture::new();
        for at in 0..20 {
            fixture.add("app", &format!("main.main|main.f{at:02}"), 10);
        }
        assert_eq!(path(&fixture), owned([("main.main", 200), ("main.f00", 10)]));
    }

    #[test]
    fn path_ends_where_as_much_is_kept_as_passed_on() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|main.a", 5);
        fixture.add("app", "main.main|main.b", 4);
        fixture.add("app", "main.main", 5);
        assert_eq!(path(&fixture), owned([("main.main", 14)]));
        fixture.add("app", "main.main|main.a", 1);
        assert_eq!(path(&fixture), owned([("main.main", 15), ("main.a", 6)]));
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let top = Top::of(&Fixture::new().profile);
        assert_eq!(top, Top { functions: vec![], path: vec![], total: 0 });
    }

    #[test]
    fn absurd_weights_saturate() {
        let mut fixture = Fixture::new();
        fixture.period = u64::MAX;
        fixture.add("app", "main.main|main.a", 1);
        fixture.add("app", "main.main|main.b", 1);
        let top = Top::of(&fixture.profile);
        assert_eq!(top.total, u64::MAX);
        assert_eq!(top.path.len(), 2, "{:?}", top.path);
    }
}
