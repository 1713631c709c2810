//! Package discovery for `goflame init`: finds the packages of a module that can be profiled.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::process::Command;

use super::{Error, GoTool};

/// Packages of a module that can be profiled, sorted by package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Main packages, for `kind = "binary"`, as arguments for Go: `.` or `./cmd/server`.
    pub mains: Vec<String>,
    /// Packages with benchmarks, for `kind = "bench"`, as arguments for Go: `.` or `./lib`.
    pub benches: Vec<String>,
}

/// Fields requested from `go list -json` (`go help list`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
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

/// Lists the packages in `dir` and below that are programs or have benchmarks.
///
/// Packages with parse errors are listed as far as Go could read them. Finding no package is not an error.
pub fn discover(dir: &Path, go: &GoTool) -> Result<Discovered, Error> {
    let fields = "-json=Name,Dir,TestGoFiles,XTestGoFiles,Error";
    let captured = Command::new("go")
        .found_at(&go.path)
        .args(["list", "-e", fields, "./..."])
        .dir(dir)
        .capture()
        .map_err(|source| Error::List { dir: dir.to_owned(), source })?;
    let mut found = Discovered::default();
    for package in serde_json::Deserializer::from_slice(&captured.stdout).into_iter::<Listed>() {
        let package = package.map_err(|source| Error::GoJson { command: "go list -json", source })?;
        if package.dir.is_empty() {
            // Go returns an entry without a directory for the pattern itself if there is no go.mod here.
            let reason = package.error.map(|error| error.err).unwrap_or_default();
            return Err(Error::NoPackages { dir: dir.to_owned(), reason });
        }
        let argument = argument(dir, Path::new(&package.dir));
        if package.name == "main" {
            found.mains.push(argument.clone());
        }
        let files = package.test_go_files.iter().chain(&package.x_test_go_files);
        if files.map(|file| Path::new(&package.dir).join(file)).any(|file| has_benchmark(&file)) {
            found.benches.push(argument);
        }
    }
    found.mains.sort();
    found.benches.sort();
    Ok(found)
}

/// Returns the package in `package_dir` as an argument for Go in `dir`.
fn argument(dir: &Path, package_dir: &Path) -> String {
    // Go may reach the directory through other symbolic links than the user did.
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let package_dir = canonical(package_dir);
    match package_dir.strip_prefix(canonical(dir)) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => package_dir.display().to_string(),
    }
}

/// Whether a Go file declares a benchmark. `false` for a file that cannot be read: `init` makes offers, it does not
/// judge.
fn has_benchmark(file: &Path) -> bool {
    fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).lines().any(declares_benchmark))
}

/// Whether a line begins with `func BenchmarkX(`, where X does not begin with a lower-case letter: the rule of `go help
/// testfunc`. gofmt puts it at the start of a line.
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
