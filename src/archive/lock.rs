//! File locks (flock) that end with the process, however it ends.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;

use super::dir::Dir;
use super::error::Error;
use crate::fsio::FileError;

/// A lock, held until it is dropped, or until the process ends.
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

/// Opens the lock file, creating it where needed, and waits for the exclusive lock.
pub(super) fn exclusive(dir: &Dir, name: &str) -> Result<Lock, Error> {
    let file = dir.file_to_lock(name)?;
    loop {
        match file.lock() {
            Ok(()) => return Ok(Lock { file }),
            // flock(2) gives up when a signal is handled meanwhile.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(FileError::new("lock", dir.path().join(name), error).into()),
        }
    }
}

/// Marks an open file as in use, for as long as the lock lives. Several processes may do so at once. `None` where the file
/// system has no locks.
pub(super) fn shared(file: File) -> Option<Lock> {
    file.try_lock_shared().ok().map(|()| Lock { file })
}

/// Whether somebody holds a lock of either kind. To be asked under the store's lock, so that two who ask at once do not
/// take each other for the holder.
pub(super) fn is_in_use(file: File) -> bool {
    match file.try_lock() {
        Ok(()) => {
            drop(Lock { file });
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// Whether somebody holds the exclusive lock. A missing lock file is held by nobody; of another user's lock file that
/// cannot be opened, nobody can tell, and it counts as held.
pub(super) fn is_held(dir: &Dir, name: &str) -> Result<bool, Error> {
    let file = match dir.file(name) {
        Ok(file) => file,
        Err(Error::File(error)) if error.is_missing() => return Ok(false),
        Err(Error::File(error)) if error.source.kind() == ErrorKind::PermissionDenied => return Ok(true),
        Err(error) => return Err(error),
    };
    // Shared, so that two who ask at once do not take each other for the holder.
    match file.try_lock_shared() {
        Ok(()) => {
            drop(Lock { file });
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(FileError::new("lock", dir.path().join(name), error).into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Dir, exclusive, is_held};

    #[test]
    fn a_lock_ends_with_its_holder_though_a_starting_child_shares_the_file() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(temporary.path()).unwrap();
        assert!(!is_held(&dir, "lock").unwrap(), "no file, no holder");
        let lock = exclusive(&dir, "lock").unwrap();
        // What fork does to the descriptor.
        let shared = lock.file.try_clone().unwrap();
        assert!(is_held(&dir, "lock").unwrap());
        drop(lock);
        assert!(!is_held(&dir, "lock").unwrap());
        drop(shared);
    }
}
