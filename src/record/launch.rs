//! Starts supervisor and gate, up to the moment before the program begins.

use std::fs::File;
use std::io::{self, PipeReader, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::message::{Order, Receiver, Report, receive_introduction, rendezvous, send, send_descriptor};
use super::plan::{RecordPlan, Sampler, Stdin};
use super::supervisor::{SUPERVISE, gate_command};
use super::{Error, Settled, perf};
use crate::fsio::{self, FileError};
use crate::process::{Signals, Woken, become_reaper, descendants, kill_and_reap_all};

/// Timeout for the introduction of supervisor and gate. They are goflame's own binary, so it is generous.
const PATIENCE: Duration = Duration::from_secs(20);

/// Interval of the checks whether the supervisor is alive, while no introduction arrives: 20 ms.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A program that is about to start.
pub(super) struct Launched {
    /// Socket to the supervisor.
    pub(super) supervisor: UnixStream,
    /// Reports of the supervisor.
    pub(super) reports: Receiver,
    gate: UnixStream,
    gate_reports: Receiver,
    /// Standard input of the program. `None` means goflame's own.
    stdin: Option<File>,
    /// Process id that the program will have.
    pub(super) pid: i32,
    /// Resources used by the gate before it executes the program.
    pub(super) gate_own: Own,
    /// Standard output of the program.
    pub(super) stdout: Option<PipeReader>,
    /// Standard error of the program.
    pub(super) stderr: Option<PipeReader>,
    child: Child,
    /// Children that goflame had before the launch, and their descendants.
    bystanders: Vec<Pid>,
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Launch { step, source }
}

/// Starts all helper processes, but not the program itself.
pub(super) fn launch(plan: &RecordPlan, settled: &Settled, signals: &mut Signals) -> Result<Launched, Error> {
    // Check this first: a missing directory would look like a missing supervisor.
    if let Err(source) = std::fs::read_dir(&plan.dir) {
        return Err(Error::Directory { path: plan.dir.clone(), source });
    }
    let stdin = match &plan.stdin {
        Stdin::Inherit => None,
        Stdin::File(path) => Some(open_stdin(path, plan.timeout, signals)?),
    };
    // A shell that became goflame by `exec` may have left children.
    let bystanders = descendants(&[]);
    // If somebody kills the supervisor, its descendants become goflame's children.
    become_reaper().map_err(failed("becoming the reaper of what it starts"))?;
    let (rendezvous, childrens_end) = rendezvous().map_err(failed("making a socket"))?;
    let own = std::env::current_exe().map_err(failed("finding goflame's own binary"))?;
    let user = plan.user.as_ref().map_or_else(|| "-".into(), |user| format!("{}:{}:{}", user.uid, user.gid, user.name));
    let gate = gate_command(&own, &user, &plan.argv);
    let command = match &plan.sampler {
        Sampler::Native => gate,
        Sampler::Perf(perf) => perf::command(perf, plan, settled, gate),
    };

    let (stdout, stdout_end) = pipe().map_err(failed("making a pipe"))?;
    let (stderr, stderr_end) = pipe().map_err(failed("making a pipe"))?;
    let mut supervisor = Command::new(&own);
    supervisor.arg(SUPERVISE).arg("--").args(&command);
    supervisor.current_dir(&plan.dir).stdin(childrens_end).stdout(stdout_end).stderr(stderr_end);
    let mut child = supervisor.spawn().map_err(failed("starting the supervisor"))?;
    // The command holds the children's ends of pipes and socket. While they are open, the readers would wait forever.
    drop(supervisor);

    match meet(&rendezvous, &mut child) {
        Ok((supervisor, reports, (gate, gate_reports, pid, gate_own))) => Ok(Launched {
            supervisor,
            reports,
            gate,
            gate_reports,
            stdin,
            pid,
            gate_own,
            stdout: Some(stdout),
            stderr: Some(stderr),
            child,
            bystanders,
        }),
        Err(source) => {
            let _ = child.kill();
            let _ = child.wait();
            kill_and_reap_all(&bystanders);
            Err(failed("waiting for supervisor and gate")(source))
        }
    }
}

/// Opens standard input. Opening a FIFO blocks until it has a writer, and opening a device may wait for a connection.
/// Signals and the timeout are handled during the wait. A separate thread does the blocking open, because only a
/// blocking open reports the writer. If no writer comes, the thread ends with the process.
fn open_stdin(path: &Path, timeout: Duration, signals: &mut Signals) -> Result<File, Error> {
    let (over, opened) = pipe().map_err(failed("making a pipe"))?;
    let opening = thread::spawn({
        let path = path.to_owned();
        move || {
            let file = fsio::open(&path);
            drop(opened);
            file
        }
    });
    let unopened = |source| Error::Stdin(FileError::new("read", path, source));
    match signals.wait(over.as_fd(), Some(timeout)).map_err(unopened)? {
        Woken::Signal(signal) => Err(Error::Interrupted { signal }),
        Woken::Readable => match opening.join() {
            Ok(file) => file.map_err(Error::Stdin),
            Err(_) => Err(unopened(io::Error::other("the thread that opens it panicked"))),
        },
        Woken::TimedOut => Err(unopened(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing opened it for writing within {timeout:?} (timeout in [workload])"),
        ))),
    }
}

type Gate = (UnixStream, Receiver, i32, Own);

/// Resources used by the gate before it executes the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    /// CPU time.
    pub(super) cpu: Duration,
    /// Peak resident memory in KiB.
    pub(super) rss_kib: u64,
}

/// Receives the introductions of supervisor and gate, in any order.
fn meet(rendezvous: &OwnedFd, child: &mut Child) -> io::Result<(UnixStream, Receiver, Gate)> {
    let deadline = Instant::now() + PATIENCE;
    let (mut supervisor, mut gate) = (None, None);
    loop {
        match poll(&mut [PollFd::new(rendezvous, PollFlags::IN)], Some(&LOOK)) {
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
        let Some((stream, report)) = receive_introduction(rendezvous)? else {
            return Err(io::Error::other(format!("the supervisor ended early: {}", child.wait()?)));
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let reports = Receiver::new(&stream)?;
        match report {
            Report::Supervisor => supervisor = Some((stream, reports)),
            Report::Gate { pid, own_cpu_us, own_rss_kib } => {
                let own = Own { cpu: Duration::from_micros(own_cpu_us), rss_kib: own_rss_kib };
                gate = Some((stream, reports, pid, own));
            }
            _ => return Err(io::Error::other("unexpected message at the launch")),
        }
        match (supervisor.take(), gate.take()) {
            (Some((stream, reports)), Some(gate)) => return Ok((stream, reports, gate)),
            pending => (supervisor, gate) = pending,
        }
    }
}

impl Launched {
    /// Lets the gate execute the program. Fails if the gate cannot.
    pub(super) fn go(&mut self, plan: &RecordPlan) -> Result<(), Error> {
        let lost = failed("talking to the gate");
        let mut env = Vec::new();
        if let Some(user) = &plan.user {
            let home = user.home.to_string_lossy();
            env = [("HOME", &*home), ("USER", &user.name), ("LOGNAME", &user.name)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        }
        env.extend_from_slice(&plan.env);
        let stdin = self.stdin.take();
        let given = match &stdin {
            Some(file) => send_descriptor(&self.gate, file),
            None => send_descriptor(&self.gate, io::stdin()),
        };
        if let Err(source) = given.and_then(|()| send(&self.gate, &Order::Go { env })) {
            return Err(lost(source));
        }
        // The exec closes the socket. A message means that the exec failed.
        match self.gate_reports.receive::<Report>() {
            Ok(None) => Ok(()),
            Ok(Some(Report::ExecFailed { step, errno })) => {
                Err(Error::Exec { program: plan.program(), step, source: io::Error::from_raw_os_error(errno) })
            }
            Ok(Some(_)) => Err(lost(io::Error::other("unexpected message"))),
            Err(source) => Err(lost(source)),
        }
    }

    /// Sends an order to the supervisor. If the supervisor is gone, its socket shows it, not this function.
    pub(super) fn order(&self, order: &Order) {
        let _ = send(&self.supervisor, order);
    }

    /// Waits for the supervisor process itself, after it has reported that all processes are gone.
    pub(super) fn reap(&mut self) {
        let _ = self.child.wait();
    }
}

impl Drop for Launched {
    /// In every case the supervisor sees its socket close and kills all remaining processes. Waits for that. If the
    /// supervisor itself was killed, its orphans are goflame's children.
    fn drop(&mut self) {
        let _ = self.supervisor.shutdown(std::net::Shutdown::Both);
        let _ = self.gate.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
        kill_and_reap_all(&self.bystanders);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_supervisor_that_ends_early_is_an_error_not_a_hang() {
        for program in ["false", "true"] {
            let (rendezvous, childrens_end) = rendezvous().expect("a socket");
            let mut child = Command::new(program).stdin(childrens_end).spawn().expect("a program");
            assert!(meet(&rendezvous, &mut child).is_err());
        }
    }

    #[test]
    fn the_gate_gets_the_program_after_the_dashes() {
        let command = gate_command(Path::new("/g"), "-", &[OsString::from("-x")]);
        assert_eq!(command, ["/g", "__gate", "-", "--", "-x"].map(OsString::from));
    }
}
