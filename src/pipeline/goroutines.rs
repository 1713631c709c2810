//! The layout of the program's goroutine descriptors.

use std::path::Path;

use crate::fsio::MappedFile;
use crate::gobin::Binary;
use crate::record::{GoroutineLayout, ModuleList};

/// Name of the file in a run directory.
pub(super) const GOROUTINES_FILE: &str = "goroutines.json";

/// Returns the layout of the program's goroutine descriptors. `program` is the path by which the kernel names it, `file` one
/// that leads to it. An error is the reason why the layout is unknown.
pub(super) fn layout(program: &Path, file: &Path) -> Result<GoroutineLayout, String> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return Err("goflame does not know the goroutine register of this machine's architecture".into());
    }
    let unreadable = |error: &dyn std::error::Error| format!("the program cannot be read: {error}");
    let bytes = MappedFile::open(file).map_err(|error| unreadable(&error))?;
    let binary = Binary::parse(bytes.as_ref()).map_err(|error| unreadable(&error))?;
    let (g, _) = binary.g_layout().map_err(|error| error.to_string())?;
    Ok(GoroutineLayout {
        program: program.to_owned(),
        stack: (g.stack_low, g.stack_high),
        thread: g.m,
        id: g.goid,
        parent: g.parent_goid,
        creator: g.gopc,
        start: g.startpc,
        own: [g.m_g0, g.m_gsignal],
        current: g.m_curg,
        labels: g.labels,
        list: binary.all_goroutines(),
        modules: binary.first_module().map(|(first, size)| ModuleList { first, size }),
        code: binary.load_segments().iter().find(|segment| segment.executable).map(|code| (code.offset, code.address)),
    })
}
