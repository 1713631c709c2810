//! Left stacks, read from a program's memory: stacks of goroutines whose threads run generated code on other memory.

use serde::{Deserialize, Serialize};

/// The words of a stack that are addresses of code, as pairs: address of the stack slot, and the word. Sorted by slot.
/// Contains no data of the program.
pub type CodeWords = Vec<(u64, u64)>;

/// Left stacks, and the times at which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftStackReadings {
    /// The different contents of stacks.
    pub contents: Vec<CodeWords>,
    /// The readings. Readings of the same thread are in time order.
    pub readings: Vec<LeftStack>,
}

/// A goroutine's stack while the goroutine's thread runs generated code on other memory. During that time nothing runs on
/// the stack, so it does not change.
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
    /// Lowest address of the stack, and the address after the highest one.
    pub stack: (u64, u64),
    /// Position of the stack's content in [`LeftStackReadings::contents`].
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
