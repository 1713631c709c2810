//! Counts the packages that `go build -v` has compiled.
//!
//! Go names a package when it begins to compile it, and only if it is not in the cache. All packages that it imports
//! are then compiled or taken from the cache, so they are done. `go list -deps` lists the imports. `go list` runs
//! beside the build, and only if the build takes longer than [`SHORT_BUILD_TIME`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::progress::{BuildProgress, CompiledPackages};
use crate::process::{Command, RunningCapture};

/// Builds that take less time get no progress line and no `go list`.
const SHORT_BUILD_TIME: Duration = Duration::from_secs(1);

/// Format of `go list` that [`Imports::parse`] reads: a package and the packages that it imports.
pub(super) const LIST_FORMAT: &str = "{{.ImportPath}}{{range .Imports}} {{.}}{{end}}";

/// Reads the output of a build, and reports the compiled packages to a [`BuildProgress`].
pub(super) struct PackageCounter<'a> {
    progress: &'a dyn BuildProgress,
    list: Option<&'a Command>,
    started: Instant,
    /// Beginning of a line that is not complete yet.
    line: Vec<u8>,
    /// Whether the current lines belong to a message of a compiler. Go writes `# PACKAGE` before such a message.
    in_message: bool,
    /// Packages whose compilation has begun, the oldest first.
    begun: Vec<String>,
    imports: ListState<'a>,
}

enum ListState<'a> {
    NotAsked,
    Running(Box<RunningCapture<'a>>),
    Known(Imports),
    Failed,
}

impl<'a> PackageCounter<'a> {
    /// Creates a counter for a `go build -v`. Runs `list`, a `go list -deps` with [`LIST_FORMAT`], only during a long build.
    /// `list` is `None` for a command that does not print package names.
    pub(super) fn new(list: Option<&'a Command>, progress: &'a dyn BuildProgress) -> Self {
        Self {
            progress,
            list,
            started: Instant::now(),
            line: Vec::new(),
            in_message: false,
            begun: Vec::new(),
            imports: ListState::NotAsked,
        }
    }

    /// Processes the next bytes of the output. During silence, call it with no bytes from time to time.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.process_line();
            }
        }
        let elapsed = self.started.elapsed();
        if elapsed < SHORT_BUILD_TIME {
            return;
        }
        self.update_imports();
        let (done, total) = match &self.imports {
            ListState::Known(imports) => (imports.done, Some(imports.packages.len())),
            _ => (self.begun.len(), None),
        };
        let latest = self.begun.last().map_or("", String::as_str);
        self.progress.show_compiled_packages(&CompiledPackages { done, total, latest, elapsed });
    }

    /// Shows the last line if it has no newline.
    pub(super) fn finish(self) {
        if !self.line.is_empty() {
            self.progress.show_output(&self.line);
        }
    }

    fn process_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Some(package) =
            parse_import_path(&line).filter(|package| self.list.is_some() && self.is_package(package))
        {
            self.in_message = false;
            if let ListState::Known(imports) = &mut self.imports {
                imports.mark_imports_done(package);
            }
            self.begun.push(package.to_owned());
        } else {
            self.in_message |= line.starts_with(b"# ");
            self.progress.show_output(&line);
        }
    }

    /// Whether a line in the form of an import path names a package. In a message, this requires that `go list` lists it.
    fn is_package(&self, line: &str) -> bool {
        !self.in_message || matches!(&self.imports, ListState::Known(imports) if imports.packages.contains_key(line))
    }

    fn update_imports(&mut self) {
        self.imports = match std::mem::replace(&mut self.imports, ListState::Failed) {
            // If no package was compiled, Go only links.
            ListState::NotAsked if self.begun.is_empty() => ListState::NotAsked,
            ListState::NotAsked => match self.list.map(Command::start_capture) {
                Some(Ok(listing)) => ListState::Running(Box::new(listing)),
                _ => ListState::Failed,
            },
            ListState::Running(listing) if listing.has_ended() => match listing.finish() {
                Ok(listed) => {
                    let mut imports = Imports::parse(&listed.text());
                    self.begun.iter().for_each(|package| imports.mark_imports_done(package));
                    ListState::Known(imports)
                }
                // The build itself reports the reason.
                Err(_) => ListState::Failed,
            },
            other => other,
        };
    }
}

/// Returns the line if it has the form of an import path. Messages of Go and of compilers have spaces or colons.
fn parse_import_path(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._~+/".contains(letter);
    (line.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_') && line.chars().all(is_allowed))
        .then_some(line)
}

/// Packages of a build with their imports.
struct Imports {
    packages: HashMap<String, Package>,
    /// Number of packages that are done.
    done: usize,
}

struct Package {
    imports: Vec<String>,
    is_done: bool,
}

impl Imports {
    fn parse(listed: &str) -> Self {
        let packages = listed.lines().filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let package = words.next().filter(|package| !package.is_empty())?;
            Some((package, Package { imports: words.collect(), is_done: false }))
        });
        Self { packages: packages.collect(), done: 0 }
    }

    /// Marks all imports of `package`, direct or not, as done: Go begins to compile `package` only after them.
    fn mark_imports_done(&mut self, package: &str) {
        let Some(begun) = self.packages.get(package) else { return };
        let mut below = begun.imports.clone();
        while let Some(name) = below.pop() {
            if let Some(package) = self.packages.get_mut(&name)
                && !package.is_done
            {
                package.is_done = true;
                self.done += 1;
                below.extend_from_slice(&package.imports);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::NoProgress;
    use super::*;

    #[test]
    fn lines_of_go_build_v_are_distinguished_from_messages() {
        for package in ["fmt", "internal/goarch", "vendor/golang.org/x/net/dns/dnsmessage", "gopkg.in/yaml.v3"] {
            assert_eq!(parse_import_path(format!("{package}\n").as_bytes()), Some(package));
        }
        for line in ["", "\n", "# example.com/app", "./main.go:3:2: undefined: x", "go: downloading a v1", "^", "}"] {
            assert_eq!(parse_import_path(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_word_in_a_message_is_not_a_package() {
        let list = Command::new("true");
        let mut counter = PackageCounter::new(Some(&list), &NoProgress);
        counter.receive(b"fmt\n# example.com/app\nremark\n");
        assert_eq!(counter.begun, ["fmt"]);
        counter.imports = ListState::Known(Imports::parse("fmt\nexample.com/app fmt\n"));
        counter.receive(b"remark\nexample.com/");
        counter.receive(b"app\n");
        assert_eq!(counter.begun, ["fmt", "example.com/app"]);
    }

    #[test]
    fn packages_below_a_compiled_one_are_done() {
        let mut imports = Imports::parse("unsafe\na unsafe\nb a unsafe\nc a C\nmain b c\n");
        let mut done = |package| {
            imports.mark_imports_done(package);
            (imports.done, imports.packages.len())
        };
        assert_eq!(done("a"), (1, 5));
        assert_eq!(done("b"), (2, 5));
        assert_eq!(done("unknown"), (2, 5));
        // `c` came from the cache.
        assert_eq!(done("main"), (4, 5));
    }
}
