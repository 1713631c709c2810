//! What a binary says about its own build, so that the build stage need not believe the command line.

use object::elf as raw;

use super::buildinfo::BuildInfo;
use super::dwarf::DwarfFacts;
use super::elf::Elf;
use super::error::{BuildInfoAbsence, PclntabAbsence};
use super::optimisation::{InliningEvidence, Optimisation};
use super::pclntab::Pclntab;

/// Everything that was found out about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As GOARCH spells it (`amd64`, `arm64`), or `ELF machine N`.
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
        machine: machine_words(elf.machine()),
        pie: elf.is_pie(),
        build_id: elf.build_id(),
        symtab: !elf.symbols(raw::SHT_SYMTAB).is_empty(),
        pclntab: table.map(|table| table.layout().words().to_owned()).map_err(ToString::to_string),
        dwarf: DwarfFacts::find(elf),
        optimisation: Optimisation::judge(inlining.as_ref(), go.as_ref()),
        cgo: table.is_ok_and(links_cgo),
        inlining,
        go,
    }
}

pub(super) fn machine_words(machine: raw::Machine) -> String {
    match machine {
        raw::EM_X86_64 => "amd64".to_owned(),
        raw::EM_AARCH64 => "arm64".to_owned(),
        raw::EM_RISCV => "riscv64".to_owned(),
        raw::EM_PPC64 => "ppc64le".to_owned(),
        raw::EM_LOONGARCH => "loong64".to_owned(),
        raw::EM_MIPS => "mips64le".to_owned(),
        other => format!("ELF machine {}", other.0),
    }
}

/// `runtime/cgo`'s own functions; the linker drops none of them, and adds them to no other program.
fn links_cgo(table: &Pclntab<'_>) -> bool {
    table.functions().filter_map(|function| function.name()).any(|name| name == b"crosscall2")
}
