//! Jitdumps (`tools/perf/Documentation/jitdump-specification.txt` in Linux): a header, and a record for each event in the
//! life of a function's code.

use std::collections::HashMap;
use std::ops::Range;

use super::{JitCode, JitFunction, JitLine, MAX_FUNCTIONS, is_code_range};
use crate::bytes::Cursor;

/// `JiTD`, as a number in the byte order of the machine.
const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
/// Size of the header's known fields in bytes.
const HEADER_BYTES: usize = 40;
/// Size of a record's id, size and time in bytes.
const PREFIX_BYTES: usize = 16;

/// `JITDUMP_FLAGS_ARCH_TIMESTAMP`: the times are in CPU ticks, not in nanoseconds.
const CPU_TICKS_FLAG: u64 = 1;

/// Numbers of record types.
mod record_id {
    pub(super) const CODE_LOAD: u32 = 0;
    pub(super) const CODE_MOVE: u32 = 1;
    pub(super) const CODE_DEBUG_INFO: u32 = 2;
    pub(super) const CODE_CLOSE: u32 = 3;
}

/// File name that stands for the file of the line before.
const SAME_FILE: &[u8] = b"\xff";

/// Maximum number of source lines that are read from a file.
const MAX_LINES: usize = 1 << 22;

/// Parses a jitdump in the byte order of this machine. If the file is cut off, returns the functions before the cut. `None`
/// if the bytes are not a jitdump.
pub fn parse_jitdump(bytes: &[u8]) -> Option<JitCode<'_>> {
    let mut header = Cursor::new(bytes);
    if (header.u32()?, header.u32()?) != (MAGIC, VERSION) {
        return None;
    }
    let size = usize::try_from(header.u32()?).ok()?.max(HEADER_BYTES);
    // Skips machine, padding, process and time.
    header.skip(20)?;
    let has_times = header.u64()? & CPU_TICKS_FLAG == 0;
    let mut dump = JitdumpParser { code: JitCode { has_times, ..JitCode::default() }, ..JitdumpParser::default() };
    let mut records = Cursor::from_offset(bytes, size)?;
    while let (Some(id), Some(size), Some(time)) = (records.u32(), records.u32(), records.u64()) {
        let size = usize::try_from(size).ok().and_then(|size| size.checked_sub(PREFIX_BYTES));
        let Some(body) = size.and_then(|size| records.take(size)) else { break };
        if id == record_id::CODE_CLOSE || dump.code.functions.len() == MAX_FUNCTIONS {
            break;
        }
        if dump.parse_record(id, time, body).is_none() {
            dump.code.malformed_entries = dump.code.malformed_entries.saturating_add(1);
        }
    }
    Some(dump.code)
}

#[derive(Default)]
struct JitdumpParser<'b> {
    code: JitCode<'b>,
    /// Ranges of [`JitCode::lines`] for code that is not loaded yet, by address of the code.
    pending_lines: HashMap<u64, Range<usize>>,
    /// Position of the last function with a code index, by code index.
    by_index: HashMap<u64, usize>,
}

impl<'b> JitdumpParser<'b> {
    /// Parses the body of a record. `None` if the body does not follow the format.
    fn parse_record(&mut self, id: u32, time: u64, body: &'b [u8]) -> Option<()> {
        let mut fields = Cursor::new(body);
        match id {
            record_id::CODE_LOAD => self.parse_load(time, &mut fields),
            record_id::CODE_MOVE => self.parse_move(time, &mut fields),
            record_id::CODE_DEBUG_INFO => self.parse_debug_info(&mut fields),
            _ => Some(()),
        }
    }

    fn parse_load(&mut self, time: u64, fields: &mut Cursor<'b>) -> Option<()> {
        // Skips process, thread, and the address at which the code runs. The next field has the same address.
        fields.skip(16)?;
        let (start, size, index) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let name = fields.cstr()?;
        let lines = self.pending_lines.remove(&start).unwrap_or(0..0);
        if !is_code_range(start, size) {
            return None;
        }
        self.by_index.insert(index, self.code.functions.len());
        self.code.functions.push(JitFunction { time, start, size, name, lines });
        Some(())
    }

    fn parse_move(&mut self, time: u64, fields: &mut Cursor<'b>) -> Option<()> {
        fields.skip(16)?;
        let (_old, start, size, index) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
        let moved = self.code.functions.get(*self.by_index.get(&index)?)?.clone();
        if !is_code_range(start, size) {
            return None;
        }
        self.by_index.insert(index, self.code.functions.len());
        self.code.functions.push(JitFunction { time, start, size, ..moved });
        Some(())
    }

    /// Parses source lines up to the first wrong one. V8 writes wrong lines, and the names of functions do not need lines.
    fn parse_debug_info(&mut self, fields: &mut Cursor<'b>) -> Option<()> {
        let (start, count) = (fields.u64()?, fields.u64()?);
        let first = self.code.lines.len();
        let mut last = None;
        for _ in 0..count {
            last = next_line(fields, start, last).filter(|_| self.code.lines.len() < MAX_LINES);
            let Some(line) = last else { break };
            self.code.lines.push(line);
        }
        self.pending_lines.insert(start, first..self.code.lines.len());
        Some(())
    }
}

/// Parses the next source line of the code that starts at `start`. `last` is the line before.
fn next_line<'b>(fields: &mut Cursor<'b>, start: u64, last: Option<JitLine<'b>>) -> Option<JitLine<'b>> {
    let (address, line, _discriminator, file) = (fields.u64()?, fields.u32()?, fields.u32()?, fields.cstr()?);
    let offset = address.checked_sub(start).filter(|offset| last.is_none_or(|last| last.offset <= *offset))?;
    Some(JitLine { offset, line, file: if file == SAME_FILE { last?.file } else { file } })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn header(flags: u64) -> Vec<u8> {
        let fields = [MAGIC, VERSION, 40, 62, 0, 7].into_iter().flat_map(u32::to_le_bytes);
        fields.chain(words(&[5, flags])).collect()
    }

    fn record(id: u32, time: u64, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(PREFIX_BYTES + body.len()).unwrap();
        [&id.to_le_bytes()[..], &size.to_le_bytes(), &time.to_le_bytes(), body].concat()
    }

    fn load_record(time: u64, start: u64, index: u64, name: &str) -> Vec<u8> {
        let body =
            [&words(&[7 << 32 | 7, start, start, 4, index])[..], name.as_bytes(), b"\0\x90\x90\x90\xc3"].concat();
        record(record_id::CODE_LOAD, time, &body)
    }

    fn move_record(time: u64, to: u64, index: u64) -> Vec<u8> {
        record(record_id::CODE_MOVE, time, &words(&[7, to, 0x1000, to, 4, index]))
    }

    fn debug_info(start: u64, lines: &[(u64, u32, &[u8])]) -> Vec<u8> {
        let mut body = words(&[start, u64::try_from(lines.len()).unwrap()]);
        for (address, line, file) in lines {
            body.extend([&address.to_le_bytes()[..], &line.to_le_bytes(), &[0; 4], file, b"\0"].concat());
        }
        record(record_id::CODE_DEBUG_INFO, 1, &body)
    }

    fn dump() -> Vec<u8> {
        let lines: [(u64, u32, &[u8]); 3] = [(0x1000, 3, b"a.js"), (0x1002, 4, b"\xff"), (0x1003, 9, b"b.js")];
        let unwinding = record(4, 2, &[0; 24]);
        let close = record(record_id::CODE_CLOSE, 9, &[]);
        let parts = [
            header(0),
            debug_info(0x1000, &lines),
            unwinding,
            load_record(2, 0x1000, 1, "one"),
            load_record(3, 0x2000, 2, "two"),
            move_record(4, 0x3000, 1),
            close,
            load_record(10, 0x4000, 3, "after the end"),
        ];
        parts.concat()
    }

    #[test]
    fn functions_have_a_time_and_lines_and_keep_the_lines_when_they_move() {
        let bytes = dump();
        let code = parse_jitdump(&bytes).unwrap();
        let function = |time, start, name, lines| JitFunction { time, start, size: 4, name, lines };
        assert_eq!(
            code.functions,
            [
                function(2, 0x1000, &b"one"[..], 0..3),
                function(3, 0x2000, b"two", 0..0),
                function(4, 0x3000, b"one", 0..3)
            ]
        );
        let lines: Vec<_> = code.lines.iter().map(|line| (line.offset, line.line, line.file)).collect();
        assert_eq!(lines, [(0, 3, &b"a.js"[..]), (2, 4, b"a.js"), (3, 9, b"b.js")]);
        assert!(code.has_times && code.malformed_entries == 0);
        assert!(!parse_jitdump(&header(CPU_TICKS_FLAG)).unwrap().has_times);
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_gives_the_functions_before_the_cut() {
        let whole = dump();
        let all = parse_jitdump(&whole).unwrap();
        for end in 0..whole.len() {
            match parse_jitdump(&whole[..end]) {
                Some(cut) => {
                    assert!(all.functions.starts_with(&cut.functions) && cut.malformed_entries == 0, "{end}");
                }
                None => assert!(end < HEADER_BYTES, "{end}"),
            }
        }
    }

    #[test]
    fn damage_at_any_byte_does_not_panic() {
        let whole = dump();
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                if let Some(code) = parse_jitdump(&damaged) {
                    assert!(code.functions.iter().all(|function| code.lines.get(function.lines.clone()).is_some()));
                }
            }
        }
    }

    #[test]
    fn records_that_do_not_follow_the_format_are_counted_and_left_out() {
        let short = record(record_id::CODE_LOAD, 1, &[0; 8]);
        let no_file = debug_info(0x1000, &[(0x1000, 1, b"\xff")]);
        let backwards = debug_info(1, &[(5, 1, b"a"), (4, 2, b"a")]);
        let unknown = move_record(1, 0x1000, 77);
        let bytes = [
            header(0),
            short,
            no_file,
            backwards,
            unknown,
            load_record(2, u64::MAX, 1, "beyond"),
            load_record(2, 1, 1, "good"),
        ]
        .concat();
        let code = parse_jitdump(&bytes).unwrap();
        assert_eq!((code.functions.len(), code.lines.len(), code.malformed_entries), (1, 1, 3));
        assert_eq!(parse_jitdump(b"JiTD and other text that is long enough for a header"), None);
    }
}
