//! Identity of a mapped file, and the check whether a file on the disk can be the mapped file.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::fstatfs;
use serde::{Deserialize, Serialize};

use crate::bytes::hex;
use crate::fsio;
use crate::perfdata::{Features, Inode, Mmap};

/// End of the name of a mapped file that has no path any more, or never had one.
pub const DELETED: &str = " (deleted)";

/// `OVERLAYFS_SUPER_MAGIC` (linux/magic.h).
const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

/// Identity of a file that a process mapped, from the record of the mapping.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MappedId {
    /// Path as the process saw it, or a name like `[vdso]`.
    pub path: String,
    /// Build id in hexadecimal.
    pub build_id: Option<String>,
    /// Inode of the file. `None` if the record of the mapping has a build id.
    pub inode: Option<Inode>,
}

impl MappedId {
    /// Identity of the file of a mapping.
    pub fn new(map: &Mmap<'_>) -> Self {
        let path = String::from_utf8_lossy(map.path).into_owned();
        Self { path, build_id: map.build_id.map(hex), inode: map.inode }
    }

    /// Whether two identities mean the same content. Compares build ids, else inodes, else paths.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        match (&self.build_id, &other.build_id) {
            (Some(own), Some(other)) => own == other,
            _ if self.inode.is_some() => self.inode == other.inode,
            _ => self.path == other.path,
        }
    }

    /// Whether an open file has another inode than the file that was mapped on this machine. Device numbers are not
    /// compared: Btrfs shows programs other device numbers than the kernel writes into records.
    pub fn has_other_inode(&self, file: &File, metadata: &Metadata) -> bool {
        let Some(inode) = self.inode else { return false };
        // The inode numbers that overlayfs shows are not those in the records.
        if fstatfs(file).is_ok_and(|system| system.f_type.cast_unsigned() == OVERLAYFS_MAGIC) {
            return false;
        }
        // perf writes the generation 0 for mappings that it found in /proc.
        let known = fsio::generation(file).filter(|_| inode.generation != 0);
        metadata.ino() != inode.inode || known.is_some_and(|own| u64::from(own) != inode.generation)
    }
}

/// Why a file on the disk is not the file that was mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileChange {
    /// The file has another build id or inode.
    #[error("the file has changed since it was sampled")]
    Replaced,
    /// The file was modified after the recording.
    #[error("the file was modified after it was sampled")]
    ModifiedLater,
}

impl FileChange {
    /// Advice for the user.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Replaced => "put the sampled file back, or record again",
            Self::ModifiedLater => {
                "put the sampled file back with its old modification time, which `cp -p` and `scp -p` keep, or record again"
            }
        }
    }
}

/// Where and when a recording was made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RecordingOrigin {
    /// Whether the recording was made on this machine. Only then its inode numbers can be compared.
    is_on_this_machine: bool,
    /// Latest time at which the recording can have ended. `None` if unknown.
    pub(super) end: Option<SystemTime>,
}

impl RecordingOrigin {
    /// Reads the machine and the end of a recording from its metadata.
    pub(super) fn note(&mut self, features: &Features) {
        let own = rustix::system::uname();
        self.is_on_this_machine = features.hostname.as_deref() == own.nodename().to_str().ok();
        if let (Some(clock), Some((_, last))) = (&features.clock, features.sample_time) {
            let since_1970 = clock.wall_ns.saturating_add(last).saturating_sub(clock.clock_ns);
            self.end = Some(UNIX_EPOCH + Duration::from_nanos(since_1970));
        }
    }

    /// Fails if an open file cannot be the file that was mapped. Files with a build id are not checked here: the reader of
    /// the content compares the build id.
    pub(super) fn check(&self, id: &MappedId, file: &File) -> Result<(), FileChange> {
        let Some(metadata) = file.metadata().ok().filter(|_| id.build_id.is_none()) else { return Ok(()) };
        if self.is_on_this_machine && id.has_other_inode(file, &metadata) {
            return Err(FileChange::Replaced);
        }
        match (self.end, metadata.modified()) {
            (Some(end), Ok(modified)) if modified > end => Err(FileChange::ModifiedLater),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn mapped_id(path: &str, build_id: Option<&str>, inode: Option<u64>) -> MappedId {
        let inode = inode.map(|inode| Inode { inode, ..Inode::default() });
        MappedId { path: path.to_owned(), build_id: build_id.map(str::to_owned), inode }
    }

    #[test]
    fn files_are_the_same_by_build_id_then_inode_then_path() {
        let plain = mapped_id("/a", None, None);
        assert!(plain.is_same_file(&plain) && !plain.is_same_file(&mapped_id("/b", None, None)));
        assert!(mapped_id("/a", None, Some(1)).is_same_file(&mapped_id("/b", None, Some(1))));
        assert!(!mapped_id("/a", None, Some(1)).is_same_file(&mapped_id("/a", None, Some(2))));
        assert!(!mapped_id("/a", None, Some(1)).is_same_file(&plain));
        assert!(mapped_id("/a", Some("01"), None).is_same_file(&mapped_id("/b", Some("01"), None)));
        assert!(!mapped_id("/a", Some("01"), None).is_same_file(&mapped_id("/a", Some("02"), None)));
        assert!(mapped_id("/a", Some("01"), Some(1)).is_same_file(&mapped_id("/a", None, Some(1))));
    }

    #[test]
    fn a_file_that_cannot_have_been_mapped_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let file = File::create(&path).unwrap();
        let metadata = file.metadata().unwrap();
        let (own, modified) = (metadata.ino(), metadata.modified().unwrap());
        let (before, after) = (modified - Duration::from_secs(1), modified + Duration::from_secs(1));
        let check = |is_on_this_machine, end, id: &MappedId| {
            RecordingOrigin { is_on_this_machine, end: Some(end) }.check(id, &file).err()
        };
        let same = mapped_id("/program", None, Some(own));
        let other = mapped_id("/program", None, Some(own + 1));
        for is_on_this_machine in [true, false] {
            assert_eq!(check(is_on_this_machine, after, &same), None);
            assert_eq!(check(is_on_this_machine, before, &same), Some(FileChange::ModifiedLater));
            // The build id decides.
            assert_eq!(check(is_on_this_machine, before, &mapped_id("/program", Some("01"), None)), None);
        }
        assert_eq!(check(true, after, &other), Some(FileChange::Replaced));
        // Inode numbers of another machine are not compared.
        assert_eq!(check(false, after, &other), None);
        // Another file had the same inode number at another time.
        if let Some(generation) = fsio::generation(&file) {
            let other = u64::from(generation).wrapping_add(1).max(1);
            let reused = MappedId { inode: Some(Inode { inode: own, generation: other, ..Inode::default() }), ..same };
            assert_eq!(check(true, after, &reused), Some(FileChange::Replaced));
        }
    }
}
