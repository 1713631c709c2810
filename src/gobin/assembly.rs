//! The hand-written assembly of a Go program that can use the frame pointer register for other values.

use std::ops::Range;

use super::function::Function;
use super::pclntab::Pclntab;

/// Hand-written assembly that can use the frame pointer register for other values. While the register has such a value,
/// the kernel does not find the function's callers; only a stack copy shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    /// Address range of all functions in Go's function table.
    pub go_text: Range<u64>,
    /// Addresses of these assembly functions, in ascending order. Other assembly functions are left out.
    pub functions: Vec<Range<u64>>,
    /// Size of the largest frame among [`Assembly::functions`], in bytes. 0 if none has a frame.
    pub largest_frame: u32,
}

/// Packages whose assembly does not change the frame pointer register: the runtime and the packages that it imports. The
/// runtime itself unwinds by frame pointers (`src/runtime/tracestack.go`).
const FRAME_POINTER_PACKAGES: [&str; 8] = [
    "internal/bytealg",
    "internal/chacha8rand",
    "internal/cpu",
    "math",
    "reflect",
    "runtime",
    "sync/atomic",
    "syscall",
];

impl Assembly {
    /// `None` if the table is empty.
    pub(super) fn find(table: &Pclntab<'_>) -> Option<Self> {
        let mut go_text: Option<Range<u64>> = None;
        let mut functions = Vec::new();
        let mut largest_frame = 0;
        for function in table.functions() {
            let range = function.entry()..function.end();
            go_text = Some(go_text.map_or(range.start, |text| text.start)..range.end);
            if function.is_assembly() && !keeps_frame_pointer(&function) {
                largest_frame = function.largest_sp_delta().max(largest_frame);
                functions.push(range);
            }
        }
        Some(Self { go_text: go_text?, functions, largest_frame })
    }
}

/// Whether a function's source is in one of [`FRAME_POINTER_PACKAGES`]. Without `-trimpath`, the standard library is below `src`.
fn keeps_frame_pointer(function: &Function<'_, '_>) -> bool {
    let file = function.first_file().and_then(|file| std::str::from_utf8(file).ok()).unwrap_or_default();
    let file = file.rsplit_once("/src/").map_or(file, |(_, file)| file);
    let package = file.rsplit_once('/').map_or("", |(package, _)| package);
    FRAME_POINTER_PACKAGES.contains(&package)
        || package.starts_with("runtime/")
        || package.starts_with("internal/runtime/")
}
