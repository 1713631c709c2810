//! The content store: each binary once, however many runs used it.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::run::FileEntry;
use super::store::Store;
use super::tree;
use crate::fsio::{self, FileError};

/// Runnable, for `dlv exec`, and not writable: several runs share the file.
const MODE: u32 = 0o555;

/// Puts a program into the store under its SHA-256, unless it is there, and returns its place. The caller holds the
/// store's lock. A stored file whose content has changed is replaced; runs that hold the old one keep it, and their
/// verification tells.
pub(super) fn put(store: &Store, source: &Path) -> Result<(PathBuf, FileEntry), Error> {
    let bin = store.dir().join("bin");
    store.make_dir(&bin)?;
    // A wrapper or a link may stand in for the program; what it leads to is what runs.
    let open = || fsio::open(source);
    let entry = tree::digest(open()?, |_| Ok(())).map_err(|error| FileError::new("read", source, error))?;
    let place = bin.join(&entry.sha256);
    if tree::digest_file(&place).is_ok_and(|stored| stored == entry) {
        return Ok((place, entry));
    }
    let mut temporary = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempfile_in(&bin)
        .map_err(|error| FileError::new("write in", &bin, error))?;
    let path = temporary.path().to_owned();
    let write = |error| FileError::new("write", &path, error);
    // Hashed again, for the file may have been replaced since.
    let entry = tree::digest(open()?, |piece| temporary.write_all(piece)).map_err(write)?;
    temporary.as_file().set_permissions(Permissions::from_mode(MODE)).map_err(write)?;
    temporary.as_file().sync_all().map_err(write)?;
    tree::chown(&path, store.owner())?;
    let place = bin.join(&entry.sha256);
    temporary.persist(&place).map_err(|failed| FileError::new("write", &place, failed.error))?;
    fsio::sync_dir(&bin)?;
    Ok((place, entry))
}

/// Links the stored file into a run. Where the file system or its policy refuses (no links at all, too many, another
/// user's file), the run gets a copy.
pub(super) fn link_or_copy(stored: &Path, target: &Path) -> Result<(), Error> {
    if tree::is_taken(target) {
        fs::remove_file(target).map_err(|error| FileError::new("replace", target, error))?;
    }
    if fs::hard_link(stored, target).is_err() {
        fs::copy(stored, target).map_err(|error| FileError::new("write", target, error))?;
    }
    Ok(())
}

/// Removes stored files that no run links to, and leftovers of interrupted writes. The caller holds the lock.
pub(super) fn sweep(store: &Store) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    let bin = store.dir().join("bin");
    for name in tree::names(&bin)? {
        let path = bin.join(name);
        let meta = fs::symlink_metadata(&path).map_err(|error| FileError::new("read", &path, error))?;
        if meta.is_file() && meta.nlink() == 1 {
            fs::remove_file(&path).map_err(|error| FileError::new("remove", &path, error))?;
        }
    }
    Ok(())
}
