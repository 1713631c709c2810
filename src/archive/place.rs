//! Private directories to build into.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::fs::FileType;

use super::dir::{Dir, is_temporary};
use super::error::Error;
use super::lock::{self, FileLock};
use super::store::Store;
use crate::fsio::FileError;

/// The first bytes of an ELF file.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// A directory in `build/<variant>/` that only one build writes to. Dropping this value removes it.
#[derive(Debug)]
pub struct PrivateBuildDir {
    /// The public directory `build/<variant>`.
    builds: Dir,
    name: String,
    dir: Dir,
    /// Shows to other processes that the directory is in use.
    _lock: Option<FileLock>,
}

impl Store {
    /// Creates a private directory for a build of `variant`.
    pub fn create_private_build_dir(&self, variant: &str) -> Result<PrivateBuildDir, Error> {
        let _lock = self.lock()?;
        let builds = self.open_sub_dir("build")?.open_or_create_dir(variant)?;
        for name in builds.utf8_names()?.iter().filter(|name| is_temporary(name)) {
            if builds.file_type(name)? == Some(FileType::Directory)
                && !lock::is_in_use(as_file(&builds.open_dir(name)?)?)
            {
                builds.remove(name)?;
            }
        }
        let name = builds.temporary_name()?;
        let dir = builds.create_dir(&name, 0o700)?;
        let lock = lock::lock_shared(as_file(&dir)?);
        Ok(PrivateBuildDir { builds, name, dir, _lock: lock })
    }

    /// Writes a file to `build/<variant>/` atomically. Replaces an existing file and keeps its permissions.
    pub fn write_build_file(&self, variant: &str, name: &str, contents: &[u8]) -> Result<(), Error> {
        let builds = self.open_sub_dir("build")?.open_or_create_dir(variant)?;
        let old = builds.open_file(name).ok().and_then(|file| file.metadata().ok());
        builds.write_with(name, |mut file| {
            file.write_all(contents)?;
            old.map_or(Ok(()), |old| file.set_permissions(old.permissions()))
        })
    }
}

impl PrivateBuildDir {
    /// The output path for the build of the program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.dir.path().join(program)
    }

    /// Copies the last published program, if it exists and is an ELF file. If the copy is still up to date, `go build`
    /// skips linking.
    pub fn reuse(&self, program: &str) -> Result<(), Error> {
        let Ok(mut from) = self.builds.open_file(program) else { return Ok(()) };
        let mut magic = [0; ELF_MAGIC.len()];
        if from.read_exact(&mut magic).is_err() || magic != *ELF_MAGIC {
            return Ok(());
        }
        let copied = copy(&mut from, &self.dir, program);
        if copied.is_err() {
            // Without the copy, the build is only slower. If the disk is full, the build reports it.
            self.dir.remove(program).ok();
        }
        Ok(())
    }

    /// Moves the program to `build/<variant>/<program>` atomically. Replaces the previous program.
    pub fn publish(&self, program: &str) -> Result<(), Error> {
        self.dir.rename(program, &self.builds, program)
    }
}

impl Drop for PrivateBuildDir {
    fn drop(&mut self) {
        // If this fails, the next build removes the directory.
        self.builds.remove(&self.name).ok();
    }
}

fn copy(from: &mut File, to: &Dir, name: &str) -> Result<(), Error> {
    let mut file = to.create_file(name)?;
    let copied = from.rewind().and_then(|()| io::copy(from, &mut file)).and_then(|_| {
        let mode = from.metadata()?.permissions().mode();
        file.set_permissions(Permissions::from_mode(mode & 0o777))
    });
    Ok(copied.map_err(|error| FileError::new("write", to.path().join(name), error))?)
}

fn as_file(dir: &Dir) -> Result<File, FileError> {
    dir.as_file().map_err(|error| FileError::new("open directory", dir.path(), error))
}
