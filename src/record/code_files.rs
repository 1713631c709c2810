//! Opens code files (perf maps and jitdumps) while their processes run. A process can delete its files before it ends,
//! or have another root directory.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::perfdata::Mmap;
use crate::sources::{CodeFile, CodeFileKind, CodeFiles, code_file_of_mapping, open_code_file};

/// Maximum number of open code files.
const MAX_OPEN_FILES: usize = 256;
/// Maximum number of code files to search for.
const MAX_WANTED_FILES: usize = 1 << 14;

/// Time between two searches for files that are not open yet, in nanoseconds.
const SEARCH_INTERVAL_NS: u64 = 100_000_000;

/// Searches for the perf maps and jitdumps of sampled processes, and opens them.
#[derive(Debug)]
pub(super) struct CodeFileWatch {
    /// The files to search for. Key: process, kind, and path in the process's root directory.
    wanted: BTreeMap<(u32, CodeFileKind, String), Wanted>,
    /// The id of each process in its innermost PID namespace.
    namespace_pids: HashMap<u32, u32>,
    since: SystemTime,
    open_count: usize,
    next_search_ns: u64,
}

/// A code file that a process can write.
#[derive(Debug)]
struct Wanted {
    /// Whether the process has the same id in its innermost PID namespace and in goflame's.
    has_same_pid: bool,
    file: Option<File>,
    process_ended: bool,
}

impl CodeFileWatch {
    /// Files that were last written before `since` belong to earlier processes with the same ids.
    pub(super) fn new(since: SystemTime) -> Self {
        Self { wanted: BTreeMap::new(), namespace_pids: HashMap::new(), since, open_count: 0, next_search_ns: 0 }
    }

    /// Adds the code file that belongs to a new mapping, if there is one.
    pub(super) fn add_mapping(&mut self, mapping: &Mmap<'_>) {
        let pid = mapping.pid.cast_unsigned();
        if self.wanted.len() >= MAX_WANTED_FILES || code_file_of_mapping(mapping, pid).is_none() {
            return;
        }
        // The id is cached, because some runtimes map and protect memory all the time.
        let namespace_pid = *self.namespace_pids.entry(pid).or_insert_with(|| namespace_pid(pid).unwrap_or(pid));
        if let Some((kind, path)) = code_file_of_mapping(mapping, namespace_pid) {
            let wanted = Wanted { has_same_pid: namespace_pid == pid, file: None, process_ended: false };
            self.wanted.entry((pid, kind, path)).or_insert(wanted);
        }
    }

    /// Opens the wanted files that exist now. `now` is in nanoseconds on the clock of the samples.
    pub(super) fn open_new_files(&mut self, now: u64) {
        if now < self.next_search_ns {
            return;
        }
        self.next_search_ns = now.saturating_add(SEARCH_INTERVAL_NS);
        for ((pid, _, path), wanted) in &mut self.wanted {
            if wanted.file.is_some() || wanted.process_ended || self.open_count >= MAX_OPEN_FILES {
                continue;
            }
            match fs::metadata(format!("/proc/{pid}")) {
                Ok(about) => wanted.file = open_code_file(&root_path(*pid), path, Some(about.uid())),
                Err(_) => wanted.process_ended = true,
            }
            self.open_count += usize::from(wanted.file.is_some());
        }
    }

    /// Reads all files to the end. `others` are code files from other sources.
    pub(super) fn finish(self, others: Vec<CodeFile>) -> Vec<CodeFile> {
        let mut files = CodeFiles::default();
        for file in others {
            files.add(file);
        }
        for ((pid, kind, path), wanted) in self.wanted {
            // The process can have replaced the file since it was opened.
            let newest = wanted.has_same_pid.then(|| open_code_file(Path::new("/"), &path, None)).flatten();
            if let Some(file) = newest.or(wanted.file) {
                files.read(pid, kind, &path, &file, Some(self.since));
            }
        }
        files.finish()
    }
}

/// Path to the root directory of a process.
fn root_path(pid: u32) -> PathBuf {
    format!("/proc/{pid}/root").into()
}

/// The id of a process in its innermost PID namespace: the last one in `NSpid` (`proc_pid_status(5)`).
fn namespace_pid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_to_the_end_after_its_process_deleted_it() {
        let pid = std::process::id();
        let mut watch = CodeFileWatch::new(SystemTime::now());
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(format!("jit-{pid}.dump"));
        let name = path.to_str().expect("a path");
        let mapping = Mmap { pid: pid.cast_signed(), path: name.as_bytes(), is_executable: true, ..Mmap::default() };
        watch.add_mapping(&mapping);
        watch.open_new_files(0);
        fs::write(&path, "first ").expect("written");
        watch.open_new_files(SEARCH_INTERVAL_NS);
        fs::write(&path, "all of it").expect("written");
        fs::remove_file(&path).expect("removed");
        watch.open_new_files(2 * SEARCH_INTERVAL_NS);
        let files = watch.finish(Vec::new());
        let all: Vec<_> =
            files.iter().map(|file| (file.pid, file.kind, file.path.as_str(), file.bytes.as_slice())).collect();
        assert_eq!(all, [(pid, CodeFileKind::Jitdump, name, &b"all of it"[..])]);
    }
}
