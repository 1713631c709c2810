//! Step one: read the records once, in time order, and count equal raw stacks. Nothing is named here.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use super::maps::{ImageId, Spaces};
use crate::perfdata::{Callchain, CpuMode, Mmap, PerfData, RecordKind, Sample, abi::context};

/// Where a frame's code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An address in the kernel.
    Kernel(u64),
    /// An offset in a mapped file.
    File(ImageId, u64),
    /// An address that no record maps.
    Unmapped(u64),
}

/// A frame: its place, by position in [`Collected::places`].
pub(super) type PlaceId = u32;

/// A file (or `[vdso]`, `//anon`, …) that was mapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ImageKey {
    pub(super) path: String,
    pub(super) build_id: Option<String>,
}

/// Whose samples are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Counted {
    pub(super) stack: u32,
    pub(super) process: u32,
    pub(super) pid: u32,
    pub(super) tid: u32,
}

/// Everything that the records say.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) images: Vec<ImageKey>,
    pub(super) places: Vec<Place>,
    /// Leaf first.
    pub(super) stacks: Vec<Rc<[PlaceId]>>,
    pub(super) processes: Vec<String>,
    /// In the order in which they were first seen: count and weight.
    pub(super) counts: Vec<(Counted, u64, u64)>,
    pub(super) samples: u64,
    pub(super) lost: u64,
    pub(super) throttled: u64,
    pub(super) truncated: u64,
    pub(super) first_time: Option<u64>,
    pub(super) last_time: u64,
    /// The address of the kernel's own map, which tells one boot from another.
    pub(super) kernel_text: Option<u64>,
    /// Samples of other events than the one analysed.
    pub(super) other_events: u64,
    /// Why reading stopped before the end.
    pub(super) damage: Option<crate::perfdata::Error>,
    pub(super) records: u64,
}

#[derive(Default)]
struct Index {
    images: HashMap<ImageKey, ImageId>,
    places: HashMap<Place, PlaceId>,
    stacks: HashMap<Rc<[PlaceId]>, u32>,
    processes: HashMap<String, u32>,
    counts: HashMap<Counted, usize>,
}

struct Collector<'d> {
    out: Collected,
    index: Index,
    spaces: Spaces,
    /// Command names by process.
    comms: HashMap<i32, String>,
    build_ids: HashMap<&'d [u8], String>,
    event: usize,
    clock_period: Option<u64>,
    max_stack: usize,
    /// The frames of the sample at hand.
    frames: Vec<PlaceId>,
}

/// Reads all records. `event` is the one whose samples count; `clock_period` is what a sample stands for when
/// it does not say so itself.
pub(super) fn collect(data: &PerfData<'_>, event: usize, clock_period: Option<u64>, max_stack: u32) -> Collected {
    let features = data.features();
    let build_ids = features.build_ids.iter().map(|known| (known.path.as_slice(), hex(&known.id))).collect();
    let mut collector = Collector {
        out: Collected::default(),
        index: Index::default(),
        spaces: Spaces::default(),
        comms: HashMap::new(),
        build_ids,
        event,
        clock_period,
        max_stack: usize::try_from(max_stack).unwrap_or(usize::MAX),
        frames: Vec::new(),
    };
    for record in data.records() {
        match record {
            Ok(record) => {
                collector.out.records += 1;
                collector.record(&record.kind);
            }
            Err(error) => {
                collector.out.damage = Some(error);
                break;
            }
        }
    }
    collector.out
}

impl Collector<'_> {
    fn record(&mut self, record: &RecordKind<'_>) {
        match record {
            RecordKind::Sample(sample) => self.sample(sample),
            RecordKind::Mmap(mmap) => self.mmap(mmap),
            RecordKind::Comm { pid, tid, exec, name } => {
                if *exec {
                    self.spaces.exec(pid.cast_unsigned());
                }
                if pid == tid {
                    self.comms.insert(*pid, String::from_utf8_lossy(name).into_owned());
                }
            }
            // A new thread shares everything; only a new process gets a copy.
            RecordKind::Fork(task) if task.pid != task.ppid => {
                self.spaces.fork(task.ppid.cast_unsigned(), task.pid.cast_unsigned());
                if let Some(name) = self.comms.get(&task.ppid).cloned() {
                    self.comms.insert(task.pid, name);
                }
            }
            RecordKind::Lost { lost, .. } | RecordKind::LostSamples { lost } => {
                self.out.lost = self.out.lost.saturating_add(*lost);
            }
            RecordKind::Throttle { .. } => self.out.throttled += 1,
            _ => {}
        }
    }

    fn mmap(&mut self, mmap: &Mmap<'_>) {
        let path = String::from_utf8_lossy(mmap.path).into_owned();
        if mmap.pid == -1 {
            if path.starts_with("[kernel.kallsyms]") {
                self.out.kernel_text = Some(mmap.pgoff);
            }
            return;
        }
        let build_id = mmap.build_id.map(hex).or_else(|| self.build_ids.get(mmap.path).cloned());
        let image = self.image(ImageKey { path, build_id });
        self.spaces.map(mmap.pid.cast_unsigned(), mmap.start, mmap.len, mmap.pgoff, image);
    }

    fn image(&mut self, key: ImageKey) -> ImageId {
        let images = &mut self.out.images;
        *self.index.images.entry(key).or_insert_with_key(|key| {
            images.push(key.clone());
            ImageId(position(images.len() - 1))
        })
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        if sample.event != self.event {
            self.out.other_events += 1;
            return;
        }
        let (pid, tid) = (sample.pid.unwrap_or(0), sample.tid.unwrap_or(0));
        let stack = self.stack(sample, pid.cast_unsigned());
        let name = self.comms.get(&pid).map_or_else(|| format!("pid {pid}"), Clone::clone);
        let processes = &mut self.out.processes;
        let process = *self.index.processes.entry(name).or_insert_with_key(|name| {
            processes.push(name.clone());
            position(processes.len() - 1)
        });
        let counted = Counted { stack, process, pid: pid.cast_unsigned(), tid: tid.cast_unsigned() };
        let counts = &mut self.out.counts;
        let at = *self.index.counts.entry(counted).or_insert_with(|| {
            counts.push((counted, 0, 0));
            counts.len() - 1
        });
        if let Some((_, count, weight)) = counts.get_mut(at) {
            *count += 1;
            *weight = weight.saturating_add(self.clock_period.unwrap_or(sample.period));
        }
        self.out.samples += 1;
        if let Some(time) = sample.time {
            self.out.first_time.get_or_insert(time);
            self.out.last_time = self.out.last_time.max(time);
        }
    }

    /// The raw stack of a sample, leaf first.
    fn stack(&mut self, sample: &Sample<'_>, pid: u32) -> u32 {
        self.frames.clear();
        let mut addresses = 0_usize;
        for (address, mode, is_leaf) in addresses_of(sample) {
            addresses += 1;
            // A return address may be the first one after the function that called; one less lies in the
            // call instruction. The leaf, and the first user address under a kernel stack, are exact.
            let address = if is_leaf { address } else { address.saturating_sub(1) };
            let place = match mode {
                Mode::Kernel => Place::Kernel(address),
                Mode::User => match self.spaces.find(pid, address) {
                    Some((image, offset)) => Place::File(image, offset),
                    None => Place::Unmapped(address),
                },
            };
            let places = &mut self.out.places;
            self.frames.push(*self.index.places.entry(place).or_insert_with(|| {
                places.push(place);
                position(places.len() - 1)
            }));
        }
        self.out.truncated += u64::from(addresses >= self.max_stack);
        let stacks = &mut self.out.stacks;
        if let Some(known) = self.index.stacks.get(self.frames.as_slice()) {
            return *known;
        }
        let id = position(stacks.len());
        let stack: Rc<[PlaceId]> = self.frames.as_slice().into();
        stacks.push(Rc::clone(&stack));
        self.index.stacks.insert(stack, id);
        id
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Kernel,
    User,
}

/// The addresses of a sample's callchain without the context markers; of a sample without one, its ip.
fn addresses_of<'a>(sample: &Sample<'a>) -> impl Iterator<Item = (u64, Mode, bool)> + use<'a> {
    let mut mode = match sample.cpu_mode {
        CpuMode::Kernel | CpuMode::GuestKernel | CpuMode::Hypervisor => Some(Mode::Kernel),
        CpuMode::User | CpuMode::GuestUser | CpuMode::Unknown => Some(Mode::User),
    };
    let chain: Callchain<'a> = sample.callchain.clone();
    let alone = (chain.len() == 0).then_some(sample.ip).flatten();
    let mut first = true;
    alone.into_iter().chain(chain).filter_map(move |word| {
        if word >= context::MAX {
            // A marker says what the addresses after it are; the first of them is exact.
            first = true;
            mode = match word {
                context::KERNEL => Some(Mode::Kernel),
                context::USER => Some(Mode::User),
                // Guests and what is yet to come cannot be resolved here.
                _ => None,
            };
            return None;
        }
        let exact = std::mem::replace(&mut first, false);
        mode.map(|mode| (word, mode, exact))
    })
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A position as a handle; memory ends long before four thousand million entries.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
