//! Facts about a binary's build, read from the binary itself. The build stage compares them with the requested build.

use object::elf as raw;

use super::buildinfo::BuildInfo;
use super::dwarf::DwarfFacts;
use super::elf::Elf;
use super::error::{BuildInfoAbsence, PclntabAbsence};
use super::header::Layout;
use super::optimisation::{InliningEvidence, Optimisation};
use super::pclntab::Pclntab;

/// Facts about a binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryFacts {
    /// The GOARCH name of the machine (`amd64`, `mips64le`), or `ELF machine N`.
    pub machine: String,
    /// Whether the code is position-independent, so that the kernel chooses the load address.
    pub is_pie: bool,
    /// The GNU build id in hexadecimal.
    pub build_id: Option<String>,
    /// The go command's record of the build, or why it is missing.
    pub go: Result<BuildInfo, BuildInfoAbsence>,
    /// Whether `.symtab` has symbols. `strip` and `-ldflags=-s` remove them.
    pub has_symtab: bool,
    /// Layout of pclntab, or the reason why there is none.
    pub pclntab: Result<Layout, PclntabAbsence>,
    /// Facts about the debug information.
    pub dwarf: DwarfFacts,
    /// Whether the Go code was compiled with optimisations, judged from the code and the build info.
    pub optimisation: Optimisation,
    /// Counts of functions with inlined calls. `None` without pclntab.
    pub inlining: Option<InliningEvidence>,
    /// Whether `runtime/cgo` is linked in, so that stacks can hold C code.
    pub uses_cgo: bool,
}

pub(super) fn gather(elf: &Elf<'_>, table: Result<&Pclntab<'_>, &PclntabAbsence>) -> BinaryFacts {
    let go = BuildInfo::find(elf);
    let inlining = table.ok().map(InliningEvidence::count_functions);
    BinaryFacts {
        machine: elf.machine_name(),
        is_pie: elf.is_pie(),
        build_id: elf.build_id(),
        pclntab: table.map(Pclntab::layout).map_err(Clone::clone),
        has_symtab: elf.has_symbols(raw::SHT_SYMTAB),
        dwarf: DwarfFacts::find(elf),
        optimisation: Optimisation::judge(inlining.as_ref(), go.as_ref()),
        uses_cgo: table.is_ok_and(links_cgo),
        inlining,
        go,
    }
}

/// Whether `runtime/cgo` is linked in: the linker keeps its `crosscall2` in every cgo program and adds it to no other.
fn links_cgo(table: &Pclntab<'_>) -> bool {
    table.functions().filter_map(|function| function.name()).any(|name| name == b"crosscall2")
}
