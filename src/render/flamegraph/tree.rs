//! The frames of a flame graph and their widths, before anything is drawn.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::measure::Measure;
use crate::profile::{FunctionId, Origin, Profile, StackId, StrId};
use crate::render::name;

/// More frames than this are not drawn: they keep a browser waiting and the file large, and the
/// narrowest of so many are far below a pixel.
pub(super) const MAX_FRAMES: usize = 8_000;

/// Frames narrower than one part in so many of the whole are not drawn: about half a pixel. Needles of one
/// deep sample each would make the image several times as high and show nothing.
const MIN_WIDTH: u64 = 2_000;

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

/// A distinct (name, class), as a position in [`Tree::texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TextId(usize);

impl TextId {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// Call trees of all processes, merged by name.
pub(super) struct Tree {
    texts: Vec<(String, Class)>,
    /// A caller comes before its callees. The first node stands for everything.
    nodes: Vec<Node>,
    dropped: usize,
}

struct Node {
    parent: usize,
    text: TextId,
    /// Width of the samples that pass through the node.
    total: u64,
    /// Width of the samples that end in it.
    own: u64,
    drawn: bool,
}

/// The root of the tree.
const ALL: usize = 0;

impl Tree {
    /// Merges the samples of a profile, then drops the frames that are too many or too narrow to be seen.
    pub(super) fn of(profile: &Profile, measure: &Measure) -> Self {
        let mut builder = Builder {
            profile,
            texts: HashMap::new(),
            functions: HashMap::new(),
            children: HashMap::new(),
            stacks: HashMap::new(),
            tree: Tree { texts: Vec::new(), nodes: vec![Node::new(ALL, TextId(usize::MAX))], dropped: 0 },
        };
        for sample in profile.samples() {
            let node = builder.node_of(sample.process, sample.stack);
            builder.tree.nodes[node].own += measure.width(sample);
        }
        let mut tree = builder.tree;
        for at in (1..tree.nodes.len()).rev() {
            tree.nodes[at].total += tree.nodes[at].own;
            let Node { parent, total, .. } = tree.nodes[at];
            tree.nodes[parent].total += total;
        }
        tree.prune();
        tree
    }

    /// The width of everything.
    pub(super) fn total(&self) -> u64 {
        self.nodes[ALL].total
    }

    /// How many frames there are to draw.
    pub(super) fn drawn(&self) -> usize {
        self.nodes.iter().skip(1).filter(|node| node.drawn).count()
    }

    /// How many frames are not drawn although they are wide enough, since there are too many.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Every distinct (name, class).
    pub(super) fn texts(&self) -> impl Iterator<Item = (TextId, &str, Class)> {
        self.texts.iter().enumerate().map(|(at, (text, class))| (TextId(at), text.as_str(), *class))
    }

    /// The widths of the samples that end in functions of each origin, in order of [`Origin::ALL`].
    /// Origins that are drawn, but that no sample ends in, have a width of 0; others are left out.
    pub(super) fn origins(&self) -> Vec<(Origin, u64)> {
        let class = |node: &&Node| self.texts.get(node.text.0).map(|text| text.1);
        let of = |origin| {
            let mut nodes = self.nodes.iter().filter(|node| class(node) == Some(Class::Function(origin))).peekable();
            nodes.peek()?;
            Some((origin, nodes.map(|node| node.own).sum()))
        };
        Origin::ALL.into_iter().filter_map(of).collect()
    }

    /// The tree as folded stacks, each caller's together and siblings in order of name.
    pub(super) fn lines<'a>(&self, key: impl Fn(TextId) -> &'a str) -> Vec<String> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        // What is not drawn ends where its first drawn caller ends.
        let mut ending: Vec<u64> = self.nodes.iter().map(|node| node.own).collect();
        for (at, node) in self.nodes.iter().enumerate().skip(1).rev() {
            if node.drawn {
                children[node.parent].push(at);
            } else {
                ending[node.parent] += ending[at];
            }
        }
        let mut lines = Vec::new();
        let mut path = String::new();
        // (node, length of its caller's path)
        let mut open = vec![(ALL, 0)];
        while let Some((at, length)) = open.pop() {
            path.truncate(length);
            if at == ALL {
                if ending[at] > 0 {
                    lines.push(format!("{OTHERS} {}", ending[at]));
                }
            } else {
                if !path.is_empty() {
                    path.push(';');
                }
                path.push_str(key(self.nodes[at].text));
                if ending[at] > 0 {
                    lines.push(format!("{path} {}", ending[at]));
                }
            }
            let callees = &mut children[at];
            callees.sort_by_key(|callee| Reverse(&self.texts[self.nodes[*callee].text.0]));
            open.extend(callees.iter().map(|callee| (*callee, path.len())));
        }
        lines
    }

    /// Chooses the widest frames. A caller is chosen before its callees, being as wide and before them.
    fn prune(&mut self) {
        let narrowest = self.total().div_ceil(MIN_WIDTH).max(1);
        let mut wide: Vec<usize> = (1..self.nodes.len()).filter(|at| self.nodes[*at].total >= narrowest).collect();
        wide.sort_by_key(|at| (Reverse(self.nodes[*at].total), *at));
        self.dropped = wide.len().saturating_sub(MAX_FRAMES);
        for at in wide.into_iter().take(MAX_FRAMES) {
            self.nodes[at].drawn = true;
        }
    }
}

impl Node {
    fn new(parent: usize, text: TextId) -> Self {
        Self { parent, text, total: 0, own: 0, drawn: false }
    }
}

struct Builder<'a> {
    profile: &'a Profile,
    texts: HashMap<(String, Class), TextId>,
    functions: HashMap<FunctionId, TextId>,
    children: HashMap<(usize, TextId), usize>,
    stacks: HashMap<(StrId, StackId), usize>,
    tree: Tree,
}

impl Builder<'_> {
    /// The node in which the samples of a stack end.
    fn node_of(&mut self, process: StrId, stack: StackId) -> usize {
        // Stacks share their callers: climb to the first one that has a node.
        let mut missing = Vec::new();
        let mut at = stack;
        let mut node = loop {
            if let Some(node) = self.stacks.get(&(process, at)) {
                break *node;
            }
            let Some((frame, caller)) = self.profile.leaf(at) else {
                let text = self.text(&name::folded_process(self.profile.str(process)), Class::Process);
                let node = self.child(ALL, text);
                self.stacks.insert((process, at), node);
                break node;
            };
            missing.push((at, frame));
            at = caller;
        };
        for (stack, frame) in missing.into_iter().rev() {
            let text = self.function(self.profile.frame(frame).function);
            node = self.child(node, text);
            self.stacks.insert((process, stack), node);
        }
        node
    }

    fn function(&mut self, id: FunctionId) -> TextId {
        if let Some(text) = self.functions.get(&id) {
            return *text;
        }
        let function = self.profile.function(id);
        let name = name::folded_frame(self.profile.str(function.display));
        let text = self.text(&name, Class::Function(function.origin));
        self.functions.insert(id, text);
        text
    }

    fn text(&mut self, name: &str, class: Class) -> TextId {
        let texts = &mut self.tree.texts;
        let key = (name::shorten(name, MAX_NAME).into_owned(), class);
        *self.texts.entry(key.clone()).or_insert_with(|| {
            texts.push(key);
            TextId(texts.len() - 1)
        })
    }

    fn child(&mut self, parent: usize, text: TextId) -> usize {
        let nodes = &mut self.tree.nodes;
        *self.children.entry((parent, text)).or_insert_with(|| {
            nodes.push(Node::new(parent, text));
            nodes.len() - 1
        })
    }
}
