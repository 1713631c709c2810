//! The goroutine and the labels of a sample.

use super::{Collector, last_stack_position};
use crate::analyse::address_space::LookupHint;
use crate::analyse::goroutine::RunningTask;
use crate::analyse::labels::SampleLabels;
use crate::analyse::raw_location::RawLocation;
use crate::analyse::raw_task::RawGoroutine;
use crate::analyse::unwind::{Registers, StackRoot};
use crate::perfdata::{KnownGoroutine, Sample, SampleFacts};

impl Collector<'_, '_, '_> {
    /// The position of a sample's goroutine in [`Collected::goroutines`](super::Collected::goroutines), and the goroutine's
    /// labels. Call [`Self::replace_last_stack`] for the same sample first.
    pub(super) fn resolve_goroutine(&mut self, sample: &Sample<'_>, pid: u32) -> Option<(u32, SampleLabels)> {
        let known = match self.settings.repairs {
            Some(repairs) => repairs.goroutines.get(self.facts.goroutine()?).copied(),
            None => self.find_goroutine(sample, pid),
        };
        if let Some(rewritten) = &mut self.rewritten {
            self.facts = rewritten.with_goroutine(self.facts, known);
        }
        let KnownGoroutine { pid, address, id, start, creator, labels } = known?;
        let space = self.spaces.get(pid)?;
        let mut location = |address: u64| {
            let (image, offset) = space.find(address, &mut LookupHint::default())?;
            Some(self.out.locations.intern(RawLocation::File(image, offset)))
        };
        let (start, creator) = (location(start), location(creator));
        let id = Some(id).filter(|id| *id != 0);
        let goroutine = self.out.goroutines.intern(RawGoroutine { pid, address, id, start, creator });
        Some((goroutine, SampleLabels::new(labels, self.facts)))
    }

    /// The goroutine of a sample in Go code, or in other code that Go code called.
    fn find_goroutine(&mut self, sample: &Sample<'_>, pid: u32) -> Option<KnownGoroutine> {
        let caller = self.unwinder.take_goroutine().or(self.left_goroutine);
        let registers = sample.user_regs.as_ref().and_then(Registers::from_sample)?;
        let registers = registers.with_goroutine(caller);
        let space = self.spaces.get(pid)?;
        let Self { unwinder, facts, settings, .. } = self;
        let readings = &settings.goroutines;
        let root = self.last_stacks[last_stack_position(sample)].root(|addresses| unwinder.find_root(addresses, space));
        let entry = if let StackRoot::Goroutine { entry } = root { entry } else { None };
        let stack = sample.user_stack.unwrap_or_default();
        let time = sample.time.unwrap_or(0);
        let left_stack = || unwinder.left_frame_pointer(&registers, stack, space);
        let running = readings.find_running(pid, &registers, time, entry, left_stack);
        let running = match running {
            RunningTask::Thread | RunningTask::Unread(_) if root == StackRoot::StackGrowth => {
                let growing = unwinder.growing_goroutines(&registers, stack, space);
                readings.find_by_pointers(pid, &growing, time).unwrap_or(RunningTask::Thread)
            }
            other => other,
        };
        let is_mapped = |address: u64| address == 0 || space.find(address, &mut LookupHint::default()).is_some();
        let (address, seen, start) = match running {
            RunningTask::Goroutine(seen) if is_mapped(seen.start) => (Some(seen.address), Some(seen), Some(seen.start)),
            RunningTask::Descriptor { address, start } => (Some(address), None, start.or(entry)),
            // Only compiled Go code is certain to keep the address of a goroutine descriptor in the register.
            RunningTask::Unread(address) if caller.is_some() || unwinder.is_compiled_go(space, registers.ip()) => {
                (Some(address), None, entry)
            }
            RunningTask::Goroutine(_) | RunningTask::Unread(_) | RunningTask::Thread => (None, None, None),
        };
        if matches!(root, StackRoot::Goroutine { .. }) && readings.has_process(pid) {
            // While the thread runs on its own stack, the register holds the thread's descriptor.
            let in_register = registers.goroutine == address || readings.is_thread_descriptor(pid, registers.goroutine);
            facts.set(SampleFacts::OF_GOROUTINE, true);
            facts.set(SampleFacts::FOREIGN_REGISTER, !in_register);
        }
        let address = address?;
        let SampleLabels { set, is_late } = settings.labels.find(pid, address, time);
        facts.set(SampleFacts::LATE_LABELS, is_late);
        Some(KnownGoroutine {
            pid,
            address,
            labels: set,
            id: seen.map_or(0, |seen| seen.id),
            start: start.map_or(0, |start| unwinder.started_function(start, space)),
            creator: seen.map_or(0, |seen| seen.creator.saturating_sub(1)),
        })
    }
}
