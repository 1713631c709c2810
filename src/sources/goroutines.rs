//! File with the goroutine readings of a run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fsio::{self, FileError};

/// Version of the file format.
const SCHEMA: u32 = 2;

/// Maximum size of the file in bytes. A recorder keeps 2^18 readings, each about 200 bytes as text.
const MAX_BYTES: u64 = 1 << 27;

#[derive(Serialize, Deserialize)]
struct GoroutineFile<R> {
    schema: u32,
    /// Each reading holds from its first to its last time.
    readings: R,
}

/// Reading of a goroutine descriptor. Addresses belong to the process. Times are in nanoseconds of the samples' clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the file, which docs/src/outputs.md explains")]
pub struct GoroutineReading {
    pub pid: u32,
    pub descriptor: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    pub goroutine: u64,
    pub parent: u64,
    pub creator: u64,
    pub start: u64,
    /// Absent in format 1.
    #[serde(default)]
    pub stack: (u64, u64),
    /// Absent in format 1.
    #[serde(default)]
    pub runs: u64,
}

/// Returns the content of the file.
pub fn goroutines_to_json(readings: &[GoroutineReading]) -> Vec<u8> {
    // Serialising plain numbers never fails.
    serde_json::to_vec(&GoroutineFile { schema: SCHEMA, readings }).unwrap_or_default()
}

/// Reads the file of a run. Empty if the run has no such file, or if its format is unknown.
pub fn goroutines_from_file(path: &Path) -> Result<Vec<GoroutineReading>, FileError> {
    let bytes = match fsio::read_bounded(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let file = serde_json::from_slice::<GoroutineFile<Vec<GoroutineReading>>>(&bytes).ok();
    Ok(file.filter(|file| file.schema <= SCHEMA).map_or_else(Vec::new, |file| file.readings))
}

#[cfg(test)]
mod tests {
    use super::{GoroutineReading, goroutines_from_file, goroutines_to_json};

    #[test]
    fn a_file_gives_back_its_readings() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("goroutines.json");
        assert_eq!(goroutines_from_file(&path).expect("an absent file"), []);
        let reading = GoroutineReading {
            pid: 1,
            descriptor: 8,
            first_ns: 2,
            last_ns: 3,
            goroutine: 4,
            parent: 1,
            creator: 5,
            start: u64::MAX,
            stack: (64, 128),
            runs: 9,
        };
        std::fs::write(&path, goroutines_to_json(std::slice::from_ref(&reading))).expect("a file");
        assert_eq!(goroutines_from_file(&path).expect("a file"), [reading]);
        let old = r#"{"schema":1,"readings":[{"pid":1,"descriptor":8,"first_ns":2,"last_ns":3,"goroutine":4,"parent":1,"creator":5,"start":6}]}"#;
        std::fs::write(&path, old).expect("a file");
        assert_eq!(goroutines_from_file(&path).expect("an older file")[0].stack, (0, 0));
        std::fs::write(&path, "{").expect("a file");
        assert_eq!(goroutines_from_file(&path).expect("a damaged file"), []);
    }
}
