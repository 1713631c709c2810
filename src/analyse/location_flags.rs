//! Per-location flags that stack building and the quality counters need. Knows no names, except those of the reasons
//! why names are missing.

use super::symbols::{Batch, ReasonId, intern_reason};
use crate::profile::{LocationId, StackId, Stacks, position};

/// The flags of all locations.
pub(super) struct LocationFlags {
    /// Indexed by location.
    pub(super) flags: Vec<Flags>,
    /// Indexed by location: the position in `reasons` for an unnamed one, 0 for a named one.
    pub(super) unnamed: Vec<u32>,
    /// The distinct reasons why names are missing.
    pub(super) reasons: Vec<String>,
}

/// The flags of one location. They are read for every location of every stack, so they are small enough for those of
/// all locations to fit in the CPU caches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    /// Number of frames, inlined calls included.
    pub(super) frames: u16,
    /// Bits of [`flag`].
    pub(super) bits: u8,
}

/// Bits of [`Flags::bits`].
pub(super) mod flag {
    /// Stacks end here: addresses after it in the callchain are not its callers.
    pub(in crate::analyse) const ENDS_STACK: u8 = 1;
    /// In the kernel.
    pub(in crate::analyse) const KERNEL: u8 = 1 << 1;
    /// In a kernel without symbols: its functions cannot be distinguished.
    pub(in crate::analyse) const HIDDEN: u8 = 1 << 2;
    /// A complete stack may start here.
    pub(in crate::analyse) const ROOT: u8 = 1 << 3;
    /// Without a function name.
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
    /// The flags of `count` locations, all of which were named.
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
                        (flag::HIDDEN, location.hidden),
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

    /// The position of the last of these locations (root first) that ends stacks.
    pub(super) fn stack_start(&self, locations: &[LocationId]) -> Option<usize> {
        locations.iter().rposition(|location| self.get(*location).has(flag::ENDS_STACK))
    }

    /// The shown part of the last segment of a stack: the stack of its callers, which is empty if stacks end within the
    /// segment, and the shown locations. Of adjacent hidden kernel locations only the first is shown, because they
    /// cannot be distinguished.
    pub(super) fn shown<'s>(
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
