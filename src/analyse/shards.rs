//! Collects on all cores: each takes a part of the records, and what they found is put together as if one had read them
//! all. Everything is numbered in the order in which it was first seen, so that the number of cores shows nowhere.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rayon::prelude::*;

use super::collect::{Collected, Counts, RawGoroutine, RawTask, Settings, collect};
use super::files::{Binaries, Files};
use crate::perfdata::PerfData;
use crate::profile::{LocationId, Samples, Stacks, TaskId};

/// With fewer records than this, a core is not worth its while.
const SMALLEST_PART: usize = 20_000;

/// One record in so many is in a part that is small.
const LEFT: usize = 16;

/// More parts than this share too little: each has the common stacks again.
const MOST_PARTS: usize = 8;

/// Stacks and samples, each part's for itself.
pub(super) struct Parts {
    stacks: Stacks,
    samples: Samples,
    rest: Vec<Rest>,
}

/// Stacks and samples of a later part, and what its numbers are in the whole.
struct Rest {
    stacks: Stacks,
    samples: Samples,
    places: Vec<u32>,
    tasks: Vec<u32>,
}

/// Reads all records.
pub(super) fn collect_all<'d>(
    data: &PerfData<'d>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &Settings<'_>,
) -> (Collected, Parts) {
    let records = data.record_count();
    let large = (records / SMALLEST_PART).clamp(1, rayon::current_num_threads().min(MOST_PARTS));
    // One core is quicker than another, and one may have something else to do: the last records are for who is done first.
    let left = if large > 1 { records / LEFT } else { 0 };
    let ends = |from: usize, records: usize| (1..=large).map(move |at| from + records * at / large);
    let ends: Vec<usize> = ends(0, records - left).chain(ends(records - left, left)).collect();
    collect_parts(&ends, data, files, binaries, settings)
}

/// Reads all records in parts at once, each of which begins where the one before it ends.
fn collect_parts<'d>(
    ends: &[usize],
    data: &PerfData<'d>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &Settings<'_>,
) -> (Collected, Parts) {
    let records = data.record_count();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let ranges: Vec<Range<usize>> = starts.zip(ends).map(|(start, end)| start..*end).collect();
    // In this order, which a parallel iterator's own is not.
    let next = AtomicUsize::new(0);
    let on_a_core = |_| {
        let take = || ranges.get(next.fetch_add(1, Relaxed));
        std::iter::from_fn(take).map(|range| (range.start, collect(data, range.clone(), files, binaries, settings)))
    };
    let cores = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1);
    let mut parts: Vec<(usize, Collected)> = cores.flat_map_iter(on_a_core).collect();
    parts.sort_unstable_by_key(|(start, _)| *start);
    let mut parts: Vec<Collected> = parts.into_iter().map(|(_, part)| part).collect();
    // What is behind a damaged record in the file is not read, wherever it is in time.
    let damaged = parts.len() > 1 && parts.iter().any(|part| part.damage.is_some());
    if damaged {
        parts = vec![collect(data, 0..records, files, binaries, settings)];
    }
    let mut parts = parts.into_iter();
    let mut whole = parts.next().unwrap_or_default();
    let (stacks, samples) = (mem::take(&mut whole.stacks), mem::take(&mut whole.samples));
    let rest = parts.map(|part| whole.add(part)).collect();
    (whole, Parts { stacks, samples, rest })
}

impl Collected {
    /// Adds all but the stacks and samples of a later part, and tells what those are to be called.
    fn add(&mut self, part: Self) -> Rest {
        let places: Vec<u32> = part.places.iter().map(|(place, repaired)| self.places.id(place, repaired)).collect();
        let processes: Vec<u32> = part.processes.items().iter().map(|name| self.processes.add_ref(name)).collect();
        let at = |at: u32, ids: &[u32]| ids.get(at as usize).copied();
        let goroutine = |raw: &RawGoroutine| RawGoroutine {
            start: raw.start.and_then(|start| at(start, &places)),
            creator: raw.creator.and_then(|creator| at(creator, &places)),
            ..*raw
        };
        let goroutines: Vec<u32> =
            part.goroutines.items().iter().map(|raw| self.goroutines.add(goroutine(raw))).collect();
        let task = |raw: &RawTask| RawTask {
            process: at(raw.process, &processes).unwrap_or_default(),
            goroutine: raw.goroutine.and_then(|goroutine| at(goroutine, &goroutines)),
            ..*raw
        };
        let tasks = part.tasks.items().iter().map(|raw| self.tasks.add(task(raw))).collect();
        self.counts.add(&part.counts);
        self.first_time = self.first_time.or(part.first_time);
        self.last_time = self.last_time.max(part.last_time);
        self.kernel_text = part.kernel_text.or(self.kernel_text);
        self.kernel_code.extend(part.kernel_code);
        Rest { stacks: part.stacks, samples: part.samples, places, tasks }
    }
}

impl Parts {
    /// Puts the stacks and samples of all parts together. Equal stacks of several parts stay apart: most are of one alone,
    /// and looking for the others takes longer than to have them twice.
    pub(super) fn join(self) -> (Stacks, Samples) {
        let Self { mut stacks, mut samples, rest } = self;
        for part in rest {
            let place = |place: LocationId| LocationId::from_index(part.places[place.index()]);
            let stack_here = stacks.append(&part.stacks, place);
            drop(part.stacks);
            let here = |stack, task: TaskId| (stack_here(stack), TaskId::from_index(part.tasks[task.index()]));
            samples.append(&part.samples, here);
        }
        (stacks, samples)
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.samples += other.samples;
        self.lost = self.lost.saturating_add(other.lost);
        self.throttled += other.throttled;
        self.truncated += other.truncated;
        self.copies += other.copies;
        self.repaired += other.repaired;
        self.cut += other.cut;
        self.other_events += other.other_events;
    }
}

#[cfg(test)]
mod tests {
    use super::{Binaries, Collected, Files, PerfData, Settings, collect_parts};
    use crate::analyse::goroutine::Readings;
    use crate::analyse::tests::{NoFiles, Recording, context};
    use crate::profile::Sample;

    /// Processes that fork, execute, map and run the same and different stacks.
    fn busy() -> Vec<u8> {
        let mut recording = Recording::new();
        for at in 0..40_u64 {
            let pid = [7, 8, 9][usize::try_from(at % 3).expect("small")];
            match at % 8 {
                0 => recording.comm(pid, true, if at % 3 == 0 { "app" } else { "tool" }),
                1 => recording.map(pid, 0x1000, "/bin/app"),
                2 => recording.fork(pid, pid + 10),
                5 => recording.map(pid + 10, 0x1000 + 0x800 * (at % 2), "/bin/tool"),
                _ => {}
            }
            recording.sample(pid, &[context::USER, 0x1010 + at % 5, 0x1020, 0x1800 + at % 2, 0x3000]);
            recording
                .sample(pid + 10, &[context::KERNEL, (1 << 63) | (at % 4), context::USER, 0x1400, 0x1020 + at % 3]);
        }
        recording.bytes()
    }

    /// What is collected in so many parts, numbers and all.
    fn collected(parts: usize, bytes: &[u8]) -> String {
        let data = PerfData::parse(bytes).expect("a recording");
        let files = Files::of(&data, &[], &NoFiles);
        let settings =
            Settings { event: 0, clock_period: None, max_stack: 127, goroutines: Readings::of(&[]), passed: &|_| () };
        let ends: Vec<usize> = (1..=parts).map(|at| data.record_count() * at / parts).collect();
        let (whole, stacks) = collect_parts(&ends, &data, &files, &Binaries::of(&files), &settings);
        let (stacks, samples) = stacks.join();
        let first = stacks.first_equal();
        let samples = samples.distinct(|stack| first.as_ref().map_or(stack, |first| first[stack.index()]));
        // By what they are, for their numbers are those of the parts.
        let samples: Vec<_> = samples.iter().map(|sample| (stacks.get(sample.stack), sample)).collect();
        let samples =
            samples.into_iter().map(|(stack, Sample { task, count, weight, .. })| (stack, task, count, weight));
        let samples: Vec<_> = samples.collect();
        let Collected { places, processes, tasks, counts, first_time, last_time, .. } = whole;
        let places: Vec<_> = places.iter().collect();
        let tasks = (processes.items(), tasks.items());
        format!("{:#?}", (samples, places, tasks, counts, first_time, last_time, whole.damage))
    }

    #[test]
    fn the_number_of_parts_changes_nothing() {
        let bytes = busy();
        let whole = collected(1, &bytes);
        assert!(whole.contains("samples: 80,") && whole.contains("\"tool\""), "{whole}");
        for parts in [2, 3, 7, 50, 200] {
            assert_eq!(collected(parts, &bytes), whole, "{parts} parts");
        }
    }

    #[test]
    fn nor_does_it_with_damage_anywhere() {
        let bytes = busy();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if PerfData::parse(&damaged).is_ok_and(|data| !data.events().is_empty()) {
                assert_eq!(collected(3, &damaged), collected(1, &damaged), "byte {at}");
            }
        }
    }
}
