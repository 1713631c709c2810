//! The call tree: all stacks, merged from the root where frames have the same frame text (glossary in ARCHITECTURE.md).
//!
//! The callees of a node are computed only when a format asks for them. No finished part of the tree stays in memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;

use super::walk::{StackWalk, Walker};
use crate::profile::{Frame, Interner, Profile, position};

/// Id of a frame text, or of another value by which a format merges frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LabelId(u32);

impl LabelId {
    /// The id of a node without a text, such as one root for all groups.
    pub const NONE: Self = Self(u32::MAX);

    /// Interns a frame text.
    pub fn intern<T: Hash + Eq>(label: T, labels: &mut Interner<T>) -> Self {
        Self(labels.intern(label))
    }

    /// Returns the id of the frame text at a position among all frame texts.
    pub fn from_index(at: usize) -> Self {
        Self(position(at))
    }

    /// Returns the position of the frame text among all frame texts.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The frame texts of groups and functions in a call tree.
pub struct TreeLabels {
    /// The text of each group, indexed by group.
    groups: Vec<LabelId>,
    /// The text of each function, indexed by function.
    functions: Vec<LabelId>,
}

impl TreeLabels {
    /// Takes the texts of the groups in the order of [`Grouping::names`](super::Grouping::names), and of the functions
    /// in the order of [`Profile::functions`]. Groups with equal texts become one node.
    pub fn new(groups: Vec<LabelId>, functions: Vec<LabelId>) -> Self {
        Self { groups, functions }
    }
}

/// A node of the call tree: all frames with the same text whose callers have the same texts.
#[derive(Debug)]
pub struct Node {
    /// The text of the frames.
    pub label: LabelId,
    /// Cumulative weight: the weight of all samples whose stack contains the node.
    pub cumulative: u64,
    /// Whether the compiler inlined all calls that the node stands for. False for a group.
    pub is_inlined: bool,
    /// Positions in all stacks that contain the node, each just after the node's frame.
    pub walkers: Vec<Walker>,
}

/// Returns the self weight of a node: its cumulative weight minus that of its callees. `None` if the result is 0.
pub fn self_weight(cumulative: u64, callees: impl Iterator<Item = u64>) -> Option<u64> {
    let callees = callees.fold(0, u64::saturating_add);
    cumulative.checked_sub(callees).filter(|weight| *weight > 0)
}

/// The call tree of a view. Expands nodes into their callees.
pub struct CallTree<'v> {
    profile: &'v Profile,
    walk: &'v StackWalk,
    /// Factor from the weight of a walker to the value that the tree sums: the period if the walkers sum counts for a
    /// tree of weights, else 1.
    scale: u64,
    labels: TreeLabels,
    /// Indexed by location: the text of its only frame, or [`LabelId::NONE`] if it has no frame or several. Most
    /// locations have one frame, and a step through them reads only this table.
    only_label: Vec<LabelId>,
    /// Indexed by group: the weight of its samples, including samples without frames.
    group_weights: Vec<u64>,
    /// Callees with less weight are left out.
    min_weight: u64,
    /// Work spaces that no thread uses now.
    scratch: Mutex<Vec<ExpandScratch>>,
}

/// Work space of one thread, reused for every node.
pub struct ExpandScratch {
    /// Indexed by text: the index of its callee in `callees`, or [`NO_CALLEE`]. All are [`NO_CALLEE`] between two
    /// nodes.
    callee_of_label: Vec<u32>,
    /// The callees of the node, each with its number of walkers.
    callees: Vec<(Node, usize)>,
    /// The walkers of all callees.
    callee_walkers: Vec<Walker>,
    /// By walker in `callee_walkers`: the index of its callee.
    callee_of_walker: Vec<u32>,
    /// Walkers to move next, with the [text](CallTree::only_label) of their next location.
    walkers_ahead: Vec<(Walker, LabelId)>,
}

/// Number of walkers that look up their next frame text together. The look-ups are independent, so their cache misses
/// overlap.
const LOOKUP_BATCH: usize = 32;

/// Marks a frame text without a callee in [`ExpandScratch::callee_of_label`].
const NO_CALLEE: u32 = u32::MAX;

impl<'v> CallTree<'v> {
    /// Returns the call tree of the groups of `walk`. `group_weights` are the weights of these groups. Callees with less
    /// weight than `min_weight` are left out.
    pub(super) fn new(
        profile: &'v Profile,
        walk: &'v StackWalk,
        scale: u64,
        group_weights: Vec<u64>,
        labels: TreeLabels,
        min_weight: u64,
    ) -> Self {
        let only_label = profile.locations().map(|(location, _)| match profile.frames(location) {
            [frame] => labels.functions[frame.function.index()],
            _ => LabelId::NONE,
        });
        let only_label = only_label.collect();
        Self { profile, walk, scale, labels, only_label, group_weights, min_weight, scratch: Mutex::default() }
    }

    /// Returns the weight below which callees are left out.
    pub fn min_weight(&self) -> u64 {
        self.min_weight
    }

    /// Returns the nodes of the groups. Groups with equal texts are one node. The walkers are before the root frames.
    pub fn groups(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut by_label = HashMap::new();
        for (group, label) in self.labels.groups.iter().enumerate() {
            let at = *by_label.entry(*label).or_insert_with(|| {
                nodes.push(Node { label: *label, cumulative: 0, is_inlined: false, walkers: Vec::new() });
                nodes.len() - 1
            });
            nodes[at].walkers.extend(self.walk.roots(group));
            nodes[at].cumulative = nodes[at].cumulative.saturating_add(self.group_weights[group]);
        }
        nodes
    }

    /// Calls `work` with an idle work space, or with a new one if all are in use.
    pub fn with_scratch<T>(&self, work: impl FnOnce(&mut ExpandScratch) -> T) -> T {
        let idle = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = idle.unwrap_or_else(|| {
            let labels = self.labels.functions.iter().map(|label| label.index() + 1).max();
            ExpandScratch {
                callee_of_label: vec![NO_CALLEE; labels.unwrap_or(0)],
                callees: Vec::new(),
                callee_walkers: Vec::new(),
                callee_of_walker: Vec::new(),
                walkers_ahead: Vec::new(),
            }
        });
        let result = work(&mut scratch);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        result
    }

    /// Returns the text of the only frame of the [next location](StackWalk::next_location). [`LabelId::NONE`] if the
    /// location does not have exactly one frame, or if there is no next location.
    fn only_label(&self, walker: &Walker) -> LabelId {
        let next = self.walk.next_location(self.profile, walker);
        next.map_or(LabelId::NONE, |location| self.only_label[location.index()])
    }

    /// Moves a walker past the next frame. `only_label` is the result of [`CallTree::only_label`] for the walker.
    /// Returns the frame's text, and whether the call was inlined. `None` at the end of the segment.
    fn pass_frame(&self, walker: &mut Walker, only_label: LabelId) -> Option<(LabelId, bool)> {
        if only_label != LabelId::NONE {
            walker.skip_location();
            return Some((only_label, false));
        }
        let (frame, inlined) = self.walk.pass_frame(self.profile, walker)?;
        Some((self.labels.functions[frame.function.index()], inlined))
    }

    /// Moves a walker past the next frame. Returns the frame's text. `None` at the end of the segment.
    pub fn next(&self, walker: &mut Walker) -> Option<LabelId> {
        let only_label = self.only_label(walker);
        self.pass_frame(walker, only_label).map(|(label, _)| label)
    }

    /// Returns walkers at the starts of the callee segments of a walker that is at the end of its segment.
    pub fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        self.walk.callees(walker)
    }

    /// Returns the weight of the samples whose stacks contain the walker's position.
    pub fn weight(&self, walker: &Walker) -> u64 {
        walker.weight.saturating_mul(self.scale)
    }

    /// Returns the frame with the most weight among the frames that these walkers passed last. Frames of one function
    /// that differ in their line are different. `None` if no walker passed a frame.
    pub fn heaviest_frame(&self, walkers: &[Walker]) -> Option<Frame> {
        let mut weights: HashMap<Frame, u64, RandomState> = HashMap::default();
        // Consecutive walkers mostly have the same frame.
        for neighbours in walkers.chunk_by(|a, b| self.passed_frame(a) == self.passed_frame(b)) {
            let Some(frame) = neighbours.first().and_then(|walker| self.passed_frame(walker)) else { continue };
            let weight = neighbours.iter().fold(0_u64, |sum, walker| sum.saturating_add(walker.weight));
            let sum = weights.entry(frame).or_default();
            *sum = sum.saturating_add(weight);
        }
        let place = |frame: Frame| (frame.line, frame.function);
        let heaviest = weights.into_iter().max_by_key(|(frame, weight)| (*weight, Reverse(place(*frame))));
        heaviest.map(|(frame, _)| frame)
    }

    fn passed_frame(&self, walker: &Walker) -> Option<Frame> {
        self.walk.passed_frame(self.profile, walker)
    }

    /// Returns the callees of the node with these walkers, in the order in which the walkers reach them.
    pub fn expand(&self, mut walkers: Vec<Walker>, scratch: &mut ExpandScratch) -> Vec<Node> {
        let ExpandScratch { callee_of_label, callees, callee_walkers, callee_of_walker, walkers_ahead } = scratch;
        loop {
            if walkers_ahead.is_empty() {
                let from = walkers.len().saturating_sub(LOOKUP_BATCH);
                walkers_ahead.extend(walkers.drain(from..).map(|walker| (walker, self.only_label(&walker))));
            }
            let Some((mut walker, only_label)) = walkers_ahead.pop() else { break };
            let Some((label, inlined)) = self.pass_frame(&mut walker, only_label) else {
                walkers.extend(self.walk.callees(&walker));
                continue;
            };
            let at = &mut callee_of_label[label.index()];
            if *at == NO_CALLEE {
                *at = position(callees.len());
                callees.push((Node { label, cumulative: 0, is_inlined: true, walkers: Vec::new() }, 0));
            }
            let (node, count) = &mut callees[*at as usize];
            node.cumulative = node.cumulative.saturating_add(self.weight(&walker));
            node.is_inlined &= inlined;
            *count += 1;
            callee_walkers.push(walker);
            callee_of_walker.push(*at);
        }
        if callees.len() == 1
            && let Some((node, _)) = callees.pop_if(|(node, _)| node.cumulative >= self.min_weight)
        {
            // All walkers have the same callee, so they need no sorting.
            callee_of_label[node.label.index()] = NO_CALLEE;
            callee_of_walker.clear();
            std::mem::swap(&mut walkers, callee_walkers);
            return vec![Node { walkers, ..node }];
        }
        let mut nodes: Vec<Node> = Vec::new();
        // By index in `callees`: the index in `nodes`, or `usize::MAX` for a callee below the minimum weight.
        let mut node_of_callee = Vec::with_capacity(callees.len());
        for (node, count) in callees.drain(..) {
            callee_of_label[node.label.index()] = NO_CALLEE;
            let is_wide = node.cumulative >= self.min_weight;
            node_of_callee.push(if is_wide { nodes.len() } else { usize::MAX });
            if is_wide {
                nodes.push(Node { walkers: Vec::with_capacity(count), ..node });
            }
        }
        for (walker, callee) in callee_walkers.drain(..).zip(callee_of_walker.drain(..)) {
            if let Some(node) = nodes.get_mut(node_of_callee[callee as usize]) {
                node.walkers.push(walker);
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelId, Node, TreeLabels};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Function, Interner, Profile};
    use crate::views::{GroupBy, SummedValue, View};

    /// Returns all nodes, sorted: the texts from the root, the cumulative weight, and whether it is inlined.
    fn nodes(profile: &Profile, min_weight: u64) -> Vec<(String, u64, bool)> {
        let view = View::new(profile.clone(), GroupBy::Process);
        let mut texts = Interner::default();
        let tree = view.call_tree(SummedValue::Count, min_weight, || {
            let groups = view.grouping().names().map(|name| LabelId::intern(name.to_uppercase(), &mut texts)).collect();
            let name = |function: &Function| profile.str(function.display).to_owned();
            let functions = profile.functions().map(|(_, item)| LabelId::intern(name(item), &mut texts)).collect();
            TreeLabels::new(groups, functions)
        });
        let mut pending: Vec<(String, Node)> = tree.groups().into_iter().map(|node| (String::new(), node)).collect();
        let mut nodes = Vec::new();
        while let Some((path, node)) = pending.pop() {
            let path = format!("{path} {}", texts.items()[node.label.index()]);
            nodes.push((path.trim().to_owned(), node.cumulative, node.is_inlined));
            let callees = tree.with_scratch(|scratch| tree.expand(node.walkers, scratch));
            pending.extend(callees.into_iter().map(|callee| (path.clone(), callee)));
        }
        nodes.sort();
        nodes
    }

    #[test]
    fn frames_with_the_same_label_are_one_node() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main:1|main.a:2|main.c", 1);
        fixture.add("APP", "main.main:3|main.a:4|main.d", 2);
        fixture.add("app", "main.main:3|i:main.a|main.c", 4);
        fixture.add("app", "main.main:3|i:main.b|main.c", 8);
        fixture.add("other", "main.a|main.main", 16);
        let expected = [
            ("APP", 15, false),
            ("APP main.main", 15, false),
            ("APP main.main main.a", 7, false),
            ("APP main.main main.a main.c", 5, false),
            ("APP main.main main.a main.d", 2, false),
            ("APP main.main main.b", 8, true),
            ("APP main.main main.b main.c", 8, false),
            ("OTHER", 16, false),
            ("OTHER main.a", 16, false),
            ("OTHER main.a main.main", 16, false),
        ];
        let expected = expected.map(|(path, weight, inlined)| (path.to_owned(), weight, inlined));
        assert_eq!(nodes(&fixture.profile, 1), expected);
        let wide: Vec<_> = expected.into_iter().filter(|(_, weight, _)| *weight >= 7).collect();
        assert_eq!(nodes(&fixture.profile, 7), wide);
    }
}
