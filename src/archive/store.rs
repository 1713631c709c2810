//! The store: opening, listing, searching.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{FileType, StatVfsMountFlags};

use super::dir::{Dir, is_temporary};
use super::error::Error;
use super::id::RunId;
use super::lock::{self, FileLock};
use super::problem::FileProblem;
use super::run::{MANIFEST, Run};
use super::tree;
use crate::fsio::{self, FileError};

/// Number of the format that this version writes. This is also the newest format that it can read.
const STORE_FORMAT: u64 = 2;
/// The marker file of an archive.
const MARKER_FILE: &str = "format";
/// The signature of <https://bford.info/cachedir/>. Backup programs skip directories with it.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# Runs kept by goflame.\n";
const GITIGNORE: &str = "*\n";
/// The directories that every archive has. The first build adds the directory `build`.
const STORE_DIRS: [&str; 5] = ["runs", "partial", "bin", "trash", "tags"];

/// An archive on disk.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    root: Arc<Dir>,
}

/// A run in the list of runs.
#[derive(Debug)]
pub struct RunEntry {
    /// The id of the run.
    pub id: RunId,
    /// The run, or the reason why it cannot be loaded.
    pub run: Result<Run, Error>,
}

impl RunEntry {
    /// Whether the run can be loaded, and its workload failed.
    fn has_failed(&self) -> bool {
        self.run.as_ref().is_ok_and(Run::has_failed)
    }
}

/// A run that was not completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialRun {
    /// The id of the run.
    pub id: RunId,
    /// The directory of the run's files.
    pub dir: PathBuf,
    /// The total size of the run's readable files in bytes.
    pub size: u64,
    /// Whether the run is being written now. Otherwise it was left behind.
    pub in_progress: bool,
}

impl Store {
    /// Opens the archive in `dir`. Creates it if `dir` does not exist or is empty. Rejects a directory that is used for
    /// something else: an archive makes git ignore its directory, and removes files in it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        create_archive_dir(dir)?;
        let store = Self { dir: dir.to_owned(), root: Arc::new(Dir::open_root(dir)?) };
        if store.format()?.is_none() {
            // If there is a marker now, another process has just created the archive, with this entry.
            if let Some(entry) = store.find_foreign_entry()?
                && store.format()?.is_none()
            {
                return Err(Error::Foreign { dir: dir.to_owned(), entry });
            }
            // Write the marker first: an interruption after this leaves a valid archive. Another process may write it at
            // the same time.
            store.root.write(MARKER_FILE, format!("{STORE_FORMAT}\n").as_bytes())?;
        }
        let _lock = store.lock()?;
        for name in STORE_DIRS {
            store.root.open_or_create_dir(name)?;
        }
        for (name, text) in [(".gitignore", GITIGNORE), ("CACHEDIR.TAG", CACHEDIR_TAG)] {
            if store.root.file_type(name)?.is_none() {
                store.root.write(name, text.as_bytes())?;
            }
        }
        Ok(store)
    }

    /// Opens the archive in `dir` and writes nothing. [`Error::NoStore`] if it does not exist.
    pub fn open_existing(dir: &Path) -> Result<Self, Error> {
        let no_store = || Error::NoStore { dir: dir.to_owned() };
        let root = match Dir::open_root(dir) {
            Err(error) if matches!(error.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(no_store());
            }
            root => root?,
        };
        let store = Self { dir: dir.to_owned(), root: Arc::new(root) };
        store.format()?.ok_or_else(no_store)?;
        for name in STORE_DIRS {
            // Fails if the directory is a symbolic link.
            store.root.open_dir_if_present(name)?;
        }
        Ok(store)
    }

    /// The directory of the archive.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes on the archive's file system that are free for this user.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        let facts = self.root.file_system()?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    /// Fails if programs cannot be started from the archive. Runs require this.
    pub fn check_executable(&self) -> Result<(), Error> {
        if self.root.file_system()?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Err(Error::NoExec { dir: self.dir.clone() });
        }
        Ok(())
    }

    /// Lists all runs, newest first. The order is the sequence number that each run got at its completion. Runs of
    /// older versions have no sequence number and come after the others, ordered by timestamp. A run that cannot be
    /// loaded is listed with the reason, at the position of its timestamp. Entries whose name is not a run id are
    /// skipped.
    pub fn list(&self) -> Result<Vec<RunEntry>, Error> {
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        for id in self.run_ids_in("runs")? {
            let dir = self.run_dir(&id);
            match Run::load(&id, &dir) {
                Ok(run) => whole.push(run),
                // Another process may have removed the run just now.
                Err(_) if fs::symlink_metadata(&dir).is_err_and(|error| error.kind() == ErrorKind::NotFound) => {}
                Err(error) => broken.push(RunEntry { id, run: Err(error) }),
            }
        }
        whole.sort_by_cached_key(|run| {
            (run.sequence(), run.id().timestamp().to_owned(), completion_time(run), run.id().clone())
        });
        let mut entries: Vec<RunEntry> =
            whole.into_iter().rev().map(|run| RunEntry { id: run.id().clone(), run: Ok(run) }).collect();
        broken.sort_by(|a, b| a.id.cmp(&b.id));
        for entry in broken {
            let older = entries.iter().position(|other| other.id.timestamp() <= entry.id.timestamp());
            entries.insert(older.unwrap_or(entries.len()), entry);
        }
        Ok(entries)
    }

    /// Finds the run that the user names: an id, a tag, a unique prefix of an id, the last four characters of an id if they
    /// are unique, `latest`, or `@1` (the run before the latest), `@2`, … in the order of [`Store::list`]. Damaged runs
    /// count. Runs whose workload failed are found only by their id or tag.
    pub fn find(&self, query: &str) -> Result<Run, Error> {
        let mut entries = self.list()?;
        match self.select_id(&entries, &[], query) {
            Ok(id) => {
                let at = entries.iter().position(|entry| entry.id == id);
                at.map_or_else(|| Err(self.not_found_error(query, &[])), |at| entries.swap_remove(at).run)
            }
            Err(error @ Error::NotFound { .. }) => {
                let partials = self.partial_runs()?;
                let ids: Vec<&RunId> = partials.iter().map(|partial| &partial.id).collect();
                let id = self.select_id(&[], &ids, query).map_err(|_| error)?;
                Err(Error::Incomplete { dir: self.partial_dir(&id), id })
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the id of a run as [`Store::find`] does, also of runs that cannot be loaded or were not completed. `latest`
    /// and `@1` count only completed runs.
    pub fn find_id(&self, query: &str) -> Result<RunId, Error> {
        let (entries, partials) = (self.list()?, self.partial_runs()?);
        let others: Vec<&RunId> = partials.iter().map(|partial| &partial.id).collect();
        self.select_id(&entries, &others, query)
    }

    fn not_found_error(&self, query: &str, entries: &[RunEntry]) -> Error {
        let failed = entries.iter().filter(|entry| entry.has_failed()).count();
        Error::NotFound { query: query.to_owned(), dir: self.dir.clone(), failed }
    }

    /// Selects an id. `entries` are in the order of `latest` and `@1`. `others` can be selected by id only.
    fn select_id(&self, entries: &[RunEntry], others: &[&RunId], query: &str) -> Result<RunId, Error> {
        let position = if query == "latest" { Some("0") } else { query.strip_prefix('@') };
        if let Some(position) = position {
            let mut counted = entries.iter().filter(|entry| !entry.has_failed());
            let entry = position.parse::<usize>().ok().and_then(|position| counted.nth(position));
            return entry.map(|entry| entry.id.clone()).ok_or_else(|| self.not_found_error(query, entries));
        }
        let all = || entries.iter().map(|entry| &entry.id).chain(others.iter().copied());
        let tags = self.tags()?;
        let tagged = tags.get(query);
        // Compare whole ids first, because one id can be a prefix of another: `…-a-0000` and `…-a-0000-0000`.
        if let Some(exact) = all().find(|id| id.as_str() == query || Some(*id) == tagged) {
            return Ok(exact.clone());
        }
        let fits = |id: &RunId| !query.is_empty() && (id.as_str().starts_with(query) || id.suffix() == query);
        let candidates: Vec<RunId> = all().filter(|id| fits(id)).cloned().collect();
        match &candidates[..] {
            [] => Err(self.not_found_error(query, &[])),
            [only] => Ok(only.clone()),
            _ => Err(Error::Ambiguous { query: query.to_owned(), candidates }),
        }
    }

    /// Compares every file of a run with its manifest. Empty if all files are unchanged.
    pub fn verify(&self, run: &Run) -> Result<Vec<FileProblem>, Error> {
        let problems = run.verify();
        // A file that another process removes meanwhile does not count as damaged.
        let intact = matches!(&problems, Ok(problems) if problems.is_empty());
        if !intact && !run.is_same_directory() {
            return Err(Error::Gone { id: run.id().clone() });
        }
        problems
    }

    /// Returns the runs that were not completed, newest first. Each is being written, or was left behind after an error
    /// or a crash.
    pub fn partial_runs(&self) -> Result<Vec<PartialRun>, Error> {
        let Some(dir) = self.root.open_dir_if_present("partial")? else { return Ok(Vec::new()) };
        let mut partials = Vec::new();
        for id in self.run_ids_in("partial")? {
            let in_progress = lock::is_held(&dir, &lock_name(&id))?;
            let path = self.partial_dir(&id);
            partials.push(PartialRun { size: tree::total_size(&path), dir: path, id, in_progress });
        }
        partials.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(partials)
    }

    /// Writes the page about all runs.
    pub fn write_index(&self, page: &[u8]) -> Result<(), Error> {
        self.root.write("index.html", page)
    }

    fn run_ids_in(&self, name: &str) -> Result<Vec<RunId>, Error> {
        let names = match self.root.open_dir_if_present(name)? {
            Some(dir) => dir.utf8_names()?,
            None => Vec::new(),
        };
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns the sequence number of the next run. The caller holds the lock.
    pub(super) fn next_sequence(&self) -> Result<u64, Error> {
        let runs = self.list()?.into_iter().filter_map(|entry| entry.run.ok());
        Ok(runs.filter_map(|run| run.sequence()).max().unwrap_or(0).saturating_add(1))
    }

    pub(super) fn root(&self) -> &Dir {
        &self.root
    }

    /// Opens one of the archive's directories and creates it if it does not exist.
    pub(super) fn open_sub_dir(&self, name: &str) -> Result<Dir, Error> {
        self.root.open_or_create_dir(name)
    }

    pub(super) fn run_dir(&self, id: &RunId) -> PathBuf {
        self.dir.join("runs").join(id.as_str())
    }

    pub(super) fn partial_dir(&self, id: &RunId) -> PathBuf {
        self.dir.join("partial").join(id.as_str())
    }

    /// Waits for the lock that permits changes of the store.
    pub(super) fn lock(&self) -> Result<FileLock, Error> {
        lock::lock_exclusive(&self.root, "lock")
    }

    /// Marks the store as having contents that only this format supports. The caller holds the lock.
    pub(super) fn upgrade_format(&self) -> Result<(), Error> {
        if self.format()?.is_some_and(|found| found < STORE_FORMAT) {
            self.root.write(MARKER_FILE, format!("{STORE_FORMAT}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Reads the format number. `None` if the file does not exist. Fails if the number is not supported.
    fn format(&self) -> Result<Option<u64>, Error> {
        let file = match self.root.open_file(MARKER_FILE) {
            Err(Error::File(error)) if error.is_missing() => return Ok(None),
            file => file?,
        };
        let path = self.dir.join(MARKER_FILE);
        let mut bytes = Vec::new();
        file.take(4096).read_to_end(&mut bytes).map_err(|error| FileError::new("read", &path, error))?;
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().parse::<u64>() {
            Ok(found) if found > STORE_FORMAT => Err(Error::NewerFormat { path, found, known: STORE_FORMAT }),
            Ok(found) if found > 0 => Ok(Some(found)),
            _ => Err(Error::BadFormat { path, text: text.trim().chars().take(40).collect() }),
        }
    }

    /// Returns an entry of a directory without a marker that no interrupted creation of an archive leaves behind. This
    /// version writes the marker first, so an interruption leaves at most the marker's temporary file. Older versions
    /// wrote the marker last, so an interruption can leave all other entries of an empty archive.
    fn find_foreign_entry(&self) -> Result<Option<String>, Error> {
        let root = &self.root;
        let is_file = |name: &str| Ok::<_, Error>(root.file_type(name)? == Some(FileType::RegularFile));
        let holds = |name: &str, text: &str| {
            Ok::<_, Error>(is_file(name)? && fsio::read_bounded(&self.dir.join(name), 4096)? == text.as_bytes())
        };
        let older = holds("lock", "")?;
        for name in root.entries()? {
            let name = name.to_string_lossy();
            let expected = match &*name {
                name if is_temporary(name) => is_file(name)?,
                name if !older => name == MARKER_FILE,
                "lock" | MARKER_FILE => true,
                ".gitignore" => holds(".gitignore", GITIGNORE)?,
                "CACHEDIR.TAG" => holds("CACHEDIR.TAG", CACHEDIR_TAG)?,
                name if STORE_DIRS.contains(&name) => root.open_dir(name)?.entries()?.is_empty(),
                _ => false,
            };
            if !expected {
                return Ok(Some(name.into_owned()));
            }
        }
        Ok(None)
    }
}

/// The lock file of a partial run. It is next to the run's directory, not in it, so it never becomes part of the run.
/// An id contains no dot.
pub(super) fn lock_name(id: &RunId) -> String {
    format!("{id}.lock")
}

/// Creates the archive's directory and its parents.
fn create_archive_dir(dir: &Path) -> Result<(), Error> {
    let created = fsio::create_dir_all(dir);
    if let (Err(_), Ok(target)) = (&created, fs::read_link(dir))
        && !dir.exists()
    {
        return Err(Error::BrokenLink { path: dir.to_owned(), target });
    }
    Ok(created?)
}

/// The completion time of a run. It orders runs of older versions that have the same second.
fn completion_time(run: &Run) -> SystemTime {
    let manifest = fs::symlink_metadata(run.dir().join(MANIFEST));
    manifest.and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
