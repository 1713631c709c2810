//! File locks that end with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::fsio::FileError;

/// An exclusive lock, held until it is dropped. Rust opens files close-on-exec, so no child holds it on.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Opens the lock file, creating it where needed, and waits for the lock.
pub(super) fn exclusive(path: &Path) -> Result<Lock, FileError> {
    let wrap = |source| FileError::new("lock", path, source);
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(wrap)?;
    loop {
        match file.lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            // flock(2) gives up when a signal is handled meanwhile.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(wrap(error)),
        }
    }
}

/// Whether somebody holds the lock. A missing lock file is held by nobody.
pub(super) fn is_held(path: &Path) -> Result<bool, FileError> {
    let wrap = |source| FileError::new("lock", path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(wrap(error)),
    };
    // Shared, so that two who ask at once do not take each other for the holder.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(wrap(error)),
    }
}
