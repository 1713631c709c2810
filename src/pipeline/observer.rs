//! Messages of a pipeline, as values: another module turns them into text.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::archive::{RunId, Substitution};
use crate::build::BuildProgress;
use crate::doctor::Finding;
use crate::process::ExitStatus;
use crate::record::{ChosenEvent, Limitation, SamplingFigures, SamplingProgress};
use crate::views::CrossCheck;
use crate::workload::{self, Ending, IncompleteLog, Outcome, ServerFailure};

use super::Error;
use super::endpoint_record::FetchedRecord;

/// Receiver of the messages of a pipeline.
pub trait Observer: workload::Progress + SamplingProgress + BuildProgress {
    /// A stage begins or is done.
    fn event(&self, event: &PipelineEvent<'_>);
    /// A problem may make the result less reliable.
    fn warning(&self, warning: &Warning<'_>);
}

/// A stage that begins or is done, or a fact that is not a problem.
#[derive(Debug)]
pub enum PipelineEvent<'a> {
    /// Old runs were removed because the next run would not fit.
    MadeRoom {
        /// Number of complete runs.
        runs: usize,
        /// Number of incomplete runs.
        partials: usize,
        /// Size of all these runs.
        bytes: u64,
    },
    /// Containers that an earlier goflame left behind were removed.
    ContainersSwept {
        /// Number of containers.
        count: usize,
    },
    /// The lock file is up to date.
    LockUnchanged {
        /// Name of the lock file.
        lock: &'a str,
        /// Contents of the lock file.
        pins: Pins<'a>,
    },
    /// The lock file was written.
    LockWritten {
        /// Name of the lock file.
        lock: &'a str,
        /// Contents of the lock file.
        pins: Pins<'a>,
    },
    /// A build begins.
    Building {
        /// Package argument of `go build`.
        package: &'a str,
        /// Name of the variant.
        variant: &'a str,
        /// Whether the variant turns off the compiler's optimisations.
        unoptimised: bool,
        /// Version of Go.
        go: &'a str,
        /// Whether a container builds.
        in_container: bool,
    },
    /// The commands of the build, ready to paste into a shell.
    BuildCommand(&'a str),
    /// The machine and the program are ready. The findings may include warnings.
    Ready(&'a [Finding]),
    /// The workload begins. Secrets in the command line are masked.
    Running {
        /// Program and arguments.
        argv: &'a [String],
    },
    /// Sampling of running programs begins.
    Observing {
        /// Description of the target: names and ids of the processes, or the whole machine.
        target: &'a str,
        /// Maximum duration. `None` if there is no maximum.
        duration: Option<Duration>,
    },
    /// The sampling ended: the workload ended, or the recording of running programs is complete.
    Profiled {
        /// Samples per second and CPU.
        frequency: u32,
        /// The event that was sampled.
        event: &'a ChosenEvent,
        /// How the workload ended.
        outcome: &'a Outcome,
        /// Figures of goflame's own sampler. `None` with `engine = "perf"`.
        figures: Option<SamplingFigures>,
    },
    /// The stopped workload is a server at this address, but the settings have no phases.
    ServesRequests(SocketAddr),
    /// Profiles were fetched from the program.
    Fetched {
        /// URL of the profiles.
        endpoint: &'a str,
        /// The profiles, with the most important fact of each.
        profiles: &'a [FetchedRecord],
    },
    /// The samples were compared with the CPU profile of Go's runtime.
    CrossChecked(&'a CrossCheck),
    /// A profile is being fetched from a program.
    Fetching {
        /// URL of the profile.
        url: &'a str,
        /// Time for which the program collects the profile.
        duration: Duration,
    },
    /// goflame samples another event than requested, which is equally reliable.
    OtherEvent(Limitation),
    /// The analysis begins. If goflame is interrupted, the samples remain in the recording.
    Analysing {
        /// The recording.
        perf_data: &'a Path,
    },
    /// A recording was analysed.
    Analysed {
        /// Number of samples.
        samples: u64,
        /// The recording.
        input: AnalysedInput<'a>,
        /// Duration of the analysis in seconds.
        seconds: f64,
    },
    /// A pprof profile, or a text with stacks, was read.
    ReadProfile {
        /// Total count with its name, such as `12 contentions`. The name of the event if the profile has only a weight.
        total: &'a str,
        /// The file.
        name: &'a str,
        /// Duration of the reading in seconds.
        seconds: f64,
    },
}

/// Toolchain and image that a lock file pins.
#[derive(Debug, Clone, Copy)]
pub struct Pins<'a> {
    /// Version of Go.
    pub go: &'a str,
    /// Name and digest of the image of a build in a container.
    pub image: Option<(&'a str, &'a str)>,
}

/// A recording that was analysed.
#[derive(Debug)]
pub enum AnalysedInput<'a> {
    /// The recording of this command.
    ThisRun,
    /// A run of the archive.
    Run(&'a RunId),
    /// A file.
    File(&'a str),
}

/// A problem that does not end the pipeline.
#[derive(Debug)]
pub enum Warning<'a> {
    /// Old runs could not be removed.
    OldRunsRemain(&'a Error),
    /// The next run may not fit into the free space.
    LittleSpace {
        /// Free bytes.
        free: u64,
        /// Directory of the archive.
        archive: &'a Path,
        /// Size in bytes of the last run of the app, or of its largest incomplete run if that is larger.
        expected: u64,
    },
    /// The image's tag has moved since the lock file was written.
    ImageMoved {
        /// Name of the image.
        image: &'a str,
        /// Digest that the tag has now.
        now: &'a str,
    },
    /// The lock file contains secrets in plain text.
    SecretsInLock {
        /// Name of the lock file.
        lock: &'a str,
    },
    /// The lock file cannot be written, for example in a read-only checkout.
    LockNotWritten {
        /// Name of the lock file.
        lock: &'a str,
        /// The reason.
        reason: &'a io::Error,
    },
    /// A warning of the build plan.
    Build(&'a str),
    /// The samples of an incomplete run are kept in this file.
    SamplesKept {
        /// The recording.
        perf_data: &'a Path,
    },
    /// The workload was stopped, or it failed.
    EndedEarly {
        /// How the workload ended.
        status: ExitStatus,
        /// Why the workload ended.
        ending: Ending,
    },
    /// The run of a server did not reach the end of its window.
    ServerFailed {
        /// The reason.
        failure: &'a ServerFailure,
        /// Last output lines of the server, or of the load command if that failed.
        last_lines: &'a [String],
    },
    /// This number of processes could not be stopped.
    Unstoppable(usize),
    /// This number of processes outlived the workload and was stopped.
    Outlived(usize),
    /// A note of the analysis.
    Analysis(&'a str),
    /// A note that is also stored in the manifest.
    Note(&'a RunNote),
    /// A copy of the workload's output is incomplete.
    IncompleteLog(&'a IncompleteLog),
    /// The stored program changed during the run.
    Substitution(&'a Substitution),
}

/// A fact about a run that limits its profile.
#[derive(Debug, thiserror::Error)]
pub enum RunNote {
    /// `perf record` would end the program at a size limit, so there is no limit.
    #[error("`max_bytes` in [archive] does not bound perf.data with `engine = \"perf\"`")]
    RecordingUnbounded,
    /// Sampled files are larger than a run may keep.
    #[error(
        "the run does not keep these sampled files, which have more than {} MiB together: {}; a later report names their \
         functions only where the same files are in place",
        bound >> 20, files.join(", ")
    )]
    BinariesLeftOut {
        /// Paths of the files that the run does not keep.
        files: Vec<String>,
        /// Maximum bytes of all sampled files in a run.
        bound: u64,
    },
    /// The program's goroutine descriptors cannot be read, for this reason.
    #[error("goroutines are known by their addresses only: {0}")]
    GoroutinesUnread(String),
    /// The goroutine descriptors of some processes cannot be read, for these reasons.
    #[error("goroutines of some processes are known by their addresses only: {}", .0.join("; "))]
    GoroutinesPartlyUnread(Vec<String>),
    /// Only the current processes of a container and their children are sampled.
    #[error(
        "processes that enter the container during the recording, such as those of `docker exec`, are not sampled: {reason}; \
         {remedy} samples them"
    )]
    ContainerNotConfined {
        /// The reason.
        reason: String,
        /// Permissions or settings that let goflame also sample these processes.
        remedy: &'static str,
    },
    /// The target, which has this name, ended during the recording.
    #[error("{0} ended during the recording; the profile shows the time until then")]
    TargetEnded(String),
    /// Profiles of the program's runtime are missing or empty.
    #[error("{0}")]
    RuntimeProfile(String),
    /// The recording of waits cannot be written or analysed, for this reason.
    #[error("the run has no off-CPU profile: {0}")]
    NoWaits(String),
    /// The stack copies could not be removed from a recording.
    #[error("{file} keeps its stack copies, which hold the program's memory: {reason}")]
    StackCopiesKept {
        /// Name of the recording.
        file: &'static str,
        /// The reason.
        reason: String,
    },
}
