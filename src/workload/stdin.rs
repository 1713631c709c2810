//! Opens the file for the program's standard input.

use std::fs::File;
use std::io::{self, pipe};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::Error;
use crate::fsio::{self, FileError};
use crate::process::{Signals, WakeReason};

/// Opens the file for standard input. Opening a FIFO blocks until it has a writer, and opening a device can block until
/// a connection. A separate thread opens the file, so that signals and the timeout are handled meanwhile. If no writer
/// comes, the thread ends with goflame.
pub(super) fn open_stdin(path: &Path, timeout: Duration, signals: &mut Signals) -> Result<File, Error> {
    let (opened, opened_end) = pipe().map_err(|source| Error::Launch { step: "making a pipe", source })?;
    let opening = thread::spawn({
        let path = path.to_owned();
        move || {
            let file = fsio::open(&path);
            drop(opened_end);
            file
        }
    });
    let unopened = |source| Error::Stdin(FileError::new("read", path, source));
    match signals.wait(opened.as_fd(), Some(timeout)).map_err(unopened)? {
        WakeReason::Signal(signal) => Err(Error::Interrupted { signal }),
        WakeReason::Readable => match opening.join() {
            Ok(file) => file.map_err(Error::Stdin),
            Err(_) => Err(unopened(io::Error::other("the thread that opens the file panicked"))),
        },
        WakeReason::TimedOut => Err(unopened(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing opened it for writing within {timeout:?} (timeout in [workload])"),
        ))),
    }
}
