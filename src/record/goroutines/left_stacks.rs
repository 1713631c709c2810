//! Reads the stacks of goroutines whose threads run generated code on other memory.
//!
//! A library that generates code (such as a WebAssembly runtime) can run this code on a separate stack. Only memory of
//! the library then says where the goroutine's stack continues. The stack copy of a sample contains nothing of the
//! goroutine's stack, and the goroutine register has any value. But the thread's structure (`runtime.m`) names the
//! goroutine, and the left stack does not change.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use super::memory::ProgramMemory;
use crate::sources::{CodeWords, GoroutineReading, LeftStack, LeftStackReadings};

/// Maximum bytes that are read of a stack: the end with the outermost callers.
const MAX_STACK_BYTES: u64 = 1 << 16;

/// Maximum number of readings that are stored, 56 bytes each.
const MAX_READINGS: usize = 1 << 19;
/// Maximum number of code addresses that are stored for all stacks, 16 bytes each.
const MAX_CODE_ADDRESSES: usize = 1 << 20;

/// Time between two readings, once a thread has left its goroutine's stack. A reading takes about 20 microseconds.
const READ_INTERVAL: Duration = Duration::from_millis(10);

/// After this number of rounds without a thread in generated code, [`READ_INTERVAL`] no longer applies.
const MAX_QUIET_ROUNDS: u32 = 20;

/// Two equal readings are merged if at most this many nanoseconds are between them.
const MAX_GAP_NS: u64 = 100_000_000;

/// Reads and collects left stacks.
#[derive(Debug, Default)]
pub(super) struct LeftStackWatch {
    /// Threads (process, thread) that were seen in generated code since the last reading.
    noted: HashSet<(u32, u32)>,
    /// Number of consecutive rounds in which no thread was noted.
    quiet_rounds: u32,
    /// Address of the `runtime.m` of each thread. Key: process, and id of the thread in its innermost PID namespace.
    threads: HashMap<(u32, u64), u64>,
    /// The id of each thread (process, thread) in its innermost PID namespace.
    namespace_tids: HashMap<(u32, u32), Option<u64>>,
    /// The newest reading of each thread (process, thread), as an index into `readings`.
    newest: HashMap<(u32, u32), usize>,
    readings: Vec<LeftStack>,
    /// Each different content of a stack, and its position in [`LeftStackReadings::contents`].
    contents: HashMap<CodeWords, u32>,
    /// Number of code addresses in `contents`.
    word_count: usize,
}

/// The runtime's structure of a thread (`runtime.m`).
#[derive(Debug, Clone, Copy)]
pub(super) struct RuntimeThread {
    /// Id of the thread in its innermost PID namespace (`m.procid`).
    pub(super) id: u64,
    pub(super) address: u64,
}

impl LeftStackWatch {
    /// Notes a thread that runs generated code outside of the known stacks.
    pub(super) fn note_thread(&mut self, pid: u32, tid: u32) {
        self.noted.insert((pid, tid));
    }

    /// Time until the stacks are read again. `None` if no thread has left its stack lately.
    pub(super) fn interval(&self) -> Option<Duration> {
        (!self.readings.is_empty() && self.quiet_rounds < MAX_QUIET_ROUNDS).then_some(READ_INTERVAL)
    }

    pub(super) fn take_noted(&mut self) -> HashSet<(u32, u32)> {
        self.quiet_rounds = if self.noted.is_empty() { self.quiet_rounds.saturating_add(1) } else { 0 };
        std::mem::take(&mut self.noted)
    }

    /// Stores the address of a thread's `runtime.m`, in which the runtime stores the thread's id.
    pub(super) fn add_thread(&mut self, pid: u32, number: u64, thread: u64) {
        self.threads.insert((pid, number), thread);
    }

    /// Finds a thread. `None` if the address of its `runtime.m` is unknown.
    pub(super) fn find_thread(&mut self, pid: u32, tid: u32) -> Option<RuntimeThread> {
        let id = (*self.namespace_tids.entry((pid, tid)).or_insert_with(|| namespace_tid(pid, tid)))?;
        Some(RuntimeThread { id, address: *self.threads.get(&(pid, id))? })
    }

    /// Extends the newest reading of the thread if it is equal. Otherwise adds a reading. Returns whether the reading
    /// was added: the first reading of the thread, another stack, or an equal stack after a gap.
    pub(super) fn add_reading(&mut self, tid: u32, goroutine: &GoroutineReading, words: CodeWords) -> bool {
        let GoroutineReading { pid, address: descriptor, last_ns: now, stack, .. } = *goroutine;
        let Some(content) = self.intern(words) else { return false };
        let found = LeftStack { pid, tid, descriptor, first_ns: now, last_ns: now, stack, content };
        let newest = self.newest.get(&(pid, tid)).and_then(|at| self.readings.get_mut(*at));
        if let Some(known) = newest {
            let is_same = (known.descriptor, known.stack, known.content) == (descriptor, stack, content);
            if is_same && now.saturating_sub(known.last_ns) <= MAX_GAP_NS {
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

    /// Returns the position of a stack's content in the list of all contents. Adds a new content. `None` if that would
    /// exceed a limit.
    fn intern(&mut self, words: CodeWords) -> Option<u32> {
        if let Some(known) = self.contents.get(&words) {
            return Some(*known);
        }
        let position = u32::try_from(self.contents.len()).ok()?;
        self.word_count = self.word_count.checked_add(words.len()).filter(|words| *words <= MAX_CODE_ADDRESSES)?;
        self.contents.insert(words, position);
        Some(position)
    }

    pub(super) fn finish(self) -> LeftStackReadings {
        let mut contents: Vec<(CodeWords, u32)> = self.contents.into_iter().collect();
        contents.sort_unstable_by_key(|(_, position)| *position);
        let contents = contents.into_iter().map(|(words, _)| words).collect();
        LeftStackReadings { contents, readings: self.readings }
    }
}

/// Reads the stack between these addresses. Returns the words that are addresses in mapped files with code, each with
/// its position in memory.
pub(super) fn read_code_addresses(memory: &ProgramMemory, (low, high): (u64, u64)) -> Option<CodeWords> {
    let start = low.max(high.saturating_sub(MAX_STACK_BYTES));
    let count = usize::try_from(high.checked_sub(start)? / 8).ok()?;
    let slots = (start..high).step_by(8).zip(memory.read_words(start, count)?);
    Some(slots.filter(|(_, word)| memory.is_in_known_file(*word)).collect())
}

/// The id of a thread in its innermost PID namespace (`NSpid` in `proc_pid_status(5)`).
fn namespace_tid(pid: u32, tid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}
