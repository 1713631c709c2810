//! [`AnnotatedFunction`]: a function, the weights of its lines, and their text.

use std::collections::{BTreeMap, BTreeSet};

use crate::views::FunctionLines;

/// Number of lines that are shown before and after a line with weight.
const CONTEXT_LINES: u32 = 3;

/// A function with the weights and the text of its lines.
#[derive(Debug)]
pub struct AnnotatedFunction {
    /// The function and the weights of its lines.
    pub weights: FunctionLines,
    /// The text of its lines.
    pub source: SourceText,
}

/// The source of a function, as far as it is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceText {
    /// The file was found.
    Found {
        /// Path of the file.
        path: String,
        /// The [wanted lines](wanted_lines), by number. Lines that the file does not have are missing.
        lines: BTreeMap<u32, String>,
        /// Why the file may differ from the one that was compiled.
        doubt: Option<String>,
    },
    /// The file was not found, or is not read.
    Absent {
        /// Why there is no source.
        reason: String,
    },
}

impl SourceText {
    /// Returns the text of a line. `None` if it is unknown.
    pub fn line_text(&self, number: u32) -> Option<&str> {
        match self {
            Self::Found { lines, .. } => lines.get(&number).map(String::as_str),
            Self::Absent { .. } => None,
        }
    }
}

/// Returns the numbers of the shown lines of a function: its first line `start`, and the lines with weight with their
/// context. The context does not reach above `start`.
pub fn wanted_lines(weights: &FunctionLines, start: u32) -> BTreeSet<u32> {
    let sampled = weights.lines.keys().copied().filter(|line| *line > 0);
    let first = |line: u32| line.saturating_sub(CONTEXT_LINES).max(start.min(line)).max(1);
    let around = |line: u32| first(line)..=line.saturating_add(CONTEXT_LINES);
    sampled.flat_map(around).chain((start > 0).then_some(start)).collect()
}

#[cfg(test)]
mod tests {
    use super::wanted_lines;
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, View, function_lines};

    #[test]
    fn lines_with_weight_are_shown_with_the_lines_around_them() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.f:11|runtime.f", 1);
        fixture.add("app", "main.f:30", 1);
        fixture.add("app", "main.f:0", 1);
        let view = View::new(fixture.profile, GroupBy::Process);
        let functions = view.matching_functions(|name| name == "main.f");
        let weights = function_lines(view.profile(), &functions).remove(0);
        let wanted = |start| wanted_lines(&weights, start).into_iter().collect::<Vec<_>>();
        assert_eq!(wanted(10), [10, 11, 12, 13, 14, 27, 28, 29, 30, 31, 32, 33]);
        assert_eq!(wanted(0), [8, 9, 10, 11, 12, 13, 14, 27, 28, 29, 30, 31, 32, 33]);
    }
}
