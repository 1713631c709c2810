//! Stacks frame by frame from the root, so that those which begin alike can be taken together.

use std::ops::Range;

use super::Profile;
use super::model::{Frame, LocationId};

/// A stack that is walked from its root to its leaf, and how far that has come.
///
/// It knows its place and not its stack: whoever walks many at once looks nothing up for any of them.
#[derive(Debug, Clone, Copy)]
pub struct Walker {
    /// The position of the location that comes next among those of all stacks.
    at: usize,
    /// How many there are to come.
    left: u32,
    /// The position of what comes next in [`Profile::frames`] of that location.
    frame: u32,
}

impl Walker {
    /// Walks the locations at these positions.
    pub(super) fn new(range: Range<usize>) -> Self {
        Self { at: range.start, left: u32::try_from(range.len()).unwrap_or(u32::MAX), frame: 0 }
    }

    /// The location that comes next; `None` behind the leaf and in the middle of a location.
    pub fn ahead(&self, profile: &Profile) -> Option<LocationId> {
        if self.left == 0 || self.frame > 0 { None } else { profile.stacks.all().get(self.at).copied() }
    }

    /// Passes over the location [ahead](Self::ahead).
    pub fn pass(&mut self) {
        self.at += 1;
        self.left = self.left.saturating_sub(1);
        self.frame = 0;
    }

    /// The next frame, and whether the compiler inlined this call into its caller; `None` behind the leaf.
    pub fn step(&mut self, profile: &Profile) -> Option<(Frame, bool)> {
        while self.left > 0 {
            let location = *profile.stacks.all().get(self.at)?;
            if let Some(frame) = profile.frames(location).get(self.frame as usize) {
                self.frame += 1;
                return Some((*frame, self.frame > 1));
            }
            self.pass();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::fixture::Fixture;
    use crate::profile::{Location, StackId};

    #[test]
    fn every_frame_comes_once_from_the_root() {
        let mut fixture = Fixture::new();
        fixture.add("app", "main.main|i:main.run|i:main.walk|main.a|i:main.b", 1);
        let profile = &mut fixture.profile;
        // What shows no frames is passed over, wherever it is.
        let nothing = profile.add_location(Location { mapping: None, address: 0, repaired: false }, []);
        let [first, last] = *profile.stack(profile.samples()[0].stack) else { panic!("two locations") };
        let stack = profile.add_stack(&[nothing, first, nothing, nothing, last, nothing]);
        for stack in [profile.samples()[0].stack, stack] {
            let mut walker = profile.walker(stack);
            let frames = std::iter::from_fn(|| walker.step(profile));
            let frames: Vec<_> = frames
                .map(|(frame, inlined)| (profile.str(profile.function(frame.function).display), inlined))
                .collect();
            let expected =
                [("main.main", false), ("main.run", true), ("main.walk", true), ("main.a", false), ("main.b", true)];
            assert_eq!(frames, expected);
            assert_eq!(walker.step(profile), None);
        }
        assert_eq!(profile.walker(StackId::EMPTY).step(profile), None);
    }
}
