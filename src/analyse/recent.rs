//! The last stack of a thread: the next one mostly differs near its leaf only, and what it has in common with that one is
//! not looked up again. Names nothing, and knows no maps.

use super::collect::RawTask;
use super::place::called_from;
use crate::perfdata::RawAddress;
use crate::profile::{LocationId, StackId};

/// A thread's last stack, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    tid: i32,
    /// The version of its address space.
    space: u64,
    kernel: Vec<RawAddress>,
    user: Vec<RawAddress>,
    /// Of the user part, what a stack copy restored; empty if there was none.
    restored: Vec<bool>,
    /// The places of all these, root first, by position in [`Collected::places`](super::collect::Collected::places).
    pub(super) places: Vec<LocationId>,
    /// The hash of each piece of the stack.
    pub(super) hashes: Vec<u64>,
    /// The pieces of the last stack that has been found.
    pub(super) found: Vec<StackId>,
    /// Who ran then.
    pub(super) task: Option<(RawTask, u32)>,
}

/// Threads whose last stack is remembered.
pub(super) const RECENT: usize = 64;

/// A stack, leaf first, the kernel's part above that of user code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'r> {
    pub(super) kernel: &'r [RawAddress],
    pub(super) user: &'r [RawAddress],
    /// Of the user part, what a stack copy restored; empty if there was none.
    pub(super) restored: &'r [bool],
}

impl Raw<'_> {
    fn len(&self) -> usize {
        self.kernel.len() + self.user.len()
    }

    /// Whether one of the user part was restored.
    pub(super) fn is_restored(&self, at: usize) -> bool {
        self.restored.get(at).copied().unwrap_or_default()
    }
}

impl Recent {
    /// Replaces the stack by the next one, but for the places, of which those that are no longer right go. Tells how many
    /// addresses of the user part, counted from the leaf, are yet to be added to them, and how many of the kernel's.
    /// `None`: it is the same stack again.
    pub(super) fn replace(&mut self, tid: i32, space: u64, next: Raw<'_>) -> Option<(usize, usize)> {
        let last = Raw { kernel: &self.kernel, user: &self.user, restored: &self.restored };
        let (user, kernel) = if (self.tid, self.space) == (tid, space) { common(last, next) } else { (0, 0) };
        let same = user + kernel;
        if same == next.len() && same == last.len() {
            return None;
        }
        self.places.truncate(same);
        (self.tid, self.space) = (tid, space);
        next.kernel.clone_into(&mut self.kernel);
        next.user.clone_into(&mut self.user);
        next.restored.clone_into(&mut self.restored);
        Some((next.user.len() - user, next.kernel.len() - kernel))
    }

    /// Where the outermost two calls of user code were, the outermost first, in a stack that has as many frames there.
    pub(super) fn root(&self) -> Option<[u64; 2]> {
        let [callee, root] = *self.user.last_chunk()?;
        let depth = self.user.len() - 1;
        Some([called_from(depth, root), called_from(depth - 1, callee)])
    }
}

/// What two stacks begin with: so many addresses of the user part, and of the kernel's.
fn common(last: Raw<'_>, next: Raw<'_>) -> (usize, usize) {
    let mut user = common_callers(last.user, next.user);
    if !(last.restored.is_empty() && next.restored.is_empty()) {
        let restored = |raw: Raw<'_>, depth: usize| raw.user.len().checked_sub(depth + 1).map(|at| raw.is_restored(at));
        user = (0..user).take_while(|depth| restored(last, *depth) == restored(next, *depth)).count();
    }
    let all = user == last.user.len() && user == next.user.len();
    (user, if all { common_callers(last.kernel, next.kernel) } else { 0 })
}

fn common_callers(last: &[RawAddress], next: &[RawAddress]) -> usize {
    let same = last.iter().rev().zip(next.iter().rev()).take_while(|(last, next)| last == next).count();
    // The leaf is no return address: in another depth it means something else.
    if last.len() == next.len() { same } else { same.min(last.len().min(next.len()).saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use super::{LocationId, Raw, RawAddress, Recent};

    fn raw(addresses: &[u64]) -> Vec<RawAddress> {
        addresses.iter().map(|address| address.to_le_bytes()).collect()
    }

    #[test]
    fn callers_in_common_are_not_looked_up_again() {
        let mut recent = Recent::default();
        // Each differs from the one before it. Of user code and of the kernel, so many are new.
        let steps: [(&[u64], &[u64], &[bool], _); 13] = [
            (&[], &[10, 20, 30, 40], &[], Some((4, 0))),
            (&[], &[10, 20, 30, 40], &[], None),
            (&[], &[11, 20, 30, 40], &[], Some((1, 0))),
            (&[7, 8], &[11, 20, 30, 40], &[], Some((0, 2))),
            (&[6, 8], &[11, 20, 30, 40], &[], Some((0, 1))),
            // What was the leaf of the kernel's part is called from now.
            (&[5, 6, 8], &[11, 20, 30, 40], &[], Some((0, 2))),
            (&[5, 6, 8], &[12, 20, 30, 40], &[], Some((1, 3))),
            (&[], &[12, 20, 30, 40], &[], Some((0, 0))),
            // And so it is with the leaf of user code.
            (&[], &[20, 30, 40], &[], Some((1, 0))),
            (&[], &[9, 20, 30, 40], &[], Some((2, 0))),
            // What a copy restored is another place.
            (&[], &[9, 20, 30, 40], &[false; 4], None),
            (&[], &[9, 20, 30, 40], &[false, false, true, false], Some((3, 0))),
            (&[], &[], &[], Some((0, 0))),
        ];
        for (at, (kernel, user, restored, expected)) in steps.into_iter().enumerate() {
            let [kernel, user] = [kernel, user].map(raw);
            let new = recent.replace(1, 1, Raw { kernel: &kernel, user: &user, restored });
            assert_eq!(new, expected, "step {at}");
            let known = recent.places.len();
            assert_eq!(known + new.map_or(0, |(user, kernel)| user + kernel), user.len() + kernel.len(), "step {at}");
            recent.places.resize(user.len() + kernel.len(), LocationId::from_index(0));
        }
    }

    #[test]
    fn nothing_is_in_common_with_another_thread_or_after_maps_changed() {
        let user = raw(&[10, 20]);
        let stack = Raw { kernel: &[], user: &user, restored: &[] };
        let mut recent = Recent::default();
        for (tid, space) in [(1, 1), (2, 1), (2, 2)] {
            assert_eq!(recent.replace(tid, space, stack), Some((2, 0)));
            recent.places.resize(2, LocationId::from_index(0));
            assert_eq!(recent.replace(tid, space, stack), None);
        }
    }

    #[test]
    fn only_return_addresses_are_taken_back_to_their_calls() {
        let mut recent = Recent::default();
        for (user, root) in [(&[10_u64, 20, 30][..], Some([29, 19])), (&[20, 30], Some([29, 20])), (&[30], None)] {
            recent.replace(1, 1, Raw { kernel: &raw(&[1, 2]), user: &raw(user), restored: &[] });
            assert_eq!(recent.root(), root);
        }
    }
}
