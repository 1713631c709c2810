//! Goroutines of a run: the layout of the program's goroutine descriptors, and the file that stores the readings.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::analyse::GoroutineSeen;
use crate::fsio;
use crate::gobin::Binary;
use crate::perfevent::MappedFile;
use crate::record;

/// Name of the file in a run directory.
pub(super) const GOROUTINES_FILE: &str = "goroutines.json";

/// Version of the file format.
const SCHEMA: u32 = 2;

/// Maximum size of the file in bytes. A recorder keeps 2^18 readings, each about 200 bytes as text.
const LARGEST: u64 = 1 << 27;

/// Returns the layout of the program's goroutine descriptors. `program` is an absolute path without links. An error is
/// the reason why the layout is unknown.
pub(super) fn layout(program: &Path) -> Result<record::GoroutineLayout, String> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return Err("this machine's programs have no goroutine register that goflame knows".into());
    }
    let unreadable = |error: &dyn std::error::Error| format!("the program cannot be read: {error}");
    let bytes = File::open(program).and_then(|file| MappedFile::map(&file, program));
    let bytes = bytes.map_err(|error| unreadable(&error))?;
    let binary = Binary::parse(bytes.as_ref()).map_err(|error| unreadable(&error))?;
    let (g, _) = binary.g_layout().map_err(|error| error.to_string())?;
    Ok(record::GoroutineLayout {
        program: program.to_owned(),
        stack: (g.stack_low, g.stack_high),
        thread: g.m,
        id: g.goid,
        parent: g.parent_goid,
        creator: g.gopc,
        start: g.startpc,
        own: [g.m_g0, g.m_gsignal],
        current: g.m_curg,
    })
}

#[derive(Serialize, Deserialize)]
struct Readings {
    schema: u32,
    /// Readings of goroutine descriptors. Each holds from its first to its last time.
    readings: Vec<Reading>,
}

/// Reading of a goroutine descriptor. Addresses belong to the process. Times are in nanoseconds of the samples' clock.
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
    /// Absent in format 1.
    #[serde(default)]
    stack: (u64, u64),
    /// Absent in format 1.
    #[serde(default)]
    runs: u64,
}

/// Returns the content of the file.
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
        stack: seen.stack,
        runs: seen.runs,
    };
    let file = Readings { schema: SCHEMA, readings: seen.iter().map(reading).collect() };
    // Serialising plain numbers never fails.
    serde_json::to_vec(&file).unwrap_or_default()
}

/// Converts the readings of the recorder for the analysis.
pub(super) fn for_analysis(seen: &[record::GoroutineSeen]) -> Vec<GoroutineSeen> {
    let seen = seen.iter().map(|seen| GoroutineSeen {
        pid: seen.pid,
        address: seen.address,
        times: seen.times,
        id: seen.id,
        creator: seen.creator,
        start: seen.start,
        stack: seen.stack,
        runs: seen.runs,
    });
    seen.collect()
}

/// Reads the readings of a run. Empty if the run has no such file, or if its format is unknown.
pub(super) fn of_file(path: &Path) -> Result<Vec<GoroutineSeen>, Error> {
    let bytes = match fsio::read_bounded(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(Error::Input(error)),
    };
    let file = serde_json::from_slice::<Readings>(&bytes).ok().filter(|file| file.schema <= SCHEMA);
    let readings = file.map_or_else(Vec::new, |file| file.readings);
    let seen = readings.into_iter().map(|reading| GoroutineSeen {
        pid: reading.pid,
        address: reading.descriptor,
        times: (reading.first_ns, reading.last_ns),
        id: reading.goroutine,
        creator: reading.creator,
        start: reading.start,
        stack: reading.stack,
        runs: reading.runs,
    });
    Ok(seen.collect())
}

#[cfg(test)]
mod tests {
    use super::{for_analysis, of_file, to_file};
    use crate::record::GoroutineSeen;

    #[test]
    fn a_file_gives_back_what_was_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("goroutines.json");
        assert_eq!(of_file(&path).expect("an absent file"), []);
        let (times, stack) = ((2, 3), (64, 128));
        let seen = [GoroutineSeen {
            pid: 1,
            address: 8,
            times,
            id: 4,
            parent: 1,
            creator: 5,
            start: u64::MAX,
            stack,
            runs: 9,
        }];
        std::fs::write(&path, to_file(&seen)).expect("a file");
        assert_eq!(of_file(&path).expect("a file"), for_analysis(&seen));
        let old = r#"{"schema":1,"readings":[{"pid":1,"descriptor":8,"first_ns":2,"last_ns":3,"goroutine":4,"parent":1,"creator":5,"start":6}]}"#;
        std::fs::write(&path, old).expect("a file");
        assert_eq!(of_file(&path).expect("an older file")[0].stack, (0, 0));
        std::fs::write(&path, "{").expect("a file");
        assert_eq!(of_file(&path).expect("a damaged file"), []);
    }
}
