//! The last stack of a thread: the next one mostly differs near its leaf only, and what it has in common with that one is
//! not looked up again. Names nothing, and knows no maps.

use super::collect::RawRunner;
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
    /// Of the user part, what a stack copy restored; empty if it restored nothing.
    restored: Vec<bool>,
    /// The places of all these, root first, by position in [`Collected::places`](super::collect::Collected::places).
    pub(super) places: Vec<LocationId>,
    /// The hash of each piece of the stack.
    pub(super) hashes: Vec<u64>,
    /// The pieces of the last stack that has been found.
    pub(super) found: Vec<StackId>,
    /// Who ran then.
    pub(super) runner: Option<(RawRunner, u32)>,
}

/// Threads whose last stack is remembered.
pub(super) const RECENT: usize = 64;

/// A stack, leaf first, the kernel's part above that of user code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'r> {
    pub(super) kernel: &'r [RawAddress],
    pub(super) user: &'r [RawAddress],
    /// Of the user part, what a stack copy restored; empty if it restored nothing.
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

    /// The outermost two addresses, the outermost first, of a stack that has them in user code.
    pub(super) fn root(&self) -> Option<[RawAddress; 2]> {
        let [callee, root] = *self.user.last_chunk()?;
        Some([root, callee])
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
