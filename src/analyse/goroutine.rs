//! Which goroutine a sample is of: the goroutine register, and what the recorder read where it points to.

use std::collections::HashMap;

/// A goroutine's descriptor, and what it said from one reading to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineSeen {
    /// Process.
    pub pid: u32,
    /// The descriptor's address, which is what the register holds.
    pub address: u64,
    /// The first and the last time that it was read so, in nanoseconds of the samples' clock.
    pub times: (u64, u64),
    /// The goroutine's number.
    pub id: u64,
    /// An address behind the `go` statement that made it; 0 for those that the runtime made of nothing.
    pub creator: u64,
    /// The first address of its function.
    pub start: u64,
}

/// Readings by descriptor.
#[derive(Debug, Default)]
pub(super) struct Readings<'r> {
    /// In the order of time.
    by_descriptor: HashMap<(u32, u64), Vec<&'r GoroutineSeen>>,
}

impl<'r> Readings<'r> {
    pub(super) fn of(seen: &'r [GoroutineSeen]) -> Self {
        let mut by_descriptor: HashMap<_, Vec<_>> = HashMap::new();
        for seen in seen {
            by_descriptor.entry((seen.pid, seen.address)).or_default().push(seen);
        }
        for readings in by_descriptor.values_mut() {
            readings.sort_by_key(|seen| seen.times);
        }
        Self { by_descriptor }
    }

    /// What a descriptor said at a time. `None` where it was never read, and between two readings that differ: the
    /// goroutine may have been the one or the other.
    pub(super) fn at(&self, pid: u32, address: u64, time: u64) -> Option<&'r GoroutineSeen> {
        let readings = self.by_descriptor.get(&(pid, address))?;
        let next = readings.partition_point(|seen| seen.times.1 < time);
        let before = next.checked_sub(1).and_then(|at| readings.get(at));
        match (before, readings.get(next)) {
            // Samples are read soon after they were taken, so that nobody else came in between the first sample and
            // the first reading, or after the last reading of a process that has ended.
            (None, found) | (found, None) => found.copied(),
            (Some(_), Some(next)) => (next.times.0 <= time).then_some(*next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GoroutineSeen, Readings};

    #[test]
    fn what_two_readings_differ_in_is_not_known_in_between() {
        let seen = |id, times| GoroutineSeen { pid: 1, address: 8, times, id, creator: 0, start: 0 };
        let all = [seen(20, (30, 40)), seen(10, (10, 20))];
        let readings = Readings::of(&all);
        let id = |time| readings.at(1, 8, time).map(|seen| seen.id);
        assert_eq!([5, 10, 20].map(id), [Some(10); 3]);
        assert_eq!([21, 29].map(id), [None; 2]);
        assert_eq!([30, 40, 99].map(id), [Some(20); 3]);
        assert_eq!(readings.at(2, 8, 10), None);
        assert_eq!(readings.at(1, 16, 10), None);
    }
}
