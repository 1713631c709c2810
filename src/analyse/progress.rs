//! Releases the memory of a recording's bytes while the recording is read.

use std::ops::Range;

/// Bytes before the last read record that can still be needed: records are read in time order, not in file order.
const MAX_DISORDER_BYTES: usize = 1 << 20;

/// Progress of reading a file. Releases the memory of bytes that were read.
pub(super) struct ReadProgress<'s> {
    release: &'s (dyn Fn(Range<usize>) + Sync),
    /// End of the released part of the file, in bytes. `None` before the first record.
    released: Option<usize>,
}

impl<'s> ReadProgress<'s> {
    pub(super) fn new(release: &'s (dyn Fn(Range<usize>) + Sync)) -> Self {
        Self { release, released: None }
    }

    /// Notes that the record at this offset of the file was read.
    pub(super) fn advance(&mut self, offset: u64) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let released = self.released.get_or_insert(at);
        if at.saturating_sub(*released) >= 2 * MAX_DISORDER_BYTES {
            (self.release)(std::mem::replace(released, at - MAX_DISORDER_BYTES)..at - MAX_DISORDER_BYTES);
        }
    }
}
