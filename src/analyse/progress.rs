//! Releases the bytes of the file that were read.

use std::ops::Range;

/// Maximum distance in the file between records that are adjacent in time order, in bytes. Records are read in time
/// order, so bytes further back are not needed again.
const MAX_DISORDER: usize = 1 << 20;

/// Progress through the file. Releases the bytes that were read.
pub(super) struct ReadProgress<'s> {
    release: &'s (dyn Fn(Range<usize>) + Sync),
    /// End of the released part of the file, in bytes. `None` before the first record.
    released: Option<usize>,
}

impl<'s> ReadProgress<'s> {
    pub(super) fn new(release: &'s (dyn Fn(Range<usize>) + Sync)) -> Self {
        Self { release, released: None }
    }

    /// Advances to a record that was read, which starts at this offset.
    pub(super) fn advance(&mut self, offset: u64) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let released = self.released.get_or_insert(at);
        if at.saturating_sub(*released) >= 2 * MAX_DISORDER {
            (self.release)(std::mem::replace(released, at - MAX_DISORDER)..at - MAX_DISORDER);
        }
    }
}
