//! Reads the stacks of goroutines whose threads run generated code on other memory.
//!
//! A runtime may run its machine code on a stack of its own, and keep where the goroutine's stack continues in memory that
//! only it knows. The stack copy of a sample then holds nothing of the goroutine's stack, and the goroutine register has any
//! value. But the thread's own structure (`runtime.m`) names the goroutine, and nothing changes on the stack that was left.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use super::memory::ProgramMemory;
use crate::sources::{CodeWords, GoroutineReading, LeftStack, LeftStackReadings};

/// Maximum number of bytes of a stack that are read: those of the outermost callers.
const MAX_STACK_BYTES: u64 = 1 << 16;

/// Maximum number of readings that are kept, 48 bytes each, and of words of different stacks, 16 bytes each.
const MAX_READINGS: usize = 1 << 19;
const MAX_WORDS: usize = 1 << 20;

/// Time between two readings, once a thread has left a stack. A reading takes about 20 microseconds.
const INTERVAL: Duration = Duration::from_millis(10);

/// Number of readings after which they no longer come at this interval if no thread was seen in generated code.
const MAX_QUIET_ROUNDS: u32 = 20;

/// Longest time in nanoseconds between two equal readings that are one.
const MAX_GAP: u64 = 100_000_000;

/// The stacks that threads have left.
#[derive(Debug, Default)]
pub(super) struct LeftStackWatch {
    /// Threads that were seen in generated code since the last reading.
    noted: HashSet<(u32, u32)>,
    /// Number of readings in a row for which no thread was noted.
    quiet_rounds: u32,
    /// For each process, the threads by their number in the process's own namespace: their `runtime.m`.
    threads: HashMap<(u32, u64), u64>,
    /// The number of a thread in the process's own namespace.
    own_numbers: HashMap<(u32, u32), Option<u64>>,
    /// The newest reading of each thread, as an index into `readings`.
    newest: HashMap<(u32, u32), usize>,
    readings: Vec<LeftStack>,
    /// The different contents, with their positions.
    contents: HashMap<CodeWords, u32>,
    /// Number of words in them.
    words: usize,
}

impl LeftStackWatch {
    /// Notes a thread that runs generated code outside of the known stacks.
    pub(super) fn note(&mut self, pid: u32, tid: u32) {
        self.noted.insert((pid, tid));
    }

    /// Time after which the stacks are read again. `None` if no thread has left one lately.
    pub(super) fn interval(&self) -> Option<Duration> {
        (!self.readings.is_empty() && self.quiet_rounds < MAX_QUIET_ROUNDS).then_some(INTERVAL)
    }

    /// The threads that were noted since the last call.
    pub(super) fn take_noted(&mut self) -> HashSet<(u32, u32)> {
        self.quiet_rounds = if self.noted.is_empty() { self.quiet_rounds.saturating_add(1) } else { 0 };
        std::mem::take(&mut self.noted)
    }

    /// Keeps the address of a thread's `runtime.m`, which holds this thread number.
    pub(super) fn know_thread(&mut self, pid: u32, number: u64, thread: u64) {
        self.threads.insert((pid, number), thread);
    }

    /// The thread's number in its own namespace, and its `runtime.m`.
    pub(super) fn thread(&mut self, pid: u32, tid: u32) -> Option<(u64, u64)> {
        let number = (*self.own_numbers.entry((pid, tid)).or_insert_with(|| own_number(pid, tid)))?;
        Some((number, *self.threads.get(&(pid, number))?))
    }

    /// Extends the newest reading of the thread if both agree. Otherwise adds the new one. Returns whether the stack has
    /// changed.
    pub(super) fn keep(&mut self, tid: u32, goroutine: &GoroutineReading, words: CodeWords) -> bool {
        let GoroutineReading { pid, address: descriptor, last_ns: now, stack, .. } = *goroutine;
        let Some(content) = self.intern(words) else { return false };
        let found = LeftStack { pid, tid, descriptor, first_ns: now, last_ns: now, stack, content };
        let newest = self.newest.get(&(pid, tid)).and_then(|at| self.readings.get_mut(*at));
        if let Some(known) = newest {
            let is_same = (known.descriptor, known.stack, known.content) == (descriptor, stack, content);
            if is_same && now.saturating_sub(known.last_ns) <= MAX_GAP {
                known.last_ns = now;
                return false;
            }
        }
        if self.readings.len() < MAX_READINGS {
            self.newest.insert((pid, tid), self.readings.len());
            self.readings.push(found);
        }
        true
    }

    /// The position of a content. `None` if it is new and there are too many.
    fn intern(&mut self, words: CodeWords) -> Option<u32> {
        if let Some(known) = self.contents.get(&words) {
            return Some(*known);
        }
        let position = u32::try_from(self.contents.len()).ok()?;
        self.words = self.words.checked_add(words.len()).filter(|words| *words <= MAX_WORDS)?;
        self.contents.insert(words, position);
        Some(position)
    }

    /// All readings.
    pub(super) fn finish(self) -> LeftStackReadings {
        let mut contents: Vec<(CodeWords, u32)> = self.contents.into_iter().collect();
        contents.sort_unstable_by_key(|(_, position)| *position);
        let contents = contents.into_iter().map(|(words, _)| words).collect();
        LeftStackReadings { contents, readings: self.readings }
    }
}

/// Reads the words that are addresses of code from the stack between these addresses.
pub(super) fn read(memory: &ProgramMemory, (low, high): (u64, u64)) -> Option<CodeWords> {
    let start = low.max(high.saturating_sub(MAX_STACK_BYTES));
    let count = usize::try_from(high.checked_sub(start)? / 8).ok()?;
    let slots = (start..high).step_by(8).zip(memory.array(start, count)?);
    Some(slots.filter(|(_, word)| memory.is_in_known_file(*word)).collect())
}

/// The number of a thread in the innermost namespace, which is the one that its process sees.
fn own_number(pid: u32, tid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}
