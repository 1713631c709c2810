//! Waits for the sign that a server is ready.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use regex::bytes::Regex;

use super::error::Error;
use crate::config::{HttpAddress, ReadySign};
use crate::endpoint::connect;
use crate::process::process_listening_on;

/// Time between two attempts to connect.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(20);

/// Timeout of an attempt. A starting server can accept a connection long before it answers.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum bytes of a log line that are matched.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// A sign that goflame is waiting for. Dropping it ends the attempts.
pub(super) struct AwaitedSign {
    state: Arc<SignState>,
}

#[derive(Default)]
struct SignState {
    seen: AtomicBool,
    over: AtomicBool,
    /// Why the last attempt failed.
    last_failure: Mutex<String>,
    /// Pattern of the expected line in the output of the server.
    line: Option<Regex>,
}

impl AwaitedSign {
    /// Starts to wait in the background.
    pub(super) fn new(sign: &ReadySign) -> Self {
        let line = match sign {
            // The pattern is valid, because the configuration refuses invalid patterns.
            ReadySign::Log(pattern) => Regex::new(pattern).ok(),
            ReadySign::Http(_) | ReadySign::Tcp(_) => None,
        };
        let state = Arc::new(SignState { line, ..SignState::default() });
        match sign {
            ReadySign::Log(_) => {}
            ReadySign::Tcp(address) => {
                repeat_attempts_in_thread(&state, address.clone(), |address| {
                    connect(address.as_str(), ATTEMPT_TIMEOUT).map(drop)
                });
            }
            ReadySign::Http(address) => repeat_attempts_in_thread(&state, address.clone(), try_http),
        }
        Self { state }
    }

    /// Whether the sign was seen.
    pub(super) fn is_seen(&self) -> bool {
        self.state.seen.load(Ordering::SeqCst)
    }

    /// Why the last attempt failed. Empty if no attempt failed.
    pub(super) fn last_failure(&self) -> String {
        self.state.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A reader for one stream of the server's output. `None` if the sign is not a line of output.
    pub(super) fn line_reader(&self) -> Option<LineReader> {
        self.state.line.as_ref().map(|_| LineReader { state: Arc::clone(&self.state), line: Vec::new() })
    }
}

impl Drop for AwaitedSign {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
    }
}

/// Repeats attempts in a separate thread, because name resolution and connecting can take any time.
fn repeat_attempts_in_thread<T: Send + 'static>(state: &Arc<SignState>, to: T, attempt: fn(&T) -> io::Result<()>) {
    let state = Arc::clone(state);
    thread::spawn(move || {
        while !state.over.load(Ordering::SeqCst) {
            match attempt(&to) {
                Ok(()) => return state.seen.store(true, Ordering::SeqCst),
                Err(error) => {
                    *state.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
                }
            }
            thread::sleep(ATTEMPT_INTERVAL);
        }
    });
}

/// Sends a request and checks that the status of the answer is 2xx or 3xx.
fn try_http(address: &HttpAddress) -> io::Result<()> {
    let mut stream = connect(address.authority.as_str(), ATTEMPT_TIMEOUT)?;
    stream.set_read_timeout(Some(ATTEMPT_TIMEOUT))?;
    stream.set_write_timeout(Some(ATTEMPT_TIMEOUT))?;
    let HttpAddress { authority, path } = address;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: goflame\r\nConnection: close\r\n\r\n")?;
    // `HTTP/1.1 200`
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'2' | b'3', _, _] => Ok(()),
        _ => Err(io::Error::other(format!("the answer was {}", String::from_utf8_lossy(&line).escape_debug()))),
    }
}

/// Searches for the expected line in one stream.
pub(super) struct LineReader {
    state: Arc<SignState>,
    /// The beginning of the current line, at most [`MAX_LINE_BYTES`].
    line: Vec<u8>,
}

impl LineReader {
    /// Reads the next bytes of the stream.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let Some(pattern) = self.state.line.as_ref().filter(|_| !self.state.seen.load(Ordering::SeqCst)) else {
            return;
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            if part.ends_with(b"\n") {
                if pattern.is_match(self.line.trim_ascii_end()) {
                    self.state.seen.store(true, Ordering::SeqCst);
                }
                self.line.clear();
            }
        }
    }
}

/// Fails if another process answers at the address. Its answer would be taken for the server's.
pub(super) fn check_port_is_free(sign: &ReadySign) -> Result<(), Error> {
    let address = match sign {
        ReadySign::Log(_) => return Ok(()),
        ReadySign::Tcp(address) => address,
        ReadySign::Http(address) => &address.authority,
    };
    if connect(address.as_str(), ATTEMPT_TIMEOUT).is_err() {
        return Ok(());
    }
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    Err(Error::PortInUse { address: address.clone(), holder: port.and_then(process_listening_on) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_wherever_reads_split_it() {
        let output = b"starting\nlistening on :8080\r\nend\n";
        for size in 1..output.len() {
            let sign = AwaitedSign::new(&ReadySign::Log("listening on :[0-9]+$".to_owned()));
            let mut reader = sign.line_reader().expect("a sign in the log");
            output.chunks(size).for_each(|part| reader.read(part));
            assert!(sign.is_seen(), "{size}");
        }
        let sign = AwaitedSign::new(&ReadySign::Log("listening".to_owned()));
        let mut readers = [sign.line_reader(), sign.line_reader()].map(|reader| reader.expect("a reader"));
        readers[0].read(b"listen");
        readers[1].read(b"ing\n");
        readers[0].read(&vec![b'x'; 3 * MAX_LINE_BYTES]);
        assert!(!sign.is_seen(), "a line is not joined from two streams, and only its beginning is matched");
        readers[0].read(b"\nlistening\n");
        assert!(sign.is_seen());
    }
}
