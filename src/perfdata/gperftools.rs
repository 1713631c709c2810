//! Converts CPU profiles of gperftools (`ProfilerStart`, `CPUPROFILE=`) into recordings. So the function names come
//! from the programs, as in other recordings.
//!
//! The file consists of words of the machine's size (a header, stacks with their counts, and a trailer), followed by
//! the text of `/proc/PID/maps` (`docs/cpuprofile-fileformat.html` of gperftools).

use std::collections::HashMap;
use std::io;

use super::abi::{event_type, record_type, sample_type};
use super::attr::{Attr, Event};
use super::cpu_mode::CpuMode;
use super::error::Error;
use super::feature::Features;
use super::record::{Mmap, SampleId};
use super::writer::Writer;
use crate::bytes::Cursor;

/// Maximum size of the converted recording, in bytes. The recording has a record for each sample.
const MAX_RECORDING_BYTES: u64 = 1 << 30;

/// Maximum number of frames that the signal handler leaves between a leaf and its caller.
const HANDLER_FRAMES: usize = 2;
/// Denominator: the signal handler's frame can be missing in at most 1/32 of the stacks.
const STACKS_PER_EXCEPTION: usize = 32;

/// Process id of all samples. It is invented, because a profile contains no process id.
const PROCESS_ID: i32 = 1;

/// A stack, leaf first, and the number of its samples.
struct Stack {
    count: u64,
    addresses: Vec<u64>,
}

/// Converts a CPU profile of gperftools into a `perf.data` recording with the same samples. `None` if the bytes are not
/// such a profile.
pub fn from_gperftools(bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let Some(mut words) = Words::skip_header(bytes) else { return Ok(None) };
    let mut stacks = Vec::new();
    while let Some(stack) = words.next_stack()? {
        stacks.push(stack);
    }
    drop_handler_frames(&mut stacks);
    write_recording(&stacks, words.period, words.cursor.unread()).map(Some)
}

/// Reads the words of a profile.
struct Words<'a> {
    cursor: Cursor<'a>,
    size: usize,
    length: usize,
    /// Nanoseconds between two samples.
    period: u64,
}

impl<'a> Words<'a> {
    /// Skips the header. `None` if the bytes have no header, neither in words of four bytes nor of eight bytes.
    fn skip_header(bytes: &'a [u8]) -> Option<Self> {
        [8, 4].into_iter().find_map(|size| {
            let mut words = Self { cursor: Cursor::new(bytes), size, length: bytes.len(), period: 0 };
            let header = [words.next()?, words.next()?, words.next()?, words.next()?, words.next()?];
            words.period = match header {
                [0, 3, 0, microseconds, 0] => microseconds.checked_mul(1000).filter(|period| *period > 0)?,
                _ => return None,
            };
            Some(words)
        })
    }

    fn next(&mut self) -> Option<u64> {
        if self.size == 8 { self.cursor.u64() } else { self.cursor.u32().map(u64::from) }
    }

    /// Reads the next stack. `None` at the trailer.
    fn next_stack(&mut self) -> Result<Option<Stack>, Error> {
        let offset = self.length.saturating_sub(self.cursor.remaining());
        let damaged = Error::Gperftools { offset };
        let (Some(count), Some(depth)) = (self.next(), self.next()) else { return Err(damaged) };
        let size = usize::try_from(depth).ok().and_then(|depth| depth.checked_mul(self.size));
        if depth == 0 || size.is_none_or(|size| size > self.cursor.remaining()) {
            return Err(damaged);
        }
        let addresses: Vec<u64> = (0..depth).map_while(|_| self.next()).collect();
        if (count, addresses.as_slice()) == (0, &[0]) {
            return Ok(None);
        }
        Ok(Some(Stack { count, addresses }))
    }
}

/// Removes the address after the leaf if it is the same in nearly all stacks: then it belongs to the profiler's signal
/// handler. `go tool pprof` does the same.
fn drop_handler_frames(stacks: &mut [Stack]) {
    for _ in 0..HANDLER_FRAMES {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for second in stacks.iter().filter_map(|stack| stack.addresses.get(1)) {
            let count = counts.entry(*second).or_default();
            *count = count.saturating_add(1);
        }
        let enough = stacks.len().saturating_sub(stacks.len() / STACKS_PER_EXCEPTION);
        let Some((handler, _)) = counts.into_iter().find(|(_, count)| *count >= enough) else { return };
        for stack in stacks.iter_mut().filter(|stack| stack.addresses.get(1) == Some(&handler)) {
            stack.addresses.remove(1);
        }
    }
}

fn write_recording(stacks: &[Stack], period: u64, maps: &[u8]) -> Result<Vec<u8>, Error> {
    let fields = [sample_type::IP, sample_type::TID, sample_type::CALLCHAIN];
    let attr = Attr {
        kind: event_type::SOFTWARE,
        sample_type: fields.into_iter().fold(0, |all, field| all | field),
        sample_period_or_freq: period,
        ..Attr::default()
    };
    // The profiler's timer counts CPU time, as this event does.
    let event = Event { name: "cpu-clock".to_owned(), attr, ids: Vec::new() };
    let mut writer = Writer::create(io::Cursor::new(Vec::new()), &[event])?;
    let maps = String::from_utf8_lossy(maps);
    let maps: Vec<Mmap<'_>> = maps.lines().filter_map(parse_mapping).collect();
    let program = maps.first().map(|map| map.path.rsplit(|byte| *byte == b'/').next().unwrap_or(map.path));
    // The kernel limits the name of a thread to 15 bytes.
    let name = program.map(|name| name.get(..15).unwrap_or(name)).unwrap_or_default();
    writer.comm(PROCESS_ID, PROCESS_ID, true, name, &SampleId::default())?;
    for map in &maps {
        writer.mmap(CpuMode::User, map, &SampleId::default())?;
    }
    for Stack { count, addresses } in stacks {
        let leaf = addresses.first().copied().unwrap_or_default();
        let depth = u64::try_from(addresses.len()).unwrap_or(u64::MAX);
        let task = u64::from(PROCESS_ID.cast_unsigned());
        let words = [leaf, task << 32 | task, depth].into_iter().chain(addresses.iter().copied());
        let body: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        for _ in 0..*count {
            if writer.bytes_written() > MAX_RECORDING_BYTES {
                return Err(Error::TooLarge { largest: usize::try_from(MAX_RECORDING_BYTES).unwrap_or(usize::MAX) });
            }
            writer.record(record_type::SAMPLE, CpuMode::User.to_misc(), &body)?;
        }
    }
    Ok(writer.finish(&Features::default())?.into_inner())
}

/// Parses an executable mapping from a line of `/proc/PID/maps`: `00400000-00452000 r-xp 00000000 08:02 173521
/// /usr/bin/dbus`.
fn parse_mapping(line: &str) -> Option<Mmap<'_>> {
    let mut columns = line.split_ascii_whitespace();
    let (start, end) = columns.next()?.split_once('-')?;
    let is_executable = columns.next()?.contains('x');
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end, pgoff) = (hex(start)?, hex(end)?, hex(columns.next()?)?);
    let _device_and_inode = (columns.next()?, columns.next()?);
    let path = line.get(line.find(columns.next()?)?..)?;
    let len = end.checked_sub(start)?;
    let map = Mmap {
        pid: PROCESS_ID,
        tid: PROCESS_ID,
        start,
        len,
        pgoff,
        path: path.as_bytes(),
        is_executable,
        ..Mmap::default()
    };
    is_executable.then_some(map)
}
