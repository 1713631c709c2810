//! Private temporary directories that are removed in every case, even if goflame is killed.
//!
//! A *keeper* is a process of goflame's own binary outside of goflame's process group. It creates the directory and
//! waits until goflame closes its end of their socket, by a drop or because it was killed. Then it removes the
//! directory.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use tempfile::TempDir;

use super::account::acting_account;
use super::descendants::leave_group;
use super::guard::{OWN_BINARY, commands_are_guarded, outlive_signals, stdin_socket};
use super::temporary::{create_private, remove_with_retries, temporary_directory};

/// The hidden subcommand `goflame __keep PREFIX`.
pub const KEEP: &str = "__keep";

/// A private directory. Dropping the value removes the directory.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
    holder: Remover,
}

/// Which process removes the directory.
#[derive(Debug)]
enum Remover {
    /// This process. Used if the keeper failed, and in tests of the library, where goflame's binary cannot be started.
    Itself {
        _dir: TempDir,
    },
    Keeper {
        process: Child,
        socket: UnixStream,
    },
}

impl PrivateDir {
    /// Creates a directory in the temporary directory. Only its owner can use it, independent of the umask.
    pub fn new(prefix: &str) -> io::Result<Self> {
        let kept = if commands_are_guarded() { Self::with_keeper(prefix) } else { None };
        // If the keeper failed, the second attempt usually fails too, and its error states the reason.
        kept.map_or_else(|| Self::without_keeper(prefix), Ok)
    }

    fn without_keeper(prefix: &str) -> io::Result<Self> {
        let dir = create_private(&temporary_directory("TMPDIR").unwrap_or_default(), prefix)?;
        Ok(Self { path: dir.path().to_owned(), holder: Remover::Itself { _dir: dir } })
    }

    fn with_keeper(prefix: &str) -> Option<Self> {
        let (mut socket, keepers) = UnixStream::pair().ok()?;
        let mut keeper = Command::new(OWN_BINARY);
        keeper.arg(KEEP).arg(prefix).stdin(OwnedFd::from(keepers)).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(account) = acting_account() {
            keeper.uid(account.uid).gid(account.gid);
        }
        let process = keeper.spawn().ok()?;
        // The command owns the keeper's end of the socket, which must be closed here.
        drop(keeper);
        let mut path = Vec::new();
        let read = socket.read_to_end(&mut path);
        let dir = Self { path: OsString::from_vec(path).into(), holder: Remover::Keeper { process, socket } };
        (read.is_ok() && dir.path.is_absolute()).then_some(dir)
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if let Remover::Keeper { process, socket } = &mut self.holder {
            let _ = socket.shutdown(Shutdown::Both);
            let _ = process.wait();
        }
    }
}

/// Creates a directory, and removes it when goflame no longer needs it or is gone.
pub fn run_keeper(args: &[OsString]) -> ExitCode {
    let [prefix] = args else { return ExitCode::FAILURE };
    let Some(dir) = keep_directory(prefix) else { return ExitCode::FAILURE };
    remove_with_retries(dir);
    ExitCode::SUCCESS
}

/// Creates the directory, sends its path, and returns when goflame no longer needs it.
fn keep_directory(prefix: &OsStr) -> Option<TempDir> {
    let mut socket = stdin_socket()?;
    outlive_signals().ok()?;
    leave_group();
    let dir = create_private(&temporary_directory("TMPDIR")?, &prefix.to_string_lossy()).ok()?;
    let told = socket.write_all(dir.path().as_os_str().as_bytes()).and_then(|()| socket.shutdown(Shutdown::Write));
    if told.is_ok() {
        // goflame never sends anything, so this returns when goflame closes its end.
        let _ = socket.read(&mut [0]);
    }
    Some(dir)
}
