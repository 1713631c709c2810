//! Groups of samples, such as one group for each thread.

use std::collections::HashMap;

use clap::ValueEnum;

use super::benchmarks::Benchmarks;
use crate::profile::{GoroutineId, Interner, Profile, Sample, StackId, StrId, Task, TaskId};

/// The property that samples are grouped by. The comment of a value is its help.
#[derive(Debug, Clone, Default, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// The command name of the process
    #[default]
    Process,
    /// The thread
    Thread,
    /// The goroutine
    Goroutine,
    /// The function that the goroutine was started with
    Entry,
    /// The benchmark that ran
    Benchmark,
    /// The value of the label with this name
    #[value(skip)]
    Label(String),
}

/// The samples of a profile in groups.
#[derive(Debug, Clone)]
pub struct Grouping {
    names: Interner<Box<str>>,
    /// Indexed by group: positions in [`Profile::samples`].
    samples: Vec<Vec<u32>>,
}

/// A group with the sums over its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// The name of the group.
    pub name: String,
    /// Count of the samples in the group.
    pub count: u64,
    /// Weight of the samples in the group.
    pub weight: u64,
}

/// The root function of every goroutine. It calls the entry.
const GOEXIT: &str = "runtime.goexit";

/// The group of samples without a known goroutine: other languages, and the scheduler on a thread's own stack.
const NO_GOROUTINE: &str = "(no goroutine)";

impl Grouping {
    /// Groups the samples of a profile.
    pub fn new(profile: &Profile, by: &GroupBy) -> Self {
        let mut names = Interner::default();
        let group_of_sample: Vec<u32> = match by {
            GroupBy::Process | GroupBy::Thread | GroupBy::Label(_) => {
                let name = |(id, task): (u32, &Task)| match by {
                    GroupBy::Label(key) => label_value(profile, TaskId::from_index(id), key).into(),
                    GroupBy::Thread => format!("{} thread {}", profile.str(task.process), task.tid).into(),
                    _ => Box::from(profile.str(task.process)),
                };
                let group_of_task: Vec<u32> = (0..).zip(profile.tasks()).map(|task| names.intern(name(task))).collect();
                profile.samples().iter().map(|sample| group_of_task[sample.task.index()]).collect()
            }
            GroupBy::Benchmark => {
                let benchmarks = Benchmarks::new(profile);
                profile.samples().iter().map(|sample| names.intern_str(&benchmarks.group_name(sample))).collect()
            }
            GroupBy::Goroutine | GroupBy::Entry => {
                let entries = GoroutineEntries::new(profile);
                let name = |sample| match by {
                    GroupBy::Entry => entries.entry_of_sample(sample).unwrap_or(NO_GOROUTINE).to_owned(),
                    _ => entries.goroutine_name(sample),
                };
                profile.samples().iter().map(|sample| names.intern_str(&name(sample))).collect()
            }
        };
        let mut samples = vec![Vec::new(); names.items().len()];
        for (at, group) in (0..).zip(group_of_sample) {
            samples[group as usize].push(at);
        }
        Self { names, samples }
    }

    /// Returns the name of each group, in the order of [`Grouping::samples`]. A group can have no samples.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.items().iter().map(|name| &**name)
    }

    /// Returns the samples of each group, as positions in [`Profile::samples`].
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.samples.iter().map(Vec::as_slice)
    }

    /// Returns the groups that have samples, the heaviest first.
    pub fn rows(&self, profile: &Profile) -> Vec<GroupRow> {
        let all = profile.samples();
        let row = |(name, samples): (&str, &[u32])| {
            let sum = |value: fn(&Sample) -> u64| {
                samples.iter().map(|at| value(&all[*at as usize])).fold(0, u64::saturating_add)
            };
            GroupRow { name: name.to_owned(), count: sum(|sample| sample.count), weight: sum(|sample| sample.weight) }
        };
        let groups = self.names().zip(self.samples()).filter(|(_, samples)| !samples.is_empty());
        let mut rows: Vec<_> = groups.map(row).collect();
        rows.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
        rows
    }
}

/// Returns the values of a task's labels with the name `key`, joined by commas. `(no KEY)` if there is no such label.
fn label_value(profile: &Profile, task: TaskId, key: &str) -> String {
    let labels = profile.labels(task);
    let values: Vec<String> =
        labels.iter().filter(|label| label.key == key).map(|label| label.value.to_string()).collect();
    if values.is_empty() { format!("(no {key})") } else { values.join(", ") }
}

/// The entries of goroutines.
struct GoroutineEntries<'p> {
    profile: &'p Profile,
    by_goroutine: HashMap<GoroutineId, StrId>,
}

impl<'p> GoroutineEntries<'p> {
    /// Finds the entry of each goroutine in one of its stacks, or else in its [`Goroutine`](crate::profile::Goroutine).
    fn new(profile: &'p Profile) -> Self {
        let mut by_goroutine = HashMap::new();
        for sample in profile.samples() {
            let Some(id) = profile.task(sample.task).goroutine else { continue };
            if let Some(entry) = entry_of_stack(profile, sample.stack) {
                by_goroutine.entry(id).or_insert(entry);
            }
        }
        for sample in profile.samples() {
            let Some(id) = profile.task(sample.task).goroutine else { continue };
            let read = profile.goroutine(id).entry;
            if !profile.str(read).is_empty() {
                by_goroutine.entry(id).or_insert(read);
            }
        }
        Self { profile, by_goroutine }
    }

    fn entry_of_sample(&self, sample: &Sample) -> Option<&'p str> {
        let goroutine = self.profile.task(sample.task).goroutine;
        let entry = entry_of_stack(self.profile, sample.stack).or_else(|| self.by_goroutine.get(&goroutine?).copied());
        entry.map(|entry| self.profile.str(entry))
    }

    fn goroutine_name(&self, sample: &Sample) -> String {
        let task = self.profile.task(sample.task);
        let Some(id) = task.goroutine else { return NO_GOROUTINE.to_owned() };
        let (process, goroutine) = (self.profile.str(task.process), self.profile.goroutine(id));
        let number = goroutine.id.map_or_else(|| format!("{:#x}", goroutine.address), |id| id.to_string());
        match self.by_goroutine.get(&id) {
            Some(entry) => format!("{process} goroutine {number} {}", self.profile.str(*entry)),
            None => format!("{process} goroutine {number}"),
        }
    }
}

/// Returns the display name of the function that [`GOEXIT`] calls in a stack.
fn entry_of_stack(profile: &Profile, stack: StackId) -> Option<StrId> {
    let mut last = None;
    for frame in profile.frames_leaf_first(stack) {
        let callee = last.replace(frame);
        if profile.str(profile.function(frame.function).name) == GOEXIT {
            return callee.map(|entry| profile.function(entry.function).display);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{GroupBy, Grouping};
    use crate::profile::fixture::Fixture;
    use crate::profile::{Goroutine, Sample, Samples, Task};

    /// Returns the name and the count of each group, the heaviest first.
    fn groups(by: &GroupBy) -> Vec<(String, u64)> {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.goexit|main.worker|i:main.step|main.hot", 5);
        fixture.add("app", "runtime.goexit|main.worker|runtime.mallocgc|k:page_fault", 3);
        fixture.add("app", "runtime.goexit|main.other", 2);
        fixture.add("app", "runtime.mcall|runtime.schedule", 1);
        let none = fixture.profile.intern("");
        let started = fixture.profile.intern("main.other");
        let goroutines = [Some((17, none)), Some((17, none)), None, Some((18, started))];
        let samples: Vec<Sample> = fixture.profile.samples().to_vec();
        let mut profile = fixture.profile;
        profile.set_samples(profile.stacks().clone(), Samples::default());
        for (sample, goroutine) in samples.into_iter().zip(goroutines) {
            let goroutine = goroutine.map(|(id, entry)| {
                profile.intern_goroutine(Goroutine { pid: 7, address: 0xc0, id: Some(id), entry, creator: none })
            });
            let task = Task { goroutine, ..*profile.task(sample.task) };
            let task = profile.intern_task(task);
            profile.add_sample(Sample { task, ..sample });
        }
        let rows = Grouping::new(&profile, by).rows(&profile);
        rows.into_iter().map(|row| (row.name, row.count)).collect()
    }

    fn to_owned_rows(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
        rows.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn samples_are_grouped_by_each_property() {
        assert_eq!(groups(&GroupBy::Process), to_owned_rows(&[("app", 11)]));
        assert_eq!(groups(&GroupBy::Thread), to_owned_rows(&[("app thread 8", 11)]));
        assert_eq!(groups(&GroupBy::Entry), to_owned_rows(&[("main.worker", 8), ("main.other", 3)]));
        assert_eq!(
            groups(&GroupBy::Goroutine),
            to_owned_rows(&[
                ("app goroutine 17 main.worker", 8),
                ("(no goroutine)", 2),
                ("app goroutine 18 main.other", 1)
            ])
        );
    }
}
