//! The inputs of the checks.

use std::path::PathBuf;

use crate::build::docker::DockerFacts;
use crate::build::{GoMod, GoOffPath, Mismatch, MissingGo};
use crate::config;
use crate::gobin;
use crate::host::HostFacts;
use crate::perfevent::TrialCounts;

/// The command that runs the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `goflame doctor`: all checks.
    Doctor,
    /// `goflame run`: only checks that the profile depends on.
    Run,
}

/// The inputs of all checks. A check whose input is `None` has no finding.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The command that runs the checks.
    pub purpose: Purpose,
    /// Facts about this machine.
    pub facts: &'a HostFacts,
    /// The recording settings.
    pub record: &'a config::Record,
    /// Size of the sampler's ring buffers.
    pub ring_size: RingSize,
    /// The result of opening the sampler's event.
    pub probe: Option<ProbeResult>,
    /// The result of the trial, in which goflame samples itself, or why it failed.
    pub trial: Option<Result<TrialCounts, String>>,
    /// Whether one event per CPU can be opened for a control group. The error contains the reason and the remedy.
    pub confined: Option<Result<(), String>>,
    /// The Go toolchain and related programs.
    pub tools: Option<&'a Tools>,
    /// The machine that the program is built for. `None` without a project.
    pub target: Option<&'a Target>,
    /// Docker, if the project builds in a container.
    pub docker: Option<&'a DockerFacts>,
    /// The binary to profile.
    pub binary: Option<ExaminedBinary<'a>>,
    /// GOMAXPROCS in the environment of the program. `None` if it is not set.
    pub gomaxprocs: Option<&'a str>,
    /// Ids of checks to ignore: `[doctor] ignore` and flags.
    pub ignored_ids: &'a [String],
    /// The directory of builds. `None` if this command does not build.
    pub build_directory: Option<&'a BuildDirectory>,
    /// Ids of the checks to run. Empty for all checks.
    pub selected_ids: &'a [String],
}

/// The machine that a program is built for. An empty field means Go's default for this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Operating system (GOOS), such as `linux`.
    pub goos: String,
    /// Architecture (GOARCH), such as `amd64`.
    pub goarch: String,
    /// Level of the amd64 architecture (GOAMD64), such as `v3`.
    pub goamd64: String,
}

/// Where the program is built and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildDirectory {
    /// The archive's directory, or its nearest parent directory that exists.
    pub path: PathBuf,
    /// Whether the file system is mounted noexec.
    pub is_noexec: bool,
}

/// Bytes of a CPU's ring buffer, including its control page. The kernel counts these bytes against the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    /// The preferred size.
    pub preferred_bytes: u64,
    /// The minimum: the sampler halves its buffers down to this size if the budget is small.
    pub min_bytes: u64,
}

/// The result of opening and mapping the sampler's event on goflame itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The opened event (`cycles`, `cpu-clock`). `None` if no event opened.
    pub opened_event: Option<String>,
    /// Whether the event opened with kernel samples.
    pub has_kernel_samples: bool,
    /// Bytes of each CPU's ring buffer, without the control page. 0 if no ring buffer was mapped.
    pub ring_bytes: u64,
    /// The error number of the last failure, if there was one.
    pub errno: Option<i32>,
    /// Whether the event opened but its ring buffer was refused.
    pub is_ring_refused: bool,
    /// The failed action and the system's error message. Empty after success.
    pub message: String,
}

/// Programs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// The go command, or why it does not answer.
    pub go: Result<GoFacts, String>,
    /// Whether there is a project to build.
    pub in_project: bool,
    /// Whether there is a project, a Go module or a Go workspace. `goflame run` builds a module without a
    /// `goflame.toml` too.
    pub in_module: bool,
    /// The pinned Go version (`[toolchain] go`). Empty if no version is pinned.
    pub pinned_version: String,
    /// A Go installation outside of PATH, if PATH has none.
    pub go_elsewhere: Option<GoOffPath>,
    /// Whether the go command exists but finds no directory for its build cache.
    pub go_lacks_cache: bool,
    /// The C compiler that Go would use, if it is on PATH.
    pub c_compiler: Option<PathBuf>,
    /// Delve, if it is on PATH.
    pub delve: Option<PathBuf>,
    /// The output of `perf --version`, or why it fails. `None` if perf is not used.
    pub perf: Option<Result<String, String>>,
}

/// Version and settings of the go command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoFacts {
    /// Version such as `go1.27.3`. If a version is pinned, it is this version.
    pub version: String,
    /// Value of GOFLAGS.
    pub goflags: String,
    /// Value of GOTOOLCHAIN. Empty in Go before 1.21.
    pub gotoolchain: String,
    /// Whether Go builds C code (`CGO_ENABLED`).
    pub cgo_enabled: bool,
    /// The C compiler that Go calls (CC).
    pub cc: String,
    /// GOMODCACHE or its nearest existing parent directory, and whether this user can write to it.
    pub module_cache: (PathBuf, bool),
    /// The project's go.mod.
    pub go_mod: Option<GoMod>,
    /// Why the build flags strip the binary or cannot be parsed.
    pub flags_refusal: Option<String>,
    /// Whether the variant sets a PATH. Only the builds of the variant use it.
    pub variant_sets_path: bool,
    /// A requested version that is not on this machine.
    pub missing_version: Option<MissingGo>,
    /// Other effects of the build flags on a profile.
    pub flag_warnings: Vec<String>,
}

/// The binary to profile.
#[derive(Debug, Clone)]
pub struct ExaminedBinary<'a> {
    /// The path as the user gave it.
    pub path: String,
    /// The facts about the binary, or why it is not a program.
    pub facts: Result<&'a gobin::BinaryFacts, String>,
    /// Differences between the binary and the requested build. `None` if goflame did not build the binary.
    pub mismatches: Option<&'a [Mismatch]>,
}
