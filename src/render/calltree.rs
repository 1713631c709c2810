//! Stacks merged by what is shown of them, for every format that shows names and not addresses.

use crate::profile::{FunctionId, Profile, Sample, StackId, Trie};

/// What is shown of a frame, by position in a table of the caller's.
pub(super) type TextId = u32;

/// Frames with everything that they call. A node is a position; parents come before their children.
pub(super) struct CallTree {
    /// Keys are texts.
    trie: Trie,
    /// Figure of the samples that end in each node.
    own: Vec<u64>,
    /// Whether every call of each node was inlined.
    inlined: Vec<bool>,
}

/// The node that stands for everything.
pub(super) const ALL: u32 = Trie::ROOT;

/// Merges the samples of a profile. `root` is shown beneath each stack, `text` of a function, and `figure` is added up.
/// Nodes come after their parents; the first is [`ALL`], whose text means nothing.
pub(super) fn merge(
    profile: &Profile,
    mut root: impl FnMut(&Sample) -> TextId,
    mut text: impl FnMut(FunctionId) -> TextId,
    figure: impl Fn(&Sample) -> u64,
) -> CallTree {
    let texts: Vec<TextId> = profile.functions().map(|(function, _)| text(function)).collect();
    let mut merging = CallTree { trie: Trie::default(), own: vec![0], inlined: vec![false] };
    let mut samples: Vec<(TextId, &Sample)> = profile.samples().iter().map(|sample| (root(sample), sample)).collect();
    // Roots in the order of their samples, the samples of one root together.
    samples.sort_by_key(|(root, _)| *root);
    // Nodes of stacks on the root at hand, none being `ALL`.
    let mut nodes = vec![ALL; profile.stack_count()];
    let mut touched: Vec<StackId> = Vec::new();
    let mut missing = Vec::new();
    let mut last = None;
    for (root, sample) in samples {
        if last.replace(root) != Some(root) {
            touched.drain(..).for_each(|stack| nodes[stack.index()] = ALL);
            nodes[StackId::EMPTY.index()] = merging.child(ALL, root, false);
        }
        // Stacks share their callers: climb to the first one that has a node.
        let mut at = sample.stack;
        while nodes[at.index()] == ALL {
            let Some((frame, caller)) = profile.leaf(at) else { break };
            missing.push((at, frame));
            at = caller;
        }
        let mut node = nodes[at.index()];
        for (stack, frame) in missing.drain(..).rev() {
            let frame = profile.frame(frame);
            node = merging.child(node, texts[frame.function.index()], frame.inlined);
            nodes[stack.index()] = node;
            touched.push(stack);
        }
        let own = &mut merging.own[node as usize];
        *own = own.saturating_add(figure(sample));
    }
    merging
}

impl CallTree {
    /// The number of nodes.
    pub(super) fn count(&self) -> usize {
        self.trie.count()
    }

    /// Every node but [`ALL`], as (node, parent, text).
    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = (u32, u32, TextId)> + ExactSizeIterator {
        self.trie.nodes()
    }

    /// Figure of the samples that end in a node.
    pub(super) fn own(&self, node: u32) -> u64 {
        self.own[node as usize]
    }

    /// The text of a node; `None` for [`ALL`].
    pub(super) fn text(&self, node: u32) -> Option<TextId> {
        self.trie.get(node).map(|(_, text)| text)
    }

    /// Whether every call of a node was inlined.
    pub(super) fn inlined(&self, node: u32) -> bool {
        self.inlined[node as usize]
    }

    fn child(&mut self, parent: u32, text: TextId, inlined: bool) -> u32 {
        let node = self.trie.push(parent, text);
        if let Some(all) = self.inlined.get_mut(node as usize) {
            *all &= inlined;
        } else {
            self.inlined.push(inlined);
            self.own.push(0);
        }
        node
    }
}

/// The children of each node.
pub(super) struct Children {
    /// Where each node's begin in `list`, and last where they all end.
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Children {
    pub(super) fn of(tree: &CallTree) -> Self {
        let mut starts = vec![0_u32; tree.count() + 1];
        for (_, parent, _) in tree.nodes() {
            starts[parent as usize] += 1;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        // From the back, so that each place moves from the end of its node's children to their beginning.
        let mut list = vec![0; tree.nodes().len()];
        for (node, parent, _) in tree.nodes().rev() {
            let start = &mut starts[parent as usize];
            *start -= 1;
            list[*start as usize] = node;
        }
        Self { starts, list }
    }

    /// The children of a node.
    pub(super) fn of_node(&self, node: u32) -> &[u32] {
        let at = node as usize;
        &self.list[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}
