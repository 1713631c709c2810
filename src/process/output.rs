//! Reads the output of a program that may leave processes behind which keep it open.

use std::fs::File;
use std::io::{self, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Maximum time of a wait for output: 100 ms.
const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Reads bytes of a pipe or of a pseudo-terminal. Returns their number, which is 0 when all writers are gone, or `None` if
/// no bytes came within 100 ms.
pub fn read_output(from: &mut File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // After an error of `poll`, the read reports the state.
    if poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&INTERVAL)) == Ok(0) {
        return Ok(None);
    }
    match from.read(buffer) {
        Ok(count) => Ok(Some(count)),
        // A pseudo-terminal without writers.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => Ok(Some(0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}
