//! Errors of the archive.

use std::path::PathBuf;

use super::id::{InvalidRunId, RunId};
use super::problem::Damage;
use super::refusal::Refusal;
use crate::fsio::FileError;

/// A failed operation on the archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory is used for something else.
    #[error("{} is not an archive: it holds `{entry}`", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// An entry in the directory that no archive contains.
        entry: String,
    },
    /// A symbolic link in a place where the archive keeps a directory or a file.
    #[error("{} is a symbolic link, which goflame does not follow", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The archive directory is a symbolic link whose target does not exist.
    #[error("{} is a symbolic link to {}, which does not exist", path.display(), target.display())]
    BrokenLink {
        /// The link.
        path: PathBuf,
        /// The target of the link.
        target: PathBuf,
    },
    /// The file system of the archive does not allow programs to run.
    #[error("programs cannot be started from {}: its file system is mounted noexec", dir.display())]
    NoExec {
        /// The archive.
        dir: PathBuf,
    },
    /// The archive does not exist.
    #[error("no archive in {}", dir.display())]
    NoStore {
        /// The directory.
        dir: PathBuf,
    },
    /// The archive was made by a newer version of goflame.
    #[error("{} has format {found}, but this goflame can read formats up to {known}", path.display())]
    NewerFormat {
        /// The format file.
        path: PathBuf,
        /// The format number in the file.
        found: u64,
        /// The newest format that this version supports.
        known: u64,
    },
    /// The format file contains no format number.
    #[error("{} holds {text:?} instead of a format number", path.display())]
    BadFormat {
        /// The format file.
        path: PathBuf,
        /// The beginning of the file's text.
        text: String,
    },
    /// The text is not a run id.
    #[error(transparent)]
    BadId(#[from] InvalidRunId),
    /// A run with this id already exists.
    #[error("run {id} already exists")]
    Exists {
        /// The id.
        id: RunId,
    },
    /// No run matches the name.
    #[error("no run `{query}` in {}", dir.display())]
    NotFound {
        /// The name given by the user.
        query: String,
        /// The archive.
        dir: PathBuf,
        /// Number of runs whose workload failed, which `latest` and `@1` do not count. 0 if the name is of another
        /// form.
        failed: usize,
    },
    /// Several runs match the name.
    #[error("`{query}` matches {} runs", candidates.len())]
    Ambiguous {
        /// The name given by the user.
        query: String,
        /// The matching runs, newest first.
        candidates: Vec<RunId>,
    },
    /// A run cannot be loaded.
    #[error("run {id} is damaged")]
    Damaged {
        /// The run.
        id: RunId,
        /// The reason.
        #[source]
        source: Damage,
    },
    /// This user has no permission to read the run.
    #[error("run {id} is not readable")]
    NotReadable {
        /// The run.
        id: RunId,
        /// The reason.
        #[source]
        source: FileError,
    },
    /// The run disappeared while it was being read or tagged.
    #[error("run {id} was removed meanwhile")]
    Gone {
        /// The run.
        id: RunId,
    },
    /// The name matches a run that was not completed.
    #[error("run {id} was not completed")]
    Incomplete {
        /// The run.
        id: RunId,
        /// The directory of the run's files.
        dir: PathBuf,
    },
    /// The run to remove is still being written.
    #[error("run {id} is being written")]
    InProgress {
        /// The run.
        id: RunId,
    },
    /// The text cannot be a tag.
    #[error("`{name}` cannot be a tag")]
    BadTag {
        /// The text.
        name: String,
    },
    /// No run has this tag.
    #[error("no run has the tag `{name}`")]
    NoTag {
        /// The text.
        name: String,
        /// The tags that exist.
        tags: Vec<String>,
    },
    /// Files of the run differ from its manifest, so the run is not exported.
    #[error("{count} files of run {id} have changed since they were archived")]
    Changed {
        /// The run.
        id: RunId,
        /// Number of files.
        count: usize,
    },
    /// A file is not an export that goflame accepts.
    #[error("{} is refused", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Refusal,
    },
    /// The name is not allowed for a file of a run.
    #[error("{name:?} is not a name for a file of a run")]
    BadName {
        /// The name.
        name: String,
    },
    /// The file cannot be part of a run: only plain files with UTF-8 names can.
    #[error("{} is not a plain file with a UTF-8 name", path.display())]
    NotStorable {
        /// The symbolic link, device, socket, or file with an unsuitable name.
        path: PathBuf,
    },
    /// The manifest is not a JSON object.
    #[error("the manifest is not an object")]
    NotAnObject,
    /// The manifest cannot be written as JSON.
    #[error("the manifest cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The manifest does not have the structure that the caller expects.
    #[error("the manifest of run {id} cannot be parsed")]
    Decode {
        /// The run.
        id: RunId,
        /// The mismatch.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest does not list the file.
    #[error("run {id} has no file `{name}`")]
    NoFile {
        /// The run.
        id: RunId,
        /// The name of the file.
        name: String,
    },
    /// The run could not be completed. The files written so far are kept.
    #[error("cannot archive run {id}")]
    Commit {
        /// The run.
        id: RunId,
        /// The directory of the run's files.
        kept: PathBuf,
        /// The reason.
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Foreign { dir, .. } => {
                let mut hints = vec!["name an empty or new directory as `[archive] dir`".to_owned()];
                if dir.join("runs").is_dir() {
                    let marker = dir.join("format");
                    hints.push(format!(
                        "if goflame created this directory, its marker is missing: `echo 1 > {}` restores it",
                        marker.display()
                    ));
                }
                hints
            }
            Self::Link { .. } => {
                vec!["remove the link; to keep runs elsewhere, name that directory as `[archive] dir`".to_owned()]
            }
            Self::BrokenLink { target, .. } => vec![format!("create {}, or remove the link", target.display())],
            Self::NoExec { .. } => vec!["name a directory on another file system as `[archive] dir`".to_owned()],
            Self::NoStore { .. } => vec![
                "`goflame run` makes an archive with its first run; `-C DIR` names another project".to_owned(),
            ],
            Self::NotReadable { .. } => vec!["it may belong to another user".to_owned()],
            Self::Incomplete { dir, .. } => vec![format!(
                "`goflame report {}` shows its samples, if there are enough",
                dir.join("perf.data").display()
            )],
            Self::Exists { id } => vec![format!("`goflame runs rm {id}` removes it")],
            Self::BadTag { .. } => vec![
                "a tag has at most 64 letters, digits, `-` and `_`, does not begin with `-`, and is neither `latest` nor an id"
                    .to_owned(),
            ],
            Self::NoTag { tags, .. } if tags.is_empty() => vec!["no run has a tag; `goflame runs tag` adds one".to_owned()],
            Self::NoTag { tags, .. } => vec![format!("the tags are {}", tags.join(", "))],
            Self::Changed { id, .. } => vec![format!("`goflame runs verify {id}` names them")],
            Self::Refused { source, .. } => source.hints(),
            Self::InProgress { .. } => vec!["stop that goflame first".to_owned()],
            Self::NewerFormat { .. } => {
                vec!["use the newer goflame that created it, or another `[archive] dir`".to_owned()]
            }
            Self::NotFound { failed, .. } => {
                let mut hints = vec!["`goflame runs list` shows all runs".to_owned()];
                if *failed > 0 {
                    hints.push("a run whose workload failed is never `latest`: name it by its id".to_owned());
                }
                hints
            }
            Self::Ambiguous { candidates, .. } => candidates.iter().map(|id| format!("it matches {id}")).collect(),
            Self::Commit { kept, source, .. } => {
                let mut hints = vec![format!("the files so far are kept in {}", kept.display())];
                hints.extend(source.hints());
                hints
            }
            _ => Vec::new(),
        }
    }
}
