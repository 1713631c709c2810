//! `goflame run`: plan, check, build, inspect, record, analyse, render, archive.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::build::{Reuse, build_privately, open_archive};
use super::cmdline;
use super::goroutines;
use super::images::{DiskImages, own_vdso};
use super::input::InputBytes;
use super::kallsyms::{self, Kernel};
use super::manifest::{App, BuildRecord, Manifest, SamplerRecord, WorkloadResult, to_json};
use super::outputs::{self, Caption};
use super::prune::{after_run, before_run};
use super::ready::{Readiness, Surroundings, online_cpus};
use super::report::{KALLSYMS_FILE, PERF_DATA_FILE, Reported, VDSO_FILE, analyse_bytes};
use super::settle::{go_ahead, settle_with};
use super::{BuildOptions, Built, Error, Observer, with_causes};
use crate::analyse::{KernelSymbols, Options};
use crate::archive::{self, Draft, Program, PrunePlan, RunId, Store};
use crate::config::{Config, Engine, Format, redacted};
use crate::doctor::{self, Finding, Status as CheckStatus};
use crate::fsio;
use crate::perfdata::{ClockData, CpuCount, Features};
use crate::perfevent::advise_when_cut_short;
use crate::process::{Command, Status, acting_for, quote_command};
use crate::profile::{SizeBound, format_samples};
use crate::record::{self, Ending, GoroutineLayout, RecordPlan, Recording, Sampler, Settled, Stdin};
use crate::views::{By, View};

/// Command line of goflame and the build options.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Command line of goflame, for the manifest.
    pub command: Vec<String>,
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
    pub status: Status,
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
    let go = go_ahead(config, options.build)?;
    let around = Surroundings::look(config, true, &Ok(go.clone()));
    let stops = |findings: &[Finding]| !doctor::is_ready(findings, config.doctor.strict);
    // Checks come first: without readiness nothing is fetched, locked or built.
    let before = around.for_run(config, None);
    if stops(&before) {
        return Err(Error::NotReady(before));
    }
    if config.record.engine == Engine::Perf {
        // Fails before time is spent on a build.
        find_perf()?;
    }
    let store = open_archive(config)?;
    store.check_executable()?;
    if let Err(error) = before_run(config, &store, observer) {
        observer.warn(&format!("old runs could not be removed: {}", with_causes(&error)));
    }
    let settled = settle_with(config, options.build, go, observer)?;
    let built = build_privately(config, settled, &store, Reuse::LastProgram, observer)?;
    // The run starts the stored program: no other process writes to it, and recordings refer to it by a path that does
    // not change.
    let program = built.store(&store)?;
    let built = built.publish()?;
    let findings = around.for_run(config, Some(&built.artifact));
    if stops(&findings) {
        return Err(Error::NotReady(findings));
    }
    let ready = around.into_readiness(findings);
    let Some(settled) = ready.settled.clone() else { return Err(Error::NotReady(ready.findings)) };
    observer.step("Checking", &format!("{} (goflame doctor)", doctor::summary_line(&ready.findings)));
    for finding in ready.findings.iter().filter(|finding| finding.status == CheckStatus::Warning) {
        observer.warn(&format!("{}: {}; {}", finding.id, finding.found, finding.why));
    }

    let draft = store.begin(&run_id(config))?;
    let (id, place) = (draft.id().clone(), draft.dir().to_owned());
    let outcome = Run { config, options, observer, built, program, ready, settled, store: &store }.execute(draft);
    match &outcome {
        // The workload never ran, so there is nothing to keep.
        Err(Error::Record(error)) if !error.has_samples() => {
            let _ = store.prune(&PrunePlan { partials: vec![id], ..PrunePlan::default() });
        }
        // This error names the kept files itself.
        Err(Error::Archive(archive::Error::Commit { .. })) => {}
        Err(_) if place.join(PERF_DATA_FILE).exists() => {
            observer.warn(&kept(&place));
        }
        _ => {}
    }
    outcome
}

/// Values that the later stages share.
struct Run<'a> {
    config: &'a Config,
    options: &'a RunOptions,
    observer: &'a dyn Observer,
    built: Built,
    program: Program,
    ready: Readiness,
    settled: Settled,
    store: &'a Store,
}

impl Run<'_> {
    fn execute(self, mut draft: Draft) -> Result<RunOutcome, Error> {
        let created = jiff::Timestamp::now();
        let archived = draft.add_program(&self.program)?;
        let kernel = self.kernel_symbols();
        let descriptors = goroutines::layout(self.program.path());
        let plan = self.record_plan(&draft, kernel.as_ref().ok(), descriptors.as_ref().ok().cloned())?;
        let secrets = self.config.secrets();
        let mut words: Vec<_> = plan.argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        if let Some(program) = words.first_mut() {
            // Shows the path of the published copy of the program, which users know.
            *program = fsio::shown(&self.built.artifact.path).display().to_string();
        }
        self.observer.step("Running", &quote_command(&secrets.args(&words)));
        let recording = record::record(&plan, &self.settled, self.features(), self.observer)?;
        self.tell_about(&recording);
        let substitution = draft.check_program(&self.program)?;
        if let Some(substitution) = &substitution {
            self.observer.warn(&substitution.to_string());
        }

        advise_when_cut_short(&format!("   help: {}", kept(draft.dir())));
        if self.config.record.engine == Engine::Perf {
            cmdline::mask(&draft.path(PERF_DATA_FILE), &secrets)?;
        }
        let perf_data = InputBytes::open(&draft.path(PERF_DATA_FILE))?;
        let mut images = DiskImages::new();
        images.keep(self.program.path().to_string_lossy(), draft.path(&archived));
        let sampler = SamplerRecord::of(&self.config.record, &self.settled, &self.ready.facts, &recording)
            .without_kernel_symbols(kernel.as_ref().err().cloned());
        let goroutines = goroutines::for_analysis(&recording.goroutines);
        let analysis_options = Options {
            goroutines: &goroutines,
            max_stack: sampler.max_stack,
            used_cpu_seconds: sampler.used_cpu_seconds,
            lost: sampler.lost,
            ..Options::default()
        };
        let (analysis, seconds) =
            analyse_bytes(PERF_DATA_FILE, &perf_data, &images, || Kernel::known(kernel), analysis_options)?;
        let (profile, mut quality) = (analysis.profile, analysis.quality);
        quality.size_bound = self.size_bound(&recording);
        self.observer.step("Analysing", &format!("{} in {seconds:.3} s", format_samples(profile.total_count())));

        let mut notes = self.settled.losses();
        notes.extend(self.settled.remark());
        notes.extend(analysis.notes);
        if let (Engine::Native, Err(reason)) = (self.config.record.engine, &descriptors) {
            notes.push(format!("goroutines are known by their addresses only: {reason}"));
        }
        notes.extend(self.unbounded_recording().map(str::to_owned));
        notes.extend(recording.output_problems.iter().cloned());
        notes.extend(substitution.as_ref().map(ToString::to_string));
        let caption = Caption { title: self.title(), subtitle: outputs::subtitle(&profile, &quality) };
        let view = View::new(profile, By::Process);
        let files = self.write_outputs(&draft, &view, &quality, &caption)?;
        if let Some(kernel) = &analysis.kernel {
            write(&draft, KALLSYMS_FILE, kernel.lines().as_bytes())?;
        }
        if !recording.goroutines.is_empty() {
            write(&draft, goroutines::GOROUTINES_FILE, &goroutines::to_file(&recording.goroutines))?;
        }
        if let Some(vdso) = own_vdso() {
            write(&draft, VDSO_FILE, vdso)?;
        }
        if !self.config.text.is_empty() {
            write(&draft, "goflame.toml", redacted(&self.config.text, &secrets).as_bytes())?;
            write(&draft, "goflame.lock", self.built.lock.as_bytes())?;
        }

        let workload = WorkloadResult::of(&plan, &recording, &secrets);
        let manifest = Manifest {
            created: created.to_string(),
            goflame: env!("CARGO_PKG_VERSION").into(),
            command: secrets.args(&self.options.command),
            app: App::of(self.config),
            variant: self.config.build.variant.clone(),
            title: caption.title.clone(),
            build: BuildRecord::of(&self.built, &self.program),
            git: to_json(&crate::build::git_state(&self.config.root)),
            host: to_json(&self.ready.facts),
            checks: to_json(&self.ready.findings),
            workload: workload.clone(),
            sampler,
            quality: quality.clone(),
            notes: notes.clone(),
        };
        let run = draft.commit(&manifest)?;
        if let Err(error) = after_run(self.config, self.store, run.id()) {
            // The run is complete. A failure to remove old runs must not fail it.
            self.observer.warn(&format!("old runs could not be removed: {}", with_causes(&error)));
        }
        let reported = Reported { view, quality, title: caption.title, sample_types: None, notes };
        Ok(RunOutcome {
            id: run.id().to_string(),
            dir: run.dir().to_owned(),
            status: recording.status,
            ending: recording.ending,
            reported,
            files,
            workload,
        })
    }

    fn kernel_symbols(&self) -> Result<KernelSymbols, String> {
        if !self.settled.spec.kernel {
            return Err("kernel mode was not sampled".into());
        }
        kallsyms::of_running()
    }

    fn record_plan(
        &self,
        draft: &Draft,
        kernel: Option<&KernelSymbols>,
        goroutines: Option<GoroutineLayout>,
    ) -> Result<RecordPlan, Error> {
        let workload = &self.config.workload;
        let argv = crate::build::workload_argv(self.config, self.program.path());
        let sampler = match self.config.record.engine {
            Engine::Native => Sampler::Native,
            Engine::Perf => Sampler::Perf(find_perf()?),
        };
        let kernel_text = kernel.and_then(KernelSymbols::text);
        Ok(RecordPlan {
            argv: argv.into_iter().map(OsString::from).collect(),
            env: workload.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            dir: workload.dir.clone(),
            stdin: workload.stdin.clone().map_or(Stdin::Inherit, Stdin::File),
            timeout: workload.timeout,
            user: acting_for().cloned(),
            sampler,
            frequency: self.config.record.frequency,
            stack: self.config.record.stack,
            cpus: online_cpus(&self.ready.facts),
            kernel_text,
            goroutines,
            perf_data: draft.path(PERF_DATA_FILE),
            stdout_log: draft.path("stdout.log"),
            stderr_log: draft.path("stderr.log"),
            max_bytes: self.config.archive.max_bytes,
        })
    }

    /// Facts about the machine for the header of the perf.data file.
    fn features(&self) -> Features {
        let facts = &self.ready.facts;
        let cpus = u32::try_from(online_cpus(facts).len()).unwrap_or(u32::MAX);
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let nanoseconds = |seconds: i64, rest: i64| u64::try_from(seconds * 1_000_000_000 + rest).unwrap_or(0);
        let wall = jiff::Timestamp::now();
        Features {
            hostname: facts.hostname.value().cloned(),
            os_release: facts.kernel_release.value().cloned(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            arch: Some(rustix::system::uname().machine().to_string_lossy().into_owned()),
            nr_cpus: Some(CpuCount { available: cpus, online: cpus }),
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

    fn tell_about(&self, recording: &Recording) {
        let mut text = format!(
            "{:.1} s at {} Hz, {}",
            recording.wall.as_secs_f64(),
            self.config.record.frequency,
            self.settled.spec.source.name()
        );
        if !self.settled.spec.kernel {
            text.push_str(" (user space only)");
        }
        if let Some(sampling) = &recording.sampling {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {}, {} lost", format_samples(sampling.samples), sampling.lost);
        }
        self.observer.step("Profiled", &text);
        if let Some(remark) = self.settled.remark() {
            self.observer.remark(&remark);
        }
        for loss in self.settled.losses() {
            self.observer.warn(&loss);
        }
        if let Some(text) = early_end(recording) {
            self.observer.warn(&text);
        }
        if recording.unstoppable > 0 {
            let many = recording.unstoppable;
            self.observer.warn(&format!("{many} of the workload's processes could not be stopped, and still run"));
        }
        match recording.outlived.saturating_sub(recording.unstoppable) {
            0 => {}
            1 => self.observer.warn("a process that the workload had started outlived it and was stopped"),
            many => {
                self.observer
                    .warn(&format!("{many} processes that the workload had started outlived it and were stopped"));
            }
        }
        if let Some(text) = self.unbounded_recording() {
            self.observer.warn(text);
        }
        for problem in &recording.output_problems {
            self.observer.warn(problem);
        }
    }

    /// Size bound that the recording reached, and the time in seconds when it did. `None` if it did not.
    fn size_bound(&self, recording: &Recording) -> Option<SizeBound> {
        let seconds = recording.sampling?.bound_reached?.as_secs_f64();
        Some(SizeBound { bytes: self.config.archive.max_bytes?, seconds })
    }

    /// Returns a warning if `max_bytes` is set with `engine = "perf"`, where it has no effect. `perf record --max-size`
    /// is not used because it would end the program at the bound.
    fn unbounded_recording(&self) -> Option<&'static str> {
        let wanted = self.config.record.engine == Engine::Perf && self.config.archive.max_bytes.is_some();
        wanted.then_some("`max_bytes` in [archive] does not bound perf.data with `engine = \"perf\"`")
    }

    fn write_outputs(
        &self,
        draft: &Draft,
        view: &View,
        quality: &crate::profile::Quality,
        caption: &Caption,
    ) -> Result<Vec<String>, Error> {
        let mut formats = self.config.report.formats.clone();
        // Always writes summary.json: other programs rely on it, whatever formats are selected.
        formats.push(Format::Json);
        formats.sort_unstable();
        formats.dedup();
        let mut files = Vec::with_capacity(formats.len());
        for format in formats {
            let name = outputs::file_name(format);
            fsio::replace_with(&draft.path(name), |out| outputs::write(format, view, quality, caption, out))
                .map_err(Error::Output)?;
            files.push(name.to_owned());
        }
        Ok(files)
    }

    fn title(&self) -> String {
        match self.config.report.title.as_str() {
            "" => format!("{} [{}]", self.config.app.name, self.config.build.variant),
            title => self.config.secrets().text(title),
        }
    }
}

/// Message that says where the samples of an incomplete run are kept.
fn kept(draft: &Path) -> String {
    let perf_data = draft.join(PERF_DATA_FILE);
    let perf_data = fsio::shown(&perf_data).as_os_str();
    format!("what was sampled is kept: {}", quote_command(&["goflame".as_ref(), "report".as_ref(), perf_data]))
}

/// Warning about a workload that was stopped or failed; `None` if it succeeded.
fn early_end(recording: &Recording) -> Option<String> {
    let end = match recording.status {
        Status::Code(_) => format!("ended with {}", recording.status),
        Status::Signal(_) => format!("was {}", recording.status),
    };
    let text = match recording.ending {
        Ending::Own if recording.status.success() => return None,
        Ending::Own => format!("the workload {end}"),
        Ending::Interrupted(_) => format!("the workload was interrupted and {end}"),
        Ending::TimedOut => format!("the workload's time was over (timeout in [workload]), and it {end}"),
    };
    Some(format!("{text}; the profile shows what it did until then"))
}

fn write(draft: &Draft, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = draft.path(name);
    if let Some(parent) = path.parent() {
        fsio::create_dir_all(parent).map_err(Error::Output)?;
    }
    fsio::replace(&path, bytes).map_err(Error::Output)
}

fn find_perf() -> Result<PathBuf, Error> {
    Command::new("perf").program_file().map_err(Error::NoPerf)
}

fn run_id(config: &Config) -> RunId {
    RunId::new(SystemTime::now(), &config.app.name)
}
