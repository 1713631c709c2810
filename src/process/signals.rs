//! Ctrl-C and its relatives, as descriptors that become readable.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::{SigId, flag, low_level};

/// True while neither a recording nor a build looks after signals: then they do what they do by default. Signal handlers
/// belong to the process, so this does too.
static DEFAULT_ACTION: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let default = Arc::new(AtomicBool::new(true));
    for signal in SIGNALS.into_iter().filter(|signal| !ignored_at_start(*signal)) {
        let _ = flag::register_conditional_default(signal, Arc::clone(&default));
    }
    default
});

/// The signals that ask a program to end.
pub const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// Takes the signals that ask goflame to end; dropping it gives them back their default action.
pub struct Signals {
    caught: Vec<(i32, UnixStream, SigId)>,
}

impl Signals {
    /// Starts to catch.
    pub fn catch() -> io::Result<Self> {
        DEFAULT_ACTION.store(false, Ordering::SeqCst);
        let mut caught = Vec::with_capacity(SIGNALS.len());
        for signal in SIGNALS.into_iter().filter(|signal| !ignored_at_start(*signal)) {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            caught.push((signal, read, low_level::pipe::register(signal, write)?));
        }
        Ok(Self { caught })
    }

    /// Descriptors that are readable once a signal came.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.caught.iter().map(|(_, read, _)| read.as_fd())
    }

    /// A signal that came since the last call.
    pub fn take(&mut self) -> Option<i32> {
        self.caught.iter_mut().find_map(|(signal, read, _)| {
            // One byte a signal: two quick Ctrl-C are two bytes.
            let mut byte = [0];
            matches!(read.read(&mut byte), Ok(1)).then_some(*signal)
        })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, _, id) in &self.caught {
            low_level::unregister(*id);
        }
        DEFAULT_ACTION.store(true, Ordering::SeqCst);
    }
}

/// From now on, a write beyond the limit on the size of files (`ulimit -f`) fails with EFBIG, which is told like every error
/// of a write. By default SIGXFSZ would end the process without a word. Programs that are run get the default back, which a
/// signal that is ignored would not have.
pub fn report_file_size_limit() {
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Whether somebody made this process ignore a signal, as `nohup` does: then it stays ignored. Handlers that were
/// installed since do not count as ignoring.
pub fn ignored_at_start(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|bits| bits & 1 == 1)
}

/// Whether the terminal sends Ctrl-C to the program by itself, because goflame's process group, which the
/// program is in, is the terminal's foreground group.
pub fn terminal_signals_reach_program() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
