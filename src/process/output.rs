//! Reads the output of a program. A background process of the program can hold this output open.

use std::fs::File;
use std::io::{self, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Maximum time to wait for output.
const MAX_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Reads bytes from a pipe or a pseudo-terminal. Returns their number, 0 if all writers are gone, or `None` if no bytes
/// came within 100 ms.
pub fn read_output(from: &mut File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // After an error of `poll`, the read reports the state.
    if poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&MAX_WAIT)) == Ok(0) {
        return Ok(None);
    }
    match from.read(buffer) {
        Ok(count) => Ok(Some(count)),
        // A pseudo-terminal without writers returns EIO.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => Ok(Some(0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}
