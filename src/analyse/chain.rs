//! Callchains of samples, split into kernel and user addresses.

use std::borrow::Cow;

use crate::perfdata::abi::context;
use crate::perfdata::{CpuMode, RawAddress, Sample};

/// A sample's callchain. Usually each part is contiguous in the file, so it is borrowed and not copied.
#[derive(Debug, Default)]
pub(super) struct SplitCallchain<'d> {
    /// Addresses in the kernel, leaf first. The first address is exact, the others are return addresses.
    pub(super) kernel: Cow<'d, [RawAddress]>,
    /// Addresses in user space, leaf first. The first address is exact, the others are return addresses.
    pub(super) user: Cow<'d, [RawAddress]>,
}

/// Maximum length of a cycle that is detected, in addresses. Limits only cycles of addresses that are not code.
const MAX_CYCLE_FRAMES: usize = 8;

/// The start of a user callchain (leaf first), up to the address where the kernel's walk began to repeat. With a frame
/// pointer that leads to itself, the kernel reads the same return addresses until its limit. `frame_pointer` is the sampled
/// register. `saved_frame_pointer_at` returns the frame pointer that is saved at an address, if it is known.
pub(super) fn cut_at_cycle(
    user: &[RawAddress],
    frame_pointer: Option<u64>,
    saved_frame_pointer_at: impl Fn(u64) -> Option<u64>,
    is_mapped: impl Fn(u64) -> bool,
) -> &[RawAddress] {
    let mut pointer = frame_pointer;
    for (at, address) in user.iter().enumerate().skip(1) {
        let after = user.get(at + 1..).unwrap_or_default();
        // Recursion repeats return addresses too. So the walk is in a cycle only if a repeated address is not code, or
        // if the frame pointer leads back into the walked part of the stack.
        let is_repeated = after.iter().take(MAX_CYCLE_FRAMES).any(|later| later == address);
        if is_repeated && !is_mapped(u64::from_le_bytes(*address)) {
            return &user[..at];
        }
        let next = pointer.and_then(&saved_frame_pointer_at);
        if next.is_some_and(|next| {
            pointer.is_some_and(|pointer| next <= pointer && saved_frame_pointer_at(next).is_some())
        }) {
            return &user[..=at];
        }
        pointer = next;
    }
    user
}

impl<'d> SplitCallchain<'d> {
    /// The callchain of a sample. For a sample without a callchain, its instruction pointer.
    pub(super) fn from_sample(sample: &Sample<'d>) -> Self {
        let mut chain = Self::default();
        // The part that the next addresses belong to. A marker changes the part. `None` after markers of guests and
        // after unknown markers, because the addresses that follow cannot be resolved.
        let mut part = match sample.cpu_mode {
            CpuMode::Kernel | CpuMode::GuestKernel | CpuMode::Hypervisor => Some(&mut chain.kernel),
            CpuMode::User | CpuMode::GuestUser | CpuMode::Unknown => Some(&mut chain.user),
        };
        let mut rest = sample.callchain.raw_addresses();
        if let ([], Some(ip), Some(part)) = (rest, sample.ip, &mut part) {
            **part = Cow::Owned(vec![ip.to_le_bytes()]);
        }
        loop {
            let marker = rest.iter().position(|word| u64::from_le_bytes(*word) >= context::MAX);
            let (addresses, after) = rest.split_at(marker.unwrap_or(rest.len()));
            match part {
                Some(part) if part.is_empty() => *part = Cow::Borrowed(addresses),
                Some(part) => part.to_mut().extend_from_slice(addresses),
                None => {}
            }
            let Some((marker, after)) = after.split_first() else { break };
            part = match u64::from_le_bytes(*marker) {
                context::KERNEL => Some(&mut chain.kernel),
                context::USER => Some(&mut chain.user),
                _ => None,
            };
            rest = after;
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::cut_at_cycle;
    use crate::perfdata::RawAddress;

    /// Number of addresses before the cycle. Code is mapped from 0x1000 on. The stack copy contains 8 words from 0x8000 on.
    fn length_before_cycle(user: &[u64], pointer: u64, stack: [u64; 8]) -> usize {
        let user: Vec<RawAddress> = user.iter().map(|address| address.to_le_bytes()).collect();
        let saved_frame_pointer_at = |address: u64| {
            let at = usize::try_from(address.checked_sub(0x8000)? / 8).ok()?;
            stack.get(at).copied()
        };
        cut_at_cycle(&user, Some(pointer), saved_frame_pointer_at, |address| address >= 0x1000).len()
    }

    #[test]
    fn a_chain_ends_where_a_frame_pointer_leads_to_itself() {
        // The first frame pointer leads to 0x8010. The frame pointer at 0x8010 leads to itself.
        let stack = [0x8010, 0x1001, 0x8010, 0x1002, 0, 0, 0, 0];
        assert_eq!(length_before_cycle(&[0x1000, 0x1001, 0x1002, 0x1002, 0x1002], 0x8000, stack), 3);
        // Two frame pointers lead to each other.
        let stack = [0x8010, 0x1001, 0x8000, 0x1002, 0, 0, 0, 0];
        assert_eq!(length_before_cycle(&[0x1000, 0x1001, 0x1002, 0x1001, 0x1002], 0x8000, stack), 3);
    }

    #[test]
    fn a_chain_ends_before_a_repeated_address_that_is_not_code() {
        assert_eq!(length_before_cycle(&[0x1000, 0x1001, 7, 7, 7], 0, [0; 8]), 2);
        assert_eq!(length_before_cycle(&[0x1000, 7, 0x1001, 7, 0x1001], 0, [0; 8]), 1);
        assert_eq!(length_before_cycle(&[0x1000, 0x1001, 7, 0x1002], 0, [0; 8]), 4, "it is not repeated");
    }

    #[test]
    fn recursion_is_not_a_cycle() {
        let stack = [0x8010, 0x1001, 0x8020, 0x1001, 0x8030, 0x1001, 0xc000, 0x1001];
        assert_eq!(length_before_cycle(&[0x1000, 0x1001, 0x1001, 0x1001, 0x1001, 0x1001], 0x8000, stack), 6);
        // The callers are on another stack, at lower addresses.
        let stack = [0x7000, 0x1001, 0, 0, 0, 0, 0, 0];
        assert_eq!(length_before_cycle(&[0x1000, 0x1001, 0x1001, 0x1001], 0x8000, stack), 4);
    }
}
