//! What goflame, its supervisor and its gate say to each other: one JSON value a line, on a socket in a
//! private directory.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// From supervisor and gate to goflame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The supervisor is there.
    Supervisor,
    /// The gate is there and waits.
    Gate {
        /// Its process id, which the program will have.
        pid: i32,
        /// CPU time that it used until now, which is goflame's and not the program's.
        own_cpu_us: u64,
        /// Its peak resident memory in KiB, which the kernel goes on counting for the program.
        own_rss_kib: u64,
    },
    /// The gate could not become the program. Without this, its end of the socket just closes.
    ExecFailed {
        /// What failed.
        step: String,
        /// The errno.
        errno: i32,
    },
    /// The program ended; what it started may still run.
    Exited(Exit),
    /// Nothing runs any more. The last message.
    Gone(Usage),
}

/// How a process ended: exactly one of the two is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    /// The exit code.
    pub(super) code: Option<i32>,
    /// The signal that killed it.
    pub(super) signal: Option<i32>,
}

/// What the program and everything that it started used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    /// User CPU time in microseconds.
    pub(super) user_us: u64,
    /// System CPU time in microseconds.
    pub(super) system_us: u64,
    /// Peak resident memory of the largest process, in KiB.
    pub(super) max_rss_kib: u64,
    /// Processes that outlived the program.
    pub(super) outlived: usize,
    /// Of these, processes that could not be stopped.
    pub(super) unstoppable: usize,
}

/// From goflame to supervisor and gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// To the gate: become the program, with this added to the environment. Not earlier: supervisor and perf may be
    /// root, and the environment of the program is not for them.
    Go {
        /// Names and values.
        env: Vec<(String, String)>,
    },
    /// To the supervisor: pass a signal to the program.
    Signal {
        /// The program, which is not the supervisor's own child where `perf record` stands between them.
        pid: i32,
        /// The signal.
        signal: i32,
    },
    /// To the supervisor: kill everything.
    KillAll,
}

/// Sends one value.
pub(super) fn send(mut to: &UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Receives values from one end of a socket.
pub(super) struct Receiver {
    lines: BufReader<UnixStream>,
}

impl Receiver {
    /// Reads from a copy of `stream`.
    pub(super) fn new(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { lines: BufReader::new(stream.try_clone()?) })
    }

    /// The next value; `None` when the other end is closed.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(io::Error::other)
    }

    /// Whether a value was read from the socket and waits here, where `poll` does not see it.
    pub(super) fn has_buffered(&self) -> bool {
        !self.lines.buffer().is_empty()
    }
}
