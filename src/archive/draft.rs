//! A run being written.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::dir::{self, Dir};
use super::error::Error;
use super::id::RunId;
use super::lock::{self, FileLock};
use super::program::{Program, StoredFile, Substitution};
use super::run::{MANIFEST, MANIFEST_SCHEMA, Run};
use super::store::{Store, lock_name};
use super::tree::{self, FileEntry, NodeKind};
use crate::fsio::{self, FileError};

/// A directory that stages write into, and that becomes a run. A dropped draft stays on disk, and [`Store::partial_runs`]
/// lists it.
#[derive(Debug)]
#[must_use = "a draft becomes a run only by commit"]
pub struct Draft {
    store: Store,
    id: RunId,
    dir: Dir,
    /// Files with a known hash, by relative name.
    hashed: BTreeMap<String, FileEntry>,
    /// Shows to other processes that the run is being written. Released at the end of the process at the latest.
    _lock: FileLock,
}

impl Store {
    /// Begins a run: creates a directory to write into. [`Draft::commit`] makes it a run.
    pub fn begin(&self, id: &RunId) -> Result<Draft, Error> {
        let _store_lock = self.lock()?;
        let (runs, partial) = (self.open_sub_dir("runs")?, self.open_sub_dir("partial")?);
        if runs.file_type(id.as_str())?.is_some() || partial.file_type(id.as_str())?.is_some() {
            return Err(Error::Exists { id: id.clone() });
        }
        let lock = lock::lock_exclusive(&partial, &lock_name(id))?;
        // A recording contains parts of the program's memory and kernel addresses.
        let dir = partial.create_dir(id.as_str(), 0o700)?;
        Ok(Draft { store: self.clone(), id: id.clone(), dir, hashed: BTreeMap::new(), _lock: lock })
    }
}

impl Draft {
    /// The id of the future run.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The directory to write into. Committing moves it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the path at which a stage writes a file of the run. `name` is relative and contains no `..`.
    pub fn path(&self, name: &str) -> PathBuf {
        debug_assert!(tree::is_safe_name(name), "{name:?} would lie outside the run");
        self.dir().join(name)
    }

    /// Creates a file of the run, and its directories. Fails if the name exists.
    pub(super) fn create_file(&self, name: &str) -> Result<File, Error> {
        let (parents, file) = name.rsplit_once('/').unwrap_or(("", name));
        let mut parents = parents.split('/').filter(|parent| !parent.is_empty());
        match parents.next() {
            None => self.dir.create_file(file),
            Some(first) => {
                let dir = parents
                    .try_fold(self.dir.open_or_create_dir(first)?, |dir, parent| dir.open_or_create_dir(parent))?;
                dir.create_file(file)
            }
        }
    }

    /// Adds a program as `bin/<name>`: a hard link to the stored program, or a copy if the file system rejects links.
    /// Returns the relative name.
    pub fn add_program(&self, program: &Program) -> Result<String, Error> {
        let _lock = self.store.lock()?;
        program.link_into(&self.dir.open_or_create_dir("bin")?)?;
        Ok(format!("bin/{}", program.name()))
    }

    /// Adds a file that was in a process's memory: a hard link to the copy in the store, which all runs share, or a copy if
    /// the file system rejects links.
    pub fn add_mapped_file(&mut self, name: &str, bytes: &[u8]) -> Result<StoredFile, Error> {
        let stored = StoredFile::add(&self.store, &self.dir, name, bytes)?;
        self.hashed.insert(stored.file.clone(), stored.entry.clone());
        Ok(stored)
    }

    /// Checks, after the workload, that the stored program is unchanged. Returns `None` if the program is unchanged:
    /// the run then contains the program that ran.
    pub fn check_program(&mut self, program: &Program) -> Result<Option<Substitution>, Error> {
        let (found, substitution) = program.check()?;
        if program.is_linked_in(&self.dir.open_dir("bin")?)? {
            self.hashed.insert(format!("bin/{}", program.name()), found);
        }
        Ok(substitution)
    }

    /// Completes the run: hashes and syncs every file, writes the manifest, and moves the directory into place. The
    /// archive sets `schema`, `id`, `sequence` and `files` in the manifest and replaces existing values. On an error
    /// the files stay in the partial directory, which the error names.
    pub fn commit<M: Serialize>(self, manifest: &M) -> Result<Run, Error> {
        self.complete(manifest).map_err(|source| Error::Commit {
            id: self.id.clone(),
            // The move is the last step that can fail partly.
            kept: if self.dir().exists() { self.dir().to_owned() } else { self.store.run_dir(&self.id) },
            source: Box::new(source),
        })
    }

    fn complete<M: Serialize>(&self, manifest: &M) -> Result<Run, Error> {
        let Value::Object(mut manifest) = serde_json::to_value(manifest).map_err(Error::Encode)? else {
            return Err(Error::NotAnObject);
        };
        let files = self.seal_files()?;
        for dir in tree::list_tree(self.dir())?.dirs.iter().rev() {
            fsio::sync_dir(dir)?;
        }
        let (runs, partial) = (self.store.open_sub_dir("runs")?, self.store.open_sub_dir("partial")?);
        {
            // Under the lock, so that no other run gets the same sequence number.
            let _store_lock = self.store.lock()?;
            self.add_archive_fields(&mut manifest, &files)?;
            let mut text = serde_json::to_vec_pretty(&manifest).map_err(Error::Encode)?;
            text.push(b'\n');
            self.dir.write(MANIFEST, &text)?;
            if runs.file_type(self.id.as_str())?.is_some() {
                return Err(Error::Exists { id: self.id.clone() });
            }
            partial.rename(self.id.as_str(), &runs, self.id.as_str())?;
            // A remaining empty lock file does no harm, and pruning removes it.
            partial.remove(lock_name(&self.id)).ok();
        }
        runs.sync()?;
        partial.sync()?;
        Run::load(&self.id, &self.store.run_dir(&self.id))
    }

    fn add_archive_fields(
        &self,
        manifest: &mut Map<String, Value>,
        files: &BTreeMap<String, FileEntry>,
    ) -> Result<(), Error> {
        manifest.insert("schema".to_owned(), MANIFEST_SCHEMA.into());
        manifest.insert("id".to_owned(), self.id.as_str().into());
        manifest.insert("sequence".to_owned(), self.store.next_sequence()?.into());
        manifest.insert("files".to_owned(), serde_json::to_value(files).map_err(Error::Encode)?);
        Ok(())
    }

    /// Syncs every file to the disk and hashes it.
    fn seal_files(&self) -> Result<BTreeMap<String, FileEntry>, Error> {
        let mut files = BTreeMap::new();
        for (name, kind) in tree::list_tree(self.dir())?.entries {
            let path = self.dir().join(&name);
            match kind {
                NodeKind::File if name == MANIFEST => {}
                NodeKind::File => {
                    let file = tree::open_plain(&path)?;
                    dir::sync(&file).map_err(|error| FileError::new("sync", &path, error))?;
                    let entry = match self.hashed.get(&name) {
                        Some(entry) => entry.clone(),
                        None => tree::hash_reader(file).map_err(|error| FileError::new("read", &path, error))?,
                    };
                    files.insert(name, entry);
                }
                NodeKind::Link | NodeKind::Other => return Err(Error::NotStorable { path }),
            }
        }
        Ok(files)
    }
}
