//! The goroutine of a sample, from the goroutine register and the goroutine descriptors (`runtime.g`) that the recorder
//! read.
//!
//! In Go code, the register points to the descriptor of the running goroutine. Assembly and C code can use the register for
//! other values. So a descriptor must fit the sampled stack: the stack pointer is in the goroutine's stack, or the goroutine
//! was started with the function at the root.
//!
//! While a thread runs on its own stack, the register points to a descriptor of the thread (`g0` or `gsignal`). Then the
//! frame pointers lead back to the goroutine's stack. If the register has another value, the stack pointer is in the
//! goroutine's stack. Stacks move, and another goroutine can get the freed memory. So a goroutine is accepted only if
//! - no other goroutine had a stack at this address at that time,
//! - it was started with the function at the root of the sampled stack (if this function is unknown, readings before
//!   and after the sample must show the same goroutine),
//! - the thread was not seen running another goroutine that was started with the same function.
//!
//! Must not guess: if two goroutines are possible, the goroutine is unknown.

use std::collections::HashMap;

use super::readings::group_readings;
use super::unwind::Registers;
use crate::sources::GoroutineReading;

/// The goroutine or thread that ran when a sample was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunningTask<'r> {
    /// A goroutine with this reading of its descriptor.
    Goroutine(&'r GoroutineReading),
    /// An unknown goroutine with a known descriptor, which several goroutines used one after the other.
    Descriptor {
        /// Address of the descriptor.
        address: u64,
        /// Entry address of the function with which the goroutine before and the goroutine after were started. `None` if
        /// the two functions differ.
        start: Option<u64>,
    },
    /// A thread without a goroutine, or with an unknown goroutine.
    Thread,
    /// The goroutine with the descriptor at this address, which was never read. The address can also be another value that
    /// code left in the register.
    Unread(u64),
}

/// The goroutine descriptors that the recorder read, by address of the descriptor and by address of the stack.
#[derive(Debug, Default)]
pub(super) struct GoroutineReadings<'r> {
    /// Readings in time order, by process and address of the descriptor.
    by_descriptor: HashMap<(u32, u64), Vec<&'r GoroutineReading>>,
    /// Readings of goroutines with a stack, by process. Sorted by the lowest address of the stack. The second value is the
    /// highest stack end of this and all earlier readings.
    by_stack: HashMap<u32, Vec<(&'r GoroutineReading, u64)>>,
}

/// Maximum number of stacks that a search for the stack of an address looks at. Few stacks overlap: those that used the
/// same memory one after the other.
const MAX_COMPARED_STACKS: usize = 256;

/// A goroutine that had a stack within this time before or after a sample can also have had it when the sample was taken.
const REUSE_MARGIN_NS: u64 = 1_000_000_000;

impl<'r> GoroutineReadings<'r> {
    pub(super) fn new(seen: &'r [GoroutineReading]) -> Self {
        let by_descriptor = group_readings(seen, |seen| (seen.pid, seen.address), |seen| (seen.first_ns, seen.last_ns));
        let mut by_stack: HashMap<_, Vec<_>> = HashMap::new();
        for seen in seen {
            if seen.id != 0 && seen.stack.0 < seen.stack.1 {
                by_stack.entry(seen.pid).or_default().push((seen, seen.stack.1));
            }
        }
        for stacks in by_stack.values_mut() {
            stacks.sort_by_key(|(seen, _)| (seen.stack.0, seen.first_ns, seen.last_ns));
            let mut highest = 0;
            for (_, end) in stacks {
                highest = highest.max(*end);
                *end = highest;
            }
        }
        Self { by_descriptor, by_stack }
    }

    /// The goroutine or thread that ran at a time. `entry` is the entry address of the function at the root of a
    /// goroutine's stack. `left_stack` returns the frame pointer into the goroutine's stack, if the thread has switched
    /// to another stack. `left_stack` is called only if its result is needed.
    pub(super) fn find_running(
        &self,
        pid: u32,
        registers: &Registers,
        time: u64,
        entry: Option<u64>,
        left_stack: impl FnOnce() -> Option<u64>,
    ) -> RunningTask<'r> {
        let address = registers.goroutine.filter(|address| *address != 0 && address.is_multiple_of(8));
        let seen = address.and_then(|address| self.find(pid, address, time));
        let fits = |seen: &GoroutineReading| {
            entry.is_none_or(|entry| entry == seen.start) || seen.stack_contains(registers.sp())
        };
        if let Some(goroutine) = seen.filter(|seen| seen.id != 0 && fits(seen)) {
            return RunningTask::Goroutine(goroutine);
        }
        if self.by_stack.contains_key(&pid) {
            let find = |pointer| self.find_by_stack(pid, pointer, entry, time);
            let found = find(registers.sp()).or_else(|| entry.and_then(|_| find(left_stack()?)));
            let run =
                seen.and_then(|thread| self.goroutine_run_by(thread, time)).filter(|run| Some(run.start) == entry);
            if let Some(goroutine) = found.filter(|found| run.is_none_or(|run| run.id == found.id)) {
                return RunningTask::Goroutine(goroutine);
            }
            let in_register = address.filter(|address| seen.is_none() && self.is_goroutine_descriptor(pid, *address));
            if let Some(address) = in_register.or_else(|| self.descriptor_of_stack(pid, registers.sp(), time)) {
                return self.unknown_goroutine(pid, address, time);
            }
        }
        match (address, seen) {
            (Some(address), None) => RunningTask::Unread(address),
            _ => RunningTask::Thread,
        }
    }

    /// Whether any goroutine descriptor of a process was read.
    pub(super) fn has_process(&self, pid: u32) -> bool {
        self.by_stack.contains_key(&pid)
    }

    /// Whether there is a thread's own descriptor at an address.
    pub(super) fn is_thread_descriptor(&self, pid: u32, address: Option<u64>) -> bool {
        let readings = address.and_then(|address| self.by_descriptor.get(&(pid, address)));
        readings.is_some_and(|readings| readings.iter().all(|seen| seen.id == 0))
    }

    /// The goroutine whose descriptor some of these words point to. `None` if the words point to several descriptors.
    pub(super) fn find_by_pointers(&self, pid: u32, words: &[u64], time: u64) -> Option<RunningTask<'r>> {
        let mut addresses = words.iter().filter(|word| self.is_goroutine_descriptor(pid, **word));
        let address = *addresses.next()?;
        addresses.all(|other| *other == address).then(|| {
            self.find(pid, address, time)
                .map_or_else(|| self.unknown_goroutine(pid, address, time), RunningTask::Goroutine)
        })
    }

    fn unknown_goroutine(&self, pid: u32, address: u64, time: u64) -> RunningTask<'r> {
        let readings = self.by_descriptor.get(&(pid, address)).map(Vec::as_slice).unwrap_or_default();
        let next = readings.partition_point(|seen| seen.last_ns < time);
        let around = readings.get(next.saturating_sub(1)..).unwrap_or_default().iter().take(2);
        let mut starts = around.map(|seen| seen.start);
        let first = starts.next();
        RunningTask::Descriptor { address, start: first.filter(|first| starts.all(|start| start == *first)) }
    }

    /// Whether there is a goroutine's descriptor at an address.
    fn is_goroutine_descriptor(&self, pid: u32, address: u64) -> bool {
        self.by_descriptor.get(&(pid, address)).is_some_and(|readings| readings.iter().all(|seen| seen.id != 0))
    }

    /// The content of a descriptor at a time. `None` if the descriptor was never read. `None` also between readings of two
    /// different goroutines, because each of them can have run.
    fn find(&self, pid: u32, address: u64, time: u64) -> Option<&'r GoroutineReading> {
        let readings = self.by_descriptor.get(&(pid, address))?;
        let next = readings.partition_point(|seen| seen.last_ns < time);
        let before = next.checked_sub(1).and_then(|at| readings.get(at));
        match (before, readings.get(next)) {
            // Descriptors are read soon after the sample, so another goroutine is unlikely between the first sample and
            // the first reading, and after the last reading of a process that has ended.
            (None, found) | (found, None) => found.copied(),
            // Between readings with the same id, only the stack can have moved.
            (Some(before), Some(next)) => (next.first_ns <= time || before.id == next.id).then_some(*next),
        }
    }

    /// The goroutine that a thread ran at a time. `None` if no reading of the thread's descriptor covers the time.
    fn goroutine_run_by(&self, thread: &GoroutineReading, time: u64) -> Option<&'r GoroutineReading> {
        let covered = thread.covers(time) && thread.runs != 0;
        if covered { self.find(thread.pid, thread.runs, time) } else { None }
    }

    /// The goroutine whose stack contained an address at a time. If `start` is known, the goroutine was started with this
    /// function. `None` if several goroutines are possible.
    fn find_by_stack(&self, pid: u32, address: u64, start: Option<u64>, time: u64) -> Option<&'r GoroutineReading> {
        let holders = || {
            self.readings_with_stack_at(pid, address, time).filter(|seen| start.is_none_or(|start| start == seen.start))
        };
        // At any moment, stacks do not overlap.
        if let Some(seen) = holders().find(|seen| seen.covers(time)) {
            return Some(seen);
        }
        // At times that no reading covers, the function at the root is needed as a second proof. A goroutine is impossible
        // if its descriptor had another content at that time.
        start?;
        let then = |seen: &GoroutineReading| self.find(pid, seen.address, time);
        let mut possible = holders().filter(|seen| then(seen).is_none_or(|then| !then.covers(time)));
        let found = possible.next().filter(|found| then(found).is_some_and(|then| then.id == found.id))?;
        possible.all(|other| (other.address, other.id) == (found.address, found.id)).then_some(found)
    }

    /// The descriptor whose stack contained an address around a time. Its goroutine is unknown, because a descriptor keeps
    /// its stack for the next goroutine. `None` if there are several such descriptors.
    fn descriptor_of_stack(&self, pid: u32, address: u64, time: u64) -> Option<u64> {
        let mut holders = self.readings_with_stack_at(pid, address, time).map(|seen| seen.address);
        let first = holders.next()?;
        holders.all(|other| other == first).then_some(first)
    }

    /// The readings whose stack contained an address around a time.
    fn readings_with_stack_at(&self, pid: u32, address: u64, time: u64) -> impl Iterator<Item = &'r GoroutineReading> {
        let around = move |seen: &GoroutineReading| {
            (seen.first_ns.saturating_sub(REUSE_MARGIN_NS)..=seen.last_ns.saturating_add(REUSE_MARGIN_NS))
                .contains(&time)
        };
        let stacks = self.by_stack.get(&pid).map(Vec::as_slice).unwrap_or_default();
        let next = stacks.partition_point(|(seen, _)| seen.stack.0 <= address);
        let below = stacks.get(..next).unwrap_or_default().iter().rev().take(MAX_COMPARED_STACKS);
        let holders = below.take_while(move |(_, highest)| address < *highest).map(|(seen, _)| *seen);
        holders.filter(move |seen| seen.stack_contains(address) && around(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::{GoroutineReading, GoroutineReadings, REUSE_MARGIN_NS, Registers, RunningTask};

    const SEEN: GoroutineReading = GoroutineReading {
        pid: 1,
        address: 8,
        first_ns: 0,
        last_ns: 0,
        parent: 0,
        id: 0,
        creator: 0,
        start: 0,
        stack: (0, 0),
        runs: 0,
    };

    #[test]
    fn between_two_different_readings_the_goroutine_is_unknown() {
        let seen = |id, (first_ns, last_ns)| GoroutineReading { first_ns, last_ns, id, ..SEEN };
        let all = [seen(20, (30, 40)), seen(10, (10, 20))];
        let readings = GoroutineReadings::new(&all);
        let id = |time| readings.find(1, 8, time).map(|seen| seen.id);
        assert_eq!([5, 10, 20].map(id), [Some(10); 3]);
        assert_eq!([21, 29].map(id), [None; 2]);
        assert_eq!([30, 40, 99].map(id), [Some(20); 3]);
        assert_eq!(readings.find(2, 8, 10), None);
        assert_eq!(readings.find(1, 16, 10), None);
    }

    #[test]
    fn a_goroutine_is_the_same_after_its_stack_moved() {
        let seen = |stack, (first_ns, last_ns)| GoroutineReading { first_ns, last_ns, id: 10, start: 7, stack, ..SEEN };
        let second = 1_000_000_000;
        let all = [seen((0x100, 0x200), (second, 2 * second)), seen((0x400, 0x800), (3 * second, 4 * second))];
        let readings = GoroutineReadings::new(&all);
        assert_eq!(readings.find(1, 8, 5 * second / 2).map(|seen| seen.id), Some(10));
        let holder = |(address, time)| readings.find_by_stack(1, address, Some(7), time).map(|seen| seen.stack.0);
        // Also within the margin before the first reading of a stack and after the last reading.
        let known = [(0x100, 0), (0x1ff, 5 * second / 2), (0x400, 3 * second), (0x400, 5 * second)];
        assert_eq!(known.map(holder), [Some(0x100), Some(0x100), Some(0x400), Some(0x400)]);
        // Beyond the margin, and outside of the stack.
        let unknown = [(0x100, 3 * second + 1), (0x400, 5 * second + 1), (0xff, second), (0x200, second)];
        assert_eq!(unknown.map(holder), [None; 4]);
        assert_eq!(readings.find_by_stack(1, 0x100, Some(8), second), None, "started with another function");
        let by_stack_alone = |time| readings.find_by_stack(1, 0x100, None, time).map(|seen| seen.id);
        assert_eq!([second, 2 * second + 1].map(by_stack_alone), [Some(10), None]);
    }

    #[test]
    fn the_stack_of_a_reused_descriptor_identifies_the_descriptor() {
        let seen = |id, start, time| GoroutineReading {
            address: 8,
            first_ns: time,
            last_ns: time,
            id,
            start,
            stack: (0x1000, 0x2000),
            ..SEEN
        };
        let running = |last_start, register| {
            let all = [seen(1, 7, 10), seen(2, last_start, 20)];
            let readings = GoroutineReadings::new(&all);
            match readings.find_running(1, &Registers::from_test_values(0x1800, 0, register), 15, None, || None) {
                RunningTask::Descriptor { address, start } => Some((address, start)),
                _ => None,
            }
        };
        assert_eq!(running(7, Some(0x777)), Some((8, Some(7))));
        assert_eq!(running(9, Some(8)), Some((8, None)), "the register holds the descriptor");
    }

    #[test]
    fn words_that_point_to_only_one_descriptor_identify_the_goroutine() {
        let all = [
            GoroutineReading { address: 8, id: 1, ..SEEN },
            GoroutineReading { address: 16, id: 2, ..SEEN },
            GoroutineReading { address: 24, id: 0, ..SEEN },
        ];
        let readings = GoroutineReadings::new(&all);
        let pointed_to = |words: &[u64]| match readings.find_by_pointers(1, words, 0) {
            Some(RunningTask::Goroutine(seen)) => Some(seen.id),
            _ => None,
        };
        assert_eq!(pointed_to(&[5, 8, 24, 8]), Some(1), "24 is the descriptor of a thread");
        assert_eq!([&[5, 24][..], &[8, 16], &[]].map(pointed_to), [None; 3]);
    }

    #[test]
    fn stacks_are_found_among_larger_ones_and_older_ones() {
        let second = 1_000_000_000;
        let seen =
            |id, stack, time| GoroutineReading { address: id * 8, first_ns: time, last_ns: time, id, stack, ..SEEN };
        let all = [
            seen(1, (0x1000, 0x9000), second),
            seen(2, (0x2000, 0x3000), 3 * second),
            seen(3, (0x4000, 0x5000), 3 * second),
            seen(4, (0x4000, 0x6000), 3 * second + REUSE_MARGIN_NS),
        ];
        let readings = GoroutineReadings::new(&all);
        let holder = |address, time| readings.find_by_stack(1, address, Some(0), time).map(|seen| seen.id);
        assert_eq!(holder(0x4800, second), Some(1));
        assert_eq!(holder(0x2800, 3 * second), Some(2));
        assert_eq!(holder(0x4800, 3 * second), Some(3), "it was read at this time");
        assert_eq!(holder(0x4800, 3 * second + 1), None, "another goroutine has it soon after");
        assert_eq!(holder(0x4800, 3 * second - 1), Some(3));
        assert_eq!(holder(0x5800, 3 * second + REUSE_MARGIN_NS), Some(4));
    }

    #[test]
    fn goroutines_that_had_other_stacks_at_the_time_are_not_confused_with_the_owner() {
        let seen = |id, stack, (first_ns, last_ns)| GoroutineReading {
            address: id * 8,
            first_ns,
            last_ns,
            id,
            stack: (stack, stack + 0x1000),
            ..SEEN
        };
        // Two goroutines with the same entry have a stack at 0x1000, one after the other.
        let holder = |all: &[GoroutineReading]| {
            GoroutineReadings::new(all).find_by_stack(1, 0x1800, Some(0), 50).map(|seen| seen.id)
        };
        let [earlier, later] = [seen(1, 0x1000, (10, 20)), seen(2, 0x1000, (80, 90))];
        assert_eq!(holder(&[earlier, later]), None);
        assert_eq!(holder(&[earlier, seen(2, 0x1000, (40, 90))]), Some(2), "it had the stack at that time");
        assert_eq!(holder(&[earlier, later, seen(2, 0x5000, (40, 60))]), Some(1), "the other one had another stack");
    }

    #[test]
    fn the_stack_is_not_enough_if_the_thread_was_seen_running_another_goroutine() {
        let thread = GoroutineReading { address: 24, first_ns: 10, last_ns: 20, runs: 8, ..SEEN };
        let running = |start| {
            let all = [
                GoroutineReading { address: 8, id: 1, start, ..thread },
                GoroutineReading { address: 16, id: 2, stack: (0x3000, 0x4000), ..thread },
                thread,
            ];
            let registers = Registers::from_test_values(0x7800, 0, Some(24));
            let readings = GoroutineReadings::new(&all);
            let running = |time| readings.find_running(1, &registers, time, Some(0), || Some(0x3800));
            [15, 21].map(|time| matches!(running(time), RunningTask::Goroutine(_)))
        };
        assert_eq!(running(0), [false, true]);
        assert_eq!(running(7), [true, true], "the seen goroutine has another entry than the sampled stack");
    }

    #[test]
    fn the_register_has_precedence_over_the_stack() {
        let all = [
            GoroutineReading { address: 8, id: 1, stack: (0x1000, 0x2000), ..SEEN },
            GoroutineReading { address: 16, id: 2, stack: (0x3000, 0x4000), ..SEEN },
            GoroutineReading { address: 24, id: 0, stack: (0x7000, 0x8000), ..SEEN },
        ];
        let readings = GoroutineReadings::new(&all);
        let running = |register, sp, frame_pointer: Option<u64>| {
            let registers = Registers::from_test_values(sp, 0, Some(register));
            match readings.find_running(1, &registers, 0, Some(0), || frame_pointer) {
                RunningTask::Goroutine(seen) => Ok(seen.id),
                other => Err(other),
            }
        };
        assert_eq!(running(8, 0x3800, Some(0x3800)), Ok(1));
        // The thread runs on its own stack.
        assert_eq!(running(24, 0x7800, Some(0x3800)), Ok(2));
        assert_eq!(running(24, 0x7800, Some(0x7900)), Err(RunningTask::Thread));
        assert_eq!(running(24, 0x7800, None), Err(RunningTask::Thread));
        // The register holds another value.
        assert_eq!(running(0x777, 0x3800, None), Ok(2));
        assert_eq!(running(0x777, 0x7800, None), Err(RunningTask::Thread));
        assert_eq!(running(0x770, 0x7800, None), Err(RunningTask::Unread(0x770)));
    }
}
