//! Separates the runtime's lines from the program's output in the same stream.
//!
//! The runtime writes a line in many pieces: one write(2) for each text and each number. Other threads and processes can
//! write between the pieces. So the splitter must get each write separately. A piece becomes part of an open (incomplete)
//! line only if the line's bytes and the piece together are a line of the runtime, or the beginning of one.

use std::collections::VecDeque;

use super::cursor::Mismatch;
use super::line::RuntimeLine;

/// The first piece of each kind of line.
const LINE_STARTS: [&[u8]; 3] = [b"gc ", b"SCHED ", b"init "];
/// The first pieces of the detail lines that follow a snapshot of `scheddetail=1`.
const DETAIL_LINE_STARTS: [&[u8]; 3] = [b"  P", b"  M", b"  G"];

/// Maximum size of a piece. The longest pieces are paths of packages.
const MAX_PIECE_BYTES: usize = 256;

/// Time after which an open line without a new piece counts as the program's output: 2 s. On a busy machine, a thread can
/// wait between two pieces. But output of the program, such as a prompt, must not be held back forever.
const MAX_GAP_NS: u64 = 2_000_000_000;

/// Maximum number and total size of held pieces. The program's output is held while a line of the runtime is
/// incomplete.
const MAX_HELD_PIECES: usize = 64 * 1024;
const MAX_HELD_BYTES: usize = 16 << 20;

/// Maximum number of open lines. The runtime rarely has more than two.
const MAX_OPEN_LINES: usize = 16;

/// Maximum number of processes whose lines are accepted. Lines of older processes become the program's output.
const MAX_PROCESSES: usize = 1024;

/// Separates the writes to a stream into the runtime's lines and the program's output.
#[derive(Debug, Default)]
pub struct OutputSplitter {
    /// Pieces that are not passed on yet, in the order of the stream. The first piece belongs to an open line.
    held: VecDeque<Piece>,
    held_bytes: usize,
    /// Incomplete lines, oldest first.
    open: Vec<OpenLine>,
    next_id: u64,
    processes: Processes,
}

/// The bytes of a stream, separated into the program's output and the runtime's lines.
#[derive(Debug, Default)]
pub struct SplitOutput {
    /// The program's output.
    pub program: Vec<u8>,
    /// The runtime's complete lines.
    pub lines: Vec<ArrivedLine>,
    /// Lines of the runtime that were incomplete at the end of the stream.
    pub cut_lines: Vec<Vec<u8>>,
}

/// A complete line of the runtime, and the time when it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct ArrivedLine {
    /// The bytes of the line, with the newline.
    pub bytes: Vec<u8>,
    /// The parsed line.
    pub line: RuntimeLine,
    /// Index of the process that wrote the line, see [`Timed::process`](super::Timed::process).
    pub process: usize,
    /// Time when the last piece of the line was read, in nanoseconds.
    pub arrived_ns: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    arrived_ns: u64,
    /// Id of the open line to which the piece belongs. `None` for output of the program.
    line: Option<u64>,
    /// Whether the piece began an open line that was rejected.
    is_rejected_start: bool,
}

#[derive(Debug)]
struct OpenLine {
    id: u64,
    bytes: Vec<u8>,
    /// Time when the last piece of the line arrived, in nanoseconds.
    last_piece_ns: u64,
}

impl OutputSplitter {
    /// Processes the bytes of one write.
    pub fn push(&mut self, piece: &[u8], now_ns: u64, out: &mut SplitOutput) {
        self.expire(now_ns, out);
        self.assign_piece(
            Piece { bytes: piece.to_vec(), arrived_ns: now_ns, line: None, is_rejected_start: false },
            out,
        );
        if self.open.len() > MAX_OPEN_LINES || self.held.len() > MAX_HELD_PIECES || self.held_bytes > MAX_HELD_BYTES {
            self.open.clear();
            self.held.iter_mut().for_each(|piece| piece.line = None);
            self.processes.has_gaps = true;
            self.pass_on_program_output(out);
        }
    }

    /// Rejects open lines that got no piece for 2 s. Their pieces become output of the program.
    pub fn expire(&mut self, now_ns: u64, out: &mut SplitOutput) {
        let is_expired = |open: &OpenLine| now_ns.saturating_sub(open.last_piece_ns) > MAX_GAP_NS;
        while let Some(first) = self.open.iter().position(is_expired) {
            self.reject_line(first, out);
        }
    }

    /// Ends the stream. A program can end while its runtime writes a line. So an incomplete line counts as the runtime's if
    /// its first figure is the expected one.
    pub fn finish(&mut self, out: &mut SplitOutput) {
        while self.open.iter().any(|open| !self.processes.begins_as_expected(&open.bytes)) {
            self.reject_line(0, out);
        }
        for open in std::mem::take(&mut self.open) {
            self.held.retain(|piece| piece.line != Some(open.id));
            out.cut_lines.push(open.bytes);
        }
        self.pass_on_program_output(out);
    }

    /// Adds a piece to an open line, begins a new line with the piece, or passes the piece on as output of the program.
    fn assign_piece(&mut self, mut piece: Piece, out: &mut SplitOutput) {
        piece.line = None;
        // Newest line first: a thread that prints a line is rarely interrupted by another thread that prints a line.
        let candidates = if piece.is_rejected_start { 0 } else { self.open.len() };
        for index in (0..candidates).rev() {
            let Some(open) = self.open.get_mut(index) else { continue };
            let parsed = open.parse_with_piece(&piece.bytes);
            if matches!(parsed, Err(Mismatch::InsideText | Mismatch::Different)) {
                continue;
            }
            open.bytes.extend_from_slice(&piece.bytes);
            open.last_piece_ns = piece.arrived_ns;
            piece.line = Some(open.id);
            let arrived_ns = piece.arrived_ns;
            self.hold_piece(piece);
            if let Ok(line) = parsed {
                self.complete_line(index, line, arrived_ns, out);
            }
            return;
        }
        let bytes = piece.bytes.as_slice();
        let starts =
            LINE_STARTS.contains(&bytes) || (self.processes.has_details && DETAIL_LINE_STARTS.contains(&bytes));
        if starts && !piece.is_rejected_start {
            let id = self.next_id;
            self.next_id += 1;
            self.open.push(OpenLine { id, bytes: bytes.to_vec(), last_piece_ns: piece.arrived_ns });
            piece.line = Some(id);
            self.hold_piece(piece);
        } else if self.open.is_empty() {
            out.program.extend_from_slice(bytes);
        } else {
            self.hold_piece(piece);
        }
    }

    fn hold_piece(&mut self, piece: Piece) {
        self.held_bytes += piece.bytes.len();
        self.held.push_back(piece);
    }

    fn complete_line(&mut self, index: usize, line: RuntimeLine, arrived_ns: u64, out: &mut SplitOutput) {
        let open = self.open.remove(index);
        if let Some(process) = self.processes.find_writer(&line) {
            self.held.retain(|piece| piece.line != Some(open.id));
            self.held_bytes -= open.bytes.len();
            out.lines.push(ArrivedLine { bytes: open.bytes, line, process, arrived_ns });
        } else {
            self.held.iter_mut().filter(|piece| piece.line == Some(open.id)).for_each(|piece| piece.line = None);
        }
        self.pass_on_program_output(out);
    }

    /// Rejects one open line because the line `first` got no further piece. A line after `first` can have got a piece of
    /// `first` by mistake. So the newest line whose first figure is not expected is rejected, else the newest line. Then all
    /// held pieces are assigned again.
    fn reject_line(&mut self, first: usize, out: &mut SplitOutput) {
        let doubtful = self.open.iter().skip(first).rposition(|open| !self.processes.begins_as_expected(&open.bytes));
        let index = doubtful.map_or(self.open.len().saturating_sub(1), |after_first| first + after_first);
        let rejected = self.open.remove(index);
        self.processes.has_gaps |= doubtful.is_none();
        self.open.clear();
        self.held_bytes = 0;
        let mut is_start = true;
        for mut piece in std::mem::take(&mut self.held) {
            if piece.line == Some(rejected.id) && std::mem::take(&mut is_start) {
                piece.is_rejected_start = true;
            }
            self.assign_piece(piece, out);
        }
    }

    /// Passes on the held output of the program that precedes the first piece of an open line.
    fn pass_on_program_output(&mut self, out: &mut SplitOutput) {
        while self.held.front().is_some_and(|piece| piece.line.is_none()) {
            let Some(piece) = self.held.pop_front() else { return };
            self.held_bytes -= piece.bytes.len();
            out.program.extend_from_slice(&piece.bytes);
        }
    }
}

impl OpenLine {
    /// Parses the line with one more piece. The piece can belong to the line if the result is a line or
    /// [`Mismatch::Incomplete`].
    fn parse_with_piece(&self, piece: &[u8]) -> Result<RuntimeLine, Mismatch> {
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let is_inside_a_number = self.bytes.last().is_some_and(is_number) && piece.first().is_some_and(is_number);
        if is_inside_a_number || !self.can_be_piece(piece) {
            return Err(Mismatch::Different);
        }
        RuntimeLine::parse(&[&self.bytes, piece].concat())
    }

    /// Whether the runtime can write these bytes with one write(2): a number, or a text without digits. Only the path of a
    /// package can have letters and digits.
    fn can_be_piece(&self, piece: &[u8]) -> bool {
        let unsigned = piece.strip_prefix(b"-").unwrap_or(piece);
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let has_digits = piece.iter().any(u8::is_ascii_digit);
        piece.len() <= MAX_PIECE_BYTES && (!has_digits || unsigned.iter().all(is_number) || self.bytes == b"init ")
    }
}

/// The processes that write to the stream, distinguished by the figures in their lines. Usually there is one process.
#[derive(Debug, Default)]
struct Processes {
    /// Number of the last garbage collection of each process.
    collections: Vec<u64>,
    /// Time of the last scheduler snapshot of each process, in milliseconds since its first snapshot.
    snapshots: Vec<u64>,
    /// Whether the stream has a snapshot of `scheddetail=1`.
    has_details: bool,
    /// Whether a line was rejected that can be the runtime's. Then the next figures can have gaps.
    has_gaps: bool,
}

impl Processes {
    /// Returns the index of the process that wrote a line. `None` if the line cannot be the runtime's. The runtime numbers
    /// collections from 1 without gaps. Times of snapshots begin with 0 and never decrease.
    fn find_writer(&mut self, line: &RuntimeLine) -> Option<usize> {
        match line {
            RuntimeLine::Gc(cycle) => {
                let begins = cycle.number == 1;
                let precedes = |last: u64| !begins && last.checked_add(1) == Some(cycle.number);
                find_process(&mut self.collections, cycle.number, begins || self.has_gaps, precedes)
            }
            RuntimeLine::Scheduler(snapshot) => {
                self.has_details |= snapshot.processor_queues.is_empty();
                let begins = snapshot.at_ms == 0;
                let precedes = |last: u64| !begins && last <= snapshot.at_ms;
                find_process(&mut self.snapshots, snapshot.at_ms, begins || self.has_gaps, precedes)
            }
            RuntimeLine::Processor(_) | RuntimeLine::Detail => self.snapshots.len().checked_sub(1),
            RuntimeLine::Init(_) => Some(0),
        }
    }

    /// Whether the first figure of an incomplete line is the one that a process must write next.
    fn begins_as_expected(&self, line: &[u8]) -> bool {
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

/// Finds the newest process whose last figure can precede `figure`, and stores `figure` as its last figure. If there is no
/// such process and `can_add_process` is true, adds a process.
fn find_process(
    last_figures: &mut Vec<u64>,
    figure: u64,
    can_add_process: bool,
    precedes: impl Fn(u64) -> bool,
) -> Option<usize> {
    let oldest = last_figures.len().saturating_sub(MAX_PROCESSES);
    if let Some((index, last)) =
        last_figures.iter_mut().enumerate().skip(oldest).rev().find(|(_, last)| precedes(**last))
    {
        *last = figure;
        return Some(index);
    }
    last_figures.extend(can_add_process.then_some(figure));
    can_add_process.then(|| last_figures.len() - 1)
}
