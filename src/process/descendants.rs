//! The descendants of this process: finds them in `/proc`, ends them and reaps them.
//!
//! Orphans are found only after [`become_reaper`], when they become children of this process.

use std::collections::{HashMap, HashSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, setpgid};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, set_child_subreaper, wait, waitid};

use super::process_stat::{ProcessStat, all_process_ids};

/// Time between SIGTERM and SIGKILL in [`stop_all`].
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Interval between two checks for remaining descendants.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Number of consecutive readings of `/proc` without a descendant that prove that there is none. A single reading
/// misses a process whose parent ends during the reading.
const EMPTY_READINGS: u32 = 2;

/// Makes this process the parent of every orphan among its descendants.
pub fn become_reaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Moves this process to a new process group, so that a signal to its old group does not end it. Returns the old group,
/// which its children can join. `None` if the old group was created outside of the PID namespace: it has no id here, so
/// this process stays in it.
pub fn leave_group() -> Option<i32> {
    let group = getpgrp().as_raw();
    let own = Pid::from_raw(0);
    (group != 0 && setpgid(own, own).is_ok()).then_some(group)
}

/// Sends a signal to every descendant. Returns the number of descendants that this process is permitted to signal.
pub(super) fn signal_all(signal: Signal) -> usize {
    signal_others(signal, &[])
}

/// Sends a signal to every descendant, except `bystanders` and their descendants. Returns the number of descendants,
/// without those to which the kernel forbids signals because they changed their user.
fn signal_others(signal: Signal, bystanders: &[Pid]) -> usize {
    descendants(bystanders).into_iter().filter(|pid| kill(*pid, signal) != Err(Errno::EPERM)).count()
}

/// Kills all descendants that this process is permitted to signal. Does not wait for them.
pub fn kill_all() {
    kill_until(&[], || false);
}

/// Asks all descendants to end, kills the descendants that do not end, and reaps all.
pub fn stop_all() {
    signal_all(Signal::SIGTERM);
    let deadline = Instant::now() + GRACE_PERIOD;
    while !reap_ended() && Instant::now() < deadline {
        thread::sleep(CHECK_INTERVAL);
    }
    kill_and_reap_all(&[]);
}

/// Kills and reaps all descendants that this process is permitted to signal, except `bystanders` and their descendants.
pub fn kill_and_reap_all(bystanders: &[Pid]) {
    kill_until(bystanders, reap_ended);
}

fn kill_until(bystanders: &[Pid], is_over: impl Fn() -> bool) {
    let mut empty = 0;
    while !is_over() && empty < EMPTY_READINGS {
        empty = if signal_others(Signal::SIGKILL, bystanders) == 0 { empty + 1 } else { 0 };
        thread::sleep(CHECK_INTERVAL);
    }
}

/// Reaps all children that have ended. Returns true if no other children exist. Then no descendants exist either.
pub(super) fn reap_ended() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Whether this process has children, including ended children that were not waited for. Does not reap them.
pub fn has_children() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD))
}

/// Returns all living descendants of this process, except `bystanders` and their descendants. Excludes zombies.
pub fn descendants(bystanders: &[Pid]) -> Vec<Pid> {
    descendants_of(&[std::process::id().cast_signed()], bystanders)
}

/// Returns all living descendants of these processes, except `bystanders` and their descendants. Excludes zombies.
pub fn descendants_of(ancestors: &[i32], bystanders: &[Pid]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in all_process_ids() {
        if let Some(stat) = ProcessStat::read(pid).filter(ProcessStat::is_alive) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut seen: HashSet<i32> = ancestors.iter().copied().collect();
    let mut queue = ancestors.to_vec();
    while let Some(parent) = queue.pop() {
        for &pid in children.get(&parent).into_iter().flatten() {
            if !bystanders.contains(&Pid::from_raw(pid)) && seen.insert(pid) {
                found.push(Pid::from_raw(pid));
                queue.push(pid);
            }
        }
    }
    found
}
