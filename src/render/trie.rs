//! Sequences that share their beginnings, each a number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::profile::position;

/// A tree whose nodes are told apart by a key among the children of one parent.
///
/// Most nodes have one child, and most children that are asked for were the last to be asked for. Both are
/// answered without the index, which holds the children of nodes that have several.
#[derive(Debug, Clone)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    index: HashTable<u32>,
    seed: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    key: u32,
    /// The child that was asked for last; [`Trie::ROOT`] when there is none.
    recent: u32,
}

/// Whether a node has several children: the highest bit of [`Node::recent`].
const SEVERAL: u32 = 1 << 31;

impl Default for Trie {
    fn default() -> Self {
        let root = Node { parent: Self::ROOT, key: u32::MAX, recent: Self::ROOT };
        Self { nodes: vec![root], index: HashTable::new(), seed: RandomState::default() }
    }
}

impl Trie {
    /// The node that all others grow from. It has no key.
    pub(super) const ROOT: u32 = 0;

    /// The child of a node with this key, which is added unless it is there.
    pub(super) fn push(&mut self, parent: u32, key: u32) -> u32 {
        let Node { recent, .. } = self.nodes[parent as usize];
        let (child, several) = (recent & !SEVERAL, recent & SEVERAL != 0);
        if child == Self::ROOT {
            let added = self.add(parent, key);
            self.nodes[parent as usize].recent = added;
            return added;
        }
        if self.nodes[child as usize].key == key {
            return child;
        }
        if !several {
            self.find_or_add(parent, self.nodes[child as usize].key, Some(child));
        }
        let found = self.find_or_add(parent, key, None);
        self.nodes[parent as usize].recent = found | SEVERAL;
        found
    }

    /// Looks into the index; what is not there is added, as `known` where there is such a node.
    fn find_or_add(&mut self, parent: u32, key: u32, known: Option<u32>) -> u32 {
        let Self { nodes, index, seed } = self;
        let hash = |parent: u32, key: u32| seed.hash_one(u64::from(parent) << 32 | u64::from(key));
        let found = index.entry(
            hash(parent, key),
            |at| (nodes[*at as usize].parent, nodes[*at as usize].key) == (parent, key),
            |at| hash(nodes[*at as usize].parent, nodes[*at as usize].key),
        );
        match found {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(vacant) => {
                let at = known.unwrap_or_else(|| position(nodes.len()));
                vacant.insert(at);
                if known.is_none() {
                    nodes.push(Node { parent, key, recent: Self::ROOT });
                }
                at
            }
        }
    }

    fn add(&mut self, parent: u32, key: u32) -> u32 {
        let at = position(self.nodes.len());
        self.nodes.push(Node { parent, key, recent: Self::ROOT });
        at
    }

    /// Parent and key of a node; `None` for the root.
    pub(super) fn get(&self, node: u32) -> Option<(u32, u32)> {
        if node == Self::ROOT {
            return None;
        }
        let Node { parent, key, .. } = self.nodes[node as usize];
        Some((parent, key))
    }

    /// Every node but the root, as (node, parent, key); parents come before their children.
    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = (u32, u32, u32)> + ExactSizeIterator {
        let nodes = self.nodes.iter().enumerate().skip(1);
        nodes.map(|(at, node)| (position(at), node.parent, node.key))
    }

    /// The number of nodes, the root included.
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The children of every node.
    pub(super) fn children(&self) -> Children {
        let mut starts = vec![0_u32; self.count() + 1];
        for (_, parent, _) in self.nodes() {
            starts[parent as usize] += 1;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        // From the back, so that each place moves from the end of its node's children to their beginning.
        let mut list = vec![0; self.count() - 1];
        for (node, parent, _) in self.nodes().rev() {
            let start = &mut starts[parent as usize];
            *start -= 1;
            list[*start as usize] = node;
        }
        Children { starts, list }
    }
}

/// The children of each node of a [`Trie`].
#[derive(Debug)]
pub(super) struct Children {
    /// Where each node's begin in `list`, and last where they all end.
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Children {
    /// The children of a node, in the order in which they were added.
    pub(super) fn of_node(&self, node: u32) -> &[u32] {
        let at = node as usize;
        &self.list[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Trie;

    #[test]
    fn equal_sequences_are_one_node() {
        let mut trie = Trie::default();
        let mut sequence = |keys: &[u32]| keys.iter().fold(Trie::ROOT, |node, key| trie.push(node, *key));
        let first = sequence(&[1, 2, 3]);
        assert_eq!(sequence(&[1, 2, 3]), first);
        let others = [&[1, 2, 4][..], &[1, 2], &[2, 2, 3], &[1, 3, 3], &[1, 2, 5], &[3], &[]].map(&mut sequence);
        for other in others {
            assert_ne!(other, first);
        }
        assert_eq!(sequence(&[1, 2, 3]), first, "also after it was not the last one asked for");
        assert_eq!(sequence(&[1, 2, 4]), others[0]);
        assert_eq!(trie.count(), 12);
        let nodes: Vec<_> = trie.nodes().collect();
        assert_eq!(nodes[..3], [(1, 0, 1), (2, 1, 2), (3, 2, 3)]);
        assert!(nodes.iter().all(|(node, parent, _)| parent < node));
        assert_eq!(trie.get(first), Some((2, 3)));
        assert_eq!(trie.get(Trie::ROOT), None);
    }

    #[test]
    fn children_stand_in_the_order_in_which_they_came() {
        let mut trie = Trie::default();
        let first = trie.push(Trie::ROOT, 1);
        let second = trie.push(Trie::ROOT, 2);
        let inner = [trie.push(first, 5), trie.push(second, 5), trie.push(first, 4)];
        let children = trie.children();
        assert_eq!(children.of_node(Trie::ROOT), [first, second]);
        assert_eq!(children.of_node(first), [inner[0], inner[2]]);
        assert_eq!(children.of_node(second), [inner[1]]);
        assert!(children.of_node(inner[2]).is_empty());
        assert!(Trie::default().children().of_node(Trie::ROOT).is_empty());
    }
}
