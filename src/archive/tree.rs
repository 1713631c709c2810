//! File trees, without following symbolic links.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bytes::hex;
use crate::fsio::FileError;

/// One file of a run, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
}

/// The kind of an entry in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// A plain file with a UTF-8 name.
    File,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe, or a name that is not UTF-8.
    Other,
}

/// Everything below a directory.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Entries: name relative to the directory, with `/`, and kind. Sorted.
    pub(super) entries: Vec<(String, NodeKind)>,
    /// The directory itself and its subdirectories, outermost first.
    pub(super) dirs: Vec<PathBuf>,
}

/// Lists a tree. A link is an entry and is never followed.
pub(super) fn list_tree(root: &Path) -> Result<Tree, FileError> {
    let mut tree = Tree { entries: Vec::new(), dirs: vec![root.to_owned()] };
    let mut next = 0;
    while let Some(dir) = tree.dirs.get(next).cloned() {
        next += 1;
        let wrap = |source| FileError::new("read directory", &dir, source);
        for entry in fs::read_dir(&dir).map_err(wrap)? {
            let entry = entry.map_err(wrap)?;
            let kind = entry.file_type().map_err(wrap)?;
            let path = entry.path();
            if kind.is_dir() {
                tree.dirs.push(path);
                continue;
            }
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let kind = match relative.to_str() {
                _ if kind.is_symlink() => NodeKind::Link,
                Some(_) if kind.is_file() => NodeKind::File,
                _ => NodeKind::Other,
            };
            tree.entries.push((relative.to_string_lossy().into_owned(), kind));
        }
    }
    tree.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tree)
}

/// Whether a name is valid for a file of a run: relative, with `/`, and inside the run.
pub(super) fn is_safe_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\0') && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Opens a plain file for reading. Fails for a link. Does not block for a pipe.
pub(super) fn open_plain(path: &Path) -> Result<File, FileError> {
    let wrap = |source| FileError::new("read", path, source);
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(wrap)?;
    if file.metadata().map_err(wrap)?.is_file() {
        Ok(file)
    } else {
        Err(wrap(io::Error::new(ErrorKind::InvalidInput, "it is not a plain file")))
    }
}

/// A reader that computes SHA-256 and size of what is read through it.
pub(super) struct HashingReader<R> {
    from: R,
    sha: Sha256,
    size: u64,
}

impl<R: Read> HashingReader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, sha: Sha256::new(), size: 0 }
    }

    pub(super) fn finish(self) -> FileEntry {
        FileEntry { sha256: hex(&self.sha.finalize()), size: self.size }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.sha.update(&buffer[..length]);
        self.size += length as u64;
        Ok(length)
    }
}

/// Computes SHA-256 and size of the bytes of a reader.
pub(super) fn hash_reader(from: impl Read) -> io::Result<FileEntry> {
    let mut hashed = BufReader::with_capacity(128 << 10, HashingReader::new(from));
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(hashed.into_inner().finish())
}

/// Computes SHA-256 and size of a plain file.
pub(super) fn hash_file(path: &Path) -> Result<FileEntry, FileError> {
    let file = open_plain(path)?;
    hash_reader(file).map_err(|source| FileError::new("read", path, source))
}

/// The total size in bytes of the files in a tree, as far as it can be read.
pub(super) fn total_size(root: &Path) -> u64 {
    let files = list_tree(root).unwrap_or_default().entries.into_iter().filter(|(_, kind)| *kind == NodeKind::File);
    files.filter_map(|(name, _)| fs::symlink_metadata(root.join(name)).ok()).map(|meta| meta.len()).sum()
}
