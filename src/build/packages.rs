//! Finds the packages that can be profiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::process::Command;

use super::toolchain::TEMPORARY_DIR_VARIABLES;
use super::{Error, GoMod, GoTool};

/// A package, and whether it has a program or benchmarks to profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundPackage {
    /// Argument for Go: `.` or `./cmd/server`.
    pub argument: String,
    /// Whether it is a main package, for `kind = "binary"`.
    pub is_main: bool,
    /// Whether it has benchmarks, for `kind = "bench"`.
    pub has_benchmarks: bool,
}

/// Maximum depth at which nested modules are searched: `services/shop/server` has 3.
const MAX_MODULE_DEPTH: usize = 4;
/// Maximum number of nested modules that are listed. Each needs one run of Go, 0.1 to 0.5 s.
const MAX_NESTED_MODULES: usize = 50;

/// Fields requested from `go list -json` (`go help list`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ListedPackage {
    name: String,
    dir: String,
    test_go_files: Vec<String>,
    x_test_go_files: Vec<String>,
    error: Option<ListError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListError {
    err: String,
}

/// Lists the packages in `dir` and below, sorted. In a workspace, lists the packages of all its modules. If `dir` is not
/// in a module, lists the packages of the modules below `dir`.
///
/// Packages with parse errors are listed as far as Go could read them. Finding no package is not an error.
pub fn discover_packages(dir: &Path, go: &GoTool, env: &BTreeMap<String, String>) -> Result<Vec<FoundPackage>, Error> {
    if let Some(work) = &go.gowork {
        return list_packages(dir, go, env, &workspace_patterns(dir, work));
    }
    let modules = if go.gomod.is_none() { find_nested_modules(dir) } else { Vec::new() };
    if modules.is_empty() {
        return list_packages(dir, go, env, &[ALL_PACKAGES.to_owned()]);
    }
    let mut found = Vec::new();
    let mut failure = None;
    for module in modules {
        match list_packages(&module, go, env, &[ALL_PACKAGES.to_owned()]) {
            Ok(packages) => found.extend(packages.into_iter().map(|package| {
                let argument = package_argument(dir, &module.join(&package.argument));
                FoundPackage { argument, ..package }
            })),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    found.sort();
    match failure {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// Lists the packages that match the patterns, as Go in `dir` reads them.
pub fn list_packages(
    dir: &Path,
    go: &GoTool,
    env: &BTreeMap<String, String>,
    patterns: &[String],
) -> Result<Vec<FoundPackage>, Error> {
    let fields = "-json=Name,Dir,TestGoFiles,XTestGoFiles,Error";
    let captured = Command::new("go")
        .with_program_file(&go.path)
        .args(["list", "-e", fields, "--"])
        .args(patterns)
        .envs(env.clone())
        .dir(dir)
        .with_private_temporary_dirs(TEMPORARY_DIR_VARIABLES)
        .capture()
        .map_err(|source| Error::List { dir: dir.to_owned(), source })?;
    let mut found = Vec::new();
    let mut reason = None;
    for package in serde_json::Deserializer::from_slice(&captured.stdout).into_iter::<ListedPackage>() {
        let package = package.map_err(|source| Error::GoJson { command: "go list -json", source })?;
        if package.dir.is_empty() {
            // Go returns an entry without a directory for a pattern outside of all modules.
            reason = reason.or(Some(package.error.map(|error| error.err).unwrap_or_default()));
            continue;
        }
        let files = package.test_go_files.iter().chain(&package.x_test_go_files);
        found.push(FoundPackage {
            argument: package_argument(dir, Path::new(&package.dir)),
            is_main: package.name == "main",
            has_benchmarks: files.map(|file| Path::new(&package.dir).join(file)).any(|file| has_benchmark(&file)),
        });
    }
    found.sort();
    match reason {
        Some(reason) if found.is_empty() => Err(Error::NoPackages { dir: dir.to_owned(), reason }),
        _ => Ok(found),
    }
}

/// The pattern for all packages of a module in the directory and below.
const ALL_PACKAGES: &str = "./...";

/// Returns the patterns for all packages of a workspace in `dir` and below.
fn workspace_patterns(dir: &Path, work: &Path) -> Vec<String> {
    let home = work.parent().unwrap_or(dir);
    let here = resolve_links(dir);
    let mut patterns = Vec::new();
    for used in GoMod::read(work).unwrap_or_default().local_dirs {
        let module = resolve_links(&home.join(used));
        if here.starts_with(&module) {
            patterns.push(ALL_PACKAGES.to_owned());
        } else if module.starts_with(&here) {
            patterns.push(format!("{}/...", package_argument(dir, &module)));
        }
    }
    if patterns.is_empty() {
        // Go then reports why there are no packages.
        patterns.push(ALL_PACKAGES.to_owned());
    }
    patterns
}

/// Returns the directories below `dir` that have a go.mod, sorted. Like Go, skips `testdata`, `vendor`, and names that
/// begin with `.` or `_`. Also skips `node_modules`, which Go does not skip.
fn find_nested_modules(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![dir.to_owned()];
    for _ in 0..MAX_MODULE_DEPTH {
        let mut next = Vec::new();
        for entry in level.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten()) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_left_out = name.starts_with(['.', '_']) || matches!(&*name, "testdata" | "vendor" | "node_modules");
            if is_left_out || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.path().join("go.mod").is_file() {
                found.push(entry.path());
            }
            next.push(entry.path());
        }
        level = next;
    }
    found.sort();
    found.truncate(MAX_NESTED_MODULES);
    found
}

/// Resolves the links of a path, if it exists.
fn resolve_links(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Returns the package in `package_dir` as an argument for Go in `dir`.
fn package_argument(dir: &Path, package_dir: &Path) -> String {
    // Go may reach the directory through other symbolic links than the user did.
    let package_dir = resolve_links(package_dir);
    match package_dir.strip_prefix(resolve_links(dir)) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => package_dir.display().to_string(),
    }
}

/// Whether a Go file declares a benchmark. `false` for a file that cannot be read.
fn has_benchmark(file: &Path) -> bool {
    fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).lines().any(declares_benchmark))
}

/// Whether a line begins with `func BenchmarkX(`, where X does not begin with a lower-case letter: the rule of `go help
/// testfunc`. gofmt puts such a declaration at the start of a line.
fn declares_benchmark(line: &str) -> bool {
    line.strip_prefix("func Benchmark").is_some_and(|rest| {
        let name_ends = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let parameters = rest.get(name_ends.unwrap_or(rest.len())..).unwrap_or_default();
        !rest.starts_with(char::is_lowercase) && parameters.trim_start().starts_with('(')
    })
}

#[cfg(test)]
mod tests {
    use super::declares_benchmark;

    #[test]
    fn benchmark_declarations_are_recognised() {
        for line in [
            "func BenchmarkSort(b *testing.B) {",
            "func Benchmark(b *testing.B) {",
            "func Benchmark_x (b *testing.B) {",
        ] {
            assert!(declares_benchmark(line), "{line}");
        }
        for line in [
            "func Benchmarking(b int) {",
            "// func BenchmarkSort(b *testing.B) {",
            "func (s S) BenchmarkSort(b *testing.B) {",
            "func BenchmarkOf[T any](b *testing.B) {",
            "func benchmarkSort(b *testing.B) {",
        ] {
            assert!(!declares_benchmark(line), "{line}");
        }
    }
}
