//! Index of the kernel's records: their offset in the file and their time. [`super::scan`] reads the records that perf
//! itself writes.

use std::ops::Range;

use super::abi::record_type;
use super::layout::{RawRecord, RecordLayout};

/// Number of read bytes after which `release` is called.
const RELEASE_STEP_BYTES: usize = 4 << 20;

/// The index reserves one entry for this number of bytes. The kernel's records are larger on average.
const BYTES_PER_RECORD: usize = 64;

/// Offset and time of a record, in 16 bytes. Except for the offsets of mappings, no other memory grows with the number
/// of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Sort key: the time of the record, or of its predecessor in the file if the record has none.
    time: u64,
    /// Twice the offset of the record in the file, plus 1 for a sample. Sorting by it keeps records of equal time in
    /// the order of the file.
    offset_and_kind: u64,
}

impl Entry {
    fn new(time: u64, raw: &RawRecord<'_>) -> Self {
        // The shift loses no bit: file offsets are below 2^63.
        let offset = u64::try_from(raw.offset).unwrap_or(u64::MAX);
        Self { time, offset_and_kind: offset << 1 | u64::from(raw.kind == record_type::SAMPLE) }
    }

    /// Sort key. One number, so that comparing needs no branch.
    pub(super) fn sort_key(&self) -> u128 {
        u128::from(self.time) << u64::BITS | u128::from(self.offset_and_kind)
    }

    /// Offset of the record in the file, in bytes.
    pub(super) fn offset(self) -> usize {
        usize::try_from(self.offset_and_kind >> 1).unwrap_or(usize::MAX)
    }

    pub(super) fn is_sample(self) -> bool {
        self.offset_and_kind & 1 == 1
    }
}

/// Index of consecutive records, in the order of the file until the scan sorts it.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) records: Vec<Entry>,
    /// Offsets of the MMAP and MMAP2 records.
    pub(super) maps: Vec<usize>,
    /// Time of the last record that has a time.
    time: Option<u64>,
    /// Number of records before the first record that has a time.
    untimed: usize,
}

impl Index {
    /// An empty index with room for the records of this number of bytes.
    pub(super) fn with_room_for(bytes: usize) -> Self {
        Self { records: Vec::with_capacity(bytes / BYTES_PER_RECORD), ..Self::default() }
    }

    /// Adds records from the start of `range` until a record ends at or after the end of `range`. Stops earlier at
    /// bytes that are not a record, and at a record of perf that must be read. Returns the offset at which it stopped.
    /// Calls `release` with ranges that were read.
    pub(super) fn walk(
        &mut self,
        layout: &RecordLayout,
        bytes: &[u8],
        range: Range<usize>,
        release: &dyn Fn(Range<usize>),
    ) -> usize {
        let (mut at, mut released) = (range.start, range.start);
        while at < range.end {
            if at.saturating_sub(released) >= RELEASE_STEP_BYTES {
                release(released..at);
                released = at;
            }
            let Ok(raw) = RawRecord::parse(bytes, at) else { break };
            if raw.kind < record_type::USER_TYPE_START {
                self.add(layout, &raw);
            } else if must_be_read(raw.kind) {
                break;
            }
            at = raw.end;
        }
        at
    }

    fn add(&mut self, layout: &RecordLayout, raw: &RawRecord<'_>) {
        // For perf, both 0 and the highest number mean "no time". A 0 sorts first without special treatment.
        self.time = layout.time_of_record(raw).filter(|time| *time != u64::MAX).or(self.time);
        self.records.push(Entry::new(self.time.unwrap_or(0), raw));
        if self.time.is_none() {
            self.untimed = self.records.len();
        }
        if matches!(raw.kind, record_type::MMAP | record_type::MMAP2) {
            self.maps.push(raw.offset);
        }
    }

    /// Appends the index of the records that follow in the file. This index must begin at the first record of the file.
    pub(super) fn append(&mut self, mut next: Self) {
        if let Some(time) = self.time {
            next.records.iter_mut().take(next.untimed).for_each(|entry| entry.time = time);
        }
        self.time = next.time.or(self.time);
        self.records.append(&mut next.records);
        self.maps.append(&mut next.maps);
    }
}

/// Whether the scan must read records of this type, which perf itself writes: they describe the file, or are followed
/// by bytes that are not a record. `FINISHED_ROUND` is not needed, because the index is sorted.
fn must_be_read(kind: u32) -> bool {
    matches!(
        kind,
        record_type::COMPRESSED
            | record_type::COMPRESSED2
            | record_type::AUXTRACE
            | record_type::HEADER_TRACING_DATA
            | record_type::HEADER_ATTR
            | record_type::HEADER_FEATURE
            | record_type::HEADER_BUILD_ID
            | record_type::EVENT_UPDATE
    )
}

/// Number of consecutive plausible records that make an offset count as the start of a record.
const MIN_PLAUSIBLE_RECORDS: usize = 32;
/// Number of bytes in which to search for a start. A record has at most 64 KiB.
const SEARCH_BYTES: usize = 1 << 17;
/// Plausible record types of the kernel and of perf: the existing types, and some numbers for future types.
const PLAUSIBLE_TYPES: [Range<u32>; 2] = [1..32, record_type::USER_TYPE_START..96];

/// The first offset, not before `from`, at which a record seems to start. Only after all records before this offset
/// were read, the start is certain.
pub(super) fn likely_start(bytes: &[u8], from: usize) -> Option<usize> {
    // The size of every record is a multiple of eight.
    (from..from.saturating_add(SEARCH_BYTES).min(bytes.len())).step_by(8).find(|start| {
        let next = |raw: &RawRecord<'_>| likely_record(bytes, raw.end);
        std::iter::successors(likely_record(bytes, *start), next).take(MIN_PLAUSIBLE_RECORDS).count()
            == MIN_PLAUSIBLE_RECORDS
    })
}

fn likely_record(bytes: &[u8], at: usize) -> Option<RawRecord<'_>> {
    let raw = RawRecord::parse(bytes, at).ok()?;
    (PLAUSIBLE_TYPES.iter().any(|types| types.contains(&raw.kind)) && raw.body.len().is_multiple_of(8)).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::{MIN_PLAUSIBLE_RECORDS, likely_start};

    /// Records of 16 bytes and this type.
    fn records(kind: u32, count: usize) -> Vec<u8> {
        let [a, b, c, d] = kind.to_le_bytes();
        [a, b, c, d, 0, 0, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(count)
    }

    #[test]
    fn finds_where_records_start() {
        let bytes = [vec![7; 24], records(9, MIN_PLAUSIBLE_RECORDS + 1)].concat();
        assert_eq!(likely_start(&bytes, 0), Some(24));
        assert_eq!(likely_start(&bytes, 24), Some(24));
        assert_eq!(likely_start(&bytes, 32), Some(40));
        assert_eq!(likely_start(&bytes, 48), None, "too few records follow");
        assert_eq!(likely_start(&bytes, bytes.len() + 8), None);
        assert_eq!(likely_start(&records(50, 2 * MIN_PLAUSIBLE_RECORDS), 0), None, "no such type");
    }
}
