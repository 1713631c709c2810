//! Separates the runtime's lines from what the program itself writes to the same stream.
//!
//! The runtime writes a line in many pieces: each text and each number of it is a write(2) of its own. Other threads and
//! processes may write between the pieces. So the separator must see each write apart. It takes a piece for a part of a
//! line only if the line that begins with the pieces so far can go on with it.

use std::collections::VecDeque;

use super::cursor::Mismatch;
use super::line::RuntimeLine;

/// The first piece of each kind of line.
const STARTS: [&[u8]; 3] = [b"gc ", b"SCHED ", b"init "];
/// The first pieces of the lines that follow a line of `scheddetail=1`.
const DETAIL_STARTS: [&[u8]; 3] = [b"  P", b"  M", b"  G"];

/// Longest piece in bytes: the path of a package.
const MAX_PIECE: usize = 256;

/// Time after which a line that does not go on is the program's: 2 s. A thread of a busy machine may wait a while between
/// two pieces, but a prompt of the program should not wait for ever.
const PATIENCE_NS: u64 = 2_000_000_000;

/// Bytes that are held back at most: what a program may write while the runtime is between two pieces.
const MAX_HELD: usize = 16 << 20;

/// Number of processes whose lines may go on: the newest ones.
const MAX_PROCESSES: usize = 1024;

/// Separates the pieces of a stream.
#[derive(Debug, Default)]
pub struct Separator {
    /// Pieces that are held back, in the order of the stream: the first one belongs to an open line.
    held: VecDeque<Piece>,
    held_bytes: usize,
    /// Lines that are not complete, the oldest first.
    open: Vec<OpenLine>,
    next_id: u64,
    processes: Processes,
}

/// The parts of a stream.
#[derive(Debug, Default)]
pub struct Separated {
    /// The program's bytes.
    pub program: Vec<u8>,
    /// The runtime's lines.
    pub lines: Vec<ArrivedLine>,
    /// Lines of the runtime that the end of the stream cut off.
    pub cut_lines: Vec<Vec<u8>>,
}

/// A line of the runtime.
#[derive(Debug, PartialEq, Eq)]
pub struct ArrivedLine {
    /// Its bytes, with the newline.
    pub bytes: Vec<u8>,
    /// Its meaning.
    pub line: RuntimeLine,
    /// Index of the process that wrote it, as far as its figures show it.
    pub process: usize,
    /// When its last piece was read.
    pub arrived_ns: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// Id of the open line that it belongs to. `None` for the program's.
    line: Option<u64>,
}

#[derive(Debug)]
struct OpenLine {
    id: u64,
    bytes: Vec<u8>,
    /// When its last piece arrived.
    continued_ns: u64,
}

impl Separator {
    /// Takes the bytes of one write.
    pub fn push(&mut self, piece: &[u8], now_ns: u64, out: &mut Separated) {
        self.expire(now_ns, out);
        // The newest first: a thread that prints is rarely interrupted by another one that prints.
        for index in (0..self.open.len()).rev() {
            let Some(open) = self.open.get_mut(index) else { continue };
            let Some(parsed) = open.parse_with(piece) else { continue };
            let id = open.id;
            open.bytes.extend_from_slice(piece);
            open.continued_ns = now_ns;
            self.hold(piece, Some(id));
            if let Some(line) = parsed {
                self.complete(index, line, now_ns, out);
            }
            return;
        }
        let starts = STARTS.contains(&piece) || (self.processes.detailed && DETAIL_STARTS.contains(&piece));
        if starts {
            let id = self.next_id;
            self.next_id += 1;
            self.open.push(OpenLine { id, bytes: piece.to_vec(), continued_ns: now_ns });
            self.hold(piece, Some(id));
        } else if self.open.is_empty() {
            out.program.extend_from_slice(piece);
        } else {
            self.hold(piece, None);
        }
        while self.held_bytes > MAX_HELD && !self.open.is_empty() {
            self.give_up(0, out);
        }
    }

    /// Gives open lines that do not go on to the program.
    pub fn expire(&mut self, now_ns: u64, out: &mut Separated) {
        while let Some(index) = self.open.iter().position(|open| now_ns.saturating_sub(open.continued_ns) > PATIENCE_NS)
        {
            self.give_up(index, out);
        }
    }

    /// Ends the stream. A program may end while its runtime writes: a line whose first figure is the one that must follow is
    /// the runtime's, even if it is not complete.
    pub fn finish(&mut self, out: &mut Separated) {
        for open in std::mem::take(&mut self.open) {
            if self.processes.expect(&open.bytes) {
                self.held.retain(|piece| piece.line != Some(open.id));
                out.cut_lines.push(open.bytes);
            } else {
                self.release(open.id);
            }
        }
        self.flush(out);
    }

    fn hold(&mut self, piece: &[u8], line: Option<u64>) {
        self.held_bytes += piece.len();
        self.held.push_back(Piece { bytes: piece.to_vec(), line });
    }

    fn complete(&mut self, index: usize, line: RuntimeLine, arrived_ns: u64, out: &mut Separated) {
        let open = self.open.remove(index);
        match self.processes.find(&line) {
            Some(process) => {
                self.held.retain(|piece| piece.line != Some(open.id));
                self.held_bytes -= open.bytes.len();
                out.lines.push(ArrivedLine { bytes: open.bytes, line, process, arrived_ns });
            }
            None => self.release(open.id),
        }
        self.flush(out);
    }

    fn give_up(&mut self, index: usize, out: &mut Separated) {
        let open = self.open.remove(index);
        self.processes.has_gaps = true;
        self.release(open.id);
        self.flush(out);
    }

    /// Makes the pieces of a line the program's.
    fn release(&mut self, id: u64) {
        for piece in self.held.iter_mut().filter(|piece| piece.line == Some(id)) {
            piece.line = None;
        }
    }

    /// Passes on what stands before the first open line.
    fn flush(&mut self, out: &mut Separated) {
        while self.held.front().is_some_and(|piece| piece.line.is_none()) {
            let Some(piece) = self.held.pop_front() else { return };
            self.held_bytes -= piece.bytes.len();
            out.program.extend_from_slice(&piece.bytes);
        }
    }
}

impl OpenLine {
    /// Whether the line goes on with a piece: `Some(None)` if it does, `Some(Some(_))` if it is then complete.
    fn parse_with(&self, piece: &[u8]) -> Option<Option<RuntimeLine>> {
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let is_inside_a_number = self.bytes.last().is_some_and(is_number) && piece.first().is_some_and(is_number);
        if is_inside_a_number || !self.is_piece(piece) {
            return None;
        }
        match RuntimeLine::parse(&[&self.bytes, piece].concat()) {
            Ok(line) => Some(Some(line)),
            Err(Mismatch::Incomplete) => Some(None),
            Err(Mismatch::InsideText | Mismatch::Different) => None,
        }
    }

    /// Whether the runtime may write these bytes at once: a number, or a text without numbers. Only the name of a package
    /// may have both.
    fn is_piece(&self, piece: &[u8]) -> bool {
        let unsigned = piece.strip_prefix(b"-").unwrap_or(piece);
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let has_digits = piece.iter().any(u8::is_ascii_digit);
        piece.len() <= MAX_PIECE && (!has_digits || unsigned.iter().all(is_number) || self.bytes == b"init ")
    }
}

/// The processes that write to the stream, by the figures of their lines. Usually it is one.
#[derive(Debug, Default)]
struct Processes {
    /// Number of the last collection of each process.
    collections: Vec<u64>,
    /// Time of the last state of the scheduler of each process, in milliseconds.
    snapshots: Vec<u64>,
    /// Whether there was a line of `scheddetail=1`.
    detailed: bool,
    /// Whether lines were given up, so that numbers may be missing.
    has_gaps: bool,
}

impl Processes {
    /// Returns the process of a line. `None` if the line cannot be the runtime's: numbers of collections rise by one and
    /// begin with 1, and times of the scheduler rise and begin with 0.
    fn find(&mut self, line: &RuntimeLine) -> Option<usize> {
        match line {
            RuntimeLine::Gc(cycle) => {
                let begins = cycle.number == 1;
                let precedes = |last: u64| !begins && last.checked_add(1) == Some(cycle.number);
                find_process(&mut self.collections, cycle.number, begins || self.has_gaps, precedes)
            }
            RuntimeLine::Scheduler(snapshot) => {
                self.detailed |= snapshot.processor_queues.is_empty();
                let begins = snapshot.at_ms == 0;
                let precedes = |last: u64| !begins && last <= snapshot.at_ms;
                find_process(&mut self.snapshots, snapshot.at_ms, begins || self.has_gaps, precedes)
            }
            RuntimeLine::Processor(_) | RuntimeLine::Detail => self.snapshots.len().checked_sub(1),
            RuntimeLine::Init(_) => Some(0),
        }
    }

    /// Whether a line that begins like this must be the runtime's.
    fn expect(&self, line: &[u8]) -> bool {
        let digits = |kind: &str| {
            let rest = line.strip_prefix(kind.as_bytes())?;
            let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
            std::str::from_utf8(rest.get(..end)?).ok()?.parse::<u64>().ok()
        };
        if let Some(number) = digits("gc ") {
            let before = number.saturating_sub(1);
            return self.collections.contains(&before) || (number == 1 && self.collections.is_empty());
        }
        match digits("SCHED ") {
            Some(0) => self.snapshots.is_empty(),
            Some(ms) => self.snapshots.iter().any(|last| *last <= ms),
            None => line.starts_with(b"  ") || (line.starts_with(b"init ") && line.len() > b"init ".len()),
        }
    }
}

/// Finds the newest process whose last figure precedes this one, and updates it. If there is none, the figure may begin a
/// process.
fn find_process(last: &mut Vec<u64>, figure: u64, begins: bool, precedes: impl Fn(u64) -> bool) -> Option<usize> {
    let oldest = last.len().saturating_sub(MAX_PROCESSES);
    if let Some((index, last)) = last.iter_mut().enumerate().skip(oldest).rev().find(|(_, last)| precedes(**last)) {
        *last = figure;
        return Some(index);
    }
    last.extend(begins.then_some(figure));
    begins.then(|| last.len() - 1)
}
