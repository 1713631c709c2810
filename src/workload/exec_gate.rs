//! The exec gate: a process that waits for an order and then executes the program.
//!
//! The process id is needed before the program starts. A child that pauses between fork and exec would block the
//! parent's `spawn`. The exec gate has already been executed, so a monitor can prepare to begin at its next exec.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid, dup2_stdin, execve, initgroups, setgid, setuid};

use super::message::{ExecStep, HelperReport, Order, Receiver, introduce, receive_descriptor, send, to_microseconds};

/// The hidden subcommand: `goflame __gate USER -- PROGRAM ARG…`, with USER `-` or `uid:gid:name`.
pub const EXEC_GATE: &str = "__gate";

/// Exit code if the program could not be executed, the same as "command not found" in shells.
const EXIT_NOT_EXECUTED: u8 = 127;

/// Waits for [`Order::Go`], gives up root if requested, and executes the program.
pub fn run_exec_gate(args: &[OsString]) -> ExitCode {
    let [user, _dashes, command @ ..] = args else {
        return ExitCode::from(EXIT_NOT_EXECUTED);
    };
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    let own_cpu_us =
        usage.as_ref().map_or(0, |usage| to_microseconds(usage.user_time()) + to_microseconds(usage.system_time()));
    let own_rss_kib = usage.map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0));
    let pid = std::process::id().cast_signed();
    // A launcher such as `perf record` keeps the inherited socket open while it runs. So a private socket is used.
    let Ok(stream) = introduce(&HelperReport::ExecGate { pid, own_cpu_us, own_rss_kib }) else {
        return ExitCode::from(EXIT_NOT_EXECUTED);
    };
    // End of file before the order means that goflame gave up, so the program must not run.
    let Ok(Some(stdin)) = receive_descriptor(&stream) else {
        return ExitCode::from(EXIT_NOT_EXECUTED);
    };
    let order = Receiver::new(&stream).and_then(|mut receiver| receiver.receive::<Order>());
    let Ok(Some(Order::Go { env })) = order else {
        return ExitCode::from(EXIT_NOT_EXECUTED);
    };
    // If the supervisor is killed, the kernel kills this process (PDEATHSIG). This is set after the change of user,
    // which would clear the setting.
    let ready = become_user(&user.to_string_lossy()).and_then(|()| set_pdeathsig(Signal::SIGKILL));
    let (step, errno) = if let Err(errno) = ready {
        (ExecStep::BecomeUser, errno)
    } else {
        // If the program starts, the socket closes automatically (CLOEXEC).
        let Err(errno) = execute(command, env, &stdin);
        (ExecStep::Execute, errno)
    };
    let _ = send(&stream, &HelperReport::ExecFailed { step, errno: errno as i32 });
    ExitCode::from(EXIT_NOT_EXECUTED)
}

/// Replaces this process with a program. Returns only after an error.
///
/// The program is a path. Not `execvp`: it passes a file of unknown format to `/bin/sh`, and a shell must not interpret
/// a program of another architecture.
fn execute(command: &[OsString], env: Vec<(String, String)>, stdin: &OwnedFd) -> Result<Infallible, nix::Error> {
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| nix::Error::EINVAL);
    let argv = command.iter().map(|word| text(word.as_bytes().to_vec())).collect::<Result<Vec<_>, _>>()?;
    let program = argv.first().ok_or(nix::Error::EINVAL)?;
    let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    all.extend(env.into_iter().map(|(name, value)| (name.into(), value.into())));
    let assignment = |(name, value): (OsString, OsString)| text([name.into_vec(), value.into_vec()].join(&b'='));
    let environment = all.into_iter().map(assignment).collect::<Result<Vec<_>, _>>()?;
    dup2_stdin(stdin)?;
    // Rust programs ignore SIGPIPE, and the program would inherit this. A signal with a handler is reset by the exec.
    let _ = signal_hook::flag::register(Signal::SIGPIPE as i32, Arc::default());
    SigSet::empty().thread_set_mask()?;
    execve(program, &argv, &environment)
}

/// Gives up root permanently: supplementary groups first, then the group, then the user. Each step needs rights that a
/// later step gives up.
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

pub(super) fn exec_gate_command(own_binary: &Path, user: &str, argv: &[OsString]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![own_binary.into(), EXEC_GATE.into(), user.into(), "--".into()];
    command.extend_from_slice(argv);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_follows_two_dashes() {
        let command = exec_gate_command(Path::new("/g"), "-", &[OsString::from("-x")]);
        assert_eq!(command, ["/g", "__gate", "-", "--", "-x"].map(OsString::from));
    }
}
