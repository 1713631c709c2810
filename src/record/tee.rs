//! The program's output: shown as it comes, and kept in a file.

use std::io::{self, PipeReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::plan::RecordPlan;
use super::session::{OutputStream, Progress};

/// How long to wait before looking whether it is over: 100 ms.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Copies everything that comes out of `pipe`, until all its writers are gone or, once `over` is set, nothing more comes. Showing and keeping are
/// independent: when one fails, the other goes on, so that the program never blocks on a full pipe.
/// Returns a sentence when the copy is not complete.
pub(super) fn tee(
    mut pipe: PipeReader,
    stream: OutputStream,
    plan: &RecordPlan,
    progress: &dyn Progress,
    over: &AtomicBool,
) -> Option<String> {
    let path = match stream {
        OutputStream::Stdout => &plan.stdout_log,
        OutputStream::Stderr => &plan.stderr_log,
    };
    let mut problem = None;
    let mut note = |error: io::Error| {
        problem.get_or_insert_with(|| format!("{} is not complete: {error}", path.display()));
    };
    let mut file = match RecordPlan::create(path) {
        Ok(file) => Some(file),
        Err(error) => {
            note(error);
            None
        }
    };
    let mut buffer = [0_u8; 16 * 1024];
    loop {
        // Once the program is gone, what still holds the pipe is a process that could not be stopped.
        if !readable(&pipe) {
            if over.load(Ordering::SeqCst) {
                note(io::Error::other("a process that could not be stopped still writes to it"));
                break;
            }
            continue;
        }
        let count = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                note(error);
                break;
            }
        };
        let bytes = &buffer[..count];
        progress.output(stream, bytes);
        if let Some(Err(error)) = file.as_mut().map(|file| file.write_all(bytes)) {
            note(error);
            file = None;
        }
    }
    problem
}

/// Waits a little for bytes, or for the last writer to be gone.
fn readable(pipe: &PipeReader) -> bool {
    // A signal or any other error: the read will tell.
    poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&PAUSE)).is_ok_and(|ready| ready > 0)
}
