//! Offsets of the fields in a program's goroutine descriptors, as [`GLayout`](crate::gobin::GLayout) has them for its Go version.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fsio::MappedFile;
use crate::gobin::{Binary, LabelForm};

/// Identity of a program's file. The path is not enough: programs in different containers can have the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::record) struct ProgramFile {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds. Needed because the kernel reuses the inode of a deleted file.
    modified: (i64, i64),
}

impl ProgramFile {
    pub(in crate::record) fn from_path(path: &Path) -> io::Result<Self> {
        let about = fs::metadata(path)?;
        Ok(Self { device: about.dev(), inode: about.ino(), modified: (about.mtime(), about.mtime_nsec()) })
    }
}

/// Offsets of the fields of a `runtime.g` and a `runtime.m`, in bytes from the start of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoroutineLayout {
    /// The path by which the kernel names the program.
    pub(super) program: PathBuf,
    /// The program's file. Processes that run another program are ignored.
    pub(super) file: ProgramFile,
    /// `g.stack.lo` and `g.stack.hi`.
    pub(super) stack_offsets: (usize, usize),
    /// `g.m`: the thread.
    pub(super) thread_offset: usize,
    /// `g.goid`.
    pub(super) id_offset: usize,
    /// `g.parentGoid`, present since Go 1.21.
    pub(super) parent_offset: Option<usize>,
    /// `g.gopc`: the address behind the `go` statement that created the goroutine.
    pub(super) creator_offset: usize,
    /// `g.startpc`: the entry, which is the function that the `go` statement calls.
    pub(super) entry_offset: usize,
    /// `m.procid`: the id of the thread in its innermost PID namespace.
    pub(super) thread_id_offset: Option<usize>,
    /// `m.g0` and `m.gsignal`: the descriptors of the thread itself.
    pub(super) thread_descriptor_offsets: [usize; 2],
    /// `m.curg`: the goroutine that the thread runs.
    pub(super) current_goroutine_offset: usize,
    /// `g.labels`, and the form of profiler labels in memory.
    pub(super) labels: Option<(usize, LabelForm)>,
    /// Link-time address of `runtime.allgs`, the list of all goroutines. `None` in a stripped program.
    pub(super) list_address: Option<u64>,
    /// The list of modules of Go functions. `None` in a stripped program.
    pub(super) module_list: Option<ModuleList>,
    /// File offset and link-time address of the code, which give the distance between link-time and run-time addresses.
    pub(super) code: Option<(u64, u64)>,
}

/// The list of modules of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModuleList {
    /// Link-time address of `runtime.firstmoduledata`.
    pub(super) first_address: u64,
    /// Bytes of a `runtime.moduledata`. Its last field is the address of the next module.
    pub(super) module_bytes: u64,
}

impl GoroutineLayout {
    /// Reads the layout of a program. `program` is the kernel's path of the program. `path` is a path by which goflame
    /// can open it. The error is the reason why the layout is unknown.
    pub fn read(program: &Path, path: &Path) -> Result<Self, String> {
        if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            return Err("goflame does not know the goroutine register of this machine's architecture".into());
        }
        let unreadable = |error: &dyn std::error::Error| format!("the program cannot be read: {error}");
        let file = ProgramFile::from_path(path).map_err(|error| unreadable(&error))?;
        let bytes = MappedFile::open(path).map_err(|error| unreadable(&error))?;
        let binary = Binary::parse(bytes.as_ref()).map_err(|error| unreadable(&error))?;
        let (g, _) = binary.g_layout().map_err(|error| error.to_string())?;
        let code = binary.load_segments().iter().find(|segment| segment.executable);
        Ok(Self {
            program: program.to_owned(),
            file,
            stack_offsets: (g.stack_low, g.stack_high),
            thread_offset: g.m,
            id_offset: g.goid,
            parent_offset: g.parent_goid,
            creator_offset: g.gopc,
            entry_offset: g.startpc,
            // m.procid is before m.gsignal in every version (src/runtime/runtime2.go).
            thread_id_offset: g.m_gsignal.checked_sub(8),
            thread_descriptor_offsets: [g.m_g0, g.m_gsignal],
            current_goroutine_offset: g.m_curg,
            labels: g.labels,
            list_address: binary.allgs_address(),
            module_list: binary
                .first_moduledata()
                .map(|range| ModuleList { first_address: range.start, module_bytes: range.end - range.start }),
            code: code.map(|code| (code.offset, code.address)),
        })
    }
}

/// Whether the section headers of a file say that it is a Go program.
pub(in crate::record) fn has_go_section(file: &Path) -> bool {
    MappedFile::open(file).is_ok_and(|bytes| Binary::parse(bytes.as_ref()).is_ok_and(|binary| binary.has_go_section()))
}

/// Whether a file is a Go program, even without section headers.
pub fn is_go_program(file: &Path) -> bool {
    let is_go = |bytes: MappedFile| Binary::parse(bytes.as_ref()).is_ok_and(|binary| binary.pclntab().is_ok());
    MappedFile::open(file).is_ok_and(is_go)
}
