//! Goroutines that ran: reads their descriptors (`runtime.g`) from the program's memory while the program lives.
//!
//! A sample contains the register in which Go keeps the address of the running goroutine's descriptor (`runtime.g`,
//! abi-internal.md). The runtime never frees a descriptor but reuses it for new goroutines. Therefore each descriptor
//! is read again in every round of samples that contains it. A value that two readings agree on was valid between them.
//!
//! While a thread runs on its own stack (the runtime's `systemstack`, the scheduler), the register holds the thread's
//! descriptor. The frame pointers then lead into the stack of the goroutine for which the thread works. Therefore the
//! bounds of stacks are also read, and for a thread the goroutine that it runs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::raw_sample::Sampled;

/// Offsets of the fields of a `runtime.g` and a `runtime.m`, in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoroutineLayout {
    /// The program. Processes that run another program are ignored.
    pub program: PathBuf,
    /// `g.stack.lo` and `g.stack.hi`.
    pub stack: (usize, usize),
    /// `g.m`: the thread.
    pub thread: usize,
    /// `g.goid`.
    pub id: usize,
    /// `g.parentGoid`, present since Go 1.21.
    pub parent: Option<usize>,
    /// `g.gopc`: the address behind the `go` statement that created the goroutine.
    pub creator: usize,
    /// `g.startpc`: the entry, which is the function that the `go` statement calls.
    pub start: usize,
    /// `m.g0` and `m.gsignal`: the descriptors of the thread itself.
    pub own: [usize; 2],
    /// `m.curg`: the goroutine that the thread runs.
    pub current: usize,
}

/// The values of a descriptor between its first and last equal reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineSeen {
    /// Process id.
    pub pid: u32,
    /// The descriptor's address.
    pub address: u64,
    /// Times of the first and the last reading with these values, in nanoseconds of the samples' clock.
    pub times: (u64, u64),
    /// The goroutine's number. 0 for a thread's own descriptor.
    pub id: u64,
    /// The number of the goroutine that created it. 0 if unknown.
    pub parent: u64,
    /// An address behind the `go` statement that created it. 0 if the runtime created it without one.
    pub creator: u64,
    /// The first address of its entry function.
    pub start: u64,
    /// The lowest address of its stack, and the address after the highest. Both are 0 if it has no stack.
    pub stack: (u64, u64),
    /// For a thread's own descriptor: the descriptor of the goroutine that the thread runs, or 0.
    pub runs: u64,
}

/// Upper limit of field offsets, in bytes (a `runtime.m` of Go 1.27 has about 2000 bytes).
const DESCRIPTOR: usize = 4096;

/// Maximum goroutine number. Numbers start at 1; a larger number is not a goroutine.
const LARGEST_ID: u64 = 1 << 48;

/// Maximum stack size in bytes (`runtime.maxstackceiling` is 2 GB).
const LARGEST_STACK: u64 = 1 << 31;

/// Maximum number of readings that are kept, and of descriptors that are read in one round. Nobody looks at more
/// goroutines one by one.
const MOST_READINGS: usize = 1 << 18;
const MOST_AT_ONCE: usize = 2048;

/// Maximum number of processes whose memory is kept open.
const MOST_PROCESSES: usize = 256;

/// Collects the descriptors of samples and reads them.
#[derive(Debug)]
pub(super) struct Watch {
    layout: GoroutineLayout,
    /// Descriptors noted since the last reading.
    noted: HashSet<(u32, u64)>,
    /// The newest reading of each descriptor, as an index into `seen`.
    newest: HashMap<(u32, u64), usize>,
    /// Stacks at their last reading: from process and lowest address to the end address and the descriptor.
    stacks: BTreeMap<(u32, u64), (u64, u64)>,
    seen: Vec<GoroutineSeen>,
    /// Open memory of each process. `None` if the process runs another program.
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

    /// Notes the descriptors of a sample of goflame's own sampler: the one in the register, and those on whose stacks
    /// the thread was.
    pub(super) fn note(&mut self, body: &[u8]) {
        let Some(sampled) = Sampled::of(body) else { return };
        let pointers = [Some(sampled.sp), sampled.pointer_beyond()];
        let on_stacks = pointers.map(|pointer| self.on_stack(sampled.pid, pointer?));
        for address in [Some(sampled.goroutine)].into_iter().chain(on_stacks).flatten() {
            // A value that is not a descriptor is seldom aligned like one.
            if address != 0 && address.is_multiple_of(8) && self.noted.len() < MOST_AT_ONCE {
                self.noted.insert((sampled.pid, address));
            }
        }
    }

    /// Returns the descriptor whose stack contained the address at the last reading.
    fn on_stack(&self, pid: u32, address: u64) -> Option<u64> {
        let (_, (end, descriptor)) = self.stacks.range((pid, 0)..=(pid, address)).next_back()?;
        (address < *end).then_some(*descriptor)
    }

    /// Reads the noted descriptors. `now` is the time on the samples' clock.
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

    /// Extends the newest reading of the descriptor if both agree. Otherwise adds the new reading.
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

    /// Returns all readings.
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

/// Reads the words at these offsets from an address with one system call.
fn words<const N: usize>(memory: &File, address: u64, offsets: [usize; N]) -> Option<[u64; N]> {
    let mut bytes = [0; DESCRIPTOR];
    let end = offsets.iter().max()?.checked_add(8)?;
    let bytes = bytes.get_mut(..end)?;
    // A structure ends in the mapping in which it begins.
    memory.read_exact_at(bytes, address).ok()?;
    let mut words = [0; N];
    for (word, at) in words.iter_mut().zip(offsets) {
        *word = bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))?;
    }
    Some(words)
}

#[cfg(test)]
mod tests;
