//! The exec gate: a process that waits for an order and then executes the program.
//!
//! It is needed because a child that is paused between fork and exec blocks the parent's `spawn`. The exec gate has
//! already been executed. Therefore its process id is known, and a monitor can prepare to begin at its next exec.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, initgroups, setgid, setuid};

use super::message::{ExecStep, HelperReport, Order, Receiver, introduce, microseconds, receive_descriptor, send};

/// The hidden subcommand: `goflame __gate USER -- PROGRAM ARG…`, with USER `-` or `uid:gid:name`.
pub const EXEC_GATE: &str = "__gate";

/// Exit code of an exec gate that could not execute the program. Shells use it for "command not found".
const NOT_EXECUTED: u8 = 127;

/// Waits for the order to go, drops privileges if requested, and executes the program.
pub fn run_exec_gate(args: &[OsString]) -> ExitCode {
    let [user, _dashes, program, program_args @ ..] = args else {
        return ExitCode::from(NOT_EXECUTED);
    };
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    let own_cpu_us =
        usage.as_ref().map_or(0, |usage| microseconds(usage.user_time()) + microseconds(usage.system_time()));
    let own_rss_kib = usage.map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0));
    let pid = std::process::id().cast_signed();
    // Use a private socket: a launcher such as `perf record` keeps the inherited one open as long as it runs.
    let Ok(stream) = introduce(&HelperReport::ExecGate { pid, own_cpu_us, own_rss_kib }) else {
        return ExitCode::from(NOT_EXECUTED);
    };
    // End of file before the order means that goflame gave up, so the program must not run.
    let Ok(Some(stdin)) = receive_descriptor(&stream) else {
        return ExitCode::from(NOT_EXECUTED);
    };
    let order = Receiver::new(&stream).and_then(|mut receiver| receiver.receive::<Order>());
    let Ok(Some(Order::Go { env })) = order else {
        return ExitCode::from(NOT_EXECUTED);
    };
    // The supervisor ends the processes that it started. If the supervisor itself is killed, the kernel does this. Set
    // it after the change of user, which clears it.
    let ready = become_user(&user.to_string_lossy()).and_then(|()| set_pdeathsig(Signal::SIGKILL));
    let (step, errno) = if let Err(errno) = ready {
        (ExecStep::BecomeUser, errno as i32)
    } else {
        // `exec` returns only if it fails. If it succeeds, the socket closes automatically (CLOEXEC).
        let error = Command::new(program).args(program_args).envs(env).stdin(stdin).exec();
        (ExecStep::Execute, error.raw_os_error().unwrap_or(0))
    };
    let _ = send(&stream, &HelperReport::ExecFailed { step, errno });
    ExitCode::from(NOT_EXECUTED)
}

/// Gives up root permanently: supplementary groups first, then group, then user, because each step needs the rights
/// that the later steps give up.
fn become_user(user: &str) -> Result<(), nix::Error> {
    let mut parts = user.splitn(3, ':');
    let (Some(uid), Some(gid), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(());
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| nix::Error::EINVAL);
    let (uid, gid) = (Uid::from_raw(number(uid)?), Gid::from_raw(number(gid)?));
    let name = std::ffi::CString::new(name).map_err(|_| nix::Error::EINVAL)?;
    initgroups(&name, gid)?;
    setgid(gid)?;
    setuid(uid)
}

/// Returns the command line of the exec gate for a program.
pub(super) fn exec_gate_command(own_binary: &Path, user: &str, argv: &[OsString]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![own_binary.into(), EXEC_GATE.into(), user.into(), "--".into()];
    command.extend_from_slice(argv);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_follows_the_dashes() {
        let command = exec_gate_command(Path::new("/g"), "-", &[OsString::from("-x")]);
        assert_eq!(command, ["/g", "__gate", "-", "--", "-x"].map(OsString::from));
    }
}
