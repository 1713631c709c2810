//! Stacks merged by what is shown of them, for every format that shows names and not addresses.

use super::trie::{Children, Trie};
use crate::profile::{FunctionId, LocationId, Profile, RunnerId, Sample};

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
    // The last stack, and the nodes that its locations led to.
    let (mut path, mut last): (Vec<(LocationId, u32)>, _) = (Vec::new(), None);
    for (root, sample) in samples {
        let start = match last {
            Some((known, node)) if known == root => node,
            _ => {
                path.clear();
                merging.child(ALL, root)
            }
        };
        last = Some((root, start));
        let locations = profile.stack(sample.stack);
        let same = path.iter().zip(&locations).take_while(|((known, _), location)| known == *location).count();
        path.truncate(same);
        let mut node = path.last().map_or(start, |(_, node)| *node);
        for location in &locations[same..] {
            for frame in profile.frames(*location) {
                node = merging.child(node, texts[frame.function.index()]);
            }
            path.push((*location, node));
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
