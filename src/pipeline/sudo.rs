//! User who called sudo. Although goflame then runs as root, it must not use that user's files or start that user's
//! programs with root's rights.

use std::collections::BTreeMap;

use nix::unistd::{Uid, User};

use super::Error;
use crate::process::{Account, drop_to_user};

/// Returns the user who called sudo. `None` if goflame does not run as root, was started without sudo, or if root
/// called sudo.
fn calling_user(env: &BTreeMap<String, String>) -> Option<Account> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let uid: u32 = env.get("SUDO_UID")?.parse().ok()?;
    let gid: u32 = env.get("SUDO_GID")?.parse().ok()?;
    if uid == 0 {
        return None;
    }
    // The account database takes precedence over SUDO_USER, which only sudo reported.
    let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = account.as_ref().map(|account| account.name.clone()).or_else(|| env.get("SUDO_USER").cloned())?;
    let home = account.map_or_else(|| "/".into(), |account| account.dir);
    Some(Account { uid, gid, name, home })
}

/// If goflame was started through sudo, gives up root's file permissions, and starts every program without root's
/// rights. The project's settings and directories can then only cause actions that the calling user is allowed to do. Sampling
/// keeps root's rights. Call this before any file is read or written.
pub fn switch_to_calling_user() -> Result<(), Error> {
    let Some(account) = calling_user(&sudo_environment()) else { return Ok(()) };
    let name = account.name.clone();
    drop_to_user(account).map_err(|source| Error::Caller { name, source })
}

/// Returns the ids of the users whose files goflame trusts: root, the user of the process, and the user who called
/// sudo.
pub fn trusted_users() -> Vec<u32> {
    let caller = calling_user(&sudo_environment()).map(|account| account.uid);
    [0, nix::unistd::geteuid().as_raw()].into_iter().chain(caller).collect()
}

/// Returns the environment variables that sudo set for this process.
fn sudo_environment() -> BTreeMap<String, String> {
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
    fn only_complete_variables_of_sudo_name_a_user() {
        assert_eq!(calling_user(&env(&[])), None);
        assert_eq!(calling_user(&env(&[("SUDO_UID", "0"), ("SUDO_GID", "0")])), None);
        assert_eq!(calling_user(&env(&[("SUDO_UID", "x"), ("SUDO_GID", "0")])), None);
    }

    #[test]
    fn a_user_of_the_account_database_is_found() {
        // 65534 is `nobody` in every account database. A process that is not root does not switch users.
        let user = calling_user(&env(&[("SUDO_UID", "65534"), ("SUDO_GID", "65534"), ("SUDO_USER", "nobody")]));
        assert_eq!(user.is_some(), nix::unistd::geteuid().is_root());
    }
}
