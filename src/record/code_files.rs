//! The files in which processes name the code that they make, opened while the processes live: a process may delete its
//! files before it ends, or may have another root directory.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::perfdata::Mmap;
use crate::sources::{CodeFile, CodeFileKind, CodeFiles, code_file_of_mapping, open_code_file};

/// Maximum number of files that are kept open, and of files that are looked for.
const MAX_OPEN: usize = 256;
const MAX_WANTED: usize = 1 << 14;

/// Time between two looks for files that are not open yet, in nanoseconds.
const PAUSE: u64 = 100_000_000;

/// Looks for the files of the processes that make code.
#[derive(Debug)]
pub(super) struct CodeFileWatch {
    /// By process, kind and path in the process's root directory.
    wanted: BTreeMap<(u32, CodeFileKind, String), Wanted>,
    /// The number of each process in its own namespace.
    own_numbers: HashMap<u32, u32>,
    since: SystemTime,
    open: usize,
    next_look: u64,
}

/// A file that a process may write.
#[derive(Debug)]
struct Wanted {
    /// Whether goflame and the process number the process alike.
    same_number: bool,
    file: Option<File>,
    ended: bool,
}

impl CodeFileWatch {
    /// `since`: files that were last written before are of other processes.
    pub(super) fn new(since: SystemTime) -> Self {
        Self { wanted: BTreeMap::new(), own_numbers: HashMap::new(), since, open: 0, next_look: 0 }
    }

    /// Notes a new mapping.
    pub(super) fn note(&mut self, mapping: &Mmap<'_>) {
        let pid = mapping.pid.cast_unsigned();
        if self.wanted.len() >= MAX_WANTED || code_file_of_mapping(mapping, pid).is_none() {
            return;
        }
        // Some runtimes map and protect their memory all the time.
        let own_pid = *self.own_numbers.entry(pid).or_insert_with(|| own_number(pid).unwrap_or(pid));
        if let Some((kind, path)) = code_file_of_mapping(mapping, own_pid) {
            let wanted = Wanted { same_number: own_pid == pid, file: None, ended: false };
            self.wanted.entry((pid, kind, path)).or_insert(wanted);
        }
    }

    /// Opens the files that have come. `now` is in nanoseconds.
    pub(super) fn look(&mut self, now: u64) {
        if now < self.next_look {
            return;
        }
        self.next_look = now.saturating_add(PAUSE);
        for ((pid, _, path), wanted) in &mut self.wanted {
            if wanted.file.is_some() || wanted.ended || self.open >= MAX_OPEN {
                continue;
            }
            match fs::metadata(format!("/proc/{pid}")) {
                Ok(about) => wanted.file = open_code_file(&root_of(*pid), path, Some(about.uid())),
                Err(_) => wanted.ended = true,
            }
            self.open += usize::from(wanted.file.is_some());
        }
    }

    /// Reads all files to their ends. `others` name code too.
    pub(super) fn finish(self, others: Vec<CodeFile>) -> Vec<CodeFile> {
        let mut files = CodeFiles::default();
        for file in others {
            files.add(file);
        }
        for ((pid, kind, path), wanted) in self.wanted {
            // The process may have replaced the file.
            let newest = wanted.same_number.then(|| open_code_file(Path::new("/"), &path, None)).flatten();
            if let Some(file) = newest.or(wanted.file) {
                files.read(pid, kind, &path, &file, Some(self.since));
            }
        }
        files.finish()
    }
}

/// Root directory of a process, as a path that leads there.
fn root_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/root").into()
}

/// The number of a process in its own namespace, which is the last in `NSpid` (`proc_pid_status(5)`).
fn own_number(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_when_its_process_deletes_it() {
        let pid = std::process::id();
        let mut watch = CodeFileWatch::new(SystemTime::now());
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(format!("jit-{pid}.dump"));
        let name = path.to_str().expect("a path");
        let mapping = Mmap { pid: pid.cast_signed(), path: name.as_bytes(), executable: true, ..Mmap::default() };
        watch.note(&mapping);
        watch.look(0);
        fs::write(&path, "first ").expect("written");
        watch.look(PAUSE);
        fs::write(&path, "all of it").expect("written");
        fs::remove_file(&path).expect("removed");
        watch.look(2 * PAUSE);
        let files = watch.finish(Vec::new());
        let all: Vec<_> =
            files.iter().map(|file| (file.pid, file.kind, file.path.as_str(), file.bytes.as_slice())).collect();
        assert_eq!(all, [(pid, CodeFileKind::Jitdump, name, &b"all of it"[..])]);
    }
}
