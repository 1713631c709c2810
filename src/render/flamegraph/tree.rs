//! Selects the frames of a flame graph and computes their widths.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::flatten::{FlatNode, ROOT, flatten};
use super::measure::Measure;
use crate::profile::{Frame, Function, Interner, Origin};
use crate::render::{columns, name};
use crate::views::{LabelId, TreeLabels, View};

/// Maximum number of drawn frames. More would make browsers slow, and the narrowest frames are far below one pixel.
pub(super) const MAX_FRAMES: usize = 8_000;

/// Frames narrower than 1/2000 of the total, about half a pixel, are not drawn. Single deep samples would make the image
/// several times higher and remain invisible.
const MIN_SHARE: u64 = 2_000;

/// The callees of frames wider than 1/64 of the total are shared among the cores. One core does each smaller part alone.
const SHARED_SHARE: u64 = 64;

/// Longer names are shortened in the middle. Frames whose shortened names are equal are merged.
const MAX_NAME: usize = 200;

/// Text of the frame for all groups that are not drawn, so that percentages stay percentages of the total.
pub(super) const OTHERS: &str = "(others)";

/// Kind of a frame. It decides the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum FrameKind {
    /// A group of samples, such as a process, at the root of its stacks.
    Group,
    /// A function.
    Function(Origin),
}

/// Text and kind of a frame.
type FrameLabel = (String, FrameKind);

/// Suffix of a frame if the compiler inlined all of its calls.
pub(super) const INLINED: &str = " (inlined)";

/// The frames that are drawn.
pub(super) struct DrawnTree {
    labels: Interner<FrameLabel>,
    /// A caller comes before its callees. The first node is the root.
    nodes: Vec<DrawnNode>,
    /// By origin: the self weight of its functions, including functions that are not drawn.
    origins: BTreeMap<Origin, u64>,
    total: u64,
    /// Number of wide frames beyond [`MAX_FRAMES`].
    dropped: usize,
}

struct DrawnNode {
    parent: usize,
    label: LabelId,
    /// Width minus the widths of all drawn callees.
    remainder: u64,
}

impl DrawnTree {
    /// Selects the widest [`MAX_FRAMES`] frames of the visible part of the call tree.
    pub(super) fn new(view: &View, measure: &Measure) -> Self {
        let (profile, total) = (view.profile(), view.total(measure.value));
        let (mut labels, mut origins) = (Interner::default(), BTreeMap::new());
        let tree = view.call_tree(measure.value, total.div_ceil(MIN_SHARE).max(1), || {
            let group = |name| label(&name::folded_process(name), FrameKind::Group);
            let groups = view.grouping().names().map(|name| LabelId::intern(group(name), &mut labels)).collect();
            let function = |(_, function): (_, &Function)| {
                let name = name::folded_frame(profile.str(function.display));
                LabelId::intern(label(&name, FrameKind::Function(function.origin)), &mut labels)
            };
            let functions = profile.functions().map(function).collect();
            origins = origin_weights(view, measure);
            TreeLabels::new(groups, functions)
        });
        let merged = flatten(&tree, total, total / SHARED_SHARE);
        let (drawn, dropped) = widest(&merged);
        let mut nodes = vec![DrawnNode { parent: ROOT, label: LabelId::NONE, remainder: measure.width(total) }];
        // By index in `merged`: the index in `nodes`.
        let mut drawn_nodes = vec![ROOT; merged.len()];
        let mut shown = Interner::default();
        for (at, node) in merged.iter().enumerate().filter(|(at, _)| drawn.contains(at)) {
            let (text, kind) = &labels.items()[node.label.index()];
            let text = if node.inlined { format!("{text}{INLINED}") } else { text.clone() };
            let label = LabelId::intern((text, *kind), &mut shown);
            let (parent, width) = (drawn_nodes[node.parent], measure.width(node.cumulative));
            nodes[parent].remainder = nodes[parent].remainder.saturating_sub(width);
            nodes.push(DrawnNode { parent, label, remainder: width });
            drawn_nodes[at] = nodes.len() - 1;
        }
        Self { labels: shown, nodes, origins, total, dropped }
    }

    /// Returns the total of all samples.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the number of drawn frames.
    pub(super) fn drawn(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Returns the number of frames that are wide enough but not drawn, because there are more than [`MAX_FRAMES`].
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Returns every distinct frame text and its kind.
    pub(super) fn labels(&self) -> impl Iterator<Item = (LabelId, &str, FrameKind)> {
        self.labels.items().iter().enumerate().map(|(at, (text, kind))| (LabelId::from_index(at), text.as_str(), *kind))
    }

    /// Returns the self weight of each origin that occurs in a stack, in the order of [`Origin::ALL`].
    pub(super) fn origins(&self) -> Vec<(Origin, u64)> {
        Origin::ALL.into_iter().filter_map(|origin| Some((origin, *self.origins.get(&origin)?))).collect()
    }

    /// Returns the tree as folded stacks. The lines of a caller are together, and siblings are sorted by name.
    pub(super) fn lines<'a>(&self, key: impl Fn(LabelId) -> &'a str) -> Vec<String> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent].push(at);
        }
        let mut lines = Vec::new();
        let mut path = String::new();
        // (index of a node, length of its caller's path)
        let mut pending = vec![(ROOT, 0)];
        while let Some((at, length)) = pending.pop() {
            path.truncate(length);
            if at == ROOT {
                if self.nodes[at].remainder > 0 {
                    lines.push(format!("{OTHERS} {}", self.nodes[at].remainder));
                }
            } else {
                if !path.is_empty() {
                    path.push(';');
                }
                path.push_str(key(self.nodes[at].label));
                if self.nodes[at].remainder > 0 {
                    lines.push(format!("{path} {}", self.nodes[at].remainder));
                }
            }
            let callees = &mut children[at];
            callees.sort_by_key(|callee| Reverse(&self.labels.items()[self.nodes[*callee].label.index()]));
            pending.extend(callees.iter().map(|callee| (*callee, path.len())));
        }
        lines
    }
}

/// Returns the indexes of the widest [`MAX_FRAMES`] nodes, and the number of the others. A node is selected only together
/// with its caller, which is at least as wide and has a lower index.
fn widest(nodes: &[FlatNode]) -> (HashSet<usize>, usize) {
    let mut wide: Vec<usize> = (1..nodes.len()).collect();
    wide.sort_by_key(|at| (Reverse(nodes[*at].cumulative), *at));
    let dropped = wide.len().saturating_sub(MAX_FRAMES);
    wide.truncate(MAX_FRAMES);
    (wide.into_iter().collect(), dropped)
}

/// Returns the self weight of each origin that occurs in a location.
fn origin_weights(view: &View, measure: &Measure) -> BTreeMap<Origin, u64> {
    let profile = view.profile();
    let origin = |frame: &Frame| profile.function(frame.function).origin;
    let mut weights = [None; Origin::ALL.len()];
    for frame in profile.locations().flat_map(|(id, _)| profile.frames(id)) {
        weights[origin(frame) as usize] = Some(0);
    }
    let leaves = profile.leaf_properties(origin);
    for sample in profile.samples() {
        if let Some(origin) = leaves[sample.stack.index()] {
            *weights[origin as usize].get_or_insert(0) += view.value(measure.value, sample);
        }
    }
    Origin::ALL.into_iter().filter_map(|origin| Some((origin, weights[origin as usize]?))).collect()
}

fn label(name: &str, kind: FrameKind) -> FrameLabel {
    (columns::shorten(name, MAX_NAME).into_owned(), kind)
}
