//! Source lines of functions, with their weights. Checks that the source on this machine is the source that was built.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::manifest::Manifest;
use crate::build::{GitState, GoMod, git_state};
use crate::config::Config;
use crate::goname;
use crate::pprof::SourceDirs;
use crate::process::Command;
use crate::profile::{Function, FunctionId, Profile};
use crate::redact::Secrets;
use crate::render::Format;
use crate::render::source::{AnnotatedFunction, SourceText, wanted_lines};
use crate::sources::{SourceDirKind, SourceFile, SourceRoots};
use crate::views::{FunctionLines, View, function_lines};

/// The page annotates functions with at least 1/200 of the total weight.
const HOT_WEIGHT_DIVISOR: u64 = 200;

/// Maximum number of functions that are annotated in the page.
const MAX_ANNOTATED_FUNCTIONS: usize = 60;

/// Maximum size of the source text in the page, in bytes.
const MAX_PAGE_SOURCE_BYTES: usize = 200_000;

/// Maximum number of characters shown of a line. Generated files have longer lines.
const MAX_LINE_CHARS: usize = 1_000;

/// The source that a profiled program was built from.
#[derive(Debug, Clone, Default)]
pub struct ProgramSource {
    /// Directories of the source files on the machine that built the program.
    pub dirs: SourceDirs,
    /// Version of Go. `None` if unknown.
    pub go: Option<String>,
    /// Git state of the project at the build. `None` if unknown.
    pub git: Option<GitState>,
}

impl ProgramSource {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let build = manifest.build.as_ref();
        Self {
            dirs: build.map(|build| build.sources.clone()).unwrap_or_default(),
            go: build.map(|build| build.go.clone()),
            git: serde_json::from_value(manifest.git.clone()).ok(),
        }
    }

    /// Returns the hot functions for the page. Empty if the settings turn source off or request no page.
    pub fn annotate_hot_functions(&self, view: &View, config: &Config) -> Vec<AnnotatedFunction> {
        if !config.report.source || !config.report.formats.contains(&Format::Html) {
            return Vec::new();
        }
        let secrets = config.secrets();
        SourceReader::new(view.profile(), self, &config.root, SourceScope::KnownModules, &secrets)
            .annotate_hot_functions(view)
    }
}

/// Which source files goflame may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceScope {
    /// All source files that the profile names, for a terminal.
    AllFiles,
    /// Only files of known modules and of the standard library, for a page that others see: a profile from elsewhere may
    /// name any file.
    KnownModules,
}

/// Finds and reads the source files of a profile's functions.
pub struct SourceReader<'a> {
    profile: &'a Profile,
    built: &'a ProgramSource,
    roots: SourceRoots,
    scope: SourceScope,
    secrets: &'a Secrets,
}

impl<'a> SourceReader<'a> {
    /// Creates a reader for a profile. Runs the `go` command in `dir` to find modules and Go's directories.
    pub fn new(
        profile: &'a Profile,
        built: &'a ProgramSource,
        dir: &Path,
        scope: SourceScope,
        secrets: &'a Secrets,
    ) -> Self {
        Self { profile, built, roots: source_roots(dir, built.dirs.clone()), scope, secrets }
    }

    /// Returns the functions with the weights and the text of their lines. If there is no text, the reason is in its
    /// place.
    pub fn annotate(&self, functions: &[FunctionId]) -> Vec<AnnotatedFunction> {
        let annotated = function_lines(self.profile, functions).into_iter().map(|weights| {
            let source = self.source_text(&weights).unwrap_or_else(|reason| SourceText::Absent { reason });
            AnnotatedFunction { weights, source }
        });
        annotated.collect()
    }

    /// Returns the hot functions whose source is on this machine, as many as fit into a page. The user's code comes first,
    /// then other code, each sorted by weight.
    pub fn annotate_hot_functions(&self, view: &View) -> Vec<AnnotatedFunction> {
        let least = view.top().total.div_ceil(HOT_WEIGHT_DIVISOR);
        let own = view.user_code_lines().iter().filter(|line| line.weight >= least).map(|line| line.function);
        let others = view.top().functions.iter().filter(|row| row.self_weight >= least).map(|row| row.function);
        let mut seen = HashSet::new();
        let hot: Vec<FunctionId> =
            own.chain(others).filter(|id| seen.insert(*id)).take(MAX_ANNOTATED_FUNCTIONS).collect();
        let mut room = MAX_PAGE_SOURCE_BYTES;
        let mut annotated = self.annotate(&hot);
        annotated.retain(|function| {
            let SourceText::Found { lines, .. } = &function.source else { return false };
            let size: usize = lines.values().map(String::len).sum();
            let fits = size <= room;
            room -= if fits { size } else { 0 };
            fits
        });
        annotated
    }

    /// Returns the lines of a function, or the reason why there are none.
    fn source_text(&self, weights: &FunctionLines) -> Result<SourceText, String> {
        let function = self.profile.function(weights.function);
        let name = self.profile.str(function.file);
        if name.is_empty() || name == "<autogenerated>" {
            return Err("there is no source: the profile names no file".to_owned());
        }
        let file = self.roots.find(name, function.origin.is_go());
        let file = file.filter(|file| self.scope == SourceScope::AllFiles || file.dir_kind != SourceDirKind::Elsewhere);
        let file = file.ok_or_else(|| format!("{name} is not on this machine, or is not a source file"))?;
        let path = file.path.display().to_string();
        let text = file.read().map_err(|error| error.to_string())?;
        let wanted = wanted_lines(weights, function.start_line);
        let mut lines = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if wanted.contains(&number) {
                lines.insert(number, self.secrets.mask_text(line).chars().take(MAX_LINE_CHARS).collect());
            }
        }
        let doubt = self.reason_for_doubt(&file, function, &lines);
        Ok(SourceText::Found { path, lines, doubt })
    }

    /// Returns why a file may not be the file that was compiled.
    fn reason_for_doubt(
        &self,
        file: &SourceFile,
        function: &Function,
        lines: &BTreeMap<u32, String>,
    ) -> Option<String> {
        let display = self.profile.str(function.display);
        let start = function.start_line;
        let has_func_line = start > 0
            && file.path.extension().is_some_and(|ending| ending == "go")
            && begins_with_func(self.profile.str(function.name));
        if has_func_line && !lines.get(&start).is_some_and(|line| line.contains("func")) {
            return Some(format!(
                "the file has changed since the program was built: {display} does not begin at line {start}"
            ));
        }
        match file.dir_kind {
            SourceDirKind::ModuleCache => None,
            SourceDirKind::GoRoot => {
                let (built, here) = (self.built.go.as_ref()?.split(' ').next()?, go_version_of(&file.path)?);
                (built != here)
                    .then(|| format!("this is the standard library of {here}; the program was built by {built}"))
            }
            SourceDirKind::Module | SourceDirKind::Elsewhere => {
                let taken = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(self.profile.start_time_ns))?;
                let is_newer = self.profile.start_time_ns > 0 && file.modified? > taken;
                (is_newer && !self.is_at_built_commit(&file.path))
                    .then(|| "the file was changed after the profile was taken, so its lines may have moved".to_owned())
            }
        }
    }

    /// Whether a file is in a clean checkout of the commit that was built. The build must have been clean too.
    fn is_at_built_commit(&self, file: &Path) -> bool {
        let Some(built) = self.built.git.as_ref().filter(|git| git.commit.is_some() && git.dirty == Some(false)) else {
            return false;
        };
        let now = file.parent().map(git_state).unwrap_or_default();
        now.commit == built.commit && now.dirty == Some(false)
    }
}

/// Whether a function begins with the `func` keyword: not the body of a loop, a wrapper, or the initialisation of variables.
fn begins_with_func(name: &str) -> bool {
    let own = goname::strip_package(name);
    own != "init" && !["-range", "gowrap", "deferwrap", ".init", "glob.."].iter().any(|part| own.contains(part))
}

/// Returns the version of Go whose standard library a file belongs to.
fn go_version_of(file: &Path) -> Option<String> {
    let goroot = file.ancestors().find(|dir| dir.ends_with("src"))?.parent()?;
    let text = std::fs::read_to_string(goroot.join("VERSION")).ok()?;
    Some(text.lines().next()?.to_owned())
}

/// Returns the directories with source files on this machine, from the build and from the go command.
fn source_roots(dir: &Path, build: SourceDirs) -> SourceRoots {
    // Uses the Go on PATH: this must not download another version.
    let command =
        Command::new("go").args(["env", "GOROOT", "GOMODCACHE", "GOMOD", "GOWORK"]).env("GOTOOLCHAIN", "local");
    let answer = command.dir(dir).capture().map(|answer| answer.text()).unwrap_or_default();
    let mut answers = answer.lines().map(|line| Some(line).filter(|line| line.starts_with('/')).map(PathBuf::from));
    let [goroot, module_cache, go_mod, go_work] = std::array::from_fn(|_| answers.next().flatten());
    let mut go_mods: Vec<PathBuf> = go_mod.into_iter().collect();
    if let Some(go_work) = &go_work
        && let (Some(dir), Some(work)) = (go_work.parent(), GoMod::read(go_work))
    {
        go_mods.extend(work.local_dirs.iter().map(|used| dir.join(used).join("go.mod")));
    }
    let module = |file: PathBuf| {
        let module = GoMod::read(&file)?.module;
        (!module.is_empty()).then_some((module, file.parent()?.to_owned()))
    };
    let modules = go_mods.into_iter().filter_map(module).collect();
    SourceRoots { build, goroot_src: goroot.map(|goroot| goroot.join("src")), module_cache, modules }
}
