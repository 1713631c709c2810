//! Reads the profiler labels of goroutines from the program's memory.

use std::collections::HashMap;
use std::time::Duration;

use super::memory::ProgramMemory;
use crate::gobin::LabelForm;
use crate::sources::{GoroutineReading, LabelReading, LabelReadings, LabelSet};

/// Number of times that a set is read until its goroutine has it before and after.
const ATTEMPTS: usize = 3;

/// Maximum number of labels of a goroutine.
const MAX_LABELS: usize = 64;

/// Maximum length of a name or a value in bytes. The rest of a longer one is left out.
const MAX_TEXT: usize = 256;

/// Maximum number of readings that are kept, 32 bytes each.
const MAX_READINGS: usize = 1 << 20;

/// Maximum number of different sets that are kept, and of bytes in them.
const MAX_SETS: usize = 1 << 16;
const MAX_SET_BYTES: usize = 1 << 24;

/// Shortest and longest time between two readings of the goroutines that run, once one of them has labels.
const INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(10)];

/// Longest time in nanoseconds between two equal readings that are one: labels may change and change back in a longer one.
/// It does not count as long as no goroutine had labels, so that programs without them need little memory.
const MAX_GAP: u64 = 20_000_000;

/// Part by which this time grows with each reading without a change: from the shortest to the longest in 0.3 seconds.
const GROWTH: u32 = 32;

/// Bytes of a bucket of a `map[string]string`: 8 bytes that tell which of the 8 places are used, the names, the values,
/// and the address of the next bucket (`bmap` in src/runtime/map.go of Go 1.23).
const BUCKET_WORDS: usize = 1 + 8 * 2 + 8 * 2 + 1;
/// Smallest of these bytes that stands for a used place (`minTopHash`).
const USED_PLACE: u8 = 5;
/// Flag of a map that is copied to as many buckets as before (`sameSizeGrow`). Otherwise the new ones are twice as many.
const SAME_SIZE: u64 = 8;
/// Maximum logarithm of the number of buckets.
const MAX_BUCKETS_LOG: u64 = 4;

/// The labels of the goroutines of a program.
#[derive(Debug)]
pub(super) struct LabelWatch {
    /// Offset of `g.labels`.
    offset: usize,
    form: LabelForm,
    /// The different sets, in the order of these numbers from 0 on. The first is empty.
    sets: HashMap<LabelSet, u32>,
    set_bytes: usize,
    readings: Vec<LabelReading>,
    /// The newest reading of each descriptor, as an index into `readings`.
    newest: HashMap<(u32, u64), usize>,
    /// Whether a goroutine has other labels than at the reading before.
    changed: bool,
    interval: Duration,
}

impl LabelWatch {
    pub(super) fn new((offset, form): (usize, LabelForm)) -> Self {
        let sets = HashMap::from([(LabelSet::new(), 0)]);
        Self {
            offset,
            form,
            sets,
            set_bytes: 0,
            readings: Vec::new(),
            newest: HashMap::new(),
            changed: false,
            interval: INTERVALS[0],
        }
    }

    /// Whether a goroutine had labels.
    fn in_use(&self) -> bool {
        self.sets.len() > 1
    }

    /// Time after which the goroutines that run are read again. `None` if none of them had labels.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.in_use().then_some(self.interval)
    }

    /// Readings follow each other closely while labels change.
    pub(super) fn adapt_interval(&mut self) {
        let [shortest, longest] = INTERVALS;
        self.interval = if self.changed { shortest } else { longest.min(self.interval + self.interval / GROWTH) };
        self.changed = false;
    }

    /// Reads the labels of a goroutine whose descriptor has just been read, and keeps them with the time of that reading.
    pub(super) fn look(&mut self, memory: &ProgramMemory, goroutine: &GoroutineReading) {
        let GoroutineReading { pid, address, last_ns: now, .. } = *goroutine;
        let Some(set) = self.read(memory, address).and_then(|set| self.intern(set)) else { return };
        let newest = self.newest.get(&(pid, address)).copied();
        if let Some(known) = newest.and_then(|at| self.readings.get_mut(at)) {
            let is_close = self.sets.len() == 1 || now.saturating_sub(known.last_ns) <= MAX_GAP;
            if known.set == set && is_close {
                known.last_ns = now;
                return;
            }
            self.changed |= known.set != set;
        }
        if self.readings.len() < MAX_READINGS {
            self.newest.insert((pid, address), self.readings.len());
            self.readings.push(LabelReading { pid, address, first_ns: now, last_ns: now, set });
        }
    }

    /// Reads the set of a descriptor. A goroutine may get another one meanwhile, and the garbage collector may free the
    /// first: a set counts if the descriptor still names it afterwards.
    fn read(&self, memory: &ProgramMemory, descriptor: u64) -> Option<LabelSet> {
        for _ in 0..ATTEMPTS {
            let [pointer] = memory.words(descriptor, [self.offset])?;
            if pointer == 0 {
                return Some(LabelSet::new());
            }
            let set = match self.form {
                LabelForm::Map => read_map(memory, pointer),
                LabelForm::List => read_list(memory, pointer),
            };
            if memory.words(descriptor, [self.offset])? == [pointer] {
                return set;
            }
        }
        None
    }

    /// The number of a set. `None` if it is new and there are too many.
    fn intern(&mut self, set: LabelSet) -> Option<u32> {
        if let Some(known) = self.sets.get(&set) {
            return Some(*known);
        }
        let bytes: usize = set.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.sets.len() >= MAX_SETS || self.set_bytes + bytes > MAX_SET_BYTES {
            return None;
        }
        self.set_bytes += bytes;
        let number = u32::try_from(self.sets.len()).ok()?;
        self.sets.insert(set, number);
        Some(number)
    }

    /// All readings. None if no goroutine had labels.
    pub(super) fn finish(self) -> LabelReadings {
        if !self.in_use() {
            return LabelReadings::default();
        }
        let mut sets: Vec<(LabelSet, u32)> = self.sets.into_iter().collect();
        sets.sort_unstable_by_key(|(_, number)| *number);
        LabelReadings { sets: sets.into_iter().map(|(set, _)| set).collect(), readings: self.readings }
    }
}

/// Reads a slice of pairs of strings.
fn read_list(memory: &ProgramMemory, slice: u64) -> Option<LabelSet> {
    let [array, length, capacity] = memory.words(slice, [0, 8, 16])?;
    let length = usize::try_from(length).ok().filter(|_| length <= capacity)?;
    let words = memory.array(array, length.min(MAX_LABELS) * 4)?;
    let pairs = words.as_chunks().0.iter().map(|[name, name_length, value, value_length]| {
        Some((read_text(memory, *name, *name_length)?, read_text(memory, *value, *value_length)?))
    });
    Some(sorted(pairs.collect::<Option<_>>()?))
}

/// Reads a map of strings, which is at the address that this pointer leads to. While a map grows, some of its labels are in
/// the old buckets.
fn read_map(memory: &ProgramMemory, pointer: u64) -> Option<LabelSet> {
    let [map] = memory.words(pointer, [0])?;
    if map == 0 {
        return Some(LabelSet::new());
    }
    // `hmap`: count, flags and the logarithm of the number of buckets, buckets, old buckets.
    let [_count, bits, buckets, old_buckets] = memory.words(map, [0, 8, 16, 24])?;
    let (flags, log) = (bits & 0xff, bits >> 8 & 0xff);
    let old_log = if flags & SAME_SIZE == 0 { log.saturating_sub(1) } else { log };
    let mut pairs = Vec::new();
    for (array, log) in [(buckets, log), (old_buckets, old_log)].into_iter().filter(|(array, _)| *array != 0) {
        if log > MAX_BUCKETS_LOG {
            return None;
        }
        for at in 0..1_u64 << log {
            read_buckets(memory, array.checked_add(at * BUCKET_WORDS as u64 * 8)?, &mut pairs)?;
        }
    }
    Some(sorted(pairs))
}

/// Reads the labels of a bucket and of those that it leads to.
fn read_buckets(memory: &ProgramMemory, mut bucket: u64, pairs: &mut LabelSet) -> Option<()> {
    // A bucket holds 8 labels.
    for _ in 0..MAX_LABELS / 8 {
        if bucket == 0 {
            break;
        }
        let words = memory.array(bucket, BUCKET_WORDS)?;
        let (used, texts) = words.split_first()?;
        for (place, used) in used.to_le_bytes().into_iter().enumerate() {
            if used >= USED_PLACE {
                let text = |at: usize| read_text(memory, *texts.get(at)?, *texts.get(at + 1)?);
                pairs.push((text(place * 2)?, text(16 + place * 2)?));
            }
        }
        bucket = *texts.last()?;
    }
    Some(())
}

fn sorted(mut pairs: LabelSet) -> LabelSet {
    pairs.truncate(MAX_LABELS);
    pairs.retain(|(name, _)| !name.is_empty());
    pairs.sort_unstable();
    pairs
}

fn read_text(memory: &ProgramMemory, address: u64, length: u64) -> Option<String> {
    let length = usize::try_from(length).ok()?;
    if length == 0 {
        return Some(String::new());
    }
    let bytes = memory.bytes(address, length.min(MAX_TEXT))?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if length > MAX_TEXT {
        text.push('…');
    }
    Some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    //! Tests with labels in the memory of the test process.

    use super::*;

    /// The address and the length of a text.
    fn text(text: &str) -> [u64; 2] {
        [text.as_ptr().addr() as u64, text.len() as u64]
    }

    fn address(words: &[u64]) -> u64 {
        words.as_ptr().addr() as u64
    }

    fn set(labels: &[(&str, &str)]) -> LabelSet {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// A bucket with these labels in its last places, and a freed one in its first.
    fn bucket(labels: &[(&str, &str)], next: u64) -> Vec<u64> {
        let mut words = vec![0; BUCKET_WORDS];
        let mut used = [1, 0, 0, 0, 0, 0, 0, 0];
        for (place, (name, value)) in (8 - labels.len()..).zip(labels) {
            used[place] = USED_PLACE;
            words[1 + place * 2..][..2].copy_from_slice(&text(name));
            words[17 + place * 2..][..2].copy_from_slice(&text(value));
        }
        words[0] = u64::from_le_bytes(used);
        words[BUCKET_WORDS - 1] = next;
        words
    }

    #[test]
    fn a_list_gives_its_labels_in_the_order_of_names() {
        let long = "x".repeat(MAX_TEXT + 1);
        let array = [text("tenant"), text("a"), text(""), text("no name"), text("long"), text(&long)].concat();
        let slice = [address(&array), 3, 4];
        let shortened = format!("{}…", &long[1..]);
        assert_eq!(
            read_list(&ProgramMemory::of_this_process(), address(&slice)),
            Some(set(&[("long", &shortened), ("tenant", "a")]))
        );
        assert_eq!(read_list(&ProgramMemory::of_this_process(), address(&[0, 0, 0])), Some(LabelSet::new()));
        for damaged in [[address(&array), 4, 3], [8, 1, 1], [address(&array), u64::MAX, u64::MAX]] {
            let set = read_list(&ProgramMemory::of_this_process(), address(&damaged));
            assert!(set.is_none_or(|set| set.len() <= MAX_LABELS), "{damaged:?}");
        }
        assert_eq!(read_list(&ProgramMemory::of_this_process(), 8), None);
    }

    #[test]
    fn a_map_gives_the_labels_of_all_its_buckets() {
        let beyond = bucket(&[("c", "3")], 0);
        let buckets = [bucket(&[("b", "2")], address(&beyond)), bucket(&[("a", "1"), ("e", "5")], 0)].concat();
        let old = bucket(&[("d", "4")], 0);
        // Two buckets now, and one before.
        let map = [5, 1 << 8, address(&buckets), address(&old)];
        let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")];
        assert_eq!(read_map(&ProgramMemory::of_this_process(), address(&[address(&map)])), Some(set(&all)));
        assert_eq!(read_map(&ProgramMemory::of_this_process(), address(&[0])), Some(LabelSet::new()));
        let huge = [5, 200 << 8, address(&buckets), 0];
        assert_eq!(read_map(&ProgramMemory::of_this_process(), address(&[address(&huge)])), None);
    }

    #[test]
    fn buckets_that_lead_to_themselves_end() {
        let mut circle = bucket(&[("a", "1")], 0);
        circle[BUCKET_WORDS - 1] = address(&circle);
        let map = [1, 0, address(&circle), 0];
        assert_eq!(
            read_map(&ProgramMemory::of_this_process(), address(&[address(&map)])).unwrap().len(),
            MAX_LABELS / 8
        );
    }

    #[test]
    fn equal_readings_with_little_time_between_them_are_one() {
        let (tenant, other) = (text("tenant"), text("other"));
        let lists = [[tenant, text("a")].concat(), [other, text("b")].concat()];
        let slices = lists.each_ref().map(|list| [address(list), 1, 1]);
        let mut descriptor = [0_u64; 1];
        let mut watch = LabelWatch::new((0, LabelForm::List));
        let (pid, at) = (std::process::id(), address(&descriptor));
        let mut look = |watch: &mut LabelWatch, labels: Option<usize>, now| {
            // The reader goes through the kernel, so the write must not be left out.
            std::hint::black_box(&mut descriptor)[0] = labels.map_or(0, |set| address(&slices[set]));
            let goroutine = GoroutineReading {
                pid,
                address: at,
                first_ns: 0,
                last_ns: now,
                id: 1,
                parent: 0,
                creator: 0,
                start: 0,
                stack: (0, 0),
                runs: 0,
            };
            watch.look(&ProgramMemory::of_this_process(), &goroutine);
        };
        look(&mut watch, None, 1);
        assert_eq!(watch.interval(), None, "no goroutine has labels");
        for (set, now) in [(0, 2), (0, MAX_GAP), (1, MAX_GAP + 1), (1, 3 * MAX_GAP)] {
            look(&mut watch, Some(set), now);
        }
        assert_eq!(watch.interval(), Some(INTERVALS[0]));
        watch.adapt_interval();
        watch.adapt_interval();
        assert!(watch.interval().unwrap() > INTERVALS[0]);
        let readings = watch.finish();
        assert_eq!(readings.sets, [set(&[]), set(&[("tenant", "a")]), set(&[("other", "b")])]);
        let times: Vec<_> = readings.readings.iter().map(|seen| (seen.set, seen.first_ns, seen.last_ns)).collect();
        let late = 3 * MAX_GAP;
        assert_eq!(times, [(0, 1, 1), (1, 2, MAX_GAP), (2, MAX_GAP + 1, MAX_GAP + 1), (2, late, late)]);
    }
}
