//! Source files of profiled programs on this machine.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::fsio;
use crate::pprof::SourceDirs;

/// Extensions of source files. No other file is read, because a profile can name any file.
const EXTENSIONS: [&str; 14] = ["go", "s", "S", "c", "cc", "cpp", "cxx", "h", "hh", "hpp", "m", "rs", "y", "inc"];

/// Size limit of a source file: 16 MiB. Generated files are large.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// In the path of a file in the module cache, the directories before the module.
const MODULE_CACHE: &str = "/pkg/mod/";

/// Directories with source files on this machine.
#[derive(Debug, Clone, Default)]
pub struct SourceRoots {
    /// Source directories of the build, by the names that `-trimpath` gives to them.
    pub build: SourceDirs,
    /// `GOROOT/src` of this machine's Go.
    pub goroot_src: Option<PathBuf>,
    /// `GOMODCACHE`.
    pub module_cache: Option<PathBuf>,
    /// Modules in the user's own directories: import path and directory.
    pub modules: Vec<(String, PathBuf)>,
}

/// Kind of the directory that contains a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceDirKind {
    /// A module in the user's own directories, or in a directory where it was built.
    Module,
    /// A version of a module in the module cache. Its files never change.
    ModuleCache,
    /// The standard library.
    GoRoot,
    /// Any other directory that the profile names.
    Elsewhere,
}

/// A source file on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path of the file, without symbolic links.
    pub path: PathBuf,
    /// Kind of the directory that contains the file.
    pub dir_kind: SourceDirKind,
    /// Time of the last change.
    pub modified: Option<SystemTime>,
}

impl SourceRoots {
    /// Finds a file by its name in a profile: a path, or a name that `-trimpath` made. `None` if the file is not on this
    /// machine.
    pub fn find(&self, name: &str, is_go: bool) -> Option<SourceFile> {
        if !Path::new(name).extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
            return None;
        }
        let path = self.candidates(name, is_go).into_iter().find(|path| path.is_file())?;
        let path = fs::canonicalize(path).ok()?;
        let modified = fs::metadata(&path).ok()?.modified().ok();
        let dir_kind = self.kind_of_dir(&path);
        Some(SourceFile { path, dir_kind, modified })
    }

    /// Paths at which a source file can be, most certain first.
    fn candidates(&self, name: &str, is_go: bool) -> Vec<PathBuf> {
        let mut candidates: Vec<PathBuf> = self.build.find(name, is_go).into_iter().collect();
        let in_cache =
            |rest: &str| Some(self.module_cache.as_ref()?.join(escape_module_path(relative_path_below(rest)?)));
        if name.starts_with('/') {
            candidates.push(name.into());
            candidates.extend(name.split_once(MODULE_CACHE).and_then(|(_, rest)| in_cache(rest)));
            if let Some(goroot_src) = &self.goroot_src {
                // The path can be that of the standard library on another machine.
                let rests = name
                    .match_indices("/src/")
                    .filter_map(|(at, part)| relative_path_below(name.get(at + part.len()..)?));
                candidates.extend(rests.map(|rest| goroot_src.join(rest)));
            }
            return candidates;
        }
        let in_module = |(module, dir): &(String, PathBuf)| {
            let rest = name.strip_prefix(module.as_str())?.strip_prefix('/')?;
            Some((module.len(), dir.join(relative_path_below(rest)?)))
        };
        // The innermost module has the longest path.
        candidates.extend(self.modules.iter().filter_map(in_module).max().map(|(_, path)| path));
        candidates.extend(in_cache(name).filter(|_| name.contains('@')));
        if let (Some(goroot_src), Some(name)) = (self.goroot_src.as_ref().filter(|_| is_go), relative_path_below(name))
        {
            candidates.push(goroot_src.join(name));
        }
        candidates
    }

    fn kind_of_dir(&self, path: &Path) -> SourceDirKind {
        let is_in = |root: &PathBuf| fs::canonicalize(root).is_ok_and(|root| path.starts_with(root));
        let mut goroot_src = self.goroot_src.iter().chain(self.build.dir(""));
        let mut modules = self.modules.iter().map(|(_, dir)| dir).chain(self.build.dirs()).chain(&self.module_cache);
        // In the module cache, the name of a module's directory ends with its version: `m@v1.0.0`.
        let has_version = || path.components().any(|part| part.as_os_str().as_encoded_bytes().contains(&b'@'));
        match () {
            () if goroot_src.any(is_in) => SourceDirKind::GoRoot,
            () if !modules.any(is_in) => SourceDirKind::Elsewhere,
            () if has_version() => SourceDirKind::ModuleCache,
            () => SourceDirKind::Module,
        }
    }
}

impl SourceFile {
    /// Reads the text. Bytes that are not UTF-8 become U+FFFD.
    pub fn read(&self) -> Result<String, io::Error> {
        let bytes = fsio::read_bounded(&self.path, MAX_FILE_BYTES).map_err(io::Error::other)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Returns the path if it is relative and stays below its directory.
fn relative_path_below(name: &str) -> Option<&str> {
    let is_plain = |component| matches!(component, Component::Normal(_));
    (!name.is_empty() && Path::new(name).components().all(is_plain)).then_some(name)
}

/// Escapes a path as the module cache does: an upper-case letter of module or version becomes `!` and the lower-case letter
/// (`golang.org/x/mod/module`, "Escaped Paths"). An escaped path does not change.
fn escape_module_path(path: &str) -> String {
    // The names of files in a module are not escaped.
    let end = path
        .find('@')
        .map_or(0, |at| path.get(at..).and_then(|rest| rest.find('/')).map_or(path.len(), |end| at + end));
    let (module, rest) = path.split_at(end);
    let mut escaped = String::new();
    for c in module.chars() {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
    }
    escaped + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn write(root: &Path, name: &str) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "package p\n").unwrap();
        fs::canonicalize(path).unwrap()
    }

    #[test]
    fn files_are_found_by_the_names_that_profiles_have() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        let cached = write(root, "cache/github.com/!burnt!sushi/toml/v2@v2.1.0-!beta/Decode.go");
        let std = write(root, "goroot/src/runtime/proc.go");
        let own = write(root, "work/sub/a/b.go");
        let other = write(root, "other/x.go");
        write(root, "other/id_rsa");
        let roots = SourceRoots {
            build: SourceDirs::default(),
            goroot_src: Some(root.join("goroot/src")),
            module_cache: Some(root.join("cache")),
            modules: vec![("x.org/m".into(), root.join("work")), ("x.org/m/sub".into(), root.join("work/sub"))],
        };
        let found = |name: &str| roots.find(name, true).map(|file| (file.path, file.dir_kind));
        let absolute = |path: &Path| path.to_str().unwrap().to_owned();
        for (name, path, place) in [
            ("github.com/BurntSushi/toml/v2@v2.1.0-Beta/Decode.go", &cached, SourceDirKind::ModuleCache),
            (
                "/home/ci/go/pkg/mod/github.com/!burnt!sushi/toml/v2@v2.1.0-!beta/Decode.go",
                &cached,
                SourceDirKind::ModuleCache,
            ),
            ("runtime/proc.go", &std, SourceDirKind::GoRoot),
            ("/opt/go/src/runtime/proc.go", &std, SourceDirKind::GoRoot),
            ("x.org/m/sub/a/b.go", &own, SourceDirKind::Module),
            (&absolute(&own), &own, SourceDirKind::Module),
            (&absolute(&other), &other, SourceDirKind::Elsewhere),
        ] {
            assert_eq!(found(name), Some((path.clone(), place)), "{name}");
        }
        let key = absolute(&root.join("other/id_rsa"));
        for name in [&*key, "x.org/m/../../other/x.go", "<autogenerated>", "", "runtime/absent.go", "x.org/m/sub"] {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn the_place_of_a_symbolic_link_is_that_of_its_target() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        let secret = write(root, "other/secret.go");
        fs::create_dir(root.join("work")).unwrap();
        std::os::unix::fs::symlink(&secret, root.join("work/a.go")).unwrap();
        let roots = SourceRoots { modules: vec![("x.org/m".into(), root.join("work"))], ..SourceRoots::default() };
        let file = roots.find("x.org/m/a.go", true).unwrap();
        assert_eq!((file.path, file.dir_kind), (secret, SourceDirKind::Elsewhere));
    }
}
