//! Manifest of a run: `manifest.json` without the id, the schema version and the hashes, which the archive adds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::binaries::BinaryRecord;
use super::endpoint_record::EndpointRecord;
use super::{ContainerFacts, FinishedBuild};
use crate::archive::Program;
use crate::config::{self, Config, Engine, name_of};
use crate::gobench::BenchmarkResult;
use crate::gobin;
use crate::host;
use crate::loadtool::{LoadFigures, parse_load_output};
use crate::pprof::SourceDirs;
use crate::process::ExitStatus;
use crate::profile::{OffCpuTime, Phase, Quality};
use crate::record::{ChosenEvent, Observation, ObservationEnd, Recording, RunningProcess, RunningTarget};
use crate::redact::Secrets;
use crate::workload::{Ending, LaunchPlan, LoadOutcome, Outcome};

/// Content of `manifest.json` without the fields that the archive adds. Times are in seconds unless the field name says
/// otherwise. Fields that goflame itself does not read are plain JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Start of the run, RFC 3339 in UTC.
    pub created: String,
    /// Version of goflame.
    pub goflame: String,
    /// Command line of goflame.
    pub command: Vec<String>,
    /// Name, package and kind of the app.
    pub app: AppRecord,
    /// Name of the variant that was built. Empty if goflame did not build the program (`goflame record`).
    pub variant: String,
    /// Title of the run's graphs.
    pub title: String,
    /// Facts about the build of the binary. `None` if goflame did not build it (`goflame record`).
    pub build: Option<BuildRecord>,
    /// Git commit, branch, and whether there were uncommitted changes. Null if goflame did not build the program.
    pub git: Value,
    /// Facts about the machine.
    pub host: Value,
    /// Findings of the readiness checks.
    pub checks: Value,
    /// Sampled files other than the binary, with their copies in the run. Absent in runs of older versions.
    #[serde(default)]
    pub binaries: Vec<BinaryRecord>,
    /// Result of the workload.
    pub workload: WorkloadResult,
    /// Results that the benchmarks printed. Empty for other programs.
    #[serde(default)]
    pub benchmarks: Vec<BenchmarkResult>,
    /// Options and counts of the sampler.
    pub sampler: SamplerRecord,
    /// Quality of the profile.
    pub quality: Quality,
    /// Name of the function with the largest self weight. `None` if there are no samples.
    #[serde(default)]
    pub hottest: Option<String>,
    /// Profiles that the program served. `None` if none were requested.
    #[serde(default)]
    pub runtime_profiles: Option<EndpointRecord>,
    /// Thread time off the CPU. `None` if it was not recorded.
    #[serde(default)]
    pub off_cpu: Option<OffCpuTime>,
    /// Notes that the user saw during the run.
    pub notes: Vec<String>,
    /// Files of the run that its export left out. Empty for a run that was not imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutFile>,
}

impl Manifest {
    /// Returns the first `digits` digits of the commit, and `*` if there were uncommitted changes. Empty if unknown.
    pub fn short_commit(&self, digits: usize) -> String {
        let Some(commit) = self.git.get("commit").and_then(Value::as_str) else { return String::new() };
        let mut short: String = commit.chars().take(digits).collect();
        if self.git.get("dirty") == Some(&Value::Bool(true)) {
            short.push('*');
        }
        short
    }
}

/// A file of a run that its export leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutFile {
    /// Name of the file in the run's directory.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// Why the export leaves the file out.
    pub reason: String,
}

/// Profiled app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppRecord {
    /// Name of the app.
    pub name: String,
    /// Package argument of `go build`. For `goflame record`, the path of the first program, or empty.
    pub package: String,
    /// `binary` or `bench`.
    pub kind: String,
    /// Directory of the project.
    pub root: PathBuf,
    /// Whether the archive was inside the project directory. Absent in runs of archive format 1.
    #[serde(default)]
    pub own_archive: Option<bool>,
}

/// Facts about the build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Build command, ready to paste into a shell. A container build has one line per container.
    pub command: String,
    /// Environment variables that the build command set, with secrets masked.
    pub env: BTreeMap<String, String>,
    /// Version of Go that built the binary.
    pub go: String,
    /// Duration of the build in seconds.
    pub seconds: f64,
    /// Path of the binary while it ran. Recordings refer to the binary by this path.
    pub path: PathBuf,
    /// Path of the binary inside the run directory.
    pub file: String,
    /// SHA-256 of the binary.
    pub sha256: String,
    /// Size of the binary in bytes.
    pub size: u64,
    /// Facts from the inspection of the binary.
    pub inspection: Value,
    /// Directories of the source files on the machine that built the program, by the names that `-trimpath` gives to
    /// them. Empty for a Docker build.
    #[serde(default)]
    pub sources: SourceDirs,
    /// Image and engine of a Docker build.
    #[serde(default)]
    pub docker: Option<Value>,
    /// Record of `goflame build --verify`: two builds produced exactly these bytes, from the listed inputs. `None` if
    /// the binary was not verified.
    #[serde(default)]
    pub verified: Option<Value>,
}

/// Workload of a run and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadResult {
    /// Program and its arguments, with secrets masked.
    pub argv: Vec<String>,
    /// Environment variables that were added, with secrets masked.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub dir: PathBuf,
    /// Exit status as text.
    pub status: String,
    /// Exit code, or 128 + the number of the signal that killed the workload.
    pub exit_code: u8,
    /// Number of the signal that killed the workload, if any.
    pub signal: Option<i32>,
    /// Reason for the end: `own`, `interrupted`, `timed-out`, or `stopped` for a server after its window. `runs-on` if the
    /// program ran before the recording and ran on after it.
    pub ending: String,
    /// Whether the run failed, so that it is never `latest`. The workload failed or did not reach its window, without
    /// `--ignore-failure`, or a recording of running programs has no samples.
    #[serde(default)]
    pub failed: bool,
    /// Wall time in seconds.
    pub wall_seconds: f64,
    /// User CPU time of all workload processes, in seconds.
    pub user_seconds: f64,
    /// System CPU time of all workload processes, in seconds.
    pub system_seconds: f64,
    /// Peak resident memory of the largest process, in KiB. `None` for small processes, where it is unknown.
    pub max_rss_kib: Option<u64>,
    /// Number of processes that were still running after the workload's main process ended, and were stopped.
    pub outlived: usize,
    /// User that the workload ran as; `None` if it was the user of goflame itself.
    pub user: Option<String>,
    /// The phases of the run; times are on the clock of the samples. Only the samples of `window` count.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// The command that drove load.
    #[serde(default)]
    pub load: Option<LoadRecord>,
}

/// Command that drove load on a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// Program and its arguments, with secrets masked.
    pub argv: Vec<String>,
    /// Exit status as text.
    pub status: String,
    /// Whether goflame stopped the command.
    pub stopped: bool,
    /// Wall time of the command in seconds.
    pub wall_seconds: f64,
    /// Figures that the command printed. `None` if goflame does not know the load tool.
    pub figures: Option<LoadFigures>,
}

impl LoadRecord {
    /// Creates the record from the command, its end and its output.
    pub(super) fn new(argv: &[String], outcome: &LoadOutcome, output: &[u8], secrets: &Secrets) -> Self {
        Self {
            argv: secrets.mask_args(argv),
            status: outcome.status.to_string(),
            stopped: outcome.was_stopped,
            wall_seconds: outcome.wall.as_secs_f64(),
            figures: parse_load_output(output),
        }
    }
}

/// Sampler of a run: its options and its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplerRecord {
    /// Engine: `native` or `perf`.
    pub engine: String,
    /// Event that was actually sampled.
    pub event: String,
    /// Sampling frequency: samples per second and CPU.
    pub frequency: u32,
    /// Whether kernel mode was sampled.
    pub kernel: bool,
    /// Size of the stack copy in each sample, in bytes.
    pub stack: u32,
    /// Why the stack copies have this size. Empty in runs of older versions.
    #[serde(default)]
    pub stack_reason: String,
    /// Number of samples written; `None` with `engine = "perf"`.
    pub samples: Option<u64>,
    /// Number of records that the kernel dropped; `None` with `engine = "perf"`.
    pub lost: Option<u64>,
    /// Size of the ring buffer per CPU in bytes; `None` with `engine = "perf"`.
    pub ring_bytes: Option<usize>,
    /// Value of `kernel.perf_event_max_stack` during the recording.
    pub max_stack: Option<u32>,
    /// CPU time of the workload in its window in seconds, to compare the samples with. `None` if it is unknown, and
    /// with `engine = "perf"`, because it would include the CPU time of perf.
    pub used_cpu_seconds: Option<f64>,
    /// How tasks were sampled. `control-group`: one event per CPU, only for the control group of the workload or container.
    /// `machine`: one event per CPU, for all processes. `inherited`: one event per thread. `None` with `engine = "perf"`
    /// and in runs of older versions.
    #[serde(default)]
    pub tasks: Option<String>,
    /// Why each thread had an event of its own. `None` for other values of `tasks`.
    #[serde(default)]
    pub inherited_reason: Option<String>,
    /// Number of processes whose goroutines were read. `None` with `engine = "perf"` and in runs of older versions.
    #[serde(default)]
    pub goroutine_processes: Option<usize>,
    /// Whether a recording of the run has samples with registers and stack copies. `None` in runs of older versions,
    /// which always kept them.
    #[serde(default)]
    pub raw: Option<bool>,
    /// Reason why kernel frames have no names; `None` if they have names.
    pub kernel_symbols_absent: Option<String>,
}

impl AppRecord {
    /// Creates the app from the settings.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            name: config.app.name.clone(),
            package: config.app.package.clone(),
            kind: name_of(&config.app.kind),
            root: config.root.clone(),
            own_archive: Some(is_inside(&config.archive.dir, &config.root)),
        }
    }
}

impl BuildRecord {
    /// Creates the record of a build whose program is stored in the archive. `verified` is the record of
    /// `goflame build --verify`.
    pub(super) fn new(built: &FinishedBuild, program: &Program, sources: SourceDirs, verified: Option<Value>) -> Self {
        let FinishedBuild { plan, command, go, container, artifact, build_duration, .. } = built;
        Self {
            command: command.clone(),
            env: mask_pairs(&plan.env, &plan.secrets),
            go: go.version.clone(),
            seconds: build_duration.as_secs_f64(),
            path: program.path().to_owned(),
            file: format!("bin/{}", program.name()),
            sha256: artifact.sha256.clone(),
            size: artifact.size,
            inspection: inspection_to_json(&artifact.facts, &plan.secrets),
            sources,
            docker: container.as_ref().map(container_to_json),
            verified,
        }
    }
}

fn container_to_json(container: &ContainerFacts) -> Value {
    let ContainerFacts { image, digest, engine, user } = container;
    json!({
        "image": image,
        "digest": digest,
        "engine": engine.version,
        "api": engine.api,
        "rootless": engine.is_rootless,
        "user": format!("{}:{}", user.uid, user.gid),
    })
}

fn inspection_to_json(facts: &gobin::BinaryFacts, secrets: &Secrets) -> Value {
    let dwarf = &facts.dwarf;
    let go = facts.go.as_ref().ok().map(|go| {
        json!({
            "version": go.go_version,
            "path": go.path,
            "module": go.module.as_ref().map(|module| format!("{}@{}", module.path, module.version)),
            "settings": mask_pairs(&go.settings, secrets),
        })
    });
    json!({
        "machine": facts.machine,
        "pie": facts.is_pie,
        "build_id": facts.build_id,
        "symbol_table": facts.has_symtab,
        "dwarf": { "present": dwarf.is_present, "version": dwarf.version, "compressed": dwarf.is_compressed },
        "cgo": facts.uses_cgo,
        "optimisation": facts.optimisation.to_string(),
        "go": go,
    })
}

/// Whether a directory is inside a project, after all links are resolved.
pub(super) fn is_inside(dir: &Path, project: &Path) -> bool {
    match (fs::canonicalize(dir), fs::canonicalize(project)) {
        (Ok(dir), Ok(project)) => dir.starts_with(project),
        _ => false,
    }
}

/// Converts name-value pairs to a map and masks the secrets in the values.
pub(super) fn mask_pairs(pairs: &[(String, String)], secrets: &Secrets) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.clone(), secrets.mask_value(name, value))).collect()
}

impl WorkloadResult {
    /// Creates the result from the plan and the outcome of the workload.
    pub(super) fn new(plan: &LaunchPlan, outcome: &Outcome, ignore_failure: bool, secrets: &Secrets) -> Self {
        let argv: Vec<_> = plan.argv.iter().map(|arg| arg.to_string_lossy()).collect();
        Self {
            argv: secrets.mask_args(&argv),
            env: mask_pairs(&plan.env, secrets),
            dir: plan.dir.clone(),
            status: outcome.status.to_string(),
            exit_code: outcome.status.exit_code(),
            signal: match outcome.status {
                ExitStatus::Signal(signal) => Some(signal),
                ExitStatus::Code(_) => None,
            },
            ending: match outcome.ending {
                Ending::ByItself => "own".into(),
                Ending::Interrupted(_) => "interrupted".into(),
                Ending::TimedOut => "timed-out".into(),
                Ending::Stopped => "stopped".into(),
                Ending::StillRuns => "runs-on".into(),
            },
            failed: outcome.has_failed() && !ignore_failure,
            wall_seconds: outcome.wall.as_secs_f64(),
            user_seconds: outcome.user_cpu.as_secs_f64(),
            system_seconds: outcome.system_cpu.as_secs_f64(),
            max_rss_kib: outcome.max_rss_kib,
            outlived: outcome.outliving_processes,
            user: plan.user.as_ref().map(|user| user.name.clone()),
            phases: outcome.phases.clone(),
            load: None,
        }
    }
}

impl WorkloadResult {
    /// Creates the result of programs that ran before the recording.
    pub(super) fn from_observation(target: &RunningTarget, observation: &Observation, secrets: &Secrets) -> Self {
        let first = target.processes().first();
        let (status, ending) = match observation.end {
            ObservationEnd::TargetEnded => ("ended, with an unknown status", "own"),
            ObservationEnd::TimeReached | ObservationEnd::Signal(_) => ("runs on", "runs-on"),
        };
        let (user, system) = observation.cpu.unwrap_or_default();
        Self {
            argv: first.map_or_else(Vec::new, |process| secrets.mask_args(&process.argv)),
            env: BTreeMap::new(),
            dir: first.map_or_else(PathBuf::new, |process| process.dir.clone()),
            status: status.into(),
            exit_code: 0,
            signal: None,
            ending: ending.into(),
            failed: false,
            wall_seconds: observation.wall.as_secs_f64(),
            user_seconds: user.as_secs_f64(),
            system_seconds: system.as_secs_f64(),
            max_rss_kib: None,
            outlived: 0,
            user: first.map(RunningProcess::user_name),
            phases: Vec::new(),
            load: None,
        }
    }
}

impl SamplerRecord {
    /// Creates the record from the requested options, the options that the kernel granted, and the counts of the
    /// recording.
    pub(super) fn new(
        settings: &config::Record,
        chosen: &ChosenEvent,
        facts: &host::HostFacts,
        outcome: &Outcome,
        recording: &Recording,
    ) -> Self {
        let used = outcome.window_cpu.as_secs_f64();
        let (figures, inherited) = (recording.figures, recording.per_thread_reason.as_ref());
        let processes: BTreeSet<u32> = recording.goroutines.iter().map(|seen| seen.pid).collect();
        Self {
            engine: match settings.engine {
                Engine::Native => "native".into(),
                Engine::Perf => "perf".into(),
            },
            event: chosen.spec.source.name().into(),
            frequency: settings.frequency,
            kernel: chosen.spec.kernel,
            stack: chosen.spec.stack,
            stack_reason: String::new(),
            samples: figures.map(|figures| figures.samples),
            lost: figures.map(|figures| figures.lost),
            ring_bytes: figures.map(|figures| figures.ring_bytes),
            max_stack: facts.perf_event_max_stack.value().copied(),
            // With `perf record`, the CPU times include those of perf.
            used_cpu_seconds: figures.filter(|_| outcome.has_cpu_times).map(|_| used),
            tasks: figures.map(|_| recording.tasks.into()),
            inherited_reason: inherited.map(|inherited| inherited.reason.clone()),
            goroutine_processes: figures.map(|_| processes.len()),
            raw: None,
            kernel_symbols_absent: None,
        }
    }

    /// Sets the reason for the size of the stack copies.
    pub(super) fn with_stack_reason(self, reason: &str) -> Self {
        Self { stack_reason: reason.to_owned(), ..self }
    }

    /// Sets whether a recording of the run has samples with registers and stack copies.
    pub(super) fn with_raw(self, raw: bool) -> Self {
        Self { raw: Some(raw), ..self }
    }

    /// Sets the reason why kernel frames have no names.
    pub(super) fn with_kernel_symbols_absent(self, reason: Option<String>) -> Self {
        Self { kernel_symbols_absent: reason, ..self }
    }
}

/// Converts plain data to JSON. An error, which is not expected, gives a null, so that the run is not lost.
pub(super) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
