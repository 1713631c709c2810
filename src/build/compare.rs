//! Comparison of two builds of the same project, byte by byte. Reports where they differ and why.
//!
//! Works on bytes. Must not build or touch the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::{Object, ObjectSection};

use crate::gobin::{Binary, BuildInfo};

/// One of the two builds: its bytes and its directory.
#[derive(Debug, Clone, Copy)]
pub struct ComparedProgram<'a> {
    /// The bytes of the program.
    pub bytes: &'a [u8],
    /// The project directory of this build.
    pub dir: &'a Path,
    /// Place of this build in messages such as `go1.27.3 in the project, go1.26.8 in the copy`.
    pub name: &'a str,
}

/// Difference between two builds. [`compare_programs`] returns `None` if they are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", sections.join("\n"))]
pub struct BuildDifference {
    /// Differences by section, in file order.
    pub sections: Vec<String>,
    /// Likely reasons for the difference, the most likely first. Contains only reasons that the bytes show.
    pub culprits: Vec<Culprit>,
}

/// Reason why two builds differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Stable name: `paths`, `vcs`, `flags`, `environment`, `go-version`, `modules`, `cgo`, `build-id`, `sources`.
    pub id: &'static str,
    /// Evidence and advice, in one sentence.
    pub text: String,
}

/// Compares two builds. Returns `None` if the bytes are equal.
pub fn compare_programs(a: &ComparedProgram<'_>, b: &ComparedProgram<'_>) -> Option<BuildDifference> {
    if a.bytes == b.bytes {
        return None;
    }
    let (sections, names) = differing_sections(a.bytes, b.bytes);
    Some(BuildDifference { sections, culprits: find_culprits(a, b, &names) })
}

/// Returns the differences and the names of the sections that differ.
fn differing_sections(a: &[u8], b: &[u8]) -> (Vec<String>, BTreeSet<String>) {
    let (Ok(first), Ok(second)) = (object::File::parse(a), object::File::parse(b)) else {
        return (
            vec![format!("{} bytes and {} bytes, and at least one is not an ELF file", a.len(), b.len())],
            BTreeSet::new(),
        );
    };
    let of = |file: &object::File<'_>| -> Vec<(String, Vec<u8>)> {
        let sections = file.sections().filter_map(|section| {
            let name = section.name().ok()?.to_owned();
            Some((name, section.data().unwrap_or_default().to_vec()))
        });
        sections.filter(|(name, _)| !name.is_empty()).collect()
    };
    let (first, second) = (of(&first), of(&second));
    let by_name: BTreeMap<&str, &[u8]> = second.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    let (mut lines, mut names) = (Vec::new(), BTreeSet::new());
    let mut differs = |name: &str, text: String| {
        lines.push(format!("{name}: {text}"));
        names.insert(name.to_owned());
    };
    for (name, data) in &first {
        match by_name.get(name.as_str()) {
            None => differs(name, "only in the first program".to_owned()),
            Some(other) if *other == data.as_slice() => {}
            Some(other) => {
                let pairs = || data.iter().zip(other.iter()).enumerate().filter(|(_, (a, b))| a != b);
                let at = pairs().next().map_or(data.len().min(other.len()), |(at, _)| at);
                let size = if data.len() == other.len() {
                    format!("{} of {} bytes differ", pairs().count(), data.len())
                } else {
                    format!("{} bytes and {} bytes", data.len(), other.len())
                };
                differs(name, format!("{size}, first at {at:#x}"));
            }
        }
    }
    for (name, _) in second.iter().filter(|(name, _)| !first.iter().any(|(other, _)| other == name)) {
        differs(name, "only in the second program".to_owned());
    }
    if lines.is_empty() {
        lines.push("headers or padding: all sections are equal".to_owned());
    }
    (lines, names)
}

fn find_culprits(a: &ComparedProgram<'_>, b: &ComparedProgram<'_>, sections: &BTreeSet<String>) -> Vec<Culprit> {
    let mut found = Vec::new();
    let mut blame = |id, text: String| found.push(Culprit { id, text });
    let facts = |side: &ComparedProgram<'_>| Binary::parse(side.bytes).ok().map(|binary| binary.facts());
    let (first, second) = (facts(a), facts(b));
    let info = |facts: &Option<crate::gobin::BinaryFacts>| facts.as_ref().and_then(|facts| facts.go.clone().ok());
    if let (Some(first), Some(second)) = (info(&first), info(&second)) {
        for (id, text) in compare_build_info(&first, &second, a.name, b.name) {
            blame(id, text);
        }
        let trimmed = |info: &BuildInfo| info.setting("-trimpath") == Some("true");
        if !trimmed(&first) || !trimmed(&second) {
            for side in [a, b] {
                if a.dir != b.dir && contains_path(side.bytes, side.dir) {
                    let dir = side.dir.display();
                    blame(
                        "paths",
                        format!("the program contains the path {dir}: trimpath = true in the variant removes it"),
                    );
                    break;
                }
            }
        } else if a.dir != b.dir && (contains_path(a.bytes, a.dir) || contains_path(b.bytes, b.dir)) {
            blame(
                "paths",
                "the program contains a path despite -trimpath: look for ${SRCDIR} in #cgo lines, and for -X"
                    .to_owned(),
            );
        }
    }
    if first.is_some_and(|facts| facts.uses_cgo) || second.is_some_and(|facts| facts.uses_cgo) {
        blame(
            "cgo",
            "C code is linked in, so the C compiler, its flags and the C library are inputs too: pin them with an image, or \
             set cgo = false"
                .to_owned(),
        );
    }
    let only_id = sections.iter().all(|name| matches!(name.as_str(), ".note.go.buildid" | ".note.gnu.build-id"));
    if only_id && !sections.is_empty() {
        blame(
            "build-id",
            "only the build id differs: an input differs that has no other effect on the program, such as a linker flag".to_owned(),
        );
    }
    if found.is_empty() {
        let text = "no known reason: look for generated code, for files that changed between the builds, and for a \
                    wrapper around go";
        found.push(Culprit { id: "sources", text: text.to_owned() });
    }
    found
}

/// Compares the build information that the go command wrote.
fn compare_build_info(a: &BuildInfo, b: &BuildInfo, first: &str, second: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if a.go_version != b.go_version {
        found.push((
            "go-version",
            format!("{} {first}, {} {second}: pin `go` in [toolchain]", a.go_version, b.go_version),
        ));
    }
    let keys: BTreeSet<&str> = a.settings.iter().chain(&b.settings).map(|(key, _)| key.as_str()).collect();
    let mut stamped = Vec::new();
    for key in keys {
        let (before, after) = (a.setting(key), b.setting(key));
        if before == after {
            continue;
        }
        let shown = |value: Option<&str>| value.map_or_else(|| "not set".to_owned(), |value| format!("{value:?}"));
        let text = format!("{key} is {} {first}, {} {second}", shown(before), shown(after));
        match key {
            "vcs.modified" => stamped.push(
                "the repository has uncommitted changes or files, which the stamp records (vcs.modified): commit or \
                 remove them"
                    .to_owned(),
            ),
            key if key.starts_with("vcs") => stamped.push(text),
            key if key.starts_with("CGO_") && key != "CGO_ENABLED" => {
                found.push((
                    "cgo",
                    format!("{text}: set it in the variant's env, so that all builds use the same value"),
                ));
            }
            key if key.starts_with('-') => found.push(("flags", text)),
            _ => found.push(("environment", format!("{text}: set it in the variant's env"))),
        }
    }
    if !stamped.is_empty() {
        let text = format!("{}; buildvcs = false removes the stamp", stamped.join("; "));
        found.insert(0, ("vcs", text));
    }
    if a.deps != b.deps {
        found.push(("modules", "the module versions differ: go.mod or go.sum changed between the builds".to_owned()));
    }
    found
}

fn contains_path(bytes: &[u8], dir: &Path) -> bool {
    let Some(text) = dir.to_str() else { return false };
    !text.is_empty() && bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests;
