//! The call tree as rows, and the hottest call paths, for output as text.

use std::cmp::Reverse;

use super::paths::CallPaths;
use super::top::{add_saturating, function_name};
use super::view::{SummedValue, View};
use crate::profile::{FunctionId, position};

/// The call tree as rows: a caller comes before its callees, and callees are sorted by weight.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The rows that have at least the minimum weight.
    pub rows: Vec<OutlineRow>,
    /// Number of groups, roots and calls that were left out because their weight is below the minimum. Callees of
    /// left-out rows are not counted.
    pub left_out_rows: usize,
}

/// A row of the call tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlineRow {
    /// The function or group of the row.
    pub node: OutlineNode,
    /// Number of rows above this row in the tree: its callers, and its group if there are rows for groups.
    pub depth: usize,
    /// Weight of the samples whose leaf is this node. For a group: weight of its samples without frames.
    pub self_weight: u64,
    /// Weight of the samples whose stack contains this node.
    pub cumulative: u64,
    /// Whether the compiler inlined all calls that the row stands for. False for a group.
    pub is_inlined: bool,
    /// Whether this row is the last callee of its caller, the last root of its group, or the last group.
    pub is_last: bool,
}

/// The subject of a row of the call tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutlineNode {
    /// A group of samples, by its position in [`Grouping::names`](super::Grouping::names). Only a view with several
    /// groups has rows for groups.
    Group(usize),
    /// A function.
    Function(FunctionId),
}

/// A call path with its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotPath {
    /// The functions, the root first.
    pub functions: Vec<FunctionId>,
    /// Weight of the samples with exactly this path.
    pub weight: u64,
}

impl Outline {
    /// Returns the call tree without rows whose cumulative weight is below `min_weight`.
    pub fn new(view: &View, min_weight: u64) -> Self {
        let paths = CallPaths::new(view.profile());
        let caller_of = paths.callers();
        let samples = view.profile().samples();
        let weight = |at: &u32| view.value(SummedValue::Weight, &samples[*at as usize]);
        let mut groups: Vec<Group<'_>> = (view.grouping().names().zip(view.grouping().samples()).enumerate())
            .map(|(at, (name, samples))| Group { position: at, name, samples, total: samples.iter().map(weight).sum() })
            .collect();
        groups.sort_by_key(|group| (Reverse(group.total), group.name));
        let shown = groups.iter().take_while(|group| group.total >= min_weight.max(1)).count();
        let mut outline = Self { left_out_rows: groups.len() - shown, ..Self::default() };
        let first_depth = usize::from(groups.len() > 1);
        for (at, group) in groups[..shown].iter().enumerate() {
            let tree = GroupTree::new(view, &paths, &caller_of, group.samples);
            if first_depth > 0 {
                outline.rows.push(OutlineRow {
                    node: OutlineNode::Group(group.position),
                    depth: 0,
                    self_weight: tree.without_frames,
                    cumulative: group.total,
                    is_inlined: false,
                    is_last: at + 1 == shown,
                });
            }
            tree.add_rows(view, first_depth, min_weight, &mut outline);
        }
        outline
    }
}

struct Group<'v> {
    /// Position in [`Grouping::names`](super::Grouping::names).
    position: usize,
    name: &'v str,
    samples: &'v [u32],
    total: u64,
}

struct GroupTree<'p> {
    paths: &'p CallPaths,
    /// By path: weight of the samples with exactly this path.
    self_weights: Vec<u64>,
    /// By path: weight of the samples whose stack begins with the path.
    cumulative: Vec<u64>,
    /// The roots with weight.
    roots: Vec<u32>,
    /// By path: the callees with weight.
    callees: Vec<Vec<u32>>,
    /// Weight of samples without frames.
    without_frames: u64,
}

impl<'p> GroupTree<'p> {
    fn new(view: &View, paths: &'p CallPaths, caller_of: &[Option<u32>], samples: &[u32]) -> Self {
        let (mut self_weights, mut without_frames) = (vec![0; caller_of.len()], 0);
        for sample in samples {
            let at = *sample as usize;
            let weight = view.value(SummedValue::Weight, &view.profile().samples()[at]);
            let sum = paths.leaves[at].map_or(&mut without_frames, |leaf| &mut self_weights[leaf as usize]);
            add_saturating(sum, weight);
        }
        let mut cumulative = self_weights.clone();
        let (mut roots, mut callees) = (Vec::new(), vec![Vec::new(); caller_of.len()]);
        // A caller comes before its callees.
        for (path, caller) in caller_of.iter().enumerate().rev() {
            match caller {
                _ if cumulative[path] == 0 => {}
                Some(caller) => {
                    let weight = cumulative[path];
                    callees[*caller as usize].push(position(path));
                    add_saturating(&mut cumulative[*caller as usize], weight);
                }
                None => roots.push(position(path)),
            }
        }
        Self { paths, self_weights, cumulative, roots, callees, without_frames }
    }

    fn add_rows(&self, view: &View, first_depth: usize, min_weight: u64, outline: &mut Outline) {
        let profile = view.profile();
        let function = |path: u32| self.paths.functions[path as usize];
        let mut pending: Vec<(u32, usize, bool)> = Vec::new();
        let Outline { rows, left_out_rows } = outline;
        let mut add_callees = |pending: &mut Vec<_>, callees: &[u32], depth| {
            let mut wide: Vec<u32> =
                callees.iter().copied().filter(|path| self.cumulative[*path as usize] >= min_weight).collect();
            *left_out_rows += callees.len() - wide.len();
            // `pending` is a stack: its last element becomes the next row.
            wide.sort_by_key(|path| {
                (self.cumulative[*path as usize], Reverse(function_name(profile, function(*path))))
            });
            pending.extend(wide.into_iter().enumerate().map(|(at, path)| (path, depth, at == 0)));
        };
        add_callees(&mut pending, &self.roots, first_depth);
        while let Some((path, depth, is_last)) = pending.pop() {
            let at = path as usize;
            rows.push(OutlineRow {
                node: OutlineNode::Function(function(path)),
                depth,
                self_weight: self.self_weights[at],
                cumulative: self.cumulative[at],
                is_inlined: self.paths.inlined[at],
                is_last,
            });
            add_callees(&mut pending, &self.callees[at], depth + 1);
        }
    }
}

/// Returns the `count` call paths with the most self weight, the heaviest first.
pub fn hot_paths(view: &View, count: usize) -> Vec<HotPath> {
    let paths = CallPaths::new(view.profile());
    let caller_of = paths.callers();
    let mut weights = vec![0; caller_of.len()];
    for (sample, leaf) in view.profile().samples().iter().zip(&paths.leaves) {
        if let Some(leaf) = leaf {
            add_saturating(&mut weights[*leaf as usize], view.value(SummedValue::Weight, sample));
        }
    }
    let mut heaviest: Vec<u32> = (0..).zip(&weights).filter(|(_, weight)| **weight > 0).map(|(path, _)| path).collect();
    heaviest.sort_by_key(|path| (Reverse(weights[*path as usize]), *path));
    heaviest.truncate(count);
    let path_of = |leaf: u32| {
        let to_root = std::iter::successors(Some(leaf), |path| caller_of[*path as usize]);
        let mut functions: Vec<_> = to_root.map(|path| paths.functions[path as usize]).collect();
        functions.reverse();
        HotPath { functions, weight: weights[leaf as usize] }
    };
    heaviest.into_iter().map(path_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::GroupBy;

    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.period = 1;
        fixture.add("app", "runtime.main|main.main|main.light", 1);
        fixture.add("app", "runtime.main|main.main|main.heavy:1|i:main.inner", 5);
        fixture.add("app", "runtime.main|main.main|main.heavy:2", 3);
        fixture.add("app", "", 2);
        fixture
    }

    fn rows(view: &View, min_weight: u64) -> Vec<(usize, String, u64, u64)> {
        let text = |node| match node {
            OutlineNode::Group(at) => view.grouping().names().nth(at).unwrap_or_default().to_owned(),
            OutlineNode::Function(id) => function_name(view.profile(), id).to_owned(),
        };
        let row = |row: &OutlineRow| (row.depth, text(row.node), row.self_weight, row.cumulative);
        Outline::new(view, min_weight).rows.iter().map(row).collect()
    }

    #[test]
    fn callees_follow_their_caller_and_are_sorted_by_weight() {
        let view = View::new(fixture().profile, GroupBy::Process);
        let expected = [
            (0, "runtime.main", 0, 9),
            (1, "main.main", 0, 9),
            (2, "main.heavy", 3, 8),
            (3, "main.inner", 5, 5),
            (2, "main.light", 1, 1),
        ]
        .map(|(depth, name, own, cumulative)| (depth, name.to_owned(), own, cumulative));
        assert_eq!(rows(&view, 1), expected);
        assert_eq!(rows(&view, 2), expected[..4]);
        let outline = Outline::new(&view, 2);
        assert_eq!((outline.left_out_rows, outline.rows[2].is_last, outline.rows[3].is_inlined), (1, true, true));
    }

    #[test]
    fn several_groups_are_the_roots_of_the_tree() {
        let mut fixture = fixture();
        fixture.add("helper", "main.heavy", 20);
        let view = View::new(fixture.profile, GroupBy::Process);
        let roots: Vec<_> = rows(&view, 1).into_iter().filter(|row| row.0 == 0).collect();
        assert_eq!(roots, [(0, "helper".to_owned(), 0, 20), (0, "app".to_owned(), 2, 11)]);
        assert_eq!(rows(&view, 12), [(0, "helper".to_owned(), 0, 20), (1, "main.heavy".to_owned(), 20, 20)]);
    }

    #[test]
    fn a_hot_path_counts_only_the_samples_that_end_with_it() {
        let view = View::new(fixture().profile, GroupBy::Process);
        let shown = |path: &HotPath| {
            let names: Vec<_> = path.functions.iter().map(|id| function_name(view.profile(), *id)).collect();
            (names.join(" "), path.weight)
        };
        let paths: Vec<_> = hot_paths(&view, 2).iter().map(shown).collect();
        assert_eq!(
            paths,
            [
                ("runtime.main main.main main.heavy main.inner".to_owned(), 5),
                ("runtime.main main.main main.heavy".to_owned(), 3)
            ]
        );
    }
}
