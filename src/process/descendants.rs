//! The descendants of this process: finds them in `/proc`, ends them and reaps them.
//!
//! Orphans are included only after [`become_reaper`]: they then become children of this process.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, setpgid};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, set_child_subreaper, wait, waitid};

/// Time between SIGTERM and SIGKILL in [`stop_all`].
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Interval between two checks for remaining descendants.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Number of consecutive readings of `/proc` that must find no descendant. A single reading misses a process whose
/// parent ends during the reading.
const EMPTY_READINGS: u32 = 2;

/// Makes this process the parent of every orphan among its descendants.
pub fn become_reaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Moves this process to a new process group, so that a signal to its old group does not end it. Returns the old group,
/// which its children can join. `None` if the old group was created outside of the PID namespace: it has no number
/// here, so this process stays in it.
pub fn leave_group() -> Option<i32> {
    let group = getpgrp().as_raw();
    let own = Pid::from_raw(0);
    (group != 0 && setpgid(own, own).is_ok()).then_some(group)
}

/// Sends a signal to every descendant. Returns the number of descendants that got the signal.
pub(super) fn signal_all(signal: Signal) -> usize {
    signal_others(signal, &[])
}

/// Like [`signal_all`], but skips `bystanders` and their descendants. May have no permission for a process that changed
/// its user.
fn signal_others(signal: Signal, bystanders: &[Pid]) -> usize {
    descendants(bystanders).into_iter().filter(|pid| kill(*pid, signal) != Err(Errno::EPERM)).count()
}

/// Kills every descendant that it has permission for. Reaps none.
pub fn kill_all() {
    kill_until(&[], || false);
}

/// Asks every descendant to end, kills the descendants that do not end, and reaps all.
pub fn stop_all() {
    signal_all(Signal::SIGTERM);
    let deadline = Instant::now() + GRACE_PERIOD;
    while !reap_ended() && Instant::now() < deadline {
        thread::sleep(CHECK_INTERVAL);
    }
    kill_and_reap_all(&[]);
}

/// Kills and reaps every descendant that it has permission for, except `bystanders` and their descendants.
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

/// Reaps all children that have ended. True if no other children exist: then no descendants exist either.
pub(super) fn reap_ended() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Whether this process has children, including ended children that nobody has waited for. Reaps none.
pub fn has_children() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD))
}

/// Returns all living descendants of this process, except `bystanders` and their descendants. Excludes zombies.
pub fn descendants(bystanders: &[Pid]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let Some(stat) = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| Stat::parse(&stat)) else {
            continue;
        };
        if stat.is_alive() {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut queue = vec![std::process::id().cast_signed()];
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

/// Fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    parent: i32,
    threads: i32,
}

impl Stat {
    /// Parses the file. The second field, in parentheses, may contain any bytes, so fields are counted from the last
    /// parenthesis (proc(5)).
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let threads = fields.nth(15).and_then(|threads| threads.parse().ok()).unwrap_or(1);
        Some(Self { state, parent, threads })
    }

    /// Whether the process is alive. A process whose first thread has ended looks like a zombie while other threads
    /// run.
    fn is_alive(&self) -> bool {
        self.state != b'X' && (self.state != b'Z' || self.threads > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn reads_a_stat_line_whatever_the_name() {
        let stat = |text: &[u8]| Stat::parse(text).map(|stat| (stat.state, stat.parent, stat.threads, stat.is_alive()));
        assert_eq!(stat(b"12 (a) S 3 4"), Some((b'S', 3, 1, true)));
        assert_eq!(stat(b"12 (a) Z 9) R 7 4"), Some((b'R', 7, 1, true)));
        assert_eq!(stat(b"9 (a) Z 7 9 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 5"), Some((b'Z', 7, 1, false)));
        assert_eq!(stat(b"9 (a) Z 7 9 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 2 0 5"), Some((b'Z', 7, 2, true)));
        assert_eq!(stat(b"12 (a"), None);
        assert_eq!(stat(b"12 (a) "), None);
        assert_eq!(stat(b""), None);
    }
}
