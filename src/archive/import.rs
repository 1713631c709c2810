//! Imports an export, which may come from anybody. Checks all of it before it writes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tar::{Archive, EntryType};

use super::error::Error;
use super::id::RunId;
use super::problem::{Discrepancy, FileProblem};
use super::prune::PrunePlan;
use super::refusal::Refusal;
use super::run::{MANIFEST, ManifestHead, Run};
use super::store::Store;
use super::tree::{self, FileEntry};
use super::zstd::Decompressor;
use crate::fsio::{self, FileError};

/// Maximum size of a manifest in bytes. Parsed, it takes ten times as much memory.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// Maximum number of files. A run has a few dozen.
const MAX_EXPORTED_FILES: usize = 10_000;
/// Unpacked bytes that are always accepted, even for a very small export.
const ALWAYS_ACCEPTED_BYTES: u64 = 1 << 30;
/// Maximum compression ratio of larger exports. Logs with equal lines compress a few hundred times.
const MAX_COMPRESSION_RATIO: u64 = 1024;
/// Maximum unpacked bytes of any export.
const MAX_UNPACKED_BYTES: u64 = 64 << 30;
/// Maximum bytes of a file's name, and maximum number of its parts. Names of goflame's files have at most 3 parts.
const MAX_NAME_BYTES: usize = 1024;
const MAX_NAME_PARTS: usize = 8;
/// A block of zeros. Two of these blocks end a tar archive; the tar reader consumes the first.
const END_BLOCK: [u8; 512] = [0; 512];

/// A checked export: all files are present and match the manifest.
#[derive(Debug)]
pub struct CheckedExport {
    path: PathBuf,
    file: File,
    head: ExportHead,
}

/// The manifest of an export, which is its first entry.
#[derive(Debug)]
struct ExportHead {
    id: RunId,
    manifest: Value,
    files: BTreeMap<String, FileEntry>,
}

/// Checks an export, and writes nothing.
pub fn check_export(path: &Path) -> Result<CheckedExport, Error> {
    let file = fsio::open(path)?;
    let wrap = |error| FileError::new("read", path, error);
    let metadata = file.metadata().map_err(wrap)?;
    if !metadata.is_file() {
        // The file is read twice, so a pipe cannot be imported.
        return Err(wrap(io::Error::other("it is not a plain file")).into());
    }
    let head = read_export(BufReader::new(&file), metadata.len(), path, &mut |_, _| Ok(Box::new(io::sink())))?;
    Ok(CheckedExport { path: path.to_owned(), file, head })
}

/// Checks an export in memory.
pub fn check_export_bytes(bytes: &[u8]) -> Result<(), Error> {
    read_export(bytes, bytes.len() as u64, Path::new("-"), &mut |_, _| Ok(Box::new(io::sink()))).map(drop)
}

impl CheckedExport {
    /// The id of the run.
    pub fn id(&self) -> &RunId {
        &self.head.id
    }

    /// The manifest, deserialized into the caller's type.
    pub fn manifest<M: DeserializeOwned>(&self) -> Result<M, Error> {
        M::deserialize(&self.head.manifest).map_err(|source| Error::Decode { id: self.head.id.clone(), source })
    }
}

impl Store {
    /// Adds the run of an export as the newest run. After an error, no file of the run remains.
    pub fn import(&self, export: &CheckedExport) -> Result<Run, Error> {
        let draft = self.begin(export.id())?;
        let wrap = |error| FileError::new("read", &export.path, error);
        let written = (|| {
            (&export.file).rewind().map_err(wrap)?;
            let size = export.file.metadata().map_err(wrap)?.len();
            read_export(BufReader::new(&export.file), size, &export.path, &mut |id, name| {
                // The export may have changed since it was checked.
                if id != export.id() {
                    return Err(Error::Gone { id: export.id().clone() });
                }
                Ok(Box::new(draft.create_file(name)?))
            })
        })();
        // Drops the draft before its files are removed, because the draft holds their lock.
        let imported = match written {
            Ok(head) => draft.commit(&head.manifest),
            Err(error) => {
                drop(draft);
                Err(error)
            }
        };
        if imported.is_err() {
            self.prune(&PrunePlan { partial_runs: vec![export.id().clone()], ..PrunePlan::default() }).ok();
        }
        imported
    }
}

/// Creates the file with this name in a run.
type CreateFile<'c> = dyn FnMut(&RunId, &str) -> Result<Box<dyn Write>, Error> + 'c;

/// Reads an export of `size` bytes to its end, and writes each file to the writer that `create` returns for its name.
fn read_export(source: impl BufRead, size: u64, path: &Path, create: &mut CreateFile<'_>) -> Result<ExportHead, Error> {
    let refuse = |source| Error::Refused { path: path.to_owned(), source };
    let damaged = |error| refuse(Refusal::NotAnArchive(error));
    let limit = size.saturating_mul(MAX_COMPRESSION_RATIO).clamp(ALWAYS_ACCEPTED_BYTES, MAX_UNPACKED_BYTES);
    let mut archive = Archive::new(Decompressor::new(source));
    let mut head: Option<ExportHead> = None;
    let mut seen = BTreeSet::new();
    let mut long_name = None;
    // Raw entries: the tar reader must not process long names and attributes unnoticed.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let header_name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let shown = || String::from_utf8_lossy(&header_name).chars().take(MAX_NAME_BYTES).collect::<String>();
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::GNULongName if entry.size() <= MAX_NAME_BYTES as u64 => {
                let mut name = Vec::new();
                entry.read_to_end(&mut name).map_err(damaged)?;
                name.pop_if(|byte| *byte == 0);
                long_name = Some(name);
                continue;
            }
            kind => return Err(refuse(Refusal::NotAFile { name: shown(), kind: entry_kind_name(kind) })),
        }
        let bad_name = || refuse(Refusal::BadName { name: shown() });
        let (run, name) =
            std::str::from_utf8(&header_name).ok().and_then(|name| name.split_once('/')).ok_or_else(bad_name)?;
        let id: RunId = run.parse().map_err(|_| bad_name())?;
        let Some(head) = &head else {
            if name != MANIFEST {
                return Err(refuse(Refusal::NoManifest { name: shown() }));
            }
            head = Some(read_head(&mut entry, id, path, limit, &refuse)?);
            continue;
        };
        if id != head.id || !is_acceptable_name(name) {
            return Err(bad_name());
        }
        let problem = |problem| refuse(Refusal::File(FileProblem { file: name.to_owned(), problem }));
        let expected = head.files.get(name);
        if !seen.insert(name.to_owned()) || (name == MANIFEST && expected.is_none()) {
            return Err(refuse(Refusal::DuplicateName { name: name.to_owned() }));
        }
        let expected = expected.ok_or_else(|| problem(Discrepancy::Extra))?.clone();
        if entry.size() != expected.size {
            let found = FileEntry { size: entry.size(), ..expected.clone() };
            return Err(problem(Discrepancy::Changed { expected, found }));
        }
        let mut file = create(&head.id, name)?;
        let found = copy_and_hash(&mut entry, &mut file).map_err(|failed| match failed {
            CopyError::Read(error) => damaged(error),
            CopyError::Write(error) => FileError::new("write", name, error).into(),
        })?;
        if found != expected {
            return Err(problem(Discrepancy::Changed { expected, found }));
        }
    }
    let mut rest = Vec::new();
    archive.into_inner().take(END_BLOCK.len() as u64 + 1).read_to_end(&mut rest).map_err(damaged)?;
    let head = head.filter(|_| rest == END_BLOCK && long_name.is_none()).ok_or_else(|| refuse(Refusal::BadEnd))?;
    match head.files.keys().find(|name| !seen.contains(*name)) {
        Some(name) => {
            let problem = FileProblem { file: name.clone(), problem: Discrepancy::Missing };
            Err(refuse(Refusal::File(problem)))
        }
        None => Ok(head),
    }
}

/// Reads the manifest, and checks the number, names and sizes of its files.
fn read_head(
    entry: &mut impl Read,
    id: RunId,
    path: &Path,
    limit: u64,
    refuse: &dyn Fn(Refusal) -> Error,
) -> Result<ExportHead, Error> {
    let mut bytes = Vec::new();
    let read = entry.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| refuse(Refusal::NotAnArchive(error)))?;
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(refuse(Refusal::TooLarge { limit: MAX_MANIFEST_BYTES }));
    }
    let parsed = ManifestHead::parse(&id, &bytes, &path.join(MANIFEST));
    let (ManifestHead { files, .. }, manifest) = parsed.map_err(|damage| refuse(Refusal::Manifest(damage)))?;
    if files.len() > MAX_EXPORTED_FILES {
        return Err(refuse(Refusal::TooManyFiles { limit: MAX_EXPORTED_FILES }));
    }
    let total = files.values().fold(bytes.len() as u64, |total, file| total.saturating_add(file.size));
    if total > limit {
        return Err(refuse(Refusal::TooLarge { limit }));
    }
    let lies_in_a_file = |name: &str| name.match_indices('/').any(|(at, _)| files.contains_key(&name[..at]));
    if let Some(name) = files.keys().find(|name| !is_acceptable_name(name) || lies_in_a_file(name)) {
        return Err(refuse(Refusal::BadName { name: name.clone() }));
    }
    Ok(ExportHead { id, manifest, files })
}

/// Whether a file of an imported run can have this name.
fn is_acceptable_name(name: &str) -> bool {
    let parts = || name.split('/');
    tree::is_safe_name(name)
        && name.len() <= MAX_NAME_BYTES
        && parts().count() <= MAX_NAME_PARTS
        && parts().all(|part| part.len() <= 255)
        && !name.contains(char::is_control)
}

fn entry_kind_name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::Directory => "a directory",
        _ => "an entry of a kind that exports do not have",
    }
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies a file. Returns the hash and size of the copied bytes.
fn copy_and_hash(from: &mut impl Read, to: &mut dyn Write) -> Result<FileEntry, CopyError> {
    let mut from = BufReader::with_capacity(128 << 10, tree::HashingReader::new(from));
    loop {
        let bytes = from.fill_buf().map_err(CopyError::Read)?;
        if bytes.is_empty() {
            return Ok(from.into_inner().finish());
        }
        to.write_all(bytes).map_err(CopyError::Write)?;
        let length = bytes.len();
        from.consume(length);
    }
}
