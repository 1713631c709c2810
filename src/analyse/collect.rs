//! Step one: read records in time order, and count equal raw stacks. Nothing is named here.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::chain::Chain;
use super::files::{Binaries, Files};
use super::goroutine::{Origin, Readings, Running};
use super::kernel::KernelCode;
use super::maps::{Hint, Space, Spaces};
use super::place::{Place, Places, called_from};
use super::recent::{RECENT, Raw, Recent};
use super::unwind::{Outcome, Registers, Unwinder, UserFrame};
use crate::perfdata::{Mmap, PerfData, RawAddress, RecordKind, Sample};
use crate::profile::{self, Interner, Samples, StackId, Stacks, TaskId, Wanted};

/// Who ran when a sample was taken, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawTask {
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

/// Everything that the records say.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) places: Places,
    /// The raw stacks. Locations are by position in [`Collected::places`].
    pub(super) stacks: Stacks,
    /// Runners are by position in [`Collected::tasks`].
    pub(super) samples: Samples,
    pub(super) processes: Interner<Box<str>>,
    pub(super) tasks: Interner<RawTask>,
    pub(super) goroutines: Interner<RawGoroutine>,
    pub(super) counts: Counts,
    pub(super) first_time: Option<u64>,
    pub(super) last_time: u64,
    /// The address of the kernel's own map, which tells one boot from another.
    pub(super) kernel_text: Option<u64>,
    /// Code that the kernel got while it was recorded.
    pub(super) kernel_code: KernelCode,
    /// Why reading stopped before the end.
    pub(super) damage: Option<crate::perfdata::Error>,
}

/// How many there were.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: u64,
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
    /// Samples of other events than the one analysed.
    pub(super) other_events: u64,
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
    pub(super) goroutines: Readings<'s>,
    /// Told which part of the file nearly all is done with.
    pub(super) passed: &'s (dyn Fn(Range<usize>) + Sync),
}

struct Collector<'d, 's, 'f> {
    settings: &'s Settings<'s>,
    files: &'s Files<'d>,
    unwinder: Unwinder<'s, 'f>,
    out: Collected,
    spaces: Spaces,
    /// Command names by process, by position in [`Collected::processes`].
    comms: HashMap<i32, u32, RandomState>,
    repaired: Repaired,
    recent: Vec<Recent>,
    waiting: Vec<Waiting>,
    /// Pieces of their stacks.
    wanted: Vec<Wanted>,
}

/// The user part of a stack that its copy was looked at for, leaf first.
#[derive(Debug, Default)]
struct Repaired {
    /// As the kernel walked it.
    walked: Vec<u64>,
    frames: Vec<UserFrame>,
    addresses: Vec<RawAddress>,
    restored: Vec<bool>,
}

/// A sample whose stack is yet to be found.
struct Waiting {
    /// Whose last stack it is, by position in [`Collector::recent`].
    recent: usize,
    /// The pieces that it has in common with the one before it.
    same: usize,
    /// Those that follow, which are next in [`Collector::wanted`].
    new: usize,
    task: TaskId,
    weight: u64,
}

/// So many samples wait for their stacks to be found together.
const MOST_WAITING: usize = 128;

/// A recording is read in the order of time, which is the order of the file but for so many bytes: what lies further
/// behind will not be needed again.
const DISORDER: usize = 1 << 20;

/// For more stacks and samples no room is made beforehand.
const MOST_RESERVED: usize = 1 << 20;

/// Reads the records at some positions, as if all before them had been read.
pub(super) fn collect<'d>(
    data: &PerfData<'d>,
    positions: Range<usize>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &Settings<'_>,
) -> Collected {
    let mut collector = Collector {
        settings,
        files,
        unwinder: Unwinder::new(binaries),
        out: Collected::default(),
        spaces: Spaces::default(),
        comms: HashMap::default(),
        repaired: Repaired::default(),
        recent: std::iter::repeat_with(Recent::default).take(RECENT).collect(),
        waiting: Vec::new(),
        wanted: Vec::new(),
    };
    // The others are added to the first part.
    let own = positions.len().min(MOST_RESERVED);
    let room = if positions.start == 0 { data.record_count().min(MOST_RESERVED) } else { own };
    collector.out.places.reserve(own);
    collector.out.stacks.reserve(room, own);
    collector.out.samples.reserve(room);
    let mut passing = Passing { settings, behind: None };
    for record in data.others_before(positions.start).flatten() {
        collector.follow(&record.kind);
        passing.at(record.offset);
    }
    let mut passing = Passing { settings, behind: None };
    for record in data.records_of(positions) {
        match record {
            Ok(record) => {
                collector.record(&record.kind);
                passing.at(record.offset);
            }
            Err(error) => {
                collector.out.damage = Some(error);
                break;
            }
        }
    }
    collector.find_waiting();
    collector.out.stacks.freeze();
    collector.out.samples.freeze();
    collector.out
}

/// Tells what nearly all is done with.
struct Passing<'s> {
    settings: &'s Settings<'s>,
    /// Where the part of the file begins that nothing was said of yet.
    behind: Option<usize>,
}

impl Passing<'_> {
    /// A record at this offset is done with.
    fn at(&mut self, offset: u64) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let behind = self.behind.get_or_insert(at);
        if at.saturating_sub(*behind) >= 2 * DISORDER {
            (self.settings.passed)(std::mem::replace(behind, at - DISORDER)..at - DISORDER);
        }
    }
}

impl<'d> Collector<'d, '_, '_> {
    fn record(&mut self, record: &RecordKind<'d>) {
        let counts = &mut self.out.counts;
        counts.records += 1;
        match record {
            RecordKind::Sample(sample) => self.sample(sample),
            RecordKind::Lost { lost, .. } | RecordKind::LostSamples { lost } => {
                counts.lost = counts.lost.saturating_add(*lost);
            }
            RecordKind::Throttle { .. } => counts.throttled += 1,
            RecordKind::KernelCode { start, len, bpf, name } => {
                self.out.kernel_code.add(*start, *len, *bpf, &String::from_utf8_lossy(name));
            }
            RecordKind::Mmap(Mmap { pid: -1, path, pgoff, .. }) => {
                if path.starts_with(b"[kernel.kallsyms]") {
                    self.out.kernel_text = Some(*pgoff);
                }
            }
            _ => self.follow(record),
        }
    }

    /// Keeps up with what processes are and what they have mapped.
    fn follow(&mut self, record: &RecordKind<'d>) {
        match record {
            RecordKind::Mmap(mmap) if mmap.pid != -1 => {
                if let Some(image) = self.files.of_mapping(mmap) {
                    self.spaces.map(mmap.pid.cast_unsigned(), mmap.start, mmap.len, mmap.pgoff, image);
                }
            }
            RecordKind::Comm { pid, tid, exec, name } => {
                if *exec {
                    self.spaces.exec(pid.cast_unsigned());
                }
                if pid == tid {
                    self.comms.insert(*pid, self.out.processes.add_ref(&String::from_utf8_lossy(name)));
                }
            }
            // A new thread shares everything; only a new process gets a copy.
            RecordKind::Fork(task) if task.pid != task.ppid => {
                self.spaces.fork(task.ppid.cast_unsigned(), task.pid.cast_unsigned());
                if let Some(name) = self.comms.get(&task.ppid) {
                    self.comms.insert(task.pid, *name);
                }
            }
            _ => {}
        }
    }

    fn sample(&mut self, sample: &Sample<'d>) {
        if sample.event != self.settings.event {
            self.out.counts.other_events += 1;
            return;
        }
        let (pid, tid) = (sample.pid.unwrap_or(0), sample.tid.unwrap_or(0));
        let (same, new) = self.stack(sample, pid.cast_unsigned());
        let goroutine = self.goroutine(sample, pid.cast_unsigned());
        let process = match self.comms.get(&pid) {
            Some(known) => *known,
            None => self.out.processes.add_ref(&format!("pid {pid}")),
        };
        let (pid, tid) = (pid.cast_unsigned(), tid.cast_unsigned());
        let task = RawTask { process, pid, tid, cpu: sample.cpu, goroutine };
        let recent = recent_of(sample);
        let known = &mut self.recent[recent].task;
        let task = TaskId::from_index(match known {
            Some((known, at)) if *known == task => *at,
            _ => known.insert((task, self.out.tasks.add(task))).1,
        });
        let weight = self.settings.clock_period.unwrap_or(sample.period);
        self.waiting.push(Waiting { recent, same, new, task, weight });
        if self.waiting.len() == MOST_WAITING {
            self.find_waiting();
        }
        self.out.counts.samples += 1;
        if let Some(time) = sample.time {
            self.out.first_time.get_or_insert(time);
            self.out.last_time = self.out.last_time.max(time);
        }
    }

    /// Finds the stacks of samples that wait for it.
    fn find_waiting(&mut self) {
        let Collected { stacks, samples, .. } = &mut self.out;
        stacks.touch(&self.wanted);
        let mut wanted = self.wanted.drain(..);
        for Waiting { recent, same, new, task, weight } in self.waiting.drain(..) {
            let pieces = &mut self.recent[recent].found;
            pieces.truncate(same);
            let mut stack = pieces.last().copied().unwrap_or(StackId::EMPTY);
            for piece in wanted.by_ref().take(new) {
                stack = stacks.grow(stack, &piece);
                pieces.push(stack);
            }
            samples.add(profile::Sample { stack, task, count: 1, weight });
        }
    }

    /// The goroutine of a sample whose stack was looked at last, and is the thread's last one: taken in Go code, or in other
    /// code that Go code called.
    fn goroutine(&mut self, sample: &Sample<'_>, pid: u32) -> Option<u32> {
        let caller = self.unwinder.take_goroutine();
        let registers = sample.user_regs.as_ref().and_then(Registers::of)?;
        let registers = registers.with_goroutine(caller);
        let space = self.spaces.of(pid)?;
        let unwinder = &mut self.unwinder;
        let root = self.recent[recent_of(sample)].root();
        let origin = || {
            let start = unwinder.start_of(root?, space)?;
            let pointer = sample.user_stack.and_then(|stack| unwinder.came_from(&registers, stack, space));
            Some(Origin { pointer, start })
        };
        let (address, seen) = match self.settings.goroutines.running(pid, &registers, sample.time.unwrap_or(0), origin)
        {
            Running::Goroutine(seen) => (seen.address, Some(seen)),
            // C code may keep anything in the register.
            Running::Unread(address) if caller.is_some() || self.unwinder.is_go(space, registers.ip()) => {
                (address, None)
            }
            Running::Unread(_) | Running::Thread => return None,
        };
        let places = &mut self.out.places;
        let mut place = |address: u64| {
            let (image, offset) = space.find(address, &mut Hint::default())?;
            Some(places.id(Place::File(image, offset), false))
        };
        let goroutine = RawGoroutine {
            pid,
            address,
            id: seen.map(|seen| seen.id),
            start: seen.and_then(|seen| place(seen.start)),
            creator: seen.and_then(|seen| place(seen.creator.checked_sub(1)?)),
        };
        Some(self.out.goroutines.add(goroutine))
    }

    /// The raw stack of a sample: how many of its pieces are those of the thread's last one, and how many others are wanted.
    fn stack(&mut self, sample: &Sample<'d>, pid: u32) -> (usize, usize) {
        let Chain { kernel, user } = &Chain::of(sample);
        self.out.counts.truncated += u64::from(kernel.len() + user.len() >= self.settings.max_stack as usize);
        let space = self.spaces.of(pid);
        let mut raw = Raw { kernel, user, restored: &[] };
        let registers = sample.user_regs.as_ref().and_then(Registers::of);
        if let (Some(registers), Some(stack), Some(space)) = (registers, sample.user_stack, space)
            && user.first().is_none_or(|leaf| u64::from_le_bytes(*leaf) == registers.ip())
        {
            self.out.counts.copies += 1;
            match self.repaired.repair(&mut self.unwinder, user, &registers, stack, space) {
                Outcome::Untouched => {}
                Outcome::Repaired => self.out.counts.repaired += 1,
                Outcome::Cut => self.out.counts.cut += 1,
            }
            raw = Raw { kernel, user: &self.repaired.addresses, restored: &self.repaired.restored };
        }
        let recent = &mut self.recent[recent_of(sample)];
        let version = space.map_or(0, Space::version);
        let Some((new_user, new_kernel)) = recent.replace(sample.tid.unwrap_or(0), version, raw) else {
            return (recent.hashes.len(), 0);
        };
        let same = recent.places.len();
        let mut hint = Hint::default();
        let user = raw.user[..new_user].iter().enumerate().rev().map(|(at, address)| {
            let address = called_from(at, *address);
            let place = match space.and_then(|space| space.find(address, &mut hint)) {
                Some((image, offset)) => Place::File(image, offset),
                None => Place::Unmapped(address),
            };
            (place, raw.is_restored(at))
        });
        self.out.places.ids(user, &mut recent.places);
        let kernel = raw.kernel[..new_kernel].iter().enumerate().rev();
        let kernel = kernel.map(|(at, address)| (Place::Kernel(called_from(at, *address)), false));
        self.out.places.ids(kernel, &mut recent.places);
        recent.hashes.truncate(same / Stacks::PIECE);
        let (known, before) = (recent.hashes.len(), self.wanted.len());
        for piece in recent.places.chunks(Stacks::PIECE).skip(known) {
            let piece = self.out.stacks.want(recent.hashes.last().copied().unwrap_or(0), piece);
            recent.hashes.push(piece.hash());
            self.wanted.push(piece);
        }
        (known, self.wanted.len() - before)
    }
}

/// Where the last stack of a sample's thread is among the [`Recent`].
fn recent_of(sample: &Sample<'_>) -> usize {
    sample.tid.unwrap_or(0).cast_unsigned() as usize % RECENT
}

impl Repaired {
    /// Takes what the copy of a stack shows of it.
    fn repair(
        &mut self,
        unwinder: &mut Unwinder<'_, '_>,
        user: &[RawAddress],
        registers: &Registers,
        stack: &[u8],
        space: &Space,
    ) -> Outcome {
        let Self { walked, frames, addresses, restored } = self;
        walked.clear();
        walked.extend(user.iter().map(|address| u64::from_le_bytes(*address)));
        frames.clear();
        let outcome = unwinder.repair(walked, registers, stack, space, frames);
        addresses.clear();
        addresses.extend(frames.iter().map(|frame| frame.address.to_le_bytes()));
        restored.clear();
        restored.extend(frames.iter().map(|frame| frame.repaired));
        outcome
    }
}
