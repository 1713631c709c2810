//! The hottest functions and the hottest call path of a profile.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{FrameId, FunctionId, Profile, StackId};

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
    /// The frame: of all places in its function that the path passes through, the heaviest.
    pub frame: FrameId,
    /// Weight of the samples that pass through this path.
    pub weight: u64,
}

/// What a profile says at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Every function that samples passed through, by self weight, then cumulative weight, then name.
    pub functions: Vec<FunctionRow>,
    /// From the root, the heaviest callee at each step, until a step keeps less than half of the weight
    /// of the step before it: there the time spreads out, and the table says more than one path could.
    /// Places in the same function count as one step. The first [`Top::FREE_STEPS`] steps are always taken.
    pub path: Vec<PathRow>,
    /// Sum of all weights.
    pub total: u64,
}

impl Top {
    /// Steps of the path that are taken whatever they keep: the root, since there is always a heaviest
    /// one, and what it calls, since every goroutine hangs on `runtime.goexit`, which says nothing.
    pub const FREE_STEPS: usize = 2;

    /// Counts a profile.
    pub fn of(profile: &Profile) -> Self {
        let passing = weights_by_stack(profile);
        Self { functions: functions(profile, &passing), path: path(profile, &passing), total: profile.total_weight() }
    }
}

/// For every stack the weight of the samples on it and on everything that it calls.
fn weights_by_stack(profile: &Profile) -> Vec<u64> {
    let mut passing = vec![0_u64; profile.stack_count()];
    for sample in profile.samples() {
        add(&mut passing[sample.stack.index()], sample.weight);
    }
    for (stack, _, caller) in profile.stacks().rev() {
        let weight = passing[stack.index()];
        add(&mut passing[caller.index()], weight);
    }
    passing
}

fn functions(profile: &Profile, passing: &[u64]) -> Vec<FunctionRow> {
    let mut rows: Vec<_> = profile
        .functions()
        .map(|(function, _)| FunctionRow { function, self_weight: 0, cumulative_weight: 0 })
        .collect();
    for sample in profile.samples() {
        if let Some((leaf, _)) = profile.leaf(sample.stack) {
            add(&mut rows[profile.frame(leaf).function.index()].self_weight, sample.weight);
        }
    }
    for (stack, leaf, caller) in profile.stacks() {
        let function = profile.frame(leaf).function;
        // A recursive call was counted where the function was entered first.
        if !profile.frames_leaf_first(caller).any(|frame| profile.frame(frame).function == function) {
            add(&mut rows[function.index()].cumulative_weight, passing[stack.index()]);
        }
    }
    rows.retain(|row| row.cumulative_weight > 0);
    rows.sort_by_key(|row| {
        (Reverse(row.self_weight), Reverse(row.cumulative_weight), name(profile, row.function), row.function)
    });
    rows
}

fn path(profile: &Profile, passing: &[u64]) -> Vec<PathRow> {
    let mut callees = vec![Vec::new(); profile.stack_count()];
    for (stack, _, caller) in profile.stacks() {
        callees[caller.index()].push(stack);
    }
    let mut path: Vec<PathRow> = Vec::new();
    let mut at = vec![StackId::EMPTY];
    loop {
        let mut by_function: BTreeMap<FunctionId, Step> = BTreeMap::new();
        for stack in at.iter().flat_map(|stack| &callees[stack.index()]) {
            let Some((frame, _)) = profile.leaf(*stack) else { continue };
            let step = by_function.entry(profile.frame(frame).function).or_default();
            add(&mut step.weight, passing[stack.index()]);
            add(step.frames.entry(frame).or_default(), passing[stack.index()]);
            step.stacks.push(*stack);
        }
        let heaviest = by_function
            .into_iter()
            .filter(|(_, step)| step.weight > 0)
            .min_by_key(|(function, step)| (Reverse(step.weight), name(profile, *function), *function));
        let Some((_, step)) = heaviest else { return path };
        if let Some(before) = path.last()
            && path.len() >= Top::FREE_STEPS
            && step.weight < before.weight.div_ceil(2)
        {
            return path;
        }
        let frame = step.frames.iter().min_by_key(|(frame, weight)| (Reverse(**weight), **frame));
        path.extend(frame.map(|(frame, _)| PathRow { frame: *frame, weight: step.weight }));
        at = step.stacks;
    }
}

/// A function that may be the next step of the path, with the stacks that end in it.
#[derive(Default)]
struct Step {
    weight: u64,
    frames: BTreeMap<FrameId, u64>,
    stacks: Vec<StackId>,
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
            (profile.str(profile.frame_function(row.frame).display).to_owned(), row.weight / fixture.period)
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
    fn path_ends_where_less_than_half_goes_on() {
        let mut fixture = Fixture::new();
        // Two places in main.run are one step, and neither has half of it alone.
        fixture.add("app", "runtime.goexit|main.main|main.run:10|main.hot|main.inner", 3);
        fixture.add("app", "runtime.goexit|main.main|main.run:11|main.hot|main.other", 4);
        fixture.add("app", "runtime.goexit|main.main|main.run:11|main.hot", 3);
        fixture.add("app", "runtime.mstart|runtime.gc", 9);
        let expected = owned([("runtime.goexit", 10), ("main.main", 10), ("main.run", 10), ("main.hot", 10)]);
        assert_eq!(path(&fixture), expected);
        let profile = &fixture.profile;
        let run = profile.frame(Top::of(profile).path[2].frame);
        assert_eq!(run.line, 11, "the heavier of the two places stands for the step");
    }

    #[test]
    fn first_steps_are_taken_even_if_light() {
        let mut fixture = Fixture::new();
        for worker in ["main.a", "main.b", "main.c"] {
            fixture.add("app", &format!("runtime.goexit|{worker}|main.work"), 2);
        }
        fixture.add("app", "runtime.goexit|main.d", 1);
        // A third of the root, then all of it.
        assert_eq!(path(&fixture), owned([("runtime.goexit", 7), ("main.a", 2), ("main.work", 2)]));
    }

    #[test]
    fn exactly_half_goes_on() {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.goexit|main.main|main.a", 2);
        fixture.add("app", "runtime.goexit|main.main|main.b", 2);
        assert_eq!(path(&fixture), owned([("runtime.goexit", 4), ("main.main", 4), ("main.a", 2)]));
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
        assert_eq!(top.path.len(), 2);
    }
}
