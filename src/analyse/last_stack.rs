//! The last stack of a thread. The next stack of the thread usually differs only near its leaf, so the locations and
//! segments of the common part need no second lookup.

use super::raw_location::call_address;
use super::raw_task::RawTask;
use super::unwind::StackRoot;
use crate::perfdata::RawAddress;
use crate::profile::{LocationId, StackId};

/// A thread's last stack, and the results of its lookups.
#[derive(Debug, Default)]
pub(super) struct LastStack {
    tid: i32,
    space_version: u64,
    kernel: Vec<RawAddress>,
    user: Vec<RawAddress>,
    /// The locations of the stack, root first. The ids are positions in
    /// [`Collected::locations`](super::collect::Collected::locations).
    pub(super) locations: Vec<LocationId>,
    /// The hash of each segment of the stack, root first.
    pub(super) hashes: Vec<u64>,
    /// The ids of the segments of the last interned stack, root first. This is an older stack while samples are
    /// pending.
    pub(super) segments: Vec<StackId>,
    /// The outermost two addresses for which the root was looked up last, and that root.
    root: ([u64; 2], StackRoot),
    /// The task of the last sample, and the position of the task in
    /// [`Collected::tasks`](super::collect::Collected::tasks).
    pub(super) task: Option<(RawTask, u32)>,
}

/// Number of slots for last stacks. Thread `tid` uses slot `tid % LAST_STACK_SLOTS`. Threads with the same slot
/// overwrite each other.
pub(super) const LAST_STACK_SLOTS: usize = 64;

/// The addresses of a stack, leaf first. The callers of the kernel addresses are the user addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawStack<'r> {
    pub(super) kernel: &'r [RawAddress],
    pub(super) user: &'r [RawAddress],
}

/// Number of user addresses and of kernel addresses in a part of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressCounts {
    pub(super) user: usize,
    pub(super) kernel: usize,
}

impl RawStack<'_> {
    fn len(&self) -> usize {
        self.kernel.len() + self.user.len()
    }
}

impl LastStack {
    /// Makes `next` the current stack and drops the locations that it does not share. Returns the numbers of new addresses
    /// at the leaf end of the user part and of the kernel part, which have no location yet. `None` if the stack is
    /// unchanged.
    pub(super) fn replace(&mut self, tid: i32, space_version: u64, next: RawStack<'_>) -> Option<AddressCounts> {
        let last = self.raw_stack();
        let common = if (self.tid, self.space_version) == (tid, space_version) {
            count_common_callers(last, next)
        } else {
            AddressCounts { user: 0, kernel: 0 }
        };
        let same = common.user + common.kernel;
        if same == next.len() && same == last.len() {
            return None;
        }
        self.locations.truncate(same);
        if self.space_version != space_version {
            self.root = Default::default();
        }
        (self.tid, self.space_version) = (tid, space_version);
        next.kernel.clone_into(&mut self.kernel);
        next.user.clone_into(&mut self.user);
        Some(AddressCounts { user: next.user.len() - common.user, kernel: next.kernel.len() - common.kernel })
    }

    pub(super) fn raw_stack(&self) -> RawStack<'_> {
        RawStack { kernel: &self.kernel, user: &self.user }
    }

    /// The root of the stack. `find` looks it up from the call addresses of the outermost two user frames, root first.
    pub(super) fn root(&mut self, find: impl FnOnce([u64; 2]) -> StackRoot) -> StackRoot {
        let Some(addresses) = self.outermost_calls() else { return StackRoot::Other };
        if self.root.0 != addresses {
            self.root = (addresses, find(addresses));
        }
        self.root.1
    }

    /// The call addresses of the outermost two user frames, root first. `None` if the stack has fewer than two.
    fn outermost_calls(&self) -> Option<[u64; 2]> {
        let [callee, root] = *self.user.last_chunk()?;
        let depth = self.user.len() - 1;
        Some([call_address(depth, root), call_address(depth - 1, callee)])
    }
}

/// The number of addresses, counted from the root, that two stacks have in common.
fn count_common_callers(last: RawStack<'_>, next: RawStack<'_>) -> AddressCounts {
    let user = common_suffix_len(last.user, next.user);
    let all = user == last.user.len() && user == next.user.len();
    AddressCounts { user, kernel: if all { common_suffix_len(last.kernel, next.kernel) } else { 0 } }
}

/// The number of addresses at the root ends of two lists (leaf first) that are equal and mean the same location.
fn common_suffix_len(last: &[RawAddress], next: &[RawAddress]) -> usize {
    let same = last.iter().rev().zip(next.iter().rev()).take_while(|(last, next)| last == next).count();
    // The leaf is exact, the others are return addresses. So a leaf and a caller with the same address are different
    // locations.
    if last.len() == next.len() { same } else { same.min(last.len().min(next.len()).saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use super::{AddressCounts, LastStack, LocationId, RawAddress, RawStack};

    fn raw(addresses: &[u64]) -> Vec<RawAddress> {
        addresses.iter().map(|address| address.to_le_bytes()).collect()
    }

    #[test]
    fn locations_of_common_callers_are_kept() {
        let mut last = LastStack::default();
        // Kernel addresses, user addresses, and the expected number of new addresses (user, kernel).
        let steps: [(&[u64], &[u64], _); 11] = [
            (&[], &[10, 20, 30, 40], Some((4, 0))),
            (&[], &[10, 20, 30, 40], None),
            (&[], &[11, 20, 30, 40], Some((1, 0))),
            (&[7, 8], &[11, 20, 30, 40], Some((0, 2))),
            (&[6, 8], &[11, 20, 30, 40], Some((0, 1))),
            // The kernel's leaf becomes a return address.
            (&[5, 6, 8], &[11, 20, 30, 40], Some((0, 2))),
            (&[5, 6, 8], &[12, 20, 30, 40], Some((1, 3))),
            (&[], &[12, 20, 30, 40], Some((0, 0))),
            // A return address becomes the leaf of the user part, and then a return address again.
            (&[], &[20, 30, 40], Some((1, 0))),
            (&[], &[9, 20, 30, 40], Some((2, 0))),
            (&[], &[], Some((0, 0))),
        ];
        for (at, (kernel, user, expected)) in steps.into_iter().enumerate() {
            let [kernel, user] = [kernel, user].map(raw);
            let new = last.replace(1, 1, RawStack { kernel: &kernel, user: &user });
            assert_eq!(new, expected.map(|(user, kernel)| AddressCounts { user, kernel }), "step {at}");
            let known = last.locations.len();
            assert_eq!(known + new.map_or(0, |new| new.user + new.kernel), user.len() + kernel.len(), "step {at}");
            last.locations.resize(user.len() + kernel.len(), LocationId::from_index(0));
        }
    }

    #[test]
    fn no_location_is_kept_for_another_thread_or_address_space() {
        let user = raw(&[10, 20]);
        let stack = RawStack { kernel: &[], user: &user };
        let mut last = LastStack::default();
        for (tid, space) in [(1, 1), (2, 1), (2, 2)] {
            assert_eq!(last.replace(tid, space, stack), Some(AddressCounts { user: 2, kernel: 0 }));
            last.locations.resize(2, LocationId::from_index(0));
            assert_eq!(last.replace(tid, space, stack), None);
        }
    }

    #[test]
    fn only_return_addresses_are_converted_to_call_addresses() {
        let mut last = LastStack::default();
        for (user, root) in [(&[10_u64, 20, 30][..], Some([29, 19])), (&[20, 30], Some([29, 20])), (&[30], None)] {
            last.replace(1, 1, RawStack { kernel: &raw(&[1, 2]), user: &raw(user) });
            assert_eq!(last.outermost_calls(), root);
        }
    }
}
