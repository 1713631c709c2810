//! `goflame report`: reads a recording or a profile from disk and writes it in any format.

use std::cell::OnceCell;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::ValueEnum;

use super::analysis::analyse_bytes;
use super::binaries::use_kept_binaries;
use super::kernel::{KernelSource, stored_kernel_symbols};
use super::manifest::Manifest;
use super::observer::{AnalysedInput, PipelineEvent};
use super::off_cpu::{OFF_CPU_FILE, OFF_CPU_PPROF, RunProfile, leave_out_idle_threads_with_notes};
use super::reported::Reported;
use super::runtime_profiles::{cross_check_of_run, has_runtime_cpu_profile};
use super::runtime_record::RuntimeRecord;
use super::source_text::ProgramSource;
use super::{Error, Observer};
use crate::analyse::{AnalyseOptions, Analysis};
use crate::archive::{Run, RunId, Store};
use crate::endpoint::{Client, EarlyEnd, Endpoint, ProfileKind};
use crate::perfdata::PerfData;
use crate::pprof;
use crate::profile::{OffCpuTime, Profile, Quality, format_total_count};
use crate::render::{Drawing, Format};
use crate::sources::{
    CodeFile, DiskImages, InputBytes, InputKind, KeptReadings, find_code_files, goroutines_from_file, open_input,
    read_stored_code_files,
};
use crate::stacktext::{self, StackText};
use crate::views::{Filters, GroupBy, UnmatchedFilter, UnmatchedLabel, View};

/// Name of the recording in a run directory.
pub(super) const PERF_DATA_FILE: &str = "perf.data";
/// Name of the file with the goroutine readings of a recording.
pub(super) const GOROUTINES_FILE: &str = "goroutines.json";
/// Name of the file with the kernel symbols that the recording needs.
pub(super) const KALLSYMS_FILE: &str = "symbols/kallsyms";
/// Name of the file with the vdso that was mapped.
pub(super) const VDSO_FILE: &str = "symbols/vdso.so";

/// Directory of a run with the symbols that are not in the programs themselves.
pub(super) const SYMBOLS_DIR: &str = "symbols";

/// Time to transfer a profile, after the program has collected it. Large heaps take long.
const FETCH_MARGIN: Duration = Duration::from_secs(30);

/// Source of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportSource {
    /// File in any format that goflame reads, or run directory.
    File(PathBuf),
    /// Profile that a running program serves.
    Endpoint(Endpoint),
    /// Run in an archive, by any name that users may give it.
    Run {
        /// Directory of the archive.
        archive: PathBuf,
        /// Name of the run as the user typed it.
        query: String,
    },
}

/// Options of a report.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions<'o> {
    /// Title that replaces the default title.
    pub title: Option<&'o str>,
    /// How a flame graph is drawn.
    pub drawing: Drawing,
    /// Sample type of a pprof profile to show, by name or index.
    pub sample_type: Option<&'o str>,
    /// Name of the event of a recording to show.
    pub event: Option<&'o str>,
    /// Which profile to show, of a run or of a program that serves several. `None` for the samples of a run.
    pub profile: Option<RunProfile>,
    /// Filters for samples and frames.
    pub filters: Filters,
    /// How samples are grouped.
    pub grouping: GroupBy,
    /// Whether the time of each sample of a recording is kept.
    pub keep_times: bool,
}

impl ReportOptions<'_> {
    /// Returns the view of a profile, and adds a note for each filter that matches nothing.
    fn view(&self, profile: Profile, notes: &mut Vec<String>) -> View {
        notes.extend(self.filters.unmatched_filters(&profile).iter().map(note_on_unmatched));
        View::filtered(profile, &self.filters, self.grouping.clone())
    }

    fn analyse_options(&self) -> AnalyseOptions<'_> {
        let keep_times = self.keep_times || self.filters.time.is_some();
        AnalyseOptions { event: self.event, keep_times, ..AnalyseOptions::default() }
    }
}

fn note_on_unmatched(unmatched: &UnmatchedFilter) -> String {
    let UnmatchedFilter { filter, pattern, label } = unmatched;
    let Some(UnmatchedLabel { key, known_keys }) = label else {
        return format!("`--{filter} {pattern}` matches no function");
    };
    let labels = if known_keys.is_empty() {
        "no sample has a label".to_owned()
    } else {
        format!("the labels are {}", known_keys.join(", "))
    };
    match key {
        Some(key) if known_keys.contains(key) => format!("`--{filter} {key}={pattern}` matches no value of {key}"),
        Some(key) => format!("`--{filter} {key}={pattern}` matches nothing: no sample has the label {key}; {labels}"),
        None => format!("`--{filter} {pattern}` matches no value of a label; {labels}"),
    }
}

/// Analyses a recording again, or reads a profile.
pub fn report(source: &ReportSource, options: &ReportOptions<'_>, observer: &dyn Observer) -> Result<Reported, Error> {
    match source {
        ReportSource::File(path) => match run_of_directory(path) {
            Some(run) => report_run(&run?, options, observer),
            // Directory of an incomplete run, or of a run that was copied out of its archive.
            None if path.is_dir() && path.join(PERF_DATA_FILE).exists() => {
                report_file(&path.join(PERF_DATA_FILE), options, observer)
            }
            None => report_file(path, options, observer),
        },
        ReportSource::Run { archive, query } => {
            let run = Store::open_existing(archive)?.find(query)?;
            report_run(&run, options, observer)
        }
        ReportSource::Endpoint(endpoint) => report_endpoint(endpoint, options, observer),
    }
}

/// Fetches a profile from a running program, and reports the profile.
fn report_endpoint(
    endpoint: &Endpoint,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    let client = Client::from_env().map_err(Error::Headers)?;
    let url = match wanted.profile {
        None => endpoint.report_endpoint(None),
        Some(RunProfile::Runtime(kind)) => endpoint.report_endpoint(Some(kind)),
        Some(RunProfile::OffCpu) => None,
    };
    let url = url.ok_or_else(|| Error::NoRuntimeProfiles { name: endpoint.to_string() })?;
    let name = url.to_string();
    if url.is_trace() {
        return Err(Error::TraceNotShown { trace: name });
    }
    observer.event(&PipelineEvent::Fetching { url: &name, duration: url.profile_duration() });
    let bytes = client.fetch(&url, FETCH_MARGIN, &EarlyEnd::default()).map_err(Error::Fetch)?;
    let bytes = InputBytes::Read(bytes);
    match bytes.kind() {
        Some(InputKind::Pprof) => report_pprof(Path::new(&name), &bytes, wanted, observer),
        // Refuses recordings: goflame would open the files that they name.
        _ => Err(Error::UnknownKind { path: name, empty: bytes.bytes().is_empty() }),
    }
}

/// Reports a profile of Go's runtime that a run holds.
fn report_runtime_profile(
    run: &Run,
    kind: ProfileKind,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    let Ok(path) = run.file(&kind.file_name()) else {
        let is_in_run = |kind: &&ProfileKind| run.files().contains_key(&kind.file_name());
        let known = ProfileKind::value_variants().iter().filter(is_in_run).map(|kind| kind.name()).collect();
        return Err(Error::NoRuntimeProfile { run: run.id().to_string(), profile: kind.name(), known });
    };
    if kind == ProfileKind::Trace {
        return Err(Error::TraceNotShown { trace: path.display().to_string() });
    }
    report_bytes(&path, &InputBytes::open(&path).map_err(Error::Input)?, wanted, observer)
}

fn report_file(path: &Path, wanted: &ReportOptions<'_>, observer: &dyn Observer) -> Result<Reported, Error> {
    if wanted.profile.is_some() {
        return Err(Error::NoRuntimeProfiles { name: path.display().to_string() });
    }
    report_bytes(path, &open_input(path)?, wanted, observer)
}

fn report_bytes(
    path: &Path,
    bytes: &InputBytes,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    match bytes.kind() {
        Some(InputKind::PerfData) => report_recording(path, bytes, wanted, observer),
        Some(InputKind::Pprof) => report_pprof(path, bytes, wanted, observer),
        Some(InputKind::Folded) => {
            if wanted.event.is_some() || wanted.sample_type.is_some() {
                return Err(Error::NothingToSelect { name: path.display().to_string() });
            }
            report_stack_text(path, wanted, observer, || stacktext::read_folded(bytes.bytes()))
        }
        Some(InputKind::PerfScript) => {
            report_stack_text(path, wanted, observer, || stacktext::read_perf_script(bytes.bytes(), wanted.event))
        }
        None => Err(Error::UnknownKind { path: path.display().to_string(), empty: bytes.bytes().is_empty() }),
    }
}

fn report_pprof(
    path: &Path,
    bytes: &InputBytes,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    let started = Instant::now();
    let name = path.display().to_string();
    if wanted.event.is_some() {
        return Err(Error::NoEvents { name });
    }
    if wanted.filters.time.is_some() {
        return Err(Error::NoTimes { name, reason: "a pprof profile does not hold the times of its samples" });
    }
    let read =
        pprof::read(bytes.bytes(), wanted.sample_type).map_err(|source| Error::Pprof { path: name.clone(), source })?;
    report_profile_read(&read.profile, &name, started, observer);
    let pprof::Imported { profile, quality, sample_types, notes } = read;
    let reported = reported(InputContent { profile, quality, other_events: Vec::new(), notes }, wanted, &name, &name)?;
    Ok(Reported { sample_types: Some(sample_types), ..reported })
}

/// Reads a text with stacks.
fn report_stack_text(
    path: &Path,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
    read: impl FnOnce() -> Result<StackText, stacktext::Error>,
) -> Result<Reported, Error> {
    let started = Instant::now();
    let name = path.display().to_string();
    refuse_sample_type(&name, wanted)?;
    let StackText { profile, quality, other_events, notes } =
        read().map_err(|source| Error::StackText { path: name.clone(), source })?;
    report_profile_read(&profile, &name, started, observer);
    reported(InputContent { profile, quality, other_events, notes }, wanted, &name, &name)
}

fn report_profile_read(profile: &Profile, name: &str, started: Instant, observer: &dyn Observer) {
    let total = format_total_count(profile).unwrap_or_else(|| profile.event.name.clone());
    observer.event(&PipelineEvent::ReadProfile { total: &total, name, seconds: started.elapsed().as_secs_f64() });
}

/// Returns an error if a sample type was requested for an input without sample types.
fn refuse_sample_type(name: &str, wanted: &ReportOptions<'_>) -> Result<(), Error> {
    match wanted.sample_type {
        Some(_) => Err(Error::NoSampleTypes { name: name.to_owned() }),
        None => Ok(()),
    }
}

fn report_recording(
    path: &Path,
    bytes: &InputBytes,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    let name = path.display().to_string();
    refuse_sample_type(&name, wanted)?;
    let mut images = DiskImages::new();
    images.set_recording_end(modified_time(path));
    let mut options = wanted.analyse_options();
    let run = run_directory(path);
    if let Some(run) = &run {
        images.use_programs_in(run.join("bin"));
        if let Some(Ok(run)) = Run::from_directory(run)
            && let Ok(manifest) = run.manifest::<Manifest>()
        {
            use_kept_binaries(&mut images, &run, manifest.binaries);
        }
        if run.join(VDSO_FILE).is_file() {
            images.use_vdso(run.join(VDSO_FILE));
        }
    }
    let ((goroutines, labels, left_stacks), unread) = match &run {
        Some(run) => kept_goroutines(&run.join(GOROUTINES_FILE))?,
        None => Default::default(),
    };
    (options.goroutines, options.labels, options.left_stacks) = (&goroutines, Some(&labels), Some(&left_stacks));
    let stored = match &run {
        Some(run) => read_stored_code_files(&run.join(SYMBOLS_DIR)).map_err(Error::Input)?,
        None => Vec::new(),
    };
    let found = OnceCell::new();
    let code_files = |data: &PerfData<'_>| match &run {
        Some(_) => stored.as_slice(),
        None => found.get_or_init(|| find_code_files(data, None)).as_slice(),
    };
    let kept = run.as_ref().map(|run| run.join(KALLSYMS_FILE)).filter(|kept| kept.is_file());
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if kept.is_none() {
        options.kernel_release = Some(&release);
    }
    let kernel = || {
        kept.map_or_else(KernelSource::from_running_kernel, |kept| {
            KernelSource::from_symbols(stored_kernel_symbols(&kept))
        })
    };
    let (mut analysis, seconds) = analyse_bytes(&name, bytes, &mut images, kernel, code_files, options)?;
    analysis.notes.extend(note_on_code_files(&found.into_inner().unwrap_or_default()));
    analysis.notes.extend(unread);
    if analysis.profile.event.is_of_waits() {
        leave_out_idle_threads_with_notes(&mut analysis, None);
    }
    let samples = analysis.profile.total_count();
    observer.event(&PipelineEvent::Analysed { samples, input: AnalysedInput::File(&name), seconds });
    reported(analysis.into(), wanted, &name, &name)
}

/// Returns a note with the files outside of the archive that name generated code.
fn note_on_code_files(files: &[CodeFile]) -> Option<String> {
    let first = &files.first()?.path;
    let others = match files.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more files"),
    };
    Some(format!("code made at run time is named by {first}{others}"))
}

fn report_run(run: &Run, wanted: &ReportOptions<'_>, observer: &dyn Observer) -> Result<Reported, Error> {
    if let Some(RunProfile::Runtime(kind)) = wanted.profile {
        return report_runtime_profile(run, kind, wanted, observer);
    }
    report_run_with_manifest(run, run.manifest()?, wanted, observer)
}

/// Reports a run with this manifest instead of the stored manifest.
pub(super) fn report_run_with_manifest(
    run: &Run,
    mut manifest: Manifest,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    refuse_sample_type(run.id().as_str(), wanted)?;
    if wanted.profile == Some(RunProfile::OffCpu) && manifest.off_cpu.is_none() {
        return Err(Error::NoOffCpu { run: run.id().to_string() });
    }
    if lacks_programs(run, &manifest) {
        return report_exported(run, manifest, wanted, observer);
    }
    let is_off_cpu = wanted.profile == Some(RunProfile::OffCpu);
    let built = ProgramSource::new(&manifest);
    let path = run.file(if is_off_cpu { OFF_CPU_FILE } else { PERF_DATA_FILE })?;
    let bytes = open_input(&path)?;
    let mut images = DiskImages::new();
    images.set_recording_end(modified_time(&path));
    use_kept_binaries(&mut images, run, std::mem::take(&mut manifest.binaries));
    if let Some(build) = &manifest.build {
        images.use_copy(build.path.to_string_lossy(), run.file(&build.file)?);
    }
    if let Ok(vdso) = run.file(VDSO_FILE) {
        images.use_vdso(vdso);
    }
    let absent = || manifest.sampler.kernel_symbols_absent.clone().unwrap_or_else(|| "the run has none".into());
    let kept = || run.file(KALLSYMS_FILE).map_err(|_| absent()).and_then(|kept| stored_kernel_symbols(&kept));
    let kernel = || KernelSource::from_symbols(kept());
    let ((goroutines, labels, left_stacks), unread) = match run.file(GOROUTINES_FILE) {
        Ok(path) => kept_goroutines(&path)?,
        Err(_) => Default::default(),
    };
    let code_files = read_stored_code_files(&run.dir().join(SYMBOLS_DIR)).map_err(Error::Input)?;
    let options = AnalyseOptions {
        goroutines: &goroutines,
        labels: Some(&labels),
        left_stacks: Some(&left_stacks),
        max_stack: manifest.sampler.max_stack,
        used_cpu_seconds: manifest.sampler.used_cpu_seconds.filter(|_| !is_off_cpu),
        lost: if is_off_cpu { manifest.off_cpu.as_ref().map(|time| time.lost) } else { manifest.sampler.lost },
        // Times are needed for the comparison: the runtime's CPU profile may cover only a part of the run.
        keep_times: wanted.analyse_options().keep_times || has_runtime_cpu_profile(run),
        ..wanted.analyse_options()
    };
    let (mut analysis, seconds) =
        analyse_bytes(&path.display().to_string(), &bytes, &mut images, kernel, |_| &code_files, options)?;
    analysis.notes.extend(unread);
    let is_whole = wanted.filters.is_empty() && !is_off_cpu;
    if is_off_cpu {
        leave_out_idle_threads_with_notes(&mut analysis, manifest.off_cpu.clone());
    } else {
        analysis.quality.size_bound = manifest.quality.size_bound;
        analysis.quality.unseen_cpu_cause = manifest.quality.unseen_cpu_cause.take();
    }
    let samples = analysis.profile.total_count();
    let cross_check = cross_check_of_run(run, &analysis.profile).filter(|_| is_whole);
    observer.event(&PipelineEvent::Analysed { samples, input: AnalysedInput::Run(run.id()), seconds });
    let runtime = RuntimeRecord::read(run.dir()).map_err(Error::Input)?;
    let findings = runtime
        .as_ref()
        .filter(|_| is_whole)
        .map_or_else(Vec::new, |runtime| runtime.findings(&analysis.profile, &manifest.workload, &manifest.sampler));
    let reported = reported(analysis.into(), wanted, run.id().as_str(), &manifest.title)?.with_run(&manifest);
    Ok(Reported { built, findings, runtime: runtime.map(|runtime| runtime.trace), cross_check, ..reported })
}

/// Reads the goroutine readings of a run. If the file is too large, returns no readings, and a note.
fn kept_goroutines(path: &Path) -> Result<(KeptReadings, Option<String>), Error> {
    match goroutines_from_file(path) {
        Err(error) if error.source.kind() == ErrorKind::FileTooLarge => {
            Ok((KeptReadings::default(), Some(format!("goroutines unknown: {}: {}", path.display(), error.source))))
        }
        read => Ok((read.map_err(Error::Input)?, None)),
    }
}

/// Whether the run was exported without its recording, or without the programs that name its addresses.
fn lacks_programs(run: &Run, manifest: &Manifest) -> bool {
    let program = manifest.build.iter().map(|build| build.file.as_str());
    let others = manifest.binaries.iter().map(|binary| binary.copy.file.as_str());
    let mut needed = program.chain(others).chain([PERF_DATA_FILE]);
    run.files().contains_key(Format::Pprof.file_name()) && needed.any(|file| !run.files().contains_key(file))
}

/// Reports a run from its pprof profile, which holds the names.
fn report_exported(
    run: &Run,
    manifest: Manifest,
    wanted: &ReportOptions<'_>,
    observer: &dyn Observer,
) -> Result<Reported, Error> {
    let is_off_cpu = wanted.profile == Some(RunProfile::OffCpu);
    let path = run.file(if is_off_cpu { OFF_CPU_PPROF } else { Format::Pprof.file_name() })?;
    let mut reported = report_pprof(&path, &open_input(&path)?, wanted, observer)?.with_run(&manifest);
    if is_off_cpu {
        reported.notes.extend(manifest.off_cpu.iter().flat_map(OffCpuTime::notes));
    } else {
        reported.quality = manifest.quality;
    }
    Ok(Reported {
        name: run.id().to_string(),
        title: wanted.title.unwrap_or(&manifest.title).to_owned(),
        sample_types: None,
        ..reported
    })
}

/// Returns the run whose directory `dir` is; `None` for any other directory.
fn run_of_directory(dir: &Path) -> Option<Result<Run, Error>> {
    let dir = std::fs::canonicalize(dir).ok().filter(|dir| dir.is_dir())?;
    let id = dir.file_name()?.to_str()?;
    let runs = dir.parent().filter(|runs| runs.ends_with("runs"))?;
    let store = Store::open_existing(runs.parent()?).ok()?;
    Some(store.find(id).map_err(Error::from))
}

/// Returns when a recording was last changed: all its samples are older. `None` for a pipe or a directory.
fn modified_time(recording: &Path) -> Option<SystemTime> {
    std::fs::metadata(recording).ok().filter(Metadata::is_file)?.modified().ok()
}

/// Returns the run directory that a recording is in, even if the run is incomplete. The directory holds the program
/// that was sampled. The program at the original path may have changed since.
fn run_directory(perf_data: &Path) -> Option<PathBuf> {
    let dir = std::fs::canonicalize(perf_data).ok()?.parent()?.to_owned();
    dir.file_name()?.to_str()?.parse::<RunId>().ok()?;
    Some(dir)
}

/// The content of an input file.
struct InputContent {
    profile: Profile,
    quality: Quality,
    other_events: Vec<String>,
    notes: Vec<String>,
}

impl From<Analysis> for InputContent {
    fn from(analysis: Analysis) -> Self {
        let Analysis { profile, quality, other_events, notes, .. } = analysis;
        Self { profile, quality, other_events, notes }
    }
}

fn reported(content: InputContent, wanted: &ReportOptions<'_>, name: &str, title: &str) -> Result<Reported, Error> {
    let InputContent { profile, quality, other_events, mut notes } = content;
    if wanted.filters.time.is_some() && profile.timed_samples().is_none() {
        return Err(Error::NoTimes { name: name.to_owned(), reason: "its samples have no times" });
    }
    let first = profile.first_time_ns;
    let on_clock = |time: &Range<u64>| first.saturating_add(time.start)..first.saturating_add(time.end);
    let time = wanted.filters.time.as_ref().map(on_clock);
    let title = wanted.title.unwrap_or(title).to_owned();
    let view = wanted.view(profile, &mut notes);
    let drawing = wanted.drawing.clone();
    Ok(Reported { drawing, other_events, notes, time, ..Reported::new(name.to_owned(), view, quality, title) })
}
