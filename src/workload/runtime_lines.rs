//! Separates the Go runtime's lines from the program's standard error.

use std::fs::File;
use std::io::Read;

use super::kept_log::KeptLog;
use crate::gotrace::{OutputSplitter, RuntimeTrace, SplitOutput, TraceCollector};
use crate::perfevent::monotonic_ns;

/// Maximum number of writes that are read before the program's bytes are passed on.
const MAX_WRITES: usize = 1024;

/// Separates and collects the runtime's lines while the program runs.
pub(super) struct RuntimeLines {
    splitter: OutputSplitter,
    split_output: SplitOutput,
    collector: TraceCollector,
    log: KeptLog,
}

impl RuntimeLines {
    pub(super) fn new(log: KeptLog) -> Self {
        Self {
            splitter: OutputSplitter::default(),
            split_output: SplitOutput::default(),
            collector: TraceCollector::default(),
            log,
        }
    }

    /// Separates the first `count` bytes of the buffer, which are one write, and all writes that wait in the pipe.
    pub(super) fn split_lines(&mut self, count: usize, buffer: &mut [u8], reader: &mut File) {
        let now_ns = monotonic_ns();
        let mut push = |piece: &[u8]| self.splitter.push(piece, now_ns, &mut self.split_output);
        push(buffer.get(..count).unwrap_or_default());
        for _ in 0..MAX_WRITES {
            // After an error, such as an empty pipe, the caller's next read returns the error again.
            let Ok(count @ 1..) = reader.read(buffer) else { break };
            push(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Returns the bytes that certainly belong to the program. Stores complete lines of the runtime.
    pub(super) fn take_program_bytes(&mut self) -> Vec<u8> {
        self.splitter.expire(monotonic_ns(), &mut self.split_output);
        self.store_lines();
        std::mem::take(&mut self.split_output.program)
    }

    /// Ends the stream. Returns the program's last bytes, the runtime's events, and the log of its lines.
    pub(super) fn finish(mut self) -> (Vec<u8>, RuntimeTrace, KeptLog) {
        self.splitter.finish(&mut self.split_output);
        self.store_lines();
        for line in &self.split_output.cut_lines {
            self.log.write(line);
        }
        (self.split_output.program, self.collector.finish(), self.log)
    }

    fn store_lines(&mut self) {
        for line in self.split_output.lines.drain(..) {
            self.log.write(&line.bytes);
            self.collector.add(line);
        }
    }
}
