//! What the checks are given.

use std::path::PathBuf;

use super::docker::DockerFacts;
use crate::build::Mismatch;
use crate::config;
use crate::gobin;
use crate::host::Facts;
use crate::perfevent::Arrived;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `goflame doctor`: everything.
    Doctor,
    /// `goflame run`: what the profile at hand depends on.
    Run,
}

/// All that is judged. A `None` means "not part of this plan": such checks are left out, not failed.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// Who asks.
    pub purpose: Purpose,
    /// The machine.
    pub facts: &'a Facts,
    /// What is to be sampled, and how.
    pub record: &'a config::Record,
    /// The ring buffers that the sampler maps.
    pub ring: RingSize,
    /// What came of opening the sampler's event.
    pub probe: Option<ProbeResult>,
    /// What arrived when goflame sampled itself, or why that failed.
    pub trial: Option<Result<Arrived, String>>,
    /// The Go toolchain and what belongs to it.
    pub tools: Option<&'a Tools>,
    /// Docker, where a build in a container is asked for.
    pub docker: Option<&'a DockerFacts>,
    /// The binary to be profiled.
    pub binary: Option<Examined<'a>>,
    /// GOMAXPROCS that the program will have from its environment; `None`: Go decides.
    pub gomaxprocs: Option<&'a str>,
    /// Ids of checks that do not count: `[doctor] ignore` and flags.
    pub ignore: &'a [String],
    /// Ids of the checks that are made; empty: all.
    pub only: &'a [String],
}

/// The size of one CPU's ring buffer in bytes, its control page included, as the kernel counts it against the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    /// What the sampler would like.
    pub wanted: u64,
    /// What it needs at least: it shrinks its buffers down to this before it gives up.
    pub least: u64,
}

/// What came of opening and mapping the sampler's own event on goflame itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The event that opened (`cycles`, `cpu-clock`); `None`: none did.
    pub opened: Option<String>,
    /// Whether it opened with kernel samples.
    pub kernel: bool,
    /// Bytes of ring buffer that each CPU got, without the control page; 0: none.
    pub ring_bytes: u64,
    /// The error number of the last refusal, where there was one.
    pub errno: Option<i32>,
    /// Whether it was the ring buffer that was refused, after the event had opened.
    pub memory: bool,
    /// What was refused, and the system's words for it; empty when nothing was.
    pub message: String,
}

/// Programs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The go command, or why it does not answer.
    pub go: Result<Go, String>,
    /// Whether there is a project that has to be built.
    pub in_project: bool,
    /// `[toolchain] go`; empty: no pin.
    pub pin: String,
    /// The C compiler that Go would use, when there is one on PATH.
    pub c_compiler: Option<PathBuf>,
    /// Delve, when it is on PATH.
    pub delve: Option<PathBuf>,
    /// What `perf --version` says, or why there is no answer; `None`: perf is not asked for.
    pub perf: Option<Result<String, String>>,
}

/// What the go command says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Go {
    /// Such as `go1.27.3`, with the pin in force.
    pub version: String,
    /// GOFLAGS.
    pub goflags: String,
    /// GOTOOLCHAIN; empty in Go before 1.21.
    pub gotoolchain: String,
    /// `CGO_ENABLED`.
    pub cgo_enabled: bool,
    /// CC.
    pub cc: String,
    /// GOMODCACHE, or the directory above it that is there already, and whether this user may write to it.
    pub module_cache: (PathBuf, bool),
    /// The `go` and `toolchain` lines of the go.mod in force.
    pub go_mod: Option<GoMod>,
    /// Why the flags in force would strip the binary or cannot be read.
    pub flags_refused: Option<String>,
    /// What else the flags in force do to a profile.
    pub flag_warnings: Vec<String>,
}

/// Two lines of a go.mod, each without its keyword; empty where it is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoMod {
    /// Such as `1.21` or `1.27.3`.
    pub go: String,
    /// Such as `go1.27.3` or `default`.
    pub toolchain: String,
}

/// A file that is to be profiled.
#[derive(Debug, Clone)]
pub struct Examined<'a> {
    /// Its path, as people know it.
    pub path: String,
    /// What its bytes show, or why they are no program.
    pub facts: Result<&'a gobin::Facts, String>,
    /// How it differs from what was asked of the build; `None`: nothing was asked.
    pub mismatches: Option<&'a [Mismatch]>,
}
