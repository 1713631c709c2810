//! What the checks are given.

use crate::build::Mismatch;
use crate::config;
use crate::host::Facts;

/// All that is judged. A `None` means "not part of this plan": such checks are left out, not failed.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The machine.
    pub facts: &'a Facts,
    /// What is to be sampled, and how.
    pub record: &'a config::Record,
    /// The ring buffers that the sampler maps.
    pub ring: RingSize,
    /// What came of trying to sample.
    pub probe: Option<ProbeResult>,
    /// What `go version` said with the pin in force (such as `go1.27.3`), or why there is no answer.
    pub go: Option<Result<String, String>>,
    /// `[toolchain] go`; empty: no pin.
    pub go_pin: &'a str,
    /// How the built binary differs from what was asked; empty: not at all.
    pub binary: Option<&'a [Mismatch]>,
    /// Ids of checks that are left out: `[doctor] ignore` and flags.
    pub ignore: &'a [String],
}

/// The size of one CPU's ring buffer in bytes, its control page included, as the kernel counts it against the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    /// What the sampler would like.
    pub wanted: u64,
    /// What it needs at least: it shrinks its buffers down to this before it gives up.
    pub least: u64,
}

/// What came of opening, mapping and enabling the sampler's own event on goflame itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The event that opened (`cycles`, `cpu-clock`); `None`: none did.
    pub opened: Option<String>,
    /// Whether it opened with kernel samples.
    pub kernel: bool,
    /// The error number of the last refusal, where there was one.
    pub errno: Option<i32>,
    /// What was refused, and the system's words for it; empty when nothing was.
    pub message: String,
}
