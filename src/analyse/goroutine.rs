//! Which goroutine a sample is of: the goroutine register, and what the recorder read where it points to.
//!
//! While a thread runs on its own stack, the register holds the thread's descriptor. Then the goroutine is the one whose
//! stack the thread came from, which is where its frame pointers lead to. Stacks move, and others get the memory that
//! is left. So nobody else may have been seen there around that time, the goroutine must have been started with the
//! function that the sampled stack begins with, and the thread must not have been seen to run another such one. Must not
//! guess: what could have been the one or the other is not known.

use std::collections::HashMap;

use super::unwind::Registers;

/// A goroutine's descriptor, and what it said from one reading to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineSeen {
    /// Process.
    pub pid: u32,
    /// The descriptor's address, which is what the register holds.
    pub address: u64,
    /// The first and the last time that it was read so, in nanoseconds of the samples' clock.
    pub times: (u64, u64),
    /// The goroutine's number; 0 for the descriptors of a thread itself.
    pub id: u64,
    /// An address behind the `go` statement that made it; 0 for those that the runtime made of nothing.
    pub creator: u64,
    /// The first address of its function.
    pub start: u64,
    /// The lowest address of its stack and the one behind it; both 0 where that is not known.
    pub stack: (u64, u64),
    /// Of a thread's own descriptor: the descriptor of the goroutine that the thread runs, 0 for none.
    pub runs: u64,
}

/// Who ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running<'r> {
    /// This goroutine.
    Goroutine(&'r GoroutineSeen),
    /// A thread for itself or for nobody who is known.
    Thread,
    /// Whoever had the descriptor at this address, if it is one.
    Unread(u64),
}

/// What a sampled stack tells of the goroutine that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// The frame pointer that the thread brought along from the goroutine's stack, if it has left that.
    pub(super) pointer: Option<u64>,
    /// The first address of the function at the root.
    pub(super) start: u64,
}

/// Readings by descriptor, and by stack.
#[derive(Debug, Default)]
pub(super) struct Readings<'r> {
    /// In the order of time.
    by_descriptor: HashMap<(u32, u64), Vec<&'r GoroutineSeen>>,
    /// Those of goroutines with a stack, by its lowest address, each with the highest end of it and those before it.
    by_stack: HashMap<u32, Vec<(&'r GoroutineSeen, u64)>>,
}

/// Of the readings whose stacks begin below an address, so many are held against it. Stacks that overlap, because memory
/// had several owners one after the other, are no more than a few.
const MOST_STACKS: usize = 256;

/// The recorder reads what was sampled ten times in a second, and seldom later than this, in nanoseconds.
const ROUND: u64 = 150_000_000;

/// Others who had a stack so shortly before or after, in nanoseconds, may have had it in between.
const CHANGE: u64 = 1_000_000_000;

impl<'r> Readings<'r> {
    pub(super) fn of(seen: &'r [GoroutineSeen]) -> Self {
        let mut by_descriptor: HashMap<_, Vec<_>> = HashMap::new();
        let mut by_stack: HashMap<_, Vec<_>> = HashMap::new();
        for seen in seen {
            by_descriptor.entry((seen.pid, seen.address)).or_default().push(seen);
            if seen.id != 0 && seen.stack.0 < seen.stack.1 {
                by_stack.entry(seen.pid).or_default().push((seen, seen.stack.1));
            }
        }
        for readings in by_descriptor.values_mut() {
            readings.sort_by_key(|seen| seen.times);
        }
        for stacks in by_stack.values_mut() {
            stacks.sort_by_key(|(seen, _)| (seen.stack.0, seen.times));
            let mut highest = 0;
            for (_, end) in stacks {
                highest = highest.max(*end);
                *end = highest;
            }
        }
        Self { by_descriptor, by_stack }
    }

    /// Who ran at a time. `origin` is asked where the register does not say it.
    pub(super) fn running(
        &self,
        pid: u32,
        registers: &Registers,
        time: u64,
        origin: impl FnOnce() -> Option<Origin>,
    ) -> Running<'r> {
        let address = registers.goroutine.filter(|address| *address != 0 && address.is_multiple_of(8));
        let seen = address.and_then(|address| self.at(pid, address, time));
        if let Some(goroutine) = seen.filter(|seen| seen.id != 0) {
            return Running::Goroutine(goroutine);
        }
        if self.by_stack.contains_key(&pid)
            && let Some(Origin { pointer, start }) = origin()
        {
            let mut pointers = [Some(registers.sp()), pointer].into_iter().flatten();
            let found = pointers.find_map(|pointer| self.on_stack(pid, pointer, start, time));
            let others = seen.and_then(|thread| self.run_by(thread, time)).filter(|other| other.start == start);
            if let Some(goroutine) = found.filter(|found| others.is_none_or(|other| other.id == found.id)) {
                return Running::Goroutine(goroutine);
            }
        }
        match (address, seen) {
            (Some(address), None) => Running::Unread(address),
            _ => Running::Thread,
        }
    }

    /// What a descriptor said at a time. `None` where it was never read, and between two readings that differ: the
    /// goroutine may have been the one or the other.
    fn at(&self, pid: u32, address: u64, time: u64) -> Option<&'r GoroutineSeen> {
        let readings = self.by_descriptor.get(&(pid, address))?;
        let next = readings.partition_point(|seen| seen.times.1 < time);
        let before = next.checked_sub(1).and_then(|at| readings.get(at));
        match (before, readings.get(next)) {
            // Samples are read soon after they were taken, so that nobody else came in between the first sample and
            // the first reading, or after the last reading of a process that has ended.
            (None, found) | (found, None) => found.copied(),
            // Only its stack may have moved.
            (Some(before), Some(next)) => (next.times.0 <= time || before.id == next.id).then_some(*next),
        }
    }

    /// The goroutine that a thread ran before and after a time.
    fn run_by(&self, thread: &GoroutineSeen, time: u64) -> Option<&'r GoroutineSeen> {
        let held = (thread.times.0..=thread.times.1).contains(&time) && thread.runs != 0;
        if held { self.at(thread.pid, thread.runs, time) } else { None }
    }

    /// On whose stack an address was at a time, of those who were started with a function.
    fn on_stack(&self, pid: u32, address: u64, start: u64, time: u64) -> Option<&'r GoroutineSeen> {
        let within = |seen: &GoroutineSeen, margin| {
            (seen.times.0.saturating_sub(margin)..=seen.times.1.saturating_add(margin)).contains(&time)
        };
        let stacks = self.by_stack.get(&pid)?;
        let next = stacks.partition_point(|(seen, _)| seen.stack.0 <= address);
        let below = stacks.get(..next)?.iter().rev().take(MOST_STACKS);
        let holders = below.take_while(|(_, highest)| address < *highest).map(|(seen, _)| *seen);
        let mut found: Option<&GoroutineSeen> = None;
        for seen in holders.filter(|seen| address < seen.stack.1 && seen.start == start && within(seen, CHANGE)) {
            if found.is_some_and(|other| (other.address, other.id) != (seen.address, seen.id)) {
                return None;
            }
            // Of several readings the one that was made then.
            found = found.filter(|other| within(other, ROUND)).or(Some(seen));
        }
        found.filter(|seen| within(seen, ROUND))
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANGE, GoroutineSeen, Origin, ROUND, Readings, Registers, Running};

    const SEEN: GoroutineSeen =
        GoroutineSeen { pid: 1, address: 8, times: (0, 0), id: 0, creator: 0, start: 0, stack: (0, 0), runs: 0 };

    #[test]
    fn what_two_readings_differ_in_is_not_known_in_between() {
        let seen = |id, times| GoroutineSeen { times, id, ..SEEN };
        let all = [seen(20, (30, 40)), seen(10, (10, 20))];
        let readings = Readings::of(&all);
        let id = |time| readings.at(1, 8, time).map(|seen| seen.id);
        assert_eq!([5, 10, 20].map(id), [Some(10); 3]);
        assert_eq!([21, 29].map(id), [None; 2]);
        assert_eq!([30, 40, 99].map(id), [Some(20); 3]);
        assert_eq!(readings.at(2, 8, 10), None);
        assert_eq!(readings.at(1, 16, 10), None);
    }

    #[test]
    fn a_stack_that_moved_is_still_the_same_goroutines() {
        let seen = |stack, times| GoroutineSeen { times, id: 10, start: 7, stack, ..SEEN };
        let second = 1_000_000_000;
        let all = [seen((0x100, 0x200), (second, 2 * second)), seen((0x400, 0x800), (3 * second, 4 * second))];
        let readings = Readings::of(&all);
        assert_eq!(readings.at(1, 8, 5 * second / 2).map(|seen| seen.id), Some(10));
        let holder = |(address, time)| readings.on_stack(1, address, 7, time).map(|seen| seen.stack.0);
        // A round before the first reading of a stack, and after the last.
        let known = [(0x100, second - ROUND), (0x1ff, 2 * second + ROUND), (0x400, 3 * second)];
        assert_eq!(known.map(holder), [Some(0x100), Some(0x100), Some(0x400)]);
        // Further from it, and beside it.
        let unknown = [(0x100, second - ROUND - 1), (0x100, 5 * second / 2), (0xff, second), (0x200, second)];
        assert_eq!(unknown.map(holder), [None; 4]);
        assert_eq!(readings.on_stack(1, 0x100, 8, second), None, "started with another function");
    }

    #[test]
    fn stacks_are_found_among_larger_ones_and_older_ones() {
        let second = 1_000_000_000;
        let seen = |id, stack, time| GoroutineSeen { address: id * 8, times: (time, time), id, stack, ..SEEN };
        let all = [
            seen(1, (0x1000, 0x9000), second),
            seen(2, (0x2000, 0x3000), 3 * second),
            seen(3, (0x4000, 0x5000), 3 * second),
            seen(4, (0x4000, 0x6000), 3 * second + CHANGE),
        ];
        let readings = Readings::of(&all);
        let holder = |address, time| readings.on_stack(1, address, 0, time).map(|seen| seen.id);
        assert_eq!(holder(0x4800, second), Some(1));
        assert_eq!(holder(0x2800, 3 * second), Some(2));
        assert_eq!(holder(0x4800, 3 * second), None, "somebody else has it soon after");
        assert_eq!(holder(0x4800, 3 * second - 1), Some(3));
        assert_eq!(holder(0x5800, 3 * second + CHANGE), Some(4));
    }

    #[test]
    fn a_thread_that_was_seen_to_run_another_is_believed() {
        let thread = GoroutineSeen { address: 24, times: (10, 20), runs: 8, ..SEEN };
        let running = |start| {
            let all = [
                GoroutineSeen { address: 8, id: 1, start, ..thread },
                GoroutineSeen { address: 16, id: 2, stack: (0x3000, 0x4000), ..thread },
                thread,
            ];
            let registers = Registers::for_tests(0x7800, 0, Some(24));
            let origin = || Some(Origin { pointer: Some(0x3800), start: 0 });
            let readings = Readings::of(&all);
            [15, 21].map(|time| matches!(readings.running(1, &registers, time, origin), Running::Goroutine(_)))
        };
        assert_eq!(running(0), [false, true]);
        assert_eq!(running(7), [true, true], "it was started with another function than the sampled one");
    }

    #[test]
    fn the_register_decides_before_the_stacks_do() {
        let all = [
            GoroutineSeen { address: 8, id: 1, stack: (0x1000, 0x2000), ..SEEN },
            GoroutineSeen { address: 16, id: 2, stack: (0x3000, 0x4000), ..SEEN },
            GoroutineSeen { address: 24, id: 0, stack: (0x7000, 0x8000), ..SEEN },
        ];
        let readings = Readings::of(&all);
        let running = |register, sp, pointer: Option<u64>| {
            let registers = Registers::for_tests(sp, 0, Some(register));
            match readings.running(1, &registers, 0, || Some(Origin { pointer, start: 0 })) {
                Running::Goroutine(seen) => Ok(seen.id),
                other => Err(other),
            }
        };
        assert_eq!(running(8, 0x3800, Some(0x3800)), Ok(1));
        // On the thread's own stack.
        assert_eq!(running(24, 0x7800, Some(0x3800)), Ok(2));
        assert_eq!(running(24, 0x7800, Some(0x7900)), Err(Running::Thread));
        assert_eq!(running(24, 0x7800, None), Err(Running::Thread));
        // Code that uses the register for something else.
        assert_eq!(running(0x777, 0x3800, None), Ok(2));
        assert_eq!(running(0x777, 0x7800, None), Err(Running::Thread));
        assert_eq!(running(0x770, 0x7800, None), Err(Running::Unread(0x770)));
    }
}
