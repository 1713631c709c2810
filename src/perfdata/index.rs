//! Where the kernel's records are in a file, and when they happened. What perf's own say is for [`super::scan`] to read.

use std::ops::Range;

use super::abi::record_type;
use super::layout::{Frame, Layout};

/// After so many bytes the reader says that it has passed them.
const STRIDE: usize = 4 << 20;

/// There is room for a record in so many bytes from the beginning, which is more than the kernel writes.
const FREQUENT: usize = 64;

/// A record and its place in time. 16 bytes, the only memory that grows with the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Time to sort by: the record's own, or that of its predecessor in the file when it has none.
    time: u64,
    /// Where the record starts in the file, times two, and one more for a sample. Also keeps records of equal time in
    /// the order of the file.
    place: u64,
}

impl Entry {
    fn new(time: u64, frame: &Frame<'_>) -> Self {
        // No file is so large that this shifts anything out.
        let place = u64::try_from(frame.offset).unwrap_or(u64::MAX) << 1 | u64::from(frame.kind == record_type::SAMPLE);
        Self { time, place }
    }

    /// What comes first is less. One number, which compares without a branch.
    pub(super) fn order(&self) -> u128 {
        u128::from(self.time) << u64::BITS | u128::from(self.place)
    }

    /// Where the record starts in the file.
    pub(super) fn offset(self) -> usize {
        usize::try_from(self.place >> 1).unwrap_or(usize::MAX)
    }

    pub(super) fn is_sample(self) -> bool {
        self.place & 1 == 1
    }
}

/// Records that follow one another, in the order of the file until it is sorted.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) records: Vec<Entry>,
    /// Where the records of mapped files start.
    pub(super) maps: Vec<usize>,
    /// When the last one happened that has a time.
    time: Option<u64>,
    /// So many at the beginning have no time, and no predecessor here that has one.
    untimed: usize,
}

impl Index {
    /// For the records of so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self { records: Vec::with_capacity(bytes / FREQUENT), ..Self::default() }
    }

    /// Adds records from the start of `range` to its end or behind it, unless something comes that is no record, or one of
    /// perf's own that says something. Tells where that is. `passed` is told of what lies far behind.
    pub(super) fn walk(
        &mut self,
        layout: &Layout,
        bytes: &[u8],
        range: Range<usize>,
        passed: &dyn Fn(Range<usize>),
    ) -> usize {
        let (mut at, mut behind) = (range.start, range.start);
        while at < range.end {
            if at.saturating_sub(behind) >= STRIDE {
                passed(behind..at);
                behind = at;
            }
            let Ok(frame) = Frame::at(bytes, at) else { break };
            if frame.kind < record_type::USER_START {
                self.add(layout, &frame);
            } else if says_something(frame.kind) {
                break;
            }
            at = frame.end;
        }
        at
    }

    fn add(&mut self, layout: &Layout, frame: &Frame<'_>) {
        // perf takes both 0 and the highest number for "no time"; 0 sorts first by itself.
        self.time = layout.time_of(frame).filter(|time| *time != u64::MAX).or(self.time);
        self.records.push(Entry::new(self.time.unwrap_or(0), frame));
        if self.time.is_none() {
            self.untimed = self.records.len();
        }
        if matches!(frame.kind, record_type::MMAP | record_type::MMAP2) {
            self.maps.push(frame.offset);
        }
    }

    /// Adds records that come next in the file, to those from its beginning on.
    pub(super) fn append(&mut self, mut next: Self) {
        if let Some(time) = self.time {
            next.records.iter_mut().take(next.untimed).for_each(|entry| entry.time = time);
        }
        self.time = next.time.or(self.time);
        self.records.append(&mut next.records);
        self.maps.append(&mut next.maps);
    }
}

/// Whether records of a type of perf's own tell about the file, or something other than a record follows them. The order
/// of records is found by sorting, so `FINISHED_ROUND` tells nothing; nor do the others.
fn says_something(kind: u32) -> bool {
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

/// Records that must follow one another for a place in the file to be taken for the start of one.
const CHAIN: usize = 32;
/// How far behind a place to look for such a start: a record has at most 64 KiB.
const SEARCHED: usize = 1 << 17;
/// Types of records that there are, or soon may be: the kernel's and perf's own.
const KINDS: [Range<u32>; 2] = [1..32, record_type::USER_START..96];

/// Where a record seems to start, at a place or behind it. Nothing but reading all that is before can tell for certain.
pub(super) fn likely_start(bytes: &[u8], place: usize) -> Option<usize> {
    // All sizes are multiples of eight.
    (place..place.saturating_add(SEARCHED).min(bytes.len())).step_by(8).find(|start| {
        let next = |frame: &Frame<'_>| likely_frame(bytes, frame.end);
        std::iter::successors(likely_frame(bytes, *start), next).take(CHAIN).count() == CHAIN
    })
}

fn likely_frame(bytes: &[u8], at: usize) -> Option<Frame<'_>> {
    let frame = Frame::at(bytes, at).ok()?;
    (KINDS.iter().any(|kinds| kinds.contains(&frame.kind)) && frame.body.len().is_multiple_of(8)).then_some(frame)
}

#[cfg(test)]
mod tests {
    use super::{CHAIN, likely_start};

    /// Records of 16 bytes and this type.
    fn records(kind: u32, count: usize) -> Vec<u8> {
        let [a, b, c, d] = kind.to_le_bytes();
        [a, b, c, d, 0, 0, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(count)
    }

    #[test]
    fn finds_where_records_start() {
        let bytes = [vec![7; 24], records(9, CHAIN + 1)].concat();
        assert_eq!(likely_start(&bytes, 0), Some(24));
        assert_eq!(likely_start(&bytes, 24), Some(24));
        assert_eq!(likely_start(&bytes, 32), Some(40));
        assert_eq!(likely_start(&bytes, 48), None, "too few follow");
        assert_eq!(likely_start(&bytes, bytes.len() + 8), None);
        assert_eq!(likely_start(&records(50, 2 * CHAIN), 0), None, "no such type");
    }
}
