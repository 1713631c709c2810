//! Field offsets of the runtime structures that identify a goroutine: `runtime.g` (the goroutine register points to one)
//! and `runtime.m` (the thread that runs it).
//!
//! The offsets change between Go releases. They are read from the program's DWARF. For a stripped program, they come
//! from a table of Go versions. A stripped program of a version that is not in the table is refused.

use super::buildinfo::BuildInfo;
use super::elf::Elf;
use super::error::GLayoutAbsence;
use super::structs::{self, Field};

/// Offsets in bytes of fields of `runtime.g` and `runtime.m`. Each field is eight bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GLayout {
    /// `g.stack.lo`: lowest address of the goroutine's stack.
    pub stack_low: usize,
    /// `g.stack.hi`: end address of the goroutine's stack.
    pub stack_high: usize,
    /// `g.m`: pointer to the `runtime.m` of the thread that runs the goroutine.
    pub m: usize,
    /// `g.goid`: the id of the goroutine.
    pub goid: usize,
    /// `g.parentGoid`: the id of the goroutine with the `go` statement. `None` before Go 1.21.
    pub parent_goid: Option<usize>,
    /// `g.gopc`: return address of the `go` statement that created the goroutine.
    pub gopc: usize,
    /// `g.startpc`: address of the function that the goroutine was started with, which can be a compiler-made wrapper.
    pub startpc: usize,
    /// `m.g0`: the descriptor of the thread's own stack.
    pub m_g0: usize,
    /// `m.gsignal`: the descriptor of the stack of signal handlers.
    pub m_gsignal: usize,
    /// `m.curg`: the goroutine that the thread runs.
    pub m_curg: usize,
    /// `g.labels`, the pointer to the goroutine's profiler labels, and the form of these labels. `None` if the Go version is
    /// unknown.
    pub labels: Option<(usize, LabelForm)>,
}

/// Form in memory of a set of profiler labels (`labelMap` in src/runtime/pprof/label.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelForm {
    /// A `map[string]string`, up to Go 1.23.
    Map,
    /// A slice of pairs of strings, since Go 1.24.
    List,
}

/// Source of a [`GLayout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GLayoutSource {
    /// The program's DWARF.
    Dwarf,
    /// The table of Go versions.
    Version,
}

/// Offsets that differ between Go releases.
struct ReleaseOffsets {
    go: &'static str,
    goid: usize,
    parent_goid: Option<usize>,
    gopc: usize,
    startpc: usize,
    m_gsignal: usize,
    m_curg: usize,
}

/// Offsets from the DWARF of programs that these releases built. amd64 and arm64 have the same offsets.
const RELEASES: [ReleaseOffsets; 10] = [
    ReleaseOffsets { go: "1.18", goid: 152, parent_goid: None, gopc: 288, startpc: 304, m_gsignal: 80, m_curg: 192 },
    ReleaseOffsets { go: "1.19", goid: 152, parent_goid: None, gopc: 296, startpc: 312, m_gsignal: 80, m_curg: 192 },
    ReleaseOffsets { go: "1.20", goid: 152, parent_goid: None, gopc: 288, startpc: 304, m_gsignal: 80, m_curg: 192 },
    ReleaseOffsets {
        go: "1.21",
        goid: 152,
        parent_goid: Some(272),
        gopc: 280,
        startpc: 296,
        m_gsignal: 80,
        m_curg: 192,
    },
    ReleaseOffsets {
        go: "1.22",
        goid: 152,
        parent_goid: Some(272),
        gopc: 280,
        startpc: 296,
        m_gsignal: 80,
        m_curg: 192,
    },
    ReleaseOffsets {
        go: "1.23",
        goid: 160,
        parent_goid: Some(280),
        gopc: 288,
        startpc: 304,
        m_gsignal: 80,
        m_curg: 192,
    },
    ReleaseOffsets {
        go: "1.24",
        goid: 160,
        parent_goid: Some(280),
        gopc: 288,
        startpc: 304,
        m_gsignal: 80,
        m_curg: 192,
    },
    ReleaseOffsets {
        go: "1.25",
        goid: 152,
        parent_goid: Some(272),
        gopc: 280,
        startpc: 296,
        m_gsignal: 72,
        m_curg: 184,
    },
    ReleaseOffsets {
        go: "1.26",
        goid: 152,
        parent_goid: Some(280),
        gopc: 288,
        startpc: 304,
        m_gsignal: 72,
        m_curg: 184,
    },
    ReleaseOffsets {
        go: "1.27",
        goid: 152,
        parent_goid: Some(280),
        gopc: 288,
        startpc: 304,
        m_gsignal: 72,
        m_curg: 184,
    },
];

/// Upper bound of an offset in bytes (`runtime.m` of Go 1.27 has about 2000). A larger offset means damaged DWARF.
const MAX_OFFSET_BYTES: u64 = 4096;

impl GLayout {
    /// Reads the offsets from the program's DWARF, else looks them up by the program's Go version.
    pub(super) fn find(elf: &Elf<'_>) -> Result<(Self, GLayoutSource), GLayoutAbsence> {
        if elf.format().pointer_size != 8 {
            return Err(GLayoutAbsence::PointerSize);
        }
        if let Some(layout) = Self::from_dwarf(elf) {
            return Ok((layout, GLayoutSource::Dwarf));
        }
        let version = BuildInfo::find(elf).map_err(GLayoutAbsence::NoVersion)?.go_version;
        match Self::from_version(&version) {
            Some(layout) => Ok((layout, GLayoutSource::Version)),
            None => Err(GLayoutAbsence::UnknownVersion(version)),
        }
    }

    fn from_dwarf(elf: &Elf<'_>) -> Option<Self> {
        const fn field(structure: &'static str, name: &'static str) -> Field {
            Field { structure, name }
        }
        const FIELDS: [Field; 12] = [
            field("runtime.g", "stack"),
            field("runtime.stack", "lo"),
            field("runtime.stack", "hi"),
            field("runtime.g", "m"),
            field("runtime.g", "goid"),
            field("runtime.g", "parentGoid"),
            field("runtime.g", "gopc"),
            field("runtime.g", "startpc"),
            field("runtime.m", "g0"),
            field("runtime.m", "gsignal"),
            field("runtime.m", "curg"),
            field("runtime.g", "labels"),
        ];
        let checked = |offset: Option<u64>| {
            let aligned = offset.filter(|offset| *offset < MAX_OFFSET_BYTES && offset.is_multiple_of(8))?;
            usize::try_from(aligned).ok()
        };
        let [stack, low, high, m, goid, parent_goid, gopc, startpc, m_g0, m_gsignal, m_curg, labels] =
            structs::field_offsets(elf, &FIELDS)?.map(checked);
        Some(Self {
            stack_low: stack?.checked_add(low?)?,
            stack_high: stack?.checked_add(high?)?,
            m: m?,
            goid: goid?,
            parent_goid,
            gopc: gopc?,
            startpc: startpc?,
            m_g0: m_g0?,
            m_gsignal: m_gsignal?,
            m_curg: m_curg?,
            labels: labels.zip(BuildInfo::find(elf).ok().and_then(|info| LabelForm::from_version(&info.go_version))),
        })
    }

    fn from_version(version: &str) -> Option<Self> {
        let release = RELEASES.iter().find(|release| is_release(version, release.go))?;
        let ReleaseOffsets { goid, parent_goid, gopc, startpc, m_gsignal, m_curg, .. } = *release;
        // In all these releases, `g.labels` is 48 bytes after `g.startpc`.
        let labels = startpc.checked_add(48).zip(LabelForm::from_version(version));
        let (stack_low, stack_high, m, m_g0) = (0, 8, 48, 0);
        Some(Self { stack_low, stack_high, m, goid, parent_goid, gopc, startpc, m_g0, m_gsignal, m_curg, labels })
    }
}

impl LabelForm {
    /// The form in programs of a Go version, such as `go1.26.8` or `devel go1.28-2f3a`.
    fn from_version(version: &str) -> Option<Self> {
        let (_, minor) = version.split_once("go1.")?;
        let digits = minor.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(if digits.parse::<u32>().ok()? < 24 { Self::Map } else { Self::List })
    }
}

/// Whether a version (`go1.26.8`, `go1.27-rc.1 X:nogreenteagc`) belongs to a release (`1.26`).
fn is_release(version: &str, release: &str) -> bool {
    let rest = version.strip_prefix("go").and_then(|version| version.strip_prefix(release));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{LabelForm, is_release};

    #[test]
    fn a_version_belongs_to_its_own_release_only() {
        for (version, release, same) in [
            ("go1.26.8", "1.26", true),
            ("go1.26", "1.26", true),
            ("go1.27-rc.1 X:nogreenteagc", "1.27", true),
            ("go1.2", "1.26", false),
            ("go1.261", "1.26", false),
            ("devel go1.26", "1.26", false),
        ] {
            assert_eq!(is_release(version, release), same, "{version}");
        }
    }

    #[test]
    fn labels_are_a_list_since_go_1_24() {
        let form = |version| LabelForm::from_version(version);
        assert_eq!(["go1.18", "go1.23.12"].map(form), [Some(LabelForm::Map); 2]);
        assert_eq!(["go1.24rc1", "go1.27.3 X:x", "devel go1.28-2f3a"].map(form), [Some(LabelForm::List); 3]);
        assert_eq!(["", "go2.1", "go1.x"].map(form), [None; 3]);
    }
}
