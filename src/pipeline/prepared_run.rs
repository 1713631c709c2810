//! The stages of a run after the build: record, analyse, archive.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use super::analysis::analyse_bytes;
use super::binaries::{BinaryRecord, keep_binaries};
use super::cmdline;
use super::copies::StackCopies;
use super::coverage::unseen_cpu_cause;
use super::draft_file::write_file;
use super::kernel::{KernelSource, running_kernel_symbols};
use super::manifest::{AppRecord, BuildRecord, Manifest, SamplerRecord, WorkloadResult, to_json};
use super::observer::{AnalysedInput, Observer, PipelineEvent, RunNote, Warning};
use super::off_cpu::{OFF_CPU_FILE, off_cpu_plan};
use super::prune::prune_after_run;
use super::ready::Readiness;
use super::repaired::replace_recording;
use super::report::{GOROUTINES_FILE, KALLSYMS_FILE, PERF_DATA_FILE, SYMBOLS_DIR, VDSO_FILE};
use super::reported::Reported;
use super::runtime_profiles::{RuntimeProfiles, cross_check, fetcher_plan};
use super::runtime_record::RuntimeRecord;
use super::source_text::ProgramSource;
use super::subject::Subject;
use super::verify::verification_record;
use super::waits::AnalysedWaits;
use super::{BuildOptions, Error, FinishedBuild};
use crate::analyse::{AnalyseOptions, Analysis, KernelSymbols, RepairedRecording, SampledFile, UsedKernelSymbols};
use crate::archive::{self, Draft, PrunePlan, RunId, Store};
use crate::config::{Config, Engine, Kind, redact_settings};
use crate::doctor::Finding;
use crate::endpoint::FetcherPlan;
use crate::fsio;
use crate::gobench::{BenchmarkResult, read_results};
use crate::perfdata::PerfData;
use crate::pprof::SourceDirs;
use crate::process::{Command, ExitStatus};
use crate::profile::{OffCpuTime, SizeBound};
use crate::record::{ChosenEvent, GoroutinePlan, Recording, Sampler, SamplingPlan};
use crate::render::{Document, Format};
use crate::sources::{
    CodeFile, DiskImages, InputBytes, find_code_files, goroutines_to_json, own_vdso, store_code_files,
};
use crate::views::{GroupBy, View};
use crate::workload::{Ending, LaunchPlan, Outcome};

/// Name of the file with the workload's standard output, in the run's directory.
pub(super) const STDOUT_LOG: &str = "stdout.log";

/// Inputs of `goflame run` in addition to the settings.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Command line of goflame, for the manifest.
    pub command: Vec<String>,
    /// Whether the run succeeds even if the workload fails.
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
    /// Findings of the readiness checks. The user has seen their warnings.
    pub findings: Vec<Finding>,
}

/// A run whose workload is ready to start: the values that the later stages share.
pub(super) struct PreparedRun<'a> {
    pub(super) config: &'a Config,
    pub(super) options: &'a RunOptions,
    pub(super) observer: &'a dyn Observer,
    pub(super) subject: Subject,
    /// Maximum duration of the recording. `None` if only the timeout of the settings applies, or no limit.
    pub(super) duration: Option<Duration>,
    pub(super) ready: Readiness,
    pub(super) event: ChosenEvent,
    pub(super) copies: StackCopies,
    pub(super) store: &'a Store,
}

/// A finished recording.
pub(super) struct FinishedRecording {
    pub(super) created: jiff::Timestamp,
    /// Name of the built program in the run's directory.
    pub(super) program_copy: Option<String>,
    pub(super) workload: WorkloadResult,
    pub(super) outcome: Outcome,
    pub(super) recording: Recording,
    /// The symbols of the running kernel, or the reason why there are none.
    pub(super) kernel: Result<KernelSymbols, String>,
    /// The profiles that the program served, if they were requested.
    pub(super) runtime_profiles: Option<RuntimeProfiles>,
    /// Notes for the manifest. The user has already seen them.
    pub(super) notes: Vec<String>,
}

/// An analysed recording.
struct AnalysedRun {
    created: jiff::Timestamp,
    workload: WorkloadResult,
    status: ExitStatus,
    ending: Ending,
    /// Content of the goroutines file. `None` for a rewritten recording, which contains the goroutines.
    goroutines: Option<Vec<u8>>,
    /// Files in which processes name their generated code.
    code_files: Vec<CodeFile>,
    analysis: Analysis,
    sampler: SamplerRecord,
    off_cpu: Option<OffCpuTime>,
    /// Directories of the source files.
    sources: SourceDirs,
    runtime_profiles: Option<RuntimeProfiles>,
    notes: Vec<String>,
}

impl PreparedRun<'_> {
    /// Samples, analyses and archives the run. If a stage fails after sampling has begun, the files so far stay in the
    /// archive's directory of partial runs.
    pub(super) fn complete(self) -> Result<RunOutcome, Error> {
        let (store, observer) = (self.store, self.observer);
        let fetching = fetcher_plan(self.config)?;
        let draft = store.begin(&RunId::new(SystemTime::now(), &self.config.app.name))?;
        let (id, perf_data) = (draft.id().clone(), draft.path(PERF_DATA_FILE));
        let outcome = self.execute(draft, fetching.as_ref());
        match &outcome {
            // Nothing was sampled, so there is nothing to keep.
            Err(error) if error.is_before_sampling() => {
                let _ = store.prune(&PrunePlan { partial_runs: vec![id], ..PrunePlan::default() });
            }
            // This error already names the kept files.
            Err(Error::Archive(archive::Error::Commit { .. })) => {}
            Err(_) if perf_data.exists() => observer.warning(&Warning::SamplesKept { perf_data: &perf_data }),
            _ => {}
        }
        outcome
    }

    fn execute(self, mut draft: Draft, fetching: Option<&FetcherPlan>) -> Result<RunOutcome, Error> {
        let recorded = self.record(&mut draft, fetching)?;
        let analysed = self.analyse(&draft, recorded)?;
        self.archive(draft, analysed)
    }

    /// Analyses the recordings of samples and of waits. Replaces both by rewritten recordings, unless the settings keep
    /// registers and stack copies.
    fn analyse(&self, draft: &Draft, recorded: FinishedRecording) -> Result<AnalysedRun, Error> {
        let FinishedRecording { created, program_copy, workload, outcome, mut recording, kernel, mut notes, .. } =
            recorded;
        let path = draft.path(PERF_DATA_FILE);
        self.observer.event(&PipelineEvent::Analysing { perf_data: &path });
        if self.config.record.engine == Engine::Perf {
            cmdline::mask_command_line(&path, &self.config.secrets())?;
        }
        let perf_data = InputBytes::open(&path).map_err(Error::Input)?;
        let mut images = DiskImages::new();
        images.use_held_files(std::mem::take(&mut recording.mapped_files));
        if let (Some((_, program)), Some(copy)) = (self.subject.built(), &program_copy) {
            images.use_copy(program.path().to_string_lossy(), draft.path(copy));
        }
        let sampler = SamplerRecord::new(&self.config.record, &self.event, &self.ready.facts, &outcome, &recording)
            .with_kernel_symbols_absent(kernel.as_ref().err().cloned())
            .with_stack_reason(&self.copies.reason);
        let open_temporary: &(dyn Fn() -> io::Result<File> + Sync) = &|| tempfile::tempfile_in(draft.dir());
        let analysis_options = AnalyseOptions {
            goroutines: &recording.goroutines,
            labels: Some(&recording.labels),
            left_stacks: Some(&recording.left_stacks),
            max_stack: sampler.max_stack,
            used_cpu_seconds: sampler.used_cpu_seconds,
            lost: sampler.lost,
            rewrite: (!self.config.archive.raw).then_some(open_temporary),
            keep_times: self.config.report.formats.iter().any(|format| format.has_times())
                || recorded.runtime_profiles.is_some(),
            ..AnalyseOptions::default()
        };
        let code_files = recording.code_files.take().map_or_else(OnceCell::new, OnceCell::from);
        let off_cpu = recording.off_cpu.take().map(|recorded| (recorded, kernel.clone()));
        let find =
            |data: &PerfData<'_>| code_files.get_or_init(|| find_code_files(data, Some(created.into()))).as_slice();
        let (analysis, sources) = thread::scope(|scope| {
            let sources = scope.spawn(|| self.source_dirs());
            let kernel = || KernelSource::from_symbols(kernel);
            let analysis = analyse_bytes(PERF_DATA_FILE, &perf_data, &mut images, kernel, find, analysis_options);
            (analysis, sources.join().unwrap_or_default())
        });
        let (mut analysis, seconds) = analysis?;
        drop(perf_data);
        let kept_copies =
            self.rewrite_recording(analysis.repaired.take(), analysis.has_registers_or_copies, draft, PERF_DATA_FILE);
        let analyse_waits = |(recorded, kernel)| {
            let code_files = code_files.get().map_or(&[][..], Vec::as_slice);
            AnalysedWaits::analyse(
                &draft.path(OFF_CPU_FILE),
                recorded,
                &mut images,
                kernel,
                code_files,
                analysis_options,
            )
        };
        let mut waits = off_cpu.map(analyse_waits).transpose().unwrap_or_else(|note| {
            self.observer.warning(&Warning::Note(&note));
            notes.push(note.to_string());
            None
        });
        let kept_waits = waits.as_mut().and_then(|waits| {
            waits.add_symbols_to(&mut analysis);
            self.rewrite_recording(
                waits.analysis.repaired.take(),
                waits.analysis.has_registers_or_copies,
                draft,
                OFF_CPU_FILE,
            )
        });
        analysis.quality.size_bound = self.size_bound(&recording);
        analysis.quality.unseen_cpu_cause = unseen_cpu_cause(&analysis.quality, &self.event, &outcome, &recording);
        let total = analysis.profile.total_count();
        self.observer.event(&PipelineEvent::Analysed { samples: total, input: AnalysedInput::ThisRun, seconds });
        for note in &analysis.notes {
            self.observer.warning(&Warning::Analysis(note));
        }
        notes.append(&mut analysis.notes);
        let kept_copies = [kept_copies, kept_waits];
        notes.extend(kept_copies.iter().flatten().map(ToString::to_string));
        let is_raw =
            analysis.has_registers_or_copies && (self.config.archive.raw || kept_copies.iter().any(Option::is_some));
        Ok(AnalysedRun {
            created,
            workload,
            status: outcome.status,
            ending: outcome.ending,
            goroutines: (is_raw && !recording.goroutines.is_empty())
                .then(|| goroutines_to_json(&recording.goroutines, &recording.labels, &recording.left_stacks)),
            code_files: code_files.into_inner().unwrap_or_default(),
            analysis,
            sampler: sampler.with_raw(is_raw),
            off_cpu: waits.map(|waits| waits.time),
            sources,
            runtime_profiles: recorded.runtime_profiles,
            notes,
        })
    }

    /// Writes all files of the run, and completes the run.
    fn archive(self, mut draft: Draft, analysed: AnalysedRun) -> Result<RunOutcome, Error> {
        let AnalysedRun { created, mut workload, analysis, sampler, sources, mut notes, .. } = analysed;
        let Analysis { profile, quality, kernel, sampled_files, .. } = analysis;
        let binaries = self.keep_binaries(&mut draft, sampled_files, &mut notes)?;
        let view = View::new(profile, GroupBy::Process);
        let runtime_cpu = analysed.runtime_profiles.as_ref().and_then(|profiles| profiles.cpu_profile.as_ref());
        let cross_check = runtime_cpu.and_then(|runtime| cross_check(view.profile(), runtime));
        if let Some(cross_check) = &cross_check {
            self.observer.event(&PipelineEvent::CrossChecked(cross_check));
        }
        workload.failed |= self.subject.running().is_some() && view.profile().total_count() == 0;
        let title = self.run_title();
        let benchmarks = self.benchmark_results(&draft);
        self.write_report_inputs(&draft, kernel.as_ref(), analysed.goroutines.as_deref(), &analysed.code_files)?;
        let built = self.subject.built();
        let manifest = Manifest {
            created: created.to_string(),
            goflame: env!("CARGO_PKG_VERSION").into(),
            command: self.config.secrets().mask_args(&self.options.command),
            app: AppRecord::new(self.config),
            variant: self.config.build.variant.clone(),
            title: title.clone(),
            build: built
                .map(|(built, program)| BuildRecord::new(built, program, sources.clone(), verification_record(built))),
            git: to_json(&built.map(|_| crate::build::git_state(&self.config.root))),
            host: to_json(&self.ready.facts),
            checks: to_json(&self.ready.findings),
            binaries,
            workload: workload.clone(),
            benchmarks,
            sampler,
            quality: quality.clone(),
            hottest: hottest_function_name(&view),
            runtime_profiles: analysed.runtime_profiles.map(|profiles| profiles.record),
            off_cpu: analysed.off_cpu,
            notes: notes.clone(),
            left_out: Vec::new(),
        };
        let built = ProgramSource::new(&manifest);
        let annotated = built.annotate_hot_functions(&view, self.config);
        let runtime = RuntimeRecord::read(draft.dir()).map_err(Error::Input)?;
        let findings = runtime
            .as_ref()
            .map_or_else(Vec::new, |runtime| runtime.findings(view.profile(), &manifest.workload, &manifest.sampler));
        let reported = Reported::new(draft.id().to_string(), view, quality, title).with_run(&manifest);
        let reported = Reported {
            notes,
            built,
            annotated,
            findings,
            runtime: runtime.map(|runtime| runtime.trace),
            cross_check,
            ..reported
        };
        let files = self.write_outputs(&draft, &reported.document())?;
        let run = draft.commit(&manifest)?;
        if let Err(error) = prune_after_run(self.config, self.store, run.id()) {
            // The run is complete. A failure to remove old runs must not fail it.
            self.observer.warning(&Warning::OldRunsRemain(&error));
        }
        let (id, dir) = (run.id().to_string(), run.dir().to_owned());
        let AnalysedRun { status, ending, .. } = analysed;
        Ok(RunOutcome { id, dir, status, ending, reported, files, workload, findings: self.ready.findings })
    }

    /// Shows the command line of the workload.
    pub(super) fn report_command(&self, launch: &LaunchPlan) {
        let mut words: Vec<_> = launch.argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        if let (Some(program), Some((built, _))) = (words.first_mut(), self.subject.built()) {
            // Shows the path of the published copy of the program, which users know.
            *program = fsio::relative_to_cwd(&built.artifact.path).display().to_string();
        }
        self.observer.event(&PipelineEvent::Running { argv: &self.config.secrets().mask_args(&words) });
    }

    /// Keeps the sampled files in the run, and adds a note if some are left out.
    fn keep_binaries(
        &self,
        draft: &mut Draft,
        sampled: Vec<SampledFile>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<BinaryRecord>, Error> {
        let (binaries, left_out) =
            keep_binaries(draft, self.subject.built().map(|(_, program)| program.path()), sampled)?;
        if let Some(left_out) = left_out {
            self.observer.warning(&Warning::Note(&left_out));
            notes.push(left_out.to_string());
        }
        Ok(binaries)
    }

    /// Removes registers and stack copies from a recording, unless the settings keep them. Returns a note if the
    /// removal fails.
    fn rewrite_recording(
        &self,
        repaired: Option<RepairedRecording>,
        has_registers_or_copies: bool,
        draft: &Draft,
        file: &'static str,
    ) -> Option<RunNote> {
        let reason = match repaired {
            Some(repaired) => replace_recording(repaired, &draft.path(file), self.config.archive.compress).err()?,
            None if has_registers_or_copies && !self.config.archive.raw => {
                "it is damaged, or holds several events".to_owned()
            }
            None => return None,
        };
        let note = RunNote::StackCopiesKept { file, reason };
        self.observer.warning(&Warning::Note(&note));
        Some(note)
    }

    /// Returns the directories of the source files. Empty for a build in a container, and for a program that goflame did
    /// not build.
    fn source_dirs(&self) -> SourceDirs {
        match self.subject.built() {
            Some((FinishedBuild { plan, go, container: None, .. }, _)) => {
                SourceDirs::new(crate::build::source_dirs(plan, go))
            }
            _ => SourceDirs::default(),
        }
    }

    pub(super) fn kernel_symbols(&self) -> Result<KernelSymbols, String> {
        if !self.event.spec.kernel {
            return Err("kernel mode was not sampled".into());
        }
        running_kernel_symbols()
    }

    pub(super) fn sampling_plan(
        &self,
        draft: &Draft,
        kernel: Option<&KernelSymbols>,
        goroutines: GoroutinePlan,
    ) -> Result<SamplingPlan, Error> {
        let cpus = &self.ready.facts.named_cpus;
        Ok(SamplingPlan {
            sampler: match self.config.record.engine {
                Engine::Native => Sampler::Native,
                Engine::Perf => Sampler::Perf(find_perf()?),
            },
            event: self.event.clone(),
            starts_in_window: self.server_plan(draft).window_begins_later(),
            frame_pointer_code: self.copies.frame_pointer_code.clone(),
            cpus: cpus.clone(),
            kernel_text: kernel.and_then(KernelSymbols::text_range),
            goroutines,
            oldest_code_file: self.subject.oldest_code_file_time(),
            perf_data: draft.path(PERF_DATA_FILE),
            off_cpu: off_cpu_plan(self.config, draft.path(OFF_CPU_FILE), &self.event, &self.copies, cpus),
            max_bytes: self.config.archive.max_bytes,
            features: self.header_features(),
        })
    }

    /// Returns the size limit of the recording, and the time until the recording reached the limit. `None` if the
    /// recording stayed smaller.
    fn size_bound(&self, recording: &Recording) -> Option<SizeBound> {
        let seconds = recording.figures?.time_until_limit?.as_secs_f64();
        Some(SizeBound { bytes: self.config.archive.max_bytes?, seconds })
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

    /// Reads the results of the benchmarks from the copy of their output. Empty for other programs, and if the copy
    /// cannot be read.
    fn benchmark_results(&self, draft: &Draft) -> Vec<BenchmarkResult> {
        let log = match self.config.app.kind {
            Kind::Bench => File::open(draft.path(STDOUT_LOG)),
            Kind::Binary => return Vec::new(),
        };
        log.and_then(|log| read_results(BufReader::new(log))).unwrap_or_default()
    }

    /// Writes the settings, and the files that a later report needs in addition to the recording.
    fn write_report_inputs(
        &self,
        draft: &Draft,
        kernel: Option<&UsedKernelSymbols>,
        goroutines: Option<&[u8]>,
        code_files: &[CodeFile],
    ) -> Result<(), Error> {
        if let Some(kernel) = kernel {
            write_file(draft, KALLSYMS_FILE, kernel.to_kallsyms().as_bytes())?;
        }
        if let Some(goroutines) = goroutines {
            write_file(draft, GOROUTINES_FILE, goroutines)?;
        }
        if let Some(vdso) = own_vdso() {
            write_file(draft, VDSO_FILE, vdso)?;
        }
        let dir = draft.path(SYMBOLS_DIR);
        fsio::create_dir_all(&dir).and_then(|()| store_code_files(code_files, &dir)).map_err(Error::Output)?;
        if !self.config.text.is_empty() {
            write_file(draft, "goflame.toml", redact_settings(&self.config.text, &self.config.secrets()).as_bytes())?;
            if let Some((built, _)) = self.subject.built() {
                write_file(draft, "goflame.lock", built.lock.as_bytes())?;
            }
        }
        Ok(())
    }

    fn run_title(&self) -> String {
        match self.config.report.title.as_str() {
            "" if self.subject.built().is_none() => self.subject.describe(),
            "" => format!("{} [{}]", self.config.app.name, self.config.build.variant),
            title => self.config.secrets().mask_text(title),
        }
    }
}

/// Returns the name of the function with the largest self weight.
fn hottest_function_name(view: &View) -> Option<String> {
    let profile = view.profile();
    let row = view.top().functions.first()?;
    Some(profile.str(profile.function(row.function).display).to_owned())
}

/// Returns the path of the `perf` program.
pub(super) fn find_perf() -> Result<PathBuf, Error> {
    Command::new("perf").program_file().map_err(Error::NoPerf)
}
