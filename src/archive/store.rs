//! The store: opened, listed, searched.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::draft::Draft;
use super::error::Error;
use super::id::RunId;
use super::lock::{self, Lock};
use super::run::{FileProblem, MANIFEST, Run};
use super::tree;
use crate::fsio::{self, FileError};

/// The layout that this program writes, and the newest that it reads.
const FORMAT: u64 = 1;
/// The signature of <https://bford.info/cachedir/>: backup programs pass such directories over.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# Runs kept by goflame.\n";
/// What an archive's directory may hold before it is one: `build` is where the built binaries go.
const OWN: [&str; 9] = ["lock", "format", ".gitignore", "CACHEDIR.TAG", "runs", "partial", "bin", "trash", "build"];

/// The user that files are to belong to: the calling one when goflame runs under sudo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// An archive on disk.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    owner: Option<Owner>,
}

/// A run as it is listed.
#[derive(Debug)]
pub struct RunEntry {
    /// Its id.
    pub id: RunId,
    /// The run, or why it cannot be loaded.
    pub run: Result<Run, Error>,
}

/// A run that was not completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Its id.
    pub id: RunId,
    /// Where its files are.
    pub dir: PathBuf,
    /// Whether it is being written just now; otherwise it was left behind.
    pub in_progress: bool,
}

impl Store {
    /// Opens the archive in `dir` and makes one where there is none. Everything that is created will belong to `owner`.
    /// A directory that is in use for something else is refused, for the archive would make git ignore all of it.
    pub fn open(dir: &Path, owner: Option<Owner>) -> Result<Self, Error> {
        let store = Self { dir: dir.to_owned(), owner };
        if store.format()?.is_none() {
            store.refuse_foreign()?;
        }
        store.make_dir(dir)?;
        let _lock = store.lock()?;
        for name in ["runs", "partial", "bin", "trash"] {
            store.make_dir(&dir.join(name))?;
        }
        for (name, text) in [(".gitignore", "*\n"), ("CACHEDIR.TAG", CACHEDIR_TAG), ("format", &format!("{FORMAT}\n"))]
        {
            let path = dir.join(name);
            if !tree::is_taken(&path) {
                fsio::replace(&path, text.as_bytes())?;
                tree::chown(&path, owner)?;
            }
        }
        Ok(store)
    }

    /// Opens the archive in `dir` and writes nothing; [`Error::NoStore`] where there is none.
    pub fn open_existing(dir: &Path, owner: Option<Owner>) -> Result<Self, Error> {
        let store = Self { dir: dir.to_owned(), owner };
        match store.format()? {
            Some(_) => Ok(store),
            None => Err(Error::NoStore { dir: dir.to_owned() }),
        }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins a run: a directory to write into, which becomes a run by [`Draft::commit`].
    pub fn begin(&self, id: &RunId) -> Result<Draft, Error> {
        Draft::begin(self, id)
    }

    /// All runs, newest first. Damaged ones are there with their reason; what has no run's name is passed over.
    pub fn list(&self) -> Result<Vec<RunEntry>, Error> {
        let mut entries = Vec::new();
        for id in self.ids()? {
            let run = Run::load(&id, &self.run_dir(&id));
            // Another process may have pruned it just now.
            if run.is_ok() || tree::is_taken(&self.run_dir(&id)) {
                entries.push(RunEntry { id, run });
            }
        }
        Ok(entries)
    }

    /// The run that a user means: an id, a unique prefix of one, `latest`, or `@1` (the one before the latest),
    /// `@2`, … counted in the order of [`Store::list`], damaged ones included.
    pub fn find(&self, query: &str) -> Result<Run, Error> {
        let ids = self.ids()?;
        let id = self.pick(&ids, query)?;
        Run::load(id, &self.run_dir(id))
    }

    fn pick<'a>(&self, ids: &'a [RunId], query: &str) -> Result<&'a RunId, Error> {
        let not_found = || Error::NotFound { query: query.to_owned(), dir: self.dir.clone() };
        if query == "latest" {
            return ids.first().ok_or_else(not_found);
        }
        if let Some(number) = query.strip_prefix('@') {
            return number.parse::<usize>().ok().and_then(|position| ids.get(position)).ok_or_else(not_found);
        }
        // First, for one id can begin another: `…-a-0000` and `…-a-0000-0000`.
        if let Some(exact) = ids.iter().find(|id| id.as_str() == query) {
            return Ok(exact);
        }
        let fits = |id: &&RunId| !query.is_empty() && id.as_str().starts_with(query);
        let candidates: Vec<&RunId> = ids.iter().filter(fits).collect();
        match candidates[..] {
            [] => Err(not_found()),
            [only] => Ok(only),
            _ => {
                Err(Error::Ambiguous { query: query.to_owned(), candidates: candidates.into_iter().cloned().collect() })
            }
        }
    }

    /// Compares every file of a run with its manifest; empty: all is as it was archived.
    pub fn verify(&self, run: &Run) -> Result<Vec<FileProblem>, Error> {
        run.verify()
    }

    /// Runs that were not completed, newest first: being written, or left behind by a crash.
    pub fn partials(&self) -> Result<Vec<Partial>, Error> {
        let mut partials = Vec::new();
        for name in names_or_none(&self.dir.join("partial"))? {
            let Ok(id) = name.parse::<RunId>() else { continue };
            let in_progress = lock::is_held(&self.partial_lock(&id))?;
            partials.push(Partial { dir: self.partial_dir(&id), id, in_progress });
        }
        partials.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(partials)
    }

    /// The ids in `runs/`, newest first. Runs of one second are in the order of their completion.
    pub(super) fn ids(&self) -> Result<Vec<RunId>, Error> {
        let mut ids: Vec<(RunId, SystemTime)> = Vec::new();
        for name in names_or_none(&self.dir.join("runs"))? {
            let Ok(id) = name.parse::<RunId>() else { continue };
            let manifest = fs::symlink_metadata(self.run_dir(&id).join(MANIFEST));
            ids.push((id, manifest.and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)));
        }
        ids.sort_by(|(a, a_time), (b, b_time)| (b.stamp(), b_time, b).cmp(&(a.stamp(), a_time, a)));
        Ok(ids.into_iter().map(|(id, _)| id).collect())
    }

    pub(super) fn owner(&self) -> Option<Owner> {
        self.owner
    }

    pub(super) fn run_dir(&self, id: &RunId) -> PathBuf {
        self.dir.join("runs").join(id.as_str())
    }

    pub(super) fn partial_dir(&self, id: &RunId) -> PathBuf {
        self.dir.join("partial").join(id.as_str())
    }

    /// Beside the directory, not in it, so that it never becomes part of the run. An id holds no dot.
    pub(super) fn partial_lock(&self, id: &RunId) -> PathBuf {
        self.dir.join("partial").join(format!("{id}.lock"))
    }

    /// Waits for the right to change the store.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let path = self.dir.join("lock");
        let new = !tree::is_taken(&path);
        let lock = lock::exclusive(&path)?;
        if new {
            tree::chown(&path, self.owner)?;
        }
        Ok(lock)
    }

    /// Creates a directory with its parents and gives each that is new to the owner.
    pub(super) fn make_dir(&self, dir: &Path) -> Result<(), Error> {
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !tree::is_taken(dir)).collect();
        fsio::create_dir_all(dir)?;
        missing.into_iter().try_for_each(|dir| tree::chown(dir, self.owner))?;
        Ok(())
    }

    /// The format number; `None` without such a file, an error for a number that is not understood.
    fn format(&self) -> Result<Option<u64>, Error> {
        let path = self.dir.join("format");
        let bytes = match fsio::read_bounded(&path, 4096) {
            Ok(bytes) => bytes,
            // NotADirectory: the archive's own path is a file, which `make_dir` reports as such.
            Err(error) if matches!(error.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().parse::<u64>() {
            Ok(found) if found > FORMAT => Err(Error::NewerFormat { path, found, known: FORMAT }),
            Ok(found) if found > 0 => Ok(Some(found)),
            _ => Err(Error::BadFormat { path, text: text.trim().chars().take(40).collect() }),
        }
    }

    fn refuse_foreign(&self) -> Result<(), Error> {
        // Another process that is just making the archive has created its lock first.
        if !self.dir.is_dir() || tree::is_taken(&self.dir.join("lock")) {
            return Ok(());
        }
        match tree::names(&self.dir)?.into_iter().find(|name| !OWN.contains(&name.as_str())) {
            Some(entry) => Err(Error::Foreign { dir: self.dir.clone(), entry }),
            None => Ok(()),
        }
    }
}

/// The names in a directory of the store, which an interrupted set-up may have left out.
fn names_or_none(dir: &Path) -> Result<Vec<String>, FileError> {
    match tree::names(dir) {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        names => names,
    }
}
