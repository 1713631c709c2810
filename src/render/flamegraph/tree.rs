//! Selects the frames of a flame graph and computes their widths.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::flatten::{ROOT, flatten};
use super::measure::Measure;
use crate::profile::{Frame, Function, Interner, Origin};
use crate::render::drawing::Drawing;
use crate::render::{columns, name};
use crate::views::{LabelId, TreeLabels, View};

/// Maximum number of drawn frames. More would make browsers slow, and the narrowest frames are far below one pixel.
pub(super) const MAX_FRAMES: usize = 8_000;

/// Frames narrower than 1/2000 of the total, about half a pixel, are not drawn. Otherwise single deep samples would make the
/// image several times higher, and their frames would still be invisible.
pub(in crate::render) const MIN_SHARE_DIVISOR: u64 = 2_000;

/// The callees of frames wider than 1/64 of the total are shared among the cores. One core expands each narrower frame alone.
const SHARED_SHARE_DIVISOR: u64 = 64;

/// Maximum width of a name in characters. Longer names are shortened in the middle. Frames whose shortened names are equal
/// are merged.
pub(super) const MAX_NAME_WIDTH: usize = 200;

/// Text of the frame for all groups that are not drawn, so that percentages stay percentages of the total.
pub(super) const OTHERS_TEXT: &str = "(others)";

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

/// Suffix of a frame's text if the compiler inlined every call that the frame stands for.
pub(super) const INLINED_SUFFIX: &str = " (inlined)";

/// The frames that are drawn.
pub(super) struct DrawnTree {
    labels: Interner<FrameLabel>,
    /// A caller comes before its callees. The first node is the root.
    nodes: Vec<DrawnNode>,
    /// The indexes of all nodes except the root: a caller comes before its callees, and siblings are sorted by name.
    order: Vec<usize>,
    total: u64,
    /// Number of drawn frames, without the frame [`OTHERS_TEXT`].
    drawn_count: usize,
    /// Number of frames that are wide enough but not drawn, because there are more than [`MAX_FRAMES`].
    dropped_count: usize,
}

pub(super) struct DrawnNode {
    parent: usize,
    label: LabelId,
    /// Cumulative value.
    pub(super) cumulative: u64,
    /// Width minus the widths of all drawn callees.
    remainder: u64,
    /// The function and line with the most weight among the node's frames. `None` for a group.
    pub(super) frame: Option<Frame>,
}

/// The values of an origin's functions.
pub(super) struct OriginValues {
    pub(super) origin: Origin,
    /// Value of the samples whose leaf is a function of the origin.
    pub(super) self_value: u64,
    /// Value of the samples with a function of the origin anywhere in the stack.
    pub(super) cumulative: u64,
}

impl DrawnTree {
    /// Selects the widest [`MAX_FRAMES`] frames of the visible part of the call tree.
    pub(super) fn new(view: &View, measure: &Measure, drawing: &Drawing) -> Self {
        let (profile, total) = (view.profile(), view.total(measure.kind));
        let mut labels = Interner::default();
        let tree = view.call_tree(measure.kind, drawing.min_weight(total, MIN_SHARE_DIVISOR), || {
            let group = |name| frame_label(&name::folded_process_name(name), FrameKind::Group);
            let groups = view.grouping().names().map(|name| LabelId::intern(group(name), &mut labels)).collect();
            let function = |(_, function): (_, &Function)| {
                let name = name::folded_frame_name(profile.str(function.display));
                LabelId::intern(frame_label(&name, FrameKind::Function(function.origin)), &mut labels)
            };
            let functions = profile.functions().map(function).collect();
            TreeLabels::new(groups, functions)
        });
        let merged = flatten(&tree, total, total / SHARED_SHARE_DIVISOR);
        let (drawn, dropped_count) = select_widest(&merged.iter().map(|node| node.cumulative).collect::<Vec<_>>());
        let drawn_count = drawn.len();
        let remainder = measure.width(total);
        let root = DrawnNode { parent: ROOT, label: LabelId::NONE, cumulative: total, remainder, frame: None };
        let mut nodes = vec![root];
        // By index in `merged`: the index in `nodes`.
        let mut drawn_nodes = vec![ROOT; merged.len()];
        let mut shown = Interner::default();
        for (at, node) in merged.iter().enumerate().filter(|(at, _)| drawn.contains(at)) {
            let (text, kind) = &labels.items()[node.label.index()];
            let text = if node.is_inlined { format!("{text}{INLINED_SUFFIX}") } else { text.clone() };
            let label = LabelId::intern((text, *kind), &mut shown);
            let (parent, remainder) = (drawn_nodes[node.parent], measure.width(node.cumulative));
            nodes[parent].remainder = nodes[parent].remainder.saturating_sub(remainder);
            nodes.push(DrawnNode { parent, label, cumulative: node.cumulative, remainder, frame: node.frame });
            drawn_nodes[at] = nodes.len() - 1;
        }
        let drawn: u64 = nodes.iter().skip(1).filter(|node| node.parent == ROOT).map(|node| node.cumulative).sum();
        let remainder = std::mem::take(&mut nodes[ROOT].remainder);
        if remainder > 0 {
            let label = LabelId::intern((OTHERS_TEXT.to_owned(), FrameKind::Group), &mut shown);
            let cumulative = total.saturating_sub(drawn);
            nodes.push(DrawnNode { parent: ROOT, label, cumulative, remainder, frame: None });
        }
        let parents: Vec<usize> = nodes.iter().map(|node| node.parent).collect();
        let order = depth_first_order(&parents, |at| &shown.items()[nodes[at].label.index()]);
        Self { labels: shown, nodes, order, total, dropped_count, drawn_count }
    }

    /// Returns the total of all samples.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn drawn_count(&self) -> usize {
        self.drawn_count
    }

    /// Returns the number of frames that are wide enough but not drawn, because there are more than [`MAX_FRAMES`].
    pub(super) fn dropped_count(&self) -> usize {
        self.dropped_count
    }

    /// Returns all frames with their texts and kinds: a caller before its callees, and siblings sorted by name.
    pub(super) fn frames(&self) -> impl Iterator<Item = (&DrawnNode, &str, FrameKind)> {
        self.order.iter().map(|at| {
            let node = &self.nodes[*at];
            let (text, kind) = &self.labels.items()[node.label.index()];
            (node, text.as_str(), *kind)
        })
    }

    /// Returns the tree as folded stacks, in the order of [`DrawnTree::frames`]. `key` makes the text of a frame from its
    /// position there.
    pub(super) fn folded_lines(&self, key: impl Fn(usize) -> String) -> Vec<String> {
        let parents: Vec<usize> = self.nodes.iter().map(|node| node.parent).collect();
        folded_lines(&parents, &self.order, |at| self.nodes[at].remainder, key)
    }
}

/// Returns a tree as folded stacks. `order` is the result of [`depth_first_order`]. `key` makes the text of a node from
/// its position in `order`. A remainder is the width of a node minus the widths of its callees.
pub(super) fn folded_lines(
    parents: &[usize],
    order: &[usize],
    remainder: impl Fn(usize) -> u64,
    key: impl Fn(usize) -> String,
) -> Vec<String> {
    let (mut lines, mut path) = (Vec::new(), String::new());
    // Indexed by node: the length of its path. The current path begins with the paths of all callers of its last frame.
    let mut lengths = vec![0; parents.len()];
    for (at, index) in order.iter().enumerate() {
        path.truncate(lengths[parents[*index]]);
        if !path.is_empty() {
            path.push(';');
        }
        path.push_str(&key(at));
        lengths[*index] = path.len();
        if remainder(*index) > 0 {
            lines.push(format!("{path} {}", remainder(*index)));
        }
    }
    lines
}

/// Returns the indexes of all nodes except the root: a caller before its callees, and siblings sorted by name.
pub(super) fn depth_first_order<N: Ord>(parents: &[usize], name: impl Fn(usize) -> N) -> Vec<usize> {
    let mut callees = vec![Vec::new(); parents.len()];
    for (at, parent) in parents.iter().enumerate().skip(1) {
        callees[*parent].push(at);
    }
    let (mut order, mut pending) = (Vec::new(), vec![ROOT]);
    while let Some(at) = pending.pop() {
        order.push(at);
        callees[at].sort_by_key(|callee| Reverse(name(*callee)));
        pending.append(&mut callees[at]);
    }
    order.split_off(1)
}

/// Returns the indexes of the widest [`MAX_FRAMES`] nodes, and the number of the others. A node is selected only together
/// with its caller, which is at least as wide and has a lower index.
pub(super) fn select_widest(widths: &[u64]) -> (HashSet<usize>, usize) {
    let mut wide: Vec<usize> = (1..widths.len()).collect();
    wide.sort_by_key(|at| (Reverse(widths[*at]), *at));
    let dropped = wide.len().saturating_sub(MAX_FRAMES);
    wide.truncate(MAX_FRAMES);
    (wide.into_iter().collect(), dropped)
}

/// [`origin_values`] needs one bit of a byte for each origin.
const _: () = assert!(Origin::ALL.len() <= u8::BITS as usize);

/// Returns the values of each origin that occurs, in the order of [`Origin::ALL`]. Functions that are not drawn count too.
pub(super) fn origin_values(view: &View, measure: &Measure) -> Vec<OriginValues> {
    let profile = view.profile();
    let origin = |frame: &Frame| profile.function(frame.function).origin;
    let bit = |origin: Origin| 1_u8 << origin as u8;
    let locations = profile.locations().flat_map(|(id, _)| profile.frames(id));
    let occurring = locations.fold(0, |all, frame| all | bit(origin(frame)));
    let present = Origin::ALL.into_iter().filter(|origin| occurring & bit(*origin) != 0);
    let mut shares: Vec<_> = present.map(|origin| OriginValues { origin, self_value: 0, cumulative: 0 }).collect();
    let (leaves, stacks) = (profile.leaf_properties(origin), profile.union_stack_bits(|frame| bit(origin(frame))));
    for sample in profile.samples() {
        let (value, at) = (view.value(measure.kind, sample), sample.stack.index());
        for share in &mut shares {
            if stacks[at] & bit(share.origin) != 0 {
                share.cumulative += value;
            }
            if leaves[at] == Some(share.origin) {
                share.self_value += value;
            }
        }
    }
    shares
}

fn frame_label(name: &str, kind: FrameKind) -> FrameLabel {
    (columns::shorten(name, MAX_NAME_WIDTH).into_owned(), kind)
}
