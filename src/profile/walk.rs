//! Stacks from their roots, all at once, so that those which begin alike are taken together.

use rayon::prelude::*;

use super::Profile;
use super::model::{Frame, LocationId, StackId};
use super::stacks::Stacks;

/// Stacks with what their samples weigh, put together where they share callers.
#[derive(Debug)]
pub struct Walk<'p> {
    profile: &'p Profile,
    callees: Callees,
    /// By stack, the sum of all samples of a part that have it on theirs: of parts that have a good part of all stacks.
    weights: Vec<Vec<u64>>,
    /// The stacks of the other parts.
    nodes: Vec<Node>,
    /// Of each part.
    roots: Vec<Roots>,
}

/// What calls what, in all parts.
#[derive(Debug)]
struct Callees {
    /// All stacks but [`StackId::EMPTY`], those of one caller together.
    by_caller: Vec<StackId>,
    /// By caller, where its own end in there; they begin where those of the caller before it end.
    ends: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Roots {
    /// All that weigh anything by [`Walk::weights`].
    Weighing(u8),
    /// The first of them.
    Node(Link),
}

/// A piece of stacks.
#[derive(Debug, Clone, Copy)]
struct Node {
    stack: StackId,
    /// The first of the nodes that it calls.
    callee: Link,
    /// The next one with the same caller.
    next: Link,
    /// The sum of all samples that have it on their stack.
    weight: u64,
}

/// The position of a node; none at all for the highest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const NONE: Self = Self(u32::MAX);

    /// To the node that is added next.
    fn of(nodes: &[Node]) -> Self {
        Self(super::position(nodes.len()))
    }

    /// Whether it leads to that node, or to one that was added later.
    fn is_since(self, node: Self) -> bool {
        self != Self::NONE && self.0 >= node.0
    }
}

/// Where stacks that begin alike have come to, between two frames.
///
/// It knows what comes next without a look at the walk: whoever moves many at once looks up as little as possible.
#[derive(Debug, Clone, Copy)]
pub struct Walker {
    /// The sum of all samples that pass here.
    pub weight: u64,
    /// Its stack; or, unless the part has [weights](Walk::weights) of its own, its node.
    place: u32,
    /// The position of what comes next in [`Profile::frames`] of its location. What stands behind the highest one is not
    /// walked: no compiler inlines so many calls into one another.
    frame: u16,
    /// The position of that location in its piece.
    at: u8,
    /// The position of these weights; [`NO_WEIGHTS`] with a node.
    weights: u8,
}

const NO_WEIGHTS: u8 = u8::MAX;

/// A part with less samples than one for so many stacks has a look at its own alone.
const FEW: usize = 8;

/// So many parts have weights of their own.
const MOST_WEIGHTS: usize = 16;

impl<'p> Walk<'p> {
    /// Puts together the stacks of the samples of each part; what weighs nothing is left out. Sums of any weights saturate.
    pub fn of<P>(profile: &'p Profile, parts: impl IntoIterator<Item = P>) -> Self
    where
        P: ExactSizeIterator<Item = (StackId, u64)> + Clone + Send,
    {
        let stacks = &profile.stacks;
        let (mut roots, mut weighing, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            if part.len() > stacks.count() / FEW && weighing.len() < MOST_WEIGHTS {
                roots.push(Roots::Weighing(u8::try_from(weighing.len()).unwrap_or(u8::MAX)));
                weighing.push(part);
            } else {
                others.push((roots.len(), part));
                roots.push(Roots::Node(Link::NONE));
            }
        }
        let weigh = || weighing.into_par_iter().with_max_len(1).map(|part| weights(stacks, part)).collect();
        let link = || {
            let mut nodes = Nodes::of(stacks);
            for (at, part) in others {
                roots[at] = Roots::Node(nodes.add(part));
            }
            nodes.list
        };
        let (callees, (weights, nodes)) = rayon::join(|| Callees::of(stacks), || rayon::join(weigh, link));
        Self { profile, callees, weights, nodes, roots }
    }

    /// Before the roots of a part.
    pub fn roots(&self, part: usize) -> impl Iterator<Item = Walker> {
        match self.roots.get(part).copied().unwrap_or(Roots::Node(Link::NONE)) {
            Roots::Weighing(weights) => self.all(StackId::EMPTY, weights, Link::NONE),
            Roots::Node(first) => self.all(StackId::EMPTY, NO_WEIGHTS, first),
        }
    }

    /// Where a walker comes to an end there may be more to walk: the callees of where it has come to.
    pub fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        match walker.weights {
            NO_WEIGHTS => {
                let callee = self.node(Link(walker.place)).map_or(Link::NONE, |node| node.callee);
                self.all(StackId::EMPTY, NO_WEIGHTS, callee)
            }
            weights => self.all(StackId(walker.place), weights, Link::NONE),
        }
    }

    /// All that a stack calls and that weighs anything by these weights; without any, a node and all that have its caller.
    fn all(&self, caller: StackId, weights: u8, first: Link) -> impl Iterator<Item = Walker> {
        let by_weight = self.weights.get(usize::from(weights)).into_iter().flat_map(move |by_stack| {
            let stacks = self.callees.of_caller(caller).map(|stack| (stack.0, by_stack[stack.index()]));
            stacks.filter(|(_, weight)| *weight > 0)
        });
        let nodes = std::iter::successors(self.node(first).map(|node| (first, node)), |(_, node)| {
            self.node(node.next).map(|next| (node.next, next))
        });
        let nodes = nodes.map(|(link, node)| (link.0, node.weight));
        let walker = move |(place, weight)| Walker { weight, place, frame: 0, at: 0, weights };
        by_weight.chain(nodes).map(walker)
    }

    /// Where a walker has come to.
    fn stack(&self, walker: &Walker) -> StackId {
        match walker.weights {
            NO_WEIGHTS => self.node(Link(walker.place)).map_or(StackId::EMPTY, |node| node.stack),
            _ => StackId(walker.place),
        }
    }

    fn node(&self, link: Link) -> Option<&Node> {
        self.nodes.get(link.0 as usize)
    }

    /// The location that comes next; `None` at the end and in the middle of a location.
    pub fn ahead(&self, walker: &Walker) -> Option<LocationId> {
        if walker.frame > 0 { None } else { self.profile.stacks.at(self.stack(walker), walker.at) }
    }

    /// The next frame, and whether the compiler inlined this call into its caller; `None` at the end.
    pub fn step(&self, walker: &mut Walker) -> Option<(Frame, bool)> {
        let stack = self.stack(walker);
        while let Some(location) = self.profile.stacks.at(stack, walker.at) {
            let frame = self.profile.frames(location).get(usize::from(walker.frame));
            if let (Some(frame), Some(next)) = (frame, walker.frame.checked_add(1)) {
                walker.frame = next;
                return Some((*frame, next > 1));
            }
            walker.pass();
        }
        None
    }
}

impl Callees {
    fn of(stacks: &Stacks) -> Self {
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

    /// Of a stack, or of nothing: the roots. The last comes first.
    fn of_caller(&self, caller: StackId) -> impl Iterator<Item = StackId> {
        let start = caller.index().checked_sub(1).map_or(0, |before| self.ends[before]);
        self.by_caller[start as usize..self.ends[caller.index()] as usize].iter().rev().copied()
    }
}

/// The nodes of the parts that have been added to a walk.
struct Nodes<'p> {
    stacks: &'p Stacks,
    list: Vec<Node>,
    /// By stack, nought between parts.
    own: Vec<u64>,
    /// By stack, to the nodes of parts before, or to none.
    links: Vec<Link>,
}

impl<'p> Nodes<'p> {
    fn of(stacks: &'p Stacks) -> Self {
        let (own, links) = (vec![0; stacks.count()], vec![Link::NONE; stacks.count()]);
        Self { stacks, list: Vec::new(), own, links }
    }

    /// Adds those of a part, and tells which is the first of its roots.
    fn add(&mut self, part: impl Iterator<Item = (StackId, u64)> + Clone) -> Link {
        let stacks = self.stacks;
        let mut members = Vec::new();
        let new = Link::of(&self.list);
        for (mut stack, _) in part.clone() {
            while stack != StackId::EMPTY && !self.links[stack.index()].is_since(new) {
                // It gets its place when all are known.
                self.links[stack.index()] = new;
                members.push(stack);
                stack = stacks.caller(stack);
            }
        }
        members.sort_unstable();
        weigh(stacks, part, members.iter().copied(), &mut self.own);
        let mut root = Link::NONE;
        for stack in members {
            let weight = std::mem::take(&mut self.own[stack.index()]);
            if weight == 0 {
                continue;
            }
            let link = Link::of(&self.list);
            // What calls something that weighs anything does so too, and has its node.
            let siblings = match stacks.caller(stack) {
                StackId::EMPTY => &mut root,
                caller => &mut self.list[self.links[caller.index()].0 as usize].callee,
            };
            let next = std::mem::replace(siblings, link);
            self.links[stack.index()] = link;
            self.list.push(Node { stack, callee: Link::NONE, next, weight });
        }
        root
    }
}

/// What the samples of a part weigh, by stack.
fn weights(stacks: &Stacks, part: impl Iterator<Item = (StackId, u64)>) -> Vec<u64> {
    let mut weights = vec![0; stacks.count()];
    weigh(stacks, part, stacks.ids(), &mut weights);
    weights
}

/// Adds up what the samples of a part weigh: `members` are their stacks and all that call them.
fn weigh(
    stacks: &Stacks,
    part: impl Iterator<Item = (StackId, u64)>,
    members: impl DoubleEndedIterator<Item = StackId>,
    weights: &mut [u64],
) {
    for (stack, weight) in part {
        weights[stack.index()] = weights[stack.index()].saturating_add(weight);
    }
    // Callers have lower numbers than what they call.
    for stack in members.rev() {
        let (caller, weight) = (stacks.caller(stack).index(), weights[stack.index()]);
        weights[caller] = weights[caller].saturating_add(weight);
    }
    weights[StackId::EMPTY.index()] = 0;
}

impl Walker {
    /// Passes over the location [ahead](Walk::ahead).
    pub fn pass(&mut self) {
        self.at += 1;
        self.frame = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_WEIGHTS, Walk, Walker};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Location, Profile, StackId};

    /// All frames, each with its depth, its weight, and whether it is inlined; callees behind their callers.
    fn frames(profile: &Profile, stacks: &[(StackId, u64)]) -> Vec<(usize, String, u64, bool)> {
        // The last ones are walked by nodes of their own.
        let parts = vec![stacks.iter().copied(); MOST_WEIGHTS + 2];
        let walk = Walk::of(profile, parts);
        let sorted = |part: usize| {
            let mut frames = of_part(profile, &walk, part);
            frames.sort();
            frames
        };
        for part in 1..MOST_WEIGHTS + 2 {
            assert_eq!(sorted(part), sorted(0), "part {part}");
        }
        assert!(sorted(MOST_WEIGHTS + 2).is_empty());
        of_part(profile, &walk, 0)
    }

    fn of_part(profile: &Profile, walk: &Walk<'_>, part: usize) -> Vec<(usize, String, u64, bool)> {
        let mut frames = Vec::new();
        let mut pending: Vec<(usize, Walker)> = walk.roots(part).map(|root| (0, root)).collect();
        while let Some((depth, mut walker)) = pending.pop() {
            if let Some((frame, inlined)) = walk.step(&mut walker) {
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
    fn every_frame_comes_once_from_the_root() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|i:main.run|i:main.walk|main.a|i:main.b", 1);
        let profile = &mut fixture.profile;
        // What shows no frames is passed over, wherever it is.
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
    fn weights_are_those_of_all_that_is_called() {
        let mut fixture = Fixture::new();
        let deep: Vec<String> = (0..30).map(|at| format!("main.f{at}")).collect();
        for (depth, count) in [(30, 1), (3, 2), (21, 4), (22, 8), (14, u64::MAX)] {
            fixture.add("app", &deep[..depth].join("|"), count);
        }
        let profile = &fixture.profile;
        let stacks: Vec<_> = profile.samples().iter().map(|sample| (sample.stack, sample.count)).collect();
        for (part, expected) in [(&stacks[..4], 0), (&stacks[4..], u64::MAX)] {
            let frames = frames(profile, part);
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
