//! Acts for another user, as a root process started through sudo must.
//!
//! The process keeps root's rights over the kernel (sampling, reading kernel symbols, signals). The process reads and
//! writes files with the rights of the other user, and runs programs as this user. Therefore no link or build setting
//! in a directory of this user can make root do anything that the user is not permitted to do.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::{Gid, Uid, getegid, geteuid, getgid, getuid, initgroups, setfsgid, setfsuid};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

/// An account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Login name. The supplementary groups are looked up by it.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
}

/// Set once, before any thread that uses files starts. The kernel stores the ids per thread, and new threads inherit
/// them.
static ACTING_ACCOUNT: OnceLock<Account> = OnceLock::new();

/// From now on, this thread and the threads that it starts use files with the rights of `account`, and every
/// [`Command`](super::Command) runs as that user. Only root can call this function. Its effect cannot be undone.
pub fn drop_to_user(account: Account) -> io::Result<()> {
    let name = CString::new(account.name.as_str()).map_err(io::Error::other)?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    initgroups(&name, gid)?;
    setfsgid(gid);
    setfsuid(uid);
    // These two calls report no error, but a call that cannot succeed returns the id in force (setfsuid(2)).
    if setfsuid(Uid::from_raw(u32::MAX)) != uid || setfsgid(Gid::from_raw(u32::MAX)) != gid {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    ACTING_ACCOUNT.set(account).map_err(|_| io::Error::other("already acting for a user"))
}

/// Runs `work` with the file rights that [`drop_to_user`] gave up. Use it for files of the machine. For a path that a
/// user chose, see [`open_with_own_rights`]. `work` must start no threads and must not be the first to use a thread
/// pool: the threads would keep these rights.
pub fn run_with_own_rights<T>(work: impl FnOnce() -> T) -> T {
    /// Gives up the rights again on drop, also when `work` panics.
    struct OwnRights;
    impl Drop for OwnRights {
        fn drop(&mut self) {
            if let Some(account) = acting_account() {
                setfsgid(Gid::from_raw(account.gid));
                setfsuid(Uid::from_raw(account.uid));
            }
        }
    }
    let _own_rights = OwnRights;
    setfsuid(geteuid());
    setfsgid(getegid());
    work()
}

/// Opens a regular file for reading with root's rights, for a recording that root made. `None` if goflame does not act
/// for another account. Follows no symbolic link: the account could have created the link, to any file.
pub fn open_with_own_rights(path: &Path) -> Option<File> {
    acting_account()?;
    run_with_own_rights(|| {
        // Only regular files are opened, because opening a device can have an effect.
        path.symlink_metadata().ok().filter(Metadata::is_file)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok().map(File::from)
    })
}

/// Whether goflame is installed setuid or setgid, so that it runs as another user or group.
pub fn is_setuid_or_setgid() -> bool {
    getuid() != geteuid() || getgid() != getegid()
}

/// Returns the account that this process acts for.
pub fn acting_account() -> Option<&'static Account> {
    ACTING_ACCOUNT.get()
}
