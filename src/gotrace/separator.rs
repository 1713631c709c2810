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

/// Pieces that are held back at most, and their bytes: what a program may write while the runtime is between two pieces.
const MAX_HELD: usize = 64 * 1024;
const MAX_HELD_BYTES: usize = 16 << 20;

/// Lines that are open at most. The runtime has rarely more than two.
const MAX_OPEN: usize = 16;

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
    arrived_ns: u64,
    /// Id of the open line that it belongs to. `None` for the program's.
    line: Option<u64>,
    /// Whether it looked like the beginning of a line, but the line did not go on.
    is_programs: bool,
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
        self.place(Piece { bytes: piece.to_vec(), arrived_ns: now_ns, line: None, is_programs: false }, out);
        if self.open.len() > MAX_OPEN || self.held.len() > MAX_HELD || self.held_bytes > MAX_HELD_BYTES {
            self.open.clear();
            self.held.iter_mut().for_each(|piece| piece.line = None);
            self.processes.has_gaps = true;
            self.flush(out);
        }
    }

    /// Gives lines that do not go on to the program.
    pub fn expire(&mut self, now_ns: u64, out: &mut Separated) {
        let is_over = |open: &OpenLine| now_ns.saturating_sub(open.continued_ns) > PATIENCE_NS;
        while let Some(first) = self.open.iter().position(is_over) {
            self.reject(first, out);
        }
    }

    /// Ends the stream. A program may end while its runtime writes: a line whose first figure is the one that must follow is
    /// the runtime's, even if it is not complete.
    pub fn finish(&mut self, out: &mut Separated) {
        while self.open.iter().any(|open| !self.processes.expect(&open.bytes)) {
            self.reject(0, out);
        }
        for open in std::mem::take(&mut self.open) {
            self.held.retain(|piece| piece.line != Some(open.id));
            out.cut_lines.push(open.bytes);
        }
        self.flush(out);
    }

    /// Gives a piece to an open line, to a new one, or to the program.
    fn place(&mut self, mut piece: Piece, out: &mut Separated) {
        piece.line = None;
        // The newest first: a thread that prints is rarely interrupted by another one that prints.
        let candidates = if piece.is_programs { 0 } else { self.open.len() };
        for index in (0..candidates).rev() {
            let Some(open) = self.open.get_mut(index) else { continue };
            let parsed = open.parse_with(&piece.bytes);
            if matches!(parsed, Err(Mismatch::InsideText | Mismatch::Different)) {
                continue;
            }
            open.bytes.extend_from_slice(&piece.bytes);
            open.continued_ns = piece.arrived_ns;
            piece.line = Some(open.id);
            let arrived_ns = piece.arrived_ns;
            self.hold(piece);
            if let Ok(line) = parsed {
                self.complete(index, line, arrived_ns, out);
            }
            return;
        }
        let bytes = piece.bytes.as_slice();
        let starts = STARTS.contains(&bytes) || (self.processes.detailed && DETAIL_STARTS.contains(&bytes));
        if starts && !piece.is_programs {
            let id = self.next_id;
            self.next_id += 1;
            self.open.push(OpenLine { id, bytes: bytes.to_vec(), continued_ns: piece.arrived_ns });
            piece.line = Some(id);
            self.hold(piece);
        } else if self.open.is_empty() {
            out.program.extend_from_slice(bytes);
        } else {
            self.hold(piece);
        }
    }

    fn hold(&mut self, piece: Piece) {
        self.held_bytes += piece.bytes.len();
        self.held.push_back(piece);
    }

    fn complete(&mut self, index: usize, line: RuntimeLine, arrived_ns: u64, out: &mut Separated) {
        let open = self.open.remove(index);
        if let Some(process) = self.processes.find(&line) {
            self.held.retain(|piece| piece.line != Some(open.id));
            self.held_bytes -= open.bytes.len();
            out.lines.push(ArrivedLine { bytes: open.bytes, line, process, arrived_ns });
        } else {
            self.held.iter_mut().filter(|piece| piece.line == Some(open.id)).for_each(|piece| piece.line = None);
        }
        self.flush(out);
    }

    /// Rejects a line because one that began at `first` or later does not go on, and places all held pieces again: it may
    /// have taken a piece of another line. The least certain one is rejected, and of those the newest.
    fn reject(&mut self, first: usize, out: &mut Separated) {
        let doubtful = self.open.iter().skip(first).rposition(|open| !self.processes.expect(&open.bytes));
        let index = doubtful.map_or(self.open.len().saturating_sub(1), |after_first| first + after_first);
        let rejected = self.open.remove(index);
        self.processes.has_gaps |= doubtful.is_none();
        self.open.clear();
        self.held_bytes = 0;
        let mut is_start = true;
        for mut piece in std::mem::take(&mut self.held) {
            if piece.line == Some(rejected.id) && std::mem::take(&mut is_start) {
                piece.is_programs = true;
            }
            self.place(piece, out);
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
    /// Reads the line with one more piece. The line goes on with it if it is then complete or [`Mismatch::Incomplete`].
    fn parse_with(&self, piece: &[u8]) -> Result<RuntimeLine, Mismatch> {
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let is_inside_a_number = self.bytes.last().is_some_and(is_number) && piece.first().is_some_and(is_number);
        if is_inside_a_number || !self.is_piece(piece) {
            return Err(Mismatch::Different);
        }
        RuntimeLine::parse(&[&self.bytes, piece].concat())
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
