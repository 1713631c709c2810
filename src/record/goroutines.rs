//! Goroutines that ran: reads their descriptors (`runtime.g`) from the program's memory while the program lives.
//!
//! A sample contains the register in which Go keeps the address of the running goroutine's descriptor (`runtime.g`,
//! abi-internal.md). The runtime never frees a descriptor but reuses it for new goroutines. Therefore each descriptor
//! is read again in every round of samples that contains it. A value that two readings agree on was valid between them.
//!
//! While a thread runs on its own stack (the runtime's `systemstack`, the scheduler), the register holds the thread's
//! descriptor. The frame pointers then lead into the stack of the goroutine for which the thread works. Therefore the
//! bounds of stacks are also read, and for a thread the goroutine that it runs.
//!
//! Assembly and C code use the register for other values. So memory is taken for a descriptor only if everything in it
//! fits. The goroutine that runs such code is known by its stack. If it was never sampled in Go code, it is found in the
//! runtime's list of all goroutines (`runtime.allgs`).

mod labels;
mod layout;
mod left_stacks;
mod memory;
mod modules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::raw_sample::Sampled;
use crate::sources::{CodeFile, GoroutineReading, LabelReadings, LeftStackReadings};
use labels::LabelWatch;
pub use layout::{GoroutineLayout, is_go_program};
pub(super) use layout::{ProgramFile, has_go_section};
use left_stacks::LeftStackWatch;
use memory::ProgramMemory;
use modules::ModuleWatch;

/// Maximum goroutine number. Numbers start at 1 and grow by 1; a program that starts a million goroutines per second
/// reaches this one after 12 days.
const MAX_ID: u64 = 1 << 40;

/// Maximum stack size in bytes (`runtime.maxstackceiling` is 2 GB).
const MAX_STACK: u64 = 1 << 31;

/// Maximum number of readings that are kept, and of descriptors that are read in one round. Nobody looks at more
/// goroutines one by one.
const MAX_READINGS: usize = 1 << 18;
const MAX_AT_ONCE: usize = 2048;

/// Maximum number of goroutines in the runtime's list that are read at once.
const MAX_LISTED: usize = 1 << 14;

/// Time for which the list of goroutines is not read again, in nanoseconds per goroutine that was read. A reading takes
/// about 2 microseconds, so this is 2 % of one core at most, for all processes together.
const PAUSE_PER_LISTED: u64 = 100_000;

/// Shortest and longest time between two readings of the goroutines that run.
const INTERVALS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// The next reading comes sooner if at least 1 of 10 readings has changed.
const MANY_CHANGES: usize = 10;

/// Number of times that a descriptor and its thread are read until they agree: a thread may switch between the readings.
const ATTEMPTS: usize = 3;

/// Collects the descriptors of samples and reads them.
#[derive(Debug)]
pub(super) struct Watch {
    layout: GoroutineLayout,
    /// Descriptors noted since the last reading.
    noted: HashSet<(u32, u64)>,
    /// For each process, addresses in stacks of unknown goroutines, from the samples since the last reading.
    unknown: HashMap<u32, Vec<u64>>,
    /// For each process, when the list of all goroutines may be read again, and from which position on.
    next_list: HashMap<u32, (u64, usize)>,
    /// For each process, the descriptors in the list.
    listed: HashMap<u32, HashSet<u64>>,
    /// The newest reading of each descriptor, as an index into `seen`.
    newest: HashMap<(u32, u64), usize>,
    /// Stacks at their last reading: from process and lowest address to the end address and the descriptor.
    stacks: BTreeMap<(u32, u64), (u64, u64)>,
    seen: Vec<GoroutineReading>,
    /// Memory of the processes that run the program.
    memories: HashMap<u32, ProgramMemory>,
    modules: ModuleWatch,
    left_stacks: LeftStackWatch,
    /// `None` if labels are not read.
    labels: Option<LabelWatch>,
    /// Goroutines that were read in this round, and those of them that were new or had changed.
    read: usize,
    changed: usize,
    interval: Duration,
}

/// The goroutines of processes, as they were read.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) goroutines: Vec<GoroutineReading>,
    pub(super) labels: LabelReadings,
    pub(super) left_stacks: LeftStackReadings,
    /// Names of functions that were registered with Go's runtime.
    pub(super) registered: Vec<CodeFile>,
}

impl Readings {
    pub(super) fn append(&mut self, other: Self) {
        self.goroutines.extend(other.goroutines);
        self.labels.append(other.labels);
        self.left_stacks.append(other.left_stacks);
        self.registered.extend(other.registered);
    }
}

impl Watch {
    /// `with_labels`: whether profiler labels are read too.
    pub(super) fn new(layout: GoroutineLayout, with_labels: bool) -> Self {
        Self {
            labels: layout.labels.filter(|_| with_labels).map(LabelWatch::new),
            layout,
            noted: HashSet::new(),
            unknown: HashMap::new(),
            next_list: HashMap::new(),
            listed: HashMap::new(),
            newest: HashMap::new(),
            stacks: BTreeMap::new(),
            seen: Vec::new(),
            memories: HashMap::new(),
            modules: ModuleWatch::default(),
            left_stacks: LeftStackWatch::default(),
            read: 0,
            changed: 0,
            interval: INTERVALS[0],
        }
    }

    /// The program whose processes are read.
    pub(super) fn program(&self) -> ProgramFile {
        self.layout.file
    }

    /// Opens the memory of a process. Its samples may then be noted. False if it runs another program, or if its memory
    /// cannot be read.
    pub(super) fn open(&mut self, pid: u32, now: u64) -> bool {
        let GoroutineLayout { program, file, code, .. } = &self.layout;
        let memory = ProgramMemory::open(pid, program, *file, *code, now);
        if self.memories.is_empty() {
            self.interval = INTERVALS[0];
        }
        self.memories.extend(memory.map(|memory| (pid, memory)));
        self.memories.contains_key(&pid)
    }

    /// Closes the memory of a process that has ended or executed another program. What was read is kept.
    pub(super) fn close(&mut self, pid: u32) {
        self.memories.remove(&pid);
        self.unknown.remove(&pid);
        self.next_list.remove(&pid);
        self.listed.remove(&pid);
        if self.memories.is_empty() {
            self.interval = INTERVALS[1];
        }
    }

    /// Notes the descriptors of a sample of goflame's own sampler: the one in the register, and those on whose stacks
    /// the thread was.
    pub(super) fn note(&mut self, sampled: &Sampled<'_>) {
        let pid = sampled.pid;
        let pointers = [Some(sampled.sp), sampled.pointer_beyond()];
        let on_stacks = pointers.map(|pointer| self.on_stack(pid, pointer?));
        for address in [Some(sampled.goroutine)].into_iter().chain(on_stacks).flatten() {
            // A value that is not a descriptor is seldom aligned like one.
            if address != 0 && address.is_multiple_of(8) && self.noted.len() < MAX_AT_ONCE {
                self.noted.insert((pid, address));
            }
        }
        let memory = self.memories.get(&pid);
        // Their callers are found on amd64 only.
        let may_have_left = cfg!(target_arch = "x86_64") && on_stacks[0].is_none();
        if may_have_left && memory.is_some_and(|memory| !memory.is_in_named_code(sampled.ip)) {
            self.left_stacks.note(pid, sampled.tid);
        }
        let known = self.newest.get(&(pid, sampled.goroutine)).and_then(|at| self.seen.get(*at));
        let own_stack = |pointer: &u64| known.is_some_and(|known| known.stack_contains(*pointer));
        if on_stacks == [None; 2] && known.is_none_or(|known| known.id == 0) {
            // While a stack grows, the runtime works on the thread's own stack, without a frame pointer that leads to the
            // goroutine. But its frames hold the descriptor.
            if let Some(listed) = self.listed.get(&pid) {
                let room = MAX_AT_ONCE.saturating_sub(self.noted.len());
                let held = sampled.copied_words().filter(|word| listed.contains(word)).take(room);
                self.noted.extend(held.map(|address| (pid, address)));
            }
            let outside = pointers.into_iter().flatten().filter(|pointer| *pointer != 0 && !own_stack(pointer));
            let unknown = self.unknown.entry(pid).or_default();
            unknown.extend(outside.take(MAX_AT_ONCE.saturating_sub(unknown.len())));
        }
    }

    /// Returns the descriptor whose stack contained the address at the last reading.
    fn on_stack(&self, pid: u32, address: u64) -> Option<u64> {
        let (_, (end, descriptor)) = self.stacks.range((pid, 0)..=(pid, address)).next_back()?;
        (address < *end).then_some(*descriptor)
    }

    /// Time after which the goroutines that run are read again. Where the runtime starts goroutines, moves stacks and
    /// reuses descriptors all the time, a long interval would leave goroutines unknown. Elsewhere it costs less.
    pub(super) fn interval(&self) -> Duration {
        if self.memories.is_empty() {
            return self.interval;
        }
        let of_labels = self.labels.as_ref().and_then(LabelWatch::interval);
        [of_labels, self.left_stacks.interval()].into_iter().flatten().fold(self.interval, Duration::min)
    }

    fn adapt_interval(&mut self) {
        let [shortest, longest] = INTERVALS;
        if self.read > 0 {
            let often = self.changed * MANY_CHANGES >= self.read;
            self.interval = if often { (self.interval / 2).max(shortest) } else { (self.interval * 2).min(longest) };
        }
        (self.read, self.changed) = (0, 0);
    }

    /// Reads the noted descriptors. `now` is the time on the samples' clock, `processes` the number of processes that share
    /// the time for reading lists.
    pub(super) fn look(&mut self, now: u64, processes: usize) {
        let noted = std::mem::take(&mut self.noted);
        for (pid, address) in noted.iter().copied() {
            let Some(found) = self.read(pid, address, now, |_| true) else { continue };
            self.keep(found);
            if found.runs != 0
                && !noted.contains(&(pid, found.runs))
                && let Some(found) = self.read(pid, found.runs, now, |_| true)
            {
                self.keep(found);
            }
        }
        for (pid, mut pointers) in std::mem::take(&mut self.unknown) {
            pointers.sort_unstable();
            self.look_at_all(pid, &pointers, now, processes);
        }
        self.look_at_left_stacks(now);
        if let Some(list) = self.layout.modules {
            for (pid, memory) in &mut self.memories {
                self.modules.look(*pid, list, memory, now);
            }
        }
        self.adapt_interval();
        if let Some(labels) = &mut self.labels {
            labels.adapt_interval();
        }
    }

    /// Reads the list of all goroutines of a process. Keeps those that run, and those that have one of these addresses
    /// in their stack. The addresses are sorted.
    fn look_at_all(&mut self, pid: u32, pointers: &[u64], now: u64, processes: usize) {
        let (time, from) = self.next_list.get(&pid).copied().unwrap_or_default();
        let Some(list) = self.layout.list.filter(|_| time <= now) else { return };
        let memory = self.memories.get(&pid);
        let Some(addresses) = memory.and_then(|memory| memory.goroutines(list, from, MAX_LISTED)) else { return };
        let pause = PAUSE_PER_LISTED.saturating_mul(addresses.len() as u64).saturating_mul(processes as u64);
        let next = if addresses.len() == MAX_LISTED { from + MAX_LISTED } else { 0 };
        self.next_list.insert(pid, (now.saturating_add(pause), next));
        let holds_one = |(low, high): (u64, u64)| {
            pointers.get(pointers.partition_point(|pointer| *pointer < low)).is_some_and(|pointer| *pointer < high)
        };
        let listed = self.listed.entry(pid).or_default();
        if listed.len() < MAX_READINGS {
            listed.extend(&addresses);
        }
        for address in addresses {
            let wanted =
                |descriptor: &Descriptor| descriptor.id != 0 && (descriptor.thread != 0 || holds_one(descriptor.stack));
            if let Some(found) = self.read(pid, address, now, wanted) {
                self.keep(found);
            }
        }
    }

    /// Reads the stacks of the goroutines of threads that run generated code elsewhere.
    fn look_at_left_stacks(&mut self, now: u64) {
        for (pid, tid) in self.left_stacks.take_noted() {
            let Some((number, thread)) = self.left_stacks.thread(pid, tid) else { continue };
            let Some(address) = self.current_goroutine(pid, number, thread) else { continue };
            let Some(goroutine) = self.read(pid, address, now, |goroutine| goroutine.id != 0) else { continue };
            self.keep(goroutine);
            let words = self.memories.get(&pid).and_then(|memory| left_stacks::read(memory, goroutine.stack));
            // The thread may have gone on to another goroutine meanwhile.
            if let Some(words) = words.filter(|_| self.current_goroutine(pid, number, thread) == Some(address)) {
                self.read += 1;
                self.changed += usize::from(self.left_stacks.keep(tid, &goroutine, words));
            }
        }
    }

    /// The descriptor of the goroutine that a thread runs. `None` if another thread has the `runtime.m` now.
    fn current_goroutine(&self, pid: u32, number: u64, thread: u64) -> Option<u64> {
        let memory = self.memories.get(&pid)?;
        let [current, holder] = memory.words(thread, [self.layout.current, self.layout.thread_id?])?;
        (holder == number && current != 0).then_some(current)
    }

    /// Extends the newest reading of the descriptor if both agree. Otherwise adds the new reading.
    fn keep(&mut self, found: GoroutineReading) {
        let key = (found.pid, found.address);
        let is_goroutine = usize::from(found.id != 0);
        self.read += is_goroutine;
        let newest = self.newest.get(&key).and_then(|at| self.seen.get_mut(*at));
        if let Some(known) = newest {
            if (known.id, known.stack, known.runs) == (found.id, found.stack, found.runs) {
                known.last_ns = found.last_ns;
                return;
            }
            let stack = (known.pid, known.stack.0);
            if self.stacks.get(&stack).is_some_and(|(_, descriptor)| *descriptor == found.address) {
                self.stacks.remove(&stack);
            }
        }
        self.changed += is_goroutine;
        if self.seen.len() < MAX_READINGS {
            self.newest.insert(key, self.seen.len());
            self.seen.push(found);
            if found.id != 0 {
                self.stacks.insert((found.pid, found.stack.0), (found.stack.1, found.address));
            }
        }
    }

    /// Returns all readings.
    pub(super) fn finish(self) -> Readings {
        Readings {
            goroutines: self.seen,
            labels: self.labels.map(LabelWatch::finish).unwrap_or_default(),
            left_stacks: self.left_stacks.finish(),
            registered: self.modules.finish(),
        }
    }

    /// Reads a descriptor, and the labels of its goroutine. `None` if it is not `wanted`, or if the memory does not hold a
    /// descriptor: a goroutine has a stack, it was started by code with a function in code, and the thread that it names
    /// runs it.
    fn read(
        &mut self,
        pid: u32,
        address: u64,
        now: u64,
        wanted: impl Fn(&Descriptor) -> bool,
    ) -> Option<GoroutineReading> {
        let found = self.read_descriptor(pid, address, now, wanted)?;
        if found.id != 0
            && let Some(labels) = &mut self.labels
            && let Some(memory) = self.memories.get(&pid)
        {
            labels.look(memory, &found);
        }
        Some(found)
    }

    /// Like [`Watch::read`], without labels.
    fn read_descriptor(
        &mut self,
        pid: u32,
        address: u64,
        now: u64,
        wanted: impl Fn(&Descriptor) -> bool,
    ) -> Option<GoroutineReading> {
        let layout = &self.layout;
        let is_listed = self.listed.get(&pid).is_some_and(|listed| listed.contains(&address));
        let memory = self.memories.get_mut(&pid)?;
        for _ in 0..ATTEMPTS {
            let read = Descriptor::read(memory, address, layout).filter(&wanted)?;
            let Descriptor { thread, id, parent, creator, start, stack } = read;
            let (first_ns, last_ns) = (now, now);
            let found =
                GoroutineReading { pid, address, first_ns, last_ns, id, parent, creator, start, stack, runs: 0 };
            if id != 0 && !read.is_goroutine(memory, now, is_listed) {
                return None;
            }
            if id != 0 && thread == 0 {
                return Some(found);
            }
            let number = layout.thread_id.unwrap_or(layout.current);
            let [own, signal, runs, number] =
                memory.words(thread, [layout.own[0], layout.own[1], layout.current, number])?;
            if layout.thread_id.is_some() {
                self.left_stacks.know_thread(pid, number, thread);
            }
            if id == 0 {
                return (own == address || signal == address).then_some(GoroutineReading { runs, ..found });
            }
            if runs == address {
                return Some(found);
            }
        }
        None
    }
}

/// The fields of a `runtime.g`.
#[derive(Debug, Clone, Copy)]
struct Descriptor {
    thread: u64,
    id: u64,
    parent: u64,
    creator: u64,
    start: u64,
    /// Both 0 if the bounds are not those of a stack.
    stack: (u64, u64),
}

impl Descriptor {
    fn read(memory: &ProgramMemory, address: u64, layout: &GoroutineLayout) -> Option<Self> {
        let parent_or_id = layout.parent.unwrap_or(layout.id);
        let fields =
            [layout.stack.0, layout.stack.1, layout.thread, layout.id, parent_or_id, layout.creator, layout.start];
        let [low, high, thread, id, parent, creator, start] = memory.words(address, fields)?;
        Some(Self {
            thread,
            id,
            parent: if layout.parent.is_some() { parent } else { 0 },
            creator,
            start,
            stack: if low < high && high - low <= MAX_STACK { (low, high) } else { (0, 0) },
        })
    }

    /// Whether the fields can be those of a goroutine. One that has ended may have no stack; it is known by the runtime's
    /// list. The runtime's own goroutines for threads of C code have neither creator nor entry.
    fn is_goroutine(&self, memory: &mut ProgramMemory, now: u64, is_listed: bool) -> bool {
        let mut is_code = |address| address == 0 || memory.is_code(address, now);
        (is_listed || self.stack != (0, 0))
            && (1..MAX_ID).contains(&self.id)
            && is_code(self.start)
            && is_code(self.creator)
    }
}

#[cfg(test)]
mod tests;
