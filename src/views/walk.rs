//! All stacks of a profile from the root, with the cumulative weight of each.
//!
//! Stacks with the same callers share segments (see [`Stacks`]), so one pass over the segments gives the weight of every
//! call path. Each group of samples has its own weights.

use rayon::prelude::*;

use crate::profile::{Frame, LocationId, Profile, StackId, Stacks, position};

/// The stacks of all groups, with the cumulative weight of each segment.
#[derive(Debug)]
pub(super) struct StackWalk {
    callees: Callees,
    /// Dense tables, one for each large group: cumulative weights, indexed by stack.
    tables: Vec<Vec<u64>>,
    /// The stacks of the small groups.
    nodes: Vec<SparseNode>,
    /// Indexed by group: where its weights are.
    roots: Vec<Roots>,
}

/// The callees of every stack, for all groups together.
#[derive(Debug)]
struct Callees {
    /// All stacks except [`StackId::EMPTY`], sorted by caller.
    by_caller: Vec<StackId>,
    /// By caller: the end of its range in `by_caller`. The range starts at the end of the previous caller's range.
    ends: Vec<u32>,
}

/// The place where the weights of a group are stored.
#[derive(Debug, Clone, Copy)]
enum Roots {
    /// Index in [`StackWalk::tables`].
    Dense(u8),
    /// The first root in [`StackWalk::nodes`].
    Sparse(Link),
}

/// A stack of a small group.
#[derive(Debug, Clone, Copy)]
struct SparseNode {
    stack: StackId,
    first_callee: Link,
    next_sibling: Link,
    /// Cumulative weight of the stack in the group.
    weight: u64,
}

/// Index of a [`SparseNode`], or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const NONE: Self = Self(u32::MAX);

    /// Returns a link to the node that is added next.
    fn to_next_node(nodes: &[SparseNode]) -> Self {
        Self(position(nodes.len()))
    }

    /// Returns whether the link leads to `node` or to a node that was added later.
    fn is_at_or_after(self, node: Self) -> bool {
        self != Self::NONE && self.0 >= node.0
    }
}

/// A position between two frames, in all stacks of a group that have the same callers.
///
/// Holds everything that the next step needs, so that a step reads little other memory.
#[derive(Debug, Clone, Copy)]
pub struct Walker {
    /// Weight of the samples whose stacks contain this position.
    pub weight: u64,
    /// Index of the stack. In a small group: index of the [`SparseNode`].
    stack_or_node: u32,
    /// Index of the next frame in [`Profile::frames`] of the location. Frames above the maximum index are skipped: no
    /// compiler nests 65 535 inlined calls.
    frame: u16,
    /// Index of the location in the segment.
    location: u8,
    /// Index of the group's table in [`StackWalk::tables`], or [`NO_TABLE`] in a small group.
    table: u8,
}

const NO_TABLE: u8 = u8::MAX;

/// A group with less than one sample per `STACKS_PER_SAMPLE` stacks of the profile is small: it has nodes only for its own
/// stacks. A large group has a dense table of all stacks.
const STACKS_PER_SAMPLE: usize = 8;

/// Maximum number of dense tables. Each has 8 bytes per stack of the profile. Further groups are treated as small.
const MAX_TABLES: usize = 16;

impl StackWalk {
    /// Sums the samples of each group, given as stacks and weights. Samples without weight are skipped. Sums saturate.
    pub(super) fn new<G>(profile: &Profile, groups: impl IntoIterator<Item = G>) -> Self
    where
        G: ExactSizeIterator<Item = (StackId, u64)> + Clone + Send,
    {
        let stacks = profile.stacks();
        let (mut roots, mut large, mut small) = (Vec::new(), Vec::new(), Vec::new());
        for group in groups {
            if group.len() > stacks.count() / STACKS_PER_SAMPLE && large.len() < MAX_TABLES {
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
                roots[at] = Roots::Sparse(nodes.add_group(group));
            }
            nodes.list
        };
        let (callees, (tables, nodes)) = rayon::join(|| Callees::new(stacks), || rayon::join(dense, sparse));
        Self { callees, tables, nodes, roots }
    }

    /// Returns the walkers of a group, each before the root frame of its stacks.
    pub(super) fn roots(&self, group: usize) -> impl Iterator<Item = Walker> {
        match self.roots.get(group).copied().unwrap_or(Roots::Sparse(Link::NONE)) {
            Roots::Dense(table) => self.walkers(StackId::EMPTY, table, Link::NONE),
            Roots::Sparse(first) => self.walkers(StackId::EMPTY, NO_TABLE, first),
        }
    }

    /// Returns walkers at the starts of the callee segments of a walker that is at the end of its segment.
    pub(super) fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        match walker.table {
            NO_TABLE => {
                let callee = self.node(Link(walker.stack_or_node)).map_or(Link::NONE, |node| node.first_callee);
                self.walkers(StackId::EMPTY, NO_TABLE, callee)
            }
            table => self.walkers(StackId::from_index(walker.stack_or_node), table, Link::NONE),
        }
    }

    /// Returns walkers at the starts of segments. With a table, these are the callees of `caller` that have weight.
    /// With [`NO_TABLE`], these are the segments of the node `first` and its siblings.
    fn walkers(&self, caller: StackId, table: u8, first: Link) -> impl Iterator<Item = Walker> {
        let dense = self.tables.get(usize::from(table)).into_iter().flat_map(move |weights| {
            let stacks = self.callees.callees_of(caller).map(|stack| (position(stack.index()), weights[stack.index()]));
            stacks.filter(|(_, weight)| *weight > 0)
        });
        let sparse = std::iter::successors(self.node(first).map(|node| (first, node)), |(_, node)| {
            self.node(node.next_sibling).map(|next| (node.next_sibling, next))
        });
        let sparse = sparse.map(|(link, node)| (link.0, node.weight));
        let walker = move |(stack_or_node, weight)| Walker { weight, stack_or_node, frame: 0, location: 0, table };
        dense.chain(sparse).map(walker)
    }

    fn stack(&self, walker: &Walker) -> StackId {
        match walker.table {
            NO_TABLE => self.node(Link(walker.stack_or_node)).map_or(StackId::EMPTY, |node| node.stack),
            _ => StackId::from_index(walker.stack_or_node),
        }
    }

    fn node(&self, link: Link) -> Option<&SparseNode> {
        self.nodes.get(link.0 as usize)
    }

    /// Returns the location whose first frame is next. `None` at the end of the segment and between frames of a location.
    pub(super) fn next_location(&self, profile: &Profile, walker: &Walker) -> Option<LocationId> {
        if walker.frame > 0 { None } else { profile.stacks().location(self.stack(walker), walker.location) }
    }

    /// Returns the frame that the walker passed last. `None` at the start of a segment.
    pub(super) fn passed_frame(&self, profile: &Profile, walker: &Walker) -> Option<Frame> {
        let stacks = profile.stacks();
        let at = if walker.frame > 0 { walker.location } else { walker.location.checked_sub(1)? };
        let frames = profile.frames(stacks.location(self.stack(walker), at)?);
        let index = if walker.frame > 0 { usize::from(walker.frame) } else { frames.len() };
        frames.get(index.checked_sub(1)?).copied()
    }

    /// Moves the walker past the next frame. Returns the frame, and whether the compiler inlined this call into its
    /// caller. `None` at the end of the segment.
    pub(super) fn pass_frame(&self, profile: &Profile, walker: &mut Walker) -> Option<(Frame, bool)> {
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

    /// Returns the callees of a stack, the last one first. The callees of [`StackId::EMPTY`] are the roots.
    fn callees_of(&self, caller: StackId) -> impl Iterator<Item = StackId> {
        let start = caller.index().checked_sub(1).map_or(0, |previous| self.ends[previous]);
        self.by_caller[start as usize..self.ends[caller.index()] as usize].iter().rev().copied()
    }
}

/// Builds the nodes of the small groups.
struct SparseNodes<'p> {
    stacks: &'p Stacks,
    list: Vec<SparseNode>,
    /// By stack: weight in the current group. All 0 between two groups.
    weights: Vec<u64>,
    /// By stack: its node in the last group that contains it.
    links: Vec<Link>,
}

impl<'p> SparseNodes<'p> {
    fn new(stacks: &'p Stacks) -> Self {
        let (weights, links) = (vec![0; stacks.count()], vec![Link::NONE; stacks.count()]);
        Self { stacks, list: Vec::new(), weights, links }
    }

    /// Adds the nodes of a group. Returns the first root.
    fn add_group(&mut self, group: impl Iterator<Item = (StackId, u64)> + Clone) -> Link {
        let stacks = self.stacks;
        let mut members = Vec::new();
        let first_new = Link::to_next_node(&self.list);
        for (mut stack, _) in group.clone() {
            while stack != StackId::EMPTY && !self.links[stack.index()].is_at_or_after(first_new) {
                // Marks the stack as a member. The loop below sets the real link.
                self.links[stack.index()] = first_new;
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
            let link = Link::to_next_node(&self.list);
            // The caller of a stack with weight has weight too, and so a node.
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

/// Returns the cumulative weights of a group, by stack.
fn dense_weights(stacks: &Stacks, group: impl Iterator<Item = (StackId, u64)>) -> Vec<u64> {
    let mut weights = vec![0; stacks.count()];
    add_weights(stacks, group, stacks.ids(), &mut weights);
    weights
}

/// Adds the weights of a group's samples to their stacks and to all callers of these stacks. `members` are all these
/// stacks and callers, in ascending order.
fn add_weights(
    stacks: &Stacks,
    group: impl Iterator<Item = (StackId, u64)>,
    members: impl DoubleEndedIterator<Item = StackId>,
    weights: &mut [u64],
) {
    for (stack, weight) in group {
        weights[stack.index()] = weights[stack.index()].saturating_add(weight);
    }
    // A caller has a lower id than its callees.
    for stack in members.rev() {
        let (caller, weight) = (stacks.caller(stack).index(), weights[stack.index()]);
        weights[caller] = weights[caller].saturating_add(weight);
    }
    weights[StackId::EMPTY.index()] = 0;
}

impl Walker {
    /// Moves past the [next location](StackWalk::next_location) with all its frames.
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

    /// Returns all frames with depth, name, weight, and whether they are inlined. A caller comes before its callees.
    fn frames(profile: &Profile, stacks: &[(StackId, u64)]) -> Vec<(usize, String, u64, bool)> {
        // The last two groups get sparse nodes.
        let groups = vec![stacks.iter().copied(); MAX_TABLES + 2];
        let walk = StackWalk::new(profile, groups);
        let sorted = |group: usize| {
            let mut frames = frames_of_group(profile, &walk, group);
            frames.sort();
            frames
        };
        for group in 1..MAX_TABLES + 2 {
            assert_eq!(sorted(group), sorted(0), "group {group}");
        }
        assert!(sorted(MAX_TABLES + 2).is_empty());
        frames_of_group(profile, &walk, 0)
    }

    fn frames_of_group(profile: &Profile, walk: &StackWalk, group: usize) -> Vec<(usize, String, u64, bool)> {
        let mut frames = Vec::new();
        let mut pending: Vec<(usize, Walker)> = walk.roots(group).map(|root| (0, root)).collect();
        while let Some((depth, mut walker)) = pending.pop() {
            if let Some((frame, inlined)) = walk.pass_frame(profile, &mut walker) {
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
        // Locations without frames are skipped at every place of a stack.
        let hidden = profile.add_location(Location { mapping: None, address: 0 }, []);
        let [first, last] = profile.stack(profile.samples()[0].stack)[..] else { panic!("two locations") };
        let stack = profile.intern_stack(&[hidden, first, hidden, hidden, last, hidden]);
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
