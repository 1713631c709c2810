//! Reads processes from `/proc` (proc(5)).

use std::fs;
use std::time::Duration;

/// Flag of a kernel thread: `PF_KTHREAD` (linux/sched.h).
const KERNEL_THREAD_FLAG: u64 = 0x0020_0000;

/// Returns the ids of all visible processes.
pub fn all_process_ids() -> Vec<i32> {
    numbered_entries("/proc")
}

/// Returns the ids of the threads of a process. Empty if the process has ended.
pub fn thread_ids(pid: i32) -> Vec<i32> {
    numbered_entries(&format!("/proc/{pid}/task"))
}

fn numbered_entries(dir: &str) -> Vec<i32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Fields of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    state: u8,
    /// Id of the parent process.
    pub parent: i32,
    threads: i32,
    /// Whether the process is a thread of the kernel.
    pub is_kernel: bool,
    /// CPU time of all threads in user mode and in kernel mode, in steps of 10 ms.
    pub cpu: (Duration, Duration),
    /// CPU time of children that ended and were waited for.
    pub childrens_cpu: Duration,
    /// Time from the start of the machine to the start of the process.
    pub start: Duration,
}

impl ProcessStat {
    /// Reads `/proc/PID/stat`. `None` if the process does not exist.
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field, in parentheses, can contain any bytes. So fields are counted from the last parenthesis.
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&str> = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let time = |at| Duration::from_millis(number(at).unwrap_or(0).saturating_mul(1000) / ticks);
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            threads: fields.get(17).and_then(|threads| threads.parse().ok()).unwrap_or(1),
            is_kernel: number(6).is_some_and(|flags| flags & KERNEL_THREAD_FLAG != 0),
            cpu: (time(11), time(12)),
            childrens_cpu: time(13) + time(14),
            start: time(19),
        })
    }

    /// Whether the process is alive. If its first thread has ended, a process looks like a zombie even while other
    /// threads run.
    pub fn is_alive(&self) -> bool {
        self.state != b'X' && (self.state != b'Z' || self.threads > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_with_any_process_name() {
        let stat =
            |text: &[u8]| ProcessStat::parse(text).map(|stat| (stat.state, stat.parent, stat.threads, stat.is_alive()));
        assert_eq!(stat(b"12 (a) S 3 4"), Some((b'S', 3, 1, true)));
        assert_eq!(stat(b"12 (a) Z 9) R 7 4"), Some((b'R', 7, 1, true)));
        assert_eq!(stat(b"9 (a) Z 7 9 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 5"), Some((b'Z', 7, 1, false)));
        assert_eq!(stat(b"9 (a) Z 7 9 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 2 0 5"), Some((b'Z', 7, 2, true)));
        assert_eq!(stat(b"12 (a"), None);
        assert_eq!(stat(b"12 (a) "), None);
        assert_eq!(stat(b""), None);
    }

    #[test]
    fn threads_of_the_kernel_are_marked() {
        let is_kernel = |stat: &[u8]| ProcessStat::parse(stat).map(|stat| stat.is_kernel);
        assert_eq!(is_kernel(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"), Some(true));
        assert_eq!(is_kernel(b"9 (a) S 7 9 9 0 -1 4194304 0 0"), Some(false));
    }

    #[test]
    fn times_are_read_from_their_fields() {
        let ticks = rustix::param::clock_ticks_per_second();
        let (second, two) = (ticks, 2 * ticks);
        let line = format!("9 (a) S 7 9 9 0 -1 4 0 0 0 0 {second} {two} {second} {second} 20 0 2 0 {two} 0");
        let stat = ProcessStat::parse(line.as_bytes()).expect("a stat line");
        assert_eq!(stat.cpu, (Duration::from_secs(1), Duration::from_secs(2)));
        assert_eq!((stat.childrens_cpu, stat.start), (Duration::from_secs(2), Duration::from_secs(2)));
    }
}
