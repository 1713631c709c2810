//! Starts the supervisor and the exec gate, but not yet the program.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::libc::SIGWINCH;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::control_group::{self, ControlGroup, NoControlGroup};
use super::error::Error;
use super::exec_gate::exec_gate_command;
use super::message::{HelperReport, Order, Receiver, create_rendezvous, receive_introduction, send, send_descriptor};
use super::plan::{LaunchPlan, Stdin};
use super::progress::{OutputStream, Progress};
use super::stdin::open_stdin;
use super::stream::{PseudoTerminal, Stream};
use super::supervisor::SUPERVISE;
use crate::process::{Signals, become_reaper, descendants, kill_and_reap_all};

/// Timeout for the introductions of supervisor and exec gate. Generous, because both run goflame's own binary.
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(20);

/// Interval of the checks whether the supervisor is alive while no introduction arrives.
const CHECK_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A launched program, from the helper processes' start to the program's end.
pub(super) struct Launched {
    /// Socket to the supervisor.
    pub(super) supervisor: UnixStream,
    /// Reports of the supervisor.
    pub(super) reports: Receiver,
    /// The process that becomes the program.
    pub(super) exec_gate: ExecGate,
    /// Standard input of the program. `None` for goflame's standard input.
    stdin: Option<File>,
    /// Reader of the program's standard output.
    pub(super) stdout: Option<File>,
    /// Reader of the program's standard error.
    pub(super) stderr: Option<File>,
    /// The pseudo-terminals of the program's streams, with their sizes.
    pseudo_terminals: Vec<(OutputStream, PseudoTerminal)>,
    child: Child,
    /// Descendants that goflame had before the launch. They are not killed.
    bystanders: Vec<Pid>,
    /// Control group of the program. Dropping it removes the group, after all processes were killed.
    group: Option<ControlGroup>,
}

/// goflame's side of the exec gate.
pub(super) struct ExecGate {
    socket: UnixStream,
    reports: Receiver,
    /// Process id. The program will have the same id.
    pub(super) pid: i32,
    /// CPU time of the exec gate before the program starts.
    pub(super) cpu: Duration,
    /// Peak resident memory of the exec gate in KiB.
    pub(super) rss_kib: u64,
}

fn launch_error(step: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Launch { step, source }
}

pub(super) fn launch(plan: &LaunchPlan, progress: &dyn Progress, signals: &mut Signals) -> Result<Launched, Error> {
    // The directory is checked first, because a missing directory would look like a missing supervisor.
    if let Err(source) = std::fs::read_dir(&plan.dir) {
        return Err(Error::Directory { path: plan.dir.clone(), source });
    }
    let stdin = match &plan.stdin {
        Stdin::Inherit => None,
        Stdin::File(path) => Some(open_stdin(path, plan.timeout, signals)?),
    };
    // A shell that became goflame by `exec` can have left children.
    let bystanders = descendants(&[]);
    // If the supervisor is killed, its descendants become goflame's children.
    become_reaper().map_err(launch_error("becoming the reaper of its descendants"))?;
    let (rendezvous, childrens_end) = create_rendezvous().map_err(launch_error("making a socket"))?;
    let own_binary = std::env::current_exe().map_err(launch_error("finding goflame's own binary"))?;
    let user = plan.user.as_ref().map_or_else(|| "-".into(), |user| format!("{}:{}:{}", user.uid, user.gid, user.name));

    let open = |stream| Stream::open(progress.terminal(stream)).map_err(launch_error("making a pipe"));
    let stdout = open(OutputStream::Stdout)?;
    let stderr = match plan.runtime_log {
        Some(_) => Stream::packet_pipe().map_err(launch_error("making a pipe"))?,
        None => open(OutputStream::Stderr)?,
    };
    let mut supervisor = Command::new(&own_binary);
    supervisor.arg(SUPERVISE).arg("--").args(&plan.launcher).args(exec_gate_command(&own_binary, &user, &plan.argv));
    supervisor.current_dir(&plan.dir).stdin(childrens_end).stdout(stdout.program_end).stderr(stderr.program_end);
    let mut child = supervisor.spawn().map_err(launch_error("starting the supervisor"))?;
    // The command owns the children's ends of streams and socket. Readers would wait forever while these ends are open.
    drop(supervisor);

    match await_introductions(&rendezvous, &mut child) {
        Ok((supervisor, reports, exec_gate)) => Ok(Launched {
            supervisor,
            reports,
            exec_gate,
            stdin,
            stdout: Some(stdout.reader),
            stderr: Some(stderr.reader),
            pseudo_terminals: [
                (OutputStream::Stdout, stdout.pseudo_terminal),
                (OutputStream::Stderr, stderr.pseudo_terminal),
            ]
            .into_iter()
            .filter_map(|(stream, pseudo_terminal)| Some((stream, pseudo_terminal?)))
            .collect(),
            child,
            bystanders,
            group: None,
        }),
        Err(source) => {
            let _ = child.kill();
            let _ = child.wait();
            kill_and_reap_all(&bystanders);
            Err(launch_error("waiting for supervisor and exec gate")(source))
        }
    }
}

/// Receives the introductions of supervisor and exec gate, in any order.
fn await_introductions(rendezvous: &OwnedFd, child: &mut Child) -> io::Result<(UnixStream, Receiver, ExecGate)> {
    let deadline = Instant::now() + INTRODUCTION_TIMEOUT;
    let (mut supervisor, mut exec_gate) = (None, None);
    loop {
        match poll(&mut [PollFd::new(rendezvous, PollFlags::IN)], Some(&CHECK_INTERVAL)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {
                if let Some(status) = child.try_wait()? {
                    return Err(io::Error::other(format!("the supervisor ended early: {status}")));
                }
                if Instant::now() > deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                continue;
            }
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let Some((socket, report)) = receive_introduction(rendezvous)? else {
            return Err(io::Error::other(format!("the supervisor ended early: {}", child.wait()?)));
        };
        socket.set_read_timeout(Some(INTRODUCTION_TIMEOUT))?;
        let reports = Receiver::new(&socket)?;
        match report {
            HelperReport::Supervisor => supervisor = Some((socket, reports)),
            HelperReport::ExecGate { pid, own_cpu_us, own_rss_kib } => {
                let cpu = Duration::from_micros(own_cpu_us);
                exec_gate = Some(ExecGate { socket, reports, pid, cpu, rss_kib: own_rss_kib });
            }
            _ => return Err(io::Error::other("unexpected message at the launch")),
        }
        match (supervisor.take(), exec_gate.take()) {
            (Some((socket, reports)), Some(exec_gate)) => return Ok((socket, reports, exec_gate)),
            pending => (supervisor, exec_gate) = pending,
        }
    }
}

/// A launched program that has not started yet.
pub struct WaitingProgram<'l> {
    launched: &'l mut Launched,
}

impl WaitingProgram<'_> {
    /// The process id that the program will have.
    pub fn pid(&self) -> i32 {
        self.launched.exec_gate.pid
    }

    /// Moves the program into a control group. The group is removed after its last process has ended.
    pub fn enter_group(&mut self, group: ControlGroup) -> Result<(), NoControlGroup> {
        self.launched.send_order(&Order::RemoveGroup { path: group.path().to_owned() });
        group.add(self.pid())?;
        self.launched.group = Some(group);
        Ok(())
    }
}

impl Launched {
    pub(super) fn waiting_program(&mut self) -> WaitingProgram<'_> {
        WaitingProgram { launched: self }
    }

    /// Lets the exec gate execute the program.
    pub(super) fn execute_program(&mut self, plan: &LaunchPlan) -> Result<(), Error> {
        let lost = launch_error("talking to the exec gate");
        let mut env = Vec::new();
        if let Some(user) = &plan.user {
            let home = user.home.to_string_lossy();
            env = [("HOME", &*home), ("USER", &user.name), ("LOGNAME", &user.name)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        }
        env.extend_from_slice(&plan.env);
        let stdin = self.stdin.take();
        let exec_gate = &mut self.exec_gate;
        let given = match &stdin {
            Some(file) => send_descriptor(&exec_gate.socket, file),
            None => send_descriptor(&exec_gate.socket, io::stdin()),
        };
        if let Err(source) = given.and_then(|()| send(&exec_gate.socket, &Order::Go { env })) {
            return Err(lost(source));
        }
        // The exec closes the socket. A message means that the exec failed.
        match exec_gate.reports.receive::<HelperReport>() {
            Ok(None) => Ok(()),
            Ok(Some(HelperReport::ExecFailed { step, errno })) => {
                Err(Error::Exec { program: plan.program_name(), step, source: io::Error::from_raw_os_error(errno) })
            }
            Ok(Some(_)) => Err(lost(io::Error::other("unexpected message"))),
            Err(source) => Err(lost(source)),
        }
    }

    /// Gives the program's terminals the size of the real terminals.
    pub(super) fn resize_terminals(&mut self, progress: &dyn Progress) {
        let mut resized = false;
        for (stream, pseudo_terminal) in &mut self.pseudo_terminals {
            resized |= progress.terminal(*stream).is_some_and(|terminal| pseudo_terminal.resize_like(terminal));
        }
        if resized {
            // The real terminal also sends this signal to the program, but possibly before the new size is set.
            self.send_order(&Order::Signal { pid: self.exec_gate.pid, signal: SIGWINCH });
        }
    }

    /// CPU time in user and kernel mode of the program since its start. Includes descendants if the program has a
    /// control group that counts CPU time.
    pub(super) fn used_cpu(&self) -> Option<Duration> {
        let of_group = self.group.as_ref().and_then(|group| control_group::cpu_times(group.path()));
        if let Some(times) = of_group {
            return Some(Duration::from_micros(times.user_us.saturating_add(times.system_us)));
        }
        let clock = clock_getcpuclockid(Pid::from_raw(self.exec_gate.pid)).ok()?;
        Some(Duration::from(clock.now().ok()?).saturating_sub(self.exec_gate.cpu))
    }

    /// Sends an order to the supervisor. Errors are ignored: the socket shows if the supervisor is gone.
    pub(super) fn send_order(&self, order: &Order) {
        let _ = send(&self.supervisor, order);
    }

    /// Waits for the end of the supervisor, after it has reported that all other processes are gone.
    pub(super) fn reap_supervisor(&mut self) {
        let _ = self.child.wait();
    }
}

impl Drop for Launched {
    /// Closes the socket, so that the supervisor kills all remaining processes, and waits for the end of the
    /// supervisor. If the supervisor was killed, its orphans are goflame's children.
    fn drop(&mut self) {
        let _ = self.supervisor.shutdown(Shutdown::Both);
        let _ = self.exec_gate.socket.shutdown(Shutdown::Both);
        let _ = self.child.wait();
        kill_and_reap_all(&self.bystanders);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_that_ends_early_is_an_error() {
        for program in ["false", "true"] {
            let (rendezvous, childrens_end) = create_rendezvous().expect("a socket");
            let mut child = Command::new(program).stdin(childrens_end).spawn().expect("a program");
            assert!(await_introductions(&rendezvous, &mut child).is_err());
        }
    }
}
