//! A profile divided otherwise than by process: whose stacks are drawn together.

use std::collections::HashMap;

use super::{GoroutineId, Profile, Runner, Sample, StackId, StrId};

/// What the stacks of a profile are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The command name of the process, as in a profile that is not divided otherwise.
    Process,
    /// Each thread for itself.
    Thread,
    /// Each goroutine for itself.
    Goroutine,
    /// The function that goroutines were started with.
    Entry,
}

/// A part of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name, which stands in [`Runner::process`].
    pub name: StrId,
    /// Number of its samples.
    pub count: u64,
    /// Sum of their weights.
    pub weight: u64,
}

/// Go's root of a goroutine, below the function that it was started with.
const GOEXIT: &str = "runtime.goexit";

/// Names a part that no goroutine is known of: other languages, and the scheduler on a thread's own stack.
const NO_GOROUTINE: &str = "(no goroutine)";

impl Profile {
    /// Divides the samples: from then on [`Runner::process`] holds the name of the part.
    pub fn divide(&mut self, by: By) {
        if by == By::Process {
            return;
        }
        let entries = self.entries();
        for sample in self.take_samples() {
            let runner = *self.runner(sample.runner);
            let process = self.str(runner.process);
            let entry = self.entry_of(sample.stack).or_else(|| entries.get(&runner.goroutine?).copied());
            let entry = entry.map(|entry| self.str(entry));
            let name = match by {
                By::Process => process.to_owned(),
                By::Thread => format!("{process} thread {}", runner.tid),
                By::Entry => entry.unwrap_or(NO_GOROUTINE).to_owned(),
                By::Goroutine => match runner.goroutine.map(|id| (id, self.goroutine(id))) {
                    Some((id, goroutine)) => {
                        let number =
                            goroutine.id.map_or_else(|| format!("{:#x}", goroutine.address), |id| id.to_string());
                        match entries.get(&id) {
                            Some(entry) => format!("{process} goroutine {number} {}", self.str(*entry)),
                            None => format!("{process} goroutine {number}"),
                        }
                    }
                    None => NO_GOROUTINE.to_owned(),
                },
            };
            let process = self.intern(&name);
            let runner = self.add_runner(Runner { process, ..runner });
            self.add_sample(Sample { runner, ..sample });
        }
    }

    /// The parts of a profile, the heaviest first.
    pub fn groups(&self) -> Vec<GroupRow> {
        let mut rows: HashMap<StrId, GroupRow> = HashMap::new();
        for Sample { runner, count, weight, .. } in self.samples() {
            let name = self.runner(*runner).process;
            let row = rows.entry(name).or_insert(GroupRow { name, count: 0, weight: 0 });
            row.count = row.count.saturating_add(*count);
            row.weight = row.weight.saturating_add(*weight);
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        rows.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| self.str(a.name).cmp(self.str(b.name))));
        rows
    }

    /// The function above Go's root in a stack, which its goroutine was started with.
    fn entry_of(&self, stack: StackId) -> Option<StrId> {
        let mut above = None;
        for frame in self.frames_leaf_first(stack) {
            let callee = above.replace(frame);
            if self.str(self.function(frame.function).name) == GOEXIT {
                return callee.map(|entry| self.function(entry.function).display);
            }
        }
        None
    }

    /// What goroutines were started with: by a stack that shows it, else by what their descriptors say.
    fn entries(&self) -> HashMap<GoroutineId, StrId> {
        let mut entries = HashMap::new();
        for sample in self.samples() {
            let Some(id) = self.runner(sample.runner).goroutine else { continue };
            if let Some(entry) = self.entry_of(sample.stack) {
                entries.entry(id).or_insert(entry);
            }
        }
        for sample in self.samples() {
            let Some(id) = self.runner(sample.runner).goroutine else { continue };
            let said = self.goroutine(id).entry;
            if !self.str(said).is_empty() {
                entries.entry(id).or_insert(said);
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::By;
    use crate::profile::fixture::Fixture;
    use crate::profile::{Goroutine, Runner, Sample};

    /// (name, samples), the heaviest first.
    fn divided(by: By) -> Vec<(String, u64)> {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.goexit|main.worker|i:main.step|main.hot", 5);
        fixture.add("app", "runtime.goexit|main.worker|runtime.mallocgc|k:page_fault", 3);
        fixture.add("app", "runtime.goexit|main.other", 2);
        fixture.add("app", "runtime.mcall|runtime.schedule", 1);
        let profile = &mut fixture.profile;
        let samples = profile.take_samples();
        let none = profile.intern("");
        let started = profile.intern("main.other");
        for (sample, goroutine) in
            samples.into_iter().zip([Some((17, none)), Some((17, none)), None, Some((18, started))])
        {
            let goroutine = goroutine.map(|(id, entry)| {
                profile.add_goroutine(Goroutine { pid: 7, address: 0xc0, id: Some(id), entry, creator: none })
            });
            let runner = Runner { goroutine, ..*profile.runner(sample.runner) };
            let runner = profile.add_runner(runner);
            profile.add_sample(Sample { runner, ..sample });
        }
        profile.divide(by);
        let rows = profile.groups();
        rows.into_iter().map(|row| (profile.str(row.name).to_owned(), row.count)).collect()
    }

    fn owned(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
        rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn each_way_of_dividing() {
        assert_eq!(divided(By::Process), owned(&[("app", 11)]));
        assert_eq!(divided(By::Thread), owned(&[("app thread 8", 11)]));
        assert_eq!(divided(By::Entry), owned(&[("main.worker", 8), ("main.other", 3)]));
        assert_eq!(
            divided(By::Goroutine),
            owned(&[("app goroutine 17 main.worker", 8), ("(no goroutine)", 2), ("app goroutine 18 main.other", 1)])
        );
    }
}
