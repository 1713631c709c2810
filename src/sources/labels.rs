//! Profiler labels of goroutines (`pprof.Do`, `pprof.SetGoroutineLabels`), as they were read from a program's memory.

use serde::{Deserialize, Serialize};

/// Names and values of labels, sorted by name.
pub type LabelSet = Vec<(String, String)>;

/// The profiler labels of goroutines, and the times at which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelReadings {
    /// The different label sets. The first set is empty. Without any labels there is no set.
    pub sets: Vec<LabelSet>,
    /// The readings. Readings of the same descriptor are in time order.
    pub readings: Vec<LabelReading>,
}

/// The labels in a goroutine descriptor, which did not change between two times.
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
    /// Position of the labels in [`LabelReadings::sets`].
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

    /// Replaces each value of a label by the result of `replacement`, which gets the label's name and value.
    pub fn replace_values(&mut self, replacement: impl Fn(&str, &str) -> String) {
        for (name, value) in self.sets.iter_mut().flatten() {
            *value = replacement(name, value);
        }
    }
}
