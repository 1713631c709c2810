//! `goflame run`: plan, check, build, inspect, record, analyse, render, archive.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use super::binaries::{BinaryRecord, keep_binaries};
use super::build::{Reuse, build_privately};
use super::cmdline;
use super::copies::StackCopies;
use super::coverage::unseen_cpu_cause;
use super::goroutines;
use super::kernel::{KernelSource, running_kernel_symbols};
use super::manifest::{AppRecord, BuildRecord, Manifest, SamplerRecord, WorkloadResult, to_json};
use super::observer::{AnalysedInput, Observer, PipelineEvent, RunNote, Warning};
use super::prune::{after_run, before_run};
use super::ready::{Environment, Readiness};
use super::report::{KALLSYMS_FILE, PERF_DATA_FILE, Reported, SYMBOLS_DIR, VDSO_FILE, analyse_bytes};
use super::settle::{resolve_go, settle_with};
use super::verify::recorded;
use super::{BuildOptions, Built, Error};
use crate::analyse::{AnalyseOptions, KernelSymbols, SampledFile, UsedKernelSymbols};
use crate::archive::{self, Draft, Program, PrunePlan, RunId, Store};
use crate::config::{Config, Engine, redacted};
use crate::doctor::{self, Finding, Strictness};
use crate::fsio;
use crate::perfdata::{ClockData, Features, PerfData};
use crate::pprof::SourceDirs;
use crate::process::{Command, ExitStatus, acting_for};
use crate::profile::SizeBound;
use crate::record::{ChosenEvent, GoroutineLayout, Limitation, Recording, Sampler, SamplingPlan, Session};
use crate::render::{Document, Format};
use crate::sources::{
    CodeFile, DiskImages, GoroutineReading, InputBytes, find_code_files, goroutines_to_json, own_vdso, store_code_files,
};
use crate::views::{By, View};
use crate::workload::{self, Ending, LaunchPlan, Outcome, Stdin};

/// Inputs of `goflame run` besides the settings.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Command line of goflame, for the manifest.
    pub command: Vec<String>,
    /// Whether a workload that fails counts as one that succeeds.
    pub ignore_failure: bool,
    /// Whether the build may use the network and change the lock file.
    pub build: BuildOptions,
}

/// Result of a finished run.
#[derive(Debug)]
pub struct RunOutcome {
    /// Id of the run.
    pub id: String,
    /// Directory of the run.
    pub dir: PathBuf,
    /// Exit status of the workload.
    pub status: ExitStatus,
    /// Reason why the workload ended.
    pub ending: Ending,
    /// Profile of the run.
    pub reported: Reported,
    /// Output files, relative to the run directory.
    pub files: Vec<String>,
    /// Result of the workload, as in the manifest.
    pub workload: WorkloadResult,
}

/// Makes a complete run. If a stage fails after the workload has started, the files so far stay in the archive's
/// directory of partial runs, and the observer receives their path.
pub fn run(config: &Config, options: &RunOptions, observer: &dyn Observer) -> Result<RunOutcome, Error> {
    let resolved = resolve_go(config, options.build)?;
    let environment = Environment::probe(config, true, resolved.go.clone().map(Ok).as_ref());
    let strictness = Strictness { strict: config.doctor.strict, steady: false };
    let stops = |findings: &[Finding]| !doctor::is_ready(findings, strictness);
    // Checks come first: without readiness nothing is fetched, locked or built.
    let before = environment.for_run(config, None);
    if stops(&before) {
        return Err(Error::NotReady(before));
    }
    if config.record.engine == Engine::Perf {
        // Fails before time is spent on a build.
        find_perf()?;
    }
    let store = Store::open(&config.archive.dir)?;
    store.check_executable()?;
    if let Err(error) = before_run(config, &store, observer) {
        observer.warning(&Warning::OldRunsRemain(&error));
    }
    let settled = settle_with(config, options.build, &resolved, observer)?;
    let built = build_privately(config, settled, &store, Reuse::LastProgram, observer)?;
    // The run starts the stored program: no other process writes to it, and recordings refer to it by a path that does
    // not change.
    let program = built.store(&store)?;
    let built = built.publish()?;
    let findings = environment.for_run(config, Some(&built.artifact));
    if stops(&findings) {
        return Err(Error::NotReady(findings));
    }
    let ready = environment.into_readiness(findings);
    let Some(mut event) = ready.event.clone() else { return Err(Error::NotReady(ready.findings)) };
    let copies = StackCopies::new(&config.record, program.path(), &built.artifact.facts);
    event.spec.stack = copies.bytes;
    observer.event(&PipelineEvent::Ready(&ready.findings));

    let draft = store.begin(&run_id(config))?;
    let (id, perf_data) = (draft.id().clone(), draft.path(PERF_DATA_FILE));
    let outcome =
        PreparedRun { config, options, observer, built, program, ready, event, copies, store: &store }.execute(draft);
    match &outcome {
        // The workload never ran, so there is nothing to keep.
        Err(error) if never_ran(error) => {
            let _ = store.prune(&PrunePlan { partials: vec![id], ..PrunePlan::default() });
        }
        // This error names the kept files itself.
        Err(Error::Archive(archive::Error::Commit { .. })) => {}
        Err(_) if perf_data.exists() => observer.warning(&Warning::SamplesKept { perf_data: &perf_data }),
        _ => {}
    }
    outcome
}

/// Whether a run failed before its workload began.
fn never_ran(error: &Error) -> bool {
    match error {
        Error::Workload(error) => !error.program_ran(),
        Error::Record(error) => !error.has_samples(),
        _ => false,
    }
}

/// A run whose workload is ready to start: the values that the later stages share.
struct PreparedRun<'a> {
    config: &'a Config,
    options: &'a RunOptions,
    observer: &'a dyn Observer,
    built: Built,
    program: Program,
    ready: Readiness,
    event: ChosenEvent,
    copies: StackCopies,
    store: &'a Store,
}

impl PreparedRun<'_> {
    fn execute(self, mut draft: Draft) -> Result<RunOutcome, Error> {
        let created = jiff::Timestamp::now();
        let archived = draft.add_program(&self.program)?;
        let kernel = self.kernel_symbols();
        let descriptors = goroutines::layout(self.program.path());
        let sampling = self.sampling_plan(&draft, kernel.as_ref().ok(), descriptors.as_ref().ok().cloned())?;
        let launch = self.launch_plan(&draft, &sampling);
        let secrets = self.config.secrets();
        self.announce(&launch);
        let (outcome, mut recording) = workload::run::<_, Error>(&launch, self.observer, |program| {
            Session::start(&sampling, program, self.observer)
        })?;
        let unbounded = self.is_unbounded().then_some(RunNote::RecordingUnbounded);
        self.report_recording(&outcome, &recording, unbounded.as_ref());
        let substitution = draft.check_program(&self.program)?;
        if let Some(substitution) = &substitution {
            self.observer.warning(&Warning::Substitution(substitution));
        }

        self.observer.event(&PipelineEvent::Analysing { perf_data: &draft.path(PERF_DATA_FILE) });
        if self.config.record.engine == Engine::Perf {
            cmdline::mask(&draft.path(PERF_DATA_FILE), &secrets)?;
        }
        let perf_data = InputBytes::open(&draft.path(PERF_DATA_FILE)).map_err(Error::Input)?;
        let mut images = DiskImages::new();
        images.use_held_files(std::mem::take(&mut recording.mapped_files));
        images.use_copy(self.program.path().to_string_lossy(), draft.path(&archived));
        let sampler = SamplerRecord::new(&self.config.record, &self.event, &self.ready.facts, &outcome, &recording)
            .without_kernel_symbols(kernel.as_ref().err().cloned())
            .with_stack_reason(&self.copies.reason);
        let analysis_options = AnalyseOptions {
            goroutines: &recording.goroutines,
            max_stack: sampler.max_stack,
            used_cpu_seconds: sampler.used_cpu_seconds,
            lost: sampler.lost,
            ..AnalyseOptions::default()
        };
        let code_files = recording.code_files.take().map_or_else(OnceCell::new, OnceCell::from);
        let find =
            |data: &PerfData<'_>| code_files.get_or_init(|| find_code_files(data, Some(created.into()))).as_slice();
        let (analysis, sources) = thread::scope(|scope| {
            let sources = scope.spawn(|| self.source_dirs());
            let kernel = || KernelSource::known(kernel);
            let analysis = analyse_bytes(PERF_DATA_FILE, &perf_data, &mut images, kernel, find, analysis_options);
            (analysis, sources.join().unwrap_or_default())
        });
        let (analysis, seconds) = analysis?;
        let (profile, mut quality) = (analysis.profile, analysis.quality);
        quality.size_bound = self.size_bound(&recording);
        quality.unseen_cpu_cause = unseen_cpu_cause(&quality, &self.event, &outcome, &recording);
        let total = profile.total_count();
        self.observer.event(&PipelineEvent::Analysed { samples: total, input: AnalysedInput::ThisRun, seconds });

        self.report_notes(&analysis.notes);
        let mut notes: Vec<String> = self.event.limitations().iter().map(ToString::to_string).collect();
        notes.extend(analysis.notes);
        if let (Engine::Native, Err(reason)) = (self.config.record.engine, descriptors) {
            notes.push(RunNote::GoroutinesUnread(reason).to_string());
        }
        notes.extend(unbounded.as_ref().map(ToString::to_string));
        notes.extend(outcome.incomplete_logs.iter().map(ToString::to_string));
        notes.extend(substitution.as_ref().map(ToString::to_string));
        let binaries = self.keep_binaries(&mut draft, analysis.sampled_files, &mut notes)?;
        let view = View::new(profile, By::Process);
        let title = self.title();
        let document = Document { view: &view, quality: &quality, title: &title, sources: &sources };
        let files = self.write_outputs(&draft, &document)?;
        self.write_report_inputs(&draft, analysis.kernel.as_ref(), &recording.goroutines)?;
        write_code_files(&draft, code_files)?;

        let workload = WorkloadResult::new(&launch, &outcome, self.options.ignore_failure, &secrets);
        let manifest = Manifest {
            created: created.to_string(),
            goflame: env!("CARGO_PKG_VERSION").into(),
            command: secrets.args(&self.options.command),
            app: AppRecord::new(self.config),
            variant: self.config.build.variant.clone(),
            title: title.clone(),
            build: BuildRecord::new(&self.built, &self.program, sources.clone(), recorded(&self.built)),
            git: to_json(&crate::build::git_state(&self.config.root)),
            host: to_json(&self.ready.facts),
            checks: to_json(&self.ready.findings),
            binaries,
            workload: workload.clone(),
            sampler,
            quality: quality.clone(),
            hottest: hottest(&view),
            notes: notes.clone(),
        };
        let run = draft.commit(&manifest)?;
        if let Err(error) = after_run(self.config, self.store, run.id()) {
            // The run is complete. A failure to remove old runs must not fail it.
            self.observer.warning(&Warning::OldRunsRemain(&error));
        }
        let reported = Reported { view, quality, title, sample_types: None, other_events: Vec::new(), notes, sources };
        Ok(RunOutcome {
            id: run.id().to_string(),
            dir: run.dir().to_owned(),
            status: outcome.status,
            ending: outcome.ending,
            reported,
            files,
            workload,
        })
    }

    fn report_notes(&self, notes: &[String]) {
        for note in notes {
            self.observer.warning(&Warning::Analysis(note));
        }
    }

    /// Shows the command line of the workload.
    fn announce(&self, launch: &LaunchPlan) {
        let mut words: Vec<_> = launch.argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        if let Some(program) = words.first_mut() {
            // Shows the path of the published copy of the program, which users know.
            *program = fsio::shown(&self.built.artifact.path).display().to_string();
        }
        self.observer.event(&PipelineEvent::Running { argv: &self.config.secrets().args(&words) });
    }

    /// Keeps the sampled files in the run, and adds a note if some are left out.
    fn keep_binaries(
        &self,
        draft: &mut Draft,
        sampled: Vec<SampledFile>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<BinaryRecord>, Error> {
        let (binaries, left_out) = keep_binaries(draft, self.program.path(), sampled)?;
        if let Some(left_out) = left_out {
            self.observer.warning(&Warning::Note(&left_out));
            notes.push(left_out.to_string());
        }
        Ok(binaries)
    }

    /// Directories of the source files. Those of a build in a container are not on this machine.
    fn source_dirs(&self) -> SourceDirs {
        let Built { plan, go, container, .. } = &self.built;
        if container.is_some() { SourceDirs::default() } else { SourceDirs::new(crate::build::source_dirs(plan, go)) }
    }

    fn kernel_symbols(&self) -> Result<KernelSymbols, String> {
        if !self.event.spec.kernel {
            return Err("kernel mode was not sampled".into());
        }
        running_kernel_symbols()
    }

    fn sampling_plan(
        &self,
        draft: &Draft,
        kernel: Option<&KernelSymbols>,
        goroutines: Option<GoroutineLayout>,
    ) -> Result<SamplingPlan, Error> {
        Ok(SamplingPlan {
            sampler: match self.config.record.engine {
                Engine::Native => Sampler::Native,
                Engine::Perf => Sampler::Perf(find_perf()?),
            },
            event: self.event.clone(),
            frame_pointer_code: self.copies.frame_pointer_code.clone(),
            cpus: self.ready.facts.named_cpus.clone(),
            kernel_text: kernel.and_then(KernelSymbols::text),
            goroutines,
            perf_data: draft.path(PERF_DATA_FILE),
            max_bytes: self.config.archive.max_bytes,
            features: self.features(),
        })
    }

    fn launch_plan(&self, draft: &Draft, sampling: &SamplingPlan) -> LaunchPlan {
        let workload = &self.config.workload;
        let argv = crate::build::workload_argv(self.config, self.program.path());
        LaunchPlan {
            argv: argv.into_iter().map(OsString::from).collect(),
            env: workload.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            dir: workload.dir.clone(),
            stdin: workload.stdin.clone().map_or(Stdin::Inherit, Stdin::File),
            timeout: workload.timeout,
            user: acting_for().cloned(),
            launcher: sampling.launcher(),
            stdout_log: draft.path("stdout.log"),
            stderr_log: draft.path("stderr.log"),
            max_log_bytes: self.config.archive.max_bytes,
        }
    }

    /// Facts about the machine for the header of the perf.data file.
    fn features(&self) -> Features {
        let facts = &self.ready.facts;
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let nanoseconds = |seconds: i64, rest: i64| u64::try_from(seconds * 1_000_000_000 + rest).unwrap_or(0);
        let wall = jiff::Timestamp::now();
        Features {
            hostname: facts.hostname.value().cloned(),
            os_release: facts.kernel_release.value().cloned(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            arch: Some(rustix::system::uname().machine().to_string_lossy().into_owned()),
            cpu_desc: facts.cpu_model.value().cloned(),
            cmdline: self.config.secrets().args(&self.options.command),
            clock: Some(ClockData {
                clockid: nix::libc::CLOCK_MONOTONIC,
                wall_ns: u64::try_from(wall.as_nanosecond()).unwrap_or(0),
                clock_ns: nanoseconds(monotonic.tv_sec, monotonic.tv_nsec),
            }),
            ..Features::default()
        }
    }

    /// Reports a recording and the problems of its workload.
    fn report_recording(&self, outcome: &Outcome, recording: &Recording, unbounded: Option<&RunNote>) {
        let observer = self.observer;
        observer.event(&PipelineEvent::Profiled {
            frequency: self.config.record.frequency,
            event: &self.event,
            outcome,
            figures: recording.figures,
        });
        let (other_event, losses): (Vec<_>, Vec<_>) =
            self.event.limitations().into_iter().partition(|one| matches!(one, Limitation::NoCycleCounter(_)));
        for limitation in other_event {
            observer.event(&PipelineEvent::OtherEvent(limitation));
        }
        for limitation in losses {
            observer.warning(&Warning::Limited(limitation));
        }
        if outcome.ending != Ending::Own || !outcome.status.success() {
            observer.warning(&Warning::EndedEarly { status: outcome.status, ending: outcome.ending });
        }
        if outcome.unstoppable > 0 {
            observer.warning(&Warning::Unstoppable(outcome.unstoppable));
        }
        let stopped = outcome.outlived.saturating_sub(outcome.unstoppable);
        if stopped > 0 {
            observer.warning(&Warning::Outlived(stopped));
        }
        if let Some(note) = unbounded {
            observer.warning(&Warning::Note(note));
        }
        for log in &outcome.incomplete_logs {
            observer.warning(&Warning::IncompleteLog(log));
        }
    }

    /// Size bound that the recording reached, and the time in seconds when it did. `None` if it did not.
    fn size_bound(&self, recording: &Recording) -> Option<SizeBound> {
        let seconds = recording.figures?.bound_reached?.as_secs_f64();
        Some(SizeBound { bytes: self.config.archive.max_bytes?, seconds })
    }

    /// Whether `max_bytes` is set with `engine = "perf"`, where it has no effect. `perf record --max-size` is not used
    /// because it would end the program at the bound.
    fn is_unbounded(&self) -> bool {
        self.config.record.engine == Engine::Perf && self.config.archive.max_bytes.is_some()
    }

    fn write_outputs(&self, draft: &Draft, document: &Document<'_>) -> Result<Vec<String>, Error> {
        let mut formats = self.config.report.formats.clone();
        // Always writes summary.json: other programs rely on it, whatever formats are selected.
        formats.push(Format::Json);
        formats.sort_unstable();
        formats.dedup();
        let mut files = Vec::with_capacity(formats.len());
        for format in formats {
            let name = format.file_name();
            fsio::replace_with(&draft.path(name), |out| format.write(document, out)).map_err(Error::Output)?;
            files.push(name.to_owned());
        }
        Ok(files)
    }

    /// Writes the files that a later report needs besides the recording, and the settings.
    fn write_report_inputs(
        &self,
        draft: &Draft,
        kernel: Option<&UsedKernelSymbols>,
        goroutines: &[GoroutineReading],
    ) -> Result<(), Error> {
        if let Some(kernel) = kernel {
            write(draft, KALLSYMS_FILE, kernel.lines().as_bytes())?;
        }
        if !goroutines.is_empty() {
            write(draft, goroutines::GOROUTINES_FILE, &goroutines_to_json(goroutines))?;
        }
        if let Some(vdso) = own_vdso() {
            write(draft, VDSO_FILE, vdso)?;
        }
        if !self.config.text.is_empty() {
            write(draft, "goflame.toml", redacted(&self.config.text, &self.config.secrets()).as_bytes())?;
            write(draft, "goflame.lock", self.built.lock.as_bytes())?;
        }
        Ok(())
    }

    fn title(&self) -> String {
        match self.config.report.title.as_str() {
            "" => format!("{} [{}]", self.config.app.name, self.config.build.variant),
            title => self.config.secrets().text(title),
        }
    }
}

/// Returns the name of the function with the largest self weight.
fn hottest(view: &View) -> Option<String> {
    let profile = view.profile();
    let row = view.top().functions.first()?;
    Some(profile.str(profile.function(row.function).display).to_owned())
}

fn write(draft: &Draft, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = draft.path(name);
    if let Some(parent) = path.parent() {
        fsio::create_dir_all(parent).map_err(Error::Output)?;
    }
    fsio::replace(&path, bytes).map_err(Error::Output)
}

/// Writes the files that name the code that processes made.
fn write_code_files(draft: &Draft, files: OnceCell<Vec<CodeFile>>) -> Result<(), Error> {
    let files = files.into_inner().unwrap_or_default();
    let dir = draft.path(SYMBOLS_DIR);
    fsio::create_dir_all(&dir).and_then(|()| store_code_files(&files, &dir)).map_err(Error::Output)
}

fn find_perf() -> Result<PathBuf, Error> {
    Command::new("perf").program_file().map_err(Error::NoPerf)
}

fn run_id(config: &Config) -> RunId {
    RunId::new(SystemTime::now(), &config.app.name)
}
