//! Probing: opens the events of a recording on goflame itself to see if the kernel permits them.

use super::{Error, Spec, Target, rings};

/// The result of a successful probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Bytes of ring buffer per CPU, without the control page. At most the requested size, and small enough for the
    /// budget of locked memory.
    pub ring_bytes: usize,
}

/// Numbers of samples of a trial, in which goflame samples itself for a few milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrialCounts {
    /// All samples.
    pub samples: u64,
    /// Samples with user addresses in their callchain.
    pub user_stacks: u64,
    /// Samples with kernel addresses in their callchain.
    pub kernel_stacks: u64,
    /// Samples with user registers.
    pub registers: u64,
    /// Samples with a copy of the user stack.
    pub stack_copies: u64,
    /// Context switch records, not samples. `None` if the kernel refuses an event with these records.
    pub switches: Option<u64>,
}

/// Opens and maps the events of a recording on goflame itself, and closes them without enabling them.
pub fn probe(spec: &Spec, cpus: &[u32], ring_bytes: usize) -> Result<Probe, Error> {
    let rings = rings::open(spec, Target::CallingThread, cpus, ring_bytes)?;
    Ok(Probe { ring_bytes: rings.ring_bytes() })
}
