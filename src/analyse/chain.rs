//! The addresses of a sample: what the kernel walked, told apart by where it walked it.

use crate::perfdata::abi::context;
use crate::perfdata::{CpuMode, Sample};

/// A sample's callchain, as it was recorded.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Addresses in the kernel, leaf first. The first is exact, the others are return addresses.
    pub(super) kernel: Vec<u64>,
    /// Addresses in user space, leaf first. The first is exact, the others are return addresses.
    pub(super) user: Vec<u64>,
}

impl Chain {
    /// Takes the addresses of a sample's callchain; of a sample without one, its ip.
    pub(super) fn fill(&mut self, sample: &Sample<'_>) {
        self.kernel.clear();
        self.user.clear();
        // A marker says what the addresses after it are. Guests and what is yet to come cannot be resolved here.
        let mut part = match sample.cpu_mode {
            CpuMode::Kernel | CpuMode::GuestKernel | CpuMode::Hypervisor => Some(&mut self.kernel),
            CpuMode::User | CpuMode::GuestUser | CpuMode::Unknown => Some(&mut self.user),
        };
        if let (0, Some(ip), Some(part)) = (sample.callchain.len(), sample.ip, &mut part) {
            part.push(ip);
        }
        for word in sample.callchain.clone() {
            match word {
                context::KERNEL => part = Some(&mut self.kernel),
                context::USER => part = Some(&mut self.user),
                context::MAX.. => part = None,
                address => part.iter_mut().for_each(|part| part.push(address)),
            }
        }
    }
}
