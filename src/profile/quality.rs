//! How far a profile can be trusted, in figures and in one word.

use serde::{Deserialize, Serialize};

/// What is known about the completeness of a profile. Every figure was counted, none is estimated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The event really sampled: `cycles`, `cpu-clock`.
    pub event: String,
    /// Samples read.
    pub samples: u64,
    /// Samples that the kernel dropped because a ring buffer was full.
    pub lost: u64,
    /// Times that the kernel paused sampling because it took too much CPU.
    pub throttled: u64,
    /// Samples with a user stack.
    pub user_stacks: u64,
    /// Of these, stacks that end at a root of Go or C: `runtime.goexit`, `runtime.mstart`, `_start`…
    pub rooted_stacks: u64,
    /// Stacks as deep as the kernel's limit, so that their root end may be cut off.
    pub truncated_stacks: u64,
    /// User frames in all samples.
    pub user_frames: u64,
    /// Of these, frames without a symbol.
    pub unnamed_user_frames: u64,
    /// Why frames have no symbol, with the number of frames; most frequent first.
    pub unnamed_reasons: Vec<(String, u64)>,
    /// Kernel frames in all samples.
    pub kernel_frames: u64,
    /// Of these, frames without a symbol.
    pub unnamed_kernel_frames: u64,
    /// Whether kernel time was sampled; `None` when the file does not say.
    pub kernel_sampled: Option<bool>,
    /// Sampled CPU time against used CPU time, where the event is a clock and the usage is known.
    pub cpu: Option<CpuSeen>,
    /// Whether the recording ended as it should; false for a file that was cut off.
    pub complete_file: bool,
}

/// CPU seconds that samples stand for, against those that the operating system charged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuSeen {
    /// Sum of the periods of all samples.
    pub sampled_seconds: f64,
    /// User and system time of the workload and its children (getrusage).
    pub used_seconds: f64,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Nothing to do.
    Good,
    /// Usable, with the reasons that stand beside it.
    Fair,
    /// Not to be relied on.
    Poor,
}
