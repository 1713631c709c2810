//! The part of the call tree that is wide enough to be seen, on all cores.
//!
//! The result does not depend on how the work is divided.

use rayon::prelude::*;

use super::tree::ALL;
use crate::views::{CallTree, LabelId, Node};

/// A node of the call tree with the position of its caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub(super) parent: usize,
    pub(super) label: LabelId,
    /// Cumulative weight.
    pub(super) cumulative: u64,
    /// Whether the compiler inlined every one of the calls.
    pub(super) inlined: bool,
}

impl Merged {
    fn new(node: &Node, parent: usize) -> Self {
        Self { parent, label: node.label, cumulative: node.cumulative, inlined: node.inlined }
    }
}

/// Maximum depth at which nodes are shared among the cores: each level needs stack, and deeper nodes of a program that
/// recurses have little work to share.
const MAX_SHARED_DEPTH: usize = 128;

/// Expands a call tree above a root that stands for everything and weighs `total`. Callees of nodes heavier than `heavy`
/// are shared among the cores. Callers come before their callees.
pub(super) fn merge(tree: &CallTree<'_>, total: u64, heavy: u64) -> Vec<Merged> {
    let all = Merged { parent: ALL, label: LabelId::NONE, cumulative: total, inlined: false };
    let groups = tree.groups().into_par_iter().filter(|node| node.cumulative >= tree.narrowest());
    with_callees(all, groups.map(|node| expand_shared(tree, node, heavy, 0)).collect())
}

/// As [`expand_alone`], on all cores. `depth`: the depth of the node below the root.
fn expand_shared(tree: &CallTree<'_>, node: Node, heavy: u64, depth: usize) -> Vec<Merged> {
    if node.cumulative <= heavy || depth == MAX_SHARED_DEPTH {
        return expand_alone(tree, node);
    }
    let merged = Merged::new(&node, ALL);
    let callees = tree.with_scratch(|scratch| tree.expand(node.walkers, scratch));
    let callees = callees.into_par_iter().with_max_len(1);
    let callees = callees.map(|callee| expand_shared(tree, callee, heavy, depth + 1));
    with_callees(merged, callees.collect())
}

/// A node, which comes first, and everything that it calls. Parents are positions in the result.
fn expand_alone(tree: &CallTree<'_>, node: Node) -> Vec<Merged> {
    let mut merged = vec![Merged::new(&node, ALL)];
    let mut pending = vec![(ALL, node.walkers)];
    tree.with_scratch(|scratch| {
        while let Some((parent, walkers)) = pending.pop() {
            for callee in tree.expand(walkers, scratch) {
                merged.push(Merged::new(&callee, parent));
                pending.push((merged.len() - 1, callee.walkers));
            }
        }
    });
    merged
}

/// Puts the trees of its callees behind a node. The first of a tree is its root, and parents are positions in the tree.
fn with_callees(node: Merged, callees: Vec<Vec<Merged>>) -> Vec<Merged> {
    let mut merged = vec![node];
    for callee in callees {
        let first = merged.len();
        merged.extend(callee.into_iter().enumerate().map(|(at, node)| match at {
            0 => Merged { parent: ALL, ..node },
            _ => Merged { parent: first + node.parent, ..node },
        }));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::{ALL, Merged, merge};
    use crate::profile::fixture::Fixture;
    use crate::views::{By, LabelId, Labels, Value, View};

    /// The call path to each node, its weight, and whether it is inlined; sorted.
    fn frames(nodes: &[Merged]) -> Vec<(Vec<usize>, u64, bool)> {
        let mut paths: Vec<Vec<usize>> = vec![Vec::new()];
        for node in &nodes[1..] {
            let mut path = paths[node.parent].clone();
            path.push(node.label.index());
            paths.push(path);
        }
        let frames = paths.into_iter().zip(nodes).map(|(path, node)| (path, node.cumulative, node.inlined));
        let mut frames: Vec<_> = frames.collect();
        frames.sort();
        frames
    }

    #[test]
    fn the_result_does_not_depend_on_the_sharing() {
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
        let view = View::new(profile.clone(), By::Process);
        let merged = |heavy, narrowest| {
            let groups = vec![LabelId::from_index(functions.len())];
            let tree = view.call_tree(Value::Count, narrowest, || Labels::new(groups, functions.clone()));
            let nodes = merge(&tree, view.total(Value::Count), heavy);
            let behind_caller = |(at, node): (usize, &Merged)| node.parent < at && node.cumulative >= narrowest;
            assert!(nodes.iter().enumerate().skip(1).all(behind_caller));
            assert_eq!(nodes[ALL].cumulative, 1800);
            frames(&nodes)
        };
        for narrowest in [1, 2, 90] {
            let alone = merged(u64::MAX, narrowest);
            let inlined = alone.iter().filter(|frame| frame.2).count();
            assert_eq!((alone.len() > 5, inlined > 0), (true, narrowest < 90), "{} frames", alone.len());
            for heavy in [0, 1, 100, 500] {
                assert!(merged(heavy, narrowest) == alone, "heavy from {heavy} on, narrowest {narrowest}");
            }
        }
    }
}
