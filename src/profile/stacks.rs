//! Stacks, each stored once, in pieces that those which begin alike share.
//!
//! A piece is a few locations, and the piece of their callers. Pieces and not single frames: most stacks of a recording
//! differ near their leaf, where a tree of frames spends on each of them a look-up that misses every cache. Pieces and not
//! whole stacks: those have the frames near the root again and again. In a recording of a build of Go's standard library
//! 250 000 stacks have 5.0 million frames, and pieces 2.1 million.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use foldhash::fast::RandomState;
use rayon::prelude::*;

use super::interner::position;
use super::model::{LocationId, StackId};
use super::table::{Slot, Table};

/// With the callers, half a cache line.
const LENGTH: usize = Stacks::PIECE;

/// Locations, from the root towards the leaf, and what calls the first of them.
#[derive(Debug, Clone, Copy, Eq)]
#[repr(align(32))]
struct Piece {
    caller: StackId,
    /// Behind the last there is [`LocationId::NONE`].
    locations: [LocationId; LENGTH],
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        self.numbers() == other.numbers()
    }
}

impl Piece {
    const EMPTY: Self = Self { caller: StackId::EMPTY, locations: [LocationId::NONE; LENGTH] };

    fn new(caller: StackId, locations: &[LocationId]) -> Self {
        let mut piece = Self { caller, ..Self::EMPTY };
        for (place, location) in piece.locations.iter_mut().zip(locations) {
            *place = *location;
        }
        piece
    }

    /// All that it is, in numbers, of which several are compared at once.
    fn numbers(&self) -> [u32; LENGTH + 1] {
        let mut numbers = [self.caller.0; LENGTH + 1];
        numbers.iter_mut().zip(self.locations).for_each(|(number, location)| *number = location.0);
        numbers[LENGTH] = self.caller.0;
        numbers
    }

    fn locations(&self) -> &[LocationId] {
        let length = self.locations.iter().take_while(|location| **location != LocationId::NONE).count();
        &self.locations[..length]
    }
}

/// A piece that is to be found or added, before it is known what calls it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Of all locations from the root on.
    hash: u64,
    piece: Piece,
}

impl Wanted {
    /// What [`Stacks::want`] needs to know of callers.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    #[expect(clippy::cast_possible_truncation, reason = "a part of the hash")]
    fn known_by(&self) -> u32 {
        self.hash as u32
    }
}

/// Different stacks, or such as were different where they were gathered. A stack is known by the piece that has its leaf;
/// every piece is a stack. The first is [`StackId::EMPTY`], and callers come before what they call.
#[derive(Debug, Clone)]
pub struct Stacks {
    pieces: Vec<Piece>,
    /// What finds those that are there; none once its memory was given back.
    index: Option<Table<Known>>,
    seed: RandomState,
    /// Whether equal ones may be apart.
    apart: bool,
}

/// A piece, and a part of its hash, which spares a look at it.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u32,
    stack: StackId,
}

impl Slot for Known {
    const FREE: Self = Self { hash: 0, stack: StackId::EMPTY };

    fn is_free(&self) -> bool {
        self.stack == StackId::EMPTY
    }
}

impl Default for Stacks {
    fn default() -> Self {
        Self { pieces: vec![Piece::EMPTY], index: Some(Table::default()), seed: RandomState::default(), apart: false }
    }
}

/// So many looks at memory are under way at once.
const TOUCHED: usize = 32;

impl Stacks {
    /// Locations of a piece.
    pub const PIECE: usize = 7;

    /// Makes room for so many pieces, and for finding `known` of them, which spares copies as they become many. What is not
    /// used of the former is no memory but addresses.
    pub fn reserve(&mut self, pieces: usize, known: usize) {
        let mut roomy = Vec::with_capacity(self.pieces.len() + pieces);
        roomy.append(&mut self.pieces);
        self.pieces = roomy;
        if let Some(index) = &mut self.index {
            index.reserve(known, |known| known.hash);
        }
    }

    /// The stack of these locations, root first, which is added unless it is there.
    pub fn add(&mut self, locations: &[LocationId]) -> StackId {
        let (mut stack, mut hash) = (StackId::EMPTY, 0);
        for piece in locations.chunks(Self::PIECE) {
            let wanted = self.want(hash, piece);
            stack = self.grow(stack, &wanted);
            hash = wanted.hash;
        }
        stack
    }

    /// What [`Stacks::grow`] is to be asked for: the piece of these locations, at most [`Stacks::PIECE`], above that of their
    /// callers, which has this [hash](Wanted::hash); 0 where there are none.
    pub fn want(&self, callers: u64, locations: &[LocationId]) -> Wanted {
        let piece = Piece::new(StackId::EMPTY, locations);
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(callers);
        // Two at a time.
        for pair in piece.locations.chunks(2) {
            let pair = pair.iter().fold(0, |pair, location| pair << 32 | u64::from(location.0));
            hasher.write_u64(pair);
        }
        Wanted { hash: hasher.finish(), piece }
    }

    /// Looks at all that looking for these pieces will look at. Each look may wait for memory that no cache holds, but
    /// here, where none depends on another, they wait at once.
    pub fn touch(&self, wanted: &[Wanted]) {
        let Some(index) = &self.index else { return };
        let first = |wanted: &Wanted| match index.first(wanted.known_by()) {
            Some(known) if known.hash == wanted.known_by() => known.stack,
            _ => StackId::EMPTY,
        };
        for wanted in wanted.chunks(TOUCHED) {
            let mut likely = [StackId::EMPTY; TOUCHED];
            likely.iter_mut().zip(wanted).for_each(|(likely, wanted)| *likely = first(wanted));
            black_box(likely.iter().fold(0, |sum, stack| sum ^ self.pieces[stack.index()].caller.0));
        }
    }

    /// The stack of a piece and what calls it, which is added unless it is there.
    pub fn grow(&mut self, caller: StackId, wanted: &Wanted) -> StackId {
        let (hash, piece) = (wanted.known_by(), Piece { caller, ..wanted.piece });
        let Self { pieces, index, apart, .. } = self;
        let index = index.get_or_insert_with(|| {
            *apart = true;
            Table::default()
        });
        let new = Known { hash, stack: StackId(position(pieces.len())) };
        let known = index.find_or_add(
            hash,
            |known| known.hash == hash && pieces[known.stack.index()] == piece,
            || new,
            |known| known.hash,
        );
        if known.stack == new.stack {
            pieces.push(piece);
        }
        known.stack
    }

    /// The locations of a stack, root first.
    pub fn get(&self, stack: StackId) -> Vec<LocationId> {
        let mut locations: Vec<LocationId> = self.leaf_first(stack).collect();
        locations.reverse();
        locations
    }

    /// The locations of a stack, leaf first.
    pub fn leaf_first(&self, stack: StackId) -> impl Iterator<Item = LocationId> {
        let from = |stack: StackId| (stack != StackId::EMPTY).then_some(stack);
        let stacks = std::iter::successors(from(stack), move |stack| from(self.caller(*stack)));
        stacks.flat_map(|stack| self.piece(stack).iter().rev().copied())
    }

    /// The stack without its last piece.
    pub fn caller(&self, stack: StackId) -> StackId {
        self.pieces[stack.index()].caller
    }

    /// The locations of its last piece, root first.
    pub fn piece(&self, stack: StackId) -> &[LocationId] {
        self.pieces[stack.index()].locations()
    }

    /// One of these locations, by its position.
    pub fn location(&self, stack: StackId, at: u8) -> Option<LocationId> {
        let location = self.pieces[stack.index()].locations.get(usize::from(at));
        location.copied().filter(|location| *location != LocationId::NONE)
    }

    /// The number of stacks, [`StackId::EMPTY`] included.
    pub fn count(&self) -> usize {
        self.pieces.len()
    }

    /// Every stack but [`StackId::EMPTY`].
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = StackId> + ExactSizeIterator + Clone + use<> {
        (1..position(self.pieces.len())).map(StackId)
    }

    /// As [`Stacks::ids`], on all cores.
    pub fn par_ids(&self) -> impl IndexedParallelIterator<Item = StackId> + use<> {
        (1..position(self.pieces.len())).into_par_iter().map(StackId)
    }

    /// Adds stacks that were gathered elsewhere, where their locations had other numbers. Those that are here already stay
    /// apart. Tells what each is called here.
    pub fn append<L>(&mut self, other: &Self, location: L) -> impl Fn(StackId) -> StackId + use<L>
    where
        L: Fn(LocationId) -> LocationId + Sync,
    {
        self.keep_apart();
        let more = position(self.pieces.len() - 1);
        let here = move |stack: StackId| if stack == StackId::EMPTY { stack } else { StackId(stack.0 + more) };
        self.pieces.par_extend(other.pieces.par_iter().skip(1).map(|piece| {
            let locations = piece.locations.map(|at| if at == LocationId::NONE { at } else { location(at) });
            Piece { caller: here(piece.caller), locations }
        }));
        here
    }

    /// For each stack the first that is equal to it, where equal ones may be apart.
    pub fn first_equal(&self) -> Option<Vec<StackId>> {
        if !self.apart {
            return None;
        }
        let mut first = Vec::with_capacity(self.pieces.len());
        let mut known: HashMap<[u32; LENGTH + 1], StackId, RandomState> = HashMap::default();
        for (at, piece) in (0..).map(StackId).zip(&self.pieces) {
            let caller = first.get(piece.caller.index()).copied().unwrap_or(StackId::EMPTY);
            let equal = match piece.locations() {
                [] => caller,
                _ => *known.entry(Piece { caller, ..*piece }.numbers()).or_insert(at),
            };
            first.push(equal);
        }
        Some(first)
    }

    /// Gives back the memory that only adding needs. What is added from then on may stand twice.
    pub fn freeze(&mut self) {
        self.index = None;
    }

    /// From now on equal ones may be apart.
    fn keep_apart(&mut self) {
        self.freeze();
        self.apart = true;
    }

    /// Gives the last piece of a stack, and all stacks that have it, other callers and other locations, no more than it has
    /// room for. Stacks that become equal stay apart, and so does what is added from then on.
    pub fn rewrite(&mut self, stack: StackId, caller: StackId, locations: &[LocationId]) {
        self.keep_apart();
        debug_assert!(caller < stack || caller == StackId::EMPTY, "callers come first");
        self.pieces[stack.index()] = Piece::new(caller, locations);
    }

    /// A stack like another one but for its leaf. Unlike that one it is nothing else's caller.
    pub fn with_leaf(&mut self, stack: StackId, leaf: LocationId) -> StackId {
        self.keep_apart();
        let Piece { caller, .. } = self.pieces[stack.index()];
        let mut locations = self.piece(stack).to_vec();
        if let Some(last) = locations.last_mut() {
            *last = leaf;
        }
        self.pieces.push(Piece::new(caller, &locations));
        StackId(position(self.pieces.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::{LocationId, StackId, Stacks};

    fn row(numbers: impl IntoIterator<Item = u32>) -> Vec<LocationId> {
        numbers.into_iter().map(LocationId).collect()
    }

    fn numbers(stacks: &Stacks, stack: StackId) -> Vec<u32> {
        let locations = stacks.get(stack);
        let leaf_first: Vec<_> = stacks.leaf_first(stack).collect();
        assert!(leaf_first.iter().eq(locations.iter().rev()));
        locations.into_iter().map(|location| location.0).collect()
    }

    #[test]
    fn equal_stacks_are_one() {
        let mut stacks = Stacks::default();
        assert_eq!(stacks.add(&[]), StackId::EMPTY);
        let first = stacks.add(&row([1, 2, 3]));
        let others = [&[1, 2][..], &[1, 2, 4], &[2, 3], &[3, 2, 1], &[1, 2, 3, 0], &[0]].map(|other| {
            let other = stacks.add(&row(other.iter().copied()));
            assert_ne!(other, first);
            other
        });
        assert_eq!(stacks.add(&row([1, 2, 3])), first);
        assert_eq!(stacks.add(&row([0])), others[5]);
        assert_eq!(numbers(&stacks, first), [1, 2, 3]);
        assert!(numbers(&stacks, StackId::EMPTY).is_empty());
        assert_eq!(stacks.count(), 8);
        stacks.touch(&[stacks.want(0, &row([1, 2, 3])), stacks.want(7, &row([8, 9]))]);
        assert_eq!(stacks.count(), 8, "looking adds nothing");
        // Many, so that the index grows.
        let many: Vec<_> = (0..10_000).map(|at| stacks.add(&row([at, at + 1]))).collect();
        for (at, stack) in (0..).zip(&many) {
            assert_eq!(stacks.add(&row([at, at + 1])), *stack);
            assert_eq!(numbers(&stacks, *stack), [at, at + 1]);
        }
        assert_eq!(stacks.count(), 8 + many.len() - 2, "[1, 2] and [2, 3] were there");
    }

    #[test]
    fn stacks_of_any_depth_share_what_they_begin_with() {
        let mut stacks = Stacks::default();
        let mut last: Vec<u32> = Vec::new();
        for (depth, same) in [(0, 0), (1, 0), (7, 1), (8, 7), (40, 8), (40, 40), (39, 39), (21, 20), (14, 14), (0, 0)] {
            // Differs from the last one behind what is the same.
            let new: Vec<u32> =
                (0..depth).map(|at| if at < same { last[at as usize] } else { at * 100 + depth }).collect();
            let stack = stacks.add(&row(new.iter().copied()));
            assert_eq!(numbers(&stacks, stack), new);
            assert_eq!(stacks.add(&row(new.iter().copied())), stack);
            last = new;
        }
        assert!(stacks.ids().all(|stack| stacks.caller(stack) < stack));
        let pieces: usize = stacks.ids().map(|stack| stacks.piece(stack).len()).sum();
        assert!(pieces < 130, "{pieces} locations of 210");
    }

    #[test]
    fn equal_stacks_of_several_places_are_told() {
        let (mut stacks, mut others) = (Stacks::default(), Stacks::default());
        let long = stacks.add(&row(0..10));
        let short = stacks.add(&row([5]));
        assert!(stacks.first_equal().is_none(), "none can be");
        let [same, new, end] = [row(100..110), row(200..220), row(100..108)].map(|locations| others.add(&locations));
        let here = stacks.append(&others, |location| LocationId(location.0 % 100));
        assert_eq!(here(StackId::EMPTY), StackId::EMPTY);
        assert_eq!(numbers(&stacks, here(same)), numbers(&stacks, long));
        assert_eq!(numbers(&stacks, here(new)), (0..20).collect::<Vec<_>>());
        assert!(stacks.ids().all(|stack| stacks.caller(stack) < stack));
        let first = stacks.first_equal().expect("some may be");
        let [same, new, end] = [same, new, end].map(|stack| first[here(stack).index()]);
        assert_eq!((first[long.index()], first[short.index()], same), (long, short, long));
        assert_eq!(numbers(&stacks, end), (0..8).collect::<Vec<_>>());
        assert!(new != long && end != long);
        assert_eq!(first[0], StackId::EMPTY);
        // Nothing is shown of the last piece.
        let caller = stacks.caller(long);
        stacks.rewrite(long, caller, &[]);
        assert_eq!(stacks.first_equal().map(|first| first[long.index()]), Some(caller));
    }

    #[test]
    fn stacks_get_other_locations() {
        let mut stacks = Stacks::default();
        let long = stacks.add(&row(0..10));
        let [caller, longer] = [stacks.caller(long), stacks.add(&row(0..12))];
        let other = stacks.with_leaf(caller, LocationId(60));
        assert_eq!(numbers(&stacks, other), [0, 1, 2, 3, 4, 5, 60]);
        stacks.rewrite(caller, StackId::EMPTY, &row([1, 5]));
        assert_eq!(numbers(&stacks, long), [1, 5, 7, 8, 9]);
        stacks.rewrite(longer, StackId::EMPTY, &row([8]));
        assert_eq!(numbers(&stacks, longer), [8]);
        stacks.rewrite(longer, caller, &[]);
        assert_eq!(numbers(&stacks, longer), [1, 5]);
        assert_eq!(stacks.add(&row([7])).index(), stacks.count() - 1);
    }
}
