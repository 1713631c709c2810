//! Builds a [`Config`] from a directory, a file and flags.
//!
//! Must not know single keys, except the keys that flags set, and the blank values of all keys.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::error::Error;
use super::model::{
    App, Archive, BenchmarkChoice, Build, Config, Doctor, Engine, EventChoice, Kernel, Kind, Record, Report, Runtime,
    StackSize, Toolchain, Variant, Workload,
};
use super::problem::{Problem, Problems, TextPosition};
use super::rules::{self, Fault};
use super::schema;
use super::server::{Ready, Server, Stop};
use super::trust::Trust;
use crate::fsio::{self, FileError};
use crate::render::Format;

/// The name of a project's settings file.
pub const FILE_NAME: &str = "goflame.toml";

/// Settings file with all defaults and their documentation.
pub(super) const EXAMPLE: &str = include_str!("../../goflame.toml.example");

/// Maximum size of a settings file in bytes. A real settings file has a few KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Values of the flags; `None` if the flag was not given. [`Config::resolve`] checks the values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// PACKAGE: a package argument of Go, relative to goflame's working directory.
    pub package: Option<String>,
    /// The kind of PACKAGE, or of the file's package.
    pub kind: Option<Kind>,
    /// `--bench REGEX`, `--benchtime T`, `--count N`.
    pub benchmarks: BenchmarkChoice,
    /// `--variant NAME`, and `--release` for `release`.
    pub variant: Option<String>,
    /// `--docker`, `--native`.
    pub docker: Option<bool>,
    /// `--mount DIR`, relative to goflame's working directory.
    pub mounts: Vec<PathBuf>,
    /// `--warmup DURATION`.
    pub warmup: Option<Duration>,
    /// `--duration DURATION`.
    pub duration: Option<Duration>,
    /// `--freq HZ`.
    pub frequency: Option<u32>,
    /// `--engine`.
    pub engine: Option<Engine>,
    /// `--event`.
    pub event: Option<EventChoice>,
    /// `--kernel`.
    pub kernel: Option<Kernel>,
    /// `--stack BYTES`.
    pub stack: Option<u32>,
    /// `--off-cpu`.
    pub off_cpu: Option<bool>,
    /// The arguments after `--`.
    pub args: Option<Vec<String>>,
    /// `--strict`.
    pub strict: Option<bool>,
    /// `--format`.
    pub formats: Option<Vec<Format>>,
    /// `--title`.
    pub title: Option<String>,
    /// `--archive-dir DIR`, relative to goflame's working directory (not to the directory of the file).
    pub archive_dir: Option<PathBuf>,
}

/// The path and text of a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path that errors show.
    pub path: PathBuf,
    /// The text of the file.
    pub text: String,
}

/// Finds, reads and resolves the settings of the project around `dir`.
///
/// `explicit` (`--config`) is the file to read, relative to `dir`. Without it, `goflame.toml` is searched in `dir` and
/// then in each parent directory, as Cargo does for its manifest. A file in a parent directory is used only if all its
/// possible writers are `users` (user ids) or may write to `dir`. The project's root is the directory of the file.
pub fn load(dir: &Path, explicit: Option<&Path>, overrides: &Overrides, users: &[u32]) -> Result<Config, Error> {
    let (path, bytes) = match explicit {
        Some(file) => read_bytes(&rules::resolve_path(dir, file))?,
        None => find_file(dir, users)?,
    };
    let text = decode_utf8(&path, bytes)?;
    Config::resolve(dir, Some(SourceFile { path, text }), overrides)
}

fn read_bytes(path: &Path) -> Result<(PathBuf, Vec<u8>), Error> {
    // Messages show a path in the working directory without `./`.
    let path = path.strip_prefix(".").unwrap_or(path);
    Ok((path.to_owned(), fsio::read_bounded(path, MAX_FILE_BYTES)?))
}

fn find_file(dir: &Path, users: &[u32]) -> Result<(PathBuf, Vec<u8>), Error> {
    // Use the real path: if the path contains `..` or a link, its text does not show the parent directories.
    let real = fs::canonicalize(dir).map_err(|source| FileError::new("open directory", dir, source))?;
    let here = dir.join(FILE_NAME);
    if is_present(&here)? {
        return read_bytes(&here);
    }
    for path in real.ancestors().skip(1).map(|dir| dir.join(FILE_NAME)) {
        if is_present(&path)? {
            let file = Trust::new(users, &real)?.open(&path)?;
            let bytes = fsio::read_opened(file, &path, MAX_FILE_BYTES)?;
            return Ok((path, bytes));
        }
    }
    Err(Error::NotFound { dir: real })
}

/// Whether the path exists. Unlike `Path::exists`, also finds a link without a target: such a link is a mistake to
/// report, not to skip.
fn is_present(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(FileError::new("read", path, error).into()),
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, Error> {
    decode_utf8(path, fsio::read_bounded(path, MAX_FILE_BYTES)?)
}

fn decode_utf8(path: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let valid = String::from_utf8_lossy(bytes.get(..offset).unwrap_or_default());
        let position = TextPosition::new(&valid, offset);
        let (line, column) = (position.line_number, position.char_column());
        Error::NotUtf8 {
            path: path.to_owned(),
            byte: bytes.get(offset).copied().unwrap_or_default(),
            offset,
            line,
            column,
        }
    })
}

impl Config {
    /// Returns the defaults, for commands that need no project. Relative paths are resolved against `root`.
    pub fn defaults(root: &Path) -> Self {
        let mut config = blank_config(real_or_absolute(root));
        let problems = merge_text(&mut config, &blank_variant(), EXAMPLE);
        debug_assert_eq!(problems, [], "goflame.toml.example has mistakes");
        derive_settings(&mut config);
        config
    }

    /// Merges three layers: flags override the file, the file overrides the defaults. `dir` is goflame's working
    /// directory. Without a file it is also the project's root.
    pub fn resolve(dir: &Path, file: Option<SourceFile>, overrides: &Overrides) -> Result<Self, Error> {
        let Some(file) = file else {
            let mut config = Self::defaults(dir);
            select_app(&mut config, dir, overrides);
            derive_settings(&mut config);
            apply_overrides(&mut config, dir, overrides)?;
            return Ok(config);
        };
        let parent = file.path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let mut config = Self::defaults(parent);
        config.file = file.path.file_name().map(|name| config.root.join(name));
        config.app.name.clear(); // derived anew below, from the file's package
        let release = config.variants.get("release").cloned().unwrap_or_else(blank_variant);
        let problems = merge_text(&mut config, &release, &file.text);
        if let Some(problems) = Problems::new(&file.path, &file.text, problems) {
            return Err(Error::Invalid(problems));
        }
        config.text = file.text;
        select_app(&mut config, dir, overrides);
        derive_settings(&mut config);
        apply_overrides(&mut config, dir, overrides)?;
        Ok(config)
    }
}

impl Config {
    /// Returns the package as an argument for Go in [`Config::go_dir`].
    pub fn go_package(&self) -> String {
        if self.go_dir == self.root {
            return self.app.package.clone();
        }
        rules::rebase_package(&self.root, &self.app.package, &self.go_dir)
    }
}

/// Merges the settings of a text into `config` and returns the problems of the text.
fn merge_text(config: &mut Config, new_variant: &Variant, text: &str) -> Vec<Problem> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = syntax_problems(&errors, text);
    // After a syntax error the parser guesses, so its result is not worth checking.
    if problems.is_empty() {
        schema::apply_tables(config, new_variant, table.get_ref(), text, &mut problems);
    }
    problems
}

/// Converts TOML syntax errors to problems. Reports one error per line, because the parser guesses after the first error.
pub(super) fn syntax_problems(errors: &[toml::de::Error], text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut errors: Vec<_> = errors.iter().map(|error| syntax_problem(error, text)).collect();
    errors.sort_by_key(|problem| problem.span.start);
    let mut last_line = None;
    let mut counted = (0, 1); // a byte offset, and its line
    for problem in errors {
        let start = problem.span.start.min(text.len());
        let newlines = text.as_bytes().get(counted.0..start).unwrap_or_default().iter().filter(|b| **b == b'\n');
        counted = (start, counted.1 + newlines.count());
        if last_line.replace(counted.1) != Some(counted.1) {
            problems.push(problem);
        }
    }
    problems
}

fn syntax_problem(error: &toml::de::Error, text: &str) -> Problem {
    let mut span = error.span().unwrap_or_default();
    let (message, label) = match error.message().split_once(", expected ") {
        Some((message, "nothing")) => (message, String::new()),
        Some((message, expected)) => (message, format!("expected {expected}")),
        None => (error.message(), String::new()),
    };
    if span.is_empty() && message == "string values must be quoted" {
        let label = "expected a value".to_owned();
        return Problem { message: "the key has no value".to_owned(), span, label, help: None };
    }
    // `engine = native` starts like the number `nan`, but a number was not intended.
    let word = text.get(span.clone()).is_some_and(|raw| raw.starts_with(|c: char| c.is_ascii_alphabetic()));
    // `package = ./server` starts like the number `.5`.
    let rest = text.get(span.start..).unwrap_or_default();
    let is_path = message == "invalid mantissa" && ["./", "../"].iter().any(|start| rest.starts_with(start));
    if is_path {
        span.end = span.start + rest.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(rest.len());
    }
    if is_path || word && matches!(message, "invalid float" | "invalid boolean" | "string values must be quoted") {
        let label = "expected quotes around it".to_owned();
        return Problem { message: "the string has no quotes".to_owned(), span, label, help: None };
    }
    Problem { message: message.to_owned(), span, label, help: None }
}

/// Replaces the package and the kind of the file by those of the command line. If one of them differs, resets the
/// arguments, the input and the phases, because they belong to the file's app. If the package differs, also resets the
/// name.
fn select_app(config: &mut Config, dir: &Path, overrides: &Overrides) {
    let package = overrides.package.as_ref().map(|package| rules::rebase_package(dir, package, &config.root));
    let other = package.filter(|package| !rules::is_same_package(package, &config.app.package));
    let kind = overrides.kind.unwrap_or(config.app.kind);
    if other.is_none() && kind == config.app.kind {
        return;
    }
    if let Some(package) = other {
        config.app.package = package;
        config.app.name.clear();
    }
    config.app.kind = kind;
    config.workload.args.clear();
    config.workload.stdin = None;
    config.workload.server = Config::defaults(&config.root).workload.server;
}

/// Derives settings from the combination of other settings.
fn derive_settings(config: &mut Config) {
    if config.app.name.is_empty() {
        config.app.name = rules::derived_name(&config.app.package, &config.root);
    }
    // Same as `go test`, so that benchmarks find their testdata.
    if config.app.kind == Kind::Bench && config.workload.dir == config.root && config.app.package.starts_with("./") {
        config.workload.dir = config.root.join(config.app.package.trim_start_matches("./"));
    }
}

/// Returns the directory in which Go must run to build the package: its nested module if there is one, else the root.
/// With a go.work, Go can build the packages of nested modules from the root too.
fn go_dir(config: &Config) -> PathBuf {
    let root = &config.root;
    let variant = config.variants.get(&config.build.variant).and_then(|variant| variant.env.get("GOWORK").cloned());
    let is_workspace = variant.or_else(|| std::env::var("GOWORK").ok()).as_deref() != Some("off")
        && root.ancestors().any(|dir| dir.join("go.work").is_file());
    if is_workspace || !rules::is_package_path(&config.app.package) {
        return root.clone();
    }
    let package = fsio::normalize(&root.join(&config.app.package));
    let mut inner = package.ancestors().take_while(|dir| dir.starts_with(root) && dir != root);
    inner.find(|dir| dir.join("go.mod").is_file()).unwrap_or(root).to_owned()
}

fn apply_overrides(config: &mut Config, dir: &Path, overrides: &Overrides) -> Result<(), Error> {
    let wrong = |flag| move |fault: Fault| Error::Flag { flag, reason: fault.label, help: fault.help };
    if let Some(name) = &overrides.variant {
        config.build.variant = schema::check_variant_name(config, name).map_err(wrong("--variant"))?;
    }
    if let Some(frequency) = overrides.frequency {
        config.record.frequency = rules::check_frequency(frequency.into()).map_err(wrong("--freq"))?;
    }
    if let Some(stack) = overrides.stack {
        config.record.stack = rules::parse_stack_size(&stack.to_string()).map_err(wrong("--stack"))?;
    }
    if let Some(archive_dir) = &overrides.archive_dir {
        let archive_dir = rules::resolve_archive_dir(archive_dir, &real_or_absolute(dir), &config.root);
        config.archive.dir = archive_dir.map_err(wrong("--archive-dir"))?;
    }
    config.build.mounts = overrides.mounts.iter().map(|mount| real_or_absolute(&dir.join(mount))).collect();
    config.build.docker = overrides.docker.unwrap_or(config.build.docker);
    config.record.engine = overrides.engine.unwrap_or(config.record.engine);
    config.record.event = overrides.event.unwrap_or(config.record.event);
    config.record.kernel = overrides.kernel.unwrap_or(config.record.kernel);
    config.record.off_cpu = overrides.off_cpu.unwrap_or(config.record.off_cpu);
    config.doctor.strict = overrides.strict.unwrap_or(config.doctor.strict);
    if let Some(args) = &overrides.args {
        config.workload.args.clone_from(args);
    }
    if let Some(formats) = &overrides.formats {
        config.report.formats = schema::without_duplicates(formats.clone());
    }
    if let Some(title) = &overrides.title {
        config.report.title.clone_from(title);
    }
    let server = &mut config.workload.server;
    server.duration = overrides.duration.or(server.duration);
    server.warmup = overrides.warmup.unwrap_or(server.warmup);
    config.workload.benchmarks = overrides.benchmarks.clone();
    config.go_dir = go_dir(config);
    Ok(())
}

/// Returns the real path of a directory, because the kernel uses it to name mapped files. If the directory does not
/// exist, returns an absolute path.
fn real_or_absolute(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).or_else(|_| std::path::absolute(dir)).unwrap_or_else(|_| dir.to_owned())
}

/// A config before defaults are applied. `goflame.toml.example` replaces each value; a test checks this.
fn blank_config(root: PathBuf) -> Config {
    Config {
        go_dir: root.clone(),
        root,
        file: None,
        app: App { package: String::new(), kind: Kind::Binary, name: String::new() },
        build: Build { variant: String::new(), docker: false, mounts: Vec::new() },
        variants: BTreeMap::new(),
        toolchain: Toolchain::default(),
        workload: Workload {
            args: Vec::new(),
            env: BTreeMap::new(),
            dir: PathBuf::new(),
            stdin: None,
            timeout: Duration::ZERO,
            server: blank_server(),
            benchmarks: BenchmarkChoice::default(),
        },
        record: Record {
            engine: Engine::Native,
            frequency: 0,
            event: EventChoice::Auto,
            kernel: Kernel::Auto,
            stack: StackSize::ByProgram,
            labels: false,
            off_cpu: false,
        },
        runtime: Runtime {
            gctrace: false,
            schedtrace: None,
            scheddetail: false,
            inittrace: false,
            pprof: None,
            profiles: Vec::new(),
        },
        doctor: Doctor { strict: false, ignore: Vec::new() },
        report: Report { formats: Vec::new(), title: String::new(), source: false },
        archive: Archive {
            dir: PathBuf::new(),
            keep: 0,
            keep_bytes: None,
            raw: false,
            compress: false,
            max_bytes: None,
            redact: Vec::new(),
        },
        text: String::new(),
    }
}

fn blank_server() -> Server {
    Server {
        ready: Ready { sign: None, within: Duration::ZERO },
        warmup: Duration::ZERO,
        duration: None,
        load: Vec::new(),
        stop: Stop { signal: 0, grace: Duration::ZERO },
    }
}

fn blank_variant() -> Variant {
    Variant {
        gcflags: String::new(),
        ldflags: String::new(),
        tags: Vec::new(),
        env: BTreeMap::new(),
        trimpath: false,
        buildvcs: false,
        race: false,
        cgo: None,
        c_frame_pointers: false,
        pgo: String::new(),
        buildmode: String::new(),
    }
}
