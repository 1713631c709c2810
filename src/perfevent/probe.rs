//! Trying, rather than reading settings: would the kernel open this event, and map these buffers?

use super::{Error, Spec, rings};

/// What the kernel granted to a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Bytes of ring buffer per CPU that fit the budget of locked memory.
    pub ring_bytes: usize,
}

/// What arrived when goflame sampled itself for a few milliseconds: numbers of samples that hold each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrived {
    /// All samples.
    pub samples: u64,
    /// With addresses of user space in their call chain.
    pub user_stacks: u64,
    /// With addresses of the kernel in it.
    pub kernel_stacks: u64,
    /// With user registers.
    pub registers: u64,
    /// With a copy of the user stack.
    pub stack_copies: u64,
    /// Records of context switches; `None`: the kernel does not open the event with them.
    pub switches: Option<u64>,
}

/// Opens the very events that a recording would open, on goflame itself, and closes them again without
/// having enabled them.
pub fn probe(spec: &Spec, cpus: &[u32], ring_bytes: usize) -> Result<Probe, Error> {
    let rings = rings::open(spec, 0, cpus, ring_bytes)?;
    Ok(Probe { ring_bytes: rings.ring_bytes() })
}
