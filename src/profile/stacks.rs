//! Stacks, stored as a tree of segments, so that stacks with the same callers share memory.
//!
//! A segment holds up to [`Stacks::SEGMENT_LEN`] locations and the id of its caller segment. A tree of single frames would
//! need one look-up, and so one cache miss, for each frame near the leaf, where most stacks differ. Whole stacks would
//! repeat the frames near the root. In a recording of a build of Go's standard library, 250 000 stacks have 5.0 million
//! frames, and the segments hold 2.1 million.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rayon::prelude::*;

use super::interner::position;
use super::model::{CanonicalStackId, LocationId, StackId};
use super::table::{Slot, SlotTable};

/// Short form of [`Stacks::SEGMENT_LEN`].
const SEGMENT_LEN: usize = Stacks::SEGMENT_LEN;

/// Consecutive locations of a stack, root first, and the id of their caller segment. 32 bytes, half a cache line.
#[derive(Debug, Clone, Copy, Eq)]
#[repr(align(32))]
struct StackSegment {
    caller: StackId,
    /// Unused places at the end are [`LocationId::NONE`].
    locations: [LocationId; SEGMENT_LEN],
}

impl PartialEq for StackSegment {
    fn eq(&self, other: &Self) -> bool {
        self.to_array() == other.to_array()
    }
}

impl StackSegment {
    const EMPTY: Self = Self { caller: StackId::EMPTY, locations: [LocationId::NONE; SEGMENT_LEN] };

    fn new(caller: StackId, locations: &[LocationId]) -> Self {
        let mut segment = Self { caller, ..Self::EMPTY };
        for (place, location) in segment.locations.iter_mut().zip(locations) {
            *place = *location;
        }
        segment
    }

    /// Returns all fields as one array, which the CPU compares several integers at a time.
    fn to_array(self) -> [u32; SEGMENT_LEN + 1] {
        let mut array = [self.caller.0; SEGMENT_LEN + 1];
        array.iter_mut().zip(self.locations).for_each(|(number, location)| *number = location.0);
        array[SEGMENT_LEN] = self.caller.0;
        array
    }

    fn locations(&self) -> &[LocationId] {
        let length = self.locations.iter().take_while(|location| **location != LocationId::NONE).count();
        &self.locations[..length]
    }
}

/// Key of a stack segment whose caller has no id yet.
#[derive(Debug, Clone, Copy)]
pub struct SegmentKey {
    /// Hash of all locations from the root to the end of the segment.
    hash: u64,
    /// The segment, with [`StackId::EMPTY`] as caller.
    segment: StackSegment,
}

impl SegmentKey {
    /// Returns the hash of all locations from the root to the end of the segment, for the [key](Stacks::segment_key) of
    /// the next segment.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    #[expect(clippy::cast_possible_truncation, reason = "the index needs only a part of the hash")]
    fn index_hash(&self) -> u32 {
        self.hash as u32
    }
}

/// Interned stacks. The id of a stack is the id of its last segment, which holds the leaf. So every segment is a stack too.
/// The first stack is [`StackId::EMPTY`]. A caller segment has a lower id than its callees.
///
/// Ids are canonical within a shard: [`Stacks::intern`] gives equal stacks one id. [`Stacks::append`] and
/// [`Stacks::rewrite_segment`] can create equal stacks with several ids, and so can interning after
/// [`Stacks::release_index`]. [`Stacks::canonical_ids`] then finds the equal stacks.
#[derive(Debug, Clone)]
pub struct Stacks {
    segments: Vec<StackSegment>,
    /// Finds interned segments. `None` after [`Stacks::release_index`].
    index: Option<SlotTable<SegmentSlot>>,
    seed: RandomState,
}

/// An entry of the index. The hash is compared first; the segment is read only if the hashes are equal.
#[derive(Debug, Clone, Copy)]
struct SegmentSlot {
    hash: u32,
    stack: StackId,
}

impl Slot for SegmentSlot {
    const FREE: Self = Self { hash: 0, stack: StackId::EMPTY };

    fn is_free(&self) -> bool {
        self.stack == StackId::EMPTY
    }
}

impl Default for Stacks {
    fn default() -> Self {
        Self { segments: vec![StackSegment::EMPTY], index: Some(SlotTable::default()), seed: RandomState::default() }
    }
}

/// Number of segments whose cache misses overlap in [`Stacks::prefetch`].
const PREFETCH_BATCH: usize = 32;

impl Stacks {
    /// Maximum number of locations in a segment.
    pub const SEGMENT_LEN: usize = 7;

    /// Reserves room for `segments` more segments, and makes the index large enough for `indexed` segments in total.
    /// Unused room for segments costs only address space.
    pub fn reserve(&mut self, segments: usize, indexed: usize) {
        let mut larger = Vec::with_capacity(self.segments.len() + segments);
        larger.append(&mut self.segments);
        self.segments = larger;
        if let Some(index) = &mut self.index {
            index.reserve(indexed, |entry| entry.hash);
        }
    }

    /// Returns the stack of these locations, root first. Adds the stack if it is new.
    pub fn intern(&mut self, locations: &[LocationId]) -> StackId {
        let (mut stack, mut hash) = (StackId::EMPTY, 0);
        for locations in locations.chunks(Self::SEGMENT_LEN) {
            let key = self.segment_key(hash, locations);
            stack = self.intern_segment(stack, &key);
            hash = key.hash;
        }
        stack
    }

    /// Returns the key of a segment, for [`Stacks::intern_segment`]. `callers_hash` is the [hash](SegmentKey::hash) of
    /// the caller's key, or 0 at the root. `locations` are at most [`Stacks::SEGMENT_LEN`].
    pub fn segment_key(&self, callers_hash: u64, locations: &[LocationId]) -> SegmentKey {
        let segment = StackSegment::new(StackId::EMPTY, locations);
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(callers_hash);
        // Two locations fill 64 bits.
        for pair in segment.locations.chunks(2) {
            let pair = pair.iter().fold(0, |pair, location| pair << 32 | u64::from(location.0));
            hasher.write_u64(pair);
        }
        SegmentKey { hash: hasher.finish(), segment }
    }

    /// Loads into the CPU's caches the memory that [`Stacks::intern_segment`] reads for these keys. The loads do not depend
    /// on one another, so their cache misses overlap.
    pub fn prefetch(&self, keys: &[SegmentKey]) {
        let Some(index) = &self.index else { return };
        let likely_stack = |key: &SegmentKey| match index.home_slot(key.index_hash()) {
            Some(entry) if entry.hash == key.index_hash() => entry.stack,
            _ => StackId::EMPTY,
        };
        for keys in keys.chunks(PREFETCH_BATCH) {
            let mut stacks = [StackId::EMPTY; PREFETCH_BATCH];
            stacks.iter_mut().zip(keys).for_each(|(stack, key)| *stack = likely_stack(key));
            black_box(stacks.iter().fold(0, |sum, stack| sum ^ self.segments[stack.index()].caller.0));
        }
    }

    /// Returns the stack that consists of `caller` and the segment of `key`. Adds the stack if it is new.
    pub fn intern_segment(&mut self, caller: StackId, key: &SegmentKey) -> StackId {
        let (hash, segment) = (key.index_hash(), StackSegment { caller, ..key.segment });
        let Self { segments, index, .. } = self;
        let index = index.get_or_insert_with(SlotTable::default);
        let new = SegmentSlot { hash, stack: StackId(position(segments.len())) };
        let entry = index.get_or_insert_with(
            hash,
            |entry| entry.hash == hash && segments[entry.stack.index()] == segment,
            || new,
            |entry| entry.hash,
        );
        if entry.stack == new.stack {
            segments.push(segment);
        }
        entry.stack
    }

    /// Returns the locations of a stack, root first.
    pub fn root_first(&self, stack: StackId) -> Vec<LocationId> {
        let mut locations: Vec<LocationId> = self.leaf_first(stack).collect();
        locations.reverse();
        locations
    }

    /// Returns the locations of a stack, leaf first.
    pub fn leaf_first(&self, stack: StackId) -> impl Iterator<Item = LocationId> {
        let non_empty = |stack: StackId| (stack != StackId::EMPTY).then_some(stack);
        let stacks = std::iter::successors(non_empty(stack), move |stack| non_empty(self.caller(*stack)));
        stacks.flat_map(|stack| self.segment(stack).iter().rev().copied())
    }

    /// Returns the stack without its last segment.
    pub fn caller(&self, stack: StackId) -> StackId {
        self.segments[stack.index()].caller
    }

    /// Returns the locations of the last segment of a stack, root first. The other locations of the stack are in its
    /// [callers](Stacks::caller).
    pub fn segment(&self, stack: StackId) -> &[LocationId] {
        self.segments[stack.index()].locations()
    }

    /// Returns the location at an index of [`Stacks::segment`].
    pub fn location(&self, stack: StackId, at: u8) -> Option<LocationId> {
        let location = self.segments[stack.index()].locations.get(usize::from(at));
        location.copied().filter(|location| *location != LocationId::NONE)
    }

    /// Returns the number of stacks, [`StackId::EMPTY`] included.
    pub fn count(&self) -> usize {
        self.segments.len()
    }

    /// Returns every stack but [`StackId::EMPTY`].
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = StackId> + ExactSizeIterator + Clone + use<> {
        (1..position(self.segments.len())).map(StackId)
    }

    /// Returns every stack but [`StackId::EMPTY`], for work on all cores.
    pub fn par_ids(&self) -> impl IndexedParallelIterator<Item = StackId> + use<> {
        (1..position(self.segments.len())).into_par_iter().map(StackId)
    }

    /// Appends the stacks of another shard, without merging equal stacks. `location` converts a location of the other shard to
    /// a location of this shard. Returns a function that converts stacks in the same way.
    pub fn append<L>(&mut self, other: &Self, location: L) -> impl Fn(StackId) -> StackId + use<L>
    where
        L: Fn(LocationId) -> LocationId + Sync,
    {
        self.release_index();
        let offset = position(self.segments.len() - 1);
        let translate = move |stack: StackId| if stack == StackId::EMPTY { stack } else { StackId(stack.0 + offset) };
        self.segments.par_extend(other.segments.par_iter().skip(1).map(|segment| {
            let locations = segment.locations.map(|at| if at == LocationId::NONE { at } else { location(at) });
            StackSegment { caller: translate(segment.caller), locations }
        }));
        translate
    }

    /// Returns the canonical id of each stack, by [`StackId::index`]: the first stack with the same locations. Locations with
    /// equal keys are the same. Locations without a key do not count.
    ///
    /// Equal stacks may be divided into segments in different ways, so they are recognised by a hash of their locations: 128
    /// bits, with seeds that no file can know.
    pub fn canonical_ids(&self, key: impl Fn(LocationId) -> Option<u64>) -> Vec<CanonicalStackId> {
        let seeds = [RandomState::default(), RandomState::default()];
        let mut hashes: Vec<[u64; 2]> = Vec::with_capacity(self.segments.len());
        let mut known: HashTable<u32> = HashTable::new();
        let mut canonical = Vec::with_capacity(self.segments.len());
        for (at, segment) in (0..).zip(&self.segments) {
            // A caller has a lower id, so its hash is known already.
            let caller = hashes.get(segment.caller.index()).copied().unwrap_or_default();
            let keys = segment.locations().iter().filter_map(|location| key(*location));
            let hash = keys.fold(caller, |[a, b], key| [seeds[0].hash_one((a, key)), seeds[1].hash_one((b, key))]);
            hashes.push(hash);
            let entry =
                known.entry(hash[0], |other| hashes[*other as usize] == hash, |other| hashes[*other as usize][0]);
            canonical.push(CanonicalStackId(StackId(*entry.or_insert(at).get())));
        }
        canonical
    }

    /// Frees the memory that only interning needs. A stack that is interned afterwards may be a duplicate.
    pub fn release_index(&mut self) {
        self.index = None;
    }

    /// Replaces the last segment of a stack and its caller. All stacks that contain the segment change too. `locations` are
    /// at most [`Stacks::SEGMENT_LEN`]. Stacks that become equal keep their ids.
    pub fn rewrite_segment(&mut self, stack: StackId, caller: StackId, locations: &[LocationId]) {
        self.release_index();
        debug_assert!(caller < stack || caller == StackId::EMPTY, "a caller has a lower id");
        self.segments[stack.index()] = StackSegment::new(caller, locations);
    }
}

#[cfg(test)]
mod tests {
    use super::{CanonicalStackId, LocationId, StackId, Stacks};

    fn row(numbers: impl IntoIterator<Item = u32>) -> Vec<LocationId> {
        numbers.into_iter().map(LocationId).collect()
    }

    fn numbers(stacks: &Stacks, stack: StackId) -> Vec<u32> {
        let locations = stacks.root_first(stack);
        let leaf_first: Vec<_> = stacks.leaf_first(stack).collect();
        assert!(leaf_first.iter().eq(locations.iter().rev()));
        locations.into_iter().map(|location| location.0).collect()
    }

    #[test]
    fn equal_stacks_have_one_id() {
        let mut stacks = Stacks::default();
        assert_eq!(stacks.intern(&[]), StackId::EMPTY);
        let first = stacks.intern(&row([1, 2, 3]));
        let others = [&[1, 2][..], &[1, 2, 4], &[2, 3], &[3, 2, 1], &[1, 2, 3, 0], &[0]].map(|other| {
            let other = stacks.intern(&row(other.iter().copied()));
            assert_ne!(other, first);
            other
        });
        assert_eq!(stacks.intern(&row([1, 2, 3])), first);
        assert_eq!(stacks.intern(&row([0])), others[5]);
        assert_eq!(numbers(&stacks, first), [1, 2, 3]);
        assert!(numbers(&stacks, StackId::EMPTY).is_empty());
        assert_eq!(stacks.count(), 8);
        stacks.prefetch(&[stacks.segment_key(0, &row([1, 2, 3])), stacks.segment_key(7, &row([8, 9]))]);
        assert_eq!(stacks.count(), 8, "prefetching adds nothing");
        // The index grows several times.
        let many: Vec<_> = (0..10_000).map(|at| stacks.intern(&row([at, at + 1]))).collect();
        for (at, stack) in (0..).zip(&many) {
            assert_eq!(stacks.intern(&row([at, at + 1])), *stack);
            assert_eq!(numbers(&stacks, *stack), [at, at + 1]);
        }
        assert_eq!(stacks.count(), 8 + many.len() - 2, "[1, 2] and [2, 3] were there");
    }

    #[test]
    fn stacks_of_any_depth_share_the_segments_of_their_callers() {
        let mut stacks = Stacks::default();
        let mut last: Vec<u32> = Vec::new();
        for (depth, same) in [(0, 0), (1, 0), (7, 1), (8, 7), (40, 8), (40, 40), (39, 39), (21, 20), (14, 14), (0, 0)] {
            // The first `same` locations are those of the previous stack.
            let new: Vec<u32> =
                (0..depth).map(|at| if at < same { last[at as usize] } else { at * 100 + depth }).collect();
            let stack = stacks.intern(&row(new.iter().copied()));
            assert_eq!(numbers(&stacks, stack), new);
            assert_eq!(stacks.intern(&row(new.iter().copied())), stack);
            last = new;
        }
        assert!(stacks.ids().all(|stack| stacks.caller(stack) < stack));
        let stored: usize = stacks.ids().map(|stack| stacks.segment(stack).len()).sum();
        assert!(stored < 130, "{stored} of 210 locations are stored");
    }

    #[test]
    fn equal_stacks_of_two_shards_have_one_canonical_id() {
        let all = |location: LocationId| Some(u64::from(location.0));
        let (mut stacks, mut others) = (Stacks::default(), Stacks::default());
        let root = stacks.intern(&row([0, 1]));
        let long = stacks.intern(&row(0..10));
        let short = stacks.intern(&row([5]));
        let [same, new, end] = [row(100..110), row(200..220), row(100..108)].map(|locations| others.intern(&locations));
        let translate = stacks.append(&others, |location| LocationId(location.0 % 100));
        assert_eq!(translate(StackId::EMPTY), StackId::EMPTY);
        assert_eq!(numbers(&stacks, translate(same)), numbers(&stacks, long));
        assert_eq!(numbers(&stacks, translate(new)), (0..20).collect::<Vec<_>>());
        assert!(stacks.ids().all(|stack| stacks.caller(stack) < stack));
        let canonical_ids = |stacks: &Stacks, key: &dyn Fn(LocationId) -> Option<u64>| -> Vec<StackId> {
            stacks.canonical_ids(key).into_iter().map(|CanonicalStackId(stack)| stack).collect()
        };
        let canonical = canonical_ids(&stacks, &all);
        let [same, new, end] = [same, new, end].map(|stack| canonical[translate(stack).index()]);
        assert_eq!((canonical[long.index()], canonical[short.index()], same), (long, short, long));
        assert_eq!(numbers(&stacks, end), (0..8).collect::<Vec<_>>());
        assert!(new != long && end != long);
        assert_eq!(canonical[0], StackId::EMPTY);
        // A stack whose last segment is empty is equal to its caller.
        let caller = stacks.caller(long);
        stacks.rewrite_segment(long, caller, &[]);
        assert_eq!(canonical_ids(&stacks, &all)[long.index()], caller);
        // Stacks are also equal if their segments or their locations without a key differ.
        stacks.rewrite_segment(long, root, &row(2..7));
        assert_eq!(canonical_ids(&stacks, &all)[long.index()], caller);
        let even = |location: LocationId| location.0.is_multiple_of(2).then(|| u64::from(location.0));
        assert_eq!(canonical_ids(&stacks, &even)[short.index()], StackId::EMPTY);
    }

    #[test]
    fn rewriting_a_segment_changes_all_stacks_that_contain_it() {
        let mut stacks = Stacks::default();
        let long = stacks.intern(&row(0..10));
        let [caller, longer] = [stacks.caller(long), stacks.intern(&row(0..12))];
        stacks.rewrite_segment(caller, StackId::EMPTY, &row([1, 5]));
        assert_eq!(numbers(&stacks, long), [1, 5, 7, 8, 9]);
        stacks.rewrite_segment(longer, StackId::EMPTY, &row([8]));
        assert_eq!(numbers(&stacks, longer), [8]);
        stacks.rewrite_segment(longer, caller, &[]);
        assert_eq!(numbers(&stacks, longer), [1, 5]);
        assert_eq!(stacks.intern(&row([7])).index(), stacks.count() - 1);
    }
}
