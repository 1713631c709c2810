//! Profiler labels of goroutines (`pprof.Do`, `pprof.SetGoroutineLabels`), as they were read from a program's memory.

use serde::{Deserialize, Serialize};

/// Names and values of labels, sorted by name.
pub type LabelSet = Vec<(String, String)>;

/// The labels that goroutines had, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelReadings {
    /// The sets that readings refer to. The first one is empty. Without any labels there is no set.
    pub sets: Vec<LabelSet>,
    /// The readings. Those of one descriptor are in the order of time.
    pub readings: Vec<LabelReading>,
}

/// The labels in a goroutine descriptor between its first and last equal reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelReading {
    /// Process id.
    pub pid: u32,
    /// Address of the descriptor.
    #[serde(rename = "descriptor")]
    pub address: u64,
    /// Time of the first reading with these labels, in nanoseconds of the samples' clock.
    pub first_ns: u64,
    /// Time of the last reading with these labels.
    pub last_ns: u64,
    /// Position in [`LabelReadings::sets`].
    pub set: u32,
}

impl LabelReadings {
    /// Adds the readings of other programs.
    pub fn append(&mut self, other: Self) {
        let added = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.extend(other.sets);
        let moved = other.readings.into_iter().map(|reading| LabelReading { set: reading.set + added, ..reading });
        self.readings.extend(moved);
    }

    /// Replaces each value by `value` of its name and itself.
    pub fn replace_values(&mut self, value: impl Fn(&str, &str) -> String) {
        for (name, text) in self.sets.iter_mut().flatten() {
            *text = value(name, text);
        }
    }
}
