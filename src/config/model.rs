//! The resolved settings that the stages receive: complete and valid. A `None` never stands for a default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::server::Server;
use crate::endpoint::{Endpoint, ProfileKind};
use crate::redact::Secrets;
use crate::render::Format;

/// All settings of one invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The project directory (absolute), which contains `goflame.toml`. Relative paths in the file are resolved against
    /// it.
    pub root: PathBuf,
    /// Directory in which Go builds the package (absolute): `root`, or the nested module that holds the package.
    pub go_dir: PathBuf,
    /// The settings file (absolute). `None` when only defaults apply.
    pub file: Option<PathBuf>,
    /// Table `[app]`.
    pub app: App,
    /// Table `[build]`.
    pub build: Build,
    /// Table `[variant.*]`. Contains at least `debug`, `release` and the variant that `build.variant` names.
    pub variants: BTreeMap<String, Variant>,
    /// Table `[toolchain]`.
    pub toolchain: Toolchain,
    /// Table `[workload]`.
    pub workload: Workload,
    /// Table `[record]`.
    pub record: Record,
    /// Table `[runtime]`.
    pub runtime: Runtime,
    /// Table `[doctor]`.
    pub doctor: Doctor,
    /// Table `[report]`.
    pub report: Report,
    /// Table `[archive]`.
    pub archive: Archive,
    /// The text of the settings file, unchanged, for the run directory. Empty when there was no file.
    pub text: String,
}

impl Config {
    /// The text of `goflame.toml`, unchanged and with its comments. Empty when there was no file.
    pub fn file_text(&self) -> &str {
        &self.text
    }

    /// The secrets that goflame masks in everything that it writes.
    pub fn secrets(&self) -> Secrets {
        Secrets::new(&self.archive.redact)
    }

    /// The image for Docker builds: the configured image, otherwise the official image of the pinned Go version.
    /// `None` when neither is set.
    pub fn image(&self) -> Option<String> {
        match (self.toolchain.image.as_str(), self.toolchain.go.as_str()) {
            ("", "") => None,
            ("", go) => Some(format!("golang:{go}")),
            (image, _) => Some(image.to_owned()),
        }
    }
}

/// The kind of the package in `app.package`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A main package, built with `go build`.
    Binary,
    /// A package with benchmarks, built with `go test -c`.
    Bench,
}

/// The program to profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The package argument for `go build`.
    pub package: String,
    /// Main package or benchmarks.
    pub kind: Kind,
    /// Name of the binary and of the run, valid as a file name. If the file has an empty name, this is the last element
    /// of the package path.
    pub name: String,
}

/// How the program is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The name of the selected variant.
    pub variant: String,
    /// Whether the program is built in a container.
    pub docker: bool,
    /// Directories outside of the project that the container may access. Set by a flag only: no key of the file sets
    /// them.
    pub mounts: Vec<PathBuf>,
}

/// One set of build flags.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the settings")]
pub struct Variant {
    /// `-gcflags`. Not passed when empty.
    pub gcflags: String,
    /// `-ldflags`. Not passed when empty.
    pub ldflags: String,
    /// Tags for `-tags`.
    pub tags: Vec<String>,
    /// Environment of the build.
    pub env: BTreeMap<String, String>,
    /// Whether the build gets `-trimpath`.
    pub trimpath: bool,
    /// Whether the build gets `-buildvcs`.
    pub buildvcs: bool,
    /// Whether the build gets `-race`.
    pub race: bool,
    /// `CGO_ENABLED`; `None` leaves the choice to Go.
    pub cgo: Option<bool>,
    /// Whether C code is compiled with `-fno-omit-frame-pointer`.
    pub c_frame_pointers: bool,
    /// `-pgo`. Not passed when empty.
    pub pgo: String,
    /// `-buildmode`. Not passed when empty.
    pub buildmode: String,
}

/// The Go toolchain of the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Exact version, for example `1.27.3`. When empty, goflame.lock decides, and without a lock go.mod. For a build in
    /// a container, the image decides.
    pub go: String,
    /// The image for builds in a container, for example `golang:1.27.3`. Empty when none is configured.
    pub image: String,
}

/// How the program is run while it is sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Arguments.
    pub args: Vec<String>,
    /// Environment variables, added to the inherited environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, resolved against [`Config::root`].
    pub dir: PathBuf,
    /// File for standard input, resolved against [`Config::root`]; `None` inherits it.
    pub stdin: Option<PathBuf>,
    /// The time limit of the workload. When it is reached, the workload is stopped and its samples are kept.
    pub timeout: Duration,
    /// The phases of a server's run.
    pub server: Server,
    /// Which benchmarks run, and how often. Set by flags only: no key of the file sets them.
    pub benchmarks: BenchmarkChoice,
}

/// Which benchmarks of a test binary run, and how often. `None` leaves the choice to the arguments, or to Go's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BenchmarkChoice {
    /// Regular expression for the names of benchmarks, as for `-test.bench`.
    pub names: Option<String>,
    /// Time or number of iterations of each benchmark, as for `-test.benchtime`: `2s`, `100x`.
    pub time: Option<String>,
    /// How often each benchmark runs, as for `-test.count`.
    pub count: Option<u32>,
}

/// The sampler. The command line shows the comment of each value as its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The sampler in goflame
    Native,
    /// The program `perf record`
    Perf,
}

/// The event to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventChoice {
    /// cycles if the machine has hardware counters, else cpu-clock
    Auto,
    /// CPU cycles, counted by hardware
    Cycles,
    /// A timer of the kernel, on every machine
    CpuClock,
}

/// Whether kernel stacks are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// If the kernel permits it
    Auto,
    /// Fail if the kernel does not permit it
    Yes,
    /// Sample user space only
    No,
}

/// Settings of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The sampler to use.
    pub engine: Engine,
    /// Samples per second and CPU, 1 to 20 000.
    pub frequency: u32,
    /// The event to sample.
    pub event: EventChoice,
    /// Whether kernel stacks are sampled.
    pub kernel: Kernel,
    /// How much of the user stack is copied with each sample.
    pub stack: StackSize,
    /// Whether the profiler labels of goroutines are read.
    pub labels: bool,
    /// Whether the time that threads are off the CPU is recorded.
    pub off_cpu: bool,
}

/// Size of the stack copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackSize {
    /// As many bytes as the program's code needs.
    ByProgram,
    /// Bytes: a multiple of 8, at most 65528. 0 means none.
    Bytes(u32),
}

/// Reports that the Go runtime prints during sampling, and profiles that the program serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtime {
    /// A line for each garbage collection.
    pub gctrace: bool,
    /// Interval between two reports of the scheduler. `None` requests none.
    pub schedtrace: Option<Duration>,
    /// Adds processors, threads and goroutines to the reports of the scheduler. The interval is 1 s unless `schedtrace`
    /// sets it.
    pub scheddetail: bool,
    /// A line for each package that is initialised.
    pub inittrace: bool,
    /// URL where the program serves its profiles. `None` if no profile is fetched.
    pub pprof: Option<Endpoint>,
    /// The profiles that are fetched.
    pub profiles: Vec<ProfileKind>,
}

/// Interval of scheduler reports if only `scheddetail` is set.
const DETAILED_SCHEDTRACE_INTERVAL: Duration = Duration::from_secs(1);

impl Runtime {
    /// Returns the value of `GODEBUG` that requests these reports. `None` if none is requested. Ends with `existing`, the
    /// value that the program would get otherwise: of two equal keys, the runtime uses the last.
    pub fn godebug_value(&self, existing: &str) -> Option<String> {
        let schedtrace = self.schedtrace.or(self.scheddetail.then_some(DETAILED_SCHEDTRACE_INTERVAL));
        let mut keys: Vec<String> = Vec::new();
        keys.extend(self.gctrace.then(|| "gctrace=1".into()));
        keys.extend(schedtrace.map(|interval| format!("schedtrace={}", interval.as_millis())));
        keys.extend(self.scheddetail.then(|| "scheddetail=1".into()));
        keys.extend(self.inittrace.then(|| "inittrace=1".into()));
        if keys.is_empty() {
            return None;
        }
        keys.extend((!existing.is_empty()).then(|| existing.to_owned()));
        Some(keys.join(","))
    }
}

/// Settings of the readiness checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doctor {
    /// Whether warnings fail the run.
    pub strict: bool,
    /// Ids of the checks to skip.
    pub ignore: Vec<String>,
}

/// Settings of the output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The output formats.
    pub formats: Vec<Format>,
    /// Title of the flame graph. When empty, it is made from the program's name and variant.
    pub title: String,
    /// Whether the page holds the source of hot functions.
    pub source: bool,
}

/// Settings of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The directory, resolved against [`Config::root`].
    pub dir: PathBuf,
    /// Number of runs of an app that are kept.
    pub keep: usize,
    /// Maximum bytes of the runs of an app. The newest run is kept even if it is larger. At least 1,000,000. `None` for
    /// no limit.
    pub keep_bytes: Option<u64>,
    /// Whether recordings are kept with the registers and stack copies of their samples.
    pub raw: bool,
    /// Whether rewritten recordings are compressed.
    pub compress: bool,
    /// Size limit in bytes for each of perf.data, off-cpu.data, stdout.log, stderr.log and runtime.log of a run. At least
    /// 1,000,000.
    pub max_bytes: Option<u64>,
    /// Additional names whose values are secrets.
    pub redact: Vec<String>,
}
