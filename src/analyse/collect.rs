//! Step 1 of the analysis (see mod.rs): reads the records in time order and counts equal raw stacks. Function names are
//! added in step 2.

mod goroutine;

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::address_space::{AddressSpace, AddressSpaces, LookupHint};
use super::chain::{SplitCallchain, cut_at_cycle};
use super::files::{Binaries, Files};
use super::generated::{GeneratedCode, TimedFunction};
use super::goroutine::GoroutineReadings;
use super::kernel::KernelCode;
use super::labels::{Labels, SampleLabels};
use super::last_stack::{LAST_STACK_SLOTS, LastStack, RawStack};
use super::left_stacks::{LeftStacks, SampledThread};
use super::progress::ReadProgress;
use super::raw_location::{RawLocation, RawLocations, call_address};
use super::raw_task::{RawGoroutine, RawTask};
use super::repaired::{RepairedPart, Rewrite, add_outcome};
use super::unwind::{MissingCallers, Registers, RepairOutcome, Unwinder};
use crate::perfdata::{Mmap, PerfData, RawAddress, Record, RecordKind, Repairs, Sample, SampleFacts};
use crate::profile::{self, Interner, Samples, SegmentKey, StackId, Stacks, TaskId};

/// The result of reading records.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) locations: RawLocations,
    /// The raw stacks. Their location ids are positions in [`Collected::locations`].
    pub(super) stacks: Stacks,
    /// The samples. Their task ids are positions in [`Collected::tasks`].
    pub(super) samples: Samples,
    pub(super) processes: Interner<Box<str>>,
    pub(super) tasks: Interner<RawTask>,
    pub(super) goroutines: Interner<RawGoroutine>,
    pub(super) counts: RecordCounts,
    /// Time of the first sample, in nanoseconds of the event's clock.
    pub(super) first_time: Option<u64>,
    pub(super) last_time: u64,
    /// The address of the kernel's `_text`, which differs from boot to boot.
    pub(super) kernel_text: Option<u64>,
    /// Code that the kernel registered during the recording.
    pub(super) kernel_code: KernelCode,
    /// The rewritten records of each shard.
    pub(super) rewritten: Vec<RepairedPart>,
    /// The damage at which reading stopped before the end of the file.
    pub(super) damage: Option<crate::perfdata::Error>,
}

/// Counts of records and samples.
#[derive(Debug, Default)]
pub(super) struct RecordCounts {
    pub(super) records: u64,
    pub(super) samples: u64,
    pub(super) lost_records: u64,
    pub(super) throttle_records: u64,
    pub(super) truncated_stacks: u64,
    /// Samples with registers and a stack copy.
    pub(super) stack_copies: u64,
    /// Samples with a repaired stack: the callchain lacked frames or had wrong frames.
    pub(super) repaired_stacks: u64,
    /// Samples with a cut stack: callers are missing, see [`RepairOutcome::Cut`].
    pub(super) cut_stacks: u64,
    /// Samples of goroutines, in processes whose goroutine descriptors were read.
    pub(super) goroutine_samples: u64,
    /// Samples counted in `goroutine_samples` whose goroutine is unknown.
    pub(super) unknown_goroutines: u64,
    /// Samples of goroutines whose goroutine register points neither to the goroutine's descriptor nor to a thread's
    /// own descriptor.
    pub(super) foreign_registers: u64,
    /// Samples of goroutines with profiler labels.
    pub(super) labelled_samples: u64,
    /// Samples whose profiler labels can have changed before they were read.
    pub(super) late_labels: u64,
    pub(super) missing_callers: MissingCallerCounts,
    /// Samples of events that are not analysed.
    pub(super) other_event_samples: u64,
}

/// Counts of samples whose callers are unknown, by cause.
#[derive(Debug, Default)]
pub(super) struct MissingCallerCounts {
    /// Samples whose stack copy was too short.
    pub(super) short_copies: u64,
    /// Size of a stack copy that contains the next return address of all samples with a short copy.
    pub(super) needed_copy_bytes: u64,
    /// Samples in C code that uses the frame pointer register for another value.
    pub(super) native_code_samples: u64,
}

impl MissingCallerCounts {
    /// Adds the counts of another shard.
    pub(super) fn append(&mut self, other: &Self) {
        self.short_copies += other.short_copies;
        self.needed_copy_bytes = self.needed_copy_bytes.max(other.needed_copy_bytes);
        self.native_code_samples += other.native_code_samples;
    }
}

/// Parameters of reading records.
pub(super) struct CollectSettings<'s> {
    /// Position of the event whose samples are analysed.
    pub(super) event: usize,
    /// The weight of every sample, if the samples have no period.
    pub(super) clock_period: Option<u64>,
    /// Number of addresses at which the kernel stops walking a stack.
    pub(super) max_stack: u32,
    pub(super) keep_times: bool,
    /// The goroutine descriptors that the recorder read.
    pub(super) goroutines: GoroutineReadings<'s>,
    /// The profiler labels that the recorder read, or those in a rewritten recording.
    pub(super) labels: &'s Labels<'s>,
    /// The left stacks that the recorder read.
    pub(super) left_stacks: LeftStacks<'s>,
    /// The functions of generated code.
    pub(super) generated: &'s GeneratedCode<'s>,
    /// The facts in a rewritten recording, whose stacks are repaired already. `None` for other recordings.
    pub(super) repairs: Option<&'s Repairs>,
    /// How and where records are rewritten. `None` if they are not rewritten.
    pub(super) rewrite: Option<Rewrite<'s>>,
    /// Releases the memory of a range of the recording's bytes that is rarely needed again.
    pub(super) release: &'s (dyn Fn(Range<usize>) + Sync),
}

struct Collector<'d, 's, 'f> {
    settings: &'s CollectSettings<'s>,
    files: &'s Files<'d>,
    unwinder: Unwinder<'s, 'f>,
    out: Collected,
    spaces: AddressSpaces<'s>,
    /// Position of the next function in [`GeneratedCode::timed_functions`].
    next_generated: usize,
    /// For each process, the position of its comm in [`Collected::processes`].
    comms: HashMap<i32, u32, RandomState>,
    repair: RepairBuffers,
    /// Facts about the current sample.
    facts: SampleFacts,
    /// For a current sample with a left stack: the descriptor of the stack's goroutine.
    left_goroutine: Option<u64>,
    rewritten: Option<RepairedPart>,
    /// The last stacks of threads, indexed by [`last_stack_position`].
    last_stacks: Vec<LastStack>,
    pending: Vec<PendingSample>,
    /// The segments of pending samples that are not interned yet.
    pending_segments: Vec<SegmentKey>,
}

/// The user part of a callchain before and after its repair, leaf first. Reused from sample to sample.
#[derive(Debug, Default)]
struct RepairBuffers {
    callchain: Vec<u64>,
    repaired: Vec<u64>,
    /// The addresses of the repaired callchain, in the bytes of a `perf.data` file.
    addresses: Vec<RawAddress>,
}

/// A sample whose stack is not interned yet.
struct PendingSample {
    /// Position of the thread's last stack in [`Collector::last_stacks`].
    last_stack: usize,
    segments: SegmentCounts,
    task: TaskId,
    weight: u64,
    time: u64,
}

/// Numbers of segments of a sample's stack.
#[derive(Debug, Clone, Copy)]
struct SegmentCounts {
    /// Number of segments that the stack shares with the last stack of the thread.
    shared: usize,
    /// Number of further segments. They are in [`Collector::pending_segments`], in the order of the samples.
    additional: usize,
}

/// Number of samples whose stacks are interned together.
const MAX_PENDING: usize = 128;

/// Maximum number of stacks and of samples for which memory is reserved.
const MAX_RESERVED: usize = 1 << 20;

/// Reads the records at `positions`. Follows mappings, names and forks from the start of the recording, so the address
/// spaces and names are correct.
pub(super) fn collect<'d>(
    data: &PerfData<'d>,
    positions: Range<usize>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &CollectSettings<'_>,
) -> Collected {
    let mut collector = Collector {
        settings,
        files,
        unwinder: Unwinder::new(binaries),
        out: Collected::default(),
        spaces: AddressSpaces::new(settings.generated),
        next_generated: 0,
        comms: HashMap::default(),
        repair: RepairBuffers::default(),
        facts: SampleFacts::default(),
        left_goroutine: None,
        rewritten: settings.rewrite.map(RepairedPart::new),
        last_stacks: std::iter::repeat_with(LastStack::default).take(LAST_STACK_SLOTS).collect(),
        pending: Vec::new(),
        pending_segments: Vec::new(),
    };
    // The first shard reserves memory for all shards: their stacks and samples are appended to it.
    let own = positions.len().min(MAX_RESERVED);
    let room = if positions.start == 0 { data.record_count().min(MAX_RESERVED) } else { own };
    if settings.keep_times {
        collector.out.samples = Samples::with_times();
    }
    collector.out.locations.reserve(own);
    collector.out.stacks.reserve(room, own);
    collector.out.samples.reserve(room);
    let mut progress = ReadProgress::new(settings.release);
    for record in data.non_samples_before(positions.start).flatten() {
        collector.add_generated(record.time);
        collector.follow_process_change(&record.kind);
        progress.advance(record.offset);
    }
    let mut progress = ReadProgress::new(settings.release);
    for record in data.records_in(positions) {
        match record {
            Ok(record) => {
                collector.add_generated(record.time);
                collector.add_record(&record.kind);
                collector.rewrite_record(data, &record);
                progress.advance(record.offset);
            }
            Err(error) => {
                collector.out.damage = Some(error);
                break;
            }
        }
    }
    collector.intern_pending();
    collector.out.rewritten.extend(collector.rewritten);
    collector.out.stacks.release_index();
    collector.out.samples.release_index();
    collector.out
}

impl<'d> Collector<'d, '_, '_> {
    fn add_record(&mut self, record: &RecordKind<'d>) {
        let counts = &mut self.out.counts;
        counts.records += 1;
        match record {
            RecordKind::Sample(sample) => self.add_sample(sample),
            RecordKind::Lost { lost, .. } | RecordKind::LostSamples { lost } => {
                counts.lost_records = counts.lost_records.saturating_add(*lost);
            }
            RecordKind::Throttle { .. } => counts.throttle_records += 1,
            RecordKind::KernelCode { start, len, bpf, name } => {
                self.out.kernel_code.add(*start, *len, *bpf, &String::from_utf8_lossy(name));
            }
            RecordKind::Mmap(Mmap { pid: -1, path, pgoff, .. }) => {
                if path.starts_with(b"[kernel.kallsyms]") {
                    self.out.kernel_text = Some(*pgoff);
                }
            }
            _ => self.follow_process_change(record),
        }
    }

    /// Adds the functions that programs made up to this time to their address spaces.
    fn add_generated(&mut self, time: Option<u64>) {
        let later = self.settings.generated.timed_functions.get(self.next_generated..).unwrap_or_default();
        let made = later.iter().take_while(|function| time.is_some_and(|time| function.time <= time));
        for TimedFunction { pid, range, id, .. } in made {
            self.spaces.add_generated(*pid, range.clone(), *id);
            self.next_generated += 1;
        }
    }

    /// Updates the names and the address spaces of processes.
    fn follow_process_change(&mut self, record: &RecordKind<'d>) {
        match record {
            RecordKind::Mmap(mmap) if mmap.pid != -1 => {
                if let Some(image) = self.files.find(mmap) {
                    self.spaces.map(mmap.pid.cast_unsigned(), mmap.start, mmap.len, mmap.pgoff, image);
                }
            }
            RecordKind::Comm { pid, tid, exec, name } => {
                if *exec {
                    self.spaces.exec(pid.cast_unsigned());
                }
                if pid == tid {
                    self.comms.insert(*pid, self.out.processes.intern_str(&String::from_utf8_lossy(name)));
                }
            }
            // A new thread shares name and address space. A new process gets a copy.
            RecordKind::Fork(task) if task.pid != task.ppid => {
                self.spaces.fork(task.ppid.cast_unsigned(), task.pid.cast_unsigned());
                if let Some(name) = self.comms.get(&task.ppid) {
                    self.comms.insert(task.pid, *name);
                }
            }
            _ => {}
        }
    }

    fn add_sample(&mut self, sample: &Sample<'d>) {
        if sample.event != self.settings.event {
            self.out.counts.other_event_samples += 1;
            return;
        }
        let (pid, tid) = (sample.pid.unwrap_or(0), sample.tid.unwrap_or(0));
        self.facts = self.settings.repairs.map_or_else(Default::default, |_| SampleFacts::from_sample(sample));
        let segments = self.replace_last_stack(sample, pid.cast_unsigned());
        let goroutine = self.resolve_goroutine(sample, pid.cast_unsigned());
        let labels = goroutine.map_or_else(SampleLabels::default, |(_, labels)| labels);
        let goroutine = goroutine.map(|(goroutine, _)| goroutine);
        let process = match self.comms.get(&pid) {
            Some(known) => *known,
            None => self.out.processes.intern_str(&format!("pid {pid}")),
        };
        let (pid, tid) = (pid.cast_unsigned(), tid.cast_unsigned());
        let task = RawTask { process, pid, tid, cpu: sample.cpu, goroutine, labels };
        let last_stack = last_stack_position(sample);
        let last = &mut self.last_stacks[last_stack].task;
        let task = TaskId::from_index(match last {
            Some((last, id)) if *last == task => *id,
            _ => last.insert((task, self.out.tasks.intern(task))).1,
        });
        let weight = self.settings.clock_period.unwrap_or(sample.period);
        let time = sample.time.unwrap_or(0);
        self.pending.push(PendingSample { last_stack, segments, task, weight, time });
        if self.pending.len() == MAX_PENDING {
            self.intern_pending();
        }
        self.out.counts.add_sample(self.facts, goroutine.is_some(), self.settings.labels.has_any(labels));
        if let Some(time) = sample.time {
            self.out.first_time.get_or_insert(time);
            self.out.last_time = self.out.last_time.max(time);
        }
    }

    /// Interns the stacks of the pending samples and adds these samples.
    fn intern_pending(&mut self) {
        let Collected { stacks, samples, .. } = &mut self.out;
        stacks.prefetch(&self.pending_segments);
        let mut wanted = self.pending_segments.drain(..);
        for PendingSample { last_stack, segments, task, weight, time } in self.pending.drain(..) {
            let interned = &mut self.last_stacks[last_stack].segments;
            interned.truncate(segments.shared);
            let mut stack = interned.last().copied().unwrap_or(StackId::EMPTY);
            for segment in wanted.by_ref().take(segments.additional) {
                stack = stacks.intern_segment(stack, &segment);
                interned.push(stack);
            }
            samples.add_timed(time, profile::Sample { stack, task, count: 1, weight });
        }
    }

    /// Appends a record to the rewritten recording. Call [`Self::add_record`] for the same record first.
    fn rewrite_record(&mut self, data: &PerfData<'_>, record: &Record<'_>) {
        let Some(rewritten) = &mut self.rewritten else { return };
        let analysed = match &record.kind {
            RecordKind::Sample(sample) if sample.event == self.settings.event => {
                Some((self.last_stacks[last_stack_position(sample)].raw_stack(), self.facts))
            }
            _ => None,
        };
        rewritten.write(data, record, analysed);
    }

    /// Makes the raw stack of a sample the last stack of its thread, and appends its new segments to `pending_segments`.
    fn replace_last_stack(&mut self, sample: &Sample<'d>, pid: u32) -> SegmentCounts {
        let SplitCallchain { kernel, user } = &SplitCallchain::from_sample(sample);
        let space = self.spaces.get(pid);
        let registers = sample.user_regs.as_ref().and_then(Registers::from_sample);
        let at_limit = |user: &[RawAddress]| kernel.len() + user.len() >= self.settings.max_stack as usize;
        let mut user = user.as_ref();
        let is_raw = self.settings.repairs.is_none();
        if is_raw && (at_limit(user) || user.windows(2).skip(1).any(|pair| pair[0] == pair[1])) {
            let saved_at = |address| registers?.word_at(sample.user_stack?, address);
            let is_mapped =
                |address| space.is_none_or(|space| space.find(address, &mut LookupHint::default()).is_some());
            user = cut_at_cycle(user, registers.map(|registers| registers.frame_pointer()), saved_at, is_mapped);
        }
        self.facts.set(SampleFacts::TRUNCATED, is_raw && at_limit(user));
        self.left_goroutine = None;
        let mut raw = RawStack { kernel, user };
        if let (Some(registers), Some(stack), Some(space)) = (registers, sample.user_stack, space)
            && user.first().is_none_or(|leaf| u64::from_le_bytes(*leaf) == registers.ip())
        {
            let outcome = self.repair.repair(&mut self.unwinder, user, &registers, stack, space);
            let missing = self.unwinder.missing_callers;
            add_outcome(&mut self.facts, outcome, missing);
            if let Some(MissingCallers::ShortCopy(needed)) = missing {
                let longest = &mut self.out.counts.missing_callers.needed_copy_bytes;
                *longest = needed.max(*longest);
            }
            let (tid, time, sp) = (sample.tid.unwrap_or(0), sample.time.unwrap_or(0), registers.sp());
            let outermost = self.repair.repaired.last().copied().unwrap_or(0);
            let thread = SampledThread { pid, tid: tid.cast_unsigned(), time, sp, outermost_caller: outermost };
            let is_truncated = self.facts.has(SampleFacts::TRUNCATED);
            let find = || self.settings.left_stacks.callers(thread, &mut self.unwinder, self.files, space);
            if let Some(left) = (!is_truncated).then(find).flatten() {
                self.repair.addresses.extend(left.addresses.iter().map(|address| address.to_le_bytes()));
                self.facts.set(if left.is_whole { SampleFacts::REPAIRED } else { SampleFacts::CUT }, true);
                self.left_goroutine = left.descriptor;
            }
            raw = RawStack { kernel, user: &self.repair.addresses };
        }
        let last = &mut self.last_stacks[last_stack_position(sample)];
        let version = space.map_or(0, AddressSpace::version);
        let Some(new) = last.replace(sample.tid.unwrap_or(0), version, raw) else {
            return SegmentCounts { shared: last.hashes.len(), additional: 0 };
        };
        let same = last.locations.len();
        let mut hint = LookupHint::default();
        let user = raw.user[..new.user].iter().enumerate().rev().map(|(at, address)| {
            RawLocation::from_user_address(call_address(at, *address), space, &mut hint, self.files)
        });
        self.out.locations.intern_all(user, &mut last.locations);
        let kernel = raw.kernel[..new.kernel].iter().enumerate().rev();
        let kernel = kernel.map(|(at, address)| RawLocation::Kernel(call_address(at, *address)));
        self.out.locations.intern_all(kernel, &mut last.locations);
        last.hashes.truncate(same / Stacks::SEGMENT_LEN);
        let (shared, before) = (last.hashes.len(), self.pending_segments.len());
        for segment in last.locations.chunks(Stacks::SEGMENT_LEN).skip(shared) {
            let segment = self.out.stacks.segment_key(last.hashes.last().copied().unwrap_or(0), segment);
            last.hashes.push(segment.hash());
            self.pending_segments.push(segment);
        }
        SegmentCounts { shared, additional: self.pending_segments.len() - before }
    }
}

/// The position of the last stack of a sample's thread in [`Collector::last_stacks`].
fn last_stack_position(sample: &Sample<'_>) -> usize {
    sample.tid.unwrap_or(0).cast_unsigned() as usize % LAST_STACK_SLOTS
}

impl RepairBuffers {
    /// Repairs the user part of a callchain. The result is in `addresses`.
    fn repair(
        &mut self,
        unwinder: &mut Unwinder<'_, '_>,
        user: &[RawAddress],
        registers: &Registers,
        stack: &[u8],
        space: &AddressSpace,
    ) -> RepairOutcome {
        let Self { callchain, repaired, addresses } = self;
        callchain.clear();
        callchain.extend(user.iter().map(|address| u64::from_le_bytes(*address)));
        repaired.clear();
        let outcome = unwinder.repair(callchain, registers, stack, space, repaired);
        addresses.clear();
        addresses.extend(repaired.iter().map(|address| address.to_le_bytes()));
        outcome
    }
}
