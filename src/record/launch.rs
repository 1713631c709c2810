//! Starting supervisor and gate, up to the moment before the program begins.

use std::collections::HashSet;
use std::io::{self, PipeReader, pipe};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{geteuid, set_child_subreaper};

use super::message::{Order, Receiver, Report, send};
use super::plan::{RecordPlan, Sampler, Stdin};
use super::supervisor::{SUPERVISE, descendants, gate_command, kill_and_reap_all};
use super::{Error, Settled, perf};

/// How long supervisor and gate may take to appear. They are goflame's own binary, so this is generous.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often to look whether the supervisor still lives, while nobody connects: 20 ms.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A program that is about to start.
pub(super) struct Launched {
    /// Socket to the supervisor.
    pub(super) supervisor: UnixStream,
    /// What the supervisor reports.
    pub(super) reports: Receiver,
    gate: UnixStream,
    gate_reports: Receiver,
    /// Process id that the program will have.
    pub(super) pid: i32,
    /// What the gate used before it becomes the program.
    pub(super) gate_own: Own,
    /// Standard output of the program.
    pub(super) stdout: Option<PipeReader>,
    /// Standard error of the program.
    pub(super) stderr: Option<PipeReader>,
    child: Child,
    /// Children that goflame had before, and theirs.
    bystanders: HashSet<Pid>,
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Launch { step, source }
}

/// Starts everything but the program itself.
pub(super) fn launch(plan: &RecordPlan, settled: &Settled) -> Result<Launched, Error> {
    // A missing directory would look like a missing supervisor.
    if let Err(source) = std::fs::read_dir(&plan.dir) {
        return Err(Error::Directory { path: plan.dir.clone(), source });
    }
    let stdin = match &plan.stdin {
        Stdin::Inherit => Stdio::inherit(),
        Stdin::File(path) => crate::fsio::open(path).map_err(Error::Stdin)?.into(),
    };
    // A shell that became goflame by `exec` may have left it children.
    let bystanders: HashSet<Pid> = descendants(&HashSet::new()).into_iter().collect();
    // Whatever the supervisor would leave behind if somebody killed it comes to goflame.
    set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| failed("becoming the reaper of what it starts")(errno.into()))?;
    // The path of a socket has room for 107 bytes (unix(7)), which some TMPDIR leaves no place for.
    let temporary = Some(std::env::temp_dir()).filter(|dir| dir.as_os_str().len() < 70);
    let directory = tempfile::Builder::new()
        .prefix("goflame-")
        .tempdir_in(temporary.as_deref().unwrap_or(Path::new("/tmp")))
        .map_err(failed("making a private directory"))?;
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).map_err(failed("making a socket"))?;
    listener.set_nonblocking(true).map_err(failed("making a socket"))?;
    let own = std::env::current_exe().map_err(failed("finding goflame's own binary"))?;
    let user = plan.user.as_ref().map_or_else(|| "-".into(), |user| format!("{}:{}:{}", user.uid, user.gid, user.name));
    let gate = gate_command(&own, &socket, &user, &plan.argv);
    let command = match &plan.sampler {
        Sampler::Native => gate,
        Sampler::Perf(perf) => perf::command(perf, plan, settled, gate),
    };

    let (stdout, stdout_end) = pipe().map_err(failed("making a pipe"))?;
    let (stderr, stderr_end) = pipe().map_err(failed("making a pipe"))?;
    let mut supervisor = Command::new(&own);
    supervisor.arg(SUPERVISE).arg(&socket).arg("--").args(&command);
    supervisor.current_dir(&plan.dir).stdin(stdin).stdout(stdout_end).stderr(stderr_end);
    let mut child = supervisor.spawn().map_err(failed("starting the supervisor"))?;
    // The command holds the writing ends of the pipes, which would keep the readers waiting for ever.
    drop(supervisor);

    let met = meet(&listener, &mut child);
    // Not later: a goflame that is killed cannot tidy up.
    drop(directory);
    match met {
        Ok((supervisor, reports, (gate, gate_reports, pid, gate_own))) => Ok(Launched {
            supervisor,
            reports,
            gate,
            gate_reports,
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

type Gate = (UnixStream, Receiver, i32, Own);

/// What the gate used before it becomes the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    /// CPU time.
    pub(super) cpu: Duration,
    /// Peak resident memory.
    pub(super) rss_kib: u64,
}

/// Accepts supervisor and gate, in whichever order they come.
fn meet(listener: &UnixListener, child: &mut Child) -> io::Result<(UnixStream, Receiver, Gate)> {
    let deadline = Instant::now() + PATIENCE;
    let (mut supervisor, mut gate) = (None, None);
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                // The directory of the socket may be another user's: only what goflame started may answer.
                if socket_peercred(&stream)?.uid != geteuid() {
                    continue;
                }
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let mut reports = Receiver::new(&stream)?;
                match reports.receive::<Report>()? {
                    Some(Report::Supervisor) => supervisor = Some((stream, reports)),
                    Some(Report::Gate { pid, own_cpu_us, own_rss_kib }) => {
                        let own = Own { cpu: Duration::from_micros(own_cpu_us), rss_kib: own_rss_kib };
                        gate = Some((stream, reports, pid, own));
                    }
                    _ => return Err(io::Error::other("unexpected message on the launch socket")),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(status) = child.try_wait()? {
                    return Err(io::Error::other(format!("the supervisor ended early: {status}")));
                }
                if Instant::now() > deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                match poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&LOOK)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(error) => return Err(error),
        }
        match (supervisor.take(), gate.take()) {
            (Some((stream, reports)), Some(gate)) => return Ok((stream, reports, gate)),
            pending => (supervisor, gate) = pending,
        }
    }
}

impl Launched {
    /// Lets the gate become the program; an error when it cannot.
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
        if let Err(source) = send(&self.gate, &Order::Go { env }) {
            return Err(lost(source));
        }
        // The socket closes at the exec; a message means that there was none.
        match self.gate_reports.receive::<Report>() {
            Ok(None) => Ok(()),
            Ok(Some(Report::ExecFailed { step, errno })) => {
                Err(Error::Exec { program: plan.program(), step, source: io::Error::from_raw_os_error(errno) })
            }
            Ok(Some(_)) => Err(lost(io::Error::other("unexpected message"))),
            Err(source) => Err(lost(source)),
        }
    }

    /// Sends an order to the supervisor. That it is gone already is seen on its socket, not here.
    pub(super) fn order(&self, order: &Order) {
        let _ = send(&self.supervisor, order);
    }

    /// Waits for the supervisor process itself, once it has said that everything is gone.
    pub(super) fn reap(&mut self) {
        let _ = self.child.wait();
    }
}

impl Drop for Launched {
    /// Whatever happened: the supervisor sees its socket close and kills what is left; wait for that. If it was
    /// killed itself, its orphans are goflame's.
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
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(directory.path().join("socket")).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let mut child = Command::new("false").spawn().expect("false");
        assert!(meet(&listener, &mut child).is_err());
    }

    #[test]
    fn the_gate_gets_the_program_after_the_dashes() {
        let command = gate_command(Path::new("/g"), Path::new("/s"), "-", &[OsString::from("-x")]);
        assert_eq!(command, ["/g", "__gate", "/s", "-", "--", "-x"].map(OsString::from));
    }
}
