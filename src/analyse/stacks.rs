//! Named places become locations of the profile, of the same numbers, and raw stacks its stacks.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use super::collect::{Collected, RawGoroutine};
use super::files::{Binaries, ImageId, ImageKey};
use super::place::Places;
use super::symbols::{Batch, NamedFrame, NamedFunction, Unnamed, position_of};
use crate::profile::{
    Frame, Function, FunctionId, Goroutine, GoroutineId, Location, LocationId, Mapping, MappingId, Profile, Quality,
    Runner, RunnerId, Samples, StackId, Stacks, StrId, position,
};

/// What each place became: the location of the same number.
pub(super) struct Resolved {
    places: Vec<Slot>,
    /// Why places have no name, those that have none, by position in [`Resolved::reasons`].
    unnamed: Vec<u32>,
    /// Reasons for missing names, each once.
    reasons: Vec<String>,
    /// Locations of places where they are the leaf of a stack, which differ from what they are elsewhere.
    leaves: HashMap<LocationId, LocationId, RandomState>,
}

/// What the figures of a profile need to know of a place. It is asked of every place of every stack: small, so that caches
/// hold those of all places.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    frames: u16,
    /// Of [`fact`].
    facts: u8,
}

/// What is true of a place.
mod fact {
    /// Stacks end here: what stands above it in the callchain did not call it.
    pub(super) const ENDS: u8 = 1;
    pub(super) const KERNEL: u8 = 1 << 1;
    /// In a kernel that shows no addresses.
    pub(super) const HIDDEN: u8 = 1 << 2;
    /// A stack may begin here.
    pub(super) const ROOT: u8 = 1 << 3;
    pub(super) const UNNAMED: u8 = 1 << 4;
    /// Another location where it is the leaf of a stack.
    pub(super) const OTHER_LEAF: u8 = 1 << 5;
}

impl Slot {
    fn new(frames: usize, facts: &[(u8, bool)]) -> Self {
        let facts = facts.iter().filter(|(_, is)| *is).fold(0, |facts, (fact, _)| facts | fact);
        Self { frames: u16::try_from(frames).unwrap_or(u16::MAX), facts }
    }

    fn is(self, fact: u8) -> bool {
        self.facts & fact != 0
    }
}

impl Resolved {
    /// Adds what was named to a profile that has no locations.
    pub(super) fn of(
        mut named: Vec<Batch<'_>>,
        places: &Places,
        keys: &[ImageKey],
        binaries: &Binaries<'_>,
        profile: &mut Profile,
    ) -> Self {
        let mut slots = vec![Slot::default(); places.list.len()];
        let mut unnamed = vec![0; places.list.len()];
        let mut reasons: Vec<String> = Vec::new();
        let mut mappings = Mappings { keys, binaries, known: vec![None; keys.len()], kernel: None };
        profile.reserve_functions(named.iter().map(|batch| batch.functions.len()).sum());
        let add = |batch: &mut Batch<'_>| add_functions(&mem::take(&mut batch.functions), profile);
        let functions: Vec<Vec<FunctionId>> = named.iter_mut().map(add).collect();
        // Names were read from them.
        binaries.leave_all();
        profile.add_locations(places.list.len());
        let mut wrapped = Vec::new();
        for (batch, functions) in named.into_iter().zip(functions) {
            let known: Vec<u32> =
                batch.reasons.iter().map(|reason| position(position_of(reason, &mut reasons))).collect();
            for (place, frames) in batch.places() {
                let at = place.place as usize;
                let mapping = mappings.of(place.image, place.is_kernel, profile);
                let repaired = places.repaired.get(at).copied().unwrap_or_default();
                let location = Location { mapping, address: place.address, repaired };
                let id = LocationId::of_index(place.place);
                profile.set_location(id, location, shown(frames, &functions, false));
                let is_other_leaf = frames.last().is_some_and(|innermost| innermost.wrapper);
                if is_other_leaf {
                    wrapped.push((id, location, shown(frames, &functions, true).collect::<Vec<_>>()));
                }
                let why = place.unnamed.and_then(|Unnamed(at)| known.get(at as usize).copied());
                unnamed[at] = why.unwrap_or_default();
                slots[at] = Slot::new(
                    frames.len(),
                    &[
                        (fact::ENDS, place.ends_stack),
                        (fact::KERNEL, place.is_kernel),
                        (fact::HIDDEN, place.hidden),
                        (fact::ROOT, place.is_root),
                        (fact::UNNAMED, why.is_some()),
                        (fact::OTHER_LEAF, is_other_leaf),
                    ],
                );
            }
        }
        // In the order of places, as everything is.
        wrapped.sort_unstable_by_key(|(id, ..)| *id);
        let leaves =
            wrapped.into_iter().map(|(id, location, frames)| (id, profile.add_location(location, frames))).collect();
        Self { places: slots, unnamed, reasons, leaves }
    }

    fn slot(&self, place: LocationId) -> Slot {
        self.places.get(place.index()).copied().unwrap_or_default()
    }

    /// Where the last place of some is that ends stacks: what stands above it in the callchain did not call it.
    fn end(&self, places: &[LocationId]) -> Option<usize> {
        places.iter().rposition(|place| self.slot(*place).is(fact::ENDS))
    }

    /// What is shown of the last piece of a stack: its caller, where that is shown too, and its places. Nothing tells one
    /// hidden function from another: of those in a row, the first is shown.
    fn shown<'s>(&'s self, stacks: &'s Stacks, stack: StackId) -> (StackId, impl Iterator<Item = LocationId> + 's) {
        let places = stacks.piece(stack);
        let end = self.end(places);
        let caller = if end.is_some() { StackId::EMPTY } else { stacks.caller(stack) };
        let mut last_hidden = stacks.piece(caller).last().is_some_and(|place| self.slot(*place).is(fact::HIDDEN));
        let shown = places[end.unwrap_or(0)..].iter().copied().filter(move |place| {
            let hidden = self.slot(*place).is(fact::HIDDEN);
            !(std::mem::replace(&mut last_hidden, hidden) && hidden)
        });
        (caller, shown)
    }
}

/// The frames of a place that are shown. Wrappers that the compiler made are left out, as Go's own tracebacks do, but for
/// the one that a sample was taken in.
fn shown<'n>(frames: &'n [NamedFrame], functions: &'n [FunctionId], is_leaf: bool) -> impl Iterator<Item = Frame> + 'n {
    let last = frames.len().saturating_sub(1);
    let shown = frames.iter().enumerate().filter(move |(at, frame)| !frame.wrapper || is_leaf && *at == last);
    shown.filter_map(|(_, frame)| {
        Some(Frame { function: functions.get(frame.function as usize).copied()?, line: frame.line })
    })
}

fn add_functions(functions: &[NamedFunction<'_>], profile: &mut Profile) -> Vec<FunctionId> {
    let mut ids = Vec::with_capacity(functions.len());
    // They are in the order of their addresses: the next one is mostly of the same file.
    let mut last: Option<(&str, StrId)> = None;
    for function in functions {
        let name = profile.intern(&function.name);
        let display = if function.display == function.name { name } else { profile.intern(&function.display) };
        let file = match last {
            Some((file, id)) if *file == *function.file => id,
            _ => profile.intern(&function.file),
        };
        last = Some((&function.file, file));
        let NamedFunction { start_line, origin, .. } = *function;
        ids.push(profile.add_function(Function { name, display, file, start_line, origin }));
    }
    ids
}

/// The mappings that frames lie in.
struct Mappings<'m, 'f> {
    keys: &'m [ImageKey],
    binaries: &'m Binaries<'f>,
    known: Vec<Option<MappingId>>,
    kernel: Option<MappingId>,
}

impl Mappings<'_, '_> {
    fn of(&mut self, image: Option<ImageId>, is_kernel: bool, profile: &mut Profile) -> Option<MappingId> {
        let Some(image) = image else {
            return is_kernel.then(|| {
                *self.kernel.get_or_insert_with(|| {
                    let kernel = Mapping {
                        file: profile.intern("[kernel.kallsyms]"),
                        build_id: profile.intern(""),
                        start: 1 << 63,
                        limit: u64::MAX,
                        offset: 0,
                    };
                    profile.add_mapping(kernel)
                })
            });
        };
        let (key, known) = (self.keys.get(image.index())?, self.known.get_mut(image.index())?);
        Some(*known.get_or_insert_with(|| {
            let binary = self.binaries.get(image).ok();
            let segment = binary.and_then(|binary| binary.load_segments().iter().find(|segment| segment.executable));
            let mapping = Mapping {
                file: profile.intern(&key.path),
                build_id: profile.intern(key.build_id.as_deref().unwrap_or_default()),
                start: segment.map_or(0, |segment| segment.address),
                limit: segment.map_or(u64::MAX, |segment| segment.address.saturating_add(segment.file_size)),
                offset: segment.map_or(0, |segment| segment.offset),
            };
            profile.add_mapping(mapping)
        }))
    }
}

/// Adds stacks and samples to a profile that has the locations of all places.
pub(super) fn add_samples(
    collected: &Collected,
    (mut stacks, samples): (Stacks, Samples),
    Unlike { mut altered, other_leaves }: Unlike,
    resolved: &Resolved,
    profile: &mut Profile,
) {
    // Callers last: what is shown of a piece depends on what its callers were.
    altered.sort_unstable();
    for stack in altered.into_iter().rev() {
        let (caller, shown) = resolved.shown(&stacks, stack);
        let shown: Vec<LocationId> = shown.collect();
        stacks.rewrite(stack, caller, &shown);
    }
    let leaf = |leaf: &LocationId| resolved.leaves.get(leaf).copied();
    let replaced = other_leaves.into_iter().filter_map(|stack| {
        let leaf = stacks.piece(stack).last().and_then(leaf)?;
        Some((stack, stacks.with_leaf(stack, leaf)))
    });
    let replaced: HashMap<StackId, StackId, RandomState> = replaced.collect();
    let runners = add_runners(collected, profile);
    let same = replaced.is_empty() && runners.iter().enumerate().all(|(at, runner)| runner.index() == at);
    let map = |stack, runner: RunnerId| (replaced.get(&stack).copied().unwrap_or(stack), runners[runner.index()]);
    let samples = if same { samples } else { samples.map(map) };
    profile.set_samples(stacks, samples);
}

fn add_runners(collected: &Collected, profile: &mut Profile) -> Vec<RunnerId> {
    let processes: Vec<_> = collected.processes.items().iter().map(|name| profile.intern(name)).collect();
    let goroutine = |raw: &RawGoroutine| goroutine(raw, profile);
    let goroutines: Vec<GoroutineId> = collected.goroutines.items().iter().map(goroutine).collect();
    let add = |raw: &super::collect::RawRunner| {
        profile.add_runner(Runner {
            process: processes[raw.process as usize],
            pid: raw.pid,
            tid: raw.tid,
            cpu: raw.cpu,
            goroutine: raw.goroutine.and_then(|at| goroutines.get(at as usize).copied()),
        })
    };
    collected.runners.items().iter().map(add).collect()
}

fn goroutine(raw: &RawGoroutine, profile: &mut Profile) -> GoroutineId {
    let none = profile.intern("");
    // The innermost function there.
    let name = |place: Option<u32>| {
        let innermost = profile.frames(LocationId::of_index(place?)).last()?;
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

/// How many samples have each stack.
pub(super) fn counts_by_stack(stacks: &Stacks, samples: &Samples) -> Vec<u64> {
    let mut counts = vec![0; stacks.count()];
    samples.list().iter().for_each(|sample| counts[sample.stack.index()] += sample.count);
    counts
}

/// Counts stacks and frames, complete or not, named or not. `counts`: how many samples have each stack.
pub(super) fn account(stacks: &Stacks, mut counts: Vec<u64>, resolved: &Resolved, quality: &mut Quality) -> Unlike {
    let sums: Vec<Sums> = stacks.par_ids().map(|stack| Sums::of(stacks.piece(stack), resolved)).collect();
    // Callers are shown with all that they call.
    for (stack, sums) in stacks.ids().zip(&sums).rev() {
        if sums.facts & fact::ENDS == 0 {
            counts[stacks.caller(stack).index()] += counts[stack.index()];
        }
    }
    let none = || Figures { unnamed: vec![0; resolved.reasons.len()], ..Figures::default() };
    let figures = stacks.par_ids().zip(&sums).fold(none, |mut figures, (stack, sums)| {
        figures.count(stacks, stack, counts[stack.index()], *sums, resolved);
        figures
    });
    let figures = figures.reduce(none, Figures::and);
    (quality.user_stacks, quality.rooted_stacks) = (figures.user_stacks, figures.rooted_stacks);
    (quality.user_frames, quality.unnamed_user_frames) = (figures.user_frames, figures.unnamed_user_frames);
    (quality.kernel_frames, quality.unnamed_kernel_frames) = (figures.kernel_frames, figures.unnamed_kernel_frames);
    let reasons = resolved.reasons.iter().map(String::as_str);
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
    fn of(places: &[LocationId], resolved: &Resolved) -> Self {
        let mut sums = Self::default();
        for place in places {
            let slot = resolved.slot(*place);
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
    /// Frames without a name, by position in [`Resolved::reasons`].
    unnamed: Vec<u64>,
    unlike: Unlike,
}

impl Figures {
    /// Adds the last piece of a stack, which so many samples show.
    fn count(&mut self, stacks: &Stacks, stack: StackId, count: u64, sums: Sums, resolved: &Resolved) {
        let is_other_leaf = |leaf: &LocationId| resolved.slot(*leaf).is(fact::OTHER_LEAF);
        if sums.facts & fact::OTHER_LEAF != 0 && stacks.piece(stack).last().is_some_and(is_other_leaf) {
            self.unlike.other_leaves.push(stack);
        }
        let (caller, root) = if sums.facts & (fact::ENDS | fact::HIDDEN | fact::UNNAMED) == 0 {
            self.user_frames += u64::from(sums.user_frames) * count;
            self.kernel_frames += u64::from(sums.kernel_frames) * count;
            (stacks.caller(stack), stacks.piece(stack).first().copied())
        } else {
            let (caller, shown) = resolved.shown(stacks, stack);
            let (mut left, mut root) = (stacks.piece(stack).len(), None);
            for place in shown {
                root.get_or_insert(place);
                self.frame(place, count, resolved);
                left -= 1;
            }
            if left > 0 || caller != stacks.caller(stack) {
                self.unlike.altered.push(stack);
            }
            (caller, root)
        };
        if let (StackId::EMPTY, Some(root)) = (caller, root.map(|root| resolved.slot(root)))
            && !root.is(fact::KERNEL)
        {
            self.user_stacks += count;
            self.rooted_stacks += if root.is(fact::ROOT) { count } else { 0 };
        }
    }

    /// Adds a place that so many samples have on their stack.
    fn frame(&mut self, place: LocationId, count: u64, resolved: &Resolved) {
        let slot = resolved.slot(place);
        let (frames, unnamed) = if slot.is(fact::KERNEL) {
            (&mut self.kernel_frames, &mut self.unnamed_kernel_frames)
        } else {
            (&mut self.user_frames, &mut self.unnamed_user_frames)
        };
        *frames += u64::from(slot.frames) * count;
        if slot.is(fact::UNNAMED) {
            self.unnamed[resolved.unnamed[place.index()] as usize] += count;
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

    use super::{
        Collected, LocationId, Profile, Quality, Resolved, Samples, Slot, Stacks, account, add_samples,
        counts_by_stack, fact,
    };
    use crate::profile::{Event, RunnerId, Sample, Unit};

    /// Places: of every 13 one ends stacks, and some of the others are hidden.
    fn resolved() -> Resolved {
        let places = 0..60_u32;
        let slot = |at: u32| {
            let facts = [
                (fact::ENDS, at.is_multiple_of(13)),
                (fact::KERNEL, (20..30).contains(&at)),
                (fact::HIDDEN, (24..30).contains(&at)),
                (fact::ROOT, at.is_multiple_of(13) || at == 1),
                (fact::UNNAMED, at.is_multiple_of(5)),
            ];
            Slot::new(1 + at as usize % 3, &facts)
        };
        Resolved {
            places: places.clone().map(slot).collect(),
            unnamed: places.map(|_| 0).collect(),
            reasons: vec!["no reason".to_owned()],
            leaves: HashMap::default(),
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
                row.push(LocationId::of_index(u32::try_from(place).expect("small")));
            }
            rows.push(row);
        }
        rows
    }

    #[test]
    fn pieces_of_stacks_give_what_whole_stacks_would() {
        let (resolved, rows) = (resolved(), rows());
        let (mut stacks, mut samples, mut expected) = (Stacks::default(), Samples::default(), Quality::default());
        let mut shown_rows = Vec::new();
        for row in &rows {
            let stack = stacks.add(row);
            // Each for itself, so that none is counted together with another.
            let runner = RunnerId::of_index(u32::try_from(shown_rows.len()).expect("few"));
            samples.add(Sample { stack, runner, count: 3, weight: 1 });
            let reached = &row[resolved.end(row).unwrap_or(0)..];
            let mut shown = Vec::new();
            for (at, place) in reached.iter().enumerate() {
                let slot = resolved.slot(*place);
                if at > 0 && slot.is(fact::HIDDEN) && resolved.slot(reached[at - 1]).is(fact::HIDDEN) {
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
            if let Some(root) = shown.first().map(|root| resolved.slot(*root)).filter(|root| !root.is(fact::KERNEL)) {
                expected.user_stacks += 3;
                expected.rooted_stacks += 3 * u64::from(root.is(fact::ROOT));
            }
            shown_rows.push(shown);
        }
        let mut quality = Quality::default();
        let unlike = account(&stacks, counts_by_stack(&stacks, &samples), &resolved, &mut quality);
        let altered = unlike.altered.len();
        let unnamed = expected.unnamed_user_frames + expected.unnamed_kernel_frames;
        expected.unnamed_reasons = vec![("no reason".to_owned(), unnamed)];
        assert_eq!(quality, expected);
        assert!(rows.len() > 100 && altered > 100 && expected.rooted_stacks > 100, "{altered} altered");

        let event = Event { name: String::new(), counted: String::new(), unit: Unit::Events, frequency: 0 };
        let mut profile = Profile::new(event);
        add_samples(&Collected::default(), (stacks, samples), unlike, &resolved, &mut profile);
        for (sample, shown) in profile.samples().iter().zip(&shown_rows) {
            assert_eq!(profile.stack(sample.stack), *shown);
        }
    }
}
