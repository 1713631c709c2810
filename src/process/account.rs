//! Acting for another user, as a root process that somebody started through sudo must.
//!
//! What root may do with the kernel (sampling, reading kernel symbols, signals) stays; files are read and written
//! with the rights of that user, and programs are run as that user. So nothing that lies in a directory of theirs,
//! be it a link or a build setting, can make root do what they may not.

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
    /// Login name, from which the supplementary groups come.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
}

/// Set once, before a thread is started that uses files. The kernel keeps the ids for each thread, and new threads inherit
/// them.
static ACTING_FOR: OnceLock<Account> = OnceLock::new();

/// From now on, this thread and those that it starts use files with the rights of `account`, and every
/// [`Command`](super::Command) runs as that user. For root alone, and for good.
pub fn act_for(account: Account) -> io::Result<()> {
    let name = CString::new(account.name.as_str()).map_err(io::Error::other)?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    initgroups(&name, gid)?;
    setfsgid(gid);
    setfsuid(uid);
    // These two report no error, but a call that cannot succeed tells what is in force (setfsuid(2)).
    if setfsuid(Uid::from_raw(u32::MAX)) != uid || setfsgid(Gid::from_raw(u32::MAX)) != gid {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    ACTING_FOR.set(account).map_err(|_| io::Error::other("already acting for somebody"))
}

/// Does something with this process's own rights over files, which [`act_for`] gave up: for what belongs to the machine. For
/// a path that a user chose, see [`open_with_own_rights`]. `work` must start no threads, nor the first that uses a pool of
/// them: they would keep these rights.
pub fn with_own_rights<T>(work: impl FnOnce() -> T) -> T {
    /// Gives the rights up again, also when the work panics.
    struct Borrowed;
    impl Drop for Borrowed {
        fn drop(&mut self) {
            if let Some(account) = acting_for() {
                setfsgid(Gid::from_raw(account.gid));
                setfsuid(Uid::from_raw(account.uid));
            }
        }
    }
    let _borrowed = Borrowed;
    setfsuid(geteuid());
    setfsgid(getegid());
    work()
}

/// Opens a regular file to read it with this process's own rights, where it acts for an account that may not; `None` for
/// everything else. A recording that root made is read in this way. No symbolic link is followed: it may be that account's,
/// and lead to any file.
pub fn open_with_own_rights(path: &Path) -> Option<File> {
    acting_for()?;
    with_own_rights(|| {
        // To open a device can have an effect.
        path.symlink_metadata().ok().filter(Metadata::is_file)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).ok().map(File::from)
    })
}

/// Whether the program belongs to another user or group and was installed to run as that (setuid, setgid).
pub fn runs_as_another() -> bool {
    getuid() != geteuid() || getgid() != getegid()
}

/// The account that this process acts for.
pub fn acting_for() -> Option<&'static Account> {
    ACTING_FOR.get()
}
