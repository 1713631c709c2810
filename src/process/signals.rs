//! Ctrl-C and similar signals, as descriptors that become readable.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::{SigId, flag, low_level};

/// True while signals have their default action, because no [`Signals`] value catches them. Global, because signal
/// handlers belong to the process.
static DEFAULT_ACTION: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let default = Arc::new(AtomicBool::new(true));
    for signal in SIGNALS.into_iter().filter(|signal| !stays_ignored(*signal)) {
        let _ = flag::register_conditional_default(signal, Arc::clone(&default));
    }
    default
});

/// The signals that ask a program to end.
pub const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// Catches the signals that ask goflame to end. Dropping the value restores their default action.
///
/// A signal that arrives before an earlier signal was taken has its default action. Therefore the user can end goflame
/// even while it blocks, for example in a write to a pipe that nobody reads.
pub struct Signals {
    caught: Vec<Caught>,
    has_pending: Arc<AtomicBool>,
}

/// From now on, Ctrl-C has no effect on goflame. For use while another program, such as a pager, controls the terminal.
/// Programs that goflame starts have the default action.
pub fn ignore_interrupts() -> io::Result<()> {
    flag::register(SIGINT, Arc::default()).map(drop)
}

/// Why [`Signals::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeReason {
    /// This signal arrived.
    Signal(i32),
    /// The descriptor has bytes, or its other end is closed.
    Readable,
    /// The timeout was reached.
    TimedOut,
}

/// A caught signal.
struct Caught {
    signal: i32,
    /// Becomes readable when the signal arrives.
    read: UnixStream,
    /// The actions registered for the signal.
    actions: [SigId; 3],
}

impl Signals {
    /// Starts catching the signals.
    pub fn catch() -> io::Result<Self> {
        let default_action = LazyLock::force(&DEFAULT_ACTION);
        let has_pending = Arc::new(AtomicBool::new(false));
        let mut caught = Vec::with_capacity(SIGNALS.len());
        for signal in SIGNALS.into_iter().filter(|signal| !stays_ignored(*signal)) {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            // The actions run in the order of registration.
            let actions = [
                flag::register_conditional_default(signal, Arc::clone(&has_pending))?,
                flag::register(signal, Arc::clone(&has_pending))?,
                low_level::pipe::register(signal, write)?,
            ];
            caught.push(Caught { signal, read, actions });
        }
        // The default action is switched off last, because a signal must have an action at every moment.
        default_action.store(false, Ordering::SeqCst);
        Ok(Self { caught, has_pending })
    }

    /// Descriptors that become readable when a signal arrives.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.caught.iter().map(|caught| caught.read.as_fd())
    }

    /// Returns a signal that arrived since the last call. `None` if none arrived.
    pub fn take(&mut self) -> Option<i32> {
        let taken = self.caught.iter_mut().find_map(|caught| {
            let mut byte = [0];
            matches!(caught.read.read(&mut byte), Ok(1)).then_some(caught.signal)
        });
        if taken.is_some() {
            self.has_pending.store(false, Ordering::SeqCst);
        }
        taken
    }

    /// Waits until a signal arrives, `fd` has bytes or is closed, or the timeout `limit` is reached.
    pub fn wait(&mut self, fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<WakeReason> {
        // A limit that is too long for a `Timespec` counts as no limit.
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        loop {
            let mut fds = vec![PollFd::from_borrowed_fd(fd, PollFlags::IN)];
            fds.extend(self.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            let ready = poll(&mut fds, limit.as_ref());
            drop(fds);
            match (self.take(), ready) {
                (Some(signal), _) => return Ok(WakeReason::Signal(signal)),
                (None, Ok(0)) => return Ok(WakeReason::TimedOut),
                (None, Ok(_)) => return Ok(WakeReason::Readable),
                (None, Err(Errno::INTR)) => {}
                (None, Err(errno)) => return Err(errno.into()),
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.caught.iter().flat_map(|caught| caught.actions) {
            low_level::unregister(id);
        }
        DEFAULT_ACTION.store(true, Ordering::SeqCst);
    }
}

/// Blocks [`SIGNALS`] in the calling thread, so that other threads handle them. The kernel prefers the first thread,
/// whose handler can run late: after a waiting thread has already seen that the same signal ended a child.
pub fn leave_signals_to_others() {
    let signals: SigSet = SIGNALS.into_iter().filter_map(|signal| Signal::try_from(signal).ok()).collect();
    let _ = signals.thread_block();
}

/// Installs a handler for SIGXFSZ that does nothing. From now on, a write beyond the file size limit (`ulimit -f`)
/// fails with EFBIG and is reported like every write error. By default SIGXFSZ would end the process without a message.
/// Programs that goflame runs get the default action back. If goflame ignored the signal instead, they would ignore it
/// too.
pub fn report_file_size_limit() {
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Whether a signal stays ignored because it was ignored when this process started, as with `nohup`. SIGINT does not
/// stay ignored. A shell script that starts `goflame run &` makes goflame ignore it, but can end the recording with
/// `kill -INT`, as with `perf record`.
pub fn stays_ignored(signal: i32) -> bool {
    signal != SIGINT && is_ignored(signal)
}

/// Whether this process ignores a signal now.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|bits| bits & 1 == 1)
}

/// Whether the terminal sends Ctrl-C to the program too. It does if goflame's process group, which contains the
/// program, is the terminal's foreground group.
pub fn terminal_signals_reach_program() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    // Not `rustix::process::getpgrp`, which cannot represent a group from outside of the PID namespace.
    let own = nix::unistd::getpgrp().as_raw();
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group.as_raw_nonzero().get() == own)
}
