//! Stacks from their roots by what is shown of them: those that come to frames of the same name go on together.
//!
//! All stacks of a group are taken one frame further at a time. That needs no memory for what was left behind, so that each
//! format keeps only what it shows.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::profile::{Interner, Profile, Sample, Walk, Walker, position};

/// What is shown of a frame, by its position among all that is shown, so that numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TextId(u32);

impl TextId {
    /// What stands for everything, and has none.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// That of a text, which is added unless it is there.
    pub(super) fn of<T: Hash + Eq>(text: T, texts: &mut Interner<T>) -> Self {
        Self(texts.add(text))
    }

    pub(super) fn at(at: usize) -> Self {
        Self(position(at))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The samples of a process.
pub(super) struct Part {
    pub(super) text: TextId,
    /// By position in [`Profile::samples`].
    samples: Vec<u32>,
    pub(super) width: u64,
}

/// The samples of each process, and the width of everything. `width` is that of a sample, and `text` is what is shown of a
/// process's name: processes that are shown alike are one.
pub(super) fn parts(
    profile: &Profile,
    width: impl Fn(&Sample) -> u64,
    mut text: impl FnMut(&str) -> TextId,
) -> (Vec<Part>, u64) {
    let mut parts: Vec<Part> = Vec::new();
    let mut by_text = HashMap::new();
    let mut part_of = |process: &str| {
        let text = text(process);
        *by_text.entry(text).or_insert_with(|| {
            parts.push(Part { text, samples: Vec::new(), width: 0 });
            position(parts.len() - 1)
        })
    };
    let mut processes = HashMap::new();
    let by_runner = profile
        .runners()
        .map(|runner| *processes.entry(runner.process).or_insert_with_key(|process| part_of(profile.str(*process))));
    let by_runner: Vec<u32> = by_runner.collect();
    let mut total = 0_u64;
    for (at, sample) in (0..).zip(profile.samples()) {
        let width = width(sample);
        let part = &mut parts[by_runner[sample.runner.index()] as usize];
        part.samples.push(at);
        part.width = part.width.saturating_add(width);
        total = total.saturating_add(width);
    }
    (parts, total)
}

/// The stacks of each part.
pub(super) fn walk<'p>(profile: &'p Profile, width: impl Fn(&Sample) -> u64 + Sync, parts: &[Part]) -> Walk<'p> {
    let (samples, width) = (profile.samples(), &width);
    let stack = |at: &u32| (samples[*at as usize].stack, width(&samples[*at as usize]));
    Walk::of(profile, parts.iter().map(|part| part.samples.iter().map(stack)))
}

/// Frames of the same name that one such frame calls, in all stacks of a process.
pub(super) struct Group {
    pub(super) text: TextId,
    /// The sum of all samples that have one of them on their stack.
    pub(super) width: u64,
    /// Whether every one of the calls was inlined.
    pub(super) inlined: bool,
    /// The stacks, behind this frame.
    pub(super) walkers: Vec<Walker>,
}

/// Takes stacks one frame further.
pub(super) struct Groups<'p> {
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
pub(super) struct Scratch {
    /// For each text its position in `callees`; [`NOWHERE`] between groups.
    known: Vec<u32>,
    /// The frames that a group comes to next, and how many of its walkers come to each.
    callees: Vec<(Group, usize)>,
    /// These walkers.
    moved: Vec<Walker>,
    /// For each of them the position of its callee.
    to: Vec<u32>,
    /// The walkers that are next, and what is [ahead](Groups::single) of them.
    ahead: Vec<(Walker, TextId)>,
}

/// So many walkers look at once at what is ahead of them: no look depends on another, and each may wait for memory that no
/// cache holds.
const AHEAD: usize = 32;

const NOWHERE: u32 = u32::MAX;

impl<'p> Groups<'p> {
    /// `walk` is through stacks of `profile`, and `texts` are those of its functions. Nothing narrower than `narrowest`
    /// is looked at.
    pub(super) fn new(profile: &Profile, walk: &'p Walk<'p>, texts: Vec<TextId>, narrowest: u64) -> Self {
        let single = profile.locations().map(|(location, _)| match profile.frames(location) {
            [frame] => texts[frame.function.index()],
            _ => TextId::NONE,
        });
        Self { walk, single: single.collect(), texts, narrowest, scratch: Mutex::default() }
    }

    /// Nothing narrower is looked at.
    pub(super) fn narrowest(&self) -> u64 {
        self.narrowest
    }

    /// A process before the roots of its stacks: the part at this position among those of the walk.
    pub(super) fn of_part(&self, at: usize, part: &Part) -> Group {
        Group { text: part.text, width: part.width, inlined: false, walkers: self.walk.roots(at).collect() }
    }

    /// Lends what a core needs for itself; there are as many as were ever needed at once.
    pub(super) fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
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

    /// Takes a walker one frame further, where `single` is [what is ahead](Groups::single) of it: what is shown of the
    /// frame, and whether it was inlined; `None` at the end.
    fn step(&self, walker: &mut Walker, single: TextId) -> Option<(TextId, bool)> {
        if single != TextId::NONE {
            walker.pass();
            return Some((single, false));
        }
        let (frame, inlined) = self.walk.step(walker)?;
        Some((self.texts[frame.function.index()], inlined))
    }

    /// Takes a walker one frame further: what is shown of the frame; `None` at the end.
    pub(super) fn next(&self, walker: &mut Walker) -> Option<TextId> {
        let single = self.single(walker);
        self.step(walker, single).map(|(text, _)| text)
    }

    /// Where a walker that has come to an end goes on.
    pub(super) fn callees(&self, walker: &Walker) -> impl Iterator<Item = Walker> {
        self.walk.callees(walker)
    }

    /// Takes walkers one frame further: the groups that are wide enough.
    pub(super) fn grow(&self, mut walkers: Vec<Walker>, scratch: &mut Scratch) -> Vec<Group> {
        let Scratch { known, callees, moved, to, ahead } = scratch;
        loop {
            if ahead.is_empty() {
                let from = walkers.len().saturating_sub(AHEAD);
                ahead.extend(walkers.drain(from..).map(|walker| (walker, self.single(&walker))));
            }
            let Some((mut walker, single)) = ahead.pop() else { break };
            let Some((text, inlined)) = self.step(&mut walker, single) else {
                walkers.extend(self.walk.callees(&walker));
                continue;
            };
            let at = &mut known[text.index()];
            if *at == NOWHERE {
                *at = position(callees.len());
                callees.push((Group { text, width: 0, inlined: true, walkers: Vec::new() }, 0));
            }
            let (group, count) = &mut callees[*at as usize];
            group.width = group.width.saturating_add(walker.weight);
            group.inlined &= inlined;
            *count += 1;
            moved.push(walker);
            to.push(*at);
        }
        if callees.len() == 1
            && let Some((group, _)) = callees.pop_if(|(group, _)| group.width >= self.narrowest)
        {
            // All go on together.
            known[group.text.index()] = NOWHERE;
            to.clear();
            std::mem::swap(&mut walkers, moved);
            return vec![Group { walkers, ..group }];
        }
        let mut grown: Vec<Group> = Vec::new();
        // Each callee's position becomes that of its group.
        let mut groups = Vec::with_capacity(callees.len());
        for (group, count) in callees.drain(..) {
            known[group.text.index()] = NOWHERE;
            let is_wide = group.width >= self.narrowest;
            groups.push(if is_wide { grown.len() } else { usize::MAX });
            if is_wide {
                grown.push(Group { walkers: Vec::with_capacity(count), ..group });
            }
        }
        for (walker, callee) in moved.drain(..).zip(to.drain(..)) {
            if let Some(group) = grown.get_mut(groups[callee as usize]) {
                group.walkers.push(walker);
            }
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, Groups, TextId, parts, walk};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Interner, Profile};

    /// Everything above some groups: the path of names to each, its width, and whether it is inlined; sorted.
    fn above(profile: &Profile, narrowest: u64) -> Vec<(String, u64, bool)> {
        let mut texts = Interner::default();
        let (parts, _) =
            parts(profile, |sample| sample.count, |process| TextId::of(process.to_uppercase(), &mut texts));
        let functions = profile.functions().map(|(_, function)| profile.str(function.display).to_owned());
        let functions: Vec<TextId> = functions.map(|name| TextId::of(name, &mut texts)).collect();
        let walk = walk(profile, |sample| sample.count, &parts);
        let groups = Groups::new(profile, &walk, functions, narrowest);
        let mut pending: Vec<(String, Group)> =
            parts.iter().enumerate().map(|(at, part)| (String::new(), groups.of_part(at, part))).collect();
        let mut above = Vec::new();
        while let Some((path, group)) = pending.pop() {
            let path = format!("{path} {}", texts.items()[group.text.index()]);
            above.push((path.trim().to_owned(), group.width, group.inlined));
            let callees = groups.with_scratch(|scratch| groups.grow(group.walkers, scratch));
            pending.extend(callees.into_iter().map(|callee| (path.clone(), callee)));
        }
        above.sort();
        above
    }

    #[test]
    fn frames_of_the_same_name_go_on_together() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main:1|main.a:2|main.c", 1);
        fixture.add("APP", "main.main:3|main.a:4|main.d", 2);
        fixture.add("app", "main.main:3|i:main.a|main.c", 4);
        fixture.add("app", "main.main:3|i:main.b|main.c", 8);
        fixture.add("other", "main.a|main.main", 16);
        let expected = [
            ("APP", 15, false),
            ("APP main.main", 15, false),
            ("APP main.main main.a", 7, false),
            ("APP main.main main.a main.c", 5, false),
            ("APP main.main main.a main.d", 2, false),
            ("APP main.main main.b", 8, true),
            ("APP main.main main.b main.c", 8, false),
            ("OTHER", 16, false),
            ("OTHER main.a", 16, false),
            ("OTHER main.a main.main", 16, false),
        ];
        let expected = expected.map(|(path, width, inlined)| (path.to_owned(), width, inlined));
        assert_eq!(above(&fixture.profile, 1), expected);
        let wide: Vec<_> = expected.into_iter().filter(|(_, width, _)| *width >= 7).collect();
        assert_eq!(above(&fixture.profile, 7), wide);
    }
}
