//! Copies the program's output: shows it at once, and writes it to a file.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::kept_log::{IncompleteLog, KeptLog, LogGap};
use super::runtime_lines::RuntimeLines;
use crate::gotrace::RuntimeTrace;
use crate::process::read_output;

/// Maximum bytes of a read. A pipe in packet mode returns up to a page, at most 64 KiB, and would drop bytes that do
/// not fit.
const READ_SIZE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct CopiedOutput {
    /// Incomplete copies of the output.
    pub(super) incomplete_logs: Vec<IncompleteLog>,
    /// Events that the Go runtime reported on the stream.
    pub(super) runtime: RuntimeTrace,
}

/// Copies all output of `reader` to a log until all writers are gone. When `over` is set, stops as soon as no bytes
/// arrive. If writing the log fails, showing continues, so that the program never blocks on a stream that nobody reads.
/// With `runtime_log`, lines of the Go runtime go only to this file.
pub(super) fn copy_output(
    mut reader: File,
    path: &Path,
    runtime_log: Option<&Path>,
    max_bytes: Option<u64>,
    over: &AtomicBool,
    mut show: impl FnMut(&[u8]),
) -> CopiedOutput {
    let mut copy = KeptLog::create(path, max_bytes);
    let mut runtime = runtime_log.map(|path| RuntimeLines::new(KeptLog::create(path, max_bytes)));
    let mut show = |copy: &mut KeptLog, bytes: &[u8]| {
        if !bytes.is_empty() {
            show(bytes);
            copy.write(bytes);
        }
    };
    let mut buffer = vec![0_u8; READ_SIZE];
    loop {
        match read_output(&mut reader, &mut buffer) {
            Ok(Some(0)) => break,
            Ok(Some(count)) => match &mut runtime {
                Some(runtime) => runtime.split_lines(count, &mut buffer, &mut reader),
                None => show(&mut copy, &buffer[..count]),
            },
            // A process still has the stream open: a process of the program that could not be stopped, or any process
            // of the load.
            Ok(None) if over.load(Ordering::SeqCst) => {
                copy.note_gap(LogGap::StillWritten);
                break;
            }
            Ok(None) => {}
            Err(error) => {
                copy.note_gap(error.into());
                break;
            }
        }
        if let Some(runtime) = &mut runtime {
            show(&mut copy, &runtime.take_program_bytes());
        }
    }
    let mut copied = CopiedOutput::default();
    if let Some(runtime) = runtime {
        let (rest, trace, log) = runtime.finish();
        show(&mut copy, &rest);
        copied.incomplete_logs.extend(log.finish());
        copied.runtime = trace;
    }
    copied.incomplete_logs.extend(copy.finish());
    copied
}
