//! The samples of a profile one by one, in the order of time if times are known.

use std::collections::HashMap;

use super::paths::CallPaths;
use crate::profile::{Profile, Task, TaskId};

/// A single sample, or equal samples whose times are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since the first sample. `None` if unknown.
    pub time: Option<u64>,
    /// Position of the sample's call path in [`CallPaths`]. `None` for a stack without frames.
    pub path: Option<u32>,
    /// Number of samples.
    pub count: u64,
    /// Weight of the samples.
    pub weight: u64,
}

/// The samples of a thread.
#[derive(Debug)]
pub struct ThreadMoments {
    /// One task of the thread. Its other tasks differ only in CPU, goroutine and labels.
    pub task: TaskId,
    /// Process id. If it is unknown: the number of the thread in the profile, from 1.
    pub pid: u32,
    /// Thread id. If it is unknown: the number of the thread in the profile, from 1.
    pub tid: u32,
    /// The samples of the thread.
    pub moments: Vec<Moment>,
}

/// Divides the samples into `group_count` groups. `group_of_sample` maps a position in [`Profile::samples`] to a group.
pub(super) fn moments_by_group(
    profile: &Profile,
    paths: &CallPaths,
    group_of_sample: impl Fn(usize) -> usize,
    group_count: usize,
) -> Vec<Vec<Moment>> {
    let mut moments = vec![Vec::new(); group_count];
    if let Some(timed) = profile.timed_samples() {
        for single in timed {
            let (at, weight) = (single.sample as usize, single.weight);
            let time = Some(single.time.saturating_sub(profile.first_time_ns));
            moments[group_of_sample(at)].push(Moment { time, path: paths.leaves[at], count: 1, weight });
        }
    } else {
        for (at, sample) in profile.samples().iter().enumerate() {
            let (count, weight) = (sample.count, sample.weight);
            moments[group_of_sample(at)].push(Moment { time: None, path: paths.leaves[at], count, weight });
        }
    }
    moments
}

/// Returns the samples of each thread. The threads are in the order of process id, thread id and name.
pub(super) fn moments_of_threads(profile: &Profile, paths: &CallPaths) -> Vec<ThreadMoments> {
    let thread = |task: &Task| (task.pid, task.tid, task.process);
    let mut tasks: HashMap<_, TaskId> = HashMap::new();
    for (at, task) in (0..).zip(profile.tasks()) {
        tasks.entry(thread(task)).or_insert_with(|| TaskId::from_index(at));
    }
    let mut threads: Vec<_> = tasks.into_iter().collect();
    threads.sort_unstable_by_key(|((pid, tid, process), _)| (*pid, *tid, profile.str(*process)));
    let positions: HashMap<_, usize> = threads.iter().enumerate().map(|(at, (thread, _))| (*thread, at)).collect();
    let part = |at: usize| positions[&thread(profile.task(profile.samples()[at].task))];
    let moments = moments_by_group(profile, paths, part, threads.len());
    let threads = (1..).zip(threads).zip(moments).map(|((number, ((pid, tid, _), task)), moments)| {
        let known = |id| if id > 0 { id } else { number };
        ThreadMoments { task, pid: known(pid), tid: known(tid), moments }
    });
    threads.filter(|thread| !thread.moments.is_empty()).collect()
}
