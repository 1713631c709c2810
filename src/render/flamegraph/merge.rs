//! Merges stacks by what is shown of them, from the root upwards and only as far as frames are wide enough to be seen.
//!
//! Independent work uses the cores, and shows nowhere in what comes out.

use rayon::prelude::*;

use super::tree::ALL;
use crate::render::groups::{Group, Groups, Part, TextId};

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
    fn of(group: &Group, parent: usize) -> Self {
        Self { parent, text: group.text, width: group.width, inlined: group.inlined }
    }
}

/// Calls within calls take stack, and where a program called itself more often than this there is little to share.
const MOST_SHARED: usize = 128;

/// Merges the stacks of each part above what stands for everything and is as wide as `total`. What stands above frames
/// wider than `wide` is shared out among the cores. Callers come before their callees.
pub(super) fn merge(groups: &Groups<'_>, parts: &[Part], total: u64, wide: u64) -> Vec<Merged> {
    let all = Merged { parent: ALL, text: TextId::NONE, width: total, inlined: false };
    let drawn = parts.par_iter().enumerate().filter(|(_, part)| part.width >= groups.narrowest());
    let drawn = drawn.map(|(at, part)| grow_shared(groups, groups.of_part(at, part), wide, 0));
    with_callees(all, drawn.collect())
}

/// As [`grow_up`], on all cores. `depth`: how many calls of itself this one is in.
fn grow_shared(groups: &Groups<'_>, group: Group, wide: u64, depth: usize) -> Vec<Merged> {
    if group.width <= wide || depth == MOST_SHARED {
        return grow_up(groups, group);
    }
    let frame = Merged::of(&group, ALL);
    let callees = groups.with_scratch(|scratch| groups.grow(group.walkers, scratch));
    let callees = callees.into_par_iter().with_max_len(1);
    let callees = callees.map(|callee| grow_shared(groups, callee, wide, depth + 1));
    with_callees(frame, callees.collect())
}

/// A frame and everything above it. Parents are by position among these, and the frame itself is the first.
fn grow_up(groups: &Groups<'_>, group: Group) -> Vec<Merged> {
    let mut nodes = vec![Merged::of(&group, ALL)];
    let mut pending = vec![(ALL, group.walkers)];
    groups.with_scratch(|scratch| {
        while let Some((parent, walkers)) = pending.pop() {
            for callee in groups.grow(walkers, scratch) {
                let merged = Merged::of(&callee, parent);
                pending.push((nodes.len(), callee.walkers));
                nodes.push(merged);
            }
        }
    });
    nodes
}

/// A frame with the trees of what it calls above it. The first of a tree is its root, and parents are by position.
fn with_callees(frame: Merged, callees: Vec<Vec<Merged>>) -> Vec<Merged> {
    let mut nodes = vec![frame];
    for callee in callees {
        let first = nodes.len();
        nodes.extend(callee.into_iter().enumerate().map(|(at, node)| match at {
            0 => Merged { parent: ALL, ..node },
            _ => Merged { parent: first + node.parent, ..node },
        }));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::{ALL, Merged, merge};
    use crate::profile::fixture::Fixture;
    use crate::render::groups::{Groups, TextId, parts, walk};

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
    fn groups_of_any_width_give_the_same() {
        let mut fixture = Fixture::new();
        for at in 0..600 {
            let (outer, inner) = (at % 3, at % 7);
            let inlined = if outer == 0 { "i:" } else { "" };
            fixture.add("app", &format!("main.main:{at}|main.f{outer}|{inlined}main.g{inner}:{at}|main.h{at}"), 1);
            fixture.add("app", "main.main|main.f1|main.main", 2);
        }
        let profile = &fixture.profile;
        let texts: Vec<TextId> = profile.functions().map(|(id, _)| TextId::at(id.index())).collect();
        let (parts, total) = parts(profile, |sample| sample.count, |_| TextId::at(texts.len()));
        let walk = walk(profile, |sample| sample.count, &parts);
        let merged = |wide, narrowest| {
            let nodes = merge(&Groups::new(profile, &walk, texts.clone(), narrowest), &parts, total, wide);
            assert!(nodes.iter().enumerate().skip(1).all(|(at, node)| node.parent < at && node.width >= narrowest));
            assert_eq!(nodes[ALL].width, 1800);
            frames(&nodes)
        };
        for narrowest in [1, 2, 90] {
            let alone = merged(u64::MAX, narrowest);
            let inlined = alone.iter().filter(|frame| frame.2).count();
            assert_eq!((alone.len() > 5, inlined > 0), (true, narrowest < 90), "{} frames", alone.len());
            for wide in [0, 1, 100, 500] {
                assert!(merged(wide, narrowest) == alone, "wide from {wide} on, narrowest {narrowest}");
            }
        }
    }
}
