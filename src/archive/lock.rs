//! File locks (flock). The kernel releases them when the process ends.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;

use super::dir::Dir;
use super::error::Error;
use crate::fsio::FileError;

/// A lock. It is held until the value is dropped or the process ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

impl Drop for FileLock {
    /// Closing the file is not enough: a child that another thread is just starting shares the file, and with it the
    /// lock, until its exec. Unlocking ends the lock for all who share it.
    fn drop(&mut self) {
        // If this fails, closing the file ends the lock a moment later.
        self.file.unlock().ok();
    }
}

/// Opens the lock file, creates it if it does not exist, and waits for the exclusive lock.
pub(super) fn lock_exclusive(dir: &Dir, name: &str) -> Result<FileLock, Error> {
    let file = dir.open_lock_file(name)?;
    loop {
        match file.lock() {
            Ok(()) => return Ok(FileLock { file }),
            // flock(2) returns early when a signal is handled during the wait.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(FileError::new("lock", dir.path().join(name), error).into()),
        }
    }
}

/// Marks an open file as in use while the lock lives. Several processes may do this at the same time. `None` if the
/// file system does not support locks.
pub(super) fn lock_shared(file: File) -> Option<FileLock> {
    file.try_lock_shared().ok().map(|()| FileLock { file })
}

/// Whether a process holds a lock of either kind. `false` if the file system does not support locks. Call it only under
/// the store's lock: otherwise two callers could mistake each other for the holder.
pub(super) fn is_in_use(file: File) -> bool {
    match file.try_lock() {
        Ok(()) => {
            drop(FileLock { file });
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// Whether a process holds the exclusive lock. A lock file that does not exist is not held. Another user's lock file
/// that cannot be opened is unknown and counts as held.
pub(super) fn is_held(dir: &Dir, name: &str) -> Result<bool, Error> {
    let file = match dir.open_file(name) {
        Ok(file) => file,
        Err(Error::File(error)) if error.is_missing() => return Ok(false),
        Err(Error::File(error)) if error.source.kind() == ErrorKind::PermissionDenied => return Ok(true),
        Err(error) => return Err(error),
    };
    // A shared lock, so that two callers do not mistake each other for the holder.
    match file.try_lock_shared() {
        Ok(()) => {
            drop(FileLock { file });
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(FileError::new("lock", dir.path().join(name), error).into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Dir, is_held, lock_exclusive};

    #[test]
    fn a_lock_ends_with_its_holder_though_a_starting_child_shares_the_file() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(temporary.path()).unwrap();
        assert!(!is_held(&dir, "lock").unwrap(), "no file, no holder");
        let lock = lock_exclusive(&dir, "lock").unwrap();
        // Simulates the effect of fork on the descriptor.
        let shared = lock.file.try_clone().unwrap();
        assert!(is_held(&dir, "lock").unwrap());
        drop(lock);
        assert!(!is_held(&dir, "lock").unwrap());
        drop(shared);
    }
}
