//! What a binary says about its own build, so that the build stage need not believe the command line.

use object::elf as raw;

use super::buildinfo::BuildInfo;
use super::dwarf::DwarfFacts;
use super::elf::Elf;
use super::error::{BuildInfoAbsence, PclntabAbsence};
use super::format::Format;
use super::optimisation::{InliningEvidence, Optimisation};
use super::pclntab::Pclntab;

/// Everything that was found out about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As GOARCH spells it (`amd64`, `mips64le`), or `ELF machine N`.
    pub machine: String,
    /// Position independent: the kernel chooses where it runs.
    pub pie: bool,
    /// The GNU build id in hex.
    pub build_id: Option<String>,
    /// What the go command recorded, or why that is missing.
    pub go: Result<BuildInfo, BuildInfoAbsence>,
    /// There is a `.symtab` with symbols in it: neither `strip` nor `-ldflags=-s` was at work.
    pub symtab: bool,
    /// The Go releases that the function table's layout belongs to, or why there is no table.
    pub pclntab: Result<String, String>,
    /// Debug information.
    pub dwarf: DwarfFacts,
    /// Whether `-N -l` was really applied.
    pub optimisation: Optimisation,
    /// What the function table tells about inlining; `None` without one.
    pub inlining: Option<InliningEvidence>,
    /// `runtime/cgo` is linked in, so C code can be on the stacks.
    pub cgo: bool,
}

pub(super) fn gather(elf: &Elf<'_>, table: Result<&Pclntab<'_>, &PclntabAbsence>) -> Facts {
    let go = BuildInfo::find(elf);
    let inlining = table.ok().map(InliningEvidence::count);
    Facts {
        machine: machine_words(elf),
        pie: elf.is_pie(),
        build_id: elf.build_id(),
        symtab: !elf.symbols(raw::SHT_SYMTAB).symbols.is_empty(),
        pclntab: table.map(|table| table.layout().words().to_owned()).map_err(ToString::to_string),
        dwarf: DwarfFacts::find(elf),
        optimisation: Optimisation::judge(inlining.as_ref(), go.as_ref()),
        cgo: table.is_ok_and(links_cgo),
        inlining,
        go,
    }
}

pub(super) fn machine_words(elf: &Elf<'_>) -> String {
    let Format { big_endian, pointer_size } = elf.format();
    let known = match (elf.machine(), pointer_size, big_endian) {
        (raw::EM_386, _, _) => "386",
        (raw::EM_X86_64, _, _) => "amd64",
        (raw::EM_ARM, _, _) => "arm",
        (raw::EM_AARCH64, _, _) => "arm64",
        (raw::EM_LOONGARCH, _, _) => "loong64",
        (raw::EM_MIPS, 4, true) => "mips",
        (raw::EM_MIPS, 4, false) => "mipsle",
        (raw::EM_MIPS, _, true) => "mips64",
        (raw::EM_MIPS, _, false) => "mips64le",
        (raw::EM_PPC64, _, true) => "ppc64",
        (raw::EM_PPC64, _, false) => "ppc64le",
        (raw::EM_RISCV, _, _) => "riscv64",
        (raw::EM_S390, _, _) => "s390x",
        (other, _, _) => return format!("ELF machine {}", other.0),
    };
    known.to_owned()
}

/// `runtime/cgo`'s own functions; the linker drops none of them, and adds them to no other program.
fn links_cgo(table: &Pclntab<'_>) -> bool {
    table.functions().filter_map(|function| function.name()).any(|name| name == b"crosscall2")
}
