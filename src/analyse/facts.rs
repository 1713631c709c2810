//! What is true of each place, as far as stacks need to know it: which of them end where, what of them is shown, and what
//! the figures count. Knows no names but those of reasons.

use super::locations::has_other_leaf;
use super::symbols::{Batch, Unnamed, position_of};
use crate::profile::{LocationId, StackId, Stacks, position};

/// Facts by place.
pub(super) struct Facts {
    pub(super) slots: Vec<Slot>,
    /// Why places have no name, those that have none, by position in [`Facts::reasons`].
    pub(super) unnamed: Vec<u32>,
    /// Reasons for missing names, each once.
    pub(super) reasons: Vec<String>,
}

/// What the figures of a profile need to know of a place. It is asked of every place of every stack: small, so that caches
/// hold those of all places.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) frames: u16,
    /// Of [`fact`].
    pub(super) facts: u8,
}

/// What is true of a place.
pub(super) mod fact {
    /// Stacks end here: what stands above it in the callchain did not call it.
    pub(in crate::analyse) const ENDS: u8 = 1;
    pub(in crate::analyse) const KERNEL: u8 = 1 << 1;
    /// In a kernel that shows no addresses.
    pub(in crate::analyse) const HIDDEN: u8 = 1 << 2;
    /// A stack may begin here.
    pub(in crate::analyse) const ROOT: u8 = 1 << 3;
    pub(in crate::analyse) const UNNAMED: u8 = 1 << 4;
    /// Another location where it is the leaf of a stack.
    pub(in crate::analyse) const OTHER_LEAF: u8 = 1 << 5;
}

impl Slot {
    pub(super) fn new(frames: usize, facts: &[(u8, bool)]) -> Self {
        let facts = facts.iter().filter(|(_, is)| *is).fold(0, |facts, (fact, _)| facts | fact);
        Self { frames: u16::try_from(frames).unwrap_or(u16::MAX), facts }
    }

    pub(super) fn is(self, fact: u8) -> bool {
        self.facts & fact != 0
    }
}

impl Facts {
    /// Those of so many places, all of which were named.
    pub(super) fn of(named: &[Batch<'_>], places: usize) -> Self {
        let mut facts = Self { slots: vec![Slot::default(); places], unnamed: vec![0; places], reasons: Vec::new() };
        for batch in named {
            let known: Vec<u32> =
                batch.reasons.iter().map(|reason| position(position_of(reason, &mut facts.reasons))).collect();
            for (place, frames) in batch.places() {
                let at = place.place as usize;
                let why = place.unnamed.and_then(|Unnamed(at)| known.get(at as usize).copied());
                facts.unnamed[at] = why.unwrap_or_default();
                facts.slots[at] = Slot::new(
                    frames.len(),
                    &[
                        (fact::ENDS, place.ends_stack),
                        (fact::KERNEL, place.is_kernel),
                        (fact::HIDDEN, place.hidden),
                        (fact::ROOT, place.is_root),
                        (fact::UNNAMED, why.is_some()),
                        (fact::OTHER_LEAF, has_other_leaf(frames)),
                    ],
                );
            }
        }
        facts
    }

    pub(super) fn slot(&self, place: LocationId) -> Slot {
        self.slots.get(place.index()).copied().unwrap_or_default()
    }

    /// Where the last place of some is that ends stacks: what stands above it in the callchain did not call it.
    pub(super) fn end(&self, places: &[LocationId]) -> Option<usize> {
        places.iter().rposition(|place| self.slot(*place).is(fact::ENDS))
    }

    /// What is shown of the last piece of a stack: its caller, where that is shown too, and its places. Nothing tells one
    /// hidden function from another: of those in a row, the first is shown.
    pub(super) fn shown<'s>(
        &'s self,
        stacks: &'s Stacks,
        stack: StackId,
    ) -> (StackId, impl Iterator<Item = LocationId> + 's) {
        let places = stacks.piece(stack);
        let end = self.end(places);
        let caller = if end.is_some() { StackId::EMPTY } else { stacks.caller(stack) };
        let mut last_hidden = stacks.piece(caller).last().is_some_and(|place| self.slot(*place).is(fact::HIDDEN));
        let shown = places[end.unwrap_or(0)..].iter().copied().filter(move |place| {
            let hidden = self.slot(*place).is(fact::HIDDEN);
            !(std::mem::replace(&mut last_hidden, hidden) && hidden)
        });
        (caller, shown)
    }
}
