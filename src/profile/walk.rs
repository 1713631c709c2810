//! Stacks from their roots, all at once, so that those which begin alike are taken together.

use super::Profile;
use super::model::{Frame, LocationId, StackId};
use crate::memory::room;

/// Stacks with what their samples weigh, put together where they share callers.
#[derive(Debug)]
pub struct Walk<'p> {
    profile: &'p Profile,
    /// Callers come before what they call.
    nodes: Vec<Node>,
    /// Of each part, the first of its roots.
    roots: Vec<Link>,
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
    node: Link,
    stack: StackId,
    /// The position of what comes next in [`Profile::frames`] of its location.
    frame: u32,
    /// The position of that location in its piece.
    at: u8,
}

/// A part with less samples than one for so many stacks has a look at its own alone.
const FEW: usize = 8;

impl<'p> Walk<'p> {
    /// Puts together the stacks of the samples of each part; what weighs nothing is left out. Sums of any weights saturate.
    pub fn of<P>(profile: &'p Profile, parts: impl IntoIterator<Item = P>) -> Self
    where
        P: ExactSizeIterator<Item = (StackId, u64)> + Clone,
    {
        let stacks = &profile.stacks;
        let mut walk = Self { profile, nodes: Vec::new(), roots: Vec::new() };
        let mut weights = vec![0_u64; stacks.count()];
        let mut links = vec![Link::NONE; stacks.count()];
        for part in parts {
            for (stack, weight) in part.clone() {
                weights[stack.index()] = weights[stack.index()].saturating_add(weight);
            }
            // Callers have lower numbers than what they call.
            if part.len() > stacks.count() / FEW {
                walk.add(stacks.ids(), &mut weights, &mut links);
            } else {
                let mut members = Vec::new();
                let new = Link::of(&walk.nodes);
                for (mut stack, _) in part {
                    while stack != StackId::EMPTY && !links[stack.index()].is_since(new) {
                        // It gets its place when all are known.
                        links[stack.index()] = new;
                        members.push(stack);
                        stack = stacks.caller(stack);
                    }
                }
                members.sort_unstable();
                walk.add(members.iter().copied(), &mut weights, &mut links);
            }
        }
        walk
    }

    /// Adds a part: those of the stacks that weigh anything. `weights` are those of the samples that end in each, and become
    /// nought; `links` lead to the nodes of parts before, or to none.
    fn add(
        &mut self,
        members: impl DoubleEndedIterator<Item = StackId> + ExactSizeIterator + Clone,
        weights: &mut [u64],
        links: &mut [Link],
    ) {
        let stacks = &self.profile.stacks;
        for stack in members.clone().rev() {
            let (caller, weight) = (stacks.caller(stack).index(), weights[stack.index()]);
            weights[caller] = weights[caller].saturating_add(weight);
        }
        weights[StackId::EMPTY.index()] = 0;
        if self.nodes.is_empty() {
            self.nodes = room(members.len());
        }
        let mut root = Link::NONE;
        for stack in members {
            let weight = std::mem::take(&mut weights[stack.index()]);
            if weight == 0 {
                continue;
            }
            let link = Link::of(&self.nodes);
            // What calls something that weighs anything does so too, and has its node.
            let siblings = match stacks.caller(stack) {
                StackId::EMPTY => &mut root,
                caller => &mut self.nodes[links[caller.index()].0 as usize].callee,
            };
            let next = std::mem::replace(siblings, link);
            links[stack.index()] = link;
            self.nodes.push(Node { stack, callee: Link::NONE, next, weight });
        }
        self.roots.push(root);
    }

    /// Before the roots of a part.
    pub fn roots(&self, part: usize) -> impl Iterator<Item = Walker> {
        self.all(self.roots.get(part).copied().unwrap_or(Link::NONE))
    }

    /// Where a walker comes to an end there may be more to walk: the callees of where it has come to.
    pub fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        self.all(self.node(walker.node).map_or(Link::NONE, |node| node.callee))
    }

    /// A node and all that have its caller.
    fn all(&self, first: Link) -> impl Iterator<Item = Walker> {
        let nodes = std::iter::successors(self.node(first).map(|node| (first, node)), |(_, node)| {
            self.node(node.next).map(|next| (node.next, next))
        });
        nodes.map(|(node, Node { stack, weight, .. })| Walker { weight: *weight, node, stack: *stack, frame: 0, at: 0 })
    }

    fn node(&self, link: Link) -> Option<&Node> {
        self.nodes.get(link.0 as usize)
    }

    /// The location that comes next; `None` at the end and in the middle of a location.
    pub fn ahead(&self, walker: &Walker) -> Option<LocationId> {
        if walker.frame > 0 { None } else { self.profile.stacks.at(walker.stack, walker.at) }
    }

    /// The next frame, and whether the compiler inlined this call into its caller; `None` at the end.
    pub fn step(&self, walker: &mut Walker) -> Option<(Frame, bool)> {
        while let Some(location) = self.profile.stacks.at(walker.stack, walker.at) {
            if let Some(frame) = self.profile.frames(location).get(walker.frame as usize) {
                walker.frame += 1;
                return Some((*frame, walker.frame > 1));
            }
            walker.pass();
        }
        None
    }
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
    use super::{Walk, Walker};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Location, Profile, StackId};

    /// All frames, each with its depth, its weight, and whether it is inlined; callees behind their callers, in order of name.
    fn frames(profile: &Profile, stacks: &[(StackId, u64)]) -> Vec<(usize, String, u64, bool)> {
        let walk = Walk::of(profile, [stacks.iter().copied()]);
        let mut frames = Vec::new();
        let mut pending: Vec<(usize, Walker)> = walk.roots(0).map(|root| (0, root)).collect();
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
