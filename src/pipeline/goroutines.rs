//! Goroutines of a run: where the program's descriptors have their fields, and the file that readings are kept in.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::analyse::GoroutineSeen;
use crate::build::Artifact;
use crate::fsio;
use crate::record;

/// The file in a run directory.
pub(super) const GOROUTINES_FILE: &str = "goroutines.json";

/// The number of its format.
const SCHEMA: u32 = 1;

/// A recorder keeps 2^18 readings, of some 150 bytes each as text.
const LARGEST: u64 = 1 << 26;

/// Offsets in `runtime.g` by Go version: goid, parentGoid, gopc, startpc. From the DWARF of programs that these
/// versions built; amd64 and arm64 are alike. A version that is not here is not guessed at.
const OFFSETS: [(&str, usize, Option<usize>, usize, usize); 8] = [
    ("1.19", 152, None, 296, 312),
    ("1.21", 152, Some(272), 280, 296),
    ("1.22", 152, Some(272), 280, 296),
    ("1.23", 160, Some(280), 288, 304),
    ("1.24", 160, Some(280), 288, 304),
    ("1.25", 152, Some(272), 280, 296),
    ("1.26", 152, Some(280), 288, 304),
    ("1.27", 152, Some(280), 288, 304),
];

/// How to read the goroutines of a program; `None` when it is not known.
pub(super) fn layout(artifact: &Artifact) -> Option<record::GoroutineLayout> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return None;
    }
    let go = artifact.facts.go.as_ref().ok()?;
    let (_, id, parent, creator, start) = *OFFSETS.iter().find(|row| is_of(&go.go_version, row.0))?;
    let program = std::fs::canonicalize(&artifact.path).ok()?;
    Some(record::GoroutineLayout { program, id, parent, creator, start })
}

/// Whether a version (`go1.26.8`, `go1.27-rc.1 X:nogreenteagc`) is one of these releases.
fn is_of(version: &str, release: &str) -> bool {
    let rest = version.strip_prefix("go").and_then(|version| version.strip_prefix(release));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    /// Descriptors of goroutines, each as it was read from one time to another.
    readings: Vec<Reading>,
}

/// Addresses are of the process; times are nanoseconds of the samples' clock.
#[derive(Serialize, Deserialize)]
struct Reading {
    pid: u32,
    descriptor: u64,
    first_ns: u64,
    last_ns: u64,
    goroutine: u64,
    parent: u64,
    creator: u64,
    start: u64,
}

/// The file's bytes.
pub(super) fn to_file(seen: &[record::GoroutineSeen]) -> Vec<u8> {
    let reading = |seen: &record::GoroutineSeen| Reading {
        pid: seen.pid,
        descriptor: seen.address,
        first_ns: seen.times.0,
        last_ns: seen.times.1,
        goroutine: seen.id,
        parent: seen.parent,
        creator: seen.creator,
        start: seen.start,
    };
    let file = File { schema: SCHEMA, readings: seen.iter().map(reading).collect() };
    // Plain numbers can always be written.
    serde_json::to_vec(&file).unwrap_or_default()
}

/// What the recorder saw, for the analysis.
pub(super) fn for_analysis(seen: &[record::GoroutineSeen]) -> Vec<GoroutineSeen> {
    let seen = seen.iter().map(|seen| GoroutineSeen {
        pid: seen.pid,
        address: seen.address,
        times: seen.times,
        id: seen.id,
        creator: seen.creator,
        start: seen.start,
    });
    seen.collect()
}

/// What a run's file says; nothing where it has none, or one of another format.
pub(super) fn of_file(path: &Path) -> Result<Vec<GoroutineSeen>, Error> {
    let bytes = match fsio::read_bounded(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(Error::Input(error)),
    };
    let file = serde_json::from_slice::<File>(&bytes).ok().filter(|file| file.schema == SCHEMA);
    let readings = file.map_or_else(Vec::new, |file| file.readings);
    let seen = readings.into_iter().map(|reading| GoroutineSeen {
        pid: reading.pid,
        address: reading.descriptor,
        times: (reading.first_ns, reading.last_ns),
        id: reading.goroutine,
        creator: reading.creator,
        start: reading.start,
    });
    Ok(seen.collect())
}

#[cfg(test)]
mod tests {
    use super::{for_analysis, is_of, of_file, to_file};
    use crate::record::GoroutineSeen;

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

    #[test]
    fn a_file_gives_back_what_was_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("goroutines.json");
        assert_eq!(of_file(&path).expect("an absent file"), []);
        let seen = [GoroutineSeen { pid: 1, address: 8, times: (2, 3), id: 4, parent: 1, creator: 5, start: u64::MAX }];
        std::fs::write(&path, to_file(&seen)).expect("a file");
        assert_eq!(of_file(&path).expect("a file"), for_analysis(&seen));
        std::fs::write(&path, "{").expect("a file");
        assert_eq!(of_file(&path).expect("a damaged file"), []);
    }
}
