//! Decides which records a rewritten recording keeps.
//!
//! A Go build starts thousands of threads and maps files in each process, but few of them are sampled. A reader needs the
//! names and mappings of the sampled tasks and of the tasks that started them, because names and mappings are inherited.

use std::collections::{HashMap, HashSet};

use crate::perfdata::abi::record_type;
use crate::perfdata::{RecordKind, TaskEvent, decode_mapping};
use crate::sources::code_file_of_mapping;

/// The sampled and the started tasks in a part of a recording.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Process id and thread id of each sampled task.
    sampled: HashSet<(i32, i32)>,
    started: Vec<TaskEvent>,
}

impl Tasks {
    pub(super) fn note(&mut self, record: &RecordKind<'_>) {
        match record {
            RecordKind::Sample(sample) => {
                self.sampled.extend(sample.pid.zip(sample.tid));
            }
            RecordKind::Fork(task) => self.started.push(*task),
            _ => {}
        }
    }
}

/// Decides which records are needed for the samples.
#[derive(Debug)]
pub(super) struct NeededRecords {
    /// Process ids and thread ids of the needed tasks.
    tasks: HashSet<i32>,
    /// Paths of mapped files without code on any sampled stack.
    unused_files: HashSet<String>,
}

impl NeededRecords {
    pub(super) fn new<'t>(tasks: impl Iterator<Item = &'t Tasks> + Clone, unused_files: HashSet<String>) -> Self {
        // The kernel can use an id again. Then the records of all tasks with this id are needed.
        let mut starts: HashMap<i32, Vec<&TaskEvent>> = HashMap::new();
        for task in tasks.clone().flat_map(|tasks| &tasks.started) {
            starts.entry(task.tid).or_default().push(task);
        }
        let mut needed = HashSet::new();
        let mut open: Vec<i32> = tasks.flat_map(|tasks| &tasks.sampled).flat_map(|(pid, tid)| [*pid, *tid]).collect();
        while let Some(task) = open.pop() {
            if needed.insert(task) {
                let starts = starts.get(&task).into_iter().flatten();
                open.extend(starts.flat_map(|task| [task.pid, task.ppid, task.ptid]));
            }
        }
        Self { tasks: needed, unused_files }
    }

    /// Whether a record with this body is needed.
    pub(super) fn includes(&self, kind: u32, misc: u16, body: &[u8]) -> bool {
        let has_task = |at: usize| {
            let number = body.get(at..).and_then(|bytes| bytes.first_chunk());
            number.is_none_or(|number| self.tasks.contains(&i32::from_le_bytes(*number)))
        };
        match kind {
            // `struct { u32 pid, ppid, tid, ptid; }` and `struct { u32 pid, tid; }` (perf_event.h).
            record_type::FORK | record_type::EXIT => has_task(8),
            record_type::COMM => has_task(4),
            record_type::MMAP | record_type::MMAP2 => decode_mapping(kind, misc, body).is_none_or(|map| {
                let is_used = || {
                    let is_unused = self.unused_files.contains(&*String::from_utf8_lossy(map.path));
                    // The mapping of a jitdump has no sampled code, but only this mapping shows the jitdump's path.
                    !is_unused || code_file_of_mapping(&map, 0).is_some()
                };
                map.pid == -1 || self.tasks.contains(&map.pid) && is_used()
            }),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{NeededRecords, RecordKind, TaskEvent, Tasks, record_type};

    #[test]
    fn sampled_tasks_and_the_tasks_that_started_them_are_needed() {
        let mut tasks = Tasks::default();
        let start = |pid, ppid, tid, ptid| RecordKind::Fork(TaskEvent { pid, ppid, tid, ptid, time: 0 });
        // Thread 12 of process 1 starts process 2. Thread 22 of process 2 starts process 3, which has the threads 13 and 23.
        for record in [start(1, 1, 12, 1), start(2, 1, 2, 12), start(2, 2, 22, 2), start(3, 2, 3, 22)] {
            tasks.note(&record);
        }
        tasks.note(&start(3, 3, 13, 3));
        tasks.note(&start(3, 3, 23, 3));
        tasks.note(&start(4, 1, 4, 1));
        tasks.sampled.insert((3, 23));
        let needed = NeededRecords::new(std::iter::once(&tasks), HashSet::from(["/unused".to_owned()]));
        let of_fork = |tid: i32| {
            let body: Vec<u8> = [0, 0, tid, 0].iter().flat_map(|number| number.to_le_bytes()).collect();
            needed.includes(record_type::FORK, 0, &body)
        };
        assert_eq!([12, 2, 22, 3, 23].map(of_fork), [true; 5]);
        assert_eq!([13, 4].map(of_fork), [false; 2]);
        let of_mapping = |pid: i32, path: &str| {
            let mut body = [pid.to_le_bytes(), pid.to_le_bytes()].concat();
            body.extend([0; 24]);
            body.extend(path.as_bytes());
            body.extend([0; 8]);
            needed.includes(record_type::MMAP, 0, &body)
        };
        assert_eq!([1, 2, 3, -1].map(|pid| of_mapping(pid, "/used")), [true; 4]);
        assert!(!of_mapping(4, "/used") && !of_mapping(3, "/unused"));
        assert!(of_mapping(-1, "/unused") && needed.includes(record_type::LOST, 0, &[]));
    }
}
