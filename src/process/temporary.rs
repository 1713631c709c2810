//! Finds, creates and removes directories for temporary files.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Maximum time to retry a removal while a process that is being killed can still create files in the directory.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the directory for temporary files that an environment variable names. For TMPDIR the default is `/tmp`.
pub(super) fn temporary_directory(variable: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|value| !value.is_empty());
    named.map(PathBuf::from).or_else(|| (variable == "TMPDIR").then(|| "/tmp".into()))
}

/// Creates a directory of mode 0700, independent of the umask.
pub(super) fn create_private(parent: &Path, prefix: &str) -> io::Result<TempDir> {
    let mode = || Permissions::from_mode(0o700);
    let dir = tempfile::Builder::new().prefix(prefix).permissions(mode()).tempdir_in(parent)?;
    // The umask can have removed bits.
    fs::set_permissions(dir.path(), mode())?;
    Ok(dir)
}

/// Removes a directory. Retries while other processes still add files to it.
pub(super) fn remove_with_retries(dir: TempDir) {
    let path = dir.keep();
    let deadline = Instant::now() + REMOVAL_TIMEOUT;
    while fs::remove_dir_all(&path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        && Instant::now() < deadline
    {
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_can_use_a_private_directory() {
        let parent = tempfile::tempdir().unwrap();
        let dir = create_private(parent.path(), "x-").unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
