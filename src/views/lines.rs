//! The weights of the source lines of functions.

use std::collections::{BTreeMap, HashMap};

use super::top::{add_saturating, stack_sums};
use crate::profile::{FunctionId, Profile, StrId};

/// A function with the weights of its source lines. Functions with the same display name and file count as one.
#[derive(Debug, PartialEq, Eq)]
pub struct FunctionLines {
    /// The function.
    pub function: FunctionId,
    /// Weight of the samples whose leaf is the function.
    pub self_weight: u64,
    /// Weight of the samples with the function anywhere in the stack.
    pub cumulative: u64,
    /// The lines with weight, by number. Line 0 stands for samples whose line is unknown.
    pub lines: BTreeMap<u32, LineWeights>,
}

/// The weights of a source line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LineWeights {
    /// Weight of the samples whose leaf is on the line.
    pub self_weight: u64,
    /// Weight of the samples with the line anywhere in the stack.
    pub cumulative: u64,
}

/// Returns the weights of the source lines of each function, in the order of `functions`.
pub fn function_lines(profile: &Profile, functions: &[FunctionId]) -> Vec<FunctionLines> {
    let key = |id: FunctionId| -> (StrId, StrId) {
        let function = profile.function(id);
        (function.display, function.file)
    };
    let mut rows: Vec<FunctionLines> = Vec::new();
    let mut at_key: HashMap<(StrId, StrId), usize> = HashMap::new();
    for function in functions {
        at_key.entry(key(*function)).or_insert_with(|| {
            rows.push(FunctionLines { function: *function, self_weight: 0, cumulative: 0, lines: BTreeMap::new() });
            rows.len() - 1
        });
    }
    let row_of_function: Vec<Option<usize>> =
        profile.functions().map(|(id, _)| at_key.get(&key(id)).copied()).collect();
    let weights = stack_sums(profile, |sample| sample.weight);
    // The functions and lines that the current stack has counted, so that recursion is counted once.
    let mut counted: Vec<(usize, Option<u32>)> = Vec::new();
    for stack in profile.stacks().ids().filter(|stack| weights[stack.index()] > 0) {
        let weight = weights[stack.index()];
        counted.clear();
        for (depth, frame) in profile.frames_leaf_first(stack).enumerate() {
            let Some(at) = row_of_function[frame.function.index()] else { continue };
            let row = &mut rows[at];
            let line = row.lines.entry(frame.line).or_default();
            if depth == 0 {
                add_saturating(&mut row.self_weight, weight);
                add_saturating(&mut line.self_weight, weight);
            }
            if !counted.contains(&(at, None)) {
                counted.push((at, None));
                add_saturating(&mut row.cumulative, weight);
            }
            if !counted.contains(&(at, Some(frame.line))) {
                counted.push((at, Some(frame.line)));
                add_saturating(&mut line.cumulative, weight);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, View};

    #[test]
    fn a_sample_counts_once_for_each_line() {
        let mut fixture = Fixture::new();
        fixture.period = 1;
        fixture.add("app", "main.main:3|main.fib:10|main.fib:11|main.fib:10", 5);
        fixture.add("app", "main.main:3|main.fib:10|runtime.memmove", 2);
        let view = View::new(fixture.profile, GroupBy::Process);
        let functions = view.matching_functions(|name| name == "main.fib");
        let [fib] = &function_lines(view.profile(), &functions)[..] else { panic!("{functions:?}") };
        assert_eq!((fib.self_weight, fib.cumulative), (5, 7));
        let lines: Vec<_> =
            fib.lines.iter().map(|(line, weights)| (*line, weights.self_weight, weights.cumulative)).collect();
        assert_eq!(lines, [(10, 5, 7), (11, 0, 5)]);
    }
}
