//! The supervisor: parent and reaper of the program and of everything that it starts.
//!
//! It makes itself a child subreaper, so that orphans become its children: it can wait for all of them,
//! knows what CPU time they used in total, and can find and kill each of them. It watches its socket, and
//! when goflame is gone, however it went, it kills them. It is outside of goflame's process group, so that
//! `kill -9` of the whole group spares it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::GATE;
use super::message::{Exit, Order, Receiver, Report, Usage, introduce, send};
use crate::process::{become_reaper, descendants, has_children, kill_all, leave_group, outlive_signals, stop_all};

/// The hidden subcommand: `goflame __supervise -- COMMAND…`; `COMMAND` is the gate's command line.
pub const SUPERVISE: &str = "__supervise";

/// Runs a command under supervision.
pub fn run_supervisor(args: &[OsString]) -> ExitCode {
    match supervise(args) {
        Some(()) => ExitCode::SUCCESS,
        // goflame sees the socket close and knows what to say; standard error belongs to the program.
        None => ExitCode::FAILURE,
    }
}

fn supervise(args: &[OsString]) -> Option<()> {
    let [_dashes, program, program_args @ ..] = args else { return None };
    let stream = introduce(&Report::Supervisor).ok()?;
    // Ending the program is goflame's business and the program's own.
    outlive_signals().ok()?;
    become_reaper().ok()?;
    let mut command = Command::new(program);
    command.args(program_args);
    // The program stays in goflame's process group, which may be the terminal's foreground group.
    if let Some(group) = leave_group() {
        command.process_group(group);
    }
    let child = command.spawn().ok()?.id().cast_signed();

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
        outlived = descendants(&[]).len();
        stop_all();
        unstoppable = descendants(&[]).len();
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
                if let (Ok(signal), true) = (Signal::try_from(signal), descendants(&[]).contains(&Pid::from_raw(pid))) {
                    let _ = kill(Pid::from_raw(pid), signal);
                }
            }
            Ok(Some(Order::Go { .. })) => {}
            Ok(Some(Order::KillAll)) => kill_all(),
            Ok(None) | Err(_) => {
                kill_all();
                return;
            }
        }
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
pub(super) fn gate_command(own: &Path, user: &str, argv: &[OsString]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![own.into(), GATE.into(), user.into(), "--".into()];
    command.extend_from_slice(argv);
    command
}
