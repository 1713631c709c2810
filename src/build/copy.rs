//! Copy of the project in another directory, for a second build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::fsio::{self, FileError};
use crate::process::{Command, PrivateDir};

use super::Error;
use super::docker::Sources;
use super::git::GIT_REPOSITORY_VARIABLES;

/// Temporary copy of a project. It is removed when this value is dropped.
#[derive(Debug)]
pub struct ProjectCopy {
    temporary: PrivateDir,
    /// Settings, with every path of the project changed to the copy.
    pub config: Config,
}

impl ProjectCopy {
    /// Copies the files that a build of `config` reads. If the build stamps the version control state into the program
    /// (`buildvcs`), the copy is a fresh checkout of the commit, without uncommitted changes.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let stamped = config.variants.get(&config.build.variant).is_some_and(|variant| variant.buildvcs);
        let temporary = PrivateDir::new("goflame-verify-")
            .map_err(|source| Error::Copy(FileError::new("create directory", std::env::temp_dir(), source)))?;
        let sources = Sources::find(&config.go_dir, stamped);
        let common = common_ancestor(&config.root, &sources.dirs);
        for dir in &sources.dirs {
            let target = path_in_copy(dir, &common, temporary.path());
            if stamped && dir.join(".git").exists() {
                check_out_commit(dir, &target)?;
            } else {
                // The temporary directory may be inside the project.
                copy_tree(dir, &target, &[&config.archive.dir, temporary.path()]).map_err(Error::Copy)?;
            }
        }
        let mut copied = config.clone();
        copied.root = path_in_copy(&config.root, &common, temporary.path());
        copied.go_dir = path_in_copy(&config.go_dir, &common, temporary.path());
        copied.archive.dir = copied.root.join(".goflame");
        // Permits the mount of sources that the project has outside of its own directory: they are in the copy too.
        copied.build.mounts.push(temporary.path().canonicalize().unwrap_or_else(|_| temporary.path().to_owned()));
        Ok(Self { temporary, config: copied })
    }

    /// Returns the path of a directory for a cache. Does not create the directory, which is removed with the copy.
    pub fn cache_dir(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }
}

/// Returns the innermost directory that is above the project's root and contains all `dirs`.
fn common_ancestor(root: &Path, dirs: &[PathBuf]) -> PathBuf {
    let mut common = root.parent().unwrap_or(root).to_owned();
    while !dirs.iter().all(|dir| dir.starts_with(&common)) && common.pop() {}
    common
}

fn path_in_copy(dir: &Path, common: &Path, to: &Path) -> PathBuf {
    to.join("copy").join(dir.strip_prefix(common).unwrap_or(dir))
}

fn check_out_commit(repository: &Path, target: &Path) -> Result<(), Error> {
    let git = Command::new("git")
        .without_variables(&GIT_REPOSITORY_VARIABLES)
        .args(["clone", "--quiet", "--no-hardlinks"])
        .args([repository, target]);
    git.capture().map(|_| ()).map_err(|source| Error::CheckOut { dir: repository.to_owned(), source })
}

/// Copies files, directories and links, except `.git`, `.goflame` and the paths in `leave_out`.
fn copy_tree(from: &Path, to: &Path, leave_out: &[&Path]) -> Result<(), FileError> {
    let wrap = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError::new("copy", path, source)
    };
    fsio::create_dir_all(to)?;
    for entry in fs::read_dir(from).map_err(wrap(from))? {
        let entry = entry.map_err(wrap(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(wrap(&path))?;
        if leave_out.contains(&path.as_path()) || entry.file_name() == ".git" || entry.file_name() == ".goflame" {
            continue;
        }
        if kind.is_dir() {
            copy_tree(&path, &target, leave_out)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&path).map_err(wrap(&path))?;
            std::os::unix::fs::symlink(link, &target).map_err(wrap(&path))?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(wrap(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::super::fixture::config;
    use super::*;

    #[test]
    fn a_copy_keeps_the_relative_paths_of_all_sources() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("app/go.mod", "module app\nreplace a.com/b => ../b\n");
        write("app/main.go", "package main\n");
        write("app/.goflame/build/x", "");
        write("app/.git/HEAD", "");
        write("b/go.mod", "module a.com/b\n");
        std::os::unix::fs::symlink("main.go", dir.path().join("app/link.go")).unwrap();
        let copy = ProjectCopy::new(&config(&dir.path().join("app"))).unwrap();
        let root = &copy.config.root;
        assert!(root.ends_with("copy/app") && !root.starts_with(dir.path()));
        let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["go.mod", "link.go", "main.go"]);
        assert!(root.join("../b/go.mod").exists());
        assert_eq!(fs::read_link(root.join("link.go")).unwrap(), Path::new("main.go"));
        let place = root.clone();
        drop(copy);
        assert!(!place.exists());
    }
}
