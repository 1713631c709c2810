//! The frames of a flame graph and their widths, before anything is drawn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use super::measure::Measure;
use super::merge::{Merged, Merging};
use crate::profile::{Frame, Function, Origin, Profile, Walk, position};
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

/// A distinct (name, class), as a position in [`Tree::texts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TextId(u32);

impl TextId {
    /// What stands for everything, and has none.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn at(at: usize) -> Self {
        Self(position(at))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
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

/// The samples of a process.
pub(super) struct Part {
    pub(super) text: TextId,
    /// By position in [`Profile::samples`].
    pub(super) samples: Vec<u32>,
    pub(super) width: u64,
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
        let mut texts = Texts::default();
        let (parts, total) = parts(profile, measure, &mut texts);
        let (walk, (functions, origins)) =
            rayon::join(|| walk(profile, measure, &parts), || (texts.of_functions(profile), origins(profile, measure)));
        let narrowest = total.div_ceil(MIN_WIDTH).max(1);
        let merged = Merging::new(profile, &walk, functions, narrowest).merge(&parts, total, total / WIDE);
        let (drawn, dropped) = widest(&merged);
        let mut nodes = vec![Node { parent: ALL, text: TextId::NONE, ending: total }];
        let mut places = vec![ALL; merged.len()];
        let mut shown = Texts::default();
        for (at, node) in merged.iter().enumerate().filter(|(at, _)| drawn.contains(at)) {
            let text = shown.same(&texts, node.text, node.inlined);
            let parent = places[node.parent];
            nodes[parent].ending -= node.width;
            nodes.push(Node { parent, text, ending: node.width });
            places[at] = nodes.len() - 1;
        }
        Tree { texts: shown.list, nodes, origins, total, dropped }
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
        self.texts.iter().enumerate().map(|(at, (text, class))| (TextId::at(at), text.as_str(), *class))
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
            callees.sort_by_key(|callee| Reverse(&self.texts[self.nodes[*callee].text.index()]));
            open.extend(callees.iter().map(|callee| (*callee, path.len())));
        }
        lines
    }
}

/// The samples of each process, and the width of everything.
fn parts(profile: &Profile, measure: &Measure, texts: &mut Texts) -> (Vec<Part>, u64) {
    let mut parts: Vec<Part> = Vec::new();
    let mut part_of = |process: &str| {
        let text = texts.id(&name::folded_process(process), Class::Process);
        let known = parts.iter().position(|part| part.text == text);
        position(known.unwrap_or_else(|| {
            parts.push(Part { text, samples: Vec::new(), width: 0 });
            parts.len() - 1
        }))
    };
    let mut processes = HashMap::new();
    let by_runner = profile
        .runners()
        .map(|runner| *processes.entry(runner.process).or_insert_with_key(|process| part_of(profile.str(*process))));
    let by_runner: Vec<u32> = by_runner.collect();
    let mut total = 0;
    for (at, sample) in (0..).zip(profile.samples()) {
        let width = measure.width(sample);
        let part = &mut parts[by_runner[sample.runner.index()] as usize];
        part.samples.push(at);
        part.width += width;
        total += width;
    }
    (parts, total)
}

/// The stacks of each part.
fn walk<'p>(profile: &'p Profile, measure: &Measure, parts: &[Part]) -> Walk<'p> {
    let samples = profile.samples();
    let stack = |at: &u32| (samples[*at as usize].stack, measure.width(&samples[*at as usize]));
    Walk::of(profile, parts.iter().map(|part| part.samples.iter().map(stack)))
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

/// Distinct (name, class)es.
#[derive(Default)]
struct Texts {
    list: Vec<(String, Class)>,
    ids: HashMap<(String, Class), TextId, RandomState>,
}

impl Texts {
    /// Those of all functions.
    fn of_functions(&mut self, profile: &Profile) -> Vec<TextId> {
        let id = |(_, function): (_, &Function)| {
            self.id(&name::folded_frame(profile.str(function.display)), Class::Function(function.origin))
        };
        profile.functions().map(id).collect()
    }

    fn id(&mut self, name: &str, class: Class) -> TextId {
        self.exactly((name::shorten(name, MAX_NAME).into_owned(), class))
    }

    fn exactly(&mut self, text: (String, Class)) -> TextId {
        let list = &mut self.list;
        *self.ids.entry(text).or_insert_with_key(|text| {
            list.push(text.clone());
            TextId::at(list.len() - 1)
        })
    }

    /// One of other texts, marked where it stands for calls that were inlined.
    fn same(&mut self, others: &Self, id: TextId, inlined: bool) -> TextId {
        let (text, class) = &others.list[id.index()];
        let text = if inlined { format!("{text}{INLINED}") } else { text.clone() };
        self.exactly((text, *class))
    }
}
