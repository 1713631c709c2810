//! Whether a settings file that nobody named may be used: settings say what is run, so a file that another user put into
//! a parent directory is that user's way to run programs as whoever works below it (as with git's `safe.directory`).
//!
//! The file and its directory are judged, not the directories further up: whoever may write to those can put another
//! directory in place, but it belongs to them. Must not read the file.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use super::error::Error;
use crate::fsio::{self, FileError};

/// Bits of a mode (inode(7)).
const GROUP_MAY_WRITE: u32 = 0o020;
const ANYBODY_MAY_WRITE: u32 = 0o002;
/// In a directory, what others own can be neither replaced nor removed.
const STICKY: u32 = 0o1000;

/// Whom goflame trusts with the settings of a directory.
pub(super) struct Trust {
    users: Vec<u32>,
    /// The directory in which goflame works. Who may write to it could put a goflame.toml there, which would be used:
    /// its owner and its other writers are trusted with a file above it, too.
    here: Metadata,
}

impl Trust {
    /// Trust in these users, and in those who may write to `here`.
    pub(super) fn new(users: &[u32], here: &Path) -> Result<Self, Error> {
        let here = fs::metadata(here).map_err(|source| FileError::new("open directory", here, source))?;
        let users = users.iter().copied().chain([here.uid()]).collect();
        Ok(Self { users, here })
    }

    /// Opens a file that was found in a parent directory, if it may be used.
    pub(super) fn open(&self, path: &Path) -> Result<File, Error> {
        let unreadable = |source| FileError::new("read", path, source);
        // Before it is opened: opening a pipe waits for ever.
        self.judge(path, &fs::metadata(path).map_err(unreadable)?)?;
        let file = fsio::open(path)?;
        // Afterwards: it may be another file by now.
        self.judge(path, &file.metadata().map_err(unreadable)?)?;
        Ok(file)
    }

    fn judge(&self, path: &Path, file: &Metadata) -> Result<(), Error> {
        let refused = |part: &str, why| Error::Untrusted { path: path.to_owned(), why: format!("{part} {why}") };
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::from(FileError::new("read", path, source))
        };
        if let Some(why) = self.objection(file) {
            return Err(refused("it", why));
        }
        let link = fs::symlink_metadata(path).map_err(unreadable(path))?;
        // Everybody may write to a link, says its mode, which means nothing.
        if let (true, Some(why)) = (link.is_symlink(), self.foreign(&link)) {
            return Err(refused("the link", why));
        }
        let dir = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        match self.objection(&fs::metadata(&dir).map_err(unreadable(&dir))?) {
            Some(why) => Err(refused("its directory", why)),
            None => Ok(()),
        }
    }

    /// Why others than the trusted ones may have made this file or directory what it is.
    fn objection(&self, found: &Metadata) -> Option<String> {
        let may = |bit: u32| found.mode() & bit != 0 && !(found.is_dir() && found.mode() & STICKY != 0);
        // Also where the files of a whole file system are everybody's, as those of Windows are under WSL.
        let may_here = |bit: u32| self.here.mode() & bit != 0 && self.here.mode() & STICKY == 0;
        let gid = found.gid();
        self.foreign(found).or_else(|| {
            if may(ANYBODY_MAY_WRITE) && !may_here(ANYBODY_MAY_WRITE) {
                return Some("can be changed by anybody".to_owned());
            }
            let trusted = self.is_private(gid) || (may_here(GROUP_MAY_WRITE) && gid == self.here.gid());
            (may(GROUP_MAY_WRITE) && !trusted).then(|| format!("can be changed by the group {}", group_name(gid)))
        })
    }

    fn foreign(&self, found: &Metadata) -> Option<String> {
        let uid = found.uid();
        (!self.users.contains(&uid)).then(|| match account(uid) {
            Some(account) => format!("belongs to {} (user id {uid})", account.name),
            None => format!("belongs to user id {uid}"),
        })
    }

    /// Whether a group is a trusted user's own, as systems with umask 002 give each user one: of the same name, and
    /// without other members.
    fn is_private(&self, gid: u32) -> bool {
        let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
        self.users.iter().any(|&uid| match (account(uid), &group) {
            (Some(account), Some(group)) => {
                account.gid.as_raw() == gid
                    && group.name == account.name
                    && group.mem.iter().all(|member| *member == account.name)
            }
            // In a container, users often are numbers only.
            (None, None) => uid == gid,
            _ => false,
        })
    }
}

fn account(uid: u32) -> Option<User> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten()
}

fn group_name(gid: u32) -> String {
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}
