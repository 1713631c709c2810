//! The frames of a flame graph and their widths, before anything is drawn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::measure::Measure;
use crate::profile::{Origin, Profile};
use crate::render::calltree::{self, merge};
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

/// What stands behind the name of a function that the compiler put into its caller.
pub(super) const INLINED: &str = " (inlined)";

/// Call trees of all processes, merged by name, without what cannot be seen.
pub(super) struct Tree {
    texts: Vec<(String, Class)>,
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
const ALL: usize = 0;

impl Tree {
    /// Merges the samples of a profile, then drops the frames that are too many or too narrow to be seen.
    pub(super) fn of(profile: &Profile, measure: &Measure) -> Self {
        let mut texts = Texts::default();
        let functions: Vec<_> = profile
            .functions()
            .map(|(_, function)| {
                let name = name::folded_frame(profile.str(function.display));
                texts.id(&name, Class::Function(function.origin))
            })
            .collect();
        let mut processes = HashMap::new();
        let merged = merge(
            profile,
            |sample| {
                let name = || texts.id(&name::folded_process(profile.str(sample.process)), Class::Process);
                *processes.entry(sample.process).or_insert_with(name)
            },
            |function| functions[function.index()],
            |sample| measure.width(sample),
        );
        // Everything is measured, but only what can be seen is kept.
        let mut totals: Vec<u64> = (0..).take(merged.count()).map(|node| merged.own(node)).collect();
        let mut origins = BTreeMap::new();
        for (node, parent, text) in merged.nodes().rev() {
            totals[parent as usize] += totals[node as usize];
            if let Class::Function(origin) = texts.list[text as usize].1 {
                *origins.entry(origin).or_default() += merged.own(node);
            }
        }
        let total = totals[ALL];
        let (drawn, dropped) = widest(&totals);
        let mut nodes = vec![Node { parent: ALL, text: TextId(usize::MAX), ending: merged.own(calltree::ALL) }];
        // Where the samples of each node are drawn.
        let mut places = vec![ALL; merged.count()];
        for (node, parent, text) in merged.nodes() {
            let mut place = places[parent as usize];
            if drawn.contains(&node) {
                let text = if merged.inlined(node) { texts.inlined(text) } else { text };
                nodes.push(Node { parent: place, text: TextId(text as usize), ending: 0 });
                place = nodes.len() - 1;
            }
            places[node as usize] = place;
            nodes[place].ending += merged.own(node);
        }
        Tree { texts: texts.list, nodes, origins, total, dropped }
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
        self.texts.iter().enumerate().map(|(at, (text, class))| (TextId(at), text.as_str(), *class))
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
            callees.sort_by_key(|callee| Reverse(&self.texts[self.nodes[*callee].text.0]));
            open.extend(callees.iter().map(|callee| (*callee, path.len())));
        }
        lines
    }
}

/// The nodes that are drawn, and how many are not although they are wide enough. A caller is chosen before its callees,
/// being as wide and before them.
fn widest(totals: &[u64]) -> (HashSet<u32>, usize) {
    let narrowest = totals[ALL].div_ceil(MIN_WIDTH).max(1);
    let nodes = (0_u32..).zip(totals).skip(1);
    let mut wide: Vec<(u32, u64)> =
        nodes.filter(|(_, total)| **total >= narrowest).map(|(node, total)| (node, *total)).collect();
    wide.sort_by_key(|(node, total)| (Reverse(*total), *node));
    let dropped = wide.len().saturating_sub(MAX_FRAMES);
    (wide.into_iter().take(MAX_FRAMES).map(|(node, _)| node).collect(), dropped)
}

/// Distinct (name, class)es.
#[derive(Default)]
struct Texts {
    list: Vec<(String, Class)>,
    ids: HashMap<(String, Class), calltree::TextId>,
    inlined: HashMap<calltree::TextId, calltree::TextId>,
}

impl Texts {
    fn id(&mut self, name: &str, class: Class) -> calltree::TextId {
        self.exactly((name::shorten(name, MAX_NAME).into_owned(), class))
    }

    fn exactly(&mut self, text: (String, Class)) -> calltree::TextId {
        let list = &mut self.list;
        *self.ids.entry(text).or_insert_with_key(|text| {
            list.push(text.clone());
            calltree::TextId::try_from(list.len() - 1).unwrap_or(calltree::TextId::MAX)
        })
    }

    /// The same function, inlined.
    fn inlined(&mut self, id: calltree::TextId) -> calltree::TextId {
        if let Some(known) = self.inlined.get(&id) {
            return *known;
        }
        let (name, class) = &self.list[id as usize];
        let marked = (format!("{name}{INLINED}"), *class);
        let marked = self.exactly(marked);
        self.inlined.insert(id, marked);
        marked
    }
}
