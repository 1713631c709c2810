//! Reads the profiler labels of goroutines from the program's memory.

use std::collections::HashMap;
use std::time::Duration;

use super::memory::ProgramMemory;
use crate::gobin::LabelForm;
use crate::sources::{GoroutineReading, LabelReading, LabelReadings, LabelSet};

/// Maximum number of attempts to read a label set. An attempt succeeds if the goroutine has the same set before and
/// after it.
const MAX_ATTEMPTS: usize = 3;

/// Maximum number of labels of a goroutine.
const MAX_LABELS: usize = 64;

/// Maximum bytes of a label's name or value. Longer texts are cut.
const MAX_TEXT_BYTES: usize = 256;

/// Maximum number of readings that are stored, 32 bytes each.
const MAX_READINGS: usize = 1 << 20;

/// Maximum number of different label sets that are stored.
const MAX_LABEL_SETS: usize = 1 << 16;
/// Maximum bytes of all label sets.
const MAX_LABEL_SET_BYTES: usize = 1 << 24;

/// Shortest and longest time between two readings of running goroutines, once a goroutine has labels.
const READ_INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(10)];

/// Two equal readings are merged if at most this many nanoseconds are between them: in a longer gap, labels can change
/// and change back. There is no limit until a goroutine has labels, so that programs without labels need little memory.
const MAX_GAP_NS: u64 = 20_000_000;

/// Without a change, the interval grows by 1/32 with each reading: from the shortest to the longest in 0.3 seconds.
const INTERVAL_GROWTH_FRACTION: u32 = 32;

/// Words of a bucket of a `map[string]string`: one byte for each of 8 slots, 8 names, 8 values, and the address of the
/// next bucket (`bmap` in src/runtime/map.go of Go 1.23).
const BUCKET_WORDS: usize = 1 + 8 * 2 + 8 * 2 + 1;
/// A slot of a bucket is used if its byte in the first word is at least this (`minTopHash`).
const MIN_TOP_HASH: u8 = 5;
/// Flag of a map that is copied to the same number of buckets (`sameSizeGrow`). Without the flag, the number doubles.
const SAME_SIZE_GROW: u64 = 8;
/// Maximum base-2 logarithm of the number of buckets.
const MAX_BUCKETS_LOG2: u64 = 4;

/// Reads and collects the labels of a program's goroutines.
#[derive(Debug)]
pub(super) struct LabelWatch {
    /// Offset of `g.labels`.
    offset: usize,
    form: LabelForm,
    /// Each different label set, and its number. The empty set has number 0.
    sets: HashMap<LabelSet, u32>,
    set_bytes: usize,
    readings: Vec<LabelReading>,
    /// The newest reading of each descriptor (process and address), as an index into `readings`.
    newest: HashMap<(u32, u64), usize>,
    /// Whether the labels of a goroutine have changed since the interval was adapted.
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
            interval: READ_INTERVALS[0],
        }
    }

    /// Whether any goroutine had labels so far.
    fn has_labels(&self) -> bool {
        self.sets.len() > 1
    }

    /// Time until running goroutines are read again. `None` if no goroutine had labels.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.has_labels().then_some(self.interval)
    }

    /// Shortens the interval while labels change.
    pub(super) fn adapt_interval(&mut self) {
        let [shortest, longest] = READ_INTERVALS;
        self.interval =
            if self.changed { shortest } else { longest.min(self.interval + self.interval / INTERVAL_GROWTH_FRACTION) };
        self.changed = false;
    }

    /// Reads the labels of a goroutine whose descriptor has just been read. Stores them with the time of that reading.
    pub(super) fn read_labels(&mut self, memory: &ProgramMemory, goroutine: &GoroutineReading) {
        let GoroutineReading { pid, address, last_ns: now, .. } = *goroutine;
        let Some(set) = self.read_label_set(memory, address).and_then(|set| self.intern(set)) else { return };
        let newest = self.newest.get(&(pid, address)).copied();
        if let Some(known) = newest.and_then(|at| self.readings.get_mut(at)) {
            let is_close = self.sets.len() == 1 || now.saturating_sub(known.last_ns) <= MAX_GAP_NS;
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

    /// Reads the label set of a descriptor. The goroutine can get another set meanwhile, and the garbage collector can
    /// free the first. So a set counts only if the descriptor still points to it afterwards.
    fn read_label_set(&self, memory: &ProgramMemory, descriptor: u64) -> Option<LabelSet> {
        for _ in 0..MAX_ATTEMPTS {
            let [pointer] = memory.read_fields(descriptor, [self.offset])?;
            if pointer == 0 {
                return Some(LabelSet::new());
            }
            let set = match self.form {
                LabelForm::Map => read_label_map(memory, pointer),
                LabelForm::List => read_label_list(memory, pointer),
            };
            if memory.read_fields(descriptor, [self.offset])? == [pointer] {
                return set;
            }
        }
        None
    }

    /// Returns the number of a set. `None` if the set is new and a limit is reached.
    fn intern(&mut self, set: LabelSet) -> Option<u32> {
        if let Some(known) = self.sets.get(&set) {
            return Some(*known);
        }
        let bytes: usize = set.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.sets.len() >= MAX_LABEL_SETS || self.set_bytes + bytes > MAX_LABEL_SET_BYTES {
            return None;
        }
        self.set_bytes += bytes;
        let number = u32::try_from(self.sets.len()).ok()?;
        self.sets.insert(set, number);
        Some(number)
    }

    /// Returns all readings. They are empty if no goroutine had labels.
    pub(super) fn finish(self) -> LabelReadings {
        if !self.has_labels() {
            return LabelReadings::default();
        }
        let mut sets: Vec<(LabelSet, u32)> = self.sets.into_iter().collect();
        sets.sort_unstable_by_key(|(_, number)| *number);
        LabelReadings { sets: sets.into_iter().map(|(set, _)| set).collect(), readings: self.readings }
    }
}

/// Reads a Go slice of pairs of strings.
fn read_label_list(memory: &ProgramMemory, slice: u64) -> Option<LabelSet> {
    let [array, length, capacity] = memory.read_fields(slice, [0, 8, 16])?;
    let length = usize::try_from(length).ok().filter(|_| length <= capacity)?;
    let words = memory.read_words(array, length.min(MAX_LABELS) * 4)?;
    let pairs = words.as_chunks().0.iter().map(|[name, name_length, value, value_length]| {
        Some((read_string(memory, *name, *name_length)?, read_string(memory, *value, *value_length)?))
    });
    Some(sort_and_limit(pairs.collect::<Option<_>>()?))
}

/// Reads a `map[string]string`. `pointer` is the address of the map variable. While a map grows, some of its labels are
/// in the old buckets.
fn read_label_map(memory: &ProgramMemory, pointer: u64) -> Option<LabelSet> {
    let [map] = memory.read_fields(pointer, [0])?;
    if map == 0 {
        return Some(LabelSet::new());
    }
    // `hmap`: count, flags and the logarithm of the number of buckets, buckets, old buckets.
    let [_count, bits, buckets, old_buckets] = memory.read_fields(map, [0, 8, 16, 24])?;
    let (flags, log) = (bits & 0xff, bits >> 8 & 0xff);
    let old_log = if flags & SAME_SIZE_GROW == 0 { log.saturating_sub(1) } else { log };
    let mut pairs = Vec::new();
    for (array, log) in [(buckets, log), (old_buckets, old_log)].into_iter().filter(|(array, _)| *array != 0) {
        if log > MAX_BUCKETS_LOG2 {
            return None;
        }
        for at in 0..1_u64 << log {
            read_buckets(memory, array.checked_add(at * BUCKET_WORDS as u64 * 8)?, &mut pairs)?;
        }
    }
    Some(sort_and_limit(pairs))
}

/// Reads the labels of a bucket and of the buckets that follow it.
fn read_buckets(memory: &ProgramMemory, mut bucket: u64, pairs: &mut LabelSet) -> Option<()> {
    // A bucket holds 8 labels.
    for _ in 0..MAX_LABELS / 8 {
        if bucket == 0 {
            break;
        }
        let words = memory.read_words(bucket, BUCKET_WORDS)?;
        let (used, texts) = words.split_first()?;
        for (slot, used) in used.to_le_bytes().into_iter().enumerate() {
            if used >= MIN_TOP_HASH {
                let text = |at: usize| read_string(memory, *texts.get(at)?, *texts.get(at + 1)?);
                pairs.push((text(slot * 2)?, text(16 + slot * 2)?));
            }
        }
        bucket = *texts.last()?;
    }
    Some(())
}

fn sort_and_limit(mut pairs: LabelSet) -> LabelSet {
    pairs.truncate(MAX_LABELS);
    pairs.retain(|(name, _)| !name.is_empty());
    pairs.sort_unstable();
    pairs
}

fn read_string(memory: &ProgramMemory, address: u64, length: u64) -> Option<String> {
    let length = usize::try_from(length).ok()?;
    if length == 0 {
        return Some(String::new());
    }
    let bytes = memory.read_bytes(address, length.min(MAX_TEXT_BYTES))?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if length > MAX_TEXT_BYTES {
        text.push('…');
    }
    Some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    //! Tests with labels in the memory of the test process.

    use super::*;

    /// The words of a Go string: address and length.
    fn text(text: &str) -> [u64; 2] {
        [text.as_ptr().addr() as u64, text.len() as u64]
    }

    fn address(words: &[u64]) -> u64 {
        words.as_ptr().addr() as u64
    }

    fn set(labels: &[(&str, &str)]) -> LabelSet {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// A bucket with these labels in its last slots, and a freed label in its first slot.
    fn bucket(labels: &[(&str, &str)], next: u64) -> Vec<u64> {
        let mut words = vec![0; BUCKET_WORDS];
        let mut used = [1, 0, 0, 0, 0, 0, 0, 0];
        for (slot, (name, value)) in (8 - labels.len()..).zip(labels) {
            used[slot] = MIN_TOP_HASH;
            words[1 + slot * 2..][..2].copy_from_slice(&text(name));
            words[17 + slot * 2..][..2].copy_from_slice(&text(value));
        }
        words[0] = u64::from_le_bytes(used);
        words[BUCKET_WORDS - 1] = next;
        words
    }

    #[test]
    fn labels_of_a_list_are_sorted_by_name() {
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let array = [text("tenant"), text("a"), text(""), text("no name"), text("long"), text(&long)].concat();
        let slice = [address(&array), 3, 4];
        let shortened = format!("{}…", &long[1..]);
        assert_eq!(
            read_label_list(&ProgramMemory::open_this_process(), address(&slice)),
            Some(set(&[("long", &shortened), ("tenant", "a")]))
        );
        assert_eq!(read_label_list(&ProgramMemory::open_this_process(), address(&[0, 0, 0])), Some(LabelSet::new()));
        for damaged in [[address(&array), 4, 3], [8, 1, 1], [address(&array), u64::MAX, u64::MAX]] {
            let set = read_label_list(&ProgramMemory::open_this_process(), address(&damaged));
            assert!(set.is_none_or(|set| set.len() <= MAX_LABELS), "{damaged:?}");
        }
        assert_eq!(read_label_list(&ProgramMemory::open_this_process(), 8), None);
    }

    #[test]
    fn labels_of_a_map_are_read_from_all_buckets() {
        let beyond = bucket(&[("c", "3")], 0);
        let buckets = [bucket(&[("b", "2")], address(&beyond)), bucket(&[("a", "1"), ("e", "5")], 0)].concat();
        let old = bucket(&[("d", "4")], 0);
        // The map has two buckets now, and had one before.
        let map = [5, 1 << 8, address(&buckets), address(&old)];
        let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")];
        assert_eq!(read_label_map(&ProgramMemory::open_this_process(), address(&[address(&map)])), Some(set(&all)));
        assert_eq!(read_label_map(&ProgramMemory::open_this_process(), address(&[0])), Some(LabelSet::new()));
        let huge = [5, 200 << 8, address(&buckets), 0];
        assert_eq!(read_label_map(&ProgramMemory::open_this_process(), address(&[address(&huge)])), None);
    }

    #[test]
    fn reading_ends_if_buckets_form_a_circle() {
        let mut circle = bucket(&[("a", "1")], 0);
        circle[BUCKET_WORDS - 1] = address(&circle);
        let map = [1, 0, address(&circle), 0];
        assert_eq!(
            read_label_map(&ProgramMemory::open_this_process(), address(&[address(&map)])).unwrap().len(),
            MAX_LABELS / 8
        );
    }

    #[test]
    fn equal_readings_with_a_short_gap_are_merged() {
        let (tenant, other) = (text("tenant"), text("other"));
        let lists = [[tenant, text("a")].concat(), [other, text("b")].concat()];
        let slices = lists.each_ref().map(|list| [address(list), 1, 1]);
        let mut descriptor = [0_u64; 1];
        let mut watch = LabelWatch::new((0, LabelForm::List));
        let (pid, at) = (std::process::id(), address(&descriptor));
        let mut look = |watch: &mut LabelWatch, labels: Option<usize>, now| {
            // The memory is read through the kernel, so the compiler must not remove the write.
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
            watch.read_labels(&ProgramMemory::open_this_process(), &goroutine);
        };
        look(&mut watch, None, 1);
        assert_eq!(watch.interval(), None, "no goroutine has labels");
        for (set, now) in [(0, 2), (0, MAX_GAP_NS), (1, MAX_GAP_NS + 1), (1, 3 * MAX_GAP_NS)] {
            look(&mut watch, Some(set), now);
        }
        assert_eq!(watch.interval(), Some(READ_INTERVALS[0]));
        watch.adapt_interval();
        watch.adapt_interval();
        assert!(watch.interval().unwrap() > READ_INTERVALS[0]);
        let readings = watch.finish();
        assert_eq!(readings.sets, [set(&[]), set(&[("tenant", "a")]), set(&[("other", "b")])]);
        let times: Vec<_> = readings.readings.iter().map(|seen| (seen.set, seen.first_ns, seen.last_ns)).collect();
        let late = 3 * MAX_GAP_NS;
        assert_eq!(times, [(0, 1, 1), (1, 2, MAX_GAP_NS), (2, MAX_GAP_NS + 1, MAX_GAP_NS + 1), (2, late, late)]);
    }
}
