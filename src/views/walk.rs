//! All stacks of a profile from their roots, with the weight that passes each of them.
//!
//! Stacks that begin alike share segments (see [`Stacks`]), so one pass over the segments gives the weight of every
//! call path. The samples are divided into groups; each group has weights of its own.

use rayon::prelude::*;

use crate::profile::{Frame, LocationId, Profile, StackId, Stacks, position};

/// The stacks of all groups, with the weight of each segment.
#[derive(Debug)]
pub(super) struct StackWalk {
    callees: Callees,
    /// Dense weights of a large group, by stack: the weight of all samples of the group that pass the stack.
    tables: Vec<Vec<u64>>,
    /// The stacks of the small groups.
    nodes: Vec<SparseNode>,
    /// By group.
    roots: Vec<Roots>,
}

/// The callees of every stack, whatever the group.
#[derive(Debug)]
struct Callees {
    /// All stacks but [`StackId::EMPTY`], sorted by caller.
    by_caller: Vec<StackId>,
    /// By caller: the end of its range in `by_caller`. The range begins where that of the caller before it ends.
    ends: Vec<u32>,
}

/// Where the weights of a group are.
#[derive(Debug, Clone, Copy)]
enum Roots {
    /// In [`StackWalk::tables`], at this position.
    Dense(u8),
    /// In [`StackWalk::nodes`]; this is the first root.
    Sparse(Link),
}

/// A stack of a small group.
#[derive(Debug, Clone, Copy)]
struct SparseNode {
    stack: StackId,
    first_callee: Link,
    next_sibling: Link,
    /// Weight of all samples of the group that pass the stack.
    weight: u64,
}

/// The position of a [`SparseNode`], or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const NONE: Self = Self(u32::MAX);

    /// To the node that is added next.
    fn to_next(nodes: &[SparseNode]) -> Self {
        Self(position(nodes.len()))
    }

    /// Whether it leads to that node or to one that was added later.
    fn is_since(self, node: Self) -> bool {
        self != Self::NONE && self.0 >= node.0
    }
}

/// A position between two frames on all stacks of a group that begin alike.
///
/// It holds what the next step needs, so that stepping many walkers looks up as little as possible.
#[derive(Debug, Clone, Copy)]
pub struct Walker {
    /// Weight of the samples that pass here.
    pub weight: u64,
    /// Position of its stack; in a small group, of its [`SparseNode`].
    place: u32,
    /// Position of the next frame in [`Profile::frames`] of its location. Frames behind the highest position are not
    /// walked: no compiler inlines 65 535 calls into one another.
    frame: u16,
    /// Position of that location in its segment.
    location: u8,
    /// Position of the group's table in [`StackWalk::tables`]; [`NO_TABLE`] in a small group.
    table: u8,
}

const NO_TABLE: u8 = u8::MAX;

/// Small groups walk only their own stacks: those with fewer than one sample per `FEW` stacks of the profile.
const FEW: usize = 8;

/// Maximum number of dense tables: each has 8 bytes per stack of the profile.
const MAX_TABLES: usize = 16;

impl StackWalk {
    /// Adds up the samples of each group, given as stacks and weights; samples without weight are left out. Sums saturate.
    pub(super) fn new<G>(profile: &Profile, groups: impl IntoIterator<Item = G>) -> Self
    where
        G: ExactSizeIterator<Item = (StackId, u64)> + Clone + Send,
    {
        let stacks = profile.stacks();
        let (mut roots, mut large, mut small) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            if group.len() > stacks.count() / FEW && large.len() < MAX_TABLES {
                roots.push(Roots::Dense(u8::try_from(large.len()).unwrap_or(u8::MAX)));
                large.push(group);
            } else {
                small.push((roots.len(), group));
                roots.push(Roots::Sparse(Link::NONE));
            }
        }
        let dense = || large.into_par_iter().with_max_len(1).map(|group| dense_weights(stacks, group)).collect();
        let sparse = || {
            let mut nodes = SparseNodes::new(stacks);
            for (at, group) in small {
                roots[at] = Roots::Sparse(nodes.add(group));
            }
            nodes.list
        };
        let (callees, (tables, nodes)) = rayon::join(|| Callees::new(stacks), || rayon::join(dense, sparse));
        Self { callees, tables, nodes, roots }
    }

    /// Walkers before the roots of a group.
    pub(super) fn roots(&self, group: usize) -> impl Iterator<Item = Walker> {
        match self.roots.get(group).copied().unwrap_or(Roots::Sparse(Link::NONE)) {
            Roots::Dense(table) => self.walkers(StackId::EMPTY, table, Link::NONE),
            Roots::Sparse(first) => self.walkers(StackId::EMPTY, NO_TABLE, first),
        }
    }

    /// Walkers on the segments that follow where this walker has come to the end of its own.
    pub(super) fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        match walker.table {
            NO_TABLE => {
                let callee = self.node(Link(walker.place)).map_or(Link::NONE, |node| node.first_callee);
                self.walkers(StackId::EMPTY, NO_TABLE, callee)
            }
            table => self.walkers(StackId::from_index(walker.place), table, Link::NONE),
        }
    }

    /// With a table: the callees of `caller` that have weight. Without: the node `first` and its siblings.
    fn walkers(&self, caller: StackId, table: u8, first: Link) -> impl Iterator<Item = Walker> {
        let dense = self.tables.get(usize::from(table)).into_iter().flat_map(move |weights| {
            let stacks = self.callees.of(caller).map(|stack| (position(stack.index()), weights[stack.index()]));
            stacks.filter(|(_, weight)| *weight > 0)
        });
        let sparse = std::iter::successors(self.node(first).map(|node| (first, node)), |(_, node)| {
            self.node(node.next_sibling).map(|next| (node.next_sibling, next))
        });
        let sparse = sparse.map(|(link, node)| (link.0, node.weight));
        let walker = move |(place, weight)| Walker { weight, place, frame: 0, location: 0, table };
        dense.chain(sparse).map(walker)
    }

    fn stack(&self, walker: &Walker) -> StackId {
        match walker.table {
            NO_TABLE => self.node(Link(walker.place)).map_or(StackId::EMPTY, |node| node.stack),
            _ => StackId::from_index(walker.place),
        }
    }

    fn node(&self, link: Link) -> Option<&SparseNode> {
        self.nodes.get(link.0 as usize)
    }

    /// The location whose first frame is next; `None` at the end of the segment and between the frames of a location.
    pub(super) fn next_location(&self, profile: &Profile, walker: &Walker) -> Option<LocationId> {
        if walker.frame > 0 { None } else { profile.stacks().location(self.stack(walker), walker.location) }
    }

    /// Takes the walker past the next frame. Returns the frame, and whether the compiler inlined this call into its
    /// caller; `None` at the end of the segment.
    pub(super) fn step(&self, profile: &Profile, walker: &mut Walker) -> Option<(Frame, bool)> {
        let stack = self.stack(walker);
        while let Some(location) = profile.stacks().location(stack, walker.location) {
            let frame = profile.frames(location).get(usize::from(walker.frame));
            if let (Some(frame), Some(next)) = (frame, walker.frame.checked_add(1)) {
                walker.frame = next;
                return Some((*frame, next > 1));
            }
            walker.skip_location();
        }
        None
    }
}

impl Callees {
    fn new(stacks: &Stacks) -> Self {
        let mut ends = vec![0; stacks.count()];
        stacks.ids().for_each(|stack| ends[stacks.caller(stack).index()] += 1);
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        let mut by_caller = vec![StackId::EMPTY; stacks.ids().len()];
        for stack in stacks.ids() {
            let next = &mut ends[stacks.caller(stack).index()];
            by_caller[*next as usize] = stack;
            *next += 1;
        }
        Self { by_caller, ends }
    }

    /// The callees of a stack, the last one first; of [`StackId::EMPTY`], the roots.
    fn of(&self, caller: StackId) -> impl Iterator<Item = StackId> {
        let start = caller.index().checked_sub(1).map_or(0, |before| self.ends[before]);
        self.by_caller[start as usize..self.ends[caller.index()] as usize].iter().rev().copied()
    }
}

/// The nodes of the small groups, while they are added.
struct SparseNodes<'p> {
    stacks: &'p Stacks,
    list: Vec<SparseNode>,
    /// By stack; all 0 between two groups.
    weights: Vec<u64>,
    /// By stack: its node in the group that was added last and has it.
    links: Vec<Link>,
}

impl<'p> SparseNodes<'p> {
    fn new(stacks: &'p Stacks) -> Self {
        let (weights, links) = (vec![0; stacks.count()], vec![Link::NONE; stacks.count()]);
        Self { stacks, list: Vec::new(), weights, links }
    }

    /// Adds the nodes of a group. Returns its first root.
    fn add(&mut self, group: impl Iterator<Item = (StackId, u64)> + Clone) -> Link {
        let stacks = self.stacks;
        let mut members = Vec::new();
        let new = Link::to_next(&self.list);
        for (mut stack, _) in group.clone() {
            while stack != StackId::EMPTY && !self.links[stack.index()].is_since(new) {
                // Marks the stack as a member; its own position follows below.
                self.links[stack.index()] = new;
                members.push(stack);
                stack = stacks.caller(stack);
            }
        }
        members.sort_unstable();
        add_weights(stacks, group, members.iter().copied(), &mut self.weights);
        let mut root = Link::NONE;
        for stack in members {
            let weight = std::mem::take(&mut self.weights[stack.index()]);
            if weight == 0 {
                continue;
            }
            let link = Link::to_next(&self.list);
            // The caller of a stack with weight has weight and a node too.
            let siblings = match stacks.caller(stack) {
                StackId::EMPTY => &mut root,
                caller => &mut self.list[self.links[caller.index()].0 as usize].first_callee,
            };
            let next_sibling = std::mem::replace(siblings, link);
            self.links[stack.index()] = link;
            self.list.push(SparseNode { stack, first_callee: Link::NONE, next_sibling, weight });
        }
        root
    }
}

/// The weight of a group's samples that pass each stack, by stack.
fn dense_weights(stacks: &Stacks, group: impl Iterator<Item = (StackId, u64)>) -> Vec<u64> {
    let mut weights = vec![0; stacks.count()];
    add_weights(stacks, group, stacks.ids(), &mut weights);
    weights
}

/// Adds the weights of a group's samples to their stacks and to all callers. `members` are these stacks in rising order.
fn add_weights(
    stacks: &Stacks,
    group: impl Iterator<Item = (StackId, u64)>,
    members: impl DoubleEndedIterator<Item = StackId>,
    weights: &mut [u64],
) {
    for (stack, weight) in group {
        weights[stack.index()] = weights[stack.index()].saturating_add(weight);
    }
    // Callers have lower numbers than their callees.
    for stack in members.rev() {
        let (caller, weight) = (stacks.caller(stack).index(), weights[stack.index()]);
        weights[caller] = weights[caller].saturating_add(weight);
    }
    weights[StackId::EMPTY.index()] = 0;
}

impl Walker {
    /// Passes over the [next location](StackWalk::next_location) with all its frames.
    pub(super) fn skip_location(&mut self) {
        self.location += 1;
        self.frame = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TABLES, StackWalk, Walker};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Location, Profile, StackId};

    /// All frames, each with its depth, its weight, and whether it is inlined; callees behind their callers.
    fn frames(profile: &Profile, stacks: &[(StackId, u64)]) -> Vec<(usize, String, u64, bool)> {
        // The last groups have sparse nodes.
        let groups = vec![stacks.iter().copied(); MAX_TABLES + 2];
        let walk = StackWalk::new(profile, groups);
        let sorted = |group: usize| {
            let mut frames = of_group(profile, &walk, group);
            frames.sort();
            frames
        };
        for group in 1..MAX_TABLES + 2 {
            assert_eq!(sorted(group), sorted(0), "group {group}");
        }
        assert!(sorted(MAX_TABLES + 2).is_empty());
        of_group(profile, &walk, 0)
    }

    fn of_group(profile: &Profile, walk: &StackWalk, group: usize) -> Vec<(usize, String, u64, bool)> {
        let mut frames = Vec::new();
        let mut pending: Vec<(usize, Walker)> = walk.roots(group).map(|root| (0, root)).collect();
        while let Some((depth, mut walker)) = pending.pop() {
            if let Some((frame, inlined)) = walk.step(profile, &mut walker) {
                let name = profile.str(profile.function(frame.function).display).to_owned();
                frames.push((depth, name, walker.weight, inlined));
                pending.push((depth + 1, walker));
            } else {
                pending.extend(walk.callees(&walker).map(|callee| (depth, callee)));
            }
        }
        frames
    }

    #[test]
    fn each_frame_is_walked_once_from_the_root() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|i:main.run|i:main.walk|main.a|i:main.b", 1);
        let profile = &mut fixture.profile;
        // Locations without frames are skipped wherever they are.
        let nothing = profile.add_location(Location { mapping: None, address: 0, repaired: false }, []);
        let [first, last] = profile.stack(profile.samples()[0].stack)[..] else { panic!("two locations") };
        let stack = profile.add_stack(&[nothing, first, nothing, nothing, last, nothing]);
        for stack in [profile.samples()[0].stack, stack] {
            let expected =
                [("main.main", false), ("main.run", true), ("main.walk", true), ("main.a", false), ("main.b", true)];
            let frames = frames(profile, &[(stack, 3)]);
            let frames: Vec<_> =
                frames.iter().map(|(_, name, weight, inlined)| (name.as_str(), *weight, *inlined)).collect();
            assert_eq!(frames, expected.map(|(name, inlined)| (name, 3, inlined)));
        }
        assert_eq!(frames(profile, &[(StackId::EMPTY, 1)]), []);
    }

    #[test]
    fn a_weight_includes_all_callees() {
        let mut fixture = Fixture::new();
        let deep: Vec<String> = (0..30).map(|at| format!("main.f{at}")).collect();
        for (depth, count) in [(30, 1), (3, 2), (21, 4), (22, 8), (14, u64::MAX)] {
            fixture.add("app", &deep[..depth].join("|"), count);
        }
        let profile = &fixture.profile;
        let stacks: Vec<_> = profile.samples().iter().map(|sample| (sample.stack, sample.count)).collect();
        for (samples, expected) in [(&stacks[..4], 0), (&stacks[4..], u64::MAX)] {
            let frames = frames(profile, samples);
            let weight =
                |depth: usize| frames.iter().filter(|frame| frame.0 == depth).map(|frame| frame.2).sum::<u64>();
            if expected > 0 {
                assert_eq!((weight(0), weight(13), weight(14)), (expected, expected, 0));
            } else {
                assert_eq!([0, 3, 20, 21, 22, 29, 30].map(weight), [15, 13, 13, 9, 1, 1, 0]);
            }
        }
        let all = frames(profile, &stacks);
        assert_eq!(all[0].2, u64::MAX, "weights of any size saturate");
    }
}
