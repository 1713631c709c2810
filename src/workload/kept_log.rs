//! A copy of output in a file, which can be incomplete.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::fsio::create_private;

/// Bytes to keep from the end of a log that exceeds its limit. Go writes the reason for a crash at the end.
const TAIL_BYTES: usize = 64 * 1024;

/// Bytes reserved for the line that gives the number of bytes left out.
const GAP_LINE_BYTES: u64 = 128;

/// An incomplete copy of the program's output.
#[derive(Debug, thiserror::Error)]
#[error("{log} is not complete: {gap}")]
pub struct IncompleteLog {
    /// File name of the copy, without a directory, because the directory is renamed when the run is complete.
    pub log: String,
    /// The missing part.
    pub gap: LogGap,
}

/// The missing part of a copy of the program's output.
#[derive(Debug, thiserror::Error)]
pub enum LogGap {
    /// The end: the copy stopped because a process that outlives the command can write forever.
    #[error("a process still writes to it after the end of the command")]
    StillWritten,
    /// This number of bytes in the middle is missing.
    #[error("{0} bytes are left out in the middle (`max_bytes` in [archive])")]
    LeftOut(u64),
    /// All output after this error.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// A log, and its first missing part.
pub(super) struct KeptLog {
    name: String,
    log: Option<Log<File>>,
    gap: Option<LogGap>,
}

impl KeptLog {
    pub(super) fn create(path: &Path, max_bytes: Option<u64>) -> Self {
        let name = path.file_name().unwrap_or_default().display().to_string();
        match create_private(path) {
            Ok(file) => Self { name, log: Some(Log::new(file, max_bytes)), gap: None },
            Err(error) => Self { name, log: None, gap: Some(error.source.into()) },
        }
    }

    /// Writes bytes. After an error, nothing more is written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Some(Err(error)) = self.log.as_mut().map(|log| log.write(bytes)) {
            self.note_gap(error.into());
            self.log = None;
        }
    }

    /// Notes a gap. Only the first gap is reported.
    pub(super) fn note_gap(&mut self, gap: LogGap) {
        self.gap.get_or_insert(gap);
    }

    /// Completes the log. `None` if the log is complete.
    pub(super) fn finish(mut self) -> Option<IncompleteLog> {
        match self.log.take().map(Log::finish) {
            None | Some(Ok(0)) => {}
            Some(Ok(left_out)) => self.note_gap(LogGap::LeftOut(left_out)),
            Some(Err(error)) => self.note_gap(error.into()),
        }
        self.gap.map(|gap| IncompleteLog { log: self.name, gap })
    }
}

/// Copy of the output. If the output exceeds the limit, keeps its beginning and its end.
struct Log<W> {
    file: W,
    /// Number of bytes that can still be added to the beginning of the log.
    head_room: u64,
    /// The last bytes of the output that did not fit.
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Log<File> {
    fn new(file: File, max_bytes: Option<u64>) -> Self {
        Self::with_head_room(
            file,
            max_bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(TAIL_BYTES as u64 + GAP_LINE_BYTES)),
        )
    }
}

impl<W: Write> Log<W> {
    fn with_head_room(file: W, head_room: u64) -> Self {
        Self { file, head_room, tail: VecDeque::new(), left_out: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = usize::try_from(self.head_room).map_or(bytes.len(), |head_room| head_room.min(bytes.len()));
        let (head, rest) = bytes.split_at(fits);
        self.file.write_all(head)?;
        self.head_room -= fits as u64;
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        self.left_out += excess as u64;
        Ok(())
    }

    /// Writes the tail. Returns the number of bytes that were left out before it.
    fn finish(mut self) -> io::Result<u64> {
        if self.left_out > 0 {
            writeln!(self.file, "\n[goflame: {}]", LogGap::LeftOut(self.left_out))?;
        }
        self.file.write_all(self.tail.make_contiguous())?;
        Ok(self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::{Log, TAIL_BYTES};

    /// Writes the pieces to a log with a beginning of 4 bytes. Returns its content, and the number of bytes left out.
    fn written_log<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<u8>, u64) {
        let mut file = Vec::new();
        let mut log = Log::with_head_room(&mut file, 4);
        for piece in pieces {
            log.write(piece).expect("a vector takes everything");
        }
        let left_out = log.finish().expect("a vector takes everything");
        (file, left_out)
    }

    #[test]
    fn a_log_within_its_limit_is_complete() {
        let longest = [vec![b'a'; 4], vec![b'b'; TAIL_BYTES]].concat();
        for length in [0, 3, 4, 5, longest.len()] {
            for size in [1, 3, longest.len()] {
                assert_eq!(written_log(longest[..length].chunks(size)), (longest[..length].to_vec(), 0));
            }
        }
    }

    #[test]
    fn a_longer_log_keeps_its_beginning_and_its_end() {
        let written = [&b"head"[..], b"left out", &vec![b'x'; TAIL_BYTES - 4], b"tail"].concat();
        for size in [1, 7, 1000, written.len()] {
            let (file, left_out) = written_log(written.chunks(size));
            let gap = "head\n[goflame: 8 bytes are left out in the middle (`max_bytes` in [archive])]\nxxx";
            assert_eq!(left_out, 8);
            assert!(file.starts_with(gap.as_bytes()) && file.ends_with(b"xtail"), "{size}");
            assert_eq!(file.len(), 4 + gap.len() - 7 + TAIL_BYTES);
        }
    }
}
