//! Reads the descriptors (`runtime.g`) of sampled goroutines from the program's memory while the program runs.
//!
//! A sample contains the register in which Go keeps the address of the running goroutine's descriptor
//! (abi-internal.md). The runtime never frees a descriptor but reuses it for new goroutines. Therefore each descriptor
//! is read again in every round of samples that contains it. If two readings have the same value, the value was valid
//! between them.
//!
//! While a thread runs on its own stack (the runtime's `systemstack`, the scheduler), the register holds the thread's
//! descriptor. The frame pointers then lead into the stack of the goroutine for which the thread works. Therefore the
//! bounds of stacks are read too, and for a thread's descriptor the goroutine that the thread runs.
//!
//! Assembly and C code use the register for other values. So memory counts as a descriptor only if all its fields are
//! plausible. A goroutine that runs such code is found by the bounds of its stack. If the goroutine was never sampled
//! in Go code, the runtime's list of all goroutines (`runtime.allgs`) is searched.

mod labels;
mod layout;
mod left_stacks;
mod memory;
mod modules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::raw_sample::RawSample;
use crate::sources::{CodeFile, GoroutineReading, LabelReadings, LeftStackReadings};
use labels::LabelWatch;
pub use layout::{GoroutineLayout, is_go_program};
pub(super) use layout::{ProgramFile, has_go_section};
use left_stacks::{LeftStackWatch, RuntimeThread};
use memory::ProgramMemory;
use modules::ModuleWatch;

/// Maximum goroutine number. Numbers start at 1 and grow by 1. A program that starts a million goroutines per second
/// reaches the maximum after 12 days.
const MAX_GOROUTINE_ID: u64 = 1 << 40;

/// Maximum stack size in bytes (`runtime.maxstackceiling` is 2 GB).
const MAX_STACK_BYTES: u64 = 1 << 31;

/// Maximum number of readings that are stored. Users do not look at more goroutines one by one.
const MAX_READINGS: usize = 1 << 18;
/// Maximum number of descriptors that are read in one round.
const MAX_DESCRIPTORS_PER_ROUND: usize = 2048;

/// Maximum number of goroutines in the runtime's list that are read at once.
const MAX_LISTED_GOROUTINES: usize = 1 << 14;

/// Pause after the list of goroutines was read, in nanoseconds per goroutine in it. Reading a goroutine takes about 2
/// microseconds, so this is at most 2 % of one core for all processes together.
const LIST_PAUSE_NS_PER_GOROUTINE: u64 = 100_000;

/// Shortest and longest time between two readings of running goroutines.
const READ_INTERVALS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// The interval is halved if at least 1/10 of the readings of a round were new or had changed.
const BUSY_FRACTION: usize = 10;

/// Maximum number of attempts to read a descriptor and its thread. An attempt succeeds if both agree. The thread can
/// switch to another goroutine between the two readings.
const MAX_ATTEMPTS: usize = 3;

/// Collects the descriptors in the samples of one program and reads them.
#[derive(Debug)]
pub(super) struct GoroutineWatch {
    layout: GoroutineLayout,
    /// Process and address of the descriptors noted since the last reading.
    noted: HashSet<(u32, u64)>,
    /// For each process, pointers into stacks of unknown goroutines, from the samples since the last reading.
    unknown_stacks: HashMap<u32, Vec<u64>>,
    /// For each process, the earliest time of the next reading of the goroutine list, and the position at which this
    /// reading begins.
    next_list: HashMap<u32, (u64, usize)>,
    /// For each process, the descriptors in the runtime's list.
    listed: HashMap<u32, HashSet<u64>>,
    /// The newest reading of each descriptor (process and address), as an index into `readings`.
    newest: HashMap<(u32, u64), usize>,
    /// Stacks at their last reading. Key: process and lowest address. Value: end address and descriptor.
    stacks: BTreeMap<(u32, u64), (u64, u64)>,
    readings: Vec<GoroutineReading>,
    /// Memory of the processes that run the program.
    memories: HashMap<u32, ProgramMemory>,
    modules: ModuleWatch,
    left_stacks: LeftStackWatch,
    /// `None` if labels are not read.
    labels: Option<LabelWatch>,
    /// Number of readings of goroutines and of left stacks in this round.
    reading_count: usize,
    /// Number of these readings that were new or differed from the reading before.
    changed_reading_count: usize,
    interval: Duration,
}

/// Everything that was read about the goroutines of a recording.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) goroutines: Vec<GoroutineReading>,
    pub(super) labels: LabelReadings,
    pub(super) left_stacks: LeftStackReadings,
    /// Functions that programs registered with Go's runtime, in the form of perf maps.
    pub(super) registered_functions: Vec<CodeFile>,
}

impl Readings {
    pub(super) fn append(&mut self, other: Self) {
        self.goroutines.extend(other.goroutines);
        self.labels.append(other.labels);
        self.left_stacks.append(other.left_stacks);
        self.registered_functions.extend(other.registered_functions);
    }
}

impl GoroutineWatch {
    /// Profiler labels are read too if `reads_labels`.
    pub(super) fn new(layout: GoroutineLayout, reads_labels: bool) -> Self {
        Self {
            labels: layout.labels.filter(|_| reads_labels).map(LabelWatch::new),
            layout,
            noted: HashSet::new(),
            unknown_stacks: HashMap::new(),
            next_list: HashMap::new(),
            listed: HashMap::new(),
            newest: HashMap::new(),
            stacks: BTreeMap::new(),
            readings: Vec::new(),
            memories: HashMap::new(),
            modules: ModuleWatch::default(),
            left_stacks: LeftStackWatch::default(),
            reading_count: 0,
            changed_reading_count: 0,
            interval: READ_INTERVALS[0],
        }
    }

    pub(super) fn program(&self) -> ProgramFile {
        self.layout.file
    }

    /// Opens the memory of a process, so that its samples can be noted. Returns false if the process runs another
    /// program or its memory cannot be read.
    pub(super) fn open(&mut self, pid: u32, now: u64) -> bool {
        let GoroutineLayout { program, file, code, .. } = &self.layout;
        let memory = ProgramMemory::open(pid, program, *file, *code, now);
        if self.memories.is_empty() {
            self.interval = READ_INTERVALS[0];
        }
        self.memories.extend(memory.map(|memory| (pid, memory)));
        self.memories.contains_key(&pid)
    }

    /// Closes the memory of a process that has ended or executed another program. Its readings are kept.
    pub(super) fn close(&mut self, pid: u32) {
        self.memories.remove(&pid);
        self.unknown_stacks.remove(&pid);
        self.next_list.remove(&pid);
        self.listed.remove(&pid);
        if self.memories.is_empty() {
            self.interval = READ_INTERVALS[1];
        }
    }

    /// Notes which descriptors to read for a sample: the descriptor in the goroutine register, and the descriptors on
    /// whose stacks the thread was.
    pub(super) fn note_sample(&mut self, sampled: &RawSample<'_>) {
        let pid = sampled.pid;
        let pointers = [Some(sampled.sp), sampled.pointer_outside_copy()];
        let on_stacks = pointers.map(|pointer| self.find_by_stack(pid, pointer?));
        for address in [Some(sampled.goroutine)].into_iter().chain(on_stacks).flatten() {
            // A descriptor is aligned to 8 bytes. Other values seldom are.
            if address != 0 && address.is_multiple_of(8) && self.noted.len() < MAX_DESCRIPTORS_PER_ROUND {
                self.noted.insert((pid, address));
            }
        }
        let memory = self.memories.get(&pid);
        // Callers on left stacks are found on amd64 only.
        let may_have_left = cfg!(target_arch = "x86_64") && on_stacks[0].is_none();
        if may_have_left && memory.is_some_and(|memory| !memory.is_in_named_code(sampled.ip)) {
            self.left_stacks.note_thread(pid, sampled.tid);
        }
        let known = self.newest.get(&(pid, sampled.goroutine)).and_then(|at| self.readings.get(*at));
        let own_stack = |pointer: &u64| known.is_some_and(|known| known.stack_contains(*pointer));
        if on_stacks == [None; 2] && known.is_none_or(|known| known.id == 0) {
            // While a stack grows, the runtime works on the thread's own stack, without a frame pointer that leads to
            // the goroutine. But the frames there contain the address of the descriptor.
            if let Some(listed) = self.listed.get(&pid) {
                let room = MAX_DESCRIPTORS_PER_ROUND.saturating_sub(self.noted.len());
                let held = sampled.copied_words().filter(|word| listed.contains(word)).take(room);
                self.noted.extend(held.map(|address| (pid, address)));
            }
            let outside = pointers.into_iter().flatten().filter(|pointer| *pointer != 0 && !own_stack(pointer));
            let unknown = self.unknown_stacks.entry(pid).or_default();
            unknown.extend(outside.take(MAX_DESCRIPTORS_PER_ROUND.saturating_sub(unknown.len())));
        }
    }

    /// Returns the descriptor whose stack contained the address at the last reading.
    fn find_by_stack(&self, pid: u32, address: u64) -> Option<u64> {
        let (_, (end, descriptor)) = self.stacks.range((pid, 0)..=(pid, address)).next_back()?;
        (address < *end).then_some(*descriptor)
    }

    /// Time until running goroutines are read again. If the runtime often starts goroutines, moves stacks and reuses
    /// descriptors, a long interval would leave goroutines unknown. Otherwise a long interval costs less.
    pub(super) fn interval(&self) -> Duration {
        if self.memories.is_empty() {
            return self.interval;
        }
        let of_labels = self.labels.as_ref().and_then(LabelWatch::interval);
        [of_labels, self.left_stacks.interval()].into_iter().flatten().fold(self.interval, Duration::min)
    }

    fn adapt_interval(&mut self) {
        let [shortest, longest] = READ_INTERVALS;
        if self.reading_count > 0 {
            let often = self.changed_reading_count * BUSY_FRACTION >= self.reading_count;
            self.interval = if often { (self.interval / 2).max(shortest) } else { (self.interval * 2).min(longest) };
        }
        (self.reading_count, self.changed_reading_count) = (0, 0);
    }

    /// Reads the noted descriptors. `now` is in nanoseconds on the clock of the samples. `processes` is the number of
    /// processes that share the time for reading lists.
    pub(super) fn read_noted(&mut self, now: u64, processes: usize) {
        let noted = std::mem::take(&mut self.noted);
        for (pid, address) in noted.iter().copied() {
            let Some(found) = self.read(pid, address, now, |_| true) else { continue };
            self.add_reading(found);
            if found.runs != 0
                && !noted.contains(&(pid, found.runs))
                && let Some(found) = self.read(pid, found.runs, now, |_| true)
            {
                self.add_reading(found);
            }
        }
        for (pid, mut pointers) in std::mem::take(&mut self.unknown_stacks) {
            pointers.sort_unstable();
            self.add_listed_goroutines(pid, &pointers, now, processes);
        }
        self.read_left_stacks(now);
        if let Some(list) = self.layout.module_list {
            for (pid, memory) in &mut self.memories {
                self.modules.read_new_modules(*pid, list, memory, now);
            }
        }
        self.adapt_interval();
        if let Some(labels) = &mut self.labels {
            labels.adapt_interval();
        }
    }

    /// Reads the list of all goroutines of a process. Adds running goroutines, and goroutines whose stack contains one
    /// of the `pointers`, which are sorted.
    fn add_listed_goroutines(&mut self, pid: u32, pointers: &[u64], now: u64, processes: usize) {
        let (time, from) = self.next_list.get(&pid).copied().unwrap_or_default();
        let Some(list) = self.layout.list_address.filter(|_| time <= now) else { return };
        let memory = self.memories.get(&pid);
        let Some(addresses) = memory.and_then(|memory| memory.read_goroutine_list(list, from, MAX_LISTED_GOROUTINES))
        else {
            return;
        };
        let pause = LIST_PAUSE_NS_PER_GOROUTINE.saturating_mul(addresses.len() as u64).saturating_mul(processes as u64);
        let next = if addresses.len() == MAX_LISTED_GOROUTINES { from + MAX_LISTED_GOROUTINES } else { 0 };
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
                self.add_reading(found);
            }
        }
    }

    /// Reads the goroutine stacks of threads that run generated code on other memory.
    fn read_left_stacks(&mut self, now: u64) {
        for (pid, tid) in self.left_stacks.take_noted() {
            let Some(thread) = self.left_stacks.find_thread(pid, tid) else { continue };
            let Some(address) = self.current_goroutine(pid, thread) else { continue };
            let Some(goroutine) = self.read(pid, address, now, |goroutine| goroutine.id != 0) else { continue };
            self.add_reading(goroutine);
            let words =
                self.memories.get(&pid).and_then(|memory| left_stacks::read_code_addresses(memory, goroutine.stack));
            // While the stack was read, the thread can have switched to another goroutine.
            if let Some(words) = words.filter(|_| self.current_goroutine(pid, thread) == Some(address)) {
                self.reading_count += 1;
                self.changed_reading_count += usize::from(self.left_stacks.add_reading(tid, &goroutine, words));
            }
        }
    }

    /// Descriptor of the goroutine that a thread runs. `None` if the thread runs no goroutine, or if its `runtime.m`
    /// now belongs to another thread.
    fn current_goroutine(&self, pid: u32, thread: RuntimeThread) -> Option<u64> {
        let memory = self.memories.get(&pid)?;
        let [current, id] = memory
            .read_fields(thread.address, [self.layout.current_goroutine_offset, self.layout.thread_id_offset?])?;
        (id == thread.id && current != 0).then_some(current)
    }

    /// Extends the newest reading of the descriptor if both agree. Otherwise adds the new reading.
    fn add_reading(&mut self, found: GoroutineReading) {
        let key = (found.pid, found.address);
        let is_goroutine = usize::from(found.id != 0);
        self.reading_count += is_goroutine;
        let newest = self.newest.get(&key).and_then(|at| self.readings.get_mut(*at));
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
        self.changed_reading_count += is_goroutine;
        if self.readings.len() < MAX_READINGS {
            self.newest.insert(key, self.readings.len());
            self.readings.push(found);
            if found.id != 0 {
                self.stacks.insert((found.pid, found.stack.0), (found.stack.1, found.address));
            }
        }
    }

    pub(super) fn finish(self) -> Readings {
        Readings {
            goroutines: self.readings,
            labels: self.labels.map(LabelWatch::finish).unwrap_or_default(),
            left_stacks: self.left_stacks.finish(),
            registered_functions: self.modules.finish(),
        }
    }

    /// Reads a descriptor and the labels of its goroutine. `None` if `wanted` refuses the descriptor or its fields are
    /// implausible. A goroutine has a stack, its creator and entry are addresses of code, and the thread that it names
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
            labels.read_labels(memory, &found);
        }
        Some(found)
    }

    /// Reads a descriptor without the labels of its goroutine.
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
        for _ in 0..MAX_ATTEMPTS {
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
            let number = layout.thread_id_offset.unwrap_or(layout.current_goroutine_offset);
            let [own, signal, runs, number] = memory.read_fields(
                thread,
                [
                    layout.thread_descriptor_offsets[0],
                    layout.thread_descriptor_offsets[1],
                    layout.current_goroutine_offset,
                    number,
                ],
            )?;
            if layout.thread_id_offset.is_some() {
                self.left_stacks.add_thread(pid, number, thread);
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
    /// Lowest and end address. Both 0 if they are not plausible for a stack.
    stack: (u64, u64),
}

impl Descriptor {
    fn read(memory: &ProgramMemory, address: u64, layout: &GoroutineLayout) -> Option<Self> {
        let parent_or_id = layout.parent_offset.unwrap_or(layout.id_offset);
        let fields = [
            layout.stack_offsets.0,
            layout.stack_offsets.1,
            layout.thread_offset,
            layout.id_offset,
            parent_or_id,
            layout.creator_offset,
            layout.entry_offset,
        ];
        let [low, high, thread, id, parent, creator, start] = memory.read_fields(address, fields)?;
        Some(Self {
            thread,
            id,
            parent: if layout.parent_offset.is_some() { parent } else { 0 },
            creator,
            start,
            stack: if low < high && high - low <= MAX_STACK_BYTES { (low, high) } else { (0, 0) },
        })
    }

    /// Whether the fields are plausible for a goroutine. A goroutine that has ended can be without a stack, so it must
    /// be in the runtime's list. The goroutines that the runtime makes for threads of C code have neither creator nor
    /// entry.
    fn is_goroutine(&self, memory: &mut ProgramMemory, now: u64, is_listed: bool) -> bool {
        let mut is_code = |address| address == 0 || memory.is_code(address, now);
        (is_listed || self.stack != (0, 0))
            && (1..MAX_GOROUTINE_ID).contains(&self.id)
            && is_code(self.start)
            && is_code(self.creator)
    }
}

#[cfg(test)]
mod tests;
