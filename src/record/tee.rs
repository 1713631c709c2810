//! The program's output: shown as it comes, and kept in a file.

use std::io::{self, PipeReader, Read, Write};

use super::plan::RecordPlan;
use super::session::{OutputStream, Progress};

/// Copies everything that comes out of `pipe`, until all its writers are gone. Showing and keeping are
/// independent: when one fails, the other goes on, so that the program never blocks on a full pipe.
/// Returns a sentence when the copy is not complete.
pub(super) fn tee(
    mut pipe: PipeReader,
    stream: OutputStream,
    plan: &RecordPlan,
    progress: &dyn Progress,
) -> Option<String> {
    let path = match stream {
        OutputStream::Stdout => &plan.stdout_log,
        OutputStream::Stderr => &plan.stderr_log,
    };
    let mut problem = None;
    let mut note = |error: io::Error| {
        problem.get_or_insert_with(|| format!("{} is not complete: {error}", path.display()));
    };
    let mut file = match plan.create(path) {
        Ok(file) => Some(file),
        Err(error) => {
            note(error);
            None
        }
    };
    let mut buffer = [0_u8; 16 * 1024];
    loop {
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
