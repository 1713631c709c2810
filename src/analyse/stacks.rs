//! Raw stacks become those of the profile, and their frames are counted.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use rayon::prelude::*;

use super::collect::{Collected, RawGoroutine};
use super::facts::{Facts, fact};
use super::locations::Leaves;
use super::symbols::Unnamed;
use crate::profile::{Goroutine, GoroutineId, LocationId, Profile, Quality, Samples, StackId, Stacks, Task, TaskId};

/// Adds stacks and samples to a profile that has the locations of all places.
pub(super) fn add_samples(
    collected: &Collected,
    (mut stacks, samples): (Stacks, Samples),
    Unlike { mut altered, other_leaves }: Unlike,
    (facts, leaves): (&Facts, &Leaves),
    profile: &mut Profile,
) {
    // Callers last: what is shown of a piece depends on what its callers were.
    altered.sort_unstable();
    for stack in altered.into_iter().rev() {
        let (caller, shown) = facts.shown(&stacks, stack);
        let shown: Vec<LocationId> = shown.collect();
        stacks.rewrite(stack, caller, &shown);
    }
    let leaf = |leaf: &LocationId| leaves.get(leaf).copied();
    let replaced = other_leaves.into_iter().filter_map(|stack| {
        let leaf = stacks.piece(stack).last().and_then(leaf)?;
        Some((stack, stacks.with_leaf(stack, leaf)))
    });
    let replaced: HashMap<StackId, StackId, RandomState> = replaced.collect();
    let tasks = add_tasks(collected, profile);
    let same = replaced.is_empty() && tasks.iter().enumerate().all(|(at, task)| task.index() == at);
    let map = |stack, task: TaskId| (replaced.get(&stack).copied().unwrap_or(stack), tasks[task.index()]);
    let samples = if same { samples } else { samples.map(map) };
    profile.set_samples(stacks, samples);
}

fn add_tasks(collected: &Collected, profile: &mut Profile) -> Vec<TaskId> {
    let processes: Vec<_> = collected.processes.items().iter().map(|name| profile.intern(name)).collect();
    let goroutine = |raw: &RawGoroutine| goroutine(raw, profile);
    let goroutines: Vec<GoroutineId> = collected.goroutines.items().iter().map(goroutine).collect();
    let add = |raw: &super::collect::RawTask| {
        profile.add_task(Task {
            process: processes[raw.process as usize],
            pid: raw.pid,
            tid: raw.tid,
            cpu: raw.cpu,
            goroutine: raw.goroutine.and_then(|at| goroutines.get(at as usize).copied()),
        })
    };
    collected.tasks.items().iter().map(add).collect()
}

fn goroutine(raw: &RawGoroutine, profile: &mut Profile) -> GoroutineId {
    let none = profile.intern("");
    // The innermost function there.
    let name = |place: Option<u32>| {
        let innermost = profile.frames(LocationId::from_index(place?)).last()?;
        Some(profile.function(innermost.function).display)
    };
    let (entry, creator) = (name(raw.start).unwrap_or(none), name(raw.creator).unwrap_or(none));
    profile.add_goroutine(Goroutine { pid: raw.pid, address: raw.address, id: raw.id, entry, creator })
}

/// Stacks of which the last piece is not shown as it was sampled.
#[derive(Debug, Default)]
pub(super) struct Unlike {
    /// There are places in it that are not shown.
    altered: Vec<StackId>,
    /// Its last place is another location where it is the leaf.
    other_leaves: Vec<StackId>,
}

/// How many samples have each stack. A sample is 8 bytes of a file at least: only one of more than 32 GiB can have more than
/// there are such numbers, and the counts then stay at the highest.
fn counts_by_stack(stacks: &Stacks, samples: &Samples) -> Vec<u32> {
    let mut counts = vec![0_u32; stacks.count()];
    for sample in samples.list() {
        let count = &mut counts[sample.stack.index()];
        *count = count.saturating_add(u32::try_from(sample.count).unwrap_or(u32::MAX));
    }
    counts
}

/// Counts stacks and frames, complete or not, named or not.
pub(super) fn account(stacks: &Stacks, samples: &Samples, facts: &Facts, quality: &mut Quality) -> Unlike {
    let mut counts = counts_by_stack(stacks, samples);
    let sums: Vec<Sums> = stacks.par_ids().map(|stack| Sums::of(stacks.piece(stack), facts)).collect();
    // Callers are shown with all that they call.
    for (stack, sums) in stacks.ids().zip(&sums).rev() {
        if sums.facts & fact::ENDS == 0 {
            let count = counts[stack.index()];
            let callers = &mut counts[stacks.caller(stack).index()];
            *callers = callers.saturating_add(count);
        }
    }
    let none = || Figures { unnamed: vec![0; facts.reasons.len()], ..Figures::default() };
    let figures = stacks.par_ids().zip(&sums).fold(none, |mut figures, (stack, sums)| {
        figures.count(stacks, stack, counts[stack.index()].into(), *sums, facts);
        figures
    });
    let figures = figures.reduce(none, Figures::and);
    (quality.user_stacks, quality.rooted_stacks) = (figures.user_stacks, figures.rooted_stacks);
    (quality.user_frames, quality.unnamed_user_frames) = (figures.user_frames, figures.unnamed_user_frames);
    (quality.kernel_frames, quality.unnamed_kernel_frames) = (figures.kernel_frames, figures.unnamed_kernel_frames);
    let reasons = facts.reasons.iter().map(String::as_str);
    quality.unnamed_reasons = Unnamed::ranked(&reasons.zip(figures.unnamed).collect::<BTreeMap<_, _>>());
    figures.unlike
}

/// What all places of a piece of stacks come to.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    user_frames: u16,
    kernel_frames: u16,
    /// Those that are true of any of them.
    facts: u8,
}

impl Sums {
    fn of(places: &[LocationId], facts: &Facts) -> Self {
        let mut sums = Self::default();
        for place in places {
            let slot = facts.slot(*place);
            let frames = if slot.is(fact::KERNEL) { &mut sums.kernel_frames } else { &mut sums.user_frames };
            *frames = frames.saturating_add(slot.frames);
            sums.facts |= slot.facts;
        }
        sums
    }
}

/// Sums over samples, for the [`Quality`] figures of the same names.
#[derive(Default)]
struct Figures {
    user_stacks: u64,
    rooted_stacks: u64,
    user_frames: u64,
    unnamed_user_frames: u64,
    kernel_frames: u64,
    unnamed_kernel_frames: u64,
    /// Frames without a name, by position in [`Facts::reasons`].
    unnamed: Vec<u64>,
    unlike: Unlike,
}

impl Figures {
    /// Adds the last piece of a stack, which so many samples show.
    fn count(&mut self, stacks: &Stacks, stack: StackId, count: u64, sums: Sums, facts: &Facts) {
        let is_other_leaf = |leaf: &LocationId| facts.slot(*leaf).is(fact::OTHER_LEAF);
        if sums.facts & fact::OTHER_LEAF != 0 && stacks.piece(stack).last().is_some_and(is_other_leaf) {
            self.unlike.other_leaves.push(stack);
        }
        let (caller, root) = if sums.facts & (fact::ENDS | fact::HIDDEN | fact::UNNAMED) == 0 {
            self.user_frames += u64::from(sums.user_frames) * count;
            self.kernel_frames += u64::from(sums.kernel_frames) * count;
            (stacks.caller(stack), stacks.piece(stack).first().copied())
        } else {
            let (caller, shown) = facts.shown(stacks, stack);
            let (mut left, mut root) = (stacks.piece(stack).len(), None);
            for place in shown {
                root.get_or_insert(place);
                self.frame(place, count, facts);
                left -= 1;
            }
            if left > 0 || caller != stacks.caller(stack) {
                self.unlike.altered.push(stack);
            }
            (caller, root)
        };
        if let (StackId::EMPTY, Some(root)) = (caller, root.map(|root| facts.slot(root)))
            && !root.is(fact::KERNEL)
        {
            self.user_stacks += count;
            self.rooted_stacks += if root.is(fact::ROOT) { count } else { 0 };
        }
    }

    /// Adds a place that so many samples have on their stack.
    fn frame(&mut self, place: LocationId, count: u64, facts: &Facts) {
        let slot = facts.slot(place);
        let (frames, unnamed) = if slot.is(fact::KERNEL) {
            (&mut self.kernel_frames, &mut self.unnamed_kernel_frames)
        } else {
            (&mut self.user_frames, &mut self.unnamed_user_frames)
        };
        *frames += u64::from(slot.frames) * count;
        if slot.is(fact::UNNAMED) {
            self.unnamed[facts.unnamed[place.index()] as usize] += count;
            *unnamed += count;
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.user_stacks += other.user_stacks;
        self.rooted_stacks += other.rooted_stacks;
        self.user_frames += other.user_frames;
        self.unnamed_user_frames += other.unnamed_user_frames;
        self.kernel_frames += other.kernel_frames;
        self.unnamed_kernel_frames += other.unnamed_kernel_frames;
        self.unlike.altered.extend(other.unlike.altered);
        self.unlike.other_leaves.extend(other.unlike.other_leaves);
        for (sum, more) in self.unnamed.iter_mut().zip(other.unnamed) {
            *sum += more;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Collected, Facts, LocationId, Profile, Quality, Samples, Stacks, account, add_samples, fact};
    use crate::analyse::facts::Slot;
    use crate::profile::{Event, Sample, TaskId, Unit};

    /// Places: of every 13 one ends stacks, and some of the others are hidden.
    fn facts() -> Facts {
        let places = 0..60_u32;
        let slot = |at: u32| {
            let true_of_it = [
                (fact::ENDS, at.is_multiple_of(13)),
                (fact::KERNEL, (20..30).contains(&at)),
                (fact::HIDDEN, (24..30).contains(&at)),
                (fact::ROOT, at.is_multiple_of(13) || at == 1),
                (fact::UNNAMED, at.is_multiple_of(5)),
            ];
            Slot::new(1 + at as usize % 3, &true_of_it)
        };
        Facts {
            slots: places.clone().map(slot).collect(),
            unnamed: places.map(|_| 0).collect(),
            reasons: vec!["no reason".to_owned()],
        }
    }

    /// Stacks of up to 40 locations, many of which begin alike.
    fn rows() -> Vec<Vec<LocationId>> {
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
                let place = [below(60), 24 + below(6)][usize::from(below(4) == 0)];
                row.push(LocationId::from_index(u32::try_from(place).expect("small")));
            }
            rows.push(row);
        }
        rows
    }

    #[test]
    fn pieces_of_stacks_give_what_whole_stacks_would() {
        let (facts, rows) = (facts(), rows());
        let (mut stacks, mut samples, mut expected) = (Stacks::default(), Samples::default(), Quality::default());
        let mut shown_rows = Vec::new();
        for row in &rows {
            let stack = stacks.add(row);
            // Each for itself, so that none is counted together with another.
            let task = TaskId::from_index(u32::try_from(shown_rows.len()).expect("few"));
            samples.add(Sample { stack, task, count: 3, weight: 1 });
            let reached = &row[facts.end(row).unwrap_or(0)..];
            let mut shown = Vec::new();
            for (at, place) in reached.iter().enumerate() {
                let slot = facts.slot(*place);
                if at > 0 && slot.is(fact::HIDDEN) && facts.slot(reached[at - 1]).is(fact::HIDDEN) {
                    continue;
                }
                shown.push(*place);
                let (frames, unnamed) = if slot.is(fact::KERNEL) {
                    (&mut expected.kernel_frames, &mut expected.unnamed_kernel_frames)
                } else {
                    (&mut expected.user_frames, &mut expected.unnamed_user_frames)
                };
                *frames += 3 * u64::from(slot.frames);
                *unnamed += 3 * u64::from(slot.is(fact::UNNAMED));
            }
            if let Some(root) = shown.first().map(|root| facts.slot(*root)).filter(|root| !root.is(fact::KERNEL)) {
                expected.user_stacks += 3;
                expected.rooted_stacks += 3 * u64::from(root.is(fact::ROOT));
            }
            shown_rows.push(shown);
        }
        let mut quality = Quality::default();
        let unlike = account(&stacks, &samples, &facts, &mut quality);
        let altered = unlike.altered.len();
        let unnamed = expected.unnamed_user_frames + expected.unnamed_kernel_frames;
        expected.unnamed_reasons = vec![("no reason".to_owned(), unnamed)];
        assert_eq!(quality, expected);
        assert!(rows.len() > 100 && altered > 100 && expected.rooted_stacks > 100, "{altered} altered");

        let event = Event { name: String::new(), counted: String::new(), unit: Unit::Events, frequency: 0 };
        let mut profile = Profile::new(event);
        add_samples(&Collected::default(), (stacks, samples), unlike, (&facts, &HashMap::default()), &mut profile);
        for (sample, shown) in profile.samples().iter().zip(&shown_rows) {
            assert_eq!(profile.stack(sample.stack), *shown);
        }
    }
}
