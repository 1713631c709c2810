//! The *guard* of an external program: a process of goflame's own binary that starts the program and reaps it.
//!
//! ```text
//! goflame ── guard ── the program ── its children …
//!    └ socket ┘
//! ```
//!
//! The program is in goflame's process group, the guard is not. Therefore the terminal's signals and `kill -9` of the
//! group reach the program but not the guard. When goflame orders it or is gone, the guard ends the program and its
//! descendants. The socket is the guard's standard input. It has no path by which other processes could open it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use tempfile::TempDir;

use super::descendants::{become_reaper, kill_all, leave_group, reap_ended, signal_all, stop_all};
use super::signals::{SIGNALS, stays_ignored};
use super::status::ExitStatus;
use super::temporary::{create_private, remove_with_retries, temporary_directory};

/// The hidden subcommand `goflame __guard TEMPORARY -- PROGRAM ARG…`. TEMPORARY is a comma-separated list of
/// environment variables: see [`Command::with_private_temporary_dirs`](super::Command::with_private_temporary_dirs).
pub const GUARD: &str = "__guard";

/// Path to goflame's own binary, for children of goflame. It works even if the file was replaced, or if the user who
/// called sudo cannot access its directory.
pub(super) const OWN_BINARY: &str = "/proc/self/exe";

/// Time from the first order until the program is killed.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Set by goflame's `main`. Not set in tests of this library, which cannot start goflame's binary.
static GUARDED: AtomicBool = AtomicBool::new(false);

/// From now on, each [`Command`](super::Command) runs under a guard.
pub fn guard_commands() {
    GUARDED.store(true, Ordering::SeqCst);
}

pub(super) fn commands_are_guarded() -> bool {
    GUARDED.load(Ordering::SeqCst)
}

/// Asks the guard to end the program. `already_signalled` means that the terminal has sent its signal to the program. A
/// second order kills the program at once.
pub(super) fn order_end(mut guard: &UnixStream, already_signalled: bool) {
    // A write error means that the program and the guard have ended.
    let _ = guard.write_all(if already_signalled { &[ORDER_WAIT] } else { &[ORDER_INTERRUPT] });
}

/// Order to send SIGINT to the program and its descendants.
const ORDER_INTERRUPT: u8 = b'i';
/// Order that does not send a signal, because the terminal has sent its signal to the program.
const ORDER_WAIT: u8 = b'w';

/// First byte of the guard's answer if the program ended. The wait status follows as an `i32`.
const ANSWER_ENDED: u8 = b'e';
/// First byte of the guard's answer if the program did not start. The errno follows as an `i32`.
const ANSWER_NOT_STARTED: u8 = b'n';

/// Receives how the program ended, or why it did not start. `None` if the guard was killed.
pub(super) fn receive_answer(mut guard: &UnixStream) -> io::Result<Option<ExitStatus>> {
    let mut answer = [0; 5];
    if guard.read_exact(&mut answer).is_err() {
        return Ok(None);
    }
    let [kind, number @ ..] = answer;
    match (kind, i32::from_ne_bytes(number)) {
        (ANSWER_NOT_STARTED, errno) => Err(io::Error::from_raw_os_error(errno)),
        (_, status) => Ok(Some(ExitStatus::from_wait_status(status))),
    }
}

/// Starts a program, reaps it, and reports how it ended.
pub fn run_guard(args: &[OsString]) -> ExitCode {
    let [temporary, _dashes, program, program_args @ ..] = args else { return ExitCode::FAILURE };
    let Some(mut socket) = stdin_socket() else { return ExitCode::FAILURE };
    let mut dirs = Vec::new();
    let (kind, number) = match run_guarded(&socket, &temporary.to_string_lossy(), program, program_args, &mut dirs) {
        Ok(status) => (ANSWER_ENDED, status.into_raw()),
        Err(error) => (ANSWER_NOT_STARTED, error.raw_os_error().unwrap_or_default()),
    };
    // A background process, for example the server of a compiler cache, can use the directories for any time.
    let in_use = !reap_ended();
    for dir in dirs {
        if in_use {
            let _ = dir.keep();
        } else {
            remove_with_retries(dir);
        }
    }
    let [a, b, c, d] = number.to_ne_bytes();
    // A write error means that goflame is gone.
    let _ = socket.write_all(&[kind, a, b, c, d]);
    ExitCode::SUCCESS
}

fn run_guarded(
    socket: &UnixStream,
    temporary: &str,
    program: &OsString,
    args: &[OsString],
    dirs: &mut Vec<TempDir>,
) -> io::Result<process::ExitStatus> {
    outlive_signals()?;
    become_reaper()?;
    let orders = socket.try_clone()?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    if let Some(group) = leave_group() {
        command.process_group(group);
    }
    for variable in temporary.split(',').filter(|name| !name.is_empty()) {
        // If no directory can be created, the program's own error message explains this best.
        if let Some(Ok(dir)) = temporary_directory(variable).map(|parent| create_private(&parent, "goflame-")) {
            command.env(variable, dir.path());
            dirs.push(dir);
        }
    }
    let child = command.spawn()?.id().cast_signed();
    let ending = Arc::new(AtomicBool::new(false));
    thread::spawn({
        let ending = Arc::clone(&ending);
        move || follow_orders(orders, &ending)
    });
    let status = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child => {
                break process::ExitStatus::from_raw(status.as_raw());
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    // If goflame sent no order and the program was not killed, background processes can continue.
    if ending.load(Ordering::SeqCst) || status.signal().is_some() {
        stop_all();
    }
    Ok(status)
}

/// Ends the program when goflame orders it or is gone.
fn follow_orders(mut orders: UnixStream, ending: &AtomicBool) {
    let mut order = [0];
    let first = orders.read(&mut order);
    ending.store(true, Ordering::SeqCst);
    if !matches!(first, Ok(1)) || order == [ORDER_INTERRUPT] {
        // After SIGINT, as from Ctrl-C, git and Go remove their temporary files.
        signal_all(Signal::SIGINT);
    }
    if matches!(first, Ok(1)) {
        // Wait until the second order or the end of the grace period.
        let _ = orders.set_read_timeout(Some(GRACE_PERIOD));
        let _ = orders.read(&mut order);
    } else {
        thread::sleep(GRACE_PERIOD);
    }
    kill_all();
}

/// Returns the socket that is this process's standard input. `None` if it is not a socket: a user started the hidden
/// subcommand.
pub(super) fn stdin_socket() -> Option<UnixStream> {
    let stdin = io::stdin();
    rustix::net::sockopt::socket_type(&stdin).ok()?;
    Some(UnixStream::from(stdin.as_fd().try_clone_to_owned().ok()?))
}

/// Makes this process survive signals that ask it to end. Uses handlers, because children would inherit ignored
/// signals. Signals that this process ignored from its start, such as SIGHUP under `nohup`, stay ignored, in children too.
/// SIGINT does not: see [`stays_ignored`].
pub fn outlive_signals() -> io::Result<()> {
    let arrived = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS.into_iter().filter(|signal| !stays_ignored(*signal)) {
        signal_hook::flag::register(signal, Arc::clone(&arrived))?;
    }
    Ok(())
}
