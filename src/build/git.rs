//! State of the project's git repository, for the manifest. By default, Go does not write this state into the binary
//! (`-buildvcs=false`), so that the same sources give the same bytes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::process::{Command, Error};

/// Git state of a directory. If git reports nothing, `reason` says why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// Full hash of the commit checked out. `None` before the first commit.
    pub commit: Option<String>,
    /// Whether the repository differs from that commit. Includes untracked files.
    pub dirty: Option<bool>,
    /// Branch. `None` on a detached HEAD.
    pub branch: Option<String>,
    /// Reason why the state is unknown: no git, no repository, or the message of git.
    pub reason: Option<String>,
}

/// Asks `git` about the repository around `dir`. Changes nothing in the repository, not even the index.
pub fn git_state(dir: &Path) -> GitState {
    state_from(&Command::new("git").dir(dir).without_variables(&GIT_REPOSITORY_VARIABLES))
}

/// Variables that make git work in a repository other than the repository around its directory (`git rev-parse
/// --local-env-vars`, without the variables that hold configuration). A git hook has some of them set, and its children
/// inherit them.
pub(super) const GIT_REPOSITORY_VARIABLES: [&str; 11] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

fn state_from(git: &Command) -> GitState {
    let status = git
        .clone()
        .args(["status", "--porcelain=v2", "--branch", "--untracked-files=normal"])
        .envs([("GIT_OPTIONAL_LOCKS", "0"), ("LC_ALL", "C")]);
    match status.capture() {
        Ok(captured) => parse_status(&captured.text()),
        Err(error) => GitState { reason: Some(failure_reason(&error)), ..GitState::default() },
    }
}

fn failure_reason(error: &Error) -> String {
    match error {
        // Only the first line is kept. The lines below it are long explanations.
        Error::Failed { stderr_tail: Some(tail), .. } => {
            let first = tail.text().lines().next().unwrap_or_default();
            first.strip_prefix("fatal: ").unwrap_or(first).to_owned()
        }
        _ => error.to_string(),
    }
}

/// Parses the output of `git status`, "Porcelain Format Version 2" in `git-status(1)`. Header lines begin with `#`. All
/// other lines are changes.
fn parse_status(text: &str) -> GitState {
    let mut state = GitState { dirty: Some(false), ..GitState::default() };
    for line in text.lines() {
        if let Some(oid) = line.strip_prefix("# branch.oid ") {
            state.commit = Some(oid.to_owned()).filter(|oid| oid != "(initial)");
        } else if let Some(head) = line.strip_prefix("# branch.head ") {
            state.branch = Some(head.to_owned()).filter(|head| head != "(detached)");
        } else if !line.starts_with('#') {
            state.dirty = Some(true);
        }
    }
    state
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn git(dir: &Path, args: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        Command::new("git").args(identity).args(args).dir(dir).capture().unwrap().text().trim().to_owned()
    }

    #[test]
    fn the_state_follows_commits_and_changes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        git(dir, &["init", "-q", "-b", "trunk"]);
        let branch = Some("trunk".to_owned());
        let empty = GitState { dirty: Some(false), branch: branch.clone(), ..GitState::default() };
        assert_eq!(git_state(dir), empty);

        fs::write(dir.join("a"), "1").unwrap();
        assert_eq!(git_state(dir), GitState { dirty: Some(true), ..empty });

        git(dir, &["add", "a"]);
        git(dir, &["commit", "-qm", "one"]);
        let commit = Some(git(dir, &["rev-parse", "HEAD"]));
        let clean = GitState { commit: commit.clone(), dirty: Some(false), branch, reason: None };
        assert_eq!(git_state(dir), clean);

        fs::create_dir(dir.join("sub")).unwrap();
        assert_eq!(git_state(&dir.join("sub")), clean);

        git(dir, &["checkout", "-q", "--detach"]);
        fs::write(dir.join("a"), "2").unwrap();
        assert_eq!(git_state(dir), GitState { commit, dirty: Some(true), branch: None, reason: None });
    }

    #[test]
    fn no_repository_is_an_answer_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let state = git_state(dir.path());
        assert_eq!((state.commit, state.dirty, state.branch), (None, None, None));
        assert!(state.reason.unwrap().starts_with("not a git repository"));
    }

    #[test]
    fn no_git_is_an_answer_with_a_reason() {
        let state = state_from(&Command::new("git").env("PATH", ""));
        assert_eq!(state.reason.as_deref(), Some("`git` was not found on PATH"));
        assert_eq!(state.dirty, None);
    }
}
