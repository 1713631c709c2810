//! The content store: keeps each program and each other sampled file once, independent of the number of runs that use
//! it.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::dir::{Dir, is_temporary};
use super::error::Error;
use super::lock::{self, FileLock};
use super::store::Store;
use super::tree::{self, FileEntry};
use crate::fsio::{self, FileError};

/// Mode of a stored program: executable and not writable, because several runs share the file.
const PROGRAM_MODE: u32 = 0o555;
/// Mode of any other stored file: a file that a process mapped may be private.
const PRIVATE_MODE: u32 = 0o400;
/// Directory in a run with the files that the program's processes mapped.
const MAPPED_DIR: &str = "mapped";
/// Maximum length of a stored file's name in bytes. The limit of file systems is 255.
const MAX_NAME_BYTES: usize = 200;

/// A program in the store, to be started from there. The store keeps it at least as long as this value lives.
#[derive(Debug)]
pub struct Program {
    name: String,
    entry: FileEntry,
    /// Absolute path without links. The kernel uses it as the name in recordings.
    path: PathBuf,
    pub(super) dir: Dir,
    file: File,
    /// Prevents the removal of the program before a run links to it.
    _in_use: Option<FileLock>,
}

/// The difference between the program that ran and the program that was built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Substitution {
    /// Another file has replaced the program.
    #[error("{} was replaced while the workload ran: the profile may show another program than the one that the run keeps", .0.display())]
    Replaced(PathBuf),
    /// The content of the program has changed.
    #[error("{} was changed while the workload ran: the profile may show another program than the one that the run keeps", .0.display())]
    Changed(PathBuf),
}

impl Store {
    /// Stores a program, if it is not stored yet, so that it can be started and archived. `entry` is the hash and the size
    /// of its content, which the caller has just read. Replaces a stored file whose content has changed. Runs that link to
    /// the changed file keep it, and their verification reports it.
    pub fn add_program(&self, source: &Path, name: &str, entry: &FileEntry) -> Result<Program, Error> {
        if !tree::is_safe_name(name) || name.contains('/') {
            return Err(Error::BadName { name: name.to_owned() });
        }
        let _lock = self.lock()?;
        self.upgrade_format()?;
        let dir = open_dir_for_hash(&self.open_sub_dir("bin")?, &entry.sha256, name)?;
        let read = |error| FileError::new("read", source, error);
        let mut from = fsio::open(source)?;
        // The same content may be stored as a mapped file, which cannot be started.
        let stored = dir.open_file(name).ok();
        let stored =
            stored.filter(|file| file.metadata().is_ok_and(|metadata| metadata.mode() & 0o777 != PRIVATE_MODE));
        let is_there = stored.map_or(Ok(false), |stored| has_same_content(stored, &from)).map_err(read)?;
        if !is_there {
            from.rewind().map_err(read)?;
            dir.write_with(name, |mut file| {
                io::copy(&mut from, &mut file)?;
                file.set_permissions(Permissions::from_mode(PROGRAM_MODE))
            })?;
        }
        let file = dir.open_file(name)?;
        let shown = dir.path().join(name);
        let open_again = file.try_clone().map_err(|error| FileError::new("read", &shown, error))?;
        let path = fs::canonicalize(&shown).map_err(|error| FileError::new("read", &shown, error))?;
        Ok(Program {
            name: name.to_owned(),
            entry: entry.clone(),
            path,
            dir,
            file,
            _in_use: lock::lock_shared(open_again),
        })
    }
}

/// A file in a run that the store keeps by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Name relative to the run's directory.
    pub file: String,
    /// Hash and size.
    #[serde(flatten)]
    pub entry: FileEntry,
}

impl StoredFile {
    /// Stores bytes under a name that may contain any characters, and links the stored file into a run.
    pub(super) fn add(store: &Store, run: &Dir, name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let name = safe_file_name(name);
        let entry = tree::hash_reader(bytes).map_err(|error| FileError::new("read", &name, error))?;
        let _lock = store.lock()?;
        store.upgrade_format()?;
        let stored = open_dir_for_hash(&store.open_sub_dir("bin")?, &entry.sha256, &name)?;
        let is_there = stored.open_file(&name).is_ok_and(|file| has_same_content(file, bytes).unwrap_or(false));
        if !is_there {
            stored.write_with(&name, |mut file| {
                file.set_permissions(Permissions::from_mode(PRIVATE_MODE))?;
                file.write_all(bytes)
            })?;
        }
        let short = &entry.sha256[..12];
        let run = run.open_or_create_dir(MAPPED_DIR)?.open_or_create_dir(short)?;
        link_or_copy(&stored, &run, &name, PRIVATE_MODE)?;
        Ok(Self { file: format!("{MAPPED_DIR}/{short}/{name}"), entry })
    }
}

/// Returns a name that is safe as one part of a path.
fn safe_file_name(name: &str) -> String {
    let safe = |c: char| if c == '/' || c.is_control() { '_' } else { c };
    let ends = || name.char_indices().map(|(start, c)| start + c.len_utf8());
    let fitting = ends().take_while(|end| *end <= MAX_NAME_BYTES).last().unwrap_or(0);
    let safe: String = name[..fitting].chars().map(safe).collect();
    if tree::is_safe_name(&safe) && !is_temporary(&safe) { safe } else { "file".to_owned() }
}

/// Links a stored file into a run. Copies the file if the link is rejected: the file system has no hard links, the file
/// has too many links, or another user owns the file.
fn link_or_copy(stored: &Dir, run: &Dir, name: &str, mode: u32) -> Result<(), Error> {
    if run.file_type(name)?.is_some() {
        run.remove(name)?;
    }
    if stored.link(name, run, name).is_ok() {
        return Ok(());
    }
    let mut from = stored.open_file(name)?;
    run.write_with(name, |mut file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        io::copy(&mut from, &mut file).map(drop)
    })
}

impl Program {
    /// The file name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file to start.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hash and size of the program.
    pub fn entry(&self) -> &FileEntry {
        &self.entry
    }

    /// Links the program into a run, or copies it.
    pub(super) fn link_into(&self, run: &Dir) -> Result<(), Error> {
        link_or_copy(&self.dir, run, &self.name, PROGRAM_MODE)
    }

    /// Checks that the program in the store is unchanged: the same file at its path, with the same content.
    /// Returns the current hash and size.
    pub(super) fn check(&self) -> Result<(FileEntry, Option<Substitution>), Error> {
        let read = |error| FileError::new("read", &self.path, error);
        let own = self.file.metadata().map_err(read)?;
        (&self.file).seek(SeekFrom::Start(0)).map_err(read)?;
        let found = tree::hash_reader(&self.file).map_err(read)?;
        let at_path = self.dir.stat(&self.name)?;
        // A program that removed itself did run, and the run contains it.
        let replaced = at_path.is_some_and(|other| (other.st_dev, other.st_ino) != (own.dev(), own.ino()));
        let substitution = if replaced {
            Some(Substitution::Replaced(self.path.clone()))
        } else {
            (found != self.entry).then(|| Substitution::Changed(self.path.clone()))
        };
        Ok((found, substitution))
    }

    /// Whether a run contains a hard link to this program (the same inode).
    pub(super) fn is_linked_in(&self, run: &Dir) -> Result<bool, Error> {
        let own = self.file.metadata().map_err(|error| FileError::new("read", &self.path, error))?;
        Ok(run.stat(&self.name)?.is_some_and(|file| (file.st_dev, file.st_ino) == (own.dev(), own.ino())))
    }
}

/// Opens the directory for programs with this hash. Before format 2 this name was the program file itself, which is
/// moved into the directory.
fn open_dir_for_hash(bin: &Dir, sha256: &str, name: &str) -> Result<Dir, Error> {
    if bin.file_type(sha256)? != Some(FileType::RegularFile) {
        return bin.open_or_create_dir(sha256);
    }
    let temporary = bin.temporary_name()?;
    bin.rename(sha256, bin, &temporary)?;
    let dir = bin.create_dir(sha256, 0o777)?;
    bin.rename(&temporary, &dir, name)?;
    Ok(dir)
}

/// Whether the rest of two files, from their current positions, is equal.
fn has_same_content(mut a: impl Read, mut b: impl Read) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    loop {
        let length = a.read(&mut ours)?;
        if length == 0 {
            return Ok(b.read(&mut theirs[..1])? == 0);
        }
        match b.read_exact(&mut theirs[..length]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if ours[..length] != theirs[..length] {
            return Ok(false);
        }
    }
}

/// Removes stored programs that no run contains and that no process is about to start, and remains of interrupted
/// writes. Considers only names that goflame writes. The caller holds the lock.
pub(super) fn remove_unused_programs(store: &Store) -> Result<(), Error> {
    let Some(bin) = store.root().open_dir_if_present("bin")? else { return Ok(()) };
    let mut listed = None;
    for name in bin.utf8_names()? {
        let is_hash = is_sha256(&name);
        match bin.file_type(&name)? {
            Some(FileType::RegularFile) if (is_hash || is_temporary(&name)) && has_one_link(&bin, &name)? => {
                bin.remove(&name)?;
            }
            Some(FileType::Directory) if is_hash => {
                let dir = bin.open_dir(&name)?;
                for program in dir.utf8_names()? {
                    if !has_one_link(&dir, &program)? || lock::is_in_use(dir.open_file(&program)?) {
                        continue;
                    }
                    // If the file system has no hard links, the runs contain copies.
                    let listed = match &mut listed {
                        Some(listed) => listed,
                        none => none.insert(hashes_in_manifests(store)?),
                    };
                    if is_temporary(&program) || !listed.contains(&name) {
                        dir.remove(&program)?;
                    }
                }
                bin.remove_if_empty(&name)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the hashes listed in the manifests of runs.
fn hashes_in_manifests(store: &Store) -> Result<BTreeSet<String>, Error> {
    let runs = store.list()?.into_iter().filter_map(|entry| entry.run.ok());
    Ok(runs.flat_map(|run| run.files().values().map(|file| file.sha256.clone()).collect::<Vec<_>>()).collect())
}

/// Whether a plain file has only one hard link.
fn has_one_link(dir: &Dir, name: &str) -> Result<bool, Error> {
    let is_plain = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
    Ok(dir.stat(name)?.is_some_and(|file| is_plain(file.st_mode) && file.st_nlink == 1))
}

/// Whether a name is a SHA-256 in the form that goflame writes.
fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
