//! Stacks from the root upwards, frame by frame, with what passes through them.

use super::model::{Frame, StackId};
use super::{Children, Profile};

/// A frame of a stack's leaf, by its position in [`Profile::frames`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The stack.
    pub stack: StackId,
    frame: u32,
}

impl Place {
    /// Whether the compiler inlined this call into its caller.
    pub fn is_inlined(self) -> bool {
        self.frame > 0
    }
}

/// Finds what a frame calls.
pub struct Descent<'p> {
    profile: &'p Profile,
    children: Children,
}

impl<'p> Descent<'p> {
    /// Where every stack begins. There is no frame.
    pub const BEGIN: Place = Place { stack: StackId::EMPTY, frame: 0 };

    /// Sorts the stacks of a profile by their callers.
    pub fn of(profile: &'p Profile) -> Self {
        Self { profile, children: profile.callees() }
    }

    /// Calls `found` with every frame that one calls, in all stacks through it.
    pub fn callees(&self, place: Place, mut found: impl FnMut(Place, Frame)) {
        if let Some(frame) = self.frames(place.stack).get(place.frame as usize + 1) {
            found(Place { frame: place.frame + 1, ..place }, *frame);
            return;
        }
        let mut callers = vec![place.stack];
        while let Some(caller) = callers.pop() {
            for stack in self.children.of_node(caller.0).iter().map(|stack| StackId(*stack)) {
                match self.frames(stack).first() {
                    Some(frame) => found(Place { stack, frame: 0 }, *frame),
                    None => callers.push(stack),
                }
            }
        }
    }

    fn frames(&self, stack: StackId) -> &'p [Frame] {
        self.profile.leaf(stack).map_or(&[], |(location, _)| self.profile.frames(location))
    }
}

/// For every stack a sum over the samples on it and on everything that it calls. Of use for one part of a profile
/// after the other.
pub struct Passing<'p> {
    profile: &'p Profile,
    sums: Vec<u64>,
    known: Vec<bool>,
    /// Stacks that have a sum, callers before their callees; empty where all may have one.
    touched: Vec<StackId>,
}

impl<'p> Passing<'p> {
    /// Sums of nothing.
    pub fn new(profile: &'p Profile) -> Self {
        let count = profile.stack_count();
        Self { profile, sums: vec![0; count], known: vec![false; count], touched: Vec::new() }
    }

    /// Forgets what was added before, and adds up the figures of samples.
    pub fn add_up(&mut self, samples: &[(StackId, u64)]) {
        let Self { profile, sums, known, touched } = self;
        if touched.is_empty() {
            sums.fill(0);
        }
        for stack in touched.drain(..) {
            sums[stack.index()] = 0;
            known[stack.index()] = false;
        }
        for (stack, figure) in samples {
            add(&mut sums[stack.index()], *figure);
        }
        let mut pass_on = |stack: StackId, caller: StackId| {
            let sum = sums[stack.index()];
            add(&mut sums[caller.index()], sum);
        };
        // All stacks in a row are sooner done than a few one by one.
        if samples.len() > profile.samples().len() / DENSE {
            profile.stacks().rev().for_each(|(stack, _, caller)| pass_on(stack, caller));
            return;
        }
        for (stack, _) in samples {
            let first = touched.len();
            let mut at = *stack;
            while !std::mem::replace(&mut known[at.index()], true) {
                touched.push(at);
                let Some((_, caller)) = profile.leaf(at) else { break };
                at = caller;
            }
            touched[first..].reverse();
        }
        for stack in touched.iter().rev() {
            if let Some((_, caller)) = profile.leaf(*stack) {
                pass_on(*stack, caller);
            }
        }
    }

    /// The sum of a stack.
    pub fn through(&self, stack: StackId) -> u64 {
        self.sums[stack.index()]
    }
}

/// A part is dense that has more than one in so many of all samples.
const DENSE: usize = 8;

/// Figures come from files, so that their sum may be anything.
fn add(sum: &mut u64, figure: u64) {
    *sum = sum.saturating_add(figure);
}

#[cfg(test)]
mod tests {
    use super::{Descent, Passing, Place};
    use crate::profile::StackId;
    use crate::profile::fixture::Fixture;

    /// `name weight` of everything that is called, each followed by what it calls in brackets.
    fn walked(fixture: &Fixture, passing: &Passing<'_>, descent: &Descent<'_>, place: Place) -> String {
        let mut callees = Vec::new();
        descent.callees(place, |callee, frame| {
            let name = fixture.profile.str(fixture.profile.function(frame.function).display);
            let inlined = if callee.is_inlined() { "*" } else { "" };
            let weight = passing.through(callee.stack);
            callees.push(format!("{inlined}{name} {weight}{}", walked(fixture, passing, descent, callee)));
        });
        if callees.is_empty() { String::new() } else { format!(" ({})", callees.join(", ")) }
    }

    #[test]
    fn sums_of_parts_large_and_small() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|i:main.run|main.a", 5);
        fixture.add("app", "main.main|i:main.run", 1);
        fixture.add("app", "main.main|i:main.run|main.b|i:main.c", 2);
        for at in 0..20 {
            fixture.add("app", &format!("main.other|main.f{at}"), 1);
        }
        let profile = &fixture.profile;
        let samples: Vec<_> = profile.samples().iter().map(|sample| (sample.stack, sample.count)).collect();
        let (mut passing, descent) = (Passing::new(profile), Descent::of(profile));
        // All of it, a small part, another, and the first three again: what was before is forgotten each time.
        for (part, expected) in [
            (&samples[..], 28),
            (&samples[1..2], 1),
            (&samples[2..4], 3),
            (&samples[..3], 8),
            (&samples[..0], 0),
            (&samples[..3], 8),
        ] {
            passing.add_up(part);
            assert_eq!(passing.through(StackId::EMPTY), expected);
        }
        let main = "main.main 8 (*main.run 8 (main.a 5, main.b 2 (*main.c 2)))";
        let walked = walked(&fixture, &passing, &descent, Descent::BEGIN);
        assert!(walked.starts_with(&format!(" ({main}, main.other 0 (main.f0 0")), "{walked}");
    }
}
