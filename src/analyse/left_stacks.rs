//! Left stacks: stacks of goroutines that the recorder read while the threads ran generated code on other memory.

use std::collections::HashMap;

use super::address_space::{AddressSpace, LookupHint};
use super::files::Files;
use super::readings::group_readings;
use super::unwind::Unwinder;
use crate::sources::{CodeWords, LeftStack, LeftStackReadings};

/// Maximum time between a sample and a reading that is used for the sample. Readings are 10 milliseconds apart.
const MAX_AGE_NS: u64 = 100_000_000;

/// All readings of left stacks.
#[derive(Debug, Default)]
pub(super) struct LeftStacks<'r> {
    /// Readings in time order, by process id and thread id.
    by_thread: HashMap<(u32, u32), Vec<&'r LeftStack>>,
    contents: &'r [CodeWords],
}

/// The state of a thread when it was sampled.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampledThread {
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) time: u64,
    pub(super) sp: u64,
    /// The outermost return address of the known callers.
    pub(super) outermost_caller: u64,
}

/// The callers, on a left stack, of generated code on other memory.
#[derive(Debug)]
pub(super) struct LeftCallers {
    /// Return addresses, innermost first.
    pub(super) addresses: Vec<u64>,
    /// Whether the stack had the same callers before and after the sample. Otherwise the addresses are the outer
    /// callers that the two readings have in common. If their next callers differ but are in one function, the address
    /// of the earlier reading is included. If there is only one reading, the addresses are all its callers.
    pub(super) is_whole: bool,
    /// The descriptor of the goroutine. `None` if the goroutines before and after the sample differ.
    pub(super) descriptor: Option<u64>,
}

impl<'r> LeftStacks<'r> {
    pub(super) fn new(readings: Option<&'r LeftStackReadings>) -> Self {
        let Some(LeftStackReadings { contents, readings }) = readings else { return Self::default() };
        let times = |reading: &LeftStack| (reading.first_ns, reading.last_ns);
        Self { by_thread: group_readings(readings, |reading| (reading.pid, reading.tid), times), contents }
    }

    /// The callers on the left stack of a thread. `None` if the thread's known callers do not end in generated code, or
    /// if no reading near the sample has callers.
    pub(super) fn callers(
        &self,
        thread: SampledThread,
        unwinder: &mut Unwinder<'_, '_>,
        files: &Files<'_>,
        space: &AddressSpace,
    ) -> Option<LeftCallers> {
        let SampledThread { pid, tid, time, sp, outermost_caller } = thread;
        let is_in_file = || {
            let mapped = space.find(outermost_caller.saturating_sub(1), &mut LookupHint::default());
            mapped.is_some_and(|(image, _)| !files.is_memory(image))
        };
        if self.by_thread.is_empty() || is_in_file() {
            return None;
        }
        let callers_on = |left: &LeftStack| {
            let is_left = !(left.stack.0..left.stack.1).contains(&sp);
            let callers = is_left.then(|| unwinder.callers_on_left_stack(left.content, self.content(left), space))?;
            Some(callers).filter(|callers| !callers.is_empty())
        };
        let [(before, callers), (after, others)] = self.find_readings_around((pid, tid), time, callers_on)?;
        let common =
            callers.iter().rev().zip(others.iter().rev()).take_while(|(caller, other)| caller == other).count();
        let differing = |callers: &[u64]| callers.len().checked_sub(common + 1).and_then(|at| callers.get(at).copied());
        let in_same_function = differing(&callers)
            .zip(differing(&others))
            .is_some_and(|(one, other)| unwinder.is_same_function([one, other], space));
        let known = common + usize::from(in_same_function);
        Some(LeftCallers {
            addresses: callers.get(callers.len().checked_sub(known)?..)?.to_vec(),
            is_whole: are_on_both_sides([before, after], time) && common == others.len() && common == callers.len(),
            descriptor: (before.descriptor == after.descriptor).then_some(before.descriptor),
        })
    }

    /// The words on a reading's stack that are addresses of code, each after the address of its slot.
    fn content(&self, reading: &LeftStack) -> &'r [(u64, u64)] {
        self.contents.get(reading.content as usize).map(Vec::as_slice).unwrap_or_default()
    }

    /// The nearest readings before and after a time for which `find` has a result, with the results. If a reading is valid
    /// at that time, or only one reading is near, returns that reading twice.
    fn find_readings_around<T>(
        &self,
        (pid, tid): (u32, u32),
        time: u64,
        find: impl FnMut(&'r LeftStack) -> Option<T>,
    ) -> Option<[(&'r LeftStack, T); 2]>
    where
        T: Clone,
    {
        let readings = self.by_thread.get(&(pid, tid))?;
        let (before, after) = readings.split_at(readings.partition_point(|reading| reading.last_ns < time));
        let is_near = |reading: &&&LeftStack| {
            (reading.first_ns.saturating_sub(MAX_AGE_NS)..=reading.last_ns.saturating_add(MAX_AGE_NS)).contains(&time)
        };
        let mut find = find;
        let mut found = |reading: &&'r LeftStack| find(reading).map(|found| (*reading, found));
        let after = after.iter().take_while(is_near).find_map(&mut found);
        if let Some(valid) = after.as_ref().filter(|(reading, _)| reading.first_ns <= time) {
            return Some([valid.clone(), valid.clone()]);
        }
        let before = before.iter().rev().take_while(is_near).find_map(&mut found);
        let either = before.clone().or_else(|| after.clone())?;
        Some([before.unwrap_or_else(|| either.clone()), after.unwrap_or(either)])
    }
}

/// Whether the first reading is not after a time, and the second reading not before that time.
fn are_on_both_sides([before, after]: [&LeftStack; 2], time: u64) -> bool {
    before.first_ns <= time && time <= after.last_ns
}

#[cfg(test)]
mod tests {
    use super::{LeftStack, LeftStackReadings, LeftStacks, MAX_AGE_NS, are_on_both_sides};

    #[test]
    fn the_nearest_readings_with_a_result_are_found() {
        let second = 1_000_000_000;
        let reading = |descriptor, (first_ns, last_ns)| LeftStack {
            pid: 1,
            tid: 2,
            descriptor,
            first_ns,
            last_ns,
            stack: (0, 0),
            content: 0,
        };
        let readings = vec![
            reading(24, (second + 80, second + 80)),
            reading(16, (second + 50, second + 60)),
            reading(8, (second, second + 10)),
        ];
        let readings = LeftStackReadings { contents: Vec::new(), readings };
        let stacks = LeftStacks::new(Some(&readings));
        let around = |tid, time, without: u64| {
            let find = |reading: &LeftStack| Some(()).filter(|()| reading.descriptor != without);
            let found = stacks.find_readings_around((1, tid), time, find);
            found.map(|found| found.map(|(reading, ())| reading.descriptor))
        };
        assert_eq!(around(2, second + 5, 0), Some([8, 8]), "it was valid then");
        assert_eq!(around(2, second + 20, 0), Some([8, 16]));
        assert_eq!(around(2, second + 20, 16), Some([8, 24]));
        assert_eq!(around(2, second + 55, 16), Some([8, 24]));
        assert_eq!([around(2, second - 1, 0), around(2, second + 81, 0)], [Some([8, 8]), Some([24, 24])]);
        assert_eq!([around(2, second - MAX_AGE_NS - 1, 0), around(3, second, 0)], [None; 2]);
        let confirmed = |time| {
            let [before, after] =
                stacks.find_readings_around((1, 2), time, |_| Some(())).expect("readings").map(|(reading, ())| reading);
            are_on_both_sides([before, after], time)
        };
        let times = [second - 1, second + 5, second + 20, second + 81];
        assert_eq!(times.map(confirmed), [false, true, true, false], "the first and the last have one reading");
    }
}
