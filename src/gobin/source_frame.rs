//! The result of [`Locator::locate`](super::Locator::locate).

use std::borrow::Cow;

/// A function at an address: the function that contains the address, or a function that is inlined there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
pub struct SourceFrame<'a> {
    /// The linker's name from pclntab or the symbol table, without the suffixes `.abi0` and `@VERSION`.
    /// `goname::display` shortens it.
    pub name: Cow<'a, str>,
    /// The file name that the compiler recorded; `None` for code that only the symbol table names.
    pub file: Option<Cow<'a, str>>,
    /// Line from 1; 0 if unknown. In the innermost frame the line of the address. In every other frame the line of the call
    /// that was inlined.
    pub line: u32,
    /// Line of the `func` keyword, from 1. 0 if unknown: before Go 1.20, and for code that is not Go.
    pub start_line: u32,
    /// Whether this is Go code, Go assembly included.
    pub is_go: bool,
    /// The physical function's first address, even in the frame of an inlined call.
    pub entry: u64,
    /// Whether this is an inlined call: true for every frame except the last.
    pub inlined: bool,
    /// Whether the compiler generated the function: a wrapper of a method or of a calling convention, an equality
    /// function. Go's own tracebacks omit wrappers.
    pub wrapper: bool,
    /// Go's `FuncFlagTopFrame`: the root of a stack (`goexit`, `mstart`, `rt0_go`, ...). Unwinding stops here.
    pub is_top_frame: bool,
}
