//! Source directories that a build reads on this machine: the module, and the directories that go.mod and go.work refer
//! to.

use std::path::{Path, PathBuf};

use crate::build::GoMod;
use crate::fsio;

/// Directories and modules that a build in a container needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Absolute directories of the sources. No directory is inside another.
    pub dirs: Vec<PathBuf>,
    /// Real paths of directories that go.mod or go.work refers to, and that are outside of the module, the directory of
    /// go.work and the git checkout.
    pub outside: Vec<PathBuf>,
    /// Whether modules must be downloaded: some are required, and no vendor directory contains them.
    pub needs_modules: bool,
}

impl Sources {
    /// Finds the sources of `root`, the absolute directory in which Go works. With `history`, includes the whole git
    /// repository, for `-buildvcs`.
    pub fn find(root: &Path, history: bool) -> Self {
        let above = |name: &str| root.ancestors().find(|dir| dir.join(name).exists()).map(Path::to_owned);
        let mut dirs = vec![root.to_owned()];
        let (mut modules, mut vendored) = (false, false);
        let mut files = Vec::new();
        for name in ["go.mod", "go.work"] {
            if let Some(dir) = above(name) {
                vendored |= dir.join("vendor/modules.txt").exists();
                files.push(dir.join(name));
                dirs.push(dir);
            }
        }
        let own = dirs.clone();
        // A module in go.work has its own go.mod, which may replace modules in turn.
        while let Some(file) = files.pop() {
            let GoMod { requires_modules, local_dirs, .. } = GoMod::read(&file).unwrap_or_default();
            modules |= requires_modules;
            let here = file.parent().unwrap_or(root);
            for local in local_dirs {
                // Resolves the path as Go does: symbolic links are not followed.
                let dir = fsio::normalize(&here.join(local));
                if file.ends_with("go.work") {
                    files.push(dir.join("go.mod"));
                }
                dirs.push(dir);
            }
        }
        let checkout = above(".git");
        // Compares real paths, because a link inside the project may lead anywhere.
        let real = |dir: &PathBuf| dir.canonicalize().unwrap_or_else(|_| dir.clone());
        let homes: Vec<_> = own.iter().chain(&checkout).map(real).collect();
        let elsewhere = |dir: &PathBuf| !homes.iter().any(|home| dir.starts_with(home));
        let outside = dirs.iter().map(real).filter(elsewhere).collect();
        if history {
            dirs.extend(checkout);
        }
        Self { dirs: outermost_dirs(dirs), outside: outermost_dirs(outside), needs_modules: modules && !vendored }
    }
}

fn outermost_dirs(mut dirs: Vec<PathBuf>) -> Vec<PathBuf> {
    dirs.sort();
    dirs.dedup();
    let all = dirs.clone();
    dirs.retain(|dir| !all.iter().any(|other| other != dir && dir.starts_with(other)));
    dirs
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn sources_are_all_directories_that_a_build_reads() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let write = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        };
        write("repo/app/go.mod", "module app\nrequire a.com/b v0.0.0\nreplace a.com/b => ../../b\n");
        write("repo/app/cmd/x/main.go", "");
        let found = Sources::find(&at("repo/app/cmd/x"), false);
        assert_eq!(found, Sources { dirs: vec![at("b"), at("repo/app")], outside: vec![at("b")], needs_modules: true });

        fs::create_dir_all(at("repo/.git")).unwrap();
        assert_eq!(Sources::find(&at("repo/app"), true).dirs, [at("b"), at("repo")]);

        write("repo/app/vendor/modules.txt", "");
        assert!(!Sources::find(&at("repo/app"), false).needs_modules);

        write("work/go.work", "go 1.21\nuse ./a\nuse ../lib\n");
        write("lib/go.mod", "module lib\nrequire c.com/d v1.0.0\nreplace c.com/d => ../d\n");
        write("work/a/go.mod", "module a\n");
        let found = Sources::find(&at("work/a"), false);
        let dirs = vec![at("d"), at("lib"), at("work")];
        assert_eq!(found, Sources { dirs, outside: vec![at("d"), at("lib")], needs_modules: true });

        // Everything in one checkout belongs to one project, except the target of a link that leads out of the
        // checkout.
        fs::create_dir_all(at(".git")).unwrap();
        assert_eq!(Sources::find(&at("work/a"), false).outside, [""; 0].map(PathBuf::from));
        std::os::unix::fs::symlink("/usr/share", at("d")).unwrap();
        assert_eq!(Sources::find(&at("work/a"), false).outside, [Path::new("/usr/share")]);
    }
}
