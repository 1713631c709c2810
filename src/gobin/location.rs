//! What an address is: the answer of [`Binary::locate`](super::Binary::locate).

use std::borrow::Cow;

/// The functions at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location<'a> {
    /// Innermost first; the last one is the physical function. Never empty. Inlined calls are not
    /// expanded yet, so there is exactly one.
    pub frames: Vec<SourceFrame<'a>>,
}

/// One function at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFrame<'a> {
    /// The linker's name, as the Go function table or the symbol table has it, less the `.abi0` suffix
    /// and the `@VERSION` suffix of the latter. [`name::display`](super::name::display) shortens it.
    pub name: Cow<'a, str>,
    /// As the compiler recorded it; `None` for code that only the symbol table names.
    pub file: Option<Cow<'a, str>>,
    /// The line of the address, from 1; 0 is unknown.
    pub line: u32,
    /// The line of the `func` keyword, from 1; 0 is unknown (before Go 1.20, and not Go).
    pub start_line: u32,
    /// Whether this is Go code (Go's assembly included).
    pub is_go: bool,
    /// The function's first address.
    pub entry: u64,
    /// Go's `FuncFlagTopFrame`: the root of a stack (`goexit`, `mstart`, `rt0_go`, ...), where every
    /// unwinding must stop.
    pub top_frame: bool,
}
