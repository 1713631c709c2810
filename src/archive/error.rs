//! What can go wrong in the archive.

use std::path::PathBuf;

use super::id::RunId;
use crate::fsio::FileError;

/// An operation on the archive that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory is in use for something else.
    #[error("{} is not an archive: it holds `{entry}`", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Something in it that no archive holds.
        entry: String,
    },
    /// A symbolic link where the archive has a directory or a file of its own.
    #[error("{} is a symbolic link, which goflame does not follow", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The archive's directory is a symbolic link to nothing.
    #[error("{} is a symbolic link to {}, which does not exist", path.display(), target.display())]
    BrokenLink {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// Programs cannot be started from the archive's file system.
    #[error("programs cannot be started from {}: its file system is mounted noexec", dir.display())]
    NoExec {
        /// The archive.
        dir: PathBuf,
    },
    /// There is no archive.
    #[error("no archive in {}", dir.display())]
    NoStore {
        /// The directory.
        dir: PathBuf,
    },
    /// A newer program made the archive.
    #[error("{} says format {found}, and this goflame knows formats up to {known}", path.display())]
    NewerFormat {
        /// The format file.
        path: PathBuf,
        /// Its number.
        found: u64,
        /// The newest that is understood.
        known: u64,
    },
    /// The format file holds no number of a format.
    #[error("{} holds {text:?} instead of a format number", path.display())]
    BadFormat {
        /// The format file.
        path: PathBuf,
        /// The beginning of its text.
        text: String,
    },
    /// A text is not the id of a run.
    #[error("{text:?} is not the id of a run")]
    BadId {
        /// The text.
        text: String,
    },
    /// The id is taken.
    #[error("a run {id} exists already")]
    Exists {
        /// The id.
        id: RunId,
    },
    /// No run answers to the name.
    #[error("no run `{query}` in {}", dir.display())]
    NotFound {
        /// The name that was given.
        query: String,
        /// The archive.
        dir: PathBuf,
    },
    /// Several runs answer to the name.
    #[error("`{query}` fits {} runs", candidates.len())]
    Ambiguous {
        /// The name that was given.
        query: String,
        /// The runs, newest first.
        candidates: Vec<RunId>,
    },
    /// A run cannot be loaded.
    #[error("run {id} is damaged")]
    Damaged {
        /// The run.
        id: RunId,
        /// Why.
        #[source]
        source: Damage,
    },
    /// A run cannot be read by this user.
    #[error("run {id} is not readable")]
    NotReadable {
        /// The run.
        id: RunId,
        /// Why.
        #[source]
        source: FileError,
    },
    /// A run vanished while it was read.
    #[error("run {id} was removed meanwhile")]
    Gone {
        /// The run.
        id: RunId,
    },
    /// The name is that of a run that was not completed.
    #[error("run {id} was not completed")]
    Incomplete {
        /// The run.
        id: RunId,
        /// Where its files are.
        dir: PathBuf,
    },
    /// A run that is to be removed is being written.
    #[error("run {id} is being written")]
    InProgress {
        /// The run.
        id: RunId,
    },
    /// A name that must not be used for a file of a run.
    #[error("{name:?} is not a name for a file of a run")]
    BadName {
        /// The name.
        name: String,
    },
    /// Only plain files with UTF-8 names can be part of a run.
    #[error("{} is not a plain file with a UTF-8 name", path.display())]
    NotStorable {
        /// The symbolic link, device, socket or oddly named file.
        path: PathBuf,
    },
    /// The manifest is not a JSON object.
    #[error("the manifest is not an object")]
    NotAnObject,
    /// The manifest cannot be written as JSON.
    #[error("the manifest cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The manifest is not what the caller expects.
    #[error("the manifest of run {id} is not understood")]
    Decode {
        /// The run.
        id: RunId,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest does not list the file.
    #[error("run {id} has no file `{name}`")]
    NoFile {
        /// The run.
        id: RunId,
        /// The name.
        name: String,
    },
    /// A run could not be completed; what was written is still there.
    #[error("cannot archive run {id}")]
    Commit {
        /// The run.
        id: RunId,
        /// Where its files are.
        kept: PathBuf,
        /// Why.
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Foreign { dir, .. } => {
                let mut hints = vec!["name an empty or new directory as `[archive] dir`".to_owned()];
                if dir.join("runs").is_dir() {
                    let marker = dir.join("format");
                    hints.push(format!(
                        "if goflame made it, its marker is lost: `echo 1 > {}` restores it",
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
            Self::NotReadable { .. } => vec!["it may belong to another user".to_owned()],
            Self::Incomplete { dir, .. } => vec![format!(
                "`goflame report {}` shows what was sampled, where that is enough",
                dir.join("perf.data").display()
            )],
            Self::InProgress { .. } => vec!["stop that goflame first".to_owned()],
            Self::NewerFormat { .. } => {
                vec!["use the newer goflame that made it, or another `[archive] dir`".to_owned()]
            }
            Self::NotFound { .. } => vec!["`goflame runs list` shows all runs".to_owned()],
            Self::Ambiguous { candidates, .. } => candidates.iter().map(|id| format!("it fits {id}")).collect(),
            Self::Commit { kept, source, .. } => {
                let mut hints = vec![format!("what was written is kept in {}", kept.display())];
                hints.extend(source.hints());
                hints
            }
            _ => Vec::new(),
        }
    }
}

/// Why a run cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// `runs/<id>` is a link or a file.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// `manifest.json` is a link, a directory or the like.
    #[error("{} is not a plain file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// `manifest.json` cannot be read.
    #[error(transparent)]
    Unreadable(FileError),
    /// `manifest.json` is not JSON, or lacks what the archive put there.
    #[error("{} is not a manifest", path.display())]
    NotAManifest {
        /// The path.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote the manifest.
    #[error("its manifest has schema {found}, and this goflame knows schemas up to {known}")]
    NewerSchema {
        /// The manifest's schema.
        found: u64,
        /// The newest that is understood.
        known: u64,
    },
    /// The manifest belongs to another run.
    #[error("its manifest is that of run {found:?}")]
    OtherRun {
        /// The id in the manifest.
        found: String,
    },
    /// The manifest lists a file that would lie outside the run.
    #[error("its manifest lists {name:?}, which is not a name for a file of a run")]
    BadName {
        /// The name.
        name: String,
    },
}
