//! The resolved settings, as the stages get them: complete, valid, with no `Option` that means "default".

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::redact::Secrets;

/// All settings of one invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The project directory, absolute: where `goflame.toml` lies. Relative paths in the file start here.
    pub root: PathBuf,
    /// The file that was read, absolute; `None` when defaults alone are in force.
    pub file: Option<PathBuf>,
    /// `[app]`.
    pub app: App,
    /// `[build]`.
    pub build: Build,
    /// `[variant.*]`; holds at least `debug` and `release`, and the one that `build.variant` names.
    pub variants: BTreeMap<String, Variant>,
    /// `[toolchain]`.
    pub toolchain: Toolchain,
    /// `[workload]`.
    pub workload: Workload,
    /// `[record]`.
    pub record: Record,
    /// `[doctor]`.
    pub doctor: Doctor,
    /// `[report]`.
    pub report: Report,
    /// `[archive]`.
    pub archive: Archive,
    /// The file's text as it was read, for the run directory; empty when there was no file.
    pub text: String,
}

impl Config {
    /// The text of `goflame.toml` as it was read, comments and all; empty when there was no file.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// What is masked in everything that goflame writes.
    pub fn secrets(&self) -> Secrets {
        Secrets::new(&self.archive.redact)
    }

    /// The image for Docker builds: the one that is named, else the official one of the pinned Go; `None`: there is
    /// neither.
    pub fn image(&self) -> Option<String> {
        match (self.toolchain.image.as_str(), self.toolchain.go.as_str()) {
            ("", "") => None,
            ("", go) => Some(format!("golang:{go}")),
            (image, _) => Some(image.to_owned()),
        }
    }
}

/// What kind of thing `app.package` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A main package, built with `go build`.
    Binary,
    /// A package with benchmarks, built with `go test -c`.
    Bench,
}

/// What is profiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The package argument for `go build`.
    pub package: String,
    /// Main package or benchmarks.
    pub kind: Kind,
    /// Name of the binary and of the run, fit for a file name. An empty one in the file has been replaced by the
    /// last element of the package path.
    pub name: String,
}

/// How it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The name of the variant in force.
    pub variant: String,
    /// Whether it is built in a container.
    pub docker: bool,
    /// Directories outside of the project that the container may see. For the user to say: no key of the file sets them.
    pub mounts: Vec<PathBuf>,
}

/// One set of build flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// `-gcflags`; empty: not passed.
    pub gcflags: String,
    /// `-ldflags`; empty: not passed.
    pub ldflags: String,
    /// `-tags`.
    pub tags: Vec<String>,
    /// Environment of the build.
    pub env: BTreeMap<String, String>,
    /// `-trimpath`.
    pub trimpath: bool,
    /// `-buildvcs`.
    pub buildvcs: bool,
    /// `-race`.
    pub race: bool,
    /// `CGO_ENABLED`; `None` leaves the choice to Go.
    pub cgo: Option<bool>,
    /// `-pgo`; empty: not passed.
    pub pgo: String,
    /// `-buildmode`; empty: not passed.
    pub buildmode: String,
}

/// Which Go builds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Exact version such as `1.27.3`; empty: what go.mod asks for.
    pub go: String,
    /// The image for builds in a container, such as `golang:1.27.3`; empty: none is named.
    pub image: String,
}

/// What the built program is asked to do while it is sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Arguments.
    pub args: Vec<String>,
    /// Environment, added to the inherited one.
    pub env: BTreeMap<String, String>,
    /// Working directory, resolved against [`Config::root`].
    pub dir: PathBuf,
    /// File for standard input, resolved against [`Config::root`]; `None` inherits it.
    pub stdin: Option<PathBuf>,
    /// After this time the workload is stopped, and what was sampled is kept.
    pub timeout: Duration,
}

/// Who samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// goflame's own sampler.
    Native,
    /// `perf record`.
    Perf,
}

/// Which event is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventChoice {
    /// `cycles` where the machine has them, else `cpu-clock`.
    Auto,
    /// CPU cycles, counted by hardware.
    Cycles,
    /// The kernel's CPU timer.
    CpuClock,
}

/// Whether kernel stacks are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Where permitted.
    Auto,
    /// Always; not being permitted is an error.
    Yes,
    /// Never.
    No,
}

/// How it is sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who samples.
    pub engine: Engine,
    /// Samples per second and CPU, 1 to 20 000.
    pub frequency: u32,
    /// The event.
    pub event: EventChoice,
    /// Kernel stacks.
    pub kernel: Kernel,
    /// Bytes of user stack copied with each sample: a multiple of 8, at most 65528; 0: none.
    pub stack: u32,
}

/// How readiness is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doctor {
    /// Whether warnings fail the run.
    pub strict: bool,
    /// Ids of checks that are left out.
    pub ignore: Vec<String>,
}

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `flamegraph.svg`.
    Svg,
    /// `profile.pb.gz`.
    Pprof,
    /// `profile.folded`.
    Folded,
    /// `summary.json`.
    Json,
}

/// What is written about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The formats.
    pub formats: Vec<Format>,
    /// Title of the flame graph; empty: made from the program's name and variant.
    pub title: String,
}

/// Where runs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The directory, resolved against [`Config::root`].
    pub dir: PathBuf,
    /// How many runs are kept.
    pub keep: usize,
    /// The most bytes that perf.data, stdout.log and stderr.log of a run may each have; at least 1,000,000.
    pub max_bytes: Option<u64>,
    /// Names whose values are secrets, beside the usual ones.
    pub redact: Vec<String>,
}
