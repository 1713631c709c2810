//! Errors of the pipeline: one variant per stage. The cause is in `source`.

use crate::build::docker;
use crate::doctor::Finding;
use crate::endpoint::{FetchError, HeaderError};
use crate::fsio::FileError;
pub use crate::process::describe_with_causes;
use crate::redact::MASK;
use crate::sources::InputError;
use crate::{analyse, archive, build, config, perfdata, pprof, process, record, stacktext, workload};

/// Lines of the difference between two lock files.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct LockDifference(pub(super) Vec<String>);

/// Error that ended a pipeline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Error in the settings.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The build would change the lock file, and `--locked` forbids it.
    #[error("{name} {}, and --locked forbids that", if *missing { "does not exist" } else { "would change" })]
    Locked {
        /// Name of the lock file.
        name: String,
        /// Whether the lock file does not exist.
        missing: bool,
        /// Lines that would change.
        #[source]
        difference: LockDifference,
    },
    /// The machine, the toolchain or the binary is not ready. The findings say why.
    #[error("not ready")]
    NotReady(Vec<Finding>),
    /// The build failed.
    #[error(transparent)]
    Build(#[from] build::Error),
    /// Root could not switch to the permissions of the user who called sudo.
    #[error("cannot switch to the user {name}, who called sudo")]
    Caller {
        /// Name of the user who called sudo.
        name: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The workload could not be run or not be supervised.
    #[error(transparent)]
    Workload(#[from] workload::Error),
    /// The recording failed.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The Docker engine was not reached, or did not name the process of a container.
    #[error(transparent)]
    Engine(docker::Error),
    /// The program of the command was not found.
    #[error(transparent)]
    NoCommand(process::Error),
    /// `engine = "perf"` is set, but perf was not found.
    #[error("`engine = \"perf\"` needs perf")]
    NoPerf(#[source] process::Error),
    /// `engine = "perf"` is set together with a window.
    #[error("`engine = \"perf\"` samples the whole run: it has no `ready`, `warmup`, `duration` and `load`")]
    PerfWindow,
    /// `engine = "perf"` is set together with `off_cpu`.
    #[error("`engine = \"perf\"` does not record the time off the CPU (`off_cpu` in [record])")]
    PerfOffCpu,
    /// The file is not a recording, or the recording is damaged.
    #[error("cannot read {path}")]
    Unreadable {
        /// Path of the file.
        path: String,
        /// Cause.
        #[source]
        source: perfdata::Error,
    },
    /// The file is neither a recording nor a profile.
    #[error("{path} is {}", if *empty { "empty" } else { "not a profile that goflame can read" })]
    UnknownKind {
        /// Path of the file.
        path: String,
        /// Whether the file is empty.
        empty: bool,
    },
    /// The file is not a pprof profile, or the profile is damaged.
    #[error("cannot read {path} as a pprof profile")]
    Pprof {
        /// Path of the file.
        path: String,
        /// Cause.
        #[source]
        source: pprof::Error,
    },
    /// The text with stacks cannot be read.
    #[error("cannot read the stacks of {path}")]
    StackText {
        /// Path of the file.
        path: String,
        /// Cause.
        #[source]
        source: stacktext::Error,
    },
    /// A variable of the environment does not hold headers.
    #[error(transparent)]
    Headers(HeaderError),
    /// A profile could not be fetched from a program.
    #[error(transparent)]
    Fetch(FetchError),
    /// A profile of Go's runtime was requested of a source that is a single profile.
    #[error("{name} is one profile, and has no others")]
    NoRuntimeProfiles {
        /// Name of the file, or URL.
        name: String,
    },
    /// A run does not hold a profile of Go's runtime.
    #[error("run {run} has no {profile} profile of Go's runtime")]
    NoRuntimeProfile {
        /// Id of the run.
        run: String,
        /// Name of the profile.
        profile: String,
        /// Names of the profiles that the run holds.
        known: Vec<String>,
    },
    /// The run has no off-CPU profile.
    #[error("run {run} has no off-CPU profile")]
    NoOffCpu {
        /// Id of the run.
        run: String,
    },
    /// An execution trace was requested, which goflame cannot show.
    #[error("{trace} is an execution trace, not a profile")]
    TraceNotShown {
        /// Path of the file, or URL.
        trace: String,
    },
    /// A sample type was requested for a recording.
    #[error("{name} is a recording: it has events, not sample types")]
    NoSampleTypes {
        /// Name of the file or of the run.
        name: String,
    },
    /// An event was requested for a pprof profile.
    #[error("{name} is a pprof profile: it has sample types, not events")]
    NoEvents {
        /// Name of the file.
        name: String,
    },
    /// An event or a sample type was requested for folded stacks.
    #[error("{name} holds folded stacks: they have neither events nor sample types")]
    NothingToSelect {
        /// Name of the file.
        name: String,
    },
    /// A range of time was requested for a profile without times.
    #[error("cannot select a range of time in {name}: {reason}")]
    NoTimes {
        /// Name of the file or of the run.
        name: String,
        /// Why the times are missing.
        reason: &'static str,
    },
    /// A profile to compare has no samples.
    #[error("{name} has no samples{}, so there is nothing to compare", if *filtered { " that the filters keep" } else { "" })]
    NothingToCompare {
        /// Name of the file or of the run.
        name: String,
        /// Whether filters were given.
        filtered: bool,
    },
    /// Two profiles measure different things.
    #[error("cannot compare {old} with {new}: they measure different things")]
    DifferentUnits {
        /// Event and unit of the old profile.
        old: String,
        /// Event and unit of the new profile.
        new: String,
        /// Whether the shares of the two profiles could be compared.
        comparable_shares: bool,
    },
    /// No two runs of the debug and the release build belong together.
    #[error("no run of the {missing} build to compare{}", run.as_ref().map_or_else(String::new, |run| format!(" with {run}")))]
    NoVariant {
        /// The variants without a run.
        missing: String,
        /// The run of the other variant.
        run: Option<String>,
        /// The latest run of a missing variant, and why it does not count.
        differs: Option<String>,
        /// Commands that make the missing runs.
        commands: Vec<String>,
    },
    /// The profile does not say how long it was recorded.
    #[error("{name} does not say how long it was recorded")]
    NoDuration {
        /// Name of the file.
        name: String,
    },
    /// The recording cannot be analysed.
    #[error("cannot analyse {path}")]
    Analyse {
        /// Path of the file.
        path: String,
        /// Cause.
        #[source]
        source: analyse::Error,
    },
    /// A file of the user cannot be read.
    #[error(transparent)]
    Input(FileError),
    /// An output cannot be written.
    #[error(transparent)]
    Output(FileError),
    /// The archive reported an error.
    #[error(transparent)]
    Archive(#[from] archive::Error),
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        match error {
            InputError::File(error) => Self::Input(error),
            InputError::Content { path, source } => Self::Unreadable { path, source },
        }
    }
}

impl Error {
    /// Whether a run failed before its workload began, or before anything was sampled.
    pub(super) fn is_before_sampling(&self) -> bool {
        match self {
            Self::Workload(error) => !error.program_ran(),
            Self::Record(error) => !error.has_samples(),
            _ => false,
        }
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Config(error) => error.hints(),
            Self::Locked { .. } => {
                vec!["`goflame build --update-lock` writes it; commit it together with the change that caused it".into()]
            }
            Self::Build(error) => error.hints(),
            Self::Workload(error) => error.hints(),
            Self::Record(error) => error.hints(),
            Self::Engine(error) => error.hints(),
            Self::NoPerf(_) => vec!["install perf (Debian: linux-perf), or use `engine = \"native\"`".into()],
            Self::PerfWindow => vec!["`--engine native` samples the window only".into()],
            Self::PerfOffCpu => vec!["use `engine = \"native\"`".into()],
            Self::NoOffCpu { .. } => vec!["`off_cpu = true` in [record], or --off-cpu, records the next run with it".into()],
            Self::Archive(error) => error.hints(),
            Self::Unreadable { source, .. } => source.hints(),
            Self::Pprof { source, .. } => source.hints(),
            Self::StackText { source, .. } => source.hints(),
            Self::UnknownKind { empty: true, .. } => {
                vec!["a CPU profile stays empty when the program ends without `pprof.StopCPUProfile`: os.Exit skips deferred calls".into()]
            }
            Self::UnknownKind { .. } => vec![
                "goflame reads perf.data files, pprof profiles (profile.proto, gzipped or not), folded stacks and the output of `perf script`; `goflame runs list` lists its own runs"
                    .into(),
            ],
            Self::Headers(error) => error.hints(),
            Self::Fetch(error) => error.hints(),
            Self::NoRuntimeProfiles { .. } => {
                vec!["`--profile` selects a profile of a run, or of a program: http://HOST:PORT/debug/pprof".into()]
            }
            Self::NoRuntimeProfile { known, .. } if known.is_empty() => {
                vec!["`pprof` in [runtime] says where a program serves its profiles; `goflame run` then keeps them".into()]
            }
            Self::NoRuntimeProfile { known, .. } => vec![format!("it has {}", known.join(", "))],
            Self::TraceNotShown { trace } if trace.starts_with("http") => {
                vec![format!("`curl -sS -o trace.out '{trace}'`, then `go tool trace trace.out`")]
            }
            Self::TraceNotShown { trace } => vec![format!("`go tool trace {trace}` shows it")],
            Self::NoSampleTypes { .. } => vec!["`--event` selects an event".into()],
            Self::NoEvents { .. } => vec!["`--sample-type` selects a sample type".into()],
            Self::NoTimes { .. } => {
                vec!["`--from` and `--to` need a recording with times, as goflame and `perf record` write it".into()]
            }
            Self::NothingToCompare { .. } => vec!["`goflame report` shows what a profile holds".into()],
            Self::DifferentUnits { comparable_shares: true, .. } => {
                vec!["`--normalize share` compares shares of all samples".into()]
            }
            Self::DifferentUnits { .. } => {
                vec!["`--sample-type` and `--event` select what to compare if a profile holds several".into()]
            }
            Self::NoVariant { differs, commands, .. } => {
                let makes = if commands.len() == 1 { "makes it" } else { "make them" };
                let quoted: Vec<_> = commands.iter().map(|line| format!("`{line}`")).collect();
                let masked = commands.iter().any(|line| line.contains(MASK));
                let secrets = masked.then(|| format!("put the secrets in place of `{MASK}`"));
                differs.iter().cloned().chain([format!("{} {makes}", quoted.join(" and "))]).chain(secrets).collect()
            }
            Self::NoDuration { .. } => vec!["`--units OLD,NEW` sets the seconds of both, or other units of work".into()],
            Self::Analyse { source, .. } => source.hints(),
            Self::NotReady(_)
            | Self::NoCommand(_)
            | Self::Caller { .. }
            | Self::NothingToSelect { .. }
            | Self::Input(_)
            | Self::Output(_) => Vec::new(),
        }
    }
}
