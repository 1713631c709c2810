//! Who runs: the goroutines whose descriptors were sampled, read from the program's memory while it lives.
//!
//! A sample holds the register in which Go keeps the address of the running goroutine's descriptor (`runtime.g`,
//! abi-internal.md). The runtime never frees descriptors but gives them to new goroutines, so each is read again with
//! every round of samples that it is in: what two readings agree on held in between.
//!
//! While a thread runs on its own stack (the runtime's `systemstack`, the scheduler), the register holds the thread's
//! descriptor. Whose work it does then is told by where its frame pointers lead: into the stack of a goroutine. So the
//! bounds of stacks are read too, and with a thread the goroutine that it runs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::body::Sampled;

/// Where the fields of a `runtime.g` and a `runtime.m` are, in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoroutineLayout {
    /// Processes that run another program are left alone.
    pub program: PathBuf,
    /// `g.stack.lo` and `g.stack.hi`.
    pub stack: (usize, usize),
    /// `g.m`: the thread.
    pub thread: usize,
    /// `g.goid`.
    pub id: usize,
    /// `g.parentGoid`, which Go has since 1.21.
    pub parent: Option<usize>,
    /// `g.gopc`: behind the `go` statement that made it.
    pub creator: usize,
    /// `g.startpc`: the function that the statement calls.
    pub start: usize,
    /// `m.g0` and `m.gsignal`: the descriptors of the thread itself.
    pub own: [usize; 2],
    /// `m.curg`: the goroutine that the thread runs.
    pub current: usize,
}

/// A descriptor, and what it said from one reading to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineSeen {
    /// Process.
    pub pid: u32,
    /// The descriptor's address.
    pub address: u64,
    /// The first and the last time that it was read so, in nanoseconds of the samples' clock.
    pub times: (u64, u64),
    /// The goroutine's number; 0 for the descriptors of a thread itself.
    pub id: u64,
    /// The number of the goroutine that made it; 0 when that is not known.
    pub parent: u64,
    /// An address behind the `go` statement that made it; 0 for those that the runtime made of nothing.
    pub creator: u64,
    /// The first address of its function.
    pub start: u64,
    /// The lowest address of its stack and the one behind it; both 0 when it has none.
    pub stack: (u64, u64),
    /// Of a thread's own descriptor: the descriptor of the goroutine that the thread runs, 0 for none.
    pub runs: u64,
}

/// No field ends further from the start (a `runtime.m` of Go 1.27 has some 2000 bytes).
const DESCRIPTOR: usize = 4096;

/// Goroutines are numbered from 1; what has a larger number than this is none.
const LARGEST_ID: u64 = 1 << 48;

/// Stacks are no larger (`runtime.maxstackceiling` is 2 GB).
const LARGEST_STACK: u64 = 1 << 31;

/// Readings that are kept, and descriptors that are read in one round, at most: so many goroutines are not looked
/// at one by one.
const MOST_READINGS: usize = 1 << 18;
const MOST_AT_ONCE: usize = 2048;

/// Processes whose memory is kept open.
const MOST_PROCESSES: usize = 256;

/// Notes descriptors and reads them.
#[derive(Debug)]
pub(super) struct Watch {
    layout: GoroutineLayout,
    /// Since the last reading.
    noted: HashSet<(u32, u64)>,
    /// The newest reading of each descriptor, by position in `seen`.
    newest: HashMap<(u32, u64), usize>,
    /// Stacks by process and lowest address, as they were read last: the address behind, and the descriptor.
    stacks: BTreeMap<(u32, u64), (u64, u64)>,
    seen: Vec<GoroutineSeen>,
    /// The memory of processes; `None` of those that run another program.
    memories: HashMap<u32, Option<File>>,
}

impl Watch {
    pub(super) fn new(layout: GoroutineLayout) -> Self {
        Self {
            layout,
            noted: HashSet::new(),
            newest: HashMap::new(),
            stacks: BTreeMap::new(),
            seen: Vec::new(),
            memories: HashMap::new(),
        }
    }

    /// Notes the descriptors that a sample of goflame's own sampler tells of: the one in the register, and those on
    /// whose stacks the thread was.
    pub(super) fn note(&mut self, body: &[u8]) {
        let Some(sampled) = Sampled::of(body) else { return };
        let pointers = [Some(sampled.sp), sampled.pointer_beyond()];
        let on_stacks = pointers.map(|pointer| self.on_stack(sampled.pid, pointer?));
        for address in [Some(sampled.goroutine)].into_iter().chain(on_stacks).flatten() {
            // What is no descriptor is seldom aligned as one.
            if address != 0 && address.is_multiple_of(8) && self.noted.len() < MOST_AT_ONCE {
                self.noted.insert((sampled.pid, address));
            }
        }
    }

    /// The descriptor on whose stack an address was when that was last read.
    fn on_stack(&self, pid: u32, address: u64) -> Option<u64> {
        let (_, (end, descriptor)) = self.stacks.range((pid, 0)..=(pid, address)).next_back()?;
        (address < *end).then_some(*descriptor)
    }

    /// Reads what was noted. `now` is the time, on the samples' clock.
    pub(super) fn look(&mut self, now: u64) {
        let noted = std::mem::take(&mut self.noted);
        for (pid, address) in noted.iter().copied() {
            let Some(found) = self.read(pid, address, now) else { continue };
            self.keep(found);
            if found.runs != 0
                && !noted.contains(&(pid, found.runs))
                && let Some(found) = self.read(pid, found.runs, now)
            {
                self.keep(found);
            }
        }
    }

    /// Adds a reading to those that agree with it.
    fn keep(&mut self, found: GoroutineSeen) {
        let key = (found.pid, found.address);
        let newest = self.newest.get(&key).and_then(|at| self.seen.get_mut(*at));
        if let Some(known) = newest {
            if (known.id, known.stack, known.runs) == (found.id, found.stack, found.runs) {
                known.times.1 = found.times.1;
                return;
            }
            let stack = (known.pid, known.stack.0);
            if self.stacks.get(&stack).is_some_and(|(_, descriptor)| *descriptor == found.address) {
                self.stacks.remove(&stack);
            }
        }
        if self.seen.len() < MOST_READINGS {
            self.newest.insert(key, self.seen.len());
            self.seen.push(found);
            if found.id != 0 {
                self.stacks.insert((found.pid, found.stack.0), (found.stack.1, found.address));
            }
        }
    }

    /// What was read.
    pub(super) fn finish(self) -> Vec<GoroutineSeen> {
        self.seen
    }

    fn read(&mut self, pid: u32, address: u64, now: u64) -> Option<GoroutineSeen> {
        if self.memories.len() >= MOST_PROCESSES {
            self.memories.clear();
        }
        let layout = &self.layout;
        let memory = self.memories.entry(pid).or_insert_with(|| {
            let runs_it = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == layout.program);
            runs_it.then(|| File::open(format!("/proc/{pid}/mem")).ok()).flatten()
        });
        let memory = memory.as_ref()?;
        let parent = layout.parent.unwrap_or(layout.id);
        let fields = [layout.stack.0, layout.stack.1, layout.thread, layout.id, parent, layout.creator, layout.start];
        let [low, high, thread, id, parent, creator, start] = words(memory, address, fields)?;
        let bounds = low < high && high - low <= LARGEST_STACK;
        let found = GoroutineSeen {
            pid,
            address,
            times: (now, now),
            id,
            parent: if layout.parent.is_some() { parent } else { 0 },
            creator,
            start,
            stack: if bounds { (low, high) } else { (0, 0) },
            runs: 0,
        };
        if id == 0 {
            let [own, signal, runs] = words(memory, thread, [layout.own[0], layout.own[1], layout.current])?;
            return (own == address || signal == address).then_some(GoroutineSeen { runs, ..found });
        }
        (id < LARGEST_ID).then_some(found)
    }
}

/// The words at these offsets from an address, read in one go.
fn words<const N: usize>(memory: &File, address: u64, offsets: [usize; N]) -> Option<[u64; N]> {
    let mut bytes = [0; DESCRIPTOR];
    let end = offsets.iter().max()?.checked_add(8)?;
    let bytes = bytes.get_mut(..end)?;
    // A structure ends in the same mapping as it begins in.
    memory.read_exact_at(bytes, address).ok()?;
    let mut words = [0; N];
    for (word, at) in words.iter_mut().zip(offsets) {
        *word = bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))?;
    }
    Some(words)
}

#[cfg(test)]
mod tests;
