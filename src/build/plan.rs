//! Build plan: the command to run, decided from settings and Go's answers alone. Must not touch the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::config::{Config, Kind, Variant, builds_program};
use crate::process::quote_line;
use crate::redact::Secrets;

use super::bench_args::bench_args;
use super::goflags::{self, PackageFlags};
use super::toolchain::{COMPILER_FLAG_VARIABLES, has_buildvcs_flag, pinned_version};
use super::{Error, GoTool, NotOnePackage};

/// Go's own flags for the C, C++ and Fortran compilers (`cmd/go/internal/work/exec.go`).
const DEFAULT_COMPILER_FLAGS: [&str; 3] = ["-O2 -g"; 3];

/// Complete plan of one build. `Display` prints an equivalent shell line, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    /// Name of the program to run: `go`.
    pub program: String,
    /// Arguments of `go`, without the program name.
    pub argv: Vec<String>,
    /// Variables added to the environment, sorted by name.
    pub env: Vec<(String, String)>,
    /// Working directory: [`Config::go_dir`].
    pub dir: PathBuf,
    /// Absolute path of the built program.
    pub output: PathBuf,
    /// Package argument, as it appears in `argv`.
    pub package: String,
    /// Name of the variant.
    pub variant: String,
    /// Kind of build: main package or benchmarks.
    pub kind: Kind,
    /// Warnings: facts about this build that may surprise the user. Each is one sentence fragment.
    pub warnings: Vec<String>,
    /// Secrets to mask when the plan is printed.
    pub secrets: Secrets,
}

impl fmt::Display for BuildPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = vec![self.program.clone()];
        words.extend(self.secrets.mask_args(&self.argv));
        let env = self.env.iter().map(|(name, value)| (name.clone(), self.secrets.mask_value(name, value)));
        f.write_str(&quote_line(Some(&self.dir), &env.collect::<Vec<_>>(), &words))
    }
}

impl BuildPlan {
    /// Returns the subcommand of Go.
    pub(super) fn command(&self) -> &'static str {
        match self.kind {
            Kind::Binary => "build",
            Kind::Bench => "test -c",
        }
    }

    /// Returns the flags among the arguments, without the output file.
    pub(super) fn flags(&self) -> &[String] {
        let start = self.command().split(' ').count();
        let end = self.argv.iter().rposition(|arg| arg == "-o").unwrap_or_default();
        self.argv.get(start..end).unwrap_or_default()
    }

    /// Returns the arguments with another output file.
    pub(super) fn argv_with_output(&self, output: &Path) -> Result<Vec<String>, Error> {
        let mut argv = self.argv.clone();
        let value = argv.iter().rposition(|arg| arg == "-o").and_then(|flag| argv.get_mut(flag + 1));
        if let Some(value) = value {
            *value = utf8_path(output)?;
        }
        Ok(argv)
    }
}

/// Plans the build of the selected variant of `config` with `go`. `None` means the Go of an image that was not asked yet:
/// the plan then assumes Linux, empty GOFLAGS, and Go's default flags for C compilers.
///
/// [`Config::root`] must be absolute. Config loading makes it absolute.
pub fn plan_build(config: &Config, go: Option<&GoTool>) -> Result<BuildPlan, Error> {
    let name = &config.build.variant;
    let variant = config.variants.get(name).ok_or_else(|| Error::Name { name: name.clone() })?;
    let package = config.go_package();
    check_package(&package)?;
    check_linux(variant, go)?;
    let output = output_path(config)?;
    let output_text = utf8_path(&output)?;
    utf8_path(&config.go_dir)?;

    let mut argv: Vec<String> = match config.app.kind {
        Kind::Binary => vec!["build".to_owned()],
        Kind::Bench => vec!["test".to_owned(), "-c".to_owned()],
    };
    let has_stamp = go.is_none_or(|go| has_buildvcs_flag(&go.version));
    argv.extend(build_flags(variant).into_iter().filter(|flag| has_stamp || !flag.starts_with("-buildvcs=")));
    argv.extend(["-o".to_owned(), output_text, package.clone()]);

    Ok(BuildPlan {
        program: "go".to_owned(),
        argv,
        env: build_environment(config, variant, go)?.into_iter().collect(),
        dir: config.go_dir.clone(),
        output,
        package,
        variant: name.clone(),
        kind: config.app.kind,
        warnings: check_flags(name, variant, go)?,
        secrets: config.secrets(),
    })
}

/// Returns the `go build` flags of a variant, without output and package.
pub(super) fn build_flags(variant: &Variant) -> Vec<String> {
    let mut flags = Vec::new();
    if variant.trimpath {
        flags.push("-trimpath".to_owned());
    }
    // Always explicit: Go's default stamps only if it finds a repository, and GOFLAGS may set another value.
    flags.push(format!("-buildvcs={}", variant.buildvcs));
    let tags = variant.tags.join(",");
    for (flag, value) in [
        ("-gcflags", &variant.gcflags),
        ("-ldflags", &variant.ldflags),
        ("-tags", &tags),
        ("-pgo", &variant.pgo),
        ("-buildmode", &variant.buildmode),
    ] {
        if !value.is_empty() {
            flags.push(format!("{flag}={value}"));
        }
    }
    if variant.race {
        flags.push("-race".to_owned());
    }
    flags
}

fn build_environment(
    config: &Config,
    variant: &Variant,
    go: Option<&GoTool>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut env = variant.env.clone();
    if let Some(cgo) = variant.cgo {
        env.insert("CGO_ENABLED".to_owned(), u8::from(cgo).to_string());
    }
    if let Some(pin) = pinned_version(&config.toolchain)
        && let Some(value) = env.insert("GOTOOLCHAIN".to_owned(), pin.clone())
        && value != pin
    {
        return Err(Error::PinConflict { pin, variant: config.build.variant.clone(), value });
    }
    if variant.c_frame_pointers
        && env.get("CGO_ENABLED").map_or_else(|| go.is_none_or(|go| go.cgo_enabled), |cgo| cgo == "1")
    {
        let of_go = go.map_or(DEFAULT_COMPILER_FLAGS, |go| go.compiler_flags.each_ref().map(String::as_str));
        for (name, of_go) in COMPILER_FLAG_VARIABLES.into_iter().zip(of_go) {
            // Go treats an empty variable as unset.
            let flags = env.get(name).filter(|flags| !flags.is_empty()).map_or(of_go, String::as_str);
            let flags = with_frame_pointers(flags);
            env.insert(name.to_owned(), flags);
        }
    }
    Ok(env)
}

/// Adds `-fno-omit-frame-pointer` to compiler flags, unless they already have a flag for the frame pointer.
fn with_frame_pointers(flags: &str) -> String {
    let decided = |flag: &str| matches!(flag, "-fomit-frame-pointer" | "-fno-omit-frame-pointer");
    if flags.split_whitespace().any(decided) {
        return flags.to_owned();
    }
    format!("{flags} -fno-omit-frame-pointer").trim_start().to_owned()
}

fn check_package(package: &str) -> Result<(), Error> {
    let reason = if package.is_empty() {
        NotOnePackage::Empty
    } else if package.starts_with('-') {
        NotOnePackage::Flag
    } else if package.contains("...") {
        NotOnePackage::Pattern
    } else {
        return Ok(());
    };
    Err(Error::Package { package: package.to_owned(), reason })
}

fn check_linux(variant: &Variant, go: Option<&GoTool>) -> Result<(), Error> {
    let set = variant.env.get("GOOS").filter(|value| !value.is_empty());
    match set.or_else(|| go.map(|go| &go.goos)) {
        Some(goos) if goos != "linux" => Err(Error::NotLinux { goos: goos.clone() }),
        _ => Ok(()),
    }
}

/// Returns a path as text, or an error: paths go through a command line and a manifest.
pub fn utf8_path(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::NotUtf8 { path: path.to_owned() })
}

/// Output path: `<archive.dir>/build/<variant>/<name>`. Benchmarks end in `.test`, as `go test -c` names them.
fn output_path(config: &Config) -> Result<PathBuf, Error> {
    let mut name = config.app.name.clone();
    if config.app.kind == Kind::Bench {
        name.push_str(".test");
    }
    let dir = config.root.join(&config.archive.dir);
    if !dir.is_absolute() {
        return Err(Error::RelativeRoot { root: config.root.clone() });
    }
    Ok(dir.join("build").join(check_file_name(&config.build.variant)?).join(check_file_name(&name)?))
}

/// Checks that a name is a single plain path component, so that a joined path stays inside its directory.
fn check_file_name(name: &str) -> Result<&Path, Error> {
    let path = Path::new(name);
    let mut components = path.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(path),
        _ => Err(Error::Name { name: name.to_owned() }),
    }
}

/// Checks the flags of the variant and the flags from GOFLAGS. Returns warnings, or an error for a flag that removes
/// data that a profile needs.
///
/// Flags on the command line come after GOFLAGS and take precedence. So GOFLAGS matters only where the variant sets no
/// flag.
fn check_flags(name: &str, variant: &Variant, go: Option<&GoTool>) -> Result<Vec<String>, Error> {
    // Go treats an empty variable as unset and reads its settings file instead.
    let set = variant.env.get("GOFLAGS").filter(|value| !value.is_empty());
    let goflags = set.or_else(|| go.map(|go| &go.goflags)).map_or("", String::as_str);
    let extra = goflags::split_words(goflags).ok_or_else(|| Error::GoFlags { goflags: goflags.to_owned() })?;
    let mut warnings = Vec::new();
    // The variant's own build mode was checked with the settings.
    if variant.buildmode.is_empty()
        && let Some(mode) = goflags::last_value(&extra, "buildmode").filter(|mode| !builds_program(mode))
    {
        return Err(Error::NoProgram { mode: mode.to_owned() });
    }

    let in_effect = |own: &str, flag: &str, key: &str| {
        if own.is_empty() {
            (goflags::last_value(&extra, flag).map(PackageFlags::parse), "GOFLAGS".to_owned())
        } else {
            (Some(PackageFlags::parse(own)), format!("{key} of [variant.{name}]"))
        }
    };
    if let (Some(ldflags), origin) = in_effect(&variant.ldflags, "ldflags", "ldflags") {
        if let Some(flag) = ldflags.stripping_flag() {
            return Err(Error::Strips { flag, origin });
        }
        if goflags::last_value(&ldflags.words, "buildid") == Some("") {
            warnings.push(format!("-buildid= in {origin} leaves the program without a build id to match profiles by"));
        }
        if variant.ldflags.is_empty()
            && goflags::last_value(&ldflags.words, "compressdwarf").is_some_and(|v| v != "false")
        {
            warnings.push(format!("-compressdwarf in {origin} compresses DWARF, which some tools cannot read"));
        }
    }
    if let (Some(gcflags), origin) = in_effect(&variant.gcflags, "gcflags", "gcflags")
        && gcflags.is_debug()
    {
        if variant.gcflags.is_empty() {
            warnings.push(format!("-N -l in {origin} turns optimisation off: this is not the program as shipped"));
        } else if gcflags.pattern.is_none() {
            warnings.push(format!("-N -l in {origin} reaches only the named package: write all=-N -l for every one"));
        }
    }
    for (flag, why) in [
        ("race", "makes the program several times slower"),
        ("msan", "makes the program slower"),
        ("asan", "makes the program slower"),
        ("cover", "counts every block that runs"),
    ] {
        if !(flag == "race" && variant.race) && goflags::is_flag_true(&extra, flag) {
            warnings.push(format!("-{flag} in GOFLAGS {why}"));
        }
    }
    if !variant.trimpath && goflags::is_flag_true(&extra, "trimpath") {
        warnings.push(format!("-trimpath in GOFLAGS overrides trimpath = false of [variant.{name}]"));
    }
    for (flag, own) in [("tags", !variant.tags.is_empty()), ("pgo", !variant.pgo.is_empty())] {
        if let Some(value) = goflags::last_value(&extra, flag) {
            if own {
                warnings.push(format!("-{flag}={value} in GOFLAGS is replaced by that of [variant.{name}]"));
            } else {
                warnings.push(format!("-{flag}={value} in GOFLAGS changes what is built"));
            }
        }
    }
    Ok(warnings)
}

/// Command line of the workload: `output` with the arguments from the settings. For benchmarks, see [`bench_args`].
pub fn workload_argv(config: &Config, output: &Path) -> Vec<String> {
    let workload = &config.workload;
    // The output path of a plan is UTF-8, so the conversion loses nothing.
    let mut argv = vec![output.to_string_lossy().into_owned()];
    match config.app.kind {
        Kind::Binary => argv.extend_from_slice(&workload.args),
        Kind::Bench => argv.extend(bench_args(&workload.args, &workload.benchmarks)),
    }
    argv
}

#[cfg(test)]
mod tests;
