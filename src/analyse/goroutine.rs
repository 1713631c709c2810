//! The goroutine of a sample, from the goroutine register and the goroutine descriptors (`runtime.g`) that the recorder
//! read.
//!
//! In Go code the register points to the descriptor of the running goroutine. While a thread runs on its own stack, the
//! register points to a descriptor of the thread (`g0` or `gsignal`). Then the goroutine is the one whose stack the
//! frame pointers lead back to. Stacks move, and another goroutine may get the freed memory. So a goroutine is accepted
//! only if
//! - no other goroutine had a stack at this address around that time,
//! - it was started with the function at the root of the sampled stack,
//! - the thread was not seen running another goroutine that was started with the same function.
//!
//! Must not guess: if two goroutines are possible, the goroutine is unknown.

use std::collections::HashMap;

use super::unwind::Registers;

/// The content of a goroutine descriptor (`runtime.g`), which was the same in one or more readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineSeen {
    /// Process.
    pub pid: u32,
    /// Address of the descriptor, which is the value of the goroutine register.
    pub address: u64,
    /// The first and the last time at which the descriptor had this content, in nanoseconds of the event's clock.
    pub times: (u64, u64),
    /// The goroutine's id; 0 for the descriptor of a thread itself.
    pub id: u64,
    /// Return address of the `go` statement that created the goroutine; 0 if the runtime created it without one.
    pub creator: u64,
    /// Entry address of the function that the goroutine was started with.
    pub start: u64,
    /// The lowest address of the goroutine's stack and the first address after it; both 0 if unknown.
    pub stack: (u64, u64),
    /// In the descriptor of a thread: the descriptor of the goroutine that the thread runs; 0 for none.
    pub runs: u64,
}

/// The goroutine or thread that ran when a sample was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running<'r> {
    /// A goroutine.
    Goroutine(&'r GoroutineSeen),
    /// A thread without a goroutine, or with an unknown one.
    Thread,
    /// The goroutine with the descriptor at this address, which was never read. The address may also be another value
    /// that code left in the register.
    Unread(u64),
}

/// Evidence for the goroutine of a sampled stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackEvidence {
    /// The frame pointer into the goroutine's stack, if the thread has switched to another stack.
    pub(super) frame_pointer: Option<u64>,
    /// Entry address of the function at the root.
    pub(super) entry: u64,
}

/// The goroutine descriptors that the recorder read, by address of the descriptor and by address of the stack.
#[derive(Debug, Default)]
pub(super) struct GoroutineReadings<'r> {
    /// By process and address, in the order of time.
    by_descriptor: HashMap<(u32, u64), Vec<&'r GoroutineSeen>>,
    /// By process: readings with a stack, sorted by its lowest address. Each has the highest stack end of all readings
    /// up to it.
    by_stack: HashMap<u32, Vec<(&'r GoroutineSeen, u64)>>,
}

/// Maximum number of stacks starting below an address that are compared with it. Only few stacks overlap: those that
/// used the same memory one after the other.
const MAX_STACKS: usize = 256;

/// Maximum time between a sample and the reading of its goroutine, in nanoseconds. The recorder reads ten times a
/// second, and is rarely later than this.
const READING_DELAY: u64 = 150_000_000;

/// Time in which the memory of a stack may change its owner, in nanoseconds: a goroutine that had the stack within this
/// time before or after a sample may also have had it at the time of the sample.
const REUSE_MARGIN: u64 = 1_000_000_000;

impl<'r> GoroutineReadings<'r> {
    pub(super) fn new(seen: &'r [GoroutineSeen]) -> Self {
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

    /// The goroutine or thread that ran at a time. `evidence` is computed only if the register does not identify the
    /// goroutine.
    pub(super) fn running(
        &self,
        pid: u32,
        registers: &Registers,
        time: u64,
        evidence: impl FnOnce() -> Option<StackEvidence>,
    ) -> Running<'r> {
        let address = registers.goroutine.filter(|address| *address != 0 && address.is_multiple_of(8));
        let seen = address.and_then(|address| self.at(pid, address, time));
        if let Some(goroutine) = seen.filter(|seen| seen.id != 0) {
            return Running::Goroutine(goroutine);
        }
        if self.by_stack.contains_key(&pid)
            && let Some(StackEvidence { frame_pointer, entry }) = evidence()
        {
            let mut pointers = [Some(registers.sp()), frame_pointer].into_iter().flatten();
            let found = pointers.find_map(|pointer| self.on_stack(pid, pointer, entry, time));
            let run = seen.and_then(|thread| self.run_by(thread, time)).filter(|run| run.start == entry);
            if let Some(goroutine) = found.filter(|found| run.is_none_or(|run| run.id == found.id)) {
                return Running::Goroutine(goroutine);
            }
        }
        match (address, seen) {
            (Some(address), None) => Running::Unread(address),
            _ => Running::Thread,
        }
    }

    /// The content of a descriptor at a time. `None` if it was never read, and between readings of two different
    /// goroutines: either of them may have run.
    fn at(&self, pid: u32, address: u64, time: u64) -> Option<&'r GoroutineSeen> {
        let readings = self.by_descriptor.get(&(pid, address))?;
        let next = readings.partition_point(|seen| seen.times.1 < time);
        let before = next.checked_sub(1).and_then(|at| readings.get(at));
        match (before, readings.get(next)) {
            // Descriptors are read soon after the sample, so another goroutine is unlikely between the first sample and
            // the first reading, and after the last reading of a process that has ended.
            (None, found) | (found, None) => found.copied(),
            // Between readings with the same id, only the stack may have moved.
            (Some(before), Some(next)) => (next.times.0 <= time || before.id == next.id).then_some(*next),
        }
    }

    /// The goroutine that a thread ran, according to readings of the thread's descriptor before and after a time.
    fn run_by(&self, thread: &GoroutineSeen, time: u64) -> Option<&'r GoroutineSeen> {
        let covered = (thread.times.0..=thread.times.1).contains(&time) && thread.runs != 0;
        if covered { self.at(thread.pid, thread.runs, time) } else { None }
    }

    /// The goroutine with the entry function `start` whose stack contained an address at a time. `None` if there are
    /// several.
    fn on_stack(&self, pid: u32, address: u64, start: u64, time: u64) -> Option<&'r GoroutineSeen> {
        let within = |seen: &GoroutineSeen, margin| {
            (seen.times.0.saturating_sub(margin)..=seen.times.1.saturating_add(margin)).contains(&time)
        };
        let stacks = self.by_stack.get(&pid)?;
        let next = stacks.partition_point(|(seen, _)| seen.stack.0 <= address);
        let below = stacks.get(..next)?.iter().rev().take(MAX_STACKS);
        let holders = below.take_while(|(_, highest)| address < *highest).map(|(seen, _)| *seen);
        let mut found: Option<&GoroutineSeen> = None;
        for seen in holders.filter(|seen| address < seen.stack.1 && seen.start == start && within(seen, REUSE_MARGIN)) {
            if found.is_some_and(|other| (other.address, other.id) != (seen.address, seen.id)) {
                return None;
            }
            // Of several readings of the goroutine, prefer one that was made at the time.
            found = found.filter(|other| within(other, READING_DELAY)).or(Some(seen));
        }
        found.filter(|seen| within(seen, READING_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::{GoroutineReadings, GoroutineSeen, READING_DELAY, REUSE_MARGIN, Registers, Running, StackEvidence};

    const SEEN: GoroutineSeen =
        GoroutineSeen { pid: 1, address: 8, times: (0, 0), id: 0, creator: 0, start: 0, stack: (0, 0), runs: 0 };

    #[test]
    fn between_two_different_readings_the_goroutine_is_unknown() {
        let seen = |id, times| GoroutineSeen { times, id, ..SEEN };
        let all = [seen(20, (30, 40)), seen(10, (10, 20))];
        let readings = GoroutineReadings::new(&all);
        let id = |time| readings.at(1, 8, time).map(|seen| seen.id);
        assert_eq!([5, 10, 20].map(id), [Some(10); 3]);
        assert_eq!([21, 29].map(id), [None; 2]);
        assert_eq!([30, 40, 99].map(id), [Some(20); 3]);
        assert_eq!(readings.at(2, 8, 10), None);
        assert_eq!(readings.at(1, 16, 10), None);
    }

    #[test]
    fn a_goroutine_is_the_same_after_its_stack_moved() {
        let seen = |stack, times| GoroutineSeen { times, id: 10, start: 7, stack, ..SEEN };
        let second = 1_000_000_000;
        let all = [seen((0x100, 0x200), (second, 2 * second)), seen((0x400, 0x800), (3 * second, 4 * second))];
        let readings = GoroutineReadings::new(&all);
        assert_eq!(readings.at(1, 8, 5 * second / 2).map(|seen| seen.id), Some(10));
        let holder = |(address, time)| readings.on_stack(1, address, 7, time).map(|seen| seen.stack.0);
        // Up to the reading delay before the first reading of a stack and after the last.
        let known = [(0x100, second - READING_DELAY), (0x1ff, 2 * second + READING_DELAY), (0x400, 3 * second)];
        assert_eq!(known.map(holder), [Some(0x100), Some(0x100), Some(0x400)]);
        // More than the delay, and outside of the stack.
        let unknown = [(0x100, second - READING_DELAY - 1), (0x100, 5 * second / 2), (0xff, second), (0x200, second)];
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
            seen(4, (0x4000, 0x6000), 3 * second + REUSE_MARGIN),
        ];
        let readings = GoroutineReadings::new(&all);
        let holder = |address, time| readings.on_stack(1, address, 0, time).map(|seen| seen.id);
        assert_eq!(holder(0x4800, second), Some(1));
        assert_eq!(holder(0x2800, 3 * second), Some(2));
        assert_eq!(holder(0x4800, 3 * second), None, "another goroutine has it soon after");
        assert_eq!(holder(0x4800, 3 * second - 1), Some(3));
        assert_eq!(holder(0x5800, 3 * second + REUSE_MARGIN), Some(4));
    }

    #[test]
    fn the_stack_is_not_enough_if_the_thread_was_seen_running_another_goroutine() {
        let thread = GoroutineSeen { address: 24, times: (10, 20), runs: 8, ..SEEN };
        let running = |start| {
            let all = [
                GoroutineSeen { address: 8, id: 1, start, ..thread },
                GoroutineSeen { address: 16, id: 2, stack: (0x3000, 0x4000), ..thread },
                thread,
            ];
            let registers = Registers::for_tests(0x7800, 0, Some(24));
            let evidence = || Some(StackEvidence { frame_pointer: Some(0x3800), entry: 0 });
            let readings = GoroutineReadings::new(&all);
            [15, 21].map(|time| matches!(readings.running(1, &registers, time, evidence), Running::Goroutine(_)))
        };
        assert_eq!(running(0), [false, true]);
        assert_eq!(running(7), [true, true], "that one was started with another function than the sampled one");
    }

    #[test]
    fn the_register_has_precedence_over_the_stack() {
        let all = [
            GoroutineSeen { address: 8, id: 1, stack: (0x1000, 0x2000), ..SEEN },
            GoroutineSeen { address: 16, id: 2, stack: (0x3000, 0x4000), ..SEEN },
            GoroutineSeen { address: 24, id: 0, stack: (0x7000, 0x8000), ..SEEN },
        ];
        let readings = GoroutineReadings::new(&all);
        let running = |register, sp, frame_pointer: Option<u64>| {
            let registers = Registers::for_tests(sp, 0, Some(register));
            match readings.running(1, &registers, 0, || Some(StackEvidence { frame_pointer, entry: 0 })) {
                Running::Goroutine(seen) => Ok(seen.id),
                other => Err(other),
            }
        };
        assert_eq!(running(8, 0x3800, Some(0x3800)), Ok(1));
        // On the thread's own stack.
        assert_eq!(running(24, 0x7800, Some(0x3800)), Ok(2));
        assert_eq!(running(24, 0x7800, Some(0x7900)), Err(Running::Thread));
        assert_eq!(running(24, 0x7800, None), Err(Running::Thread));
        // The register holds another value.
        assert_eq!(running(0x777, 0x3800, None), Ok(2));
        assert_eq!(running(0x777, 0x7800, None), Err(Running::Thread));
        assert_eq!(running(0x770, 0x7800, None), Err(Running::Unread(0x770)));
    }
}
