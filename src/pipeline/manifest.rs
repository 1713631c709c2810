//! What a run directory says of itself. The archive adds the id, the schema version and the hashes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::prune::lies_in;
use super::verify::recorded;
use super::{Built, InContainer};
use crate::archive::Program;
use crate::config::{self, Config, Engine, Kind};
use crate::gobin;
use crate::host;
use crate::process::Status;
use crate::profile::Quality;
use crate::record::{Ending, RecordPlan, Recording, Settled};
use crate::redact::Secrets;

/// `manifest.json`, less what the archive adds. Times are seconds unless the name says otherwise; what only
/// people and other programs read is kept as plain JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// When the run began, RFC 3339 in UTC.
    pub created: String,
    /// goflame's version.
    pub goflame: String,
    /// goflame's command line.
    pub command: Vec<String>,
    /// Name, package and kind of the app.
    pub app: App,
    /// The variant that was built.
    pub variant: String,
    /// The title of its pictures.
    pub title: String,
    /// How the binary came to be.
    pub build: BuildRecord,
    /// Commit, branch, and whether there were changes.
    pub git: Value,
    /// What the machine said about itself.
    pub host: Value,
    /// The readiness checks.
    pub checks: Value,
    /// How the workload went.
    pub workload: WorkloadResult,
    /// How it was sampled.
    pub sampler: SamplerRecord,
    /// How far the profile can be trusted.
    pub quality: Quality,
    /// What was said to the user on the way.
    pub notes: Vec<String>,
}

/// The profiled app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct App {
    /// Its name.
    pub name: String,
    /// What `go build` got.
    pub package: String,
    /// `binary` or `bench`.
    pub kind: String,
    /// The project's directory.
    pub root: PathBuf,
    /// Whether the archive lay in it. Not in runs of archive format 1.
    #[serde(default)]
    pub own_archive: Option<bool>,
}

/// The build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The command, ready to paste; in a container, one line a container.
    pub command: String,
    /// What it added to the environment.
    pub env: BTreeMap<String, String>,
    /// Version of Go.
    pub go: String,
    /// How long it took.
    pub seconds: f64,
    /// Where the binary lay when it ran; recordings name it by this path.
    pub path: PathBuf,
    /// Where the run directory has it.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// What its inspection showed.
    pub inspection: Value,
    /// The image and the engine of a Docker build.
    #[serde(default)]
    pub docker: Option<Value>,
    /// That two builds gave these very bytes, and all that went in, where `goflame build --verify` has shown it.
    #[serde(default)]
    pub verified: Option<Value>,
}

/// The workload's part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadResult {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment that was added.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub dir: PathBuf,
    /// How it ended, in words.
    pub status: String,
    /// Its exit code, or 128 + the signal that killed it.
    pub exit_code: u8,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// `own`, `interrupted` or `timed-out`.
    pub ending: String,
    /// Wall time.
    pub wall_seconds: f64,
    /// User CPU time of all its processes.
    pub user_seconds: f64,
    /// System CPU time of all its processes.
    pub system_seconds: f64,
    /// Peak resident memory of the largest process; `None` for small ones, where it cannot be told.
    pub max_rss_kib: Option<u64>,
    /// Processes that outlived it and were stopped.
    pub outlived: usize,
    /// The user that it ran as, where that was not goflame's own.
    pub user: Option<String>,
}

/// The sampler's part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplerRecord {
    /// `native` or `perf`.
    pub engine: String,
    /// The event really sampled.
    pub event: String,
    /// Samples per second and CPU.
    pub frequency: u32,
    /// Whether kernel mode was sampled.
    pub kernel: bool,
    /// Bytes of user stack with each sample.
    pub stack: u32,
    /// Samples written; `None` with `engine = "perf"`.
    pub samples: Option<u64>,
    /// Records that the kernel dropped; `None` with `engine = "perf"`.
    pub lost: Option<u64>,
    /// Bytes of ring buffer per CPU; `None` with `engine = "perf"`.
    pub ring_bytes: Option<usize>,
    /// `kernel.perf_event_max_stack` at the time.
    pub max_stack: Option<u32>,
    /// CPU seconds that the samples are held against; `None` where they include the sampler's own.
    pub used_cpu_seconds: Option<f64>,
    /// Why kernel frames have no names, if they have none.
    pub kernel_symbols_absent: Option<String>,
}

impl App {
    /// The app that the settings name.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            name: config.app.name.clone(),
            package: config.app.package.clone(),
            kind: match config.app.kind {
                Kind::Binary => "binary".into(),
                Kind::Bench => "bench".into(),
            },
            root: config.root.clone(),
            own_archive: Some(lies_in(&config.archive.dir, &config.root)),
        }
    }
}

impl BuildRecord {
    /// What was built, and stored in the archive to be run.
    pub(super) fn of(built: &Built, program: &Program) -> Self {
        let Built { plan, command, go, container, artifact, wall, .. } = built;
        Self {
            command: command.clone(),
            env: masked(&plan.env, &plan.secrets),
            go: go.version.clone(),
            seconds: wall.as_secs_f64(),
            path: program.path().to_owned(),
            file: format!("bin/{}", program.name()),
            sha256: artifact.sha256.clone(),
            size: artifact.size,
            inspection: inspection(&artifact.facts, &plan.secrets),
            docker: container.as_ref().map(in_container),
            verified: recorded(built),
        }
    }
}

fn in_container(container: &InContainer) -> Value {
    let InContainer { image, digest, engine, user } = container;
    json!({
        "image": image,
        "digest": digest,
        "engine": engine.version,
        "api": engine.api,
        "rootless": engine.rootless,
        "user": format!("{}:{}", user.uid, user.gid),
    })
}

fn inspection(facts: &gobin::BinaryFacts, secrets: &Secrets) -> Value {
    let dwarf = &facts.dwarf;
    let go = facts.go.as_ref().ok().map(|go| {
        json!({
            "version": go.go_version,
            "path": go.path,
            "module": go.module.as_ref().map(|module| format!("{}@{}", module.path, module.version)),
            "settings": masked(&go.settings, secrets),
        })
    });
    json!({
        "machine": facts.machine,
        "pie": facts.pie,
        "build_id": facts.build_id,
        "symbol_table": facts.symtab,
        "dwarf": { "present": dwarf.present, "version": dwarf.version, "compressed": dwarf.compressed },
        "cgo": facts.cgo,
        "optimisation": facts.optimisation.to_string(),
        "go": go,
    })
}

/// Names and values with the secrets among them masked.
pub(super) fn masked(pairs: &[(String, String)], secrets: &Secrets) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.clone(), secrets.value(name, value))).collect()
}

impl WorkloadResult {
    /// How a recorded workload went.
    pub(super) fn of(plan: &RecordPlan, recording: &Recording, secrets: &Secrets) -> Self {
        let argv: Vec<_> = plan.argv.iter().map(|arg| arg.to_string_lossy()).collect();
        Self {
            argv: secrets.args(&argv),
            env: masked(&plan.env, secrets),
            dir: plan.dir.clone(),
            status: recording.status.to_string(),
            exit_code: recording.status.exit_code(),
            signal: match recording.status {
                Status::Signal(signal) => Some(signal),
                Status::Code(_) => None,
            },
            ending: match recording.ending {
                Ending::Own => "own".into(),
                Ending::Interrupted(_) => "interrupted".into(),
                Ending::TimedOut => "timed-out".into(),
            },
            wall_seconds: recording.wall.as_secs_f64(),
            user_seconds: recording.user_cpu.as_secs_f64(),
            system_seconds: recording.system_cpu.as_secs_f64(),
            max_rss_kib: recording.max_rss_kib,
            outlived: recording.outlived,
            user: plan.user.as_ref().map(|user| user.name.clone()),
        }
    }
}

impl SamplerRecord {
    /// What was asked of the sampler, what it was granted, and what it counted.
    pub(super) fn of(
        asked: &config::Record,
        settled: &Settled,
        facts: &host::HostFacts,
        recording: &Recording,
    ) -> Self {
        let used = (recording.user_cpu + recording.system_cpu).as_secs_f64();
        Self {
            engine: match asked.engine {
                Engine::Native => "native".into(),
                Engine::Perf => "perf".into(),
            },
            event: settled.spec.source.name().into(),
            frequency: asked.frequency,
            kernel: settled.spec.kernel,
            stack: asked.stack,
            samples: recording.sampling.map(|sampling| sampling.samples),
            lost: recording.sampling.map(|sampling| sampling.lost),
            ring_bytes: recording.sampling.map(|sampling| sampling.ring_bytes),
            max_stack: facts.perf_event_max_stack.value().copied(),
            used_cpu_seconds: (!recording.cpu_includes_sampler).then_some(used),
            kernel_symbols_absent: None,
        }
    }

    /// The same, with the reason why kernel frames have no names.
    pub(super) fn without_kernel_symbols(self, reason: Option<String>) -> Self {
        Self { kernel_symbols_absent: reason, ..self }
    }
}

/// Plain data always serialises; a failure would be a null in the manifest, not a lost run.
pub(super) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
