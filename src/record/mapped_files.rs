//! Opens the files that sampled processes map. A file that is deleted during the recording can then still be read.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::{Resource, getrlimit};

use crate::perfdata::{Inode, Mmap};
use crate::sources::{DELETED, HeldFile, MappedId};

/// Maximum number of open files.
const MAX_HELD_FILES: u64 = 256;

/// Inode and build id of a file.
type Identity = (Option<Inode>, Option<Box<[u8]>>);

/// The files that were mapped during a recording.
#[derive(Debug)]
pub(super) struct MappedFiles {
    /// All files that were mapped, open or not.
    known: HashSet<Identity>,
    /// Open files, oldest first.
    held: VecDeque<HeldFile>,
    max_held: usize,
}

impl MappedFiles {
    pub(super) fn new() -> Self {
        // The recording needs other descriptors too: one for each CPU, and some for the analysis.
        let spare = getrlimit(Resource::Nofile).current.map_or(MAX_HELD_FILES, |limit| limit / 4);
        let max_held = usize::try_from(spare.min(MAX_HELD_FILES)).unwrap_or(0);
        Self { known: HashSet::new(), held: VecDeque::new(), max_held }
    }

    /// Opens the file of a mapping, if the file is new.
    pub(super) fn open_new(&mut self, map: &Mmap<'_>) {
        let identity: Identity = (map.inode, map.build_id.map(Box::from));
        if !map.is_executable || !is_file_name(map.path) || identity == (None, None) || !self.known.insert(identity) {
            return;
        }
        let id = MappedId::new(map);
        if let Some(file) = open_mapped(map, &id) {
            if self.held.len() >= self.max_held {
                self.make_room();
            }
            self.held.push_back(HeldFile { id, file });
        }
    }

    /// Closes the files that can be opened again by their paths. If there are none, closes the oldest quarter of the
    /// files.
    fn make_room(&mut self) {
        self.held.retain(|held| !is_at_its_path(held));
        if self.held.len() >= self.max_held {
            self.held.drain(..self.held.len().div_ceil(4));
        }
    }

    pub(super) fn finish(self) -> Vec<HeldFile> {
        self.held.into()
    }
}

/// Whether the name of a mapping is a path, unlike `[vdso]` and `//anon`.
fn is_file_name(name: &[u8]) -> bool {
    name.starts_with(b"/") && !name.starts_with(b"//")
}

fn is_at_its_path(held: &HeldFile) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(own), Ok(at_path)) = (held.file.metadata(), fs::metadata(&held.id.path)) else { return false };
    (own.dev(), own.ino()) == (at_path.dev(), at_path.ino())
}

/// Opens the file of a mapping. Tries the mapping itself (needs `CAP_CHECKPOINT_RESTORE`), the path in the process's
/// and in goflame's file system, and the program of the process. The analysis detects a file of another build.
pub(super) fn open_mapped(map: &Mmap<'_>, id: &MappedId) -> Option<File> {
    let process = PathBuf::from(format!("/proc/{}", map.pid));
    let path = Path::new(&id.path);
    let by_path = || {
        let in_process = process.join("root").join(path.strip_prefix("/").ok()?);
        let paths = [in_process, path.to_owned()];
        let paths = paths.iter().filter(|_| !id.path.ends_with(DELETED));
        paths.filter_map(|path| open_regular(path)).find(|file| {
            let metadata = file.metadata();
            metadata.is_ok_and(|metadata| !id.has_other_inode(file, &metadata))
        })
    };
    let mapping = process.join(format!("map_files/{:x}-{:x}", map.start, map.start.saturating_add(map.len)));
    open_link(&mapping, &id.path).or_else(by_path).or_else(|| open_link(&process.join("exe"), &id.path))
}

/// Opens the file behind a link of the kernel, if the file has this name. The process can have changed its mappings and
/// its program since the record was written.
fn open_link(link: &Path, name: &str) -> Option<File> {
    let target = fs::read_link(link).ok()?;
    let target = target.to_str()?;
    (target.trim_end_matches(DELETED) == name.trim_end_matches(DELETED)).then(|| open_regular(link)).flatten()
}

/// Opens a regular file. Does not block on a pipe.
fn open_regular(path: &Path) -> Option<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn inode(path: &Path) -> Inode {
        Inode { major: 8, minor: 1, inode: fs::metadata(path).unwrap().ino(), generation: 0 }
    }

    fn mapping(path: &Path, inode: Inode) -> Mmap<'_> {
        Mmap {
            pid: std::process::id().cast_signed(),
            start: 0x1000,
            len: 0x1000,
            path: path.as_os_str().as_encoded_bytes(),
            is_executable: true,
            inode: Some(inode),
            ..Mmap::default()
        }
    }

    #[test]
    fn a_file_is_opened_once_and_can_be_read_after_it_was_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "code").unwrap();
        let mapping = mapping(&path, inode(&path));
        let mut files = MappedFiles::new();
        files.open_new(&mapping);
        fs::remove_file(&path).unwrap();
        files.open_new(&mapping);
        files.open_new(&Mmap { is_executable: false, inode: None, ..mapping });
        let [mut held] = <[HeldFile; 1]>::try_from(files.finish()).unwrap();
        let mut text = String::new();
        held.file.read_to_string(&mut text).unwrap();
        assert_eq!((Path::new(&held.id.path), &*text), (&*path, "code"));
    }

    #[test]
    fn files_that_still_have_their_paths_are_closed_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = MappedFiles { max_held: 4, ..MappedFiles::new() };
        let note = |files: &mut MappedFiles, name: &str, delete: bool| {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            files.open_new(&mapping(&path, inode(&path)));
            if delete {
                fs::rename(&path, dir.path().join(format!("gone-{name}"))).unwrap();
            }
        };
        let names = |files: &MappedFiles| -> Vec<char> {
            files.held.iter().map(|held| held.id.path.chars().next_back().unwrap()).collect()
        };
        for (name, delete) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
            note(&mut files, name, delete);
        }
        assert_eq!(names(&files), ['a', 'c', 'e']);
        for name in ["f", "g"] {
            note(&mut files, name, true);
        }
        assert_eq!(names(&files), ['c', 'e', 'f', 'g'], "the oldest file is closed");
    }

    #[test]
    fn a_file_that_replaced_the_mapped_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, "old").unwrap();
        let old = inode(&path);
        fs::write(dir.path().join("new"), "new").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        let mut files = MappedFiles::new();
        files.open_new(&mapping(&path, old));
        assert!(files.finish().is_empty());
    }
}
