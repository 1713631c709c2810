//! A run on disk: loaded, read, verified.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{Damage, Error};
use super::id::RunId;
use super::tree::{self, Kind};
use crate::fsio;

/// The manifest's name within a run.
pub(super) const MANIFEST: &str = "manifest.json";
/// The manifest schema that this program writes, and the newest that it reads.
pub(super) const SCHEMA: u64 = 1;
/// A manifest is a few KiB; a larger file is not one.
const MANIFEST_LIMIT: u64 = 64 << 20;

/// One file of a run, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What the archive itself puts into a manifest, of every schema.
#[derive(Deserialize)]
struct Version {
    schema: u64,
}

/// What the archive itself puts into a manifest of this schema.
#[derive(Deserialize)]
struct Head {
    id: String,
    /// Not in runs of archive format 1.
    #[serde(default)]
    sequence: Option<u64>,
    files: BTreeMap<String, FileEntry>,
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Run {
    id: RunId,
    sequence: Option<u64>,
    dir: PathBuf,
    /// Device and inode of the directory.
    identity: (u64, u64),
    files: BTreeMap<String, FileEntry>,
    manifest: Value,
}

impl Run {
    /// Loads `dir`, which is to hold the run `id`. Its files are listed, not read.
    pub(super) fn load(id: &RunId, dir: &Path) -> Result<Self, Error> {
        Self::read(id, dir).map_err(|damage| match damage {
            Damage::Unreadable(source) if source.source.kind() == ErrorKind::PermissionDenied => {
                Error::NotReadable { id: id.clone(), source }
            }
            source => Error::Damaged { id: id.clone(), source },
        })
    }

    fn read(id: &RunId, dir: &Path) -> Result<Self, Damage> {
        let unreadable = |source| Damage::Unreadable(fsio::FileError::new("read", dir, source));
        let place = fs::symlink_metadata(dir).map_err(unreadable)?;
        if !place.is_dir() {
            return Err(Damage::NotADirectory { path: dir.to_owned() });
        }
        let path = dir.join(MANIFEST);
        if fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return Err(Damage::NotAFile { path });
        }
        let bytes = fsio::read_bounded(&path, MANIFEST_LIMIT).map_err(Damage::Unreadable)?;
        let not_a_manifest = |source| Damage::NotAManifest { path: path.clone(), source };
        let manifest: Value = serde_json::from_slice(&bytes).map_err(not_a_manifest)?;
        // By itself and first: a newer schema may have changed the rest.
        let Version { schema: found } = Version::deserialize(&manifest).map_err(not_a_manifest)?;
        if found > SCHEMA {
            return Err(Damage::NewerSchema { found, known: SCHEMA });
        }
        let head = Head::deserialize(&manifest).map_err(not_a_manifest)?;
        if head.id != id.as_str() {
            return Err(Damage::OtherRun { found: head.id });
        }
        if let Some(name) = head.files.keys().find(|name| !tree::is_safe_name(name) || *name == MANIFEST) {
            return Err(Damage::BadName { name: name.clone() });
        }
        let identity = (place.dev(), place.ino());
        Ok(Self { id: id.clone(), sequence: head.sequence, dir: dir.to_owned(), identity, files: head.files, manifest })
    }

    /// Its id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Its place in the order of completion; `None`: an older program wrote it.
    pub(super) fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// The total size of its files in bytes, the shared program included.
    pub fn size(&self) -> u64 {
        self.files.values().fold(0, |size, file| size.saturating_add(file.size))
    }

    /// Whether its directory is still where it was when it was loaded.
    pub(super) fn is_at_its_place(&self) -> bool {
        fs::symlink_metadata(&self.dir).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its files except the manifest, by relative name with `/`.
    pub fn files(&self) -> &BTreeMap<String, FileEntry> {
        &self.files
    }

    /// The manifest as JSON.
    pub fn manifest_json(&self) -> &Value {
        &self.manifest
    }

    /// The manifest as the caller's own type.
    pub fn manifest<M: DeserializeOwned>(&self) -> Result<M, Error> {
        M::deserialize(&self.manifest).map_err(|source| Error::Decode { id: self.id.clone(), source })
    }

    /// The path of a file that the manifest lists. An error when it does not list it, when the file is gone, or when a
    /// symbolic link stands on the way, which could lead out of the run.
    pub fn file(&self, name: &str) -> Result<PathBuf, Error> {
        if !self.files.contains_key(name) {
            return Err(Error::NoFile { id: self.id.clone(), name: name.to_owned() });
        }
        let mut path = self.dir.clone();
        for part in name.split('/') {
            path.push(part);
            let meta = fs::symlink_metadata(&path).map_err(|source| fsio::FileError::new("read", &path, source))?;
            if meta.is_symlink() {
                return Err(Error::NotStorable { path });
            }
        }
        Ok(path)
    }

    /// Compares every file with the manifest. One bad file does not hide another.
    pub(super) fn verify(&self) -> Result<Vec<FileProblem>, Error> {
        let tree = tree::walk(&self.dir)?;
        let present: BTreeMap<&str, Kind> = tree.entries.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let mut problems = Vec::new();
        let mut add = |file: &str, problem| problems.push(FileProblem { file: file.to_owned(), problem });
        for (name, expected) in &self.files {
            match present.get(name.as_str()) {
                None => add(name, Problem::Missing),
                Some(Kind::Link) => add(name, Problem::Link),
                Some(Kind::Other) => add(name, Problem::NotAFile),
                Some(Kind::File) => match tree::digest_file(&self.dir.join(name)) {
                    Ok(found) if found == *expected => {}
                    Ok(found) => add(name, Problem::Changed { expected: expected.clone(), found }),
                    Err(error) => add(name, Problem::Unreadable(error.source.to_string())),
                },
            }
        }
        for (name, kind) in present {
            if name != MANIFEST && !self.files.contains_key(name) {
                add(name, if kind == Kind::Link { Problem::Link } else { Problem::Extra });
            }
        }
        problems.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(problems)
    }
}

/// A file of a run that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileProblem {
    /// The file's relative name.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// It is gone.
    Missing,
    /// Its content is another.
    Changed {
        /// What the manifest says.
        expected: FileEntry,
        /// What is there.
        found: FileEntry,
    },
    /// The manifest does not list it.
    Extra,
    /// It is a symbolic link.
    Link,
    /// It is a device, socket, pipe or directory.
    NotAFile,
    /// It cannot be read; the system's reason.
    Unreadable(String),
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match &self.problem {
            Problem::Missing => f.write_str("missing"),
            Problem::Changed { expected, found } if expected.size != found.size => {
                write!(f, "changed: {} bytes instead of {}", found.size, expected.size)
            }
            Problem::Changed { expected, found } => {
                write!(f, "changed: SHA-256 {} instead of {}", found.sha256, expected.sha256)
            }
            Problem::Extra => f.write_str("not in the manifest"),
            Problem::Link => f.write_str("a symbolic link, which a run must not hold"),
            Problem::NotAFile => f.write_str("not a plain file"),
            Problem::Unreadable(why) => write!(f, "unreadable: {why}"),
        }
    }
}
