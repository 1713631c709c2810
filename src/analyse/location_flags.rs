//! Flags of each location that stack building and the quality counters need.

use super::symbols::{Batch, ReasonId, intern_reason};
use crate::profile::{LocationId, StackId, Stacks, position};

pub(super) struct LocationFlags {
    /// The flags, indexed by location.
    pub(super) flags: Vec<Flags>,
    /// For an unnamed location, the position in `reasons`. For a named location, 0. Indexed by location.
    pub(super) unnamed: Vec<u32>,
    /// The distinct reasons why names are missing.
    pub(super) reasons: Vec<String>,
}

/// The flags of one location. They are read for every location of every stack, so they are small: the flags of all locations
/// fit in the CPU caches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    /// Number of frames, inlined calls included.
    pub(super) frames: u16,
    /// Bits of [`flag`].
    pub(super) bits: u8,
}

/// Bits of [`Flags::bits`].
pub(super) mod flag {
    /// The stack ends at this location: later addresses in the callchain are not its callers.
    pub(in crate::analyse) const ENDS_STACK: u8 = 1;
    /// The location is in the kernel.
    pub(in crate::analyse) const KERNEL: u8 = 1 << 1;
    /// The location is in a kernel without symbols, whose functions cannot be distinguished.
    pub(in crate::analyse) const HIDDEN: u8 = 1 << 2;
    /// A complete stack can have its root at this location.
    pub(in crate::analyse) const ROOT: u8 = 1 << 3;
    /// The location has no function name.
    pub(in crate::analyse) const UNNAMED: u8 = 1 << 4;
}

impl Flags {
    pub(super) fn new(frames: usize, flags: &[(u8, bool)]) -> Self {
        let bits = flags.iter().filter(|(_, set)| *set).fold(0, |bits, (flag, _)| bits | flag);
        Self { frames: u16::try_from(frames).unwrap_or(u16::MAX), bits }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.bits & flag != 0
    }
}

impl LocationFlags {
    /// The flags of all `count` locations after naming.
    pub(super) fn new(named: &[Batch<'_>], count: usize) -> Self {
        let mut all = Self { flags: vec![Flags::default(); count], unnamed: vec![0; count], reasons: Vec::new() };
        for batch in named {
            let reasons: Vec<u32> =
                batch.reasons.iter().map(|reason| position(intern_reason(reason, &mut all.reasons))).collect();
            for (location, frames) in batch.locations() {
                let at = location.id.index();
                let reason = location.unnamed.and_then(|ReasonId(id)| reasons.get(id as usize).copied());
                all.unnamed[at] = reason.unwrap_or_default();
                all.flags[at] = Flags::new(
                    frames.len(),
                    &[
                        (flag::ENDS_STACK, location.ends_stack),
                        (flag::KERNEL, location.is_kernel),
                        (flag::HIDDEN, location.is_hidden),
                        (flag::ROOT, location.is_root),
                        (flag::UNNAMED, reason.is_some()),
                    ],
                );
            }
        }
        all
    }

    pub(super) fn get(&self, location: LocationId) -> Flags {
        self.flags.get(location.index()).copied().unwrap_or_default()
    }

    /// The position of the last location that ends stacks. `locations` are root first.
    pub(super) fn stack_start(&self, locations: &[LocationId]) -> Option<usize> {
        locations.iter().rposition(|location| self.get(*location).has(flag::ENDS_STACK))
    }

    /// The shown part of the last segment of a stack: the stack of the segment's callers, and the shown locations. The
    /// callers are empty if a location in the segment ends the stack. Of adjacent hidden kernel locations, only the first is
    /// shown, because they cannot be distinguished.
    pub(super) fn shown_part<'s>(
        &'s self,
        stacks: &'s Stacks,
        stack: StackId,
    ) -> (StackId, impl Iterator<Item = LocationId> + 's) {
        let locations = stacks.segment(stack);
        let start = self.stack_start(locations);
        let caller = if start.is_some() { StackId::EMPTY } else { stacks.caller(stack) };
        let mut last_hidden = stacks.segment(caller).last().is_some_and(|last| self.get(*last).has(flag::HIDDEN));
        let shown = locations[start.unwrap_or(0)..].iter().copied().filter(move |location| {
            let hidden = self.get(*location).has(flag::HIDDEN);
            !(std::mem::replace(&mut last_hidden, hidden) && hidden)
        });
        (caller, shown)
    }
}
