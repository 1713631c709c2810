//! Merges stacks by what is shown of them, from the root upwards and only as far as frames are wide enough to be seen.
//!
//! All stacks are taken one frame further at a time: those that come to frames of the same name go on together. What no
//! frame is drawn of is not looked at. Independent work uses the cores, and shows nowhere in what comes out.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::tree::{ALL, Part, TextId};
use crate::profile::{Profile, Walk, Walker, position};

/// Frames of the same name that one such frame calls, in all stacks of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub(super) parent: usize,
    pub(super) text: TextId,
    pub(super) width: u64,
    /// Whether every one of the calls was inlined.
    pub(super) inlined: bool,
}

/// Merges stacks by what is shown of them.
pub(super) struct Merging<'p> {
    walk: &'p Walk<'p>,
    /// By function.
    texts: Vec<TextId>,
    /// By location, of those with one frame; else [`TextId::NONE`]. Most have one, and it is all that is asked of them.
    single: Vec<TextId>,
    narrowest: u64,
    /// What no core uses just now.
    scratch: Mutex<Vec<Scratch>>,
}

/// What a core has for itself, and keeps from one group to the next.
struct Scratch {
    /// For each text its position in `callees`; [`NOWHERE`] between groups.
    known: Vec<u32>,
    /// The frames that a group comes to next, and how many of its walkers come to each.
    callees: Vec<(Merged, usize)>,
    /// These walkers.
    moved: Vec<Walker>,
    /// For each of them the position of its callee.
    to: Vec<u32>,
    /// The walkers that are next, and what is [ahead](Merging::single) of them.
    ahead: Vec<(Walker, TextId)>,
}

/// So many walkers look at once at what is ahead of them: no look depends on another, and each may wait for memory that no
/// cache holds.
const AHEAD: usize = 32;

const NOWHERE: u32 = u32::MAX;

/// Calls within calls take stack, and where a program called itself more often than this there is little to share.
const MOST_SHARED: usize = 128;

impl<'p> Merging<'p> {
    /// `walk` is through stacks of `profile`, and `texts` are those of its functions. Nothing narrower than `narrowest`
    /// is merged.
    pub(super) fn new(profile: &Profile, walk: &'p Walk<'p>, texts: Vec<TextId>, narrowest: u64) -> Self {
        let single = profile.locations().map(|(location, _)| match profile.frames(location) {
            [frame] => texts[frame.function.index()],
            _ => TextId::NONE,
        });
        Self { walk, single: single.collect(), texts, narrowest, scratch: Mutex::default() }
    }

    /// Merges the stacks of each part above what stands for everything and is as wide as `total`. What stands above frames
    /// wider than `wide` is shared out among the cores. Callers come before their callees.
    pub(super) fn merge(&self, parts: &[Part], total: u64, wide: u64) -> Vec<Merged> {
        let all = Merged { parent: ALL, text: TextId::NONE, width: total, inlined: false };
        let drawn = parts.par_iter().enumerate().filter(|(_, part)| part.width >= self.narrowest);
        let drawn = drawn.map(|(at, part)| {
            let process = Merged { parent: ALL, text: part.text, width: part.width, inlined: false };
            self.grow_shared(process, self.walk.roots(at).collect(), wide, 0)
        });
        with_callees(all, drawn.collect())
    }

    /// As [`Merging::grow_up`], on all cores. `depth`: how many calls of itself this one is in.
    fn grow_shared(&self, frame: Merged, walkers: Vec<Walker>, wide: u64, depth: usize) -> Vec<Merged> {
        if frame.width <= wide || depth == MOST_SHARED {
            return self.grow_up(frame, walkers);
        }
        let callees = self.with_scratch(|scratch| self.grow(walkers, scratch));
        let callees = callees.into_par_iter().with_max_len(1);
        let callees = callees.map(|(callee, walkers)| self.grow_shared(callee, walkers, wide, depth + 1));
        with_callees(frame, callees.collect())
    }

    /// A frame and everything above it. Parents are by position among these, and the frame itself is the first.
    fn grow_up(&self, frame: Merged, walkers: Vec<Walker>) -> Vec<Merged> {
        let mut nodes = vec![frame];
        let mut pending = vec![(ALL, walkers)];
        self.with_scratch(|scratch| {
            while let Some((parent, walkers)) = pending.pop() {
                for (callee, walkers) in self.grow(walkers, scratch) {
                    pending.push((nodes.len(), walkers));
                    nodes.push(Merged { parent, ..callee });
                }
            }
        });
        nodes
    }

    /// Lends what a core needs for itself; there are as many as were ever needed at once.
    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let idle = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = idle.unwrap_or_else(|| {
            let texts = self.texts.iter().map(|text| text.index() + 1).max();
            Scratch {
                known: vec![NOWHERE; texts.unwrap_or(0)],
                callees: Vec::new(),
                moved: Vec::new(),
                to: Vec::new(),
                ahead: Vec::new(),
            }
        });
        let done = work(&mut scratch);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        done
    }

    /// The text of the one frame of the location that comes next, if it has one.
    fn single(&self, walker: &Walker) -> TextId {
        self.walk.ahead(walker).map_or(TextId::NONE, |location| self.single[location.index()])
    }

    /// Takes walkers one frame further: the frames that are wide enough, whose parent is still to be said, and the walkers that
    /// go on from each of them.
    fn grow(&self, mut walkers: Vec<Walker>, scratch: &mut Scratch) -> Vec<(Merged, Vec<Walker>)> {
        let Scratch { known, callees, moved, to, ahead } = scratch;
        loop {
            if ahead.is_empty() {
                let from = walkers.len().saturating_sub(AHEAD);
                ahead.extend(walkers.drain(from..).map(|walker| (walker, self.single(&walker))));
            }
            let Some((mut walker, single)) = ahead.pop() else { break };
            let (text, inlined) = if single != TextId::NONE {
                walker.pass();
                (single, false)
            } else if let Some((frame, inlined)) = self.walk.step(&mut walker) {
                (self.texts[frame.function.index()], inlined)
            } else {
                walkers.extend(self.walk.callees(&walker));
                continue;
            };
            let at = &mut known[text.index()];
            if *at == NOWHERE {
                *at = position(callees.len());
                callees.push((Merged { parent: ALL, text, width: 0, inlined: true }, 0));
            }
            let (merged, count) = &mut callees[*at as usize];
            merged.width += walker.weight;
            merged.inlined &= inlined;
            *count += 1;
            moved.push(walker);
            to.push(*at);
        }
        if let [(merged, _)] = callees[..]
            && merged.width >= self.narrowest
        {
            // All go on together.
            known[merged.text.index()] = NOWHERE;
            callees.clear();
            to.clear();
            std::mem::swap(&mut walkers, moved);
            return vec![(merged, walkers)];
        }
        let mut grown: Vec<(Merged, Vec<Walker>)> = Vec::new();
        // Each callee's position becomes that of its group.
        let mut groups = Vec::with_capacity(callees.len());
        for (merged, count) in callees.drain(..) {
            known[merged.text.index()] = NOWHERE;
            let is_wide = merged.width >= self.narrowest;
            groups.push(if is_wide { grown.len() } else { usize::MAX });
            if is_wide {
                grown.push((merged, Vec::with_capacity(count)));
            }
        }
        for (walker, callee) in moved.drain(..).zip(to.drain(..)) {
            if let Some((_, walkers)) = grown.get_mut(groups[callee as usize]) {
                walkers.push(walker);
            }
        }
        grown
    }
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
    use super::{Merged, Merging};
    use crate::profile::fixture::Fixture;
    use crate::profile::{StackId, Walk};
    use crate::render::flamegraph::tree::{ALL, Part, TextId};

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
        let stacks: Vec<(StackId, u64)> = profile.samples().iter().map(|sample| (sample.stack, sample.count)).collect();
        let walk = Walk::of(profile, [stacks.iter().copied()]);
        let merged = |wide, narrowest| {
            let part = Part { text: TextId::at(texts.len()), samples: Vec::new(), width: 1800 };
            let nodes = Merging::new(profile, &walk, texts.clone(), narrowest).merge(&[part], 1800, wide);
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
