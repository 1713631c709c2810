//! A run being written.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::binary;
use super::error::Error;
use super::id::RunId;
use super::lock::{self, Lock};
use super::run::{FileEntry, MANIFEST, Run, SCHEMA};
use super::store::Store;
use super::tree::{self, Kind};
use crate::fsio::{self, FileError};

/// A directory that stages write into and that becomes a run. One that is dropped stays where it is, for
/// [`Store::partials`] to list: nothing is lost.
#[derive(Debug)]
#[must_use = "a draft becomes a run only by commit"]
pub struct Draft {
    store: Store,
    id: RunId,
    dir: PathBuf,
    /// Tells others that the run is being written; ends with the process at the latest.
    _lock: Lock,
}

impl Draft {
    pub(super) fn begin(store: &Store, id: &RunId) -> Result<Self, Error> {
        let _store_lock = store.lock()?;
        let (dir, lock_path) = (store.partial_dir(id), store.partial_lock(id));
        if tree::is_taken(&store.run_dir(id)) || tree::is_taken(&dir) {
            return Err(Error::Exists { id: id.clone() });
        }
        let lock = lock::exclusive(&lock_path)?;
        // A recording holds pieces of the program's memory, and addresses of the kernel's.
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|source| FileError::new("create directory", &dir, source))?;
        tree::chown(&lock_path, store.owner())?;
        tree::chown(&dir, store.owner())?;
        Ok(Self { store: store.clone(), id: id.clone(), dir, _lock: lock })
    }

    /// The id that the run will have.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The directory to write into. It moves when the run is committed.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path for a file of the run, for a stage to write it. `name` is relative and has no `..`.
    pub fn path(&self, name: &str) -> PathBuf {
        debug_assert!(tree::is_safe_name(name), "{name:?} would lie outside the run");
        self.dir.join(name)
    }

    /// Adds the program `source` as `bin/<name>`: a hard link to the one copy that the store keeps of this content, or
    /// a copy where the file system refuses links.
    pub fn add_binary(&self, source: &Path, name: &str) -> Result<FileEntry, Error> {
        if !tree::is_safe_name(name) || name.contains('/') {
            return Err(Error::BadName { name: name.to_owned() });
        }
        let _lock = self.store.lock()?;
        let (stored, entry) = binary::put(&self.store, source)?;
        let bin = self.dir.join("bin");
        self.store.make_dir(&bin)?;
        binary::link_or_copy(&stored, &bin.join(name))?;
        Ok(entry)
    }

    /// Completes the run: hashes and syncs every file, writes the manifest, gives all to the store's owner, and moves
    /// the directory into place. The archive adds `schema`, `id` and `files` to the manifest, in place of any it has.
    /// On an error the files stay in the partial directory, which the error names.
    pub fn commit<M: Serialize>(self, manifest: &M) -> Result<Run, Error> {
        self.complete(manifest).map_err(|source| Error::Commit {
            id: self.id.clone(),
            // The move is the last thing that can fail half-way.
            kept: if self.dir.exists() { self.dir.clone() } else { self.store.run_dir(&self.id) },
            source: Box::new(source),
        })
    }

    fn complete<M: Serialize>(&self, manifest: &M) -> Result<Run, Error> {
        let Value::Object(mut manifest) = serde_json::to_value(manifest).map_err(Error::Encode)? else {
            return Err(Error::NotAnObject);
        };
        let files = self.seal_files()?;
        self.add_head(&mut manifest, &files)?;
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(Error::Encode)?;
        text.push(b'\n');
        fsio::replace(&self.dir.join(MANIFEST), &text)?;
        tree::chown_tree(&self.dir, self.store.owner())?;
        for dir in tree::walk(&self.dir)?.dirs.iter().rev() {
            fsio::sync_dir(dir)?;
        }
        let target = self.store.run_dir(&self.id);
        {
            let _store_lock = self.store.lock()?;
            if tree::is_taken(&target) {
                return Err(Error::Exists { id: self.id.clone() });
            }
            fs::rename(&self.dir, &target).map_err(|source| FileError::new("rename", &self.dir, source))?;
            // An empty lock file that stays behind does no harm, and pruning removes it.
            fs::remove_file(self.store.partial_lock(&self.id)).ok();
        }
        for name in ["runs", "partial"] {
            fsio::sync_dir(&self.store.dir().join(name))?;
        }
        Run::load(&self.id, &target)
    }

    fn add_head(&self, manifest: &mut Map<String, Value>, files: &BTreeMap<String, FileEntry>) -> Result<(), Error> {
        manifest.insert("schema".to_owned(), SCHEMA.into());
        manifest.insert("id".to_owned(), self.id.as_str().into());
        manifest.insert("files".to_owned(), serde_json::to_value(files).map_err(Error::Encode)?);
        Ok(())
    }

    /// Brings every file to the disk and hashes it.
    fn seal_files(&self) -> Result<BTreeMap<String, FileEntry>, Error> {
        let mut files = BTreeMap::new();
        for (name, kind) in tree::walk(&self.dir)?.entries {
            let path = self.dir.join(&name);
            match kind {
                Kind::File if name == MANIFEST => {}
                Kind::File => {
                    sync(&path)?;
                    files.insert(name, tree::digest_file(&path)?);
                }
                Kind::Link | Kind::Other => return Err(Error::NotStorable { path }),
            }
        }
        Ok(files)
    }
}

/// `fsync` needs no right to write. Some file systems do not offer it, which loses nothing.
fn sync(path: &Path) -> Result<(), FileError> {
    let file: File = tree::open_plain(path)?;
    match file.sync_all() {
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(FileError::new("sync", path, error)),
        _ => Ok(()),
    }
}
