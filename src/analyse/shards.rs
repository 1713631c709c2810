//! Runs [`collect`](super::collect) on all cores. Each core reads shards of the records. The results are merged as if one
//! core had read all records: items are numbered in the order in which they were first seen.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rayon::prelude::*;

use super::collect::{CollectSettings, Collected, RecordCounts, collect};
use super::files::{Binaries, Files};
use super::raw_task::{RawGoroutine, RawTask};
use crate::perfdata::{PerfData, SampleFacts};
use crate::profile::{LocationId, Samples, Stacks, TaskId};

/// Minimum number of records in a large shard. With fewer records, another core costs more time than it saves.
const MIN_SHARD_RECORDS: usize = 20_000;

/// The last 1/16 of the records is split into small shards to balance the load.
const TAIL_FRACTION: usize = 16;

/// Maximum number of large shards. Every shard stores the common stacks again, so more shards would save little.
const MAX_SHARDS: usize = 8;

/// The stacks and samples of all shards before they are merged.
pub(super) struct ShardStacks {
    /// Stacks of the first shard.
    stacks: Stacks,
    /// Samples of the first shard.
    samples: Samples,
    /// The other shards, in order.
    later: Vec<LaterShard>,
}

/// The stacks and samples of a shard after the first shard. `locations` and `tasks` map the shard's ids to merged ids.
struct LaterShard {
    stacks: Stacks,
    samples: Samples,
    locations: Vec<LocationId>,
    tasks: Vec<u32>,
}

/// Reads all records on all cores. The returned [`Collected`] has no stacks and samples: they are in the
/// [`ShardStacks`].
pub(super) fn collect_all<'d>(
    data: &PerfData<'d>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &CollectSettings<'_>,
) -> (Collected, ShardStacks) {
    let records = data.record_count();
    let large = (records / MIN_SHARD_RECORDS).clamp(1, rayon::current_num_threads().min(MAX_SHARDS));
    // Cores differ in speed and load. A core that finishes its large shard early continues with small shards.
    let tail = if large > 1 { records / TAIL_FRACTION } else { 0 };
    let ends = |from: usize, records: usize| (1..=large).map(move |at| from + records * at / large);
    let ends: Vec<usize> = ends(0, records - tail).chain(ends(records - tail, tail)).collect();
    collect_shards(&ends, data, files, binaries, settings)
}

/// Reads all records in shards that end at these positions, in parallel.
fn collect_shards<'d>(
    ends: &[usize],
    data: &PerfData<'d>,
    files: &Files<'d>,
    binaries: &Binaries<'_>,
    settings: &CollectSettings<'_>,
) -> (Collected, ShardStacks) {
    let records = data.record_count();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let ranges: Vec<Range<usize>> = starts.zip(ends).map(|(start, end)| start..*end).collect();
    // A counter assigns the shards in order. A parallel iterator would not keep the order.
    let next = AtomicUsize::new(0);
    let run_core = |_| {
        let take = || ranges.get(next.fetch_add(1, Relaxed));
        std::iter::from_fn(take).map(|range| (range.start, collect(data, range.clone(), files, binaries, settings)))
    };
    let cores = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1);
    let mut shards: Vec<(usize, Collected)> = cores.flat_map_iter(run_core).collect();
    shards.sort_unstable_by_key(|(start, _)| *start);
    let mut shards: Vec<Collected> = shards.into_iter().map(|(_, shard)| shard).collect();
    // Records after a damaged record in the file must not be read. They can be in any shard, because shards are split by
    // time.
    let damaged = shards.len() > 1 && shards.iter().any(|shard| shard.damage.is_some());
    if damaged {
        shards = vec![collect(data, 0..records, files, binaries, settings)];
    }
    let mut shards = shards.into_iter();
    let mut merged = shards.next().unwrap_or_default();
    let (stacks, samples) = (mem::take(&mut merged.stacks), mem::take(&mut merged.samples));
    let later = shards.map(|shard| merged.merge(shard)).collect();
    (merged, ShardStacks { stacks, samples, later })
}

impl Collected {
    /// Adds a later shard. Its stacks and samples are not added, but returned with the merged ids of their locations and
    /// tasks.
    fn merge(&mut self, shard: Self) -> LaterShard {
        let locations: Vec<LocationId> =
            shard.locations.list.iter().map(|location| self.locations.intern(*location)).collect();
        let processes: Vec<u32> = shard.processes.items().iter().map(|name| self.processes.intern_str(name)).collect();
        let new_id = |old: u32, ids: &[u32]| ids.get(old as usize).copied();
        let new_location = |old: LocationId| locations.get(old.index()).copied();
        let goroutine = |raw: &RawGoroutine| RawGoroutine {
            start: raw.start.and_then(new_location),
            creator: raw.creator.and_then(new_location),
            ..*raw
        };
        let goroutines: Vec<u32> =
            shard.goroutines.items().iter().map(|raw| self.goroutines.intern(goroutine(raw))).collect();
        let task = |raw: &RawTask| RawTask {
            process: new_id(raw.process, &processes).unwrap_or_default(),
            goroutine: raw.goroutine.and_then(|goroutine| new_id(goroutine, &goroutines)),
            ..*raw
        };
        let tasks = shard.tasks.items().iter().map(|raw| self.tasks.intern(task(raw))).collect();
        self.counts.add(&shard.counts);
        self.first_time = self.first_time.or(shard.first_time);
        self.last_time = self.last_time.max(shard.last_time);
        self.kernel_text = shard.kernel_text.or(self.kernel_text);
        self.kernel_code.extend(shard.kernel_code);
        self.rewritten.extend(shard.rewritten);
        LaterShard { stacks: shard.stacks, samples: shard.samples, locations, tasks }
    }
}

impl ShardStacks {
    /// Merges the stacks and samples of all shards. Equal stacks of different shards are not merged: most stacks occur
    /// in one shard only, and finding the others costs more time than storing them twice.
    pub(super) fn merge(self) -> (Stacks, Samples) {
        let Self { mut stacks, mut samples, later } = self;
        for shard in later {
            let location = |old: LocationId| shard.locations[old.index()];
            let new_stack = stacks.append(&shard.stacks, location);
            drop(shard.stacks);
            let new_ids = |stack, task: TaskId| (new_stack(stack), TaskId::from_index(shard.tasks[task.index()]));
            samples.append(&shard.samples, new_ids);
        }
        (stacks, samples)
    }
}

impl RecordCounts {
    /// Counts a sample with these facts.
    pub(super) fn add_sample(&mut self, facts: SampleFacts, is_goroutine_known: bool, is_labelled: bool) {
        let one = |flag| u64::from(facts.has(flag));
        self.samples += 1;
        self.truncated_stacks += one(SampleFacts::TRUNCATED);
        self.stack_copies += one(SampleFacts::COPIED);
        self.repaired_stacks += one(SampleFacts::REPAIRED);
        self.cut_stacks += one(SampleFacts::CUT);
        self.goroutine_samples += one(SampleFacts::OF_GOROUTINE);
        self.unknown_goroutines += one(SampleFacts::OF_GOROUTINE) & u64::from(!is_goroutine_known);
        self.foreign_registers += one(SampleFacts::FOREIGN_REGISTER);
        self.labelled_samples += u64::from(is_labelled);
        self.late_labels += one(SampleFacts::LATE_LABELS);
        self.missing_callers.short_copies += one(SampleFacts::SHORT_COPY);
        self.missing_callers.native_code_samples += one(SampleFacts::NATIVE_CODE);
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.samples += other.samples;
        self.lost_records = self.lost_records.saturating_add(other.lost_records);
        self.throttle_records += other.throttle_records;
        self.truncated_stacks += other.truncated_stacks;
        self.stack_copies += other.stack_copies;
        self.repaired_stacks += other.repaired_stacks;
        self.cut_stacks += other.cut_stacks;
        self.goroutine_samples += other.goroutine_samples;
        self.unknown_goroutines += other.unknown_goroutines;
        self.foreign_registers += other.foreign_registers;
        self.labelled_samples += other.labelled_samples;
        self.late_labels += other.late_labels;
        self.missing_callers.append(&other.missing_callers);
        self.other_event_samples += other.other_event_samples;
    }
}

#[cfg(test)]
mod tests {
    use super::{Binaries, CollectSettings, Collected, Files, PerfData, collect_shards};
    use crate::analyse::generated::GeneratedCode;
    use crate::analyse::generated::tests::{jitdump, perf_map};
    use crate::analyse::goroutine::GoroutineReadings;
    use crate::analyse::labels::Labels;
    use crate::analyse::left_stacks::LeftStacks;
    use crate::analyse::tests::{NoFiles, TestRecording, context};
    use crate::profile::{DistinctSamples, StackId, TaskId};

    /// A recording of processes that fork, execute, map files, and run equal and different stacks.
    fn busy_recording() -> Vec<u8> {
        let mut recording = TestRecording::new();
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

    /// The merged result of a number of shards, as text.
    fn describe_collected(shards: usize, bytes: &[u8]) -> String {
        let data = PerfData::parse(bytes).expect("a recording");
        let files = Files::new(&data, &[], &NoFiles);
        let code = [perf_map(9, "2ff0 10 early\n"), jitdump(7, &[(20, 0x2ff8, "one"), (70, 0x2ffe, "two")])];
        let settings = CollectSettings {
            event: 0,
            clock_period: None,
            max_stack: 127,
            keep_times: true,
            goroutines: GoroutineReadings::new(&[]),
            labels: &Labels::default(),
            left_stacks: LeftStacks::default(),
            generated: &GeneratedCode::new(&code, true),
            repairs: None,
            rewrite: None,
            release: &|_| (),
        };
        let ends: Vec<usize> = (1..=shards).map(|at| data.record_count() * at / shards).collect();
        let (merged, stacks) = collect_shards(&ends, &data, &files, &Binaries::new(&files), &settings);
        let (stacks, samples) = stacks.merge();
        let canonical = stacks.canonical_ids(|location| u64::try_from(location.index()).ok());
        let timed = samples.timed().expect("times are kept").iter();
        let single_samples: Vec<_> = timed.map(|timed| (timed.time, timed.weight)).collect();
        let DistinctSamples { rows, columns, .. } = DistinctSamples::from_one_event(samples.list(), true, &canonical);
        // Compares stacks by content, because their ids depend on the shards.
        let row = |(at, (stack, task)): (usize, &(StackId, TaskId))| {
            (stacks.root_first(*stack), *task, columns[0][at], columns[1][at])
        };
        let samples: Vec<_> = rows.iter().enumerate().map(row).collect();
        let Collected { locations, processes, tasks, counts, first_time, last_time, .. } = merged;
        let locations = locations.list;
        let tasks = (processes.items(), tasks.items());
        format!("{:#?}", (samples, single_samples, locations, tasks, counts, first_time, last_time, merged.damage))
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_shards() {
        let bytes = busy_recording();
        let expected = describe_collected(1, &bytes);
        assert!(expected.contains("samples: 80,") && expected.contains("\"tool\""), "{expected}");
        assert_eq!(expected.matches("Generated(").count(), 3, "{expected}");
        for shards in [2, 3, 7, 50, 200] {
            assert_eq!(describe_collected(shards, &bytes), expected, "{shards} shards");
        }
    }

    #[test]
    fn the_result_for_a_damaged_file_does_not_depend_on_the_number_of_shards() {
        let bytes = busy_recording();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if PerfData::parse(&damaged).is_ok_and(|data| !data.events().is_empty()) {
                assert_eq!(describe_collected(3, &damaged), describe_collected(1, &damaged), "byte {at}");
            }
        }
    }
}
