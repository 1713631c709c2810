//! Directories by their open handles.
//!
//! Everything in the archive is created, moved and removed relative to the handle of its directory, and no symbolic link
//! is followed: a link that a checkout brings along cannot lead goflame to somebody's files.

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

/// How the names of files begin that are still being written; six letters or digits follow.
const TEMPORARY: &str = ".tmp-";
/// Mode of new directories and files before the umask.
const DIR_MODE: u32 = 0o777;
const FILE_MODE: u32 = 0o666;

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    /// For messages, and for programs that need a path.
    path: PathBuf,
}

impl Dir {
    /// Opens the directory that a user named: on the way to it, links are followed.
    pub(super) fn open_root(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(errno) => Err(FileError::new("open directory", path, errno.into())),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory `name` in this one.
    pub(super) fn dir(&self, name: impl AsRef<Path>) -> Result<Self, Error> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: self.path.join(name) }),
            Err(errno) => Err(self.error("open directory", name, errno)),
        }
    }

    /// The directory `name`; `None` where there is nothing of this name.
    pub(super) fn dir_if_present(&self, name: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        match self.dir(name) {
            Err(Error::File(error)) if error.is_missing() => Ok(None),
            dir => dir.map(Some),
        }
    }

    /// The directory `name`, created where it is missing.
    pub(super) fn make_dir(&self, name: impl AsRef<Path>) -> Result<Self, Error> {
        match self.create_dir(name.as_ref(), DIR_MODE) {
            Err(Error::File(error)) if error.source.kind() == ErrorKind::AlreadyExists => self.dir(name),
            created => created,
        }
    }

    /// The new directory `name`; an error where the name is taken.
    pub(super) fn create_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<Self, Error> {
        let name = name.as_ref();
        mkdirat(&self.fd, name, mode.into()).map_err(|errno| self.error("create directory", name, errno))?;
        self.dir(name)
    }

    /// Opens a plain file for reading; a pipe in its place does not block.
    pub(super) fn file(&self, name: impl AsRef<Path>) -> Result<File, Error> {
        let name = name.as_ref();
        let file = self.open(name, OFlags::RDONLY | OFlags::NONBLOCK, "read")?;
        if file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Ok(file);
        }
        let odd = io::Error::new(ErrorKind::InvalidInput, "it is not a plain file");
        Err(FileError::new("read", self.path.join(name), odd).into())
    }

    /// Opens a file for reading and writing, and creates it where it is missing.
    pub(super) fn file_to_lock(&self, name: impl AsRef<Path>) -> Result<File, Error> {
        self.open(name.as_ref(), OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK, "lock")
    }

    /// A new file, open for writing; an error where the name is taken.
    pub(super) fn create_file(&self, name: impl AsRef<Path>) -> Result<File, Error> {
        self.open(name.as_ref(), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, "write")
    }

    fn open(&self, name: &Path, flags: OFlags, action: &'static str) -> Result<File, Error> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&self.fd, name, flags, FILE_MODE.into());
        opened.map(File::from).map_err(|errno| self.error(action, name, errno))
    }

    /// A name that nothing in this directory has, and that [`is_temporary`] knows.
    pub(super) fn temporary_name(&self) -> Result<String, Error> {
        loop {
            // A fresh hasher is seeded by the operating system and differs at each call.
            let name = format!("{TEMPORARY}{:06x}", RandomState::new().build_hasher().finish() & 0xff_ffff);
            if self.stat(&name)?.is_none() {
                return Ok(name);
            }
        }
    }

    /// Writes a file whole or not at all, over what has the name.
    pub(super) fn write(&self, name: impl AsRef<Path>, contents: &[u8]) -> Result<(), Error> {
        self.write_with(name.as_ref(), |mut file| file.write_all(contents))
    }

    /// Writes what `contents` writes, whole or not at all, over what has the name.
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
            // The first error is the one to tell.
            self.remove(&temporary).ok();
            return written;
        }
        self.sync()
    }

    /// What `name` stands for, a link itself and not its target; `None` where there is nothing.
    pub(super) fn stat(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, Error> {
        let name = name.as_ref();
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("read", name, errno)),
        }
    }

    /// The kind of what `name` stands for; `None` where there is nothing.
    pub(super) fn kind(&self, name: impl AsRef<Path>) -> Result<Option<FileType>, Error> {
        Ok(self.stat(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// The names in it, sorted.
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

    /// The names in it that are UTF-8; others cannot be the archive's.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.entries()?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Moves `name` to another directory, over what has the new name there.
    pub(super) fn rename(&self, name: impl AsRef<Path>, to: &Self, new: impl AsRef<Path>) -> Result<(), Error> {
        let moved = renameat(&self.fd, name.as_ref(), &to.fd, new.as_ref());
        moved.map_err(|errno| to.error("replace", new.as_ref(), errno))
    }

    /// Gives the file `name` a second name in another directory.
    pub(super) fn link(&self, name: impl AsRef<Path>, to: &Self, new: impl AsRef<Path>) -> Result<(), Error> {
        let linked = linkat(&self.fd, name.as_ref(), &to.fd, new.as_ref(), AtFlags::empty());
        linked.map_err(|errno| to.error("link", new.as_ref(), errno))
    }

    /// Removes a file or a whole tree; a link itself, not its target.
    pub(super) fn remove(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        let name = name.as_ref();
        if self.kind(name)? != Some(FileType::Directory) {
            let removed = unlinkat(&self.fd, name, AtFlags::empty());
            return removed.map_err(|errno| self.error("remove", name, errno));
        }
        let dir = self.dir(name)?;
        for entry in dir.entries()? {
            dir.remove(entry)?;
        }
        unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(|errno| self.error("remove", name, errno))
    }

    /// Removes a directory if it is empty.
    pub(super) fn remove_if_empty(&self, name: impl AsRef<Path>) -> Result<(), Error> {
        match unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.error("remove", name.as_ref(), errno)),
        }
    }

    /// Makes its names durable: a rename survives a power cut only after this.
    pub(super) fn sync(&self) -> Result<(), Error> {
        match fs::fsync(&self.fd) {
            // fsync(2): this file system cannot sync a directory; nothing was lost.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(FileError::new("sync directory", &self.path, errno.into()).into()),
        }
    }

    /// Facts about its file system.
    pub(super) fn file_system(&self) -> Result<StatVfs, Error> {
        fstatvfs(&self.fd)
            .map_err(|errno| FileError::new("examine the file system of", &self.path, errno.into()).into())
    }

    /// The handle itself, as a file that can be locked.
    pub(super) fn as_file(&self) -> io::Result<File> {
        self.fd.try_clone().map(File::from)
    }

    /// A symbolic link where none may be has an error of its own; the kernel's word for it is "Not a directory".
    fn error(&self, action: &'static str, name: &Path, errno: Errno) -> Error {
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

/// Whether goflame gives such a name to a file that is still being written.
pub(super) fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(TEMPORARY).unwrap_or_default();
    random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Brings a file to the disk. Some file systems do not offer that (EINVAL), which loses nothing.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}
