//! Messages between goflame, its supervisor and its exec gate: one JSON value per line, on unnamed sockets.
//!
//! The standard input of supervisor and exec gate is one end of a socket pair, the *rendezvous*. On it, each of the two
//! introduces itself and sends one end of a private socket pair. All other messages use the private pair. No other
//! process can connect to these sockets.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::time::TimeVal;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Messages from the supervisor and the exec gate to goflame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HelperReport {
    /// The supervisor has started.
    Supervisor,
    /// The exec gate has started and waits for its order.
    ExecGate {
        /// Process id of the exec gate. The program will have the same id.
        pid: i32,
        /// CPU time of the exec gate before the program starts, in microseconds. It does not count for the program.
        own_cpu_us: u64,
        /// Peak resident memory of the exec gate in KiB. The kernel does not reset this maximum when the program
        /// starts.
        own_rss_kib: u64,
    },
    /// The exec gate could not execute the program. After a successful exec, its socket closes without a message.
    ExecFailed {
        /// The step that failed.
        step: ExecStep,
        /// Error number (errno) of the step.
        errno: i32,
    },
    /// The program ended. Its descendants can still be running.
    Exited {
        /// Status word of wait(2).
        wait_status: i32,
    },
    /// All processes have ended. This is the last message.
    AllGone(Usage),
}

/// A step of the exec gate that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ExecStep {
    /// Giving up root for the user who called sudo.
    #[error("changing to the calling user")]
    BecomeUser,
    /// `execve`.
    #[error("starting the program")]
    Execute,
}

/// Resources used by the program and its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    /// User CPU time in microseconds.
    pub(super) user_us: u64,
    /// System CPU time in microseconds.
    pub(super) system_us: u64,
    /// CPU time of the program's control group. `None` without a group, or if the group does not count CPU time.
    pub(super) group: Option<GroupTimes>,
    /// Peak resident memory of the largest process, in KiB.
    pub(super) max_rss_kib: u64,
    /// Number of processes that outlived the program.
    pub(super) outliving_processes: usize,
    /// Number of these processes that could not be stopped.
    pub(super) unstoppable: usize,
}

/// CPU time of the processes of a control group. Unlike `getrusage`, it is complete for ended threads and includes
/// children that their parent did not wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupTimes {
    /// User CPU time in microseconds.
    pub(super) user_us: u64,
    /// System CPU time in microseconds.
    pub(super) system_us: u64,
}

/// Messages from goflame to the supervisor and the exec gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// To the exec gate: execute the program with these additional environment variables. Supervisor and launcher can
    /// run as root and must not get the program's environment.
    Go {
        /// Names and values.
        env: Vec<(String, String)>,
    },
    /// To the supervisor: send a signal to the program.
    Signal {
        /// Process id of the program. With a launcher in between, the program is not a child of the supervisor.
        pid: i32,
        /// Number of the signal.
        signal: i32,
    },
    /// To the supervisor: kill the program and its descendants.
    KillAll,
    /// To the supervisor: remove this control group after the last process has ended, even if goflame is gone by then.
    RemoveGroup {
        /// Directory of the group.
        path: PathBuf,
    },
}

/// Converts a time of `getrusage` to microseconds.
pub(super) fn to_microseconds(time: TimeVal) -> u64 {
    let microseconds = i128::from(time.tv_sec()) * 1_000_000 + i128::from(time.tv_usec());
    u64::try_from(microseconds).unwrap_or(0)
}

/// Sends a value as a line of JSON.
pub(super) fn send(mut to: &UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Creates a rendezvous. Returns goflame's end, and the end for the standard input of its children. Each message
/// arrives complete and with its descriptor, even if two processes send at the same time.
pub(super) fn create_rendezvous() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Introduces this process on its standard input. Returns its private socket to goflame.
pub(super) fn introduce(report: &HelperReport) -> io::Result<UnixStream> {
    let (own, goflames) = UnixStream::pair()?;
    send_bytes_and_descriptor(io::stdin(), &serde_json::to_vec(report)?, goflames)?;
    Ok(own)
}

/// Receives an introduction. `None` if all processes that could send an introduction are gone.
pub(super) fn receive_introduction(rendezvous: &OwnedFd) -> io::Result<Option<(UnixStream, HelperReport)>> {
    // An introduction has about 100 bytes.
    let mut bytes = [0; 4096];
    let (count, socket) = receive_bytes_and_descriptor(rendezvous, &mut bytes)?;
    if count == 0 {
        return Ok(None);
    }
    let socket = socket.ok_or_else(|| io::Error::other("an introduction without a socket"))?;
    Ok(Some((socket.into(), serde_json::from_slice(bytes.get(..count).unwrap_or_default())?)))
}

/// Sends a file descriptor. The receiver must receive it before the next value.
pub(super) fn send_descriptor(to: &UnixStream, descriptor: impl AsFd) -> io::Result<()> {
    send_bytes_and_descriptor(to, b"\n", descriptor)
}

/// Receives a file descriptor. `None` if the other end is closed.
pub(super) fn receive_descriptor(from: &UnixStream) -> io::Result<Option<OwnedFd>> {
    Ok(receive_bytes_and_descriptor(from, &mut [0])?.1)
}

fn send_bytes_and_descriptor(to: impl AsFd, bytes: &[u8], descriptor: impl AsFd) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    sendmsg(to, &[IoSlice::new(bytes)], &mut message, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_bytes_and_descriptor(from: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut message, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = message.drain().find_map(|part| match part {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}

pub(super) struct Receiver {
    lines: BufReader<UnixStream>,
}

impl Receiver {
    /// Creates a receiver that reads from a duplicate of `stream`.
    pub(super) fn new(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { lines: BufReader::new(stream.try_clone()?) })
    }

    /// Waits for the next value. `None` if the other end is closed.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(io::Error::other)
    }

    /// Whether a value is already in the buffer, where `poll` does not see it.
    pub(super) fn has_buffered(&self) -> bool {
        !self.lines.buffer().is_empty()
    }
}
