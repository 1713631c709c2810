//! The supervisor: parent and reaper of the program and its descendants.
//!
//! It makes itself a child subreaper, so that orphans become its children. Therefore it can wait for all descendants,
//! knows their total CPU time, and can find and kill each of them. It watches its socket and kills them when goflame is
//! gone. It is not in goflame's process group, so `kill -9` of the whole group does not reach it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait};

use super::control_group;
use super::message::{HelperReport, Order, Receiver, Usage, introduce, send, to_microseconds};
use crate::process::{become_reaper, descendants, has_children, kill_all, leave_group, outlive_signals, stop_all};

/// The hidden subcommand: `goflame __supervise -- COMMAND…`. `COMMAND` starts the exec gate.
pub const SUPERVISE: &str = "__supervise";

/// Runs a command under supervision.
pub fn run_supervisor(args: &[OsString]) -> ExitCode {
    match supervise(args) {
        Some(()) => ExitCode::SUCCESS,
        // goflame sees that the socket is closed and reports it. Standard error belongs to the program.
        None => ExitCode::FAILURE,
    }
}

fn supervise(args: &[OsString]) -> Option<()> {
    let [_dashes, program, program_args @ ..] = args else { return None };
    let stream = introduce(&HelperReport::Supervisor).ok()?;
    // Signals to the supervisor must not end the program.
    outlive_signals().ok()?;
    become_reaper().ok()?;
    let mut command = Command::new(program);
    command.args(program_args);
    // The program stays in goflame's process group, which can be the terminal's foreground group.
    if let Some(group) = leave_group() {
        command.process_group(group);
    }
    let child = command.spawn().ok()?.id().cast_signed();

    let orders = Receiver::new(&stream).ok()?;
    let group = Arc::new(OnceLock::new());
    let ordered = Arc::clone(&group);
    thread::spawn(move || follow_orders(orders, &ordered));

    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child => {
                // If goflame is gone, nobody receives this message, but the remaining processes must still be stopped.
                let _ = send(&stream, &HelperReport::Exited { wait_status: status.as_raw() });
                break;
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    // Orphans become children of this process. So without children, no search in `/proc` is needed.
    let (mut outliving_processes, mut unstoppable) = (0, 0);
    if has_children() {
        outliving_processes = descendants(&[]).len();
        stop_all();
        unstoppable = descendants(&[]).len();
    }
    let group = group.get();
    let times = group.and_then(|group| control_group::cpu_times(group));
    if let Some(group) = group {
        control_group::remove(group);
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let usage = Usage {
        user_us: to_microseconds(usage.user_time()),
        system_us: to_microseconds(usage.system_time()),
        group: times,
        max_rss_kib: u64::try_from(usage.max_rss()).unwrap_or(0),
        outliving_processes,
        unstoppable,
    };
    send(&stream, &HelperReport::AllGone(usage)).ok()
}

/// Executes goflame's orders until goflame is gone. Stores the control group to remove in `group`.
fn follow_orders(mut orders: Receiver, group: &OnceLock<PathBuf>) {
    loop {
        match orders.receive::<Order>() {
            Ok(Some(Order::Signal { pid, signal })) => {
                // After the program is reaped, its process id can belong to another process.
                if let (Ok(signal), true) = (Signal::try_from(signal), descendants(&[]).contains(&Pid::from_raw(pid))) {
                    let _ = kill(Pid::from_raw(pid), signal);
                }
            }
            Ok(Some(Order::Go { .. })) => {}
            Ok(Some(Order::KillAll)) => kill_all(),
            Ok(Some(Order::RemoveGroup { path })) => {
                let _ = group.set(path);
            }
            Ok(None) | Err(_) => {
                kill_all();
                return;
            }
        }
    }
}
