//! The frames of a flame graph and their widths, before anything is drawn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::measure::Measure;
use super::merge::{Merged, merge};
use crate::profile::{Frame, Function, Interner, Origin};
use crate::render::name;
use crate::views::{LabelId, Labels, View};

/// Maximum number of frames drawn. More would keep a browser waiting, and the narrowest are far below a pixel.
pub(super) const MAX_FRAMES: usize = 8_000;

/// Frames narrower than 1/2000 of the whole, about half a pixel, are not drawn. Needles of one deep sample each would
/// make the image several times as high and show nothing.
const MIN_SHARE: u64 = 2_000;

/// The callees of frames wider than 1/64 of the whole are shared among the cores; smaller parts are one core's work.
const SHARED_SHARE: u64 = 64;

/// Longer names are shortened in the middle. Frames of names that are then equal are merged.
const MAX_NAME: usize = 200;

/// Stands for the processes that are not drawn, so that shares stay shares of everything.
pub(super) const OTHERS: &str = "(others)";

/// The kind of a frame, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// A process, at the root of its stacks.
    Process,
    /// A function.
    Function(Origin),
}

/// The label of a frame.
type Label = (String, Class);

/// Suffix of functions that the compiler inlined into their caller.
pub(super) const INLINED: &str = " (inlined)";

/// The frames that are drawn.
pub(super) struct Tree {
    labels: Interner<Label>,
    /// A caller comes before its callees; the first node stands for everything.
    nodes: Vec<Node>,
    /// By origin: the self weight of its functions, drawn or not.
    origins: BTreeMap<Origin, u64>,
    total: u64,
    dropped: usize,
}

struct Node {
    parent: usize,
    label: LabelId,
    /// Its width without its drawn callees.
    rest: u64,
}

/// The root of the tree.
pub(super) const ALL: usize = 0;

impl Tree {
    /// Takes the part of the call tree that is wide enough to be seen, and of that the widest [`MAX_FRAMES`].
    pub(super) fn new(view: &View, measure: &Measure) -> Self {
        let (profile, total) = (view.profile(), view.total(measure.value));
        let (mut labels, mut origins) = (Interner::default(), BTreeMap::new());
        let tree = view.call_tree(measure.value, total.div_ceil(MIN_SHARE).max(1), || {
            let process = |name| label(&name::folded_process(name), Class::Process);
            let groups = view.grouping().names().map(|name| LabelId::intern(process(name), &mut labels)).collect();
            let function = |(_, function): (_, &Function)| {
                let name = name::folded_frame(profile.str(function.display));
                LabelId::intern(label(&name, Class::Function(function.origin)), &mut labels)
            };
            let functions = profile.functions().map(function).collect();
            origins = origin_weights(view, measure);
            Labels::new(groups, functions)
        });
        let merged = merge(&tree, total, total / SHARED_SHARE);
        let (drawn, dropped) = widest(&merged);
        let mut nodes = vec![Node { parent: ALL, label: LabelId::NONE, rest: measure.width(total) }];
        let mut places = vec![ALL; merged.len()];
        let mut shown = Interner::default();
        for (at, node) in merged.iter().enumerate().filter(|(at, _)| drawn.contains(at)) {
            let (text, class) = &labels.items()[node.label.index()];
            let text = if node.inlined { format!("{text}{INLINED}") } else { text.clone() };
            let label = LabelId::intern((text, *class), &mut shown);
            let (parent, width) = (places[node.parent], measure.width(node.cumulative));
            nodes[parent].rest = nodes[parent].rest.saturating_sub(width);
            nodes.push(Node { parent, label, rest: width });
            places[at] = nodes.len() - 1;
        }
        Tree { labels: shown, nodes, origins, total, dropped }
    }

    /// The width of everything.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// How many frames there are to draw.
    pub(super) fn drawn(&self) -> usize {
        self.nodes.len() - 1
    }

    /// How many frames are not drawn although they are wide enough, since there are too many.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Every distinct label.
    pub(super) fn labels(&self) -> impl Iterator<Item = (LabelId, &str, Class)> {
        self.labels
            .items()
            .iter()
            .enumerate()
            .map(|(at, (text, class))| (LabelId::from_index(at), text.as_str(), *class))
    }

    /// The self weight of each origin's functions, in order of [`Origin::ALL`]: 0 for origins without any, and none for
    /// origins that occur in no stack.
    pub(super) fn origins(&self) -> Vec<(Origin, u64)> {
        Origin::ALL.into_iter().filter_map(|origin| Some((origin, *self.origins.get(&origin)?))).collect()
    }

    /// The tree as folded stacks, each caller's together and siblings in order of name.
    pub(super) fn lines<'a>(&self, key: impl Fn(LabelId) -> &'a str) -> Vec<String> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            children[node.parent].push(at);
        }
        let mut lines = Vec::new();
        let mut path = String::new();
        // (node, length of its caller's path)
        let mut open = vec![(ALL, 0)];
        while let Some((at, length)) = open.pop() {
            path.truncate(length);
            if at == ALL {
                if self.nodes[at].rest > 0 {
                    lines.push(format!("{OTHERS} {}", self.nodes[at].rest));
                }
            } else {
                if !path.is_empty() {
                    path.push(';');
                }
                path.push_str(key(self.nodes[at].label));
                if self.nodes[at].rest > 0 {
                    lines.push(format!("{path} {}", self.nodes[at].rest));
                }
            }
            let callees = &mut children[at];
            callees.sort_by_key(|callee| Reverse(&self.labels.items()[self.nodes[*callee].label.index()]));
            open.extend(callees.iter().map(|callee| (*callee, path.len())));
        }
        lines
    }
}

/// The nodes that are drawn, and how many are not although they are wide enough. A caller is chosen before its callees,
/// being as wide and before them.
fn widest(nodes: &[Merged]) -> (HashSet<usize>, usize) {
    let mut wide: Vec<usize> = (1..nodes.len()).collect();
    wide.sort_by_key(|at| (Reverse(nodes[*at].cumulative), *at));
    let dropped = wide.len().saturating_sub(MAX_FRAMES);
    wide.truncate(MAX_FRAMES);
    (wide.into_iter().collect(), dropped)
}

/// The self weight of each origin's functions.
fn origin_weights(view: &View, measure: &Measure) -> BTreeMap<Origin, u64> {
    let profile = view.profile();
    let origin = |frame: &Frame| profile.function(frame.function).origin;
    let mut weights = [None; Origin::ALL.len()];
    for frame in profile.locations().flat_map(|(id, _)| profile.frames(id)) {
        weights[origin(frame) as usize] = Some(0);
    }
    let leaves = profile.by_leaf(origin);
    for sample in profile.samples() {
        if let Some(origin) = leaves[sample.stack.index()] {
            *weights[origin as usize].get_or_insert(0) += view.value(measure.value, sample);
        }
    }
    Origin::ALL.into_iter().filter_map(|origin| Some((origin, weights[origin as usize]?))).collect()
}

fn label(name: &str, class: Class) -> Label {
    (name::shorten(name, MAX_NAME).into_owned(), class)
}
