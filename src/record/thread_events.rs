//! Events on the threads of running programs: one for each thread and CPU, inherited by new threads and processes.

use std::collections::{BTreeSet, HashMap, HashSet};

use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::error::Error;
use super::event::REQUESTED_RING_BYTES;
use super::plan::SamplingPlan;
use super::running_target::{RunningProcess, is_in_container};
use super::target_error::TargetError;
use crate::perfdata::abi::record_type;
use crate::perfevent::{Rings, Target, open_shared};
use crate::process::{all_process_ids, descendants_of, thread_ids};

/// Maximum number of times that threads are listed. A listing misses a thread that is started meanwhile by a thread
/// without an event. Each listing misses fewer threads.
const MAX_LISTINGS: usize = 16;

/// The events on all threads of some processes and of their descendants.
pub(super) struct ThreadEvents {
    pub(super) rings: Rings,
    pub(super) owners: EventOwners,
    pub(super) processes: BTreeSet<i32>,
}

impl ThreadEvents {
    /// Opens the planned event on all threads of `roots`, their descendants, and the container with the id `container`.
    /// Threads are listed until no new thread is found: a new thread inherits the event only from a thread that has it.
    pub(super) fn open(plan: &SamplingPlan, roots: &[RunningProcess], container: Option<&str>) -> Result<Self, Error> {
        raise_file_limit();
        let rings = open_shared(&plan.event.spec, &plan.cpus, REQUESTED_RING_BYTES)?;
        let mut opened = Self { rings, owners: EventOwners::default(), processes: BTreeSet::new() };
        let pids: Vec<i32> = roots.iter().map(|process| process.pid).collect();
        for _ in 0..MAX_LISTINGS {
            let mut found_new = false;
            for root in roots {
                found_new |= opened.add_process(plan, root.pid).map_err(|error| explain_denial(error, root))?;
            }
            let in_container =
                |id: &str| all_process_ids().into_iter().filter(|pid| is_in_container(*pid, id)).collect();
            let others: Vec<i32> = container.map_or_else(Vec::new, in_container);
            let children = descendants_of(&pids, &[]).into_iter().map(Pid::as_raw);
            for pid in children.chain(others) {
                // Children can run as another user, so that the kernel refuses their events.
                found_new |= opened.add_process(plan, pid).or_else(ignore_denial)?;
            }
            if !found_new {
                break;
            }
        }
        match roots.iter().find(|root| !opened.processes.contains(&root.pid)) {
            Some(ended) => Err(TargetError::Ended { pid: ended.pid, name: ended.name.clone() }.into()),
            None => Ok(opened),
        }
    }

    /// Opens the event on the threads of a process that have no separate event yet. Returns whether there was such a
    /// thread.
    fn add_process(&mut self, plan: &SamplingPlan, pid: i32) -> Result<bool, Error> {
        let mut found_new = false;
        for tid in thread_ids(pid) {
            if self.owners.threads_with_event.contains(&tid) {
                continue;
            }
            let ids = self.rings.add_thread(&plan.event.spec, tid).and_then(|mut ids| {
                if let Some(off_cpu) = &plan.off_cpu {
                    ids.extend(off_cpu.open(&mut self.rings, Target::RunningThread(tid))?);
                }
                Ok(ids)
            });
            match ids {
                Ok(ids) => {
                    self.owners.add(tid, &ids);
                    self.processes.insert(pid);
                    found_new = true;
                }
                Err(error) if error.is_ended() => {}
                Err(error) if error.is_file_limit() => {
                    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
                    let threads = self.owners.threads_with_event.len().max(thread_ids(pid).len());
                    return Err(TargetError::TooManyThreads { threads, cpus: self.rings.cpu_count(), limit }.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found_new)
    }
}

fn explain_denial(error: Error, process: &RunningProcess) -> Error {
    match error {
        Error::Event(source) if source.is_denied() => TargetError::Refused {
            pid: process.pid,
            name: process.name.clone(),
            user: process.user_name(),
            is_same_user: process.runs_as_this_user(),
            source,
        }
        .into(),
        other => other,
    }
}

fn ignore_denial(error: Error) -> Result<bool, Error> {
    match error {
        Error::Event(error) if error.is_denied() => Ok(false),
        other => Err(other),
    }
}

/// Raises the soft limit of open files to the hard limit. Programs that goflame starts afterwards would inherit the new
/// limit.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If raising fails, the old limit can still be enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// The thread on which each event was opened.
///
/// A thread that was started while events were opened can have two: an inherited event, and a separate event. Its
/// samples of the inherited event must be skipped.
#[derive(Debug, Default)]
pub(super) struct EventOwners {
    thread_of_event: HashMap<u64, i32>,
    /// The threads with a separate event.
    threads_with_event: HashSet<i32>,
}

impl EventOwners {
    fn add(&mut self, tid: i32, events: &[u64]) {
        self.threads_with_event.insert(tid);
        self.thread_of_event.extend(events.iter().map(|event| (*event, tid)));
    }

    /// Whether a record is a sample of an inherited event from a thread that also has a separate event. Removes threads
    /// that end, because the kernel reuses their ids.
    pub(super) fn is_duplicate_sample(&mut self, kind: u32, body: &[u8]) -> bool {
        let tid = |at: usize| body.get(at..)?.first_chunk().map(|tid| i32::from_le_bytes(*tid));
        match kind {
            // `struct { u64 id; u64 ip; u32 pid, tid; … }` (perf_event.h, with the fields of `Spec`). Samples of an
            // inherited event have the id of the event that was opened.
            record_type::SAMPLE => {
                let event = body.first_chunk().map(|event| u64::from_le_bytes(*event));
                let opened_on = event.and_then(|event| self.thread_of_event.get(&event));
                tid(20)
                    .is_some_and(|tid| opened_on.is_some_and(|on| *on != tid) && self.threads_with_event.contains(&tid))
            }
            // `struct { u32 pid, ppid, tid, ptid; … }`.
            record_type::EXIT => {
                if let Some(tid) = tid(8) {
                    self.threads_with_event.remove(&tid);
                }
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(event: u64, tid: i32) -> Vec<u8> {
        let task = [7_i32.to_le_bytes(), tid.to_le_bytes()].concat();
        [&event.to_le_bytes(), &0x40_1000_u64.to_le_bytes(), &*task].concat()
    }

    #[test]
    fn samples_of_an_inherited_event_are_duplicates_if_the_thread_has_a_separate_event() {
        let mut owners = EventOwners::default();
        owners.add(10, &[1, 2]);
        owners.add(11, &[3, 4]);
        let mut is_second = |event, tid| owners.is_duplicate_sample(record_type::SAMPLE, &sample(event, tid));
        assert!(!is_second(1, 10) && !is_second(4, 11));
        assert!(!is_second(1, 12), "only an inherited event");
        assert!(is_second(2, 11), "an inherited and a separate event");
        let exit = [7_i32, 7, 11, 10].map(i32::to_le_bytes).concat();
        assert!(!owners.is_duplicate_sample(record_type::EXIT, &exit));
        assert!(!owners.is_duplicate_sample(record_type::SAMPLE, &sample(2, 11)), "a new thread with the same id");
        assert!(!owners.is_duplicate_sample(record_type::SAMPLE, &[]));
    }
}
