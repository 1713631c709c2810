//! Why a file, a Go function table, build info or an address cannot be read.

use thiserror::Error;

/// Why the bytes cannot be read as a program at all.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Error {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The four magic bytes are missing: a script, a text file, an archive, ...
    #[error("not an ELF file")]
    NotElf,
    /// ELF of a kind that is not read.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A header points behind the end of the file.
    #[error("truncated or damaged ELF file: the {0} do not fit in it")]
    Truncated(&'static str),
}

/// Why there is no usable Go function table.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PclntabAbsence {
    /// No table and no sign of one: most likely not a Go program.
    #[error("no Go function table in the file")]
    NotGo,
    /// Magic 0xfffffffb.
    #[error("the function table is of Go 1.2 to 1.15, and only Go 1.16 and later are read")]
    TooOld,
    /// A section says that it is the table, its first bytes say otherwise.
    #[error("the function table has the unknown magic {0:#010x}")]
    UnknownMagic(u32),
    /// A machine that Go for Linux does not run on.
    #[error("the function table is for an unknown machine ({0})")]
    Machine(String),
    /// The runtime's description of the program, which gives the address of the text, was not found.
    #[error("the runtime's moduledata that belongs to the function table was not found")]
    NoModuledata,
    /// Something in the table contradicts itself.
    #[error("the function table is damaged or of an unknown layout: {0}")]
    Damaged(&'static str),
}

/// Why there is no build info.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum BuildInfoAbsence {
    /// No `.go.buildinfo` and no magic in the data.
    #[error("no Go build info in the file")]
    NotFound,
    /// Before Go 1.18 the section held pointers to the strings.
    #[error("the build info is in the format before Go 1.18, which is not read")]
    Pointers,
    /// The strings do not fit in the section, or are not text.
    #[error("the build info is damaged")]
    Damaged,
}

/// Why an address has no name.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The address is in no executable segment of the file.
    #[error("not in the file's code")]
    NotCode,
    /// Neither a Go function table nor a symbol table.
    #[error("no symbols")]
    NoSymbols,
    /// No symbol table, and the Go function table had to be refused.
    #[error("no symbols ({0})")]
    Refused(PclntabAbsence),
    /// There are symbols, and none covers the address.
    #[error("no symbol covers the address")]
    UnknownAddress,
}

/// Why the depth of a Go function's stack is not known at an address.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoSpDelta {
    /// The function has no such table.
    #[error("the function has no table of stack depths")]
    NoTable,
    /// The table ends before the address: padding behind the function's last instruction.
    #[error("the function's table of stack depths does not cover the address")]
    NotCovered,
}

/// Why it is not known where a program keeps what tells its goroutines apart.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum NoDescriptors {
    /// Addresses are of 4 bytes.
    #[error("goroutines of 32-bit programs are not read")]
    PointerSize,
    /// No DWARF of the runtime, and no build info.
    #[error(
        "the program has no DWARF that says where the runtime keeps its goroutines, and its Go version is unknown ({0})"
    )]
    NoVersion(BuildInfoAbsence),
    /// No DWARF of the runtime, and a version that is not in the table.
    #[error(
        "the program has no DWARF that says where the runtime keeps its goroutines, and where {0} keeps them is not known"
    )]
    UnknownVersion(String),
}
