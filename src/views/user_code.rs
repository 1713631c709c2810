//! The lines of the user's code that take time, or that call other code that takes time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::top::{add_saturating, function_name, stack_sums};
use crate::profile::{FunctionId, Origin, Profile};

/// A line of the user's code, which is the code of the main module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCodeLine {
    /// The function that the line belongs to.
    pub function: FunctionId,
    /// The source line, or 0 if unknown.
    pub line: u32,
    /// The heaviest function that the line calls. `None` if the line itself is heavier.
    pub callee: Option<FunctionId>,
    /// Weight of the samples in whose stack this is the line of the user's code nearest to the leaf.
    pub weight: u64,
}

/// Returns the lines of the user's code, the heaviest first.
pub(super) fn user_code_lines(profile: &Profile) -> Vec<UserCodeLine> {
    let weights = stack_sums(profile, |sample| sample.weight);
    let mut lines: BTreeMap<(FunctionId, u32), BTreeMap<Option<FunctionId>, u64>> = BTreeMap::new();
    for stack in profile.stacks().ids().filter(|stack| weights[stack.index()] > 0) {
        let mut callee = None;
        for frame in profile.frames_leaf_first(stack) {
            if profile.function(frame.function).origin == Origin::Main {
                let callees = lines.entry((frame.function, frame.line)).or_default();
                add_saturating(callees.entry(callee).or_default(), weights[stack.index()]);
                break;
            }
            callee = Some(frame.function);
        }
    }
    let row = |((function, line), callees): (_, BTreeMap<_, u64>)| {
        let heaviest = callees.iter().max_by_key(|(callee, weight)| (**weight, Reverse(**callee)));
        let callee = heaviest.and_then(|(callee, _)| *callee);
        UserCodeLine { function, line, callee, weight: callees.values().copied().fold(0, u64::saturating_add) }
    };
    let mut rows: Vec<UserCodeLine> = lines.into_iter().map(row).collect();
    rows.sort_by_key(|row| (Reverse(row.weight), function_name(profile, row.function), row.line, row.function));
    rows
}

#[cfg(test)]
mod tests {
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, View};

    #[test]
    fn a_sample_counts_for_the_line_of_user_code_nearest_to_its_leaf() {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.main|main.main|main.load|regexp.MustCompile|regexp.compile", 5);
        fixture.add("app", "runtime.main|main.main|main.load|strings.Split", 1);
        fixture.add("app", "runtime.main|main.main|sort.Slice|main.less", 2);
        fixture.add("app", "runtime.gcBgMarkWorker", 9);
        let profile = &fixture.profile;
        let view = View::new(profile.clone(), GroupBy::Process);
        let name = |function| profile.str(profile.function(function).display);
        let lines = view.user_code_lines();
        let rows: Vec<_> =
            lines.iter().map(|row| (name(row.function), row.callee.map(name), row.weight / fixture.period)).collect();
        assert_eq!(rows, [("main.load", Some("regexp.MustCompile"), 6), ("main.less", None, 2)]);
    }
}
