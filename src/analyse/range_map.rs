//! Map from ranges of addresses to values. Ranges never overlap.

use std::collections::BTreeMap;
use std::ops::Range;

/// Map from ranges of addresses to values. A new range cuts older ranges at its ends.
#[derive(Debug, Clone)]
pub(super) struct RangeMap<T> {
    /// End address and value of each range, by first address.
    ranges: BTreeMap<u64, (u64, T)>,
}

impl<T> Default for RangeMap<T> {
    fn default() -> Self {
        Self { ranges: BTreeMap::new() }
    }
}

impl<T: Copy> RangeMap<T> {
    /// Sets the value of all addresses in a range. Replaces older values. Ignores an empty range.
    pub(super) fn insert(&mut self, range: Range<u64>, value: T) {
        if range.is_empty() {
            return;
        }
        let before = self.ranges.range(..range.end).rev().take_while(|(_, (end, _))| *end > range.start);
        let overlapping: Vec<(u64, (u64, T))> = before.map(|(start, old)| (*start, *old)).collect();
        for (start, (end, old)) in overlapping {
            self.ranges.remove(&start);
            if start < range.start {
                self.ranges.insert(start, (range.start, old));
            }
            if end > range.end {
                self.ranges.insert(range.end, (end, old));
            }
        }
        self.ranges.insert(range.start, (range.end, value));
    }

    /// The range that contains an address, and its value.
    pub(super) fn find(&self, address: u64) -> Option<(Range<u64>, T)> {
        let (start, (end, value)) = self.ranges.range(..=address).next_back()?;
        (address < *end).then_some((*start..*end, *value))
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::RangeMap;

    fn value_at(map: &RangeMap<char>, address: u64) -> Option<char> {
        map.find(address).map(|(_, value)| value)
    }

    #[test]
    fn a_new_range_replaces_the_middle_of_an_old_one() {
        let mut map = RangeMap::default();
        map.insert(10..40, 'a');
        map.insert(20..30, 'b');
        let values: Vec<_> = [9, 10, 19, 20, 29, 30, 39, 40].iter().map(|at| value_at(&map, *at)).collect();
        let (a, b) = (Some('a'), Some('b'));
        assert_eq!(values, [None, a, a, b, b, a, a, None]);
    }

    #[test]
    fn a_new_range_replaces_several_old_ones() {
        let mut map = RangeMap::default();
        for at in 1..5 {
            map.insert(at * 10..at * 10 + 10, 'a');
        }
        map.insert(15..45, 'b');
        assert_eq!(map.find(14), Some((10..15, 'a')));
        assert_eq!(map.find(30), Some((15..45, 'b')));
        assert_eq!(map.find(48), Some((45..50, 'a')));
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn an_empty_range_changes_nothing() {
        let mut map = RangeMap::default();
        map.insert(10..20, 'a');
        map.insert(15..15, 'b');
        assert_eq!(map.find(15), Some((10..20, 'a')));
    }
}
