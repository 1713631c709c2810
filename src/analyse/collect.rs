//! Step one: read the records once, in time order, and count equal raw stacks. Nothing is named here.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::chain::Chain;
use super::files::{Binaries, Files};
use super::goroutine::{GoroutineSeen, Readings};
use super::kernel::KernelCode;
use super::maps::{Hint, Space, Spaces};
use super::place::{NodeId, Place, Places, RawFrame, position};
use super::unwind::{Outcome, Registers, Unwinder, UserFrame};
use crate::perfdata::{Mmap, PerfData, RecordKind, Sample};
use crate::profile::Trie;

/// Who ran when a sample was taken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Runner {
    /// By position in [`Collected::processes`].
    pub(super) process: u32,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) cpu: Option<u32>,
    /// By position in [`Collected::goroutines`].
    pub(super) goroutine: Option<u32>,
}

/// A goroutine, as far as records and readings tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawGoroutine {
    pub(super) pid: u32,
    pub(super) address: u64,
    pub(super) id: Option<u64>,
    /// Where it starts and where it was made, by position in [`Places`].
    pub(super) start: Option<u32>,
    pub(super) creator: Option<u32>,
}

/// Equal samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) stack: NodeId,
    /// By position in [`Collected::runners`].
    pub(super) runner: u32,
    pub(super) count: u64,
    pub(super) weight: u64,
}

/// Everything that the records say.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) places: Places,
    /// The raw stacks.
    pub(super) tree: Trie,
    pub(super) processes: Vec<String>,
    pub(super) runners: Vec<Runner>,
    pub(super) goroutines: Vec<RawGoroutine>,
    /// In the order in which they were first seen.
    pub(super) counts: Vec<Counted>,
    pub(super) samples: u64,
    pub(super) lost: u64,
    pub(super) throttled: u64,
    pub(super) truncated: u64,
    /// Samples with registers and a piece of user stack.
    pub(super) copies: u64,
    /// Of these, those whose callchain lacked frames or had wrong ones.
    pub(super) repaired: u64,
    /// And those of which a part had to be left out.
    pub(super) cut: u64,
    pub(super) first_time: Option<u64>,
    pub(super) last_time: u64,
    /// The address of the kernel's own map, which tells one boot from another.
    pub(super) kernel_text: Option<u64>,
    /// Code that the kernel got while it was recorded.
    pub(super) kernel_code: KernelCode,
    /// Samples of other events than the one analysed.
    pub(super) other_events: u64,
    /// Why reading stopped before the end.
    pub(super) damage: Option<crate::perfdata::Error>,
    pub(super) records: u64,
}

/// What is collected, and how.
pub(super) struct Settings<'s> {
    /// The event whose samples count.
    pub(super) event: usize,
    /// What a sample stands for when it does not say so itself.
    pub(super) clock_period: Option<u64>,
    /// Depth at which the kernel stopped walking.
    pub(super) max_stack: u32,
    /// What was read of goroutines.
    pub(super) goroutines: &'s [GoroutineSeen],
    /// Told how far the file was read: up to this offset nearly all is done with.
    pub(super) passed: &'s dyn Fn(u64),
}

struct Collector<'d, 's, 'f> {
    settings: &'s Settings<'s>,
    files: &'s Files<'d>,
    unwinder: Unwinder<'s, 'f>,
    out: Collected,
    /// For each stack, the first of its counts and one more; 0 when it has none.
    first: Vec<u32>,
    /// The counts of stacks that have several.
    counted: HashTable<u32>,
    runners: HashMap<Runner, u32, RandomState>,
    goroutines: HashMap<RawGoroutine, u32, RandomState>,
    readings: Readings<'s>,
    seed: RandomState,
    spaces: Spaces,
    /// Processes by command name.
    names: HashMap<String, u32>,
    /// Command names by process.
    comms: HashMap<i32, u32>,
    chain: Chain,
    user: Vec<UserFrame>,
    words: Vec<Word>,
    recent: Vec<Recent>,
}

/// A frame as it was sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    /// Of a caller, its return address less one.
    address: u64,
    kernel: bool,
    /// See [`UserFrame::repaired`].
    repaired: bool,
}

/// The last stack of a thread: the next one mostly differs near its leaf only.
#[derive(Debug, Default)]
struct Recent {
    tid: i32,
    space: u64,
    /// Root first.
    words: Vec<Word>,
    /// The stacks up to each of them.
    nodes: Vec<NodeId>,
}

/// Threads whose last stack is remembered.
const RECENT: usize = 64;

/// Reads all records.
pub(super) fn collect<'d>(
    data: &'d PerfData<'d>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &Settings<'_>,
) -> Collected {
    let mut collector = Collector {
        settings,
        files,
        unwinder: Unwinder::new(binaries),
        out: Collected::default(),
        first: Vec::new(),
        counted: HashTable::new(),
        runners: HashMap::default(),
        goroutines: HashMap::default(),
        readings: Readings::of(settings.goroutines),
        seed: RandomState::default(),
        spaces: Spaces::default(),
        names: HashMap::new(),
        comms: HashMap::new(),
        chain: Chain::default(),
        user: Vec::new(),
        words: Vec::new(),
        recent: std::iter::repeat_with(Recent::default).take(RECENT).collect(),
    };
    for record in data.records() {
        match record {
            Ok(record) => {
                collector.out.records += 1;
                collector.record(&record.kind);
                (settings.passed)(record.offset);
            }
            Err(error) => {
                collector.out.damage = Some(error);
                break;
            }
        }
    }
    collector.out
}

impl<'d> Collector<'d, '_, '_> {
    fn record(&mut self, record: &RecordKind<'d>) {
        match record {
            RecordKind::Sample(sample) => self.sample(sample),
            RecordKind::Mmap(mmap) => self.mmap(mmap),
            RecordKind::Comm { pid, tid, exec, name } => {
                if *exec {
                    self.spaces.exec(pid.cast_unsigned());
                }
                if pid == tid {
                    let process = self.process(&String::from_utf8_lossy(name));
                    self.comms.insert(*pid, process);
                }
            }
            // A new thread shares everything; only a new process gets a copy.
            RecordKind::Fork(task) if task.pid != task.ppid => {
                self.spaces.fork(task.ppid.cast_unsigned(), task.pid.cast_unsigned());
                if let Some(name) = self.comms.get(&task.ppid) {
                    self.comms.insert(task.pid, *name);
                }
            }
            RecordKind::Lost { lost, .. } | RecordKind::LostSamples { lost } => {
                self.out.lost = self.out.lost.saturating_add(*lost);
            }
            RecordKind::Throttle { .. } => self.out.throttled += 1,
            RecordKind::KernelCode { start, len, bpf, name } => {
                self.out.kernel_code.add(*start, *len, *bpf, &String::from_utf8_lossy(name));
            }
            _ => {}
        }
    }

    fn mmap(&mut self, mmap: &Mmap<'d>) {
        if mmap.pid == -1 {
            if mmap.path.starts_with(b"[kernel.kallsyms]") {
                self.out.kernel_text = Some(mmap.pgoff);
            }
        } else if let Some(image) = self.files.of_mapping(mmap) {
            self.spaces.map(mmap.pid.cast_unsigned(), mmap.start, mmap.len, mmap.pgoff, image);
        }
    }

    /// The position of a command name.
    fn process(&mut self, name: &str) -> u32 {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let id = position(self.out.processes.len());
        self.out.processes.push(name.to_owned());
        self.names.insert(name.to_owned(), id);
        id
    }

    fn sample(&mut self, sample: &Sample<'d>) {
        if sample.event != self.settings.event {
            self.out.other_events += 1;
            return;
        }
        let (pid, tid) = (sample.pid.unwrap_or(0), sample.tid.unwrap_or(0));
        let process = if let Some(known) = self.comms.get(&pid) {
            *known
        } else {
            let process = self.process(&format!("pid {pid}"));
            self.comms.insert(pid, process);
            process
        };
        let stack = self.stack(sample, pid.cast_unsigned());
        let goroutine = self.goroutine(sample, pid.cast_unsigned());
        let (pid, tid) = (pid.cast_unsigned(), tid.cast_unsigned());
        let runner = Runner { process, pid, tid, cpu: sample.cpu, goroutine };
        let runners = &mut self.out.runners;
        let runner = *self.runners.entry(runner).or_insert_with(|| {
            runners.push(runner);
            position(runners.len() - 1)
        });
        self.count(stack, runner, self.settings.clock_period.unwrap_or(sample.period));
        self.out.samples += 1;
        if let Some(time) = sample.time {
            self.out.first_time.get_or_insert(time);
            self.out.last_time = self.out.last_time.max(time);
        }
    }

    fn count(&mut self, stack: NodeId, runner: u32, weight: u64) {
        let (counts, seed) = (&mut self.out.counts, &self.seed);
        // Most stacks are of one runner.
        if self.first.len() <= stack as usize {
            self.first.resize(stack as usize + 1, 0);
        }
        let first = &mut self.first[stack as usize];
        match first.checked_sub(1).and_then(|at| counts.get_mut(at as usize)) {
            Some(known) if known.runner == runner => {
                known.count += 1;
                known.weight = known.weight.saturating_add(weight);
                return;
            }
            Some(_) => {}
            None => {
                counts.push(Counted { stack, runner, count: 1, weight });
                *first = position(counts.len());
                return;
            }
        }
        let hash = |stack: NodeId, runner: u32| seed.hash_one(u64::from(stack) << 32 | u64::from(runner));
        let known = self.counted.entry(
            hash(stack, runner),
            |at| (counts[*at as usize].stack, counts[*at as usize].runner) == (stack, runner),
            |at| hash(counts[*at as usize].stack, counts[*at as usize].runner),
        );
        match known {
            Entry::Occupied(at) => {
                let known = &mut counts[*at.get() as usize];
                known.count += 1;
                known.weight = known.weight.saturating_add(weight);
            }
            Entry::Vacant(vacant) => {
                vacant.insert(position(counts.len()));
                counts.push(Counted { stack, runner, count: 1, weight });
            }
        }
    }

    /// The goroutine of a sample that was taken in Go code.
    fn goroutine(&mut self, sample: &Sample<'_>, pid: u32) -> Option<u32> {
        let registers = sample.user_regs.as_ref().and_then(Registers::of)?;
        let address = registers.goroutine.filter(|address| *address != 0 && address.is_multiple_of(8))?;
        let space = self.spaces.of(pid)?;
        let seen = self.readings.at(pid, address, sample.time.unwrap_or(0));
        // C code may keep anything in the register, unless a goroutine is known to be there.
        if seen.is_none() && !self.unwinder.is_go(space, registers.ip()) {
            return None;
        }
        let places = &mut self.out.places;
        let mut place = |address: u64| {
            let (image, offset) = space.find(address, &mut Hint::default())?;
            Some(places.id(Place::File(image, offset)))
        };
        let goroutine = RawGoroutine {
            pid,
            address,
            id: seen.map(|seen| seen.id),
            start: seen.and_then(|seen| place(seen.start)),
            creator: seen.and_then(|seen| place(seen.creator.checked_sub(1)?)),
        };
        let goroutines = &mut self.out.goroutines;
        Some(*self.goroutines.entry(goroutine).or_insert_with(|| {
            goroutines.push(goroutine);
            position(goroutines.len() - 1)
        }))
    }

    /// The raw stack of a sample.
    fn stack(&mut self, sample: &Sample<'_>, pid: u32) -> NodeId {
        self.chain.fill(sample);
        let Chain { kernel, user } = &self.chain;
        self.out.truncated += u64::from(kernel.len() + user.len() >= self.settings.max_stack as usize);
        let space = self.spaces.of(pid);
        self.user.clear();
        let registers = sample.user_regs.as_ref().and_then(Registers::of);
        if let (Some(registers), Some(stack), Some(space)) = (registers, sample.user_stack, space)
            && user.first().is_none_or(|leaf| *leaf == registers.ip())
        {
            self.out.copies += 1;
            match self.unwinder.repair(user, &registers, stack, space, &mut self.user) {
                Outcome::Untouched => {}
                Outcome::Repaired => self.out.repaired += 1,
                Outcome::Cut => self.out.cut += 1,
            }
        } else {
            self.user.extend(user.iter().map(|address| UserFrame { address: *address, repaired: false }));
        }
        self.words.clear();
        // A return address may be the first one after the function that called; one less lies in the call
        // instruction. The leaf, and the first user address under a kernel stack, are exact.
        let user = self.user.iter().enumerate().map(|(at, frame)| Word {
            address: frame.address.saturating_sub(u64::from(at > 0)),
            kernel: false,
            repaired: frame.repaired,
        });
        self.words.extend(user.rev());
        let kernel = kernel.iter().enumerate().map(|(at, address)| Word {
            address: address.saturating_sub(u64::from(at > 0)),
            kernel: true,
            repaired: false,
        });
        self.words.extend(kernel.rev());
        let version = space.map_or(0, Space::version);
        let tid = sample.tid.unwrap_or(0);
        let recent = &mut self.recent[tid.cast_unsigned() as usize % RECENT];
        let mut same = 0;
        if recent.tid == tid && recent.space == version {
            same = recent.words.iter().zip(&self.words).take_while(|(old, new)| old == new).count();
        }
        recent.words.truncate(same);
        recent.nodes.truncate(same);
        (recent.tid, recent.space) = (tid, version);
        let mut node = recent.nodes.last().copied().unwrap_or(Trie::ROOT);
        let mut hint = Hint::default();
        for word in self.words.iter().skip(same) {
            let place = if word.kernel {
                Place::Kernel(word.address)
            } else {
                match space.and_then(|space| space.find(word.address, &mut hint)) {
                    Some((image, offset)) => Place::File(image, offset),
                    None => Place::Unmapped(word.address),
                }
            };
            node = self.out.tree.push(node, RawFrame::new(self.out.places.id(place), word.repaired).key());
            recent.words.push(*word);
            recent.nodes.push(node);
        }
        node
    }
}
