//! Makes the stacks of a profile from raw stacks, and counts their frames for the quality figures.

use rayon::prelude::*;

use super::collect::Collected;
use super::labels::Labels;
use super::location_flags::{LocationFlags, flag};
use super::locations::WrapperNames;
use super::raw_task::{RawGoroutine, RawTask};
use crate::profile::{
    Frame, Goroutine, GoroutineId, LocationId, Profile, Quality, Samples, StackId, Stacks, Task, TaskId,
};

/// Adds stacks and samples to a profile that has all locations. `altered` are the stacks that
/// [`count_frames_and_list_altered`] returns.
pub(super) fn add_samples(
    collected: &Collected,
    (mut stacks, samples): (Stacks, Samples),
    mut altered: Vec<StackId>,
    (flags, wrappers, labels): (&LocationFlags, &WrapperNames, &Labels<'_>),
    profile: &mut Profile,
) {
    // Callers are rewritten last, because the shown part of a segment depends on the original locations of its callers. A
    // caller has a lower id.
    altered.sort_unstable();
    for stack in altered.into_iter().rev() {
        let (caller, shown) = flags.shown_part(&stacks, stack);
        let shown: Vec<LocationId> = shown.collect();
        stacks.rewrite_segment(stack, caller, &shown);
    }
    let tasks = add_tasks(collected, (wrappers, labels), profile);
    let unchanged = tasks.iter().enumerate().all(|(at, task)| task.index() == at);
    let samples = if unchanged { samples } else { samples.remap(|stack, task| (stack, tasks[task.index()])) };
    profile.set_samples(stacks, samples);
}

/// Adds all tasks to a profile. Returns their ids, by position in [`Collected::tasks`].
fn add_tasks(
    collected: &Collected,
    (wrappers, labels): (&WrapperNames, &Labels<'_>),
    profile: &mut Profile,
) -> Vec<TaskId> {
    let processes: Vec<_> = collected.processes.items().iter().map(|name| profile.intern(name)).collect();
    let add_goroutine = |raw: &RawGoroutine| add_goroutine(raw, wrappers, profile);
    let goroutines: Vec<GoroutineId> = collected.goroutines.items().iter().map(add_goroutine).collect();
    let add_task = |raw: &RawTask| {
        let labels = labels.add(raw.labels, profile);
        profile.intern_task(Task {
            process: processes[raw.process as usize],
            pid: raw.pid,
            tid: raw.tid,
            cpu: raw.cpu,
            goroutine: raw.goroutine.and_then(|at| goroutines.get(at as usize).copied()),
            labels,
        })
    };
    collected.tasks.items().iter().map(add_task).collect()
}

fn add_goroutine(raw: &RawGoroutine, wrappers: &WrapperNames, profile: &mut Profile) -> GoroutineId {
    let none = profile.intern("");
    let frames = |location: Option<LocationId>| Some(profile.frames(location?));
    // At a wrapper's address, the frames are those of the wrapped function, which is inlined there, and of the functions
    // inlined into that function.
    let entry = frames(raw.start).and_then(|frames| frames.first().copied());
    let creator = frames(raw.creator).and_then(|frames| frames.last().copied());
    let name = |frame: Option<Frame>| frame.map_or(none, |frame| profile.function(frame.function).display);
    // A wrapper without a wrapped function at its address calls a function that is known only at run time. Then the
    // name of the wrapper is used.
    let wrapper = raw.start.and_then(|start| wrappers.get(&start).copied());
    let (entry, creator) = (wrapper.unwrap_or(name(entry)), name(creator));
    profile.intern_goroutine(Goroutine { pid: raw.pid, address: raw.address, id: raw.id, entry, creator })
}

/// The number of samples of each stack. The counts saturate at 2^32 - 1. A sample has at least 8 bytes, so only recordings
/// above 32 GiB can reach that.
fn counts_by_stack(stacks: &Stacks, samples: &Samples) -> Vec<u32> {
    let mut counts = vec![0_u32; stacks.count()];
    for sample in samples.list() {
        let count = &mut counts[sample.stack.index()];
        *count = count.saturating_add(u32::try_from(sample.count).unwrap_or(u32::MAX));
    }
    counts
}

/// Counts complete stacks and unnamed frames. Returns the stacks whose last segment is shown with fewer locations or
/// with other callers.
pub(super) fn count_frames_and_list_altered(
    stacks: &Stacks,
    samples: &Samples,
    flags: &LocationFlags,
    quality: &mut Quality,
) -> Vec<StackId> {
    let mut counts = counts_by_stack(stacks, samples);
    let totals: Vec<SegmentTotals> =
        stacks.par_ids().map(|stack| SegmentTotals::new(stacks.segment(stack), flags)).collect();
    // A segment is shown once for each sample of its stack, and of each stack that has the segment as a caller.
    for (stack, totals) in stacks.ids().zip(&totals).rev() {
        if totals.bits & flag::ENDS_STACK == 0 {
            let count = counts[stack.index()];
            let caller = &mut counts[stacks.caller(stack).index()];
            *caller = caller.saturating_add(count);
        }
    }
    let zero = || StackCounters { unnamed: vec![0; flags.reasons.len()], ..StackCounters::default() };
    let counters = stacks.par_ids().zip(&totals).fold(zero, |mut counters, (stack, totals)| {
        counters.add_segment(stacks, stack, counts[stack.index()].into(), *totals, flags);
        counters
    });
    let counters = counters.reduce(zero, StackCounters::merge);
    (quality.user_stacks, quality.rooted_stacks) = (counters.user_stacks, counters.rooted_stacks);
    (quality.user_frames, quality.unnamed_user_frames) = (counters.user_frames, counters.unnamed_user_frames);
    (quality.kernel_frames, quality.unnamed_kernel_frames) = (counters.kernel_frames, counters.unnamed_kernel_frames);
    quality.unnamed_reasons = rank_reasons(&flags.reasons, &counters.unnamed);
    counters.altered
}

/// Reasons with their counts, most frequent first. Leaves out reasons with a count of 0.
fn rank_reasons(reasons: &[String], counts: &[u64]) -> Vec<(String, u64)> {
    let counted = reasons.iter().zip(counts).filter(|(_, count)| **count > 0);
    let mut ranked: Vec<(String, u64)> = counted.map(|(reason, count)| (reason.clone(), *count)).collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked
}

#[derive(Debug, Clone, Copy, Default)]
struct SegmentTotals {
    user_frames: u16,
    kernel_frames: u16,
    /// The flags that at least one of the locations has: bits of [`flag`].
    bits: u8,
}

impl SegmentTotals {
    fn new(locations: &[LocationId], flags: &LocationFlags) -> Self {
        let mut totals = Self::default();
        for location in locations {
            let flags = flags.get(*location);
            let frames = if flags.has(flag::KERNEL) { &mut totals.kernel_frames } else { &mut totals.user_frames };
            *frames = frames.saturating_add(flags.frames);
            totals.bits |= flags.bits;
        }
        totals
    }
}

/// Sums over all samples, for the [`Quality`] figures with the same names.
#[derive(Default)]
struct StackCounters {
    user_stacks: u64,
    rooted_stacks: u64,
    user_frames: u64,
    unnamed_user_frames: u64,
    kernel_frames: u64,
    unnamed_kernel_frames: u64,
    /// Number of unnamed frames for each reason, by position in [`LocationFlags::reasons`].
    unnamed: Vec<u64>,
    /// Stacks whose last segment is shown with fewer locations or with other callers.
    altered: Vec<StackId>,
}

impl StackCounters {
    /// Adds the last segment of a stack, which `count` samples show.
    fn add_segment(
        &mut self,
        stacks: &Stacks,
        stack: StackId,
        count: u64,
        totals: SegmentTotals,
        flags: &LocationFlags,
    ) {
        let (caller, root) = if totals.bits & (flag::ENDS_STACK | flag::HIDDEN | flag::UNNAMED) == 0 {
            self.user_frames += u64::from(totals.user_frames) * count;
            self.kernel_frames += u64::from(totals.kernel_frames) * count;
            (stacks.caller(stack), stacks.segment(stack).first().copied())
        } else {
            let (caller, shown) = flags.shown_part(stacks, stack);
            let (mut not_shown, mut root) = (stacks.segment(stack).len(), None);
            for location in shown {
                root.get_or_insert(location);
                self.add_location(location, count, flags);
                not_shown -= 1;
            }
            if not_shown > 0 || caller != stacks.caller(stack) {
                self.altered.push(stack);
            }
            (caller, root)
        };
        if let (StackId::EMPTY, Some(root)) = (caller, root.map(|root| flags.get(root)))
            && !root.has(flag::KERNEL)
        {
            self.user_stacks += count;
            self.rooted_stacks += if root.has(flag::ROOT) { count } else { 0 };
        }
    }

    /// Counts a location that is on the stacks of `count` samples.
    fn add_location(&mut self, location: LocationId, count: u64, all: &LocationFlags) {
        let flags = all.get(location);
        let (frames, unnamed) = if flags.has(flag::KERNEL) {
            (&mut self.kernel_frames, &mut self.unnamed_kernel_frames)
        } else {
            (&mut self.user_frames, &mut self.unnamed_user_frames)
        };
        *frames += u64::from(flags.frames) * count;
        if flags.has(flag::UNNAMED) {
            self.unnamed[all.unnamed[location.index()] as usize] += count;
            *unnamed += count;
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.user_stacks += other.user_stacks;
        self.rooted_stacks += other.rooted_stacks;
        self.user_frames += other.user_frames;
        self.unnamed_user_frames += other.unnamed_user_frames;
        self.kernel_frames += other.kernel_frames;
        self.unnamed_kernel_frames += other.unnamed_kernel_frames;
        self.altered.extend(other.altered);
        for (sum, more) in self.unnamed.iter_mut().zip(other.unnamed) {
            *sum += more;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Collected, Labels, LocationFlags, LocationId, Profile, Quality, Samples, Stacks, WrapperNames, add_samples,
        count_frames_and_list_altered, flag,
    };
    use crate::analyse::location_flags::Flags;
    use crate::profile::{Event, Sample, TaskId, Unit};

    /// The flags of 60 locations. Every 13th location ends stacks, and some other locations are hidden.
    fn flags() -> LocationFlags {
        let locations = 0..60_u32;
        let flags_of = |at: u32| {
            let flags = [
                (flag::ENDS_STACK, at.is_multiple_of(13)),
                (flag::KERNEL, (20..30).contains(&at)),
                (flag::HIDDEN, (24..30).contains(&at)),
                (flag::ROOT, at.is_multiple_of(13) || at == 1),
                (flag::UNNAMED, at.is_multiple_of(5)),
            ];
            Flags::new(1 + at as usize % 3, &flags)
        };
        LocationFlags {
            flags: locations.clone().map(flags_of).collect(),
            unnamed: locations.map(|_| 0).collect(),
            reasons: vec!["no reason".to_owned()],
        }
    }

    /// Stacks of up to 40 locations, root first. Many stacks have common callers.
    fn random_stacks() -> Vec<Vec<LocationId>> {
        let mut state = 1_u32;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % limit
        };
        let mut rows: Vec<Vec<LocationId>> = vec![Vec::new()];
        for _ in 0..2000 {
            let mut row = rows[below(rows.len())].clone();
            row.truncate(below(row.len() + 1));
            for _ in 0..below(41 - row.len()) {
                let location = [below(60), 24 + below(6)][usize::from(below(4) == 0)];
                row.push(LocationId::from_index(u32::try_from(location).expect("small")));
            }
            rows.push(row);
        }
        rows
    }

    #[test]
    fn counting_by_segments_gives_the_same_as_counting_whole_stacks() {
        let (flags, rows) = (flags(), random_stacks());
        let (mut stacks, mut samples, mut expected) = (Stacks::default(), Samples::default(), Quality::default());
        let mut shown_rows = Vec::new();
        for row in &rows {
            let stack = stacks.intern(row);
            // Each sample has another task, so that no two samples are counted together.
            let task = TaskId::from_index(u32::try_from(shown_rows.len()).expect("few"));
            samples.add(Sample { stack, task, count: 3, weight: 1 });
            let reached = &row[flags.stack_start(row).unwrap_or(0)..];
            let mut shown = Vec::new();
            for (at, location) in reached.iter().enumerate() {
                let own = flags.get(*location);
                if at > 0 && own.has(flag::HIDDEN) && flags.get(reached[at - 1]).has(flag::HIDDEN) {
                    continue;
                }
                shown.push(*location);
                let (frames, unnamed) = if own.has(flag::KERNEL) {
                    (&mut expected.kernel_frames, &mut expected.unnamed_kernel_frames)
                } else {
                    (&mut expected.user_frames, &mut expected.unnamed_user_frames)
                };
                *frames += 3 * u64::from(own.frames);
                *unnamed += 3 * u64::from(own.has(flag::UNNAMED));
            }
            if let Some(root) = shown.first().map(|root| flags.get(*root)).filter(|root| !root.has(flag::KERNEL)) {
                expected.user_stacks += 3;
                expected.rooted_stacks += 3 * u64::from(root.has(flag::ROOT));
            }
            shown_rows.push(shown);
        }
        let mut quality = Quality::default();
        let hidden = count_frames_and_list_altered(&stacks, &samples, &flags, &mut quality);
        let altered = hidden.len();
        let unnamed = expected.unnamed_user_frames + expected.unnamed_kernel_frames;
        expected.unnamed_reasons = vec![("no reason".to_owned(), unnamed)];
        assert_eq!(quality, expected);
        assert!(rows.len() > 100 && altered > 100 && expected.rooted_stacks > 100, "{altered} altered");

        let event = Event { name: String::new(), count_name: String::new(), unit: Unit::Events, frequency: 0 };
        let mut profile = Profile::new(event);
        add_samples(
            &Collected::default(),
            (stacks, samples),
            hidden,
            (&flags, &WrapperNames::default(), &Labels::default()),
            &mut profile,
        );
        for (sample, shown) in profile.samples().iter().zip(&shown_rows) {
            assert_eq!(profile.stack(sample.stack), *shown);
        }
    }
}
