//! Everything that a recording needs to know, as plain values.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::GoroutineLayout;
use crate::process::Account;

/// Ring buffer per CPU that is asked for where the budget of locked memory allows it.
pub(crate) const WISHED_RING_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of ring buffer per CPU: the least that will do, and what is wished for.
pub const RING_SIZES: (usize, usize) = (crate::perfevent::SMALLEST_RING, WISHED_RING_BYTES);

/// A recording to be made.
#[derive(Debug, Clone)]
pub struct RecordPlan {
    /// The program (an absolute path) and its arguments.
    pub argv: Vec<OsString>,
    /// Environment, added to goflame's own.
    pub env: Vec<(String, String)>,
    /// Working directory of the program.
    pub dir: PathBuf,
    /// Its standard input.
    pub stdin: Stdin,
    /// After this time it is stopped.
    pub timeout: Duration,
    /// The user that it runs as, when goflame itself was started through sudo.
    pub user: Option<Account>,
    /// Who samples.
    pub sampler: Sampler,
    /// Samples per second and CPU.
    pub frequency: u32,
    /// Bytes of user stack copied with each sample.
    pub stack: u32,
    /// The CPUs to sample: those that are online.
    pub cpus: Vec<u32>,
    /// Where the kernel's own code lies (`_text` to `_etext`), where that is known.
    pub kernel_text: Option<Range<u64>>,
    /// Where goroutines say who they are, in programs of which that is known.
    pub goroutines: Option<GoroutineLayout>,
    /// Where the samples go.
    pub perf_data: PathBuf,
    /// Where a copy of the program's standard output goes.
    pub stdout_log: PathBuf,
    /// Where a copy of its standard error goes.
    pub stderr_log: PathBuf,
    /// The most bytes that each of these three files may have; `perf record` is not bounded.
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

/// Who samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sampler {
    /// goflame.
    Native,
    /// `perf record`, found here.
    Perf(PathBuf),
}

/// Which event is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventWish {
    /// `cycles`, else `cpu-clock`.
    Auto,
    /// Exactly this one.
    Exactly(crate::perfevent::Source),
}

/// Whether kernel mode is to be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelWish {
    /// Where permitted.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

impl RecordPlan {
    /// Creates a file of the recording, for its owner alone: samples hold pieces of the program's memory.
    pub(super) fn create(path: &Path) -> io::Result<File> {
        File::options().write(true).create_new(true).mode(0o600).open(path)
    }
}
