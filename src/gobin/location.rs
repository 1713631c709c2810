//! What an address is: the answer of [`Binary::locate`](super::Binary::locate).

use std::borrow::Cow;

/// The functions at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location<'a> {
    /// Innermost first; the last one is the physical function, the others are calls that the compiler put into its
    /// body. Never empty.
    pub frames: Vec<SourceFrame<'a>>,
}

/// One function at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that have nothing to do with each other")]
pub struct SourceFrame<'a> {
    /// The linker's name, as the Go function table or the symbol table has it, less the `.abi0` suffix
    /// and the `@VERSION` suffix of the latter. `goname::display` shortens it.
    pub name: Cow<'a, str>,
    /// As the compiler recorded it; `None` for code that only the symbol table names.
    pub file: Option<Cow<'a, str>>,
    /// The line of the address, or of the call that the frame before this one is, from 1; 0 is unknown.
    pub line: u32,
    /// The line of the `func` keyword, from 1; 0 is unknown (before Go 1.20, and not Go).
    pub start_line: u32,
    /// Whether this is Go code (Go's assembly included).
    pub is_go: bool,
    /// The physical function's first address. An inlined call has none of its own.
    pub entry: u64,
    /// Whether this is a call inside another function's body, and so every frame but the last.
    pub inlined: bool,
    /// Whether the compiler made the function up: a wrapper of a method or of a calling convention, an equality
    /// function. Go's own tracebacks leave wrappers out.
    pub wrapper: bool,
    /// Go's `FuncFlagTopFrame`: the root of a stack (`goexit`, `mstart`, `rt0_go`, ...), where every
    /// unwinding must stop.
    pub top_frame: bool,
}
