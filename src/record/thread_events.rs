//! Events on the threads of programs that run: one for each thread and CPU, inherited by what the thread starts.

use std::collections::{BTreeSet, HashMap, HashSet};

use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::error::Error;
use super::event::WISHED_RING_BYTES;
use super::plan::SamplingPlan;
use super::running_target::{RunningProcess, is_in_container};
use super::target_error::TargetError;
use crate::perfdata::abi::record_type;
use crate::perfevent::{Rings, Target, open_shared};
use crate::process::{all_processes, descendants_of, threads_of};

/// Maximum number of times that the threads are listed. Each listing can miss threads that were started meanwhile by threads
/// without an event, and these become fewer each time.
const MAX_LISTINGS: usize = 16;

/// The events on all threads of some processes and of their descendants.
pub(super) struct ThreadEvents {
    pub(super) rings: Rings,
    pub(super) owners: EventOwners,
    /// The processes of these threads.
    pub(super) processes: BTreeSet<i32>,
}

impl ThreadEvents {
    /// Opens the planned event on all threads. Lists them until no new one is found: a thread inherits the event only from
    /// a thread that has it. `container` is the id of a container, all of whose processes are sampled too.
    pub(super) fn open(plan: &SamplingPlan, roots: &[RunningProcess], container: Option<&str>) -> Result<Self, Error> {
        raise_file_limit();
        let rings = open_shared(&plan.event.spec, &plan.cpus, WISHED_RING_BYTES)?;
        let mut opened = Self { rings, owners: EventOwners::default(), processes: BTreeSet::new() };
        let pids: Vec<i32> = roots.iter().map(|process| process.pid).collect();
        for _ in 0..MAX_LISTINGS {
            let mut found_new = false;
            for root in roots {
                found_new |= opened.add_process(plan, root.pid).map_err(|error| refusal(error, root))?;
            }
            let in_container = |id: &str| all_processes().into_iter().filter(|pid| is_in_container(*pid, id)).collect();
            let others: Vec<i32> = container.map_or_else(Vec::new, in_container);
            let children = descendants_of(&pids, &[]).into_iter().map(Pid::as_raw);
            for pid in children.chain(others) {
                // Children may run as another user.
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

    /// Opens the event on the threads of a process that have none. Returns whether there were any.
    fn add_process(&mut self, plan: &SamplingPlan, pid: i32) -> Result<bool, Error> {
        let mut found_new = false;
        for tid in threads_of(pid) {
            if self.owners.own.contains(&tid) {
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
                    let threads = self.owners.own.len().max(threads_of(pid).len());
                    return Err(TargetError::TooManyThreads { threads, cpus: self.rings.cpu_count(), limit }.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found_new)
    }
}

fn refusal(error: Error, process: &RunningProcess) -> Error {
    match error {
        Error::Event(source) if source.is_denied() => TargetError::Refused {
            pid: process.pid,
            name: process.name.clone(),
            user: process.user(),
            is_own: process.is_of_this_user(),
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

/// Raises the limit of open files as far as this process may. Programs that it starts would inherit it.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, the number of threads decides whether it suffices.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Which thread each event was opened on.
///
/// A thread that was started while the events were opened may have two: one inherited, and one of its own. Its samples of the
/// inherited one are to be left out.
#[derive(Debug, Default)]
pub(super) struct EventOwners {
    thread_of_event: HashMap<u64, i32>,
    /// The threads with an event of their own.
    own: HashSet<i32>,
}

impl EventOwners {
    fn add(&mut self, tid: i32, events: &[u64]) {
        self.own.insert(tid);
        self.thread_of_event.extend(events.iter().map(|event| (*event, tid)));
    }

    /// Whether a record is a sample of an inherited event of a thread that has its own. Follows the ends of threads, because
    /// the kernel uses their numbers again.
    pub(super) fn is_second_sample(&mut self, kind: u32, body: &[u8]) -> bool {
        let tid = |at: usize| body.get(at..)?.first_chunk().map(|tid| i32::from_le_bytes(*tid));
        match kind {
            // `struct { u64 id; u64 ip; u32 pid, tid; … }` (perf_event.h, with the fields of `Spec`). An inherited event
            // writes the id of the one that was opened.
            record_type::SAMPLE => {
                let event = body.first_chunk().map(|event| u64::from_le_bytes(*event));
                let opened_on = event.and_then(|event| self.thread_of_event.get(&event));
                tid(20).is_some_and(|tid| opened_on.is_some_and(|on| *on != tid) && self.own.contains(&tid))
            }
            // `struct { u32 pid, ppid, tid, ptid; … }`.
            record_type::EXIT => {
                if let Some(tid) = tid(8) {
                    self.own.remove(&tid);
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
    fn a_thread_with_two_events_is_sampled_by_its_own() {
        let mut owners = EventOwners::default();
        owners.add(10, &[1, 2]);
        owners.add(11, &[3, 4]);
        let mut is_second = |event, tid| owners.is_second_sample(record_type::SAMPLE, &sample(event, tid));
        assert!(!is_second(1, 10) && !is_second(4, 11));
        assert!(!is_second(1, 12), "only inherited");
        assert!(is_second(2, 11), "inherited and its own");
        let exit = [7_i32, 7, 11, 10].map(i32::to_le_bytes).concat();
        assert!(!owners.is_second_sample(record_type::EXIT, &exit));
        assert!(!owners.is_second_sample(record_type::SAMPLE, &sample(2, 11)), "a new thread with the same number");
        assert!(!owners.is_second_sample(record_type::SAMPLE, &[]));
    }
}
