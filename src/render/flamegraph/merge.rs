//! Merges stacks by what is shown of them, from the root upwards and only as far as frames are wide enough to be seen.
//!
//! All stacks are taken one frame further at a time: those that come to frames of the same name go on together. What no
//! frame is drawn of is not looked at. Independent work uses the cores, and shows nowhere in what comes out.

use rayon::prelude::*;

use super::tree::{ALL, TextId};
use crate::profile::{Profile, Walker, position};

/// A stack on its way to the leaf, and the width of the samples that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walked {
    pub(super) walker: Walker,
    pub(super) width: u64,
}

/// Frames of the same name that one such frame calls, in all stacks of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub(super) parent: usize,
    pub(super) text: TextId,
    pub(super) width: u64,
    /// Whether every one of the calls was inlined.
    pub(super) inlined: bool,
}

impl Merged {
    /// What stands for everything.
    fn all(width: u64) -> Self {
        Self { parent: ALL, text: TextId::NONE, width, inlined: false }
    }
}

/// A node and the stacks that have come to it.
struct Group {
    node: usize,
    stacks: Vec<Walked>,
}

/// A group of more stacks than this is worth the while of all cores together; those of less are taken by one each.
pub(super) const LARGE: usize = 1 << 15;

/// No position.
const NOWHERE: u32 = u32::MAX;

/// Merges the stacks of processes, each with its text, above what stands for everything and is as wide as `total`. `texts`
/// are those of functions, and a group of more stacks than `large` is taken further by all cores. Callers come before
/// their callees, and none is narrower than `narrowest`.
pub(super) fn merge(
    large: usize,
    profile: &Profile,
    texts: Vec<TextId>,
    processes: Vec<(TextId, Vec<Walked>)>,
    total: u64,
    narrowest: u64,
) -> Vec<Merged> {
    let single = profile.locations().map(|(location, _)| match profile.frames(location) {
        [frame] => texts[frame.function.index()],
        _ => TextId::NONE,
    });
    let merging = Merging { profile, single: single.collect(), texts, narrowest };
    let mut nodes = vec![Merged::all(total)];
    let mut pending = Vec::new();
    for (text, stacks) in processes {
        let width = stacks.iter().map(|stack| stack.width).sum();
        if width >= narrowest {
            nodes.push(Merged { parent: ALL, text, width, inlined: false });
            pending.push(Group { node: nodes.len() - 1, stacks });
        }
    }
    let mut small = Vec::new();
    while let Some(group) = pending.pop() {
        if group.stacks.len() > large {
            pending.extend(merging.grow(group, &mut nodes));
        } else {
            small.push(group);
        }
    }
    let small = small.into_par_iter();
    let grown: Vec<(usize, Vec<Merged>)> =
        small.map_init(|| merging.known(), |known, group| (group.node, merging.grow_up(group.stacks, known))).collect();
    for (node, above) in grown {
        let moved = nodes.len();
        let parent = |parent: usize| parent.checked_sub(1).map_or(node, |before| moved + before);
        nodes.extend(above.into_iter().map(|merged| Merged { parent: parent(merged.parent), ..merged }));
    }
    nodes
}

/// Merges stacks by what is shown of them.
struct Merging<'p> {
    profile: &'p Profile,
    /// By function.
    texts: Vec<TextId>,
    /// By location, of those with one frame; else [`TextId::NONE`]. Most have one, and it is all that is asked of them.
    single: Vec<TextId>,
    narrowest: u64,
}

/// The frames that stacks come to next.
#[derive(Default)]
struct Callees {
    /// Different ones, and how many stacks come to each.
    list: Vec<(Merged, usize)>,
    /// For each stack the position of its own in the list.
    next: Vec<u32>,
}

impl Merging<'_> {
    /// Grows one group as far as it goes: the nodes above it, whose parents count from one for the first of these, and
    /// from nought for the group's own.
    fn grow_up(&self, stacks: Vec<Walked>, known: &mut [u32]) -> Vec<Merged> {
        let mut nodes = vec![Merged::all(0)];
        let mut callees = Callees::default();
        let mut pending = vec![Group { node: ALL, stacks }];
        while let Some(Group { node, mut stacks }) = pending.pop() {
            callees.find(self, node, &mut stacks, known);
            pending.extend(self.split(&callees, &[(&stacks, &callees.next)], &mut nodes));
        }
        nodes.remove(ALL);
        nodes
    }

    /// Takes a large group one frame further, on all cores.
    fn grow(&self, group: Group, nodes: &mut Vec<Merged>) -> Vec<Group> {
        let Group { node, mut stacks } = group;
        let chunk = stacks.len().div_ceil(rayon::current_num_threads());
        let find = |stacks: &mut [Walked]| {
            let mut callees = Callees::default();
            callees.find(self, node, stacks, &mut self.known());
            callees
        };
        let mut found: Vec<Callees> = stacks.par_chunks_mut(chunk).map(find).collect();
        let (first, others) = found.split_at_mut(1);
        let Some(whole) = first.first_mut() else { return Vec::new() };
        let mut known = self.known();
        for (at, (merged, _)) in (0..).zip(&whole.list) {
            known[merged.text.index()] = at;
        }
        for other in &mut *others {
            whole.add(other, &mut known);
        }
        let next = std::iter::once(&whole.next).chain(others.iter().map(|other| &other.next));
        let pieces: Vec<_> = stacks.chunks(chunk).zip(next.map(Vec::as_slice)).collect();
        self.split(whole, &pieces, nodes)
    }

    /// Adds the frames that are wide enough, and gives the stacks that go on from each of them.
    fn split(&self, callees: &Callees, stacks: &[(&[Walked], &[u32])], nodes: &mut Vec<Merged>) -> Vec<Group> {
        let mut groups = Vec::new();
        // By callee, the position of its group.
        let mut places = Vec::with_capacity(callees.list.len());
        for (merged, count) in &callees.list {
            if merged.width < self.narrowest {
                places.push(usize::MAX);
                continue;
            }
            places.push(groups.len());
            nodes.push(*merged);
            groups.push(Group { node: nodes.len() - 1, stacks: Vec::with_capacity(*count) });
        }
        for (stacks, next) in stacks {
            for (stack, callee) in stacks.iter().zip(*next) {
                let place = places.get(*callee as usize).and_then(|place| groups.get_mut(*place));
                if let Some(group) = place {
                    group.stacks.push(*stack);
                }
            }
        }
        groups
    }

    /// For each text no position.
    fn known(&self) -> Vec<u32> {
        let texts = self.texts.iter().map(|text| text.index() + 1).max();
        vec![NOWHERE; texts.unwrap_or(0)]
    }
}

impl Callees {
    /// Takes stacks one frame further. `known` has no position for any text, before and after.
    fn find(&mut self, merging: &Merging<'_>, parent: usize, stacks: &mut [Walked], known: &mut [u32]) {
        let Self { list, next } = self;
        list.clear();
        next.clear();
        next.extend(stacks.iter_mut().map(|stack| {
            let single = stack.walker.ahead(merging.profile).map_or(TextId::NONE, |at| merging.single[at.index()]);
            let (text, inlined) = if single == TextId::NONE {
                let Some((frame, inlined)) = stack.walker.step(merging.profile) else { return NOWHERE };
                (merging.texts[frame.function.index()], inlined)
            } else {
                stack.walker.pass();
                (single, false)
            };
            let at = &mut known[text.index()];
            if *at == NOWHERE {
                *at = position(list.len());
                list.push((Merged { parent, text, width: 0, inlined: true }, 0));
            }
            let (merged, count) = &mut list[*at as usize];
            merged.width += stack.width;
            merged.inlined &= inlined;
            *count += 1;
            *at
        }));
        for (merged, _) in list {
            known[merged.text.index()] = NOWHERE;
        }
    }

    /// Adds those of other stacks, whose positions become these. `known` has the positions of all texts here.
    fn add(&mut self, other: &mut Self, known: &mut [u32]) {
        let mut places = Vec::with_capacity(other.list.len());
        for (theirs, count) in &other.list {
            let at = &mut known[theirs.text.index()];
            if *at == NOWHERE {
                *at = position(self.list.len());
                self.list.push((Merged { width: 0, inlined: true, ..*theirs }, 0));
            }
            let (merged, all) = &mut self.list[*at as usize];
            merged.width += theirs.width;
            merged.inlined &= theirs.inlined;
            *all += count;
            places.push(*at);
        }
        for at in &mut other.next {
            *at = places.get(*at as usize).copied().unwrap_or(NOWHERE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Merged, Walked, merge};
    use crate::profile::fixture::Fixture;
    use crate::render::flamegraph::tree::{ALL, TextId};

    /// The way from the root to each frame, its width, and whether all of it is inlined; sorted.
    fn frames(nodes: &[Merged]) -> Vec<(Vec<usize>, u64, bool)> {
        let mut paths: Vec<Vec<usize>> = vec![Vec::new()];
        for node in &nodes[1..] {
            let mut path = paths[node.parent].clone();
            path.push(node.text.index());
            paths.push(path);
        }
        let frames = paths.into_iter().zip(nodes).map(|(path, node)| (path, node.width, node.inlined));
        let mut frames: Vec<_> = frames.collect();
        frames.sort();
        frames
    }

    #[test]
    fn groups_that_all_cores_take_further_give_the_same() {
        let mut fixture = Fixture::new();
        for at in 0..600 {
            let (outer, inner) = (at % 3, at % 7);
            let inlined = if outer == 0 { "i:" } else { "" };
            fixture.add("app", &format!("main.main:{at}|main.f{outer}|{inlined}main.g{inner}:{at}|main.h{at}"), 1);
            fixture.add("app", "main.main|main.f1|main.main", 2);
        }
        let profile = &fixture.profile;
        let texts: Vec<TextId> = profile.functions().map(|(id, _)| TextId::at(id.index())).collect();
        let walked =
            |sample: &crate::profile::Sample| Walked { walker: profile.walker(sample.stack), width: sample.count };
        let stacks: Vec<Walked> = profile.samples().iter().map(walked).collect();
        let merged = |most, narrowest| {
            let processes = vec![(TextId::at(texts.len()), stacks.clone())];
            let nodes = merge(most, profile, texts.clone(), processes, 1800, narrowest);
            assert!(nodes.iter().enumerate().skip(1).all(|(at, node)| node.parent < at && node.width >= narrowest));
            assert_eq!(nodes[ALL].width, 1800);
            frames(&nodes)
        };
        for narrowest in [1, 2, 90] {
            let alone = merged(usize::MAX, narrowest);
            let inlined = alone.iter().filter(|frame| frame.2).count();
            assert_eq!((alone.len() > 5, inlined > 0), (true, narrowest < 90), "{} frames", alone.len());
            for most in [0, 1, 100, 500] {
                assert!(merged(most, narrowest) == alone, "large from {most} on, narrowest {narrowest}");
            }
        }
    }
}
