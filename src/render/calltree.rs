//! Stacks merged by what is shown of them, for every format that shows names and not addresses.

use crate::profile::{Children, FunctionId, Profile, RunnerId, Sample, StackId, Trie};

/// What is shown of a frame, by position in a table of the caller's.
pub(super) type TextId = u32;

/// Frames with everything that they call. A node is a position; parents come before their children.
pub(super) struct CallTree {
    /// Keys are texts.
    trie: Trie,
    /// Figure of the samples that end in each node.
    own: Vec<u64>,
}

/// The node that stands for everything.
pub(super) const ALL: u32 = Trie::ROOT;

/// Merges the samples of a profile. `root` is shown beneath each stack, `text` of a function, and `figure` is added up.
/// Nodes come after their parents; the first is [`ALL`], whose text means nothing.
pub(super) fn merge(
    profile: &Profile,
    mut root: impl FnMut(RunnerId) -> TextId,
    mut text: impl FnMut(FunctionId) -> TextId,
    figure: impl Fn(&Sample) -> u64,
) -> CallTree {
    let texts: Vec<TextId> = profile.functions().map(|(function, _)| text(function)).collect();
    let mut merging = CallTree { trie: Trie::default(), own: vec![0] };
    let mut samples: Vec<(TextId, &Sample)> =
        profile.samples().iter().map(|sample| (root(sample.runner), sample)).collect();
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
            nodes[StackId::EMPTY.index()] = merging.child(ALL, root);
        }
        // Stacks share their callers: climb to the first one that has a node.
        let mut at = sample.stack;
        while nodes[at.index()] == ALL {
            let Some((location, caller)) = profile.leaf(at) else { break };
            missing.push((at, location));
            at = caller;
        }
        let mut node = nodes[at.index()];
        for (stack, location) in missing.drain(..).rev() {
            for frame in profile.frames(location) {
                node = merging.child(node, texts[frame.function.index()]);
            }
            nodes[stack.index()] = node;
            touched.push(stack);
        }
        let own = &mut merging.own[node as usize];
        *own = own.saturating_add(figure(sample));
    }
    merging
}

impl CallTree {
    /// Figure of the samples that end in a node.
    pub(super) fn own(&self, node: u32) -> u64 {
        self.own[node as usize]
    }

    /// The text of a node; `None` for [`ALL`].
    pub(super) fn text(&self, node: u32) -> Option<TextId> {
        self.trie.get(node).map(|(_, text)| text)
    }

    /// The children of every node.
    pub(super) fn children(&self) -> Children {
        self.trie.children()
    }

    fn child(&mut self, parent: u32, text: TextId) -> u32 {
        let node = self.trie.push(parent, text);
        if self.own.len() <= node as usize {
            self.own.push(0);
        }
        node
    }
}
