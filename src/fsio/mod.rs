//! Files: read with the path in the error, mapped into memory, replaced completely or not at all.
//!
//! A read of a mapped file that somebody has cut short ends the program with a message ([`exit_on_cut_short_file`]).
//!
//! Must not know any type of goflame, and must never drop an error: a full disk is reported by `write`, by the flush of
//! a buffer, or only by `fsync`. All three are checked here.

mod cut_short;
mod generation;
mod mapped;

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

pub use cut_short::{advise_when_cut_short, exit_on_cut_short_file};
pub use generation::generation;
pub use mapped::MappedFile;

/// Mode of new files before the umask, the same as for the shell's `>`. The default of the crate tempfile is 0600.
const NEW_FILE_MODE: u32 = 0o666;

/// Failed operation on a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// The failed action, as a verb: `read`, `write`, `replace`, `create directory`, ...
    pub action: &'static str,
    /// The reason.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Returns the error of `action` on `path`.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { path: path.into(), action, source }
    }

    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == ErrorKind::NotFound
    }
}

/// Reads a whole file, without a size limit: see [`read_bounded`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_bounded(path, u64::MAX)
}

/// Reads a whole file of at most `limit` bytes. For a larger file, such as `/dev/zero`, stops reading and returns an error
/// of kind [`ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    read_opened(open(path)?, path, limit)
}

/// Like [`read_bounded`], for an open file. `path` names the file in errors.
pub fn read_opened(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let wrap = |source| FileError::new("read", path, source);
    let mut bytes = Vec::new();
    // Reads one byte more than the limit, to detect a larger file.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(wrap)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(wrap(io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"))));
    }
    Ok(bytes)
}

/// Returns the end of a file, at most `length` bytes.
pub fn read_tail(path: &Path, length: u64) -> Result<Vec<u8>, FileError> {
    let read = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(length)))?;
        let mut tail = Vec::new();
        file.take(length).read_to_end(&mut tail).map(|_| tail)
    };
    read().map_err(|source| FileError::new("read", path, source))
}

/// Number of bytes at the end of a file in which [`last_lines`] looks for lines, and at the start for [`first_line`].
const LINES_BYTES: u64 = 4096;

/// Returns the first line of a file that is not blank. Reads only the first 4 KiB of the file.
pub fn first_line(path: &Path) -> Result<Option<String>, FileError> {
    let mut head = Vec::new();
    let read = open(path)?.take(LINES_BYTES).read_to_end(&mut head);
    read.map_err(|source| FileError::new("read", path, source))?;
    let head = String::from_utf8_lossy(&head);
    Ok(head.lines().map(str::trim_end).find(|line| !line.is_empty()).map(str::to_owned))
}

/// Returns at most `count` lines from the end of a file, without blank lines. Reads only the last 4 KiB of the file.
pub fn last_lines(path: &Path, count: usize) -> Result<Vec<String>, FileError> {
    let tail = read_tail(path, LINES_BYTES)?;
    let tail = String::from_utf8_lossy(&tail);
    let lines = tail.lines().rev().map(str::trim_end).filter(|line| !line.is_empty()).take(count);
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.reverse();
    Ok(lines)
}

/// Opens a file for reading. A directory is an error here, not only at the first read.
pub fn open(path: &Path) -> Result<File, FileError> {
    let wrap = |source| FileError::new("read", path, source);
    // The kernel's message for a socket is misleading: "No such device or address".
    if fs::metadata(path).is_ok_and(|existing| existing.file_type().is_socket()) {
        return Err(wrap(io::Error::other("it is a socket, not a file")));
    }
    let file = File::open(path).map_err(wrap)?;
    if file.metadata().map_err(wrap)?.is_dir() {
        return Err(wrap(io::Error::new(ErrorKind::IsADirectory, "it is a directory, not a file")));
    }
    Ok(file)
}

/// Creates a file that only its owner can access. Fails if the path exists.
pub fn create_private(path: &Path) -> Result<File, FileError> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|source| FileError::new("create", path, source))
}

/// Replaces the file at `path` by `contents`; see [`replace_with`].
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    replace_with(path, |out| out.write_all(contents))
}

/// Replaces the file at `path` by the output of `fill`, completely or not at all: the bytes are written to a temporary
/// file in the same directory and synced, then the file is renamed. An existing file keeps its permissions, and is
/// unchanged after an error. A symbolic link is followed. A device or pipe, such as `/dev/stdout`, is written to, not
/// replaced: replacing a device would harm the machine.
pub fn replace_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FileError> {
    let wrap = |source| FileError::new("write", path, source);
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file() && !existing.is_dir()) {
        let device = File::options().write(true).open(path).map_err(wrap)?;
        return write_through(device, path, fill);
    }
    replace_file(path, |file| write_through(file, path, fill))
}

/// Like [`replace_with`], for a regular file that `fill` writes in any order.
pub fn replace_file(path: &Path, fill: impl FnOnce(&File) -> Result<(), FileError>) -> Result<(), FileError> {
    let wrap = |source| FileError::new("write", path, source);
    let target = match fs::symlink_metadata(path) {
        Ok(existing) if existing.is_symlink() => fs::canonicalize(path).map_err(wrap)?,
        _ => path.to_owned(),
    };
    let dir = parent_dir(&target);
    let temporary = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(Permissions::from_mode(NEW_FILE_MODE))
        .tempfile_in(dir)
        .map_err(wrap)?;
    fill(temporary.as_file())?;
    match fs::symlink_metadata(&target) {
        Ok(old) if old.is_dir() => {
            return Err(wrap(io::Error::new(ErrorKind::IsADirectory, "it is a directory, not a file")));
        }
        Ok(old) if old.is_file() => temporary.as_file().set_permissions(old.permissions()).map_err(wrap)?,
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(wrap(error)),
    }
    temporary.as_file().sync_all().map_err(wrap)?;
    temporary.persist(&target).map_err(|failed| FileError::new("replace", path, failed.error))?;
    sync_dir(dir)
}

/// Like [`replace`], for a small system file that other programs need. The file gets exactly this mode, independent of
/// the umask. If the file system permits, the file has no name until it is complete. A temporary file that a killed
/// process left at `path` with the suffix `.new` is replaced.
pub fn install(path: &Path, contents: &[u8], mode: u32) -> Result<(), FileError> {
    let wrap = |source| FileError::new("write", path, source);
    // Temporary name between link and rename. On file systems without O_TMPFILE, the file has this name from the start.
    let mut next = path.as_os_str().to_owned();
    next.push(".new");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrap(error)),
        _ => {}
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let unnamed = rustix::fs::open(parent_dir(path), flags, Mode::from_raw_mode(mode)).ok().map(File::from);
    let has_name = unnamed.is_none();
    let mut file = match unnamed {
        Some(file) => file,
        None => File::create_new(&next).map_err(wrap)?,
    };
    file.set_permissions(Permissions::from_mode(mode)).map_err(wrap)?;
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(wrap)?;
    if !has_name {
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(CWD, &open, CWD, &next, AtFlags::SYMLINK_FOLLOW).map_err(|errno| wrap(errno.into()))?;
    }
    fs::rename(&next, path).map_err(|source| FileError::new("replace", path, source))?;
    sync_dir(parent_dir(path))
}

/// Writes through a buffer and flushes it: a `BufWriter` that is only dropped loses the error of its last write. `path`
/// names the file in errors.
pub fn write_through(
    out: impl Write,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut buffered = BufWriter::new(out);
    fill(&mut buffered).and_then(|()| buffered.flush()).map_err(|source| FileError::new("write", path, source))
}

/// Path for messages: relative to the working directory if the path is below it, else unchanged.
pub fn relative_to_cwd(path: &Path) -> &Path {
    let below = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok());
    below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(path)
}

/// Removes `.` and `..` from a path, without access to the disk: `..` also removes the name of a symbolic link.
pub fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Creates a directory and its parents. An existing directory is not an error.
pub fn create_dir_all(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::new("create directory", path, source))
}

/// Writes the names in a directory to the disk. Before that, a power cut can undo a rename.
pub fn sync_dir(dir: &Path) -> Result<(), FileError> {
    let wrap = |source| FileError::new("sync directory", dir, source);
    match File::open(dir).map_err(wrap)?.sync_all() {
        // fsync(2): EINVAL means that this file system cannot sync a directory. No data is lost.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        outcome => outcome.map_err(wrap),
    }
}

/// Directory of a file: `.` for a file name without a directory.
fn parent_dir(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::error::Error as _;
    use std::fs::OpenOptions;
    use std::os::unix::fs::symlink;

    fn file_names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn open_full_device() -> File {
        OpenOptions::new().write(true).open("/dev/full").unwrap()
    }

    #[test]
    fn a_missing_file_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.toml");
        let error = read(&path).unwrap_err();
        assert!(error.is_missing());
        assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
        assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
    }

    #[test]
    fn a_directory_instead_of_a_file_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        for error in [read(dir.path()).unwrap_err(), replace(dir.path(), b"x").unwrap_err()] {
            assert_eq!(error.path, dir.path());
            assert_eq!(error.source.kind(), ErrorKind::IsADirectory);
            assert_eq!(error.source().unwrap().to_string(), "it is a directory, not a file");
        }
        assert_eq!(file_names(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn the_size_limit_is_exact_and_stops_endless_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("five");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert_eq!(read_bounded(&path, 4).unwrap_err().source.kind(), ErrorKind::FileTooLarge);
        let endless = read_bounded(Path::new("/dev/zero"), 1 << 16).unwrap_err();
        assert_eq!(endless.source.to_string(), "it is larger than 65536 bytes");
    }

    #[test]
    fn a_replaced_file_is_complete_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(file_names(dir.path()), ["a"]);
    }

    #[test]
    fn a_new_file_has_the_default_mode_of_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        replace(&ours, b"").unwrap();
        File::create(&theirs).unwrap();
        assert_eq!(
            fs::metadata(ours).unwrap().permissions().mode(),
            fs::metadata(theirs).unwrap().permissions().mode()
        );
    }

    #[test]
    fn an_installed_file_has_its_mode_and_leaves_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.conf");
        for (old, text) in [(None, "one"), (Some(0o600), "two"), (Some(0o666), "three")] {
            if let Some(mode) = old {
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
            fs::write(dir.path().join("a.conf.new"), "left by a kill").unwrap();
            install(&path, text.as_bytes(), 0o644).unwrap();
            assert_eq!(read(&path).unwrap(), text.as_bytes());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
            assert_eq!(file_names(dir.path()), ["a.conf"]);
        }
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"old").unwrap();
        let error = replace_with(&path, |out| {
            out.write_all(b"half of it")?;
            Err(io::Error::other("no more"))
        })
        .unwrap_err();
        assert_eq!(error.source.to_string(), "no more");
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(file_names(dir.path()), ["a"]);
    }

    #[test]
    fn replacing_in_a_missing_directory_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none/a");
        let error = replace(&path, b"x").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        assert!(error.is_missing());
    }

    #[test]
    fn a_link_is_kept_and_its_target_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, b"old").unwrap();
        symlink(&target, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("/dev/null", &link).unwrap();
        for path in [Path::new("/dev/null"), &link] {
            replace(path, b"x").unwrap();
            assert!(!fs::metadata("/dev/null").unwrap().is_file());
        }
        assert_eq!(replace(Path::new("/dev/full"), b"x").unwrap_err().source.kind(), ErrorKind::StorageFull);
        assert!(!fs::metadata("/dev/full").unwrap().is_file());
    }

    #[test]
    fn a_full_disk_is_an_error_even_if_all_bytes_fit_into_the_buffer() {
        for size in [1, 100_000] {
            let error =
                write_through(open_full_device(), Path::new("out"), |out| out.write_all(&vec![0; size])).unwrap_err();
            assert_eq!(error.source.kind(), ErrorKind::StorageFull, "{size} bytes");
            assert_eq!(error.to_string(), "cannot write out");
        }
    }

    #[test]
    fn an_existing_directory_is_accepted_but_a_file_in_its_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_dir_all(&path).unwrap();
        create_dir_all(&path).unwrap();
        fs::write(path.join("file"), b"").unwrap();
        let error = create_dir_all(&path.join("file")).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create directory {}", path.join("file").display()));
    }

    #[test]
    fn a_file_name_without_a_directory_is_in_the_working_directory() {
        assert_eq!(parent_dir(Path::new("goflame.toml")), Path::new("."));
        assert_eq!(parent_dir(Path::new("a/goflame.toml")), Path::new("a"));
        assert_eq!(parent_dir(Path::new("/goflame.toml")), Path::new("/"));
    }
}
