//! The frames of a flame graph and their widths, before anything is drawn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::measure::Measure;
use super::merge::{Merged, merge};
use crate::profile::{Frame, Function, Interner, Origin, Profile, Sample};
use crate::render::groups::{Groups, TextId, parts, walk};
use crate::render::name;

/// More frames than this are not drawn: they keep a browser waiting and the file large, and the
/// narrowest of so many are far below a pixel.
pub(super) const MAX_FRAMES: usize = 8_000;

/// Frames narrower than one part in so many of the whole are not drawn: about half a pixel. Needles of one
/// deep sample each would make the image several times as high and show nothing.
const MIN_WIDTH: u64 = 2_000;

/// Frames wider than one part in so many of the whole are made on all cores together, and what stands above the others by
/// one core each.
const WIDE: u64 = 64;

/// Longer names are shortened in the middle. Frames of names that are then equal are merged.
const MAX_NAME: usize = 200;

/// Stands for the processes that are not drawn, so that shares stay shares of everything.
pub(super) const OTHERS: &str = "(others)";

/// What a frame stands for, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// A process, at the root of its stacks.
    Process,
    /// A function.
    Function(Origin),
}

/// What is shown of a frame.
type Text = (String, Class);

/// What stands behind the name of a function that the compiler put into its caller.
pub(super) const INLINED: &str = " (inlined)";

/// Call trees of all processes, merged by name, without what cannot be seen.
pub(super) struct Tree {
    texts: Interner<Text>,
    /// What is drawn. A caller comes before its callees; the first node stands for everything.
    nodes: Vec<Node>,
    /// The widths of the samples that end in functions of each origin, drawn or not.
    origins: BTreeMap<Origin, u64>,
    total: u64,
    dropped: usize,
}

struct Node {
    parent: usize,
    text: TextId,
    /// Width of the samples that end in it, or in what it calls and is not drawn.
    ending: u64,
}

/// The root of the tree.
pub(super) const ALL: usize = 0;

impl Tree {
    /// Merges the samples of a profile by what is shown, from the root upwards and only as far as frames are wide enough
    /// to be seen; then drops the narrowest if there are too many.
    pub(super) fn of(profile: &Profile, measure: &Measure) -> Self {
        let mut texts = Interner::default();
        let width = |sample: &Sample| measure.width(sample);
        let process = |process: &str| TextId::of(text(&name::folded_process(process), Class::Process), &mut texts);
        let (parts, total) = parts(profile, width, process);
        let (walk, (functions, origins)) = rayon::join(
            || walk(profile, width, &parts),
            || (of_functions(&mut texts, profile), origins(profile, measure)),
        );
        let narrowest = total.div_ceil(MIN_WIDTH).max(1);
        let merged = merge(&Groups::new(profile, &walk, functions, narrowest), &parts, total, total / WIDE);
        let (drawn, dropped) = widest(&merged);
        let mut nodes = vec![Node { parent: ALL, text: TextId::NONE, ending: total }];
        let mut places = vec![ALL; merged.len()];
        let mut shown = Interner::default();
        for (at, node) in merged.iter().enumerate().filter(|(at, _)| drawn.contains(at)) {
            let (text, class) = &texts.items()[node.text.index()];
            let text = if node.inlined { format!("{text}{INLINED}") } else { text.clone() };
            let text = TextId::of((text, *class), &mut shown);
            let parent = places[node.parent];
            nodes[parent].ending -= node.width;
            nodes.push(Node { parent, text, ending: node.width });
            places[at] = nodes.len() - 1;
        }
        Tree { texts: shown, nodes, origins, total, dropped }
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

    /// Every distinct (name, class).
    pub(super) fn texts(&self) -> impl Iterator<Item = (TextId, &str, Class)> {
        self.texts.items().iter().enumerate().map(|(at, (text, class))| (TextId::at(at), text.as_str(), *class))
    }

    /// The widths of the samples that end in functions of each origin, in order of [`Origin::ALL`].
    /// Origins that no sample ends in have a width of 0; those that occur in no stack are left out.
    pub(super) fn origins(&self) -> Vec<(Origin, u64)> {
        Origin::ALL.into_iter().filter_map(|origin| Some((origin, *self.origins.get(&origin)?))).collect()
    }

    /// The tree as folded stacks, each caller's together and siblings in order of name.
    pub(super) fn lines<'a>(&self, key: impl Fn(TextId) -> &'a str) -> Vec<String> {
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
                if self.nodes[at].ending > 0 {
                    lines.push(format!("{OTHERS} {}", self.nodes[at].ending));
                }
            } else {
                if !path.is_empty() {
                    path.push(';');
                }
                path.push_str(key(self.nodes[at].text));
                if self.nodes[at].ending > 0 {
                    lines.push(format!("{path} {}", self.nodes[at].ending));
                }
            }
            let callees = &mut children[at];
            callees.sort_by_key(|callee| Reverse(&self.texts.items()[self.nodes[*callee].text.index()]));
            open.extend(callees.iter().map(|callee| (*callee, path.len())));
        }
        lines
    }
}

/// The nodes that are drawn, and how many are not although they are wide enough. A caller is chosen before its callees,
/// being as wide and before them.
fn widest(nodes: &[Merged]) -> (HashSet<usize>, usize) {
    let mut wide: Vec<usize> = (1..nodes.len()).collect();
    wide.sort_by_key(|at| (Reverse(nodes[*at].width), *at));
    let dropped = wide.len().saturating_sub(MAX_FRAMES);
    wide.truncate(MAX_FRAMES);
    (wide.into_iter().collect(), dropped)
}

/// The widths of the samples that end in functions of each origin.
fn origins(profile: &Profile, measure: &Measure) -> BTreeMap<Origin, u64> {
    let origin = |frame: &Frame| profile.function(frame.function).origin;
    let mut widths = [None; Origin::ALL.len()];
    for frame in profile.locations().flat_map(|(id, _)| profile.frames(id)) {
        widths[origin(frame) as usize] = Some(0);
    }
    let ends = profile.by_leaf(origin);
    for sample in profile.samples() {
        if let Some(origin) = ends[sample.stack.index()] {
            *widths[origin as usize].get_or_insert(0) += measure.width(sample);
        }
    }
    Origin::ALL.into_iter().filter_map(|origin| Some((origin, widths[origin as usize]?))).collect()
}

/// Those of all functions.
fn of_functions(texts: &mut Interner<Text>, profile: &Profile) -> Vec<TextId> {
    let id = |(_, function): (_, &Function)| {
        let name = name::folded_frame(profile.str(function.display));
        TextId::of(text(&name, Class::Function(function.origin)), texts)
    };
    profile.functions().map(id).collect()
}

fn text(name: &str, class: Class) -> Text {
    (name::shorten(name, MAX_NAME).into_owned(), class)
}
