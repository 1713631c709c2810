//! The file of a run with everything that was read of goroutines: descriptors, labels and left stacks.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{LabelReadings, LeftStackReadings};
use crate::fsio::{self, FileError};

/// Version of the file format.
const SCHEMA: u32 = 2;

/// Maximum size of the file. A recorder keeps at most 2^18 readings of descriptors (each about 200 bytes as text), 2^20
/// readings of labels (100 bytes), and 2^19 readings of left stacks (150 bytes) with 2^20 words (30 bytes).
const MAX_FILE_BYTES: u64 = 1 << 28;

#[derive(Serialize, Deserialize)]
struct GoroutineFile<R, L, S> {
    schema: u32,
    /// Readings of descriptors.
    readings: R,
    /// Absent in files of older versions.
    #[serde(default)]
    labels: L,
    /// Absent in files of older versions.
    #[serde(default)]
    left_stacks: S,
}

/// The content of a goroutine descriptor (`runtime.g`), which did not change between two times. Addresses are those of the
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
    /// Id of the goroutine. 0 for a thread's own descriptor.
    #[serde(rename = "goroutine")]
    pub id: u64,
    /// Id of the goroutine that created this goroutine. 0 if unknown.
    pub parent: u64,
    /// Return address of the `go` statement that created the goroutine. 0 if the runtime created it without a statement.
    pub creator: u64,
    /// First address of the function that the goroutine was started with.
    pub start: u64,
    /// Lowest address of the goroutine's stack, and the address after the highest one. Both are 0 without a stack. Absent
    /// in format 1.
    #[serde(default)]
    pub stack: (u64, u64),
    /// For a thread's own descriptor: the descriptor of the goroutine that the thread runs, or 0. Absent in format 1.
    #[serde(default)]
    pub runs: u64,
}

impl GoroutineReading {
    /// Whether an address is in the goroutine's stack.
    pub fn stack_contains(&self, address: u64) -> bool {
        (self.stack.0..self.stack.1).contains(&address)
    }

    /// Whether the content is certain at a time: it was read before and after that time, and was the same.
    pub fn covers(&self, time: u64) -> bool {
        (self.first_ns..=self.last_ns).contains(&time)
    }
}

/// All readings in the file of a run.
pub type KeptReadings = (Vec<GoroutineReading>, LabelReadings, LeftStackReadings);

/// Returns the content of a file that [`goroutines_from_file`] reads.
pub fn goroutines_to_json(
    readings: &[GoroutineReading],
    labels: &LabelReadings,
    left_stacks: &LeftStackReadings,
) -> Vec<u8> {
    // Serialising plain numbers and texts never fails.
    serde_json::to_vec(&GoroutineFile { schema: SCHEMA, readings, labels, left_stacks }).unwrap_or_default()
}

/// Reads the goroutine readings of a run. Empty if the run has no such file, or if the file is damaged or has a newer
/// format.
pub fn goroutines_from_file(path: &Path) -> Result<KeptReadings, FileError> {
    let bytes = match fsio::read_bounded(path, MAX_FILE_BYTES) {
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
    fn readings_are_the_same_after_writing_and_reading() {
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
