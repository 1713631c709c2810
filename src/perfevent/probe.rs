//! Trying, rather than reading settings: would the kernel open this event, and map these buffers?

use super::{Error, Spec, rings};

/// What the kernel granted to a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Bytes of ring buffer per CPU that fit the budget of locked memory.
    pub ring_bytes: usize,
}

/// Opens the very events that a recording would open, on goflame itself, and closes them again without
/// having enabled them.
pub fn probe(spec: &Spec, cpus: &[u32], ring_bytes: usize) -> Result<Probe, Error> {
    let rings = rings::open(spec, 0, cpus, ring_bytes)?;
    Ok(Probe { ring_bytes: rings.ring_bytes() })
}
