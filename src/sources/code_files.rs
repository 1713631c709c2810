//! Files in which a program names the code that it makes while it runs: perf maps (`/tmp/perf-PID.map`) and jitdumps
//! (`jit-PID.dump`, which the program maps so that a record of the mapping names it).
//!
//! Everybody can write to `/tmp`. So only regular files of the user or of root are read, without following links, and only
//! up to a maximum size.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};

use crate::fsio::{FileError, create_private, open};
use crate::perfdata::{Mmap, PerfData};
use crate::process::acting_account;

/// Maximum number of bytes that are read from a code file. The rest is ignored. A server with all its code compiled writes
/// about 10 MB.
const MAX_FILE_BYTES: u64 = 1 << 28;
/// Maximum number of bytes of all code files together. Later files are ignored.
const MAX_TOTAL_BYTES: usize = 1 << 29;

/// Maximum number of code files that are looked for after a recording.
const MAX_PROCESSES: usize = 1 << 16;

/// Maximum delay of the clock for file times, compared with the exact clock.
const CLOCK_DELAY: Duration = Duration::from_secs(1);

/// Beginnings of the names of mappings without a file (the same list is in Linux, `tools/perf/util/map.c`).
const MEMORY_NAMES: [&str; 8] =
    ["//anon", "[heap]", "[stack", "[anon", "/anon_hugepage", "/memfd:", "/dev/zero", "/SYSV"];

/// A file in which a program names its generated code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeFile {
    /// Process id in the recording.
    pub pid: u32,
    /// Format.
    pub kind: CodeFileKind,
    /// Path, for messages.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Format of a code file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeFileKind {
    /// Lines of address, size and name.
    PerfMap,
    /// Records with times.
    Jitdump,
}

/// Whether a mapping has no file: `//anon`, `[heap]`, `/memfd:x (deleted)`. `path` is the name in the mapping's record.
pub fn is_memory(path: &str) -> bool {
    MEMORY_NAMES.iter().any(|name| path.starts_with(name))
}

/// Kind and path of the code file that a process with this mapping can have written. `None` for data and for other
/// mapped files. `own_pid` is the process id in the namespace of the process.
pub fn code_file_of_mapping(mapping: &Mmap<'_>, own_pid: u32) -> Option<(CodeFileKind, String)> {
    let path = str::from_utf8(mapping.path).ok().filter(|_| mapping.is_executable)?;
    let number = path.rsplit_once("/jit-").and_then(|(_, name)| name.strip_suffix(".dump"));
    if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
        return Some((CodeFileKind::Jitdump, path.to_owned()));
    }
    is_memory(path).then(|| (CodeFileKind::PerfMap, format!("/tmp/perf-{own_pid}.map")))
}

/// Opens a code file. `path` is absolute, with `root` as its `/`. `None` if the file is missing, is not a regular file
/// with a single name, or belongs to anybody else than the user, root and `owner`.
pub fn open_code_file(root: &Path, path: &str, owner: Option<u32>) -> Option<File> {
    let path = root.join(path.strip_prefix('/')?);
    // NONBLOCK, because opening a pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(&path, flags, Mode::empty()).ok()?.into();
    let about = file.metadata().ok()?;
    let user = acting_account().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let is_own = [Some(0), Some(user), owner].contains(&Some(about.uid()));
    // A file with a second name can be a hard link of another user to a file of root.
    (about.is_file() && about.nlink() == 1 && is_own).then_some(file)
}

/// The code files that were read, up to a maximum size of all files together.
#[derive(Debug, Default)]
pub struct CodeFiles {
    files: Vec<CodeFile>,
    total_bytes: usize,
}

impl CodeFiles {
    /// Reads a code file. Skips a file that was last written before `since`: an earlier process with the same id wrote it.
    pub fn read(&mut self, pid: u32, kind: CodeFileKind, path: &str, file: &File, since: Option<SystemTime>) {
        let written = file.metadata().and_then(|about| about.modified());
        let is_older =
            |since| written.is_ok_and(|written| written.checked_add(CLOCK_DELAY).is_some_and(|at| at < since));
        if self.total_bytes >= MAX_TOTAL_BYTES || since.is_some_and(is_older) {
            return;
        }
        let mut bytes = Vec::new();
        // The bytes before an error are valid.
        let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
        self.add(CodeFile { pid, kind, path: path.to_owned(), bytes });
    }

    /// Adds a code file without a check of the maximum size.
    pub fn add(&mut self, file: CodeFile) {
        self.total_bytes = self.total_bytes.saturating_add(file.bytes.len());
        self.files.push(file);
    }

    /// The code files, sorted by process id and format.
    pub fn finish(mut self) -> Vec<CodeFile> {
        self.files.sort_by_key(|file| (file.pid, file.kind));
        self.files
    }
}

/// Reads the code files that the processes of a recording wrote on this machine. With `since`, only files written
/// later. Empty if the recording was made on a machine with another name.
pub fn find_code_files(recording: &PerfData<'_>, since: Option<SystemTime>) -> Vec<CodeFile> {
    let here = rustix::system::uname();
    if recording.features().hostname.as_ref().is_some_and(|host| host.as_bytes() != here.nodename().to_bytes()) {
        return Vec::new();
    }
    let mut wanted = BTreeSet::new();
    for mapping in recording.mappings().filter(|mapping| mapping.pid > 0) {
        let pid = mapping.pid.cast_unsigned();
        wanted.extend(code_file_of_mapping(&mapping, pid).map(|(kind, path)| (pid, kind, path)));
        if wanted.len() == MAX_PROCESSES {
            break;
        }
    }
    let mut files = CodeFiles::default();
    for (pid, kind, path) in wanted {
        if let Some(file) = open_code_file(Path::new("/"), &path, None) {
            files.read(pid, kind, &path, &file, since);
        }
    }
    files.finish()
}

/// Writes code files to a directory of a run. Only their owner can read them, because a jitdump contains the program's code.
pub fn store_code_files(files: &[CodeFile], dir: &Path) -> Result<(), FileError> {
    for (at, file) in files.iter().enumerate() {
        // A process can have several jitdumps, one after the other.
        let earlier = files.iter().take(at).filter(|other| (other.pid, other.kind) == (file.pid, file.kind)).count();
        let number = if earlier == 0 { String::new() } else { format!("-{earlier}") };
        let name = match file.kind {
            CodeFileKind::PerfMap => format!("perf-{}{number}.map", file.pid),
            CodeFileKind::Jitdump => format!("jit-{}{number}.dump", file.pid),
        };
        let path = dir.join(name);
        let written = create_private(&path)?.write_all(&file.bytes);
        written.map_err(|source| FileError::new("write", &path, source))?;
    }
    Ok(())
}

/// Reads the files that [`store_code_files`] wrote. Empty if the directory is missing.
pub fn read_stored_code_files(dir: &Path) -> Result<Vec<CodeFile>, FileError> {
    let unread = |source| FileError::new("read", dir, source);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unread)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(unread)?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            names.extend(entry.file_name().to_str().and_then(parse_stored_name));
        }
    }
    let mut files = CodeFiles::default();
    for StoredName { pid, kind, name, .. } in names {
        let path = dir.join(&name);
        let file = open(&path)?;
        files.read(pid, kind, &path.display().to_string(), &file, None);
    }
    Ok(files.finish())
}

/// The parts of a stored file's name. The order of the fields gives the same order of files as [`CodeFiles::finish`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct StoredName {
    pid: u32,
    kind: CodeFileKind,
    number: u32,
    name: String,
}

fn parse_stored_name(name: &str) -> Option<StoredName> {
    let (numbers, kind) = match name.strip_prefix("perf-") {
        Some(rest) => (rest.strip_suffix(".map")?, CodeFileKind::PerfMap),
        None => (name.strip_prefix("jit-")?.strip_suffix(".dump")?, CodeFileKind::Jitdump),
    };
    let (pid, number) = numbers.split_once('-').unwrap_or((numbers, "0"));
    Some(StoredName { pid: pid.parse().ok()?, kind, number: number.parse().ok()?, name: name.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_regular_files_without_a_second_name_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let open = |name: &str| open_code_file(dir.path(), &format!("/{name}"), None);
        fs::write(path("perf-1.map"), "1 1 a\n").unwrap();
        assert!(open("perf-1.map").is_some());
        symlink(path("perf-1.map"), path("perf-2.map")).unwrap();
        fs::create_dir(path("perf-3.map")).unwrap();
        nix::unistd::mkfifo(&path("perf-4.map"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", path("perf-5.map")).unwrap();
        for name in ["perf-2.map", "perf-3.map", "perf-4.map", "perf-5.map", "absent"] {
            assert!(open(name).is_none(), "{name}");
        }
        fs::hard_link(path("perf-1.map"), path("perf-6.map")).unwrap();
        assert!(open("perf-1.map").is_none() && open("perf-6.map").is_none());
    }

    #[test]
    fn a_file_of_another_user_is_opened_only_if_that_user_owns_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("perf-1.map");
        fs::write(&file, "1 1 a\n").unwrap();
        let stranger = nix::unistd::Uid::from_raw(12_345);
        if nix::unistd::chown(&file, Some(stranger), None).is_err() {
            // Only root can change the owner of a file.
            return;
        }
        assert!(open_code_file(dir.path(), "/perf-1.map", None).is_none());
        assert!(open_code_file(dir.path(), "/perf-1.map", Some(12_345)).is_some());
    }

    #[test]
    fn a_file_that_an_earlier_process_wrote_is_not_read() {
        let file = tempfile::tempfile().unwrap();
        let read_since = |since| {
            let mut files = CodeFiles::default();
            files.read(1, CodeFileKind::PerfMap, "map", &file, since);
            files.finish().len()
        };
        let now = SystemTime::now();
        let later = now + Duration::from_secs(3);
        assert_eq!([None, Some(now), Some(later)].map(read_since), [1, 1, 0]);
    }

    #[test]
    fn stored_files_are_read_back_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = |pid, kind, bytes: &[u8]| CodeFile { pid, kind, path: String::new(), bytes: bytes.to_vec() };
        let (map, dump) = (CodeFileKind::PerfMap, CodeFileKind::Jitdump);
        let files = [file(7, map, b"map"), file(7, dump, b"one"), file(7, dump, b"two"), file(8, map, b"")];
        store_code_files(&files, dir.path()).unwrap();
        fs::write(dir.path().join("kallsyms"), "").unwrap();
        let read: Vec<_> = read_stored_code_files(dir.path())
            .unwrap()
            .into_iter()
            .map(|read| CodeFile { path: String::new(), ..read })
            .collect();
        assert_eq!(read, files);
        for entry in ["perf-7.map", "jit-7.dump", "jit-7-1.dump", "perf-8.map"] {
            let mode = fs::metadata(dir.path().join(entry)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{entry}");
        }
        assert_eq!(read_stored_code_files(&dir.path().join("absent")).unwrap(), []);
    }

    #[test]
    fn the_name_of_a_mapping_shows_which_code_file_to_read() {
        let code_file = |path: &str, is_executable| {
            code_file_of_mapping(&Mmap { path: path.as_bytes(), is_executable, ..Mmap::default() }, 7)
        };
        let (map, dump) = (CodeFileKind::PerfMap, CodeFileKind::Jitdump);
        assert_eq!(code_file("//anon", true), Some((map, "/tmp/perf-7.map".to_owned())));
        assert_eq!(code_file("/memfd:doublemapper (deleted)", true).unwrap().0, map);
        assert_eq!(
            code_file("/home/a/.debug/jit/jit-7.dump", true),
            Some((dump, "/home/a/.debug/jit/jit-7.dump".to_owned()))
        );
        for (path, is_executable) in
            [("//anon", false), ("/bin/app", true), ("/tmp/jit-x.dump", true), ("[vdso]", true)]
        {
            assert_eq!(code_file(path, is_executable), None, "{path}");
        }
    }
}
