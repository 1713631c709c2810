//! File with the goroutine readings of a run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{LabelReadings, LeftStackReadings};
use crate::fsio::{self, FileError};

/// Version of the file format.
const SCHEMA: u32 = 2;

/// Maximum size of the file in bytes. A recorder keeps 2^18 readings, each about 200 bytes as text, and 2^20 of labels,
/// each about 100.
const MAX_BYTES: u64 = 1 << 28;

#[derive(Serialize, Deserialize)]
struct GoroutineFile<R, L, S> {
    schema: u32,
    /// Each reading holds from its first to its last time.
    readings: R,
    /// Absent in files of older versions.
    #[serde(default)]
    labels: L,
    /// Absent in files of older versions.
    #[serde(default)]
    left_stacks: S,
}

/// The content of a goroutine descriptor (`runtime.g`) between its first and last equal reading. Addresses belong to the
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoroutineReading {
    /// Process id.
    pub pid: u32,
    /// Address of the descriptor, which is the value of the goroutine register.
    #[serde(rename = "descriptor")]
    pub address: u64,
    /// Time of the first reading with this content, in nanoseconds of the samples' clock.
    pub first_ns: u64,
    /// Time of the last reading with this content.
    pub last_ns: u64,
    /// The goroutine's number. 0 for a thread's own descriptor.
    #[serde(rename = "goroutine")]
    pub id: u64,
    /// The number of the goroutine that created it. 0 if unknown.
    pub parent: u64,
    /// Return address of the `go` statement that created it. 0 if the runtime created it without one.
    pub creator: u64,
    /// The first address of its entry.
    pub start: u64,
    /// The lowest address of its stack, and the address after the highest. Both are 0 if it has no stack. Absent in
    /// format 1.
    #[serde(default)]
    pub stack: (u64, u64),
    /// For a thread's own descriptor: the descriptor of the goroutine that the thread runs, or 0. Absent in format 1.
    #[serde(default)]
    pub runs: u64,
}

impl GoroutineReading {
    /// Whether an address is in the goroutine's stack.
    pub fn holds(&self, address: u64) -> bool {
        (self.stack.0..self.stack.1).contains(&address)
    }

    /// Whether the content is valid at a time: two readings agree on it, one before and one after.
    pub fn covers(&self, time: u64) -> bool {
        (self.first_ns..=self.last_ns).contains(&time)
    }
}

/// The content of a run's file.
pub type KeptReadings = (Vec<GoroutineReading>, LabelReadings, LeftStackReadings);

/// Returns the content of the file.
pub fn goroutines_to_json(
    readings: &[GoroutineReading],
    labels: &LabelReadings,
    left_stacks: &LeftStackReadings,
) -> Vec<u8> {
    // Serialising plain numbers and texts never fails.
    serde_json::to_vec(&GoroutineFile { schema: SCHEMA, readings, labels, left_stacks }).unwrap_or_default()
}

/// Reads the file of a run. Empty if the run has no such file, or if its format is unknown.
pub fn goroutines_from_file(path: &Path) -> Result<KeptReadings, FileError> {
    let bytes = match fsio::read_bounded(path, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(Default::default()),
        Err(error) => return Err(error),
    };
    let file =
        serde_json::from_slice::<GoroutineFile<Vec<GoroutineReading>, LabelReadings, LeftStackReadings>>(&bytes).ok();
    let file = file.filter(|file| file.schema <= SCHEMA);
    Ok(file.map_or_else(Default::default, |file| (file.readings, file.labels, file.left_stacks)))
}

#[cfg(test)]
mod tests {
    use super::{GoroutineReading, LabelReadings, LeftStackReadings, goroutines_from_file, goroutines_to_json};
    use crate::sources::{LabelReading, LeftStack};

    #[test]
    fn a_file_gives_back_its_readings() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("goroutines.json");
        assert_eq!(goroutines_from_file(&path).expect("an absent file"), Default::default());
        let reading = GoroutineReading {
            pid: 1,
            address: 8,
            first_ns: 2,
            last_ns: 3,
            id: 4,
            parent: 1,
            creator: 5,
            start: u64::MAX,
            stack: (64, 128),
            runs: 9,
        };
        let labels = LabelReadings {
            sets: vec![Vec::new(), vec![("tenant".into(), "a \"b\"".into())]],
            readings: vec![LabelReading { pid: 1, address: 8, first_ns: 2, last_ns: 3, set: 1 }],
        };
        let left = LeftStack { pid: 1, tid: 2, descriptor: 8, first_ns: 2, last_ns: 3, stack: (64, 128), content: 0 };
        let left = LeftStackReadings { contents: vec![vec![(72, u64::MAX)]], readings: vec![left] };
        std::fs::write(&path, goroutines_to_json(std::slice::from_ref(&reading), &labels, &left)).expect("a file");
        assert_eq!(goroutines_from_file(&path).expect("a file"), (vec![reading], labels, left));
        let old = r#"{"schema":1,"readings":[{"pid":1,"descriptor":8,"first_ns":2,"last_ns":3,"goroutine":4,"parent":1,"creator":5,"start":6}]}"#;
        std::fs::write(&path, old).expect("a file");
        let (readings, labels, left) = goroutines_from_file(&path).expect("an older file");
        assert_eq!((readings[0].stack, labels, left), ((0, 0), LabelReadings::default(), LeftStackReadings::default()));
        std::fs::write(&path, "{").expect("a file");
        assert_eq!(goroutines_from_file(&path).expect("a damaged file"), Default::default());
    }
}
