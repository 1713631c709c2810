//! `goflame report`: from a recording on disk to a profile, and to any format.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use super::goroutines::{self, GOROUTINES_FILE};
use super::images::DiskImages;
use super::manifest::Manifest;
use super::outputs::{self, Caption};
use super::{Error, Observer};
use crate::analyse::{Analysis, KernelSymbols, Options, analyse};
use crate::archive::{Run, RunId, Store};
use crate::config::Format;
use crate::fsio;
use crate::perfdata::{self, PerfData};
use crate::perfevent::MappedFile;
use crate::profile::{Profile, Quality, samples};

/// The recording in a run directory.
pub(super) const PERF_DATA_FILE: &str = "perf.data";
/// The kernel symbols that the recording needs.
pub(super) const KALLSYMS_FILE: &str = "symbols/kallsyms";
/// The vdso that was mapped.
pub(super) const VDSO_FILE: &str = "symbols/vdso.so";

/// A kernel with all its modules has some 10^5 symbols of some 50 bytes.
const LARGEST_KALLSYMS: u64 = 1 << 28;

/// So many bytes tell a recording from other files.
const MAGIC_BYTES: u64 = 8;

/// What a report is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A perf.data file, or the directory of a run.
    File(PathBuf),
    /// A run of the archive in this directory, by whatever name users may give it.
    Run {
        /// The archive.
        archive: PathBuf,
        /// The name.
        query: String,
    },
}

/// An analysed recording.
#[derive(Debug)]
pub struct Reported {
    /// The profile.
    pub profile: Profile,
    /// How far it can be trusted.
    pub quality: Quality,
    /// Its title.
    pub title: String,
    /// What the user should know about it.
    pub notes: Vec<String>,
}

impl Reported {
    /// Writes one format.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        let caption = Caption { title: self.title.clone(), subtitle: outputs::subtitle(&self.profile, &self.quality) };
        outputs::write(format, &self.profile, &self.quality, &caption, out)
    }
}

/// Analyses a recording again.
pub fn report(source: &Source, title: Option<&str>, observer: &dyn Observer) -> Result<Reported, Error> {
    match source {
        Source::File(path) => match run_of_directory(path) {
            Some(run) => report_run(&run?, title, observer),
            // The directory of a run that was not completed, or that was copied out of its archive.
            None if path.is_dir() && path.join(PERF_DATA_FILE).exists() => {
                report_file(&path.join(PERF_DATA_FILE), title, observer)
            }
            None => report_file(path, title, observer),
        },
        Source::Run { archive, query } => {
            let run = Store::open_existing(archive, None)?.find(query)?;
            report_run(&run, title, observer)
        }
    }
}

fn report_file(path: &Path, title: Option<&str>, observer: &dyn Observer) -> Result<Reported, Error> {
    let bytes = RecordingBytes::open(path)?;
    let name = path.display().to_string();
    let mut images = DiskImages::new();
    let mut options = Options::default();
    let run = run_directory(path);
    if let Some(run) = &run {
        images.keep_programs(run.join("bin"));
        if run.join(VDSO_FILE).is_file() {
            images.keep_vdso(run.join(VDSO_FILE));
        }
    }
    let goroutines = match &run {
        Some(run) => goroutines::of_file(&run.join(GOROUTINES_FILE))?,
        None => Vec::new(),
    };
    options.goroutines = &goroutines;
    let kept = run.map(|run| run.join(KALLSYMS_FILE)).filter(|kept| kept.is_file());
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if kept.is_none() {
        options.kernel_release = Some(&release);
    }
    let kernel = || read_kallsyms(kept.as_deref().unwrap_or(Path::new("/proc/kallsyms")));
    let (analysis, seconds) = analyse_bytes(&name, &bytes, &images, kernel, options)?;
    observer.step("Analysing", &format!("{} of {name} in {seconds:.3} s", samples(analysis.quality.samples)));
    Ok(reported(analysis, title.unwrap_or(&name)))
}

fn report_run(run: &Run, title: Option<&str>, observer: &dyn Observer) -> Result<Reported, Error> {
    let manifest: Manifest = run.manifest()?;
    let path = run.file(PERF_DATA_FILE)?;
    let bytes = RecordingBytes::open(&path)?;
    let mut images = DiskImages::new();
    images.keep(manifest.build.path.to_string_lossy(), run.file(&manifest.build.file)?);
    if let Ok(vdso) = run.file(VDSO_FILE) {
        images.keep_vdso(vdso);
    }
    let absent = || manifest.sampler.kernel_symbols_absent.clone().unwrap_or_else(|| "the run has none".into());
    let kernel = || run.file(KALLSYMS_FILE).map_err(|_| absent()).and_then(|kept| read_kallsyms(&kept));
    let goroutines = match run.file(GOROUTINES_FILE) {
        Ok(path) => goroutines::of_file(&path)?,
        Err(_) => Vec::new(),
    };
    let options = Options {
        goroutines: &goroutines,
        max_stack: manifest.sampler.max_stack,
        used_cpu_seconds: manifest.sampler.used_cpu_seconds,
        lost: manifest.sampler.lost,
        ..Options::default()
    };
    let (analysis, seconds) = analyse_bytes(&path.display().to_string(), &bytes, &images, kernel, options)?;
    let text = format!("{} of run {} in {seconds:.3} s", samples(analysis.quality.samples), run.id());
    observer.step("Analysing", &text);
    Ok(reported(analysis, title.unwrap_or(&manifest.title)))
}

/// Reads kernel symbols; an error says why there are none.
pub(super) fn read_kallsyms(path: &Path) -> Result<KernelSymbols, String> {
    let text = fsio::read_bounded(path, LARGEST_KALLSYMS).map_err(|error| error.to_string())?;
    KernelSymbols::parse(&text)
}

/// The run whose directory this is; `None` for everything else.
fn run_of_directory(dir: &Path) -> Option<Result<Run, Error>> {
    let dir = std::fs::canonicalize(dir).ok().filter(|dir| dir.is_dir())?;
    let id = dir.file_name()?.to_str()?;
    let runs = dir.parent().filter(|runs| runs.ends_with("runs"))?;
    let store = Store::open_existing(runs.parent()?, None).ok()?;
    Some(store.find(id).map_err(Error::from))
}

/// The directory of a recording that is a run's, completed or not: it has the program that was sampled, which
/// by now may be another one where it was built.
fn run_directory(perf_data: &Path) -> Option<PathBuf> {
    let dir = std::fs::canonicalize(perf_data).ok()?.parent()?.to_owned();
    dir.file_name()?.to_str()?.parse::<RunId>().ok()?;
    Some(dir)
}

/// A recording: mapped, or read where it cannot be mapped.
pub(super) enum RecordingBytes {
    Mapped(MappedFile),
    Read(Vec<u8>),
}

impl RecordingBytes {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = fsio::open(path).map_err(Error::Input)?;
        let unread = |source| Error::Input(fsio::FileError::new("read", path, source));
        if file.metadata().map_err(unread)?.is_file() {
            return MappedFile::map(&file).map(Self::Mapped).map_err(unread);
        }
        read_recording(path, file).map(Self::Read)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped.as_ref(),
            Self::Read(bytes) => bytes,
        }
    }

    /// Gives back the memory of bytes that have been read.
    fn forget(&self, range: Range<usize>) {
        if let Self::Mapped(mapped) = self {
            mapped.forget(range);
        }
    }
}

/// Reads a recording from a pipe, but does not read on and on what is none, such as `/dev/zero`.
fn read_recording(path: &Path, mut file: File) -> Result<Vec<u8>, Error> {
    let unread = |source| Error::Input(fsio::FileError::new("read", path, source));
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(MAGIC_BYTES).read_to_end(&mut bytes).map_err(unread)?;
    if let Err(source @ perfdata::Error::NotPerfData) = PerfData::parse(&bytes) {
        return Err(Error::Unreadable { path: path.display().to_string(), source });
    }
    file.read_to_end(&mut bytes).map_err(unread)?;
    Ok(bytes)
}

fn reported(analysis: Analysis, title: &str) -> Reported {
    Reported { profile: analysis.profile, quality: analysis.quality, title: title.to_owned(), notes: analysis.notes }
}

/// Analyses the bytes of a recording; also tells how many seconds that took.
pub(super) fn analyse_bytes(
    name: &str,
    recording: &RecordingBytes,
    images: &DiskImages,
    kernel: impl FnOnce() -> Result<KernelSymbols, String> + Send,
    options: Options<'_>,
) -> Result<(Analysis, f64), Error> {
    let started = Instant::now();
    let passed = |range| recording.forget(range);
    let options = Options { passed: Some(&passed), ..options };
    let analysis = thread::scope(|scope| {
        // The kernel takes its time to write them.
        let kernel = scope.spawn(kernel);
        let data = PerfData::parse_passing(recording.bytes(), &passed)
            .map_err(|source| Error::Unreadable { path: name.into(), source })?;
        let kernel = || kernel.join().unwrap_or_else(|panic| resume_unwind(panic));
        analyse(&data, images, kernel, &options).map_err(|source| Error::Analyse { path: name.into(), source })
    })?;
    Ok((analysis, started.elapsed().as_secs_f64()))
}
