//! Readiness of machine and project. Gathers the facts; `doctor` judges them.

use std::path::{Path, PathBuf};

use super::settle::{find_go_offline, load_lock};
use super::tools::{build_directory, build_target, tools};
use super::{Error, describe_with_causes};
use crate::build::docker::{self, DockerFacts};
use crate::build::{self, GoTool, Mismatch};
use crate::config::{Config, StackSize};
use crate::doctor::{
    self, BuildDirectory, ExaminedBinary, Finding, Inputs, ProbeResult, Purpose, RepairPlan, RingSize, Target, Tools,
};
use crate::fsio::{self, FileError, MappedFile};
use crate::gobin;
use crate::host::{self, HostFacts};
use crate::perfevent::{self, TrialCounts};
use crate::record::{
    ChosenEvent, PerThreadReason, RING_SIZES, SMALL_COPY_BYTES, choose_event, sample_self, try_to_confine,
};
use crate::redact::Secrets;

/// Readiness of the machine and the project.
#[derive(Debug)]
pub(super) struct Readiness {
    /// Facts about the machine.
    pub(super) facts: HostFacts,
    /// Findings of the checks.
    pub(super) findings: Vec<Finding>,
    /// Event to sample; `None` if nothing can be sampled.
    pub(super) event: Option<ChosenEvent>,
}

/// Options of `goflame doctor`.
#[derive(Debug, Clone, Default)]
pub struct CheckupOptions {
    /// Whether there is a project. Its build and its binary are then checked too.
    pub in_project: bool,
    /// Binary to check instead of the project's binary.
    pub binary: Option<PathBuf>,
    /// Ids of checks to ignore, in addition to `[doctor] ignore`.
    pub skipped_checks: Vec<String>,
    /// Ids of the checks to perform. Empty means all checks.
    pub only_checks: Vec<String>,
    /// Whether to judge for a user without privileges, although this process has privileges. The results of trials in
    /// this process are then not used.
    pub as_unprivileged: bool,
}

/// Result of `goflame doctor`.
#[derive(Debug)]
pub struct Checkup {
    /// Findings of the checks.
    pub findings: Vec<Finding>,
    /// Plan that repairs the findings. The plan also names problems that become visible only after these repairs.
    pub plan: RepairPlan,
}

/// Performs the checks of `goflame doctor`, including a trial in which goflame samples itself.
pub fn checkup(config: &Config, options: &CheckupOptions) -> Result<Checkup, Error> {
    // An unreadable lock is ignored here: the build reports the reason.
    let lock = load_lock(config).ok().flatten();
    let in_docker = options.in_project && config.build.docker;
    let go = (!in_docker).then(|| find_go_offline(config, lock.as_ref()));
    let examined = match &options.binary {
        Some(path) => Some(ExaminedFile::read(path)?),
        None => examine_last_build(config, options.in_project, go.as_ref()),
    };
    let mut environment = Environment::probe(config, options.in_project, go.as_ref());
    environment.docker = in_docker.then(|| docker::probe_docker(config, lock.as_ref()));
    if options.as_unprivileged && environment.facts.is_privileged() {
        environment.facts = environment.facts.without_privileges();
        environment.uses_trials = false;
    }
    let trial = ["user-stacks", "kernel-stacks", "user-registers", "stack-copy", "context-switches", "short-lives"];
    let asked = |id: &&str| options.only_checks.is_empty() || options.only_checks.iter().any(|only| only == id);
    let skipped = |id: &&str| options.skipped_checks.iter().any(|skip| skip == id);
    if environment.uses_trials && trial.iter().any(|id| asked(id) && !skipped(id)) {
        environment.try_sampling();
    }
    let ignore: Vec<String> = config.doctor.ignore.iter().chain(&options.skipped_checks).cloned().collect();
    let inputs = Inputs {
        binary: examined.as_ref().map(ExaminedFile::examined),
        ignored_ids: &ignore,
        selected_ids: &options.only_checks,
        ..environment.check_inputs(config, Purpose::Doctor)
    };
    let findings = mask_findings(doctor::check(&inputs), &config.secrets());
    let plan = doctor::plan_repair(&inputs, &findings);
    Ok(Checkup { findings, plan })
}

/// Masks the secrets in findings, which may quote flags and settings.
fn mask_findings(mut findings: Vec<Finding>, secrets: &Secrets) -> Vec<Finding> {
    for finding in &mut findings {
        for text in [&mut finding.found, &mut finding.needed, &mut finding.why] {
            *text = secrets.mask_text(text);
        }
    }
    findings
}

/// Facts about the binary that a run would profile.
struct ExaminedFile {
    path: String,
    facts: Result<gobin::BinaryFacts, String>,
    mismatches: Option<Vec<Mismatch>>,
}

impl ExaminedFile {
    /// Reads the facts from a regular file without reading all of it. Other files are refused: reading a device might
    /// never end.
    fn read(path: &Path) -> Result<Self, Error> {
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let odd = std::io::Error::other("it is not a regular file");
            return Err(Error::Input(FileError::new("read", path, odd)));
        }
        let mapped = fsio::open(path).map_err(Error::Input)?;
        let mapped =
            MappedFile::map(&mapped, path).map_err(|source| Error::Input(FileError::new("read", path, source)))?;
        let facts =
            gobin::Binary::parse(mapped.as_ref()).map(|binary| binary.facts()).map_err(|error| error.to_string());
        Ok(Self { path: fsio::relative_to_cwd(path).display().to_string(), facts, mismatches: None })
    }

    fn examined(&self) -> ExaminedBinary<'_> {
        ExaminedBinary {
            path: self.path.clone(),
            facts: self.facts.as_ref().map_err(Clone::clone),
            mismatches: self.mismatches.as_deref(),
        }
    }
}

/// Reads the facts of the variant's last built binary. `None` if there is no such binary.
fn examine_last_build(
    config: &Config,
    in_project: bool,
    go: Option<&Result<GoTool, build::Error>>,
) -> Option<ExaminedFile> {
    let go = go.map(Result::as_ref).transpose().ok().filter(|_| in_project)?;
    let output = build::plan_build(config, go).ok()?.output;
    let variant = config.variants.get(&config.build.variant)?;
    let mut binary = ExaminedFile::read(&output).ok()?;
    binary.mismatches =
        binary.facts.as_ref().ok().map(|facts| build::find_mismatches(facts, variant, &config.toolchain));
    Some(binary)
}

/// Everything except the binary that decides whether profiling works. Gathered once.
pub(super) struct Environment {
    facts: HostFacts,
    /// Whether the checks use the results of trials in this process.
    uses_trials: bool,
    event: Result<ChosenEvent, perfevent::Error>,
    trial: Option<Result<TrialCounts, String>>,
    confined: Option<Result<(), String>>,
    /// Build tools of this machine. `None` for a build in a container, which does not need them.
    tools: Option<Tools>,
    /// Machine that the program is built for; `None` without a project, or if Go was not found.
    target: Option<Target>,
    /// Facts about the Docker engine. `None` for a build on this machine. Also `None` before a run, whose build reports
    /// more than a check can.
    docker: Option<DockerFacts>,
    gomaxprocs: Option<String>,
    /// Directory that the program will be built in; `None` without a project.
    build_directory: Option<BuildDirectory>,
}

impl Environment {
    /// Gathers the facts. `go` is the Go of this machine; `None` for a build in a container.
    pub(super) fn probe(config: &Config, in_project: bool, go: Option<&Result<GoTool, build::Error>>) -> Self {
        let facts = host::probe(Path::new("/"));
        let record = &config.record;
        // The program is not built yet, and may need larger copies.
        let stack = if let StackSize::Bytes(bytes) = record.stack { bytes } else { SMALL_COPY_BYTES };
        let target_go = go.map(Result::as_ref).transpose().ok();
        Self {
            event: choose_event(record.event, record.kernel, record.frequency, stack, &facts.named_cpus),
            facts,
            uses_trials: true,
            trial: None,
            confined: None,
            tools: go.map(|go| tools(config, in_project, go)),
            target: target_go.filter(|_| in_project).map(|go| build_target(config, go)),
            docker: None,
            build_directory: in_project.then(|| build_directory(config)),
            gomaxprocs: config.workload.env.get("GOMAXPROCS").cloned().or_else(|| std::env::var("GOMAXPROCS").ok()),
        }
    }

    /// If the event can be opened, samples goflame itself, and tries to confine the event to a control group.
    fn try_sampling(&mut self) {
        let Ok(event) = &self.event else { return };
        let trial = sample_self(event, &self.facts.named_cpus);
        self.trial = Some(trial.map_err(|error| describe_with_causes(&error)));
        let confined = try_to_confine(event, &self.facts.named_cpus);
        self.confined =
            Some(confined.map_err(|PerThreadReason { reason, remedy }| format!("{reason}; what helps: {remedy}")));
    }

    /// Inputs of the checks, without a binary.
    fn check_inputs<'a>(&'a self, config: &'a Config, purpose: Purpose) -> Inputs<'a> {
        Inputs {
            purpose,
            facts: &self.facts,
            record: &config.record,
            ring_size: RingSize {
                preferred_bytes: add_control_page(RING_SIZES.1),
                min_bytes: add_control_page(RING_SIZES.0),
            },
            probe: self.uses_trials.then(|| self.probe_result()),
            trial: self.trial.clone(),
            confined: self.confined.clone(),
            tools: self.tools.as_ref(),
            target: self.target.as_ref(),
            docker: self.docker.as_ref(),
            binary: None,
            gomaxprocs: self.gomaxprocs.as_deref(),
            ignored_ids: &config.doctor.ignore,
            build_directory: self.build_directory.as_ref(),
            selected_ids: &[],
        }
    }

    /// Performs the checks before a run. `artifact` is the program; `None` before the build.
    pub(super) fn check_for_run(&self, config: &Config, artifact: Option<&build::Artifact>) -> Vec<Finding> {
        let binary = artifact.map(|artifact| ExaminedBinary {
            path: fsio::relative_to_cwd(&artifact.path).display().to_string(),
            facts: Ok(&artifact.facts),
            mismatches: Some(&artifact.mismatches),
        });
        mask_findings(doctor::check(&Inputs { binary, ..self.check_inputs(config, Purpose::Run) }), &config.secrets())
    }

    pub(super) fn into_readiness(self, findings: Vec<Finding>) -> Readiness {
        Readiness { facts: self.facts, findings, event: self.event.ok() }
    }

    fn probe_result(&self) -> ProbeResult {
        match &self.event {
            Ok(event) => ProbeResult {
                opened_event: Some(event.spec.source.name().to_owned()),
                has_kernel_samples: event.spec.kernel,
                ring_bytes: u64::try_from(event.ring_bytes).unwrap_or(u64::MAX),
                errno: None,
                is_ring_refused: false,
                message: String::new(),
            },
            Err(error) => ProbeResult {
                opened_event: None,
                has_kernel_samples: false,
                ring_bytes: 0,
                errno: error.errno(),
                is_ring_refused: error.is_ring_buffer_refusal(),
                message: describe_with_causes(error),
            },
        }
    }
}

/// Adds one page to the size of a ring buffer in bytes: the kernel also counts the buffer's control page.
fn add_control_page(bytes: usize) -> u64 {
    u64::try_from(bytes.saturating_add(rustix::param::page_size())).unwrap_or(u64::MAX)
}
