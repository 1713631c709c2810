//! Collects the visible part of the call tree, on all cores.
//!
//! The result does not depend on how the cores share the work.

use rayon::prelude::*;

use crate::profile::Frame;
use crate::views::{CallTree, LabelId, Node};

/// Index of the root, which contains all samples.
pub(super) const ROOT: usize = 0;

/// A node of the call tree with the index of its caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlatNode {
    pub(super) parent: usize,
    pub(super) label: LabelId,
    /// Cumulative weight.
    pub(super) cumulative: u64,
    /// Whether the compiler inlined all calls that the node stands for.
    pub(super) is_inlined: bool,
    /// The function and line with the most weight among the node's frames. `None` for a group.
    pub(super) frame: Option<Frame>,
}

impl FlatNode {
    fn new(tree: &CallTree<'_>, node: &Node, parent: usize) -> Self {
        let Node { label, cumulative, is_inlined, .. } = *node;
        Self { parent, label, cumulative, is_inlined, frame: tree.heaviest_frame(&node.walkers) }
    }
}

/// Maximum depth of nodes whose callees are shared among the cores. The limit bounds goflame's own stack. The deeper nodes
/// of a recursive program have little work to share.
const MAX_SHARED_DEPTH: usize = 128;

/// Returns all nodes of a call tree, below a new root with the weight `total`. A caller comes before its callees. Callees of
/// nodes heavier than `heavy_weight` are shared among the cores.
pub(super) fn flatten(tree: &CallTree<'_>, total: u64, heavy_weight: u64) -> Vec<FlatNode> {
    let all = FlatNode { parent: ROOT, label: LabelId::NONE, cumulative: total, is_inlined: false, frame: None };
    let groups = tree.groups().into_par_iter().filter(|node| node.cumulative >= tree.min_weight());
    append_callees(all, groups.map(|node| expand_shared(tree, node, heavy_weight, 0)).collect())
}

/// Returns the same as [`expand_alone`], but uses all cores. `depth` is the number of callers between the root and the node.
fn expand_shared(tree: &CallTree<'_>, node: Node, heavy_weight: u64, depth: usize) -> Vec<FlatNode> {
    if node.cumulative <= heavy_weight || depth == MAX_SHARED_DEPTH {
        return expand_alone(tree, node);
    }
    let flat = FlatNode::new(tree, &node, ROOT);
    let callees = tree.with_scratch(|scratch| tree.expand(node.walkers, scratch));
    let callees = callees.into_par_iter().with_max_len(1);
    let callees = callees.map(|callee| expand_shared(tree, callee, heavy_weight, depth + 1));
    append_callees(flat, callees.collect())
}

/// Returns a node, which comes first, and all its direct and indirect callees. Parents are indexes into the result.
fn expand_alone(tree: &CallTree<'_>, node: Node) -> Vec<FlatNode> {
    let mut flat = vec![FlatNode::new(tree, &node, ROOT)];
    let mut pending = vec![(ROOT, node.walkers)];
    tree.with_scratch(|scratch| {
        while let Some((parent, walkers)) = pending.pop() {
            for callee in tree.expand(walkers, scratch) {
                flat.push(FlatNode::new(tree, &callee, parent));
                pending.push((flat.len() - 1, callee.walkers));
            }
        }
    });
    flat
}

/// Appends the trees of a node's callees to the node. The first node of a tree is its root, and parents are indexes into
/// the tree.
fn append_callees(node: FlatNode, callees: Vec<Vec<FlatNode>>) -> Vec<FlatNode> {
    let mut flat = vec![node];
    for callee in callees {
        let first = flat.len();
        flat.extend(callee.into_iter().enumerate().map(|(at, node)| match at {
            0 => FlatNode { parent: ROOT, ..node },
            _ => FlatNode { parent: first + node.parent, ..node },
        }));
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::{FlatNode, ROOT, flatten};
    use crate::profile::fixture::Fixture;
    use crate::views::{GroupBy, LabelId, SummedValue, TreeLabels, View};

    /// Returns all nodes, sorted: the frame texts from the root, the weight, and whether it is inlined.
    fn frames(nodes: &[FlatNode]) -> Vec<(Vec<usize>, u64, bool)> {
        let mut paths: Vec<Vec<usize>> = vec![Vec::new()];
        for node in &nodes[1..] {
            let mut path = paths[node.parent].clone();
            path.push(node.label.index());
            paths.push(path);
        }
        let frames = paths.into_iter().zip(nodes).map(|(path, node)| (path, node.cumulative, node.is_inlined));
        let mut frames: Vec<_> = frames.collect();
        frames.sort();
        frames
    }

    #[test]
    fn result_does_not_depend_on_how_cores_share_the_work() {
        let mut fixture = Fixture::new();
        for at in 0..600 {
            let (outer, inner) = (at % 3, at % 7);
            let inlined = if outer == 0 { "i:" } else { "" };
            fixture.add("app", &format!("main.main:{at}|main.f{outer}|{inlined}main.g{inner}:{at}|main.h{at}"), 1);
            fixture.add("app", "main.main|main.f1|main.main", 2);
        }
        let profile = &fixture.profile;
        let functions = profile.functions().map(|(id, _)| LabelId::from_index(id.index()));
        let functions: Vec<LabelId> = functions.collect();
        let view = View::new(profile.clone(), GroupBy::Process);
        let flat = |heavy_weight, min_weight| {
            let groups = vec![LabelId::from_index(functions.len())];
            let tree = view.call_tree(SummedValue::Count, min_weight, || TreeLabels::new(groups, functions.clone()));
            let nodes = flatten(&tree, view.total(SummedValue::Count), heavy_weight);
            let behind_caller = |(at, node): (usize, &FlatNode)| node.parent < at && node.cumulative >= min_weight;
            assert!(nodes.iter().enumerate().skip(1).all(behind_caller));
            assert_eq!(nodes[ROOT].cumulative, 1800);
            frames(&nodes)
        };
        for min_weight in [1, 2, 90] {
            let alone = flat(u64::MAX, min_weight);
            let inlined = alone.iter().filter(|frame| frame.2).count();
            assert_eq!((alone.len() > 5, inlined > 0), (true, min_weight < 90), "{} frames", alone.len());
            for heavy_weight in [0, 1, 100, 500] {
                assert!(flat(heavy_weight, min_weight) == alone, "shared from {heavy_weight} on, minimum {min_weight}");
            }
        }
    }
}
