//! Decides whether a settings file that was not named explicitly may be used. Settings decide which programs run. A
//! user who puts such a file into a directory could run programs with the permissions of every user who works in its
//! subdirectories (compare git's `safe.directory`).
//!
//! Checks the file and its directory, but not the directories further up. A user who can write there can replace the
//! directory, but the new directory then belongs to that user. Must not read the file.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use super::error::Error;
use crate::fsio::{self, FileError};

/// Mode bits of write permission for the group and for all users (inode(7)).
const GROUP_MAY_WRITE: u32 = 0o020;
const ANYBODY_MAY_WRITE: u32 = 0o002;
/// In a directory with this bit, users can neither replace nor remove files of other users.
const STICKY_BIT: u32 = 0o1000;

/// The users whose settings goflame trusts in a directory.
pub(super) struct Trust {
    users: Vec<u32>,
    /// goflame's working directory. Everyone who may write to it could put a goflame.toml there, which would be used.
    /// Therefore its owner and its other writers are also trusted with a file in a parent directory.
    working_dir: Metadata,
}

impl Trust {
    /// Trusts these users and everyone who may write to the directory `here`.
    pub(super) fn new(users: &[u32], here: &Path) -> Result<Self, Error> {
        let working_dir = fs::metadata(here).map_err(|source| FileError::new("open directory", here, source))?;
        let users = users.iter().copied().chain([working_dir.uid()]).collect();
        Ok(Self { users, working_dir })
    }

    /// Opens a file that was found in a parent directory, if it is trusted.
    pub(super) fn open(&self, path: &Path) -> Result<File, Error> {
        let unreadable = |source| FileError::new("read", path, source);
        // Check before opening, because opening a pipe waits forever.
        self.check_trust(path, &fs::metadata(path).map_err(unreadable)?)?;
        let file = fsio::open(path)?;
        // Check again after opening, because another file may have replaced it.
        self.check_trust(path, &file.metadata().map_err(unreadable)?)?;
        Ok(file)
    }

    fn check_trust(&self, path: &Path, file: &Metadata) -> Result<(), Error> {
        let refused = |part: &str, why| Error::Untrusted { path: path.to_owned(), why: format!("{part} {why}") };
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::from(FileError::new("read", path, source))
        };
        if let Some(why) = self.distrust_reason(file) {
            return Err(refused("it", why));
        }
        let link = fs::symlink_metadata(path).map_err(unreadable(path))?;
        // The mode of a link gives write permission to all users, but the kernel ignores this mode.
        if let (true, Some(why)) = (link.is_symlink(), self.foreign_owner(&link)) {
            return Err(refused("the link", why));
        }
        let dir = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        match self.distrust_reason(&fs::metadata(&dir).map_err(unreadable(&dir))?) {
            Some(why) => Err(refused("its directory", why)),
            None => Ok(()),
        }
    }

    /// Returns why untrusted users may have written this file or directory.
    fn distrust_reason(&self, found: &Metadata) -> Option<String> {
        let may = |bit: u32| found.mode() & bit != 0 && !(found.is_dir() && found.mode() & STICKY_BIT != 0);
        // Also handles file systems on which all users may write to all files, such as Windows files under WSL.
        let may_in_working_dir =
            |bit: u32| self.working_dir.mode() & bit != 0 && self.working_dir.mode() & STICKY_BIT == 0;
        let gid = found.gid();
        self.foreign_owner(found).or_else(|| {
            if may(ANYBODY_MAY_WRITE) && !may_in_working_dir(ANYBODY_MAY_WRITE) {
                return Some("can be changed by anybody".to_owned());
            }
            let trusted =
                self.is_private_group(gid) || (may_in_working_dir(GROUP_MAY_WRITE) && gid == self.working_dir.gid());
            (may(GROUP_MAY_WRITE) && !trusted).then(|| format!("can be changed by the group {}", group_name(gid)))
        })
    }

    fn foreign_owner(&self, found: &Metadata) -> Option<String> {
        let uid = found.uid();
        (!self.users.contains(&uid)).then(|| match find_account(uid) {
            Some(account) => format!("belongs to {} (user id {uid})", account.name),
            None => format!("belongs to user id {uid}"),
        })
    }

    /// Whether a group is the private group of a trusted user: it has the user's name and no other members. Systems
    /// with umask 002 give each user such a group.
    fn is_private_group(&self, gid: u32) -> bool {
        let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
        self.users.iter().any(|&uid| match (find_account(uid), &group) {
            (Some(account), Some(group)) => {
                account.gid.as_raw() == gid
                    && group.name == account.name
                    && group.mem.iter().all(|member| *member == account.name)
            }
            // In a container, users often have no name, only a number.
            (None, None) => uid == gid,
            _ => false,
        })
    }
}

fn find_account(uid: u32) -> Option<User> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten()
}

fn group_name(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}
