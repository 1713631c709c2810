//! A run on disk: loading, reading, verifying.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use super::id::RunId;
use super::problem::{Damage, Discrepancy, FileProblem};
use super::tree::{self, FileEntry, NodeKind};
use crate::fsio;

/// The manifest's file name in a run.
pub(super) const MANIFEST: &str = "manifest.json";
/// Number of the manifest schema that this version writes. This is also the newest schema that it can read.
pub(super) const MANIFEST_SCHEMA: u64 = 1;
/// Maximum size of a manifest in bytes. A real manifest has a few KiB.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// The fields that the archive writes into a manifest of any schema.
#[derive(Deserialize)]
struct ManifestVersion {
    schema: u64,
}

/// The fields that the archive writes into a manifest of this schema.
#[derive(Deserialize)]
pub(super) struct ManifestHead {
    id: String,
    /// Absent in runs of archive format 1, and in exports.
    #[serde(default)]
    sequence: Option<u64>,
    pub(super) files: BTreeMap<String, FileEntry>,
}

impl ManifestHead {
    /// Parses the manifest of the run `id`. Also returns the whole manifest. `path` is for the error.
    pub(super) fn parse(id: &RunId, bytes: &[u8], path: &Path) -> Result<(Self, Value), Damage> {
        let not_a_manifest = |source| Damage::NotAManifest { path: path.to_owned(), source };
        let manifest: Value = serde_json::from_slice(bytes).map_err(not_a_manifest)?;
        // Read the schema number first and separately: a newer schema may have changed the rest.
        let ManifestVersion { schema: found } = ManifestVersion::deserialize(&manifest).map_err(not_a_manifest)?;
        if found > MANIFEST_SCHEMA {
            return Err(Damage::NewerSchema { found, known: MANIFEST_SCHEMA });
        }
        let head = Self::deserialize(&manifest).map_err(not_a_manifest)?;
        if head.id != id.as_str() {
            return Err(Damage::OtherRun { found: head.id });
        }
        if let Some(name) = head.files.keys().find(|name| !tree::is_safe_name(name) || *name == MANIFEST) {
            return Err(Damage::BadName { name: name.clone() });
        }
        Ok((head, manifest))
    }
}

/// A complete run.
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
    /// Loads the run `id` from `dir`. Lists its files but does not read them.
    pub(super) fn load(id: &RunId, dir: &Path) -> Result<Self, Error> {
        Self::read(id, dir).map_err(|damage| match damage {
            Damage::Unreadable(source) if source.source.kind() == ErrorKind::PermissionDenied => {
                Error::NotReadable { id: id.clone(), source }
            }
            source => Error::Damaged { id: id.clone(), source },
        })
    }

    /// Loads the run in this directory, which can be outside of an archive. `None` if its name is not a run id.
    pub fn from_directory(dir: &Path) -> Option<Result<Self, Error>> {
        let id = dir.file_name()?.to_str()?.parse().ok()?;
        Some(Self::load(&id, dir))
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
        let bytes = fsio::read_bounded(&path, MAX_MANIFEST_BYTES).map_err(Damage::Unreadable)?;
        let (head, manifest) = ManifestHead::parse(id, &bytes, &path)?;
        let identity = (place.dev(), place.ino());
        Ok(Self { id: id.clone(), sequence: head.sequence, dir: dir.to_owned(), identity, files: head.files, manifest })
    }

    /// The id of the run.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The run's position in the order of completion. `None` if an older version wrote the run.
    pub(super) fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// The total size of the run's files in bytes, including the shared program.
    pub fn size(&self) -> u64 {
        self.files.values().fold(0, |size, file| size.saturating_add(file.size))
    }

    /// Whether the run's directory is still the directory that was loaded.
    pub(super) fn is_same_directory(&self) -> bool {
        fs::symlink_metadata(&self.dir).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }

    /// The directory of the run.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The run's files without the manifest, by relative name with `/`.
    pub fn files(&self) -> &BTreeMap<String, FileEntry> {
        &self.files
    }

    /// The manifest as JSON.
    pub fn manifest_json(&self) -> &Value {
        &self.manifest
    }

    /// Whether the manifest says that the workload failed (`workload.failed`).
    pub fn has_failed(&self) -> bool {
        self.manifest.pointer("/workload/failed") == Some(&Value::Bool(true))
    }

    /// The manifest, deserialized into the caller's type.
    pub fn manifest<M: DeserializeOwned>(&self) -> Result<M, Error> {
        M::deserialize(&self.manifest).map_err(|source| Error::Decode { id: self.id.clone(), source })
    }

    /// Returns the path of a file that the manifest lists. Fails if the manifest does not list the file, or if the file
    /// does not exist. Also fails if the path contains a symbolic link, which could lead out of the run.
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

    /// Compares every file with the manifest. Reports all bad files, not only the first.
    pub(super) fn verify(&self) -> Result<Vec<FileProblem>, Error> {
        let tree = tree::list_tree(&self.dir)?;
        let present: BTreeMap<&str, NodeKind> =
            tree.entries.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let mut problems = Vec::new();
        let mut add = |file: &str, problem| problems.push(FileProblem { file: file.to_owned(), problem });
        for (name, expected) in &self.files {
            match present.get(name.as_str()) {
                None => add(name, Discrepancy::Missing),
                Some(NodeKind::Link) => add(name, Discrepancy::Link),
                Some(NodeKind::Other) => add(name, Discrepancy::NotAFile),
                Some(NodeKind::File) => match tree::hash_file(&self.dir.join(name)) {
                    Ok(found) if found == *expected => {}
                    Ok(found) => add(name, Discrepancy::Changed { expected: expected.clone(), found }),
                    Err(error) => add(name, Discrepancy::Unreadable(error.source.to_string())),
                },
            }
        }
        for (name, kind) in present {
            if name != MANIFEST && !self.files.contains_key(name) {
                add(name, if kind == NodeKind::Link { Discrepancy::Link } else { Discrepancy::Extra });
            }
        }
        problems.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(problems)
    }
}
