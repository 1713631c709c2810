//! All inputs of a recording, as plain values.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::GoroutineLayout;
use crate::process::Account;

/// Requested bytes of ring buffer per CPU, if the limit of locked memory allows it.
pub(crate) const WISHED_RING_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of ring buffer per CPU: the minimum that works, and the requested size.
pub const RING_SIZES: (usize, usize) = (crate::perfevent::SMALLEST_RING, WISHED_RING_BYTES);

/// The plan of a recording.
#[derive(Debug, Clone)]
pub struct RecordPlan {
    /// The program (an absolute path) and its arguments.
    pub argv: Vec<OsString>,
    /// Environment variables, added to goflame's own.
    pub env: Vec<(String, String)>,
    /// Working directory of the program.
    pub dir: PathBuf,
    /// Standard input of the program.
    pub stdin: Stdin,
    /// Time limit. The program is stopped when it is reached.
    pub timeout: Duration,
    /// The user to run the program as, if goflame was started through sudo.
    pub user: Option<Account>,
    /// The sampler.
    pub sampler: Sampler,
    /// Samples per second and CPU.
    pub frequency: u32,
    /// Bytes of user stack copied with each sample.
    pub stack: u32,
    /// The CPUs to sample: all online CPUs.
    pub cpus: Vec<u32>,
    /// Address range of the kernel's own code (`_text` to `_etext`), if known.
    pub kernel_text: Option<Range<u64>>,
    /// Layout of the goroutine descriptors, if it is known for the program.
    pub goroutines: Option<GoroutineLayout>,
    /// Output file of the samples.
    pub perf_data: PathBuf,
    /// File for a copy of the program's standard output.
    pub stdout_log: PathBuf,
    /// File for a copy of the program's standard error.
    pub stderr_log: PathBuf,
    /// Maximum bytes of each of these three files. `perf record` has no limit.
    pub max_bytes: Option<u64>,
}

/// Standard input of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// goflame's own.
    Inherit,
    /// A file.
    File(PathBuf),
}

/// The sampler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sampler {
    /// goflame's own sampler.
    Native,
    /// `perf record`, at this path.
    Perf(PathBuf),
}

/// The requested event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventWish {
    /// `cycles` if available, otherwise `cpu-clock`.
    Auto,
    /// Exactly this one.
    Exactly(crate::perfevent::Source),
}

/// Whether to sample kernel mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelWish {
    /// If permitted.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

impl RecordPlan {
    /// Creates a file of the recording that only its owner can access: samples contain parts of the program's memory.
    pub(super) fn create(path: &Path) -> io::Result<File> {
        File::options().write(true).create_new(true).mode(0o600).open(path)
    }
}
