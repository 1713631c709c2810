//! Where the runtime keeps what tells goroutines apart: the fields of `runtime.g`, which the goroutine register points
//! to, and of `runtime.m`, its thread.
//!
//! They move from release to release. The program's own DWARF says where they are; a stripped program is believed to be
//! like others of its Go version, and a version that nobody has looked at is refused.

use super::buildinfo::BuildInfo;
use super::elf::Elf;
use super::error::NoDescriptors;
use super::structs;

/// Bytes from the start of a `runtime.g` or a `runtime.m` to its fields, each of which is eight bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorOffsets {
    /// `g.stack.lo`: the lowest address of its stack.
    pub stack_low: usize,
    /// `g.stack.hi`: the address behind its stack.
    pub stack_high: usize,
    /// `g.m`: the thread that runs it.
    pub thread: usize,
    /// `g.goid`.
    pub id: usize,
    /// `g.parentGoid`, which Go has since 1.21.
    pub parent: Option<usize>,
    /// `g.gopc`: behind the `go` statement that made it.
    pub creator: usize,
    /// `g.startpc`: the function that the statement calls.
    pub start: usize,
    /// `m.g0`: the descriptor that stands for the thread itself, on its own stack.
    pub own: usize,
    /// `m.gsignal`: the one for the stack of its signal handlers.
    pub signal: usize,
    /// `m.curg`: the goroutine that it runs.
    pub current: usize,
}

/// Where offsets were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetsSource {
    /// In the program's DWARF.
    Dwarf,
    /// In the table of Go versions.
    Version,
}

/// A row of the table.
type Version = (&'static str, usize, Option<usize>, usize, usize, usize, usize);

/// Go versions, and in `runtime.g` goid, parentGoid, gopc and startpc, in `runtime.m` gsignal and curg. All else is at the
/// same place in all of them. From the DWARF of programs that these versions built; amd64 and arm64 are alike.
const VERSIONS: [Version; 10] = [
    ("1.18", 152, None, 288, 304, 80, 192),
    ("1.19", 152, None, 296, 312, 80, 192),
    ("1.20", 152, None, 288, 304, 80, 192),
    ("1.21", 152, Some(272), 280, 296, 80, 192),
    ("1.22", 152, Some(272), 280, 296, 80, 192),
    ("1.23", 160, Some(280), 288, 304, 80, 192),
    ("1.24", 160, Some(280), 288, 304, 80, 192),
    ("1.25", 152, Some(272), 280, 296, 72, 184),
    ("1.26", 152, Some(280), 288, 304, 72, 184),
    ("1.27", 152, Some(280), 288, 304, 72, 184),
];

/// Fields lie in the first so many bytes (`runtime.m` of Go 1.27 has some 2000); what DWARF claims beyond is damage.
const LARGEST: u64 = 4096;

impl DescriptorOffsets {
    /// From the DWARF of a program, else by its Go version.
    pub(super) fn find(elf: &Elf<'_>) -> Result<(Self, OffsetsSource), NoDescriptors> {
        if elf.format().pointer_size != 8 {
            return Err(NoDescriptors::PointerSize);
        }
        if let Some(offsets) = Self::of_dwarf(elf) {
            return Ok((offsets, OffsetsSource::Dwarf));
        }
        let version = BuildInfo::find(elf).map_err(NoDescriptors::NoVersion)?.go_version;
        match Self::of_version(&version) {
            Some(offsets) => Ok((offsets, OffsetsSource::Version)),
            None => Err(NoDescriptors::UnknownVersion(version)),
        }
    }

    fn of_dwarf(elf: &Elf<'_>) -> Option<Self> {
        const FIELDS: [(&str, &str); 11] = [
            ("runtime.g", "stack"),
            ("runtime.stack", "lo"),
            ("runtime.stack", "hi"),
            ("runtime.g", "m"),
            ("runtime.g", "goid"),
            ("runtime.g", "parentGoid"),
            ("runtime.g", "gopc"),
            ("runtime.g", "startpc"),
            ("runtime.m", "g0"),
            ("runtime.m", "gsignal"),
            ("runtime.m", "curg"),
        ];
        let offset = |offset: Option<u64>| {
            let aligned = offset.filter(|offset| *offset < LARGEST && offset.is_multiple_of(8))?;
            usize::try_from(aligned).ok()
        };
        let [stack, low, high, thread, id, parent, creator, start, own, signal, current] =
            structs::field_offsets(elf, &FIELDS)?.map(offset);
        Some(Self {
            stack_low: stack?.checked_add(low?)?,
            stack_high: stack?.checked_add(high?)?,
            thread: thread?,
            id: id?,
            parent,
            creator: creator?,
            start: start?,
            own: own?,
            signal: signal?,
            current: current?,
        })
    }

    fn of_version(version: &str) -> Option<Self> {
        let (_, id, parent, creator, start, signal, current) =
            VERSIONS.into_iter().find(|(release, ..)| is_of(version, release))?;
        Some(Self { stack_low: 0, stack_high: 8, thread: 48, id, parent, creator, start, own: 0, signal, current })
    }
}

/// Whether a version (`go1.26.8`, `go1.27-rc.1 X:nogreenteagc`) is one of these releases.
fn is_of(version: &str, release: &str) -> bool {
    let rest = version.strip_prefix("go").and_then(|version| version.strip_prefix(release));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn releases_are_not_taken_for_others() {
        for (version, release, same) in [
            ("go1.26.8", "1.26", true),
            ("go1.26", "1.26", true),
            ("go1.27-rc.1 X:nogreenteagc", "1.27", true),
            ("go1.2", "1.26", false),
            ("go1.261", "1.26", false),
            ("devel go1.26", "1.26", false),
        ] {
            assert_eq!(is_of(version, release), same, "{version}");
        }
    }
}
