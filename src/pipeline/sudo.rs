//! Who called sudo: the workload must not run as root because goflame does.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::lchown;
use std::path::Path;

use nix::unistd::{Uid, User as Account};

use super::Error;
use crate::fsio::FileError;
use crate::record::User;

/// The calling user, when goflame runs as root through sudo; `None` when it was started as it is.
pub(super) fn calling_user(env: &BTreeMap<String, String>) -> Option<User> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let uid: u32 = env.get("SUDO_UID")?.parse().ok()?;
    let gid: u32 = env.get("SUDO_GID")?.parse().ok()?;
    if uid == 0 {
        return None;
    }
    // The account database knows best; SUDO_USER is what sudo said.
    let account = Account::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = account.as_ref().map(|account| account.name.clone()).or_else(|| env.get("SUDO_USER").cloned())?;
    let home = account.map_or_else(|| "/".into(), |account| account.dir);
    Some(User { uid, gid, name, home })
}

/// Gives what was built, and the directories between it and the archive, to the calling user.
pub(super) fn give(built: &Path, archive: &Path) -> Result<(), Error> {
    let Some(user) = calling_user(&environment()) else { return Ok(()) };
    for path in built.ancestors().take_while(|path| *path != archive && path.starts_with(archive)) {
        match lchown(path, Some(user.uid), Some(user.gid)) {
            // A build that failed leaves nothing.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::Output(FileError::new("change the owner of", path, error)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// sudo's variables of this process.
pub(super) fn environment() -> BTreeMap<String, String> {
    ["SUDO_UID", "SUDO_GID", "SUDO_USER"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), std::env::var(key).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::calling_user;

    fn env(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn only_a_complete_answer_counts() {
        assert_eq!(calling_user(&env(&[])), None);
        assert_eq!(calling_user(&env(&[("SUDO_UID", "0"), ("SUDO_GID", "0")])), None);
        assert_eq!(calling_user(&env(&[("SUDO_UID", "x"), ("SUDO_GID", "0")])), None);
    }

    #[test]
    fn a_user_that_the_machine_knows() {
        // 65534 is `nobody` wherever there is an account database; as another user than root nobody is dropped.
        let user = calling_user(&env(&[("SUDO_UID", "65534"), ("SUDO_GID", "65534"), ("SUDO_USER", "nobody")]));
        assert_eq!(user.is_some(), nix::unistd::geteuid().is_root());
    }
}
