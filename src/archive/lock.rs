//! File locks that end with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::fsio::FileError;

/// An exclusive lock, held until it is dropped, or until the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Closing the file is not enough: a child that another thread is just starting shares it until its exec, and
    /// the lock with it. Unlocking ends the lock for all who share it.
    fn drop(&mut self) {
        // A failure leaves the lock to the closing of the file, a moment later.
        self.file.unlock().ok();
    }
}

/// Opens the lock file, creating it where needed, and waits for the lock.
pub(super) fn exclusive(path: &Path) -> Result<Lock, FileError> {
    let wrap = |source| FileError::new("lock", path, source);
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(wrap)?;
    loop {
        match file.lock() {
            Ok(()) => return Ok(Lock { file }),
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
        Ok(()) => {
            drop(Lock { file });
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(wrap(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{exclusive, is_held};

    #[test]
    fn a_lock_ends_with_its_holder_though_a_starting_child_shares_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_held(&path).unwrap(), "no file, no holder");
        let lock = exclusive(&path).unwrap();
        // What fork does to the descriptor.
        let shared = lock.file.try_clone().unwrap();
        assert!(is_held(&path).unwrap());
        drop(lock);
        assert!(!is_held(&path).unwrap());
        drop(shared);
    }
}
