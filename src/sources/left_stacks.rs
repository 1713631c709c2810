//! Stacks of goroutines whose threads ran generated code on other memory, as they were read from a program's memory.

use serde::{Deserialize, Serialize};

/// The words of a stack that are addresses of code, each with the address of its slot, in ascending order of slots. Holds
/// none of the program's data.
pub type CodeWords = Vec<(u64, u64)>;

/// The stacks that threads have left, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftStackReadings {
    /// The different contents that readings refer to.
    pub contents: Vec<CodeWords>,
    /// The readings. Those of one thread are in the order of time.
    pub readings: Vec<LeftStack>,
}

/// A goroutine's stack while the goroutine's thread ran generated code on other memory. Nothing runs on the stack meanwhile,
/// so it does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftStack {
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Address of the goroutine's descriptor.
    pub descriptor: u64,
    /// Time of the first reading with this content, in nanoseconds of the samples' clock.
    pub first_ns: u64,
    /// Time of the last reading with this content.
    pub last_ns: u64,
    /// The lowest address of the stack, and the address after the highest.
    pub stack: (u64, u64),
    /// Position in [`LeftStackReadings::contents`].
    pub content: u32,
}

impl LeftStackReadings {
    /// Adds the readings of other programs.
    pub fn append(&mut self, other: Self) {
        let added = u32::try_from(self.contents.len()).unwrap_or(u32::MAX);
        self.contents.extend(other.contents);
        let moved = other.readings.into_iter();
        self.readings
            .extend(moved.map(|reading| LeftStack { content: reading.content.saturating_add(added), ..reading }));
    }
}
