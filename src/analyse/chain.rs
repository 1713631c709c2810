//! Callchains of samples, split into kernel and user addresses.

use std::borrow::Cow;

use crate::perfdata::abi::context;
use crate::perfdata::{CpuMode, RawAddress, Sample};

/// A sample's callchain. Usually each part is contiguous in the file and is not copied.
#[derive(Debug, Default)]
pub(super) struct Chain<'d> {
    /// Addresses in the kernel, leaf first. The first is exact, the others are return addresses.
    pub(super) kernel: Cow<'d, [RawAddress]>,
    /// Addresses in user space, leaf first. The first is exact, the others are return addresses.
    pub(super) user: Cow<'d, [RawAddress]>,
}

impl<'d> Chain<'d> {
    /// The addresses of a sample's callchain; the ip of a sample without one.
    pub(super) fn from_sample(sample: &Sample<'d>) -> Self {
        let mut chain = Self::default();
        // The part that the next addresses belong to. A marker changes it. `None` for addresses of guests and after
        // unknown markers, which cannot be resolved here.
        let mut part = match sample.cpu_mode {
            CpuMode::Kernel | CpuMode::GuestKernel | CpuMode::Hypervisor => Some(&mut chain.kernel),
            CpuMode::User | CpuMode::GuestUser | CpuMode::Unknown => Some(&mut chain.user),
        };
        let mut rest = sample.callchain.raw();
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
