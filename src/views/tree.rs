//! The call tree: all stacks from their roots, frames with the same label merged.
//!
//! A node is expanded into its callees when it is asked for, so that each format pays only for what it shows, and
//! nothing is kept of what it has left behind.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::walk::{StackWalk, Walker};
use crate::profile::{Interner, Profile, position};

/// Id of a label: the text, or whatever else a format tells frames apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LabelId(u32);

impl LabelId {
    /// No label: of the root of everything.
    pub const NONE: Self = Self(u32::MAX);

    /// The id of a label, which is stored once.
    pub fn intern<T: Hash + Eq>(label: T, labels: &mut Interner<T>) -> Self {
        Self(labels.add(label))
    }

    /// The label at a position.
    pub fn from_index(at: usize) -> Self {
        Self(position(at))
    }

    /// The position of this label.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The labels of everything in a call tree.
pub struct Labels {
    /// By group, in the order of the grouping.
    groups: Vec<LabelId>,
    /// By function.
    functions: Vec<LabelId>,
}

impl Labels {
    /// Labels of the groups, in the order of [`Grouping::names`](super::Grouping::names), and of the functions, in the
    /// order of [`Profile::functions`]. Groups with one label become one node.
    pub fn new(groups: Vec<LabelId>, functions: Vec<LabelId>) -> Self {
        Self { groups, functions }
    }
}

/// A node of the call tree: a frame with one label, reached by one call path of labels.
#[derive(Debug)]
pub struct Node {
    /// Its label.
    pub label: LabelId,
    /// Cumulative weight: of all samples that pass the node.
    pub cumulative: u64,
    /// Whether the compiler inlined every one of the calls.
    pub inlined: bool,
    /// The stacks that pass the node, each behind its frame.
    pub walkers: Vec<Walker>,
}

/// Self weight: of the samples whose leaf is this node. `None` if there is none.
pub fn self_weight(cumulative: u64, callees: impl Iterator<Item = u64>) -> Option<u64> {
    let callees = callees.fold(0, u64::saturating_add);
    cumulative.checked_sub(callees).filter(|weight| *weight > 0)
}

/// Expands nodes into their callees.
pub struct CallTree<'v> {
    profile: &'v Profile,
    walk: &'v StackWalk,
    /// A walker's weight is multiplied by this.
    scale: u64,
    labels: Labels,
    /// By location: the label of its only frame; [`LabelId::NONE`] for locations with none or several. Most locations have
    /// one frame, and this look-up is all that a step through them needs.
    only_label: Vec<LabelId>,
    /// By group: the weight of its samples, those without frames included.
    group_weights: Vec<u64>,
    narrowest: u64,
    /// Work space that no thread uses at the moment.
    scratch: Mutex<Vec<Scratch>>,
}

/// Work space of one thread, kept from one node to the next.
pub struct Scratch {
    /// By label: its position in `callees`; [`NOWHERE`] between two nodes.
    known: Vec<u32>,
    /// The callees of the node, and how many walkers come to each.
    callees: Vec<(Node, usize)>,
    /// These walkers.
    moved: Vec<Walker>,
    /// By walker in `moved`: the position of its callee.
    to: Vec<u32>,
    /// The next walkers, with the [only label](CallTree::only_label) of what follows.
    ahead: Vec<(Walker, LabelId)>,
}

/// This many walkers look up their next label at once. The look-ups are independent, so their cache misses overlap.
const AHEAD: usize = 32;

const NOWHERE: u32 = u32::MAX;

impl<'v> CallTree<'v> {
    /// A call tree of the groups of `walk`, which weigh `group_weights`. Callees with less weight than `narrowest` are
    /// left out.
    pub(super) fn new(
        profile: &'v Profile,
        walk: &'v StackWalk,
        scale: u64,
        group_weights: Vec<u64>,
        labels: Labels,
        narrowest: u64,
    ) -> Self {
        let only_label = profile.locations().map(|(location, _)| match profile.frames(location) {
            [frame] => labels.functions[frame.function.index()],
            _ => LabelId::NONE,
        });
        let only_label = only_label.collect();
        Self { profile, walk, scale, labels, only_label, group_weights, narrowest, scratch: Mutex::default() }
    }

    /// The smallest weight of a callee that is shown.
    pub fn narrowest(&self) -> u64 {
        self.narrowest
    }

    /// A node for each label of a group, before the roots of its stacks.
    pub fn groups(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut by_label = HashMap::new();
        for (group, label) in self.labels.groups.iter().enumerate() {
            let at = *by_label.entry(*label).or_insert_with(|| {
                nodes.push(Node { label: *label, cumulative: 0, inlined: false, walkers: Vec::new() });
                nodes.len() - 1
            });
            nodes[at].walkers.extend(self.walk.roots(group));
            nodes[at].cumulative = nodes[at].cumulative.saturating_add(self.group_weights[group]);
        }
        nodes
    }

    /// Lends work space to one thread. There are as many as were ever needed at once.
    pub fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let idle = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = idle.unwrap_or_else(|| {
            let labels = self.labels.functions.iter().map(|label| label.index() + 1).max();
            Scratch {
                known: vec![NOWHERE; labels.unwrap_or(0)],
                callees: Vec::new(),
                moved: Vec::new(),
                to: Vec::new(),
                ahead: Vec::new(),
            }
        });
        let done = work(&mut scratch);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        done
    }

    /// The label of the only frame of the next location, if it has just one.
    fn only_label(&self, walker: &Walker) -> LabelId {
        let next = self.walk.next_location(self.profile, walker);
        next.map_or(LabelId::NONE, |location| self.only_label[location.index()])
    }

    /// Takes a walker past the next frame, whose location has this [only label](CallTree::only_label). Returns the
    /// frame's label, and whether the call was inlined; `None` at the end of the segment.
    fn step(&self, walker: &mut Walker, only_label: LabelId) -> Option<(LabelId, bool)> {
        if only_label != LabelId::NONE {
            walker.skip_location();
            return Some((only_label, false));
        }
        let (frame, inlined) = self.walk.step(self.profile, walker)?;
        Some((self.labels.functions[frame.function.index()], inlined))
    }

    /// Takes a walker past the next frame. Returns the frame's label; `None` at the end of the segment.
    pub fn next(&self, walker: &mut Walker) -> Option<LabelId> {
        let only_label = self.only_label(walker);
        self.step(walker, only_label).map(|(label, _)| label)
    }

    /// Walkers on the segments that follow where this walker has come to the end of its own.
    pub fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        self.walk.callees(walker)
    }

    /// The weight that passes a walker.
    pub fn weight(&self, walker: &Walker) -> u64 {
        walker.weight.saturating_mul(self.scale)
    }

    /// The callees of the node that these walkers come from, in the order in which the walkers reach them.
    pub fn expand(&self, mut walkers: Vec<Walker>, scratch: &mut Scratch) -> Vec<Node> {
        let Scratch { known, callees, moved, to, ahead } = scratch;
        loop {
            if ahead.is_empty() {
                let from = walkers.len().saturating_sub(AHEAD);
                ahead.extend(walkers.drain(from..).map(|walker| (walker, self.only_label(&walker))));
            }
            let Some((mut walker, only_label)) = ahead.pop() else { break };
            let Some((label, inlined)) = self.step(&mut walker, only_label) else {
                walkers.extend(self.walk.callees(&walker));
                continue;
            };
            let at = &mut known[label.index()];
            if *at == NOWHERE {
                *at = position(callees.len());
                callees.push((Node { label, cumulative: 0, inlined: true, walkers: Vec::new() }, 0));
            }
            let (node, count) = &mut callees[*at as usize];
            node.cumulative = node.cumulative.saturating_add(self.weight(&walker));
            node.inlined &= inlined;
            *count += 1;
            moved.push(walker);
            to.push(*at);
        }
        if callees.len() == 1
            && let Some((node, _)) = callees.pop_if(|(node, _)| node.cumulative >= self.narrowest)
        {
            // All walkers go the same way: no need to sort them.
            known[node.label.index()] = NOWHERE;
            to.clear();
            std::mem::swap(&mut walkers, moved);
            return vec![Node { walkers, ..node }];
        }
        let mut nodes: Vec<Node> = Vec::new();
        // By position in `callees`: the position in `nodes`, out of range for those that are too narrow.
        let mut places = Vec::with_capacity(callees.len());
        for (node, count) in callees.drain(..) {
            known[node.label.index()] = NOWHERE;
            let is_wide = node.cumulative >= self.narrowest;
            places.push(if is_wide { nodes.len() } else { usize::MAX });
            if is_wide {
                nodes.push(Node { walkers: Vec::with_capacity(count), ..node });
            }
        }
        for (walker, callee) in moved.drain(..).zip(to.drain(..)) {
            if let Some(node) = nodes.get_mut(places[callee as usize]) {
                node.walkers.push(walker);
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelId, Labels, Node};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Function, Interner, Profile};
    use crate::views::{By, Value, View};

    /// All nodes: the path of labels to each, its cumulative weight, and whether it is inlined; sorted.
    fn nodes(profile: &Profile, narrowest: u64) -> Vec<(String, u64, bool)> {
        let view = View::new(profile.clone(), By::Process);
        let mut texts = Interner::default();
        let tree = view.call_tree(Value::Count, narrowest, || {
            let groups = view.grouping().names().map(|name| LabelId::intern(name.to_uppercase(), &mut texts)).collect();
            let name = |function: &Function| profile.str(function.display).to_owned();
            let functions = profile.functions().map(|(_, item)| LabelId::intern(name(item), &mut texts)).collect();
            Labels::new(groups, functions)
        });
        let mut pending: Vec<(String, Node)> = tree.groups().into_iter().map(|node| (String::new(), node)).collect();
        let mut nodes = Vec::new();
        while let Some((path, node)) = pending.pop() {
            let path = format!("{path} {}", texts.items()[node.label.index()]);
            nodes.push((path.trim().to_owned(), node.cumulative, node.inlined));
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
