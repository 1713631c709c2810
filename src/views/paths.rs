//! Call paths: the whole call tree as columns, for formats and pages that build their own trees.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::profile::{FunctionId, Profile, Sample, StackId, position};

/// All call paths of a profile, merged from the root where functions have the same display name. A caller comes before its
/// callees, and callees of the same caller are sorted by name.
#[derive(Debug, Default)]
pub struct CallPaths {
    /// By path: the number of callers above its last frame. The depths, in the order of the paths, determine the
    /// callers.
    pub depths: Vec<u32>,
    /// By path: the function of its last frame.
    pub functions: Vec<FunctionId>,
    /// By path: whether the compiler inlined all calls of its last function.
    pub inlined: Vec<bool>,
    /// By position in [`Profile::samples`]: the path of the sample's leaf. `None` for a stack without frames.
    pub leaves: Vec<Option<u32>>,
}

/// A path before the paths are sorted. Its caller is a position in the unsorted list.
struct RawPath {
    caller: Option<u32>,
    function: FunctionId,
    inlined: bool,
}

impl CallPaths {
    /// Returns the paths of all samples, and the path of each sample.
    pub fn new(profile: &Profile) -> Self {
        let (paths, path_of_stack) = find_paths(profile);
        let mut columns = Self::default();
        let mut sorted_at = vec![0; paths.len()];
        for (at, (path, depth)) in (0..).zip(depth_first(profile, &paths)) {
            let RawPath { function, inlined, .. } = paths[path as usize];
            sorted_at[path as usize] = at;
            columns.depths.push(depth);
            columns.functions.push(function);
            columns.inlined.push(inlined);
        }
        let leaf = |sample: &Sample| path_of_stack[sample.stack.index()].map(|path| sorted_at[path as usize]);
        columns.leaves = profile.samples().iter().map(leaf).collect();
        columns
    }

    /// Returns for each path the path of its caller. `None` for a root.
    pub fn callers(&self) -> Vec<Option<u32>> {
        // By depth: the last path of this depth so far.
        let mut last = Vec::new();
        let caller = |(at, depth): (u32, &u32)| {
            last.truncate(*depth as usize);
            let caller = last.last().copied();
            last.push(at);
            caller
        };
        (0..).zip(&self.depths).map(caller).collect()
    }
}

/// Returns all paths in the order in which they are found, and for each stack with samples the path of its leaf.
fn find_paths(profile: &Profile) -> (Vec<RawPath>, Vec<Option<u32>>) {
    let stacks = profile.stacks();
    let mut has_samples = vec![false; stacks.count()];
    for sample in profile.samples() {
        let mut stack = sample.stack;
        while stack != StackId::EMPTY && !std::mem::replace(&mut has_samples[stack.index()], true) {
            stack = stacks.caller(stack);
        }
    }
    let mut paths: Vec<RawPath> = Vec::new();
    let mut by_caller_and_name: HashMap<_, u32, _> = HashMap::with_hasher(RandomState::default());
    let mut path_of_stack = vec![None; stacks.count()];
    // A caller has a lower id than its callees.
    for stack in stacks.ids().filter(|stack| has_samples[stack.index()]) {
        let mut path = path_of_stack[stacks.caller(stack).index()];
        for location in stacks.segment(stack) {
            for (at, frame) in profile.frames(*location).iter().enumerate() {
                let name = profile.function(frame.function).display;
                let next = *by_caller_and_name.entry((path, name)).or_insert_with(|| {
                    paths.push(RawPath { caller: path, function: frame.function, inlined: true });
                    position(paths.len() - 1)
                });
                paths[next as usize].inlined &= at > 0;
                path = Some(next);
            }
        }
        path_of_stack[stack.index()] = path;
    }
    (paths, path_of_stack)
}

/// Returns all paths, each with its depth. A caller comes before its callees, and callees are sorted by name.
fn depth_first(profile: &Profile, paths: &[RawPath]) -> Vec<(u32, u32)> {
    let mut roots = Vec::new();
    let mut callees = vec![Vec::new(); paths.len()];
    for (at, path) in (0..).zip(paths) {
        path.caller.map_or(&mut roots, |caller| &mut callees[caller as usize]).push(at);
    }
    let name = |path: u32| profile.str(profile.function(paths[path as usize].function).display);
    let mut order = Vec::with_capacity(paths.len());
    let mut pending = Vec::new();
    let add = |pending: &mut Vec<(u32, u32)>, mut siblings: Vec<u32>, depth| {
        siblings.sort_by(|a, b| name(*b).cmp(name(*a)));
        pending.extend(siblings.into_iter().map(|path| (path, depth)));
    };
    add(&mut pending, roots, 0);
    while let Some((path, depth)) = pending.pop() {
        order.push((path, depth));
        add(&mut pending, std::mem::take(&mut callees[path as usize]), depth + 1);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::CallPaths;
    use crate::profile::fixture::Fixture;

    #[test]
    fn paths_are_in_depth_first_order_and_sorted_by_name() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main:3|main.b:1|main.c", 1);
        fixture.add("app", "main.main:4|main.a", 2);
        fixture.add("app", "main.main:5|i:main.b|main.d", 4);
        fixture.add("app", "", 8);
        fixture.add("other", "main.a|i:main.e", 16);
        let profile = &fixture.profile;
        let paths = CallPaths::new(profile);
        let name = |at: usize| profile.str(profile.function(paths.functions[at]).display);
        let shown: Vec<_> = (0..paths.depths.len()).map(|at| (paths.depths[at], name(at), paths.inlined[at])).collect();
        let expected = [
            (0, "main.a", false),
            (1, "main.e", true),
            (0, "main.main", false),
            (1, "main.a", false),
            (1, "main.b", false),
            (2, "main.c", false),
            (2, "main.d", false),
        ];
        assert_eq!(shown, expected);
        assert_eq!(paths.callers(), [None, Some(0), None, Some(2), Some(2), Some(4), Some(4)]);
        assert_eq!(paths.leaves, [Some(5), Some(3), Some(6), None, Some(1)]);
        assert_eq!(paths.callers(), [None, Some(0), None, Some(2), Some(2), Some(4), Some(4)]);
    }
}
