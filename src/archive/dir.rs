//! Directories by their open handles.
//!
//! Everything in the archive is created, moved and removed relative to the handle of its directory. No symbolic link is
//! followed, so a link in a checkout cannot lead goflame to files of another user.

use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, FileType, Mode, OFlags, Stat, StatVfs, fstatvfs, linkat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::error::Error;
use crate::fsio::FileError;

/// Prefix of the names of files that are still being written. Six letters or digits follow.
const TEMPORARY_PREFIX: &str = ".tmp-";
/// Mode of new directories and files before the umask.
const DIR_MODE: u32 = 0o777;
const FILE_MODE: u32 = 0o666;

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    /// Path of the directory, for messages and for programs.
    path: PathBuf,
}

impl Dir {
    /// Opens the directory that a user named. Links in this path are followed.
    pub(super) fn open_root(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(errno) => Err(FileError::new("open directory", path, errno.into())),
        }
    }

    /// The path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory `name` in this directory.
    pub(super) fn open_dir(&self, name: impl AsRef<Path>) -> Result<Self, Error> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: self.path.join(name) }),
            Err(errno) => Err(self.make_error("open directory", name, errno)),
        }
    }

    /// Opens the directory `name`. `None` if the name does not exist.
    pub(super) fn open_dir_if_present(&self, name: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        match self.open_dir(name) {
            Err(Error::File(error)) if error.is_missing() => Ok(None),
            dir => dir.map(Some),
        }
    }

    /// Opens the directory `name` and creates it if it does not exist.
    pub(super) fn open_or_create_dir(&self, name: impl AsRef<Path>) -> Result<Self, Error> {
        match self.create_dir(name.as_ref(), DIR_MODE) {
            Err(Error::File(error)) if error.source.kind() == ErrorKind::AlreadyExists => self.open_dir(name),
            created => created,
        }
    }

    /// Creates the directory `name`. Fails if the name exists.
    pub(super) fn create_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<Self, Error> {
        let name = name.as_ref();
        mkdirat(&self.fd, name, mode.into()).map_err(|errno| self.make_error("create directory", name, errno))?;
        self.open_dir(name)
    }

    /// Opens a plain file for reading. Does not block if the file is a pipe.
    pub(super) fn open_file(&self, name: impl AsRef<Path>) -> Result<File, Error> {
        let name = name.as_ref();
        let file = self.open(name, OFlags::RDONLY | OFlags::NONBLOCK, "read")?;
        if file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Ok(file);
        }
        let odd = io::Error::new(ErrorKind::InvalidInput, "it is not a plain file");
        Err(FileError::new("read", self.path.join(name), odd).into())
    }

    /// Opens a file for reading and writing, and creates it if it does not exist.
    pub(super) fn open_lock_file(&self, name: impl AsRef<Path>) -> Result<File, Error> {
        self.open(name.as_ref(), OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK, "lock")
    }

    /// Creates a file and opens it for writing. Fails if the name exists.
    pub(super) fn create_file(&self, name: impl AsRef<Path>) -> Result<File, Error> {
        self.open(name.as_ref(), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, "write")
    }

    fn open(&self, name: &Path, flags: OFlags, action: &'static str) -> Result<File, Error> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&self.fd, name, flags, FILE_MODE.into());
        opened.map(File::from).map_err(|errno| self.make_error(action, name, errno))
    }

    /// Returns an unused name in this directory, of the form that [`is_temporary`] recognises.
    pub(super) fn temporary_name(&self) -> Result<String, Error> {
        loop {
            // The operating system seeds each new hasher, so the value differs at each call.
            let name = format!("{TEMPORARY_PREFIX}{:06x}", RandomState::new().build_hasher().finish() & 0xff_ffff);
            if self.stat(&name)?.is_none() {
                return Ok(name);
            }
        }
    }

    /// Writes a file atomically. Replaces an existing file.
    pub(super) fn write(&self, name: impl AsRef<Path>, contents: &[u8]) -> Result<(), Error> {
        self.write_with(name.as_ref(), |mut file| file.write_all(contents))
    }

    /// Writes the output of `contents` to a file atomically. Replaces an existing file.
    pub(super) fn write_with(
        &self,
        name: impl AsRef<Path>,
        contents: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), Error> {
        let temporary = self.temporary_name()?;
        let file = self.create_file(&temporary)?;
        let written = contents(&file)
            .and_then(|()| sync(&file))
            .map_err(|error| FileError::new("write", self.path.join(name.as_ref()), error).into())
            .and_then(|()| self.rename(&temporary, self, name));
        if written.is_err() {
            // Report the first error, not an error of this removal.
            self.remove(&temporary).ok();
            return written;
        }
        self.sync()
    }

    /// Returns the metadata of `name`; for a link, of the link itself. `None` if the name does not exist.
    pub(super) fn stat(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, Error> {
        let name = name.as_ref();
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.make_error("read", name, errno)),
        }
    }

    /// Returns the file type of `name`. `None` if the name does not exist.
    pub(super) fn file_type(&self, name: impl AsRef<Path>) -> Result<Option<FileType>, Error> {
        Ok(self.stat(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// The names in this directory, sorted.
    pub(super) fn entries(&self) -> Result<Vec<OsString>, Error> {
        let wrap = |errno: Errno| FileError::new("read directory", &self.path, errno.into());
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(wrap)? {
            let name = OsString::from_vec(entry.map_err(wrap)?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The UTF-8 names in this directory. The archive has no other names.
    pub(super) fn utf8_names(&self) -> Result<Vec<String>, Error> {
        Ok(self.entries()?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Moves `name` to another directory. Replaces an existing entry there.
    pub(super) fn rename(&self, name: impl AsRef<Path>, to: &Self, new: impl AsRef<Path>) -> Result<(), Error> {
        let moved = renameat(&self.fd, name.as_ref(), &to.fd, new.as_ref());
        moved.map_err(|errno| to.make_error("replace", new.as_ref(), errno))
    }

    /// Adds a hard link to the file `name` in another directory.
    pub(super) fn link(&self, name: impl AsRef<Path>, to: &Self, new: impl AsRef<Path>) -> Result<(), Error> {
        let linked = linkat(&self.fd, name.as_ref(), &to.fd, new.as_ref(), AtFlags::empty());
        linked.map_err(|errno| to.make_error("link", new.as_ref(), errno))
    }

    /// Removes a file or a whole tree. Removes a link itself, not its target.
    pub(super) fn remove(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        let name = name.as_ref();
        if self.file_type(name)? != Some(FileType::Directory) {
            let removed = unlinkat(&self.fd, name, AtFlags::empty());
            return removed.map_err(|errno| self.make_error("remove", name, errno));
        }
        let dir = self.open_dir(name)?;
        for entry in dir.entries()? {
            dir.remove(entry)?;
        }
        unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(|errno| self.make_error("remove", name, errno))
    }

    /// Removes a directory if it is empty.
    pub(super) fn remove_if_empty(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        match unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.make_error("remove", name.as_ref(), errno)),
        }
    }

    /// Syncs the directory. A rename survives a power failure only after this.
    pub(super) fn sync(&self) -> Result<(), Error> {
        match fs::fsync(&self.fd) {
            // fsync(2): this file system cannot sync a directory. Nothing was lost.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(FileError::new("sync directory", &self.path, errno.into()).into()),
        }
    }

    /// Returns the properties of the file system of this directory.
    pub(super) fn file_system(&self) -> Result<StatVfs, Error> {
        fstatvfs(&self.fd)
            .map_err(|errno| FileError::new("examine the file system of", &self.path, errno.into()).into())
    }

    /// Returns the handle as a file that can be locked.
    pub(super) fn as_file(&self) -> io::Result<File> {
        self.fd.try_clone().map(File::from)
    }

    /// Creates the error of a failed operation. A forbidden symbolic link has a separate error, because the kernel
    /// reports "Not a directory" for such a link.
    fn make_error(&self, action: &'static str, name: &Path, errno: Errno) -> Error {
        let path = self.path.join(name);
        let is_link = || {
            let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
            stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
        };
        if matches!(errno, Errno::LOOP | Errno::NOTDIR) && is_link() {
            return Error::Link { path };
        }
        FileError::new(action, path, errno.into()).into()
    }
}

/// Whether the name has the form that goflame gives to files that are still being written.
pub(super) fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(TEMPORARY_PREFIX).unwrap_or_default();
    random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Syncs a file to the disk. Some file systems do not support that (EINVAL); then nothing is lost.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}
