//! The supervisor: parent and reaper of the program and of everything that it starts.
//!
//! It makes itself a child subreaper, so that orphans become its children: it can wait for all of them,
//! knows what CPU time they used in total, and can find and kill each of them. It watches its socket, and
//! when goflame is gone, however it went, it kills them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, set_child_subreaper, wait, waitid};

use crate::process::{SIGNALS, ignored_at_start};

use super::GATE;
use super::message::{Exit, Order, Receiver, Report, Usage, send};

/// The hidden subcommand: `goflame __supervise SOCKET -- COMMAND…`; `COMMAND` is the gate's command line.
pub const SUPERVISE: &str = "__supervise";

/// How long what outlived the program has to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs a command under supervision.
pub fn run_supervisor(args: &[OsString]) -> ExitCode {
    match supervise(args) {
        Some(()) => ExitCode::SUCCESS,
        // goflame sees the socket close and knows what to say; standard error belongs to the program.
        None => ExitCode::FAILURE,
    }
}

fn supervise(args: &[OsString]) -> Option<()> {
    let [socket, _dashes, program, program_args @ ..] = args else { return None };
    let stream = UnixStream::connect(Path::new(socket)).ok()?;
    // Handlers, not SIG_IGN, because the program would inherit that. The terminal's Ctrl-C reaches the whole
    // process group; ending the program is goflame's and the program's own business, not the supervisor's.
    let ignored = Arc::new(AtomicBool::new(false));
    // What somebody made this process ignore (nohup), the program ignores too.
    for signal in SIGNALS.into_iter().filter(|signal| !ignored_at_start(*signal)) {
        signal_hook::flag::register(signal, Arc::clone(&ignored)).ok()?;
    }
    set_child_subreaper(Some(rustix::process::getpid())).ok()?;
    send(&stream, &Report::Supervisor).ok()?;
    let child = Command::new(program).args(program_args).spawn().ok()?;
    let child = child.id().cast_signed();

    let orders = Receiver::new(&stream).ok()?;
    thread::spawn(move || follow_orders(orders));

    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child => {
                // When goflame is gone nobody hears it, but the rest is still to be stopped.
                let _ = send(&stream, &Report::Exited(exit_of(status)));
                break;
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    // Orphans are this process's children, so without a child there is nobody to look for in `/proc`.
    let (mut outlived, mut unstoppable) = (0, 0);
    if has_children() {
        outlived = descendants(&HashSet::new()).len();
        stop_the_rest();
        unstoppable = descendants(&HashSet::new()).len();
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let usage = Usage {
        user_us: micros(usage.user_time()),
        system_us: micros(usage.system_time()),
        max_rss_kib: u64::try_from(usage.max_rss()).unwrap_or(0),
        outlived,
        unstoppable,
    };
    send(&stream, &Report::Gone(usage)).ok()
}

/// Does what goflame says, until goflame is gone.
fn follow_orders(mut orders: Receiver) {
    loop {
        match orders.receive::<Order>() {
            Ok(Some(Order::Signal { pid, signal })) => {
                // Once the program is reaped, its id may belong to somebody else.
                if let (Ok(signal), true) =
                    (Signal::try_from(signal), descendants(&HashSet::new()).contains(&Pid::from_raw(pid)))
                {
                    let _ = kill(Pid::from_raw(pid), signal);
                }
            }
            Ok(Some(Order::Go { .. })) => {}
            Ok(Some(Order::KillAll)) => kill_all(&HashSet::new()),
            Ok(None) | Err(_) => {
                kill_all(&HashSet::new());
                return;
            }
        }
    }
}

/// Asks what outlived the program to end, then makes it; returns when nothing is left that can be waited for.
fn stop_the_rest() {
    for pid in descendants(&HashSet::new()) {
        let _ = kill(pid, Signal::SIGTERM);
    }
    let deadline = Instant::now() + GRACE;
    while !reaped_all() && Instant::now() < deadline {
        thread::sleep(PAUSE);
    }
    kill_and_reap_all(&HashSet::new());
}

/// Kills every descendant, again and again until there is none: one may fork while the list is read. What this
/// process may not kill (a program that changed its user) is left alone.
fn kill_all(bystanders: &HashSet<Pid>) {
    while descendants(bystanders).into_iter().filter(|pid| kill(*pid, Signal::SIGKILL) != Err(Errno::EPERM)).count() > 0
    {
        thread::sleep(PAUSE);
    }
}

/// Kills every descendant of this process and takes their statuses away, except `bystanders` and what they started.
pub(super) fn kill_and_reap_all(bystanders: &HashSet<Pid>) {
    kill_all(bystanders);
    reaped_all();
}

/// Takes away the statuses of all children that have ended. True when there are no others.
fn reaped_all() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Whether this process has children, ended ones that nobody waited for included. Reaps none.
fn has_children() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD))
}

/// All living descendants of this process, from `/proc`, except `bystanders` and theirs. Zombies do not count.
pub(super) fn descendants(bystanders: &HashSet<Pid>) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let Some(stat) = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| Stat::parse(&stat)) else {
            continue;
        };
        if stat.lives() {
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

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    parent: i32,
    threads: i32,
}

impl Stat {
    /// The second field, in parentheses, may hold anything, so the fields are counted from the last parenthesis
    /// (proc(5)).
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let threads = fields.nth(15).and_then(|threads| threads.parse().ok()).unwrap_or(1);
        Some(Self { state, parent, threads })
    }

    /// A process whose first thread has ended looks like a zombie while its other threads run.
    fn lives(&self) -> bool {
        self.state != b'X' && (self.state != b'Z' || self.threads > 1)
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    Exit { code: status.exit_status(), signal: status.terminating_signal() }
}

/// A time of `getrusage` in microseconds.
pub(super) fn micros(time: nix::sys::time::TimeVal) -> u64 {
    let micros = i128::from(time.tv_sec()) * 1_000_000 + i128::from(time.tv_usec());
    u64::try_from(micros).unwrap_or(0)
}

/// The gate's command line, for the supervisor or for `perf record` to run.
pub(super) fn gate_command(own: &Path, socket: &Path, user: &str, argv: &[OsString]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![own.into(), GATE.into(), socket.into(), user.into(), "--".into()];
    command.extend_from_slice(argv);
    command
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn reads_a_stat_line_whatever_the_name() {
        let stat = |text: &[u8]| Stat::parse(text).map(|stat| (stat.state, stat.parent, stat.threads, stat.lives()));
        assert_eq!(stat(b"12 (a) S 3 4"), Some((b'S', 3, 1, true)));
        assert_eq!(stat(b"12 (a) Z 9) R 7 4"), Some((b'R', 7, 1, true)));
        assert_eq!(stat(b"9 (a) Z 7 9 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 5"), Some((b'Z', 7, 1, false)));
        assert_eq!(stat(b"9 (a) Z 7 9 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 2 0 5"), Some((b'Z', 7, 2, true)));
        assert_eq!(stat(b"12 (a"), None);
        assert_eq!(stat(b"12 (a) "), None);
        assert_eq!(stat(b""), None);
    }
}
