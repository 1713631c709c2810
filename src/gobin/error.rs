//! Reasons why a file, pclntab, build info or an address cannot be read.

use thiserror::Error;

/// The reason why the bytes are not a readable program.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Error {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The four magic bytes are missing: a script, a text file, an archive, ...
    #[error("not an ELF file")]
    NotElf,
    /// An ELF file of a kind that goflame does not read.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A header points past the end of the file.
    #[error("truncated or damaged ELF file: the {0} do not fit in it")]
    Truncated(&'static str),
}

/// Why there is no usable pclntab.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PclntabAbsence {
    /// The file has no function table: most likely it is not a Go program.
    #[error("no Go function table in the file")]
    NotGo,
    /// The section has the name of a function table, but an unknown magic.
    #[error("the function table has the unknown magic {0:#010x}")]
    UnknownMagic(u32),
    /// The file is for a machine that Go for Linux does not support.
    #[error("the function table is for an unknown machine ({0})")]
    Machine(String),
    /// The runtime's moduledata, which holds the address of the text, was not found.
    #[error("the runtime's moduledata that belongs to the function table was not found")]
    NoModuledata,
    /// The table contradicts itself or the rest of the file.
    #[error("the function table is damaged or of an unknown layout: {0}")]
    Damaged(&'static str),
}

/// Why there is no build info.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum BuildInfoAbsence {
    /// The file has no `.go.buildinfo` section, and its data segments do not contain the magic.
    #[error("no Go build info in the file")]
    NotFound,
    /// The strings are cut off or not UTF-8.
    #[error("the build info is damaged")]
    Damaged,
}

/// Why an address has no name.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum NameAbsence {
    /// The address is in no executable segment of the file.
    #[error("not in the file's code")]
    NotCode,
    /// The file has neither pclntab nor a symbol table.
    #[error("no symbols")]
    NoSymbols,
    /// The file has no symbol table, and its pclntab was refused.
    #[error("no symbols ({0})")]
    Refused(PclntabAbsence),
    /// The file has symbols, but none covers the address.
    #[error("no symbol covers the address")]
    UnknownAddress,
}

/// Why the SP delta of a Go function is unknown at an address.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpDeltaAbsence {
    /// The function has no pcsp table.
    #[error("the function has no table of stack depths")]
    NoTable,
    /// The table ends before the address, which is padding after the function's last instruction.
    #[error("the function's table of stack depths does not cover the address")]
    NotCovered,
}

/// Why the field offsets of the runtime's goroutine descriptors are unknown.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum GLayoutAbsence {
    /// The program has 4-byte pointers.
    #[error("goroutines of 32-bit programs are not read")]
    PointerSize,
    /// The program has neither DWARF of the runtime nor build info.
    #[error(
        "the layout of the runtime's goroutine descriptors is unknown: the program has no DWARF of package runtime, and no \
         known Go version ({0})"
    )]
    NoVersion(BuildInfoAbsence),
    /// The program has no DWARF of the runtime, and goflame does not know the layout of its Go version.
    #[error(
        "the layout of the runtime's goroutine descriptors is unknown: the program has no DWARF of package runtime, and \
         goflame does not know the layout of {0}"
    )]
    UnknownVersion(String),
}
