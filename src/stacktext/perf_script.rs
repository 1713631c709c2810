//! The output of `perf script`. For each sample, one line with the task, the time and the event, then one line for each frame
//! of the stack, leaf first.
//!
//! ```text
//! my app  1234/1235 [001]  945.574731:     500250 cpu-clock:pppH:
//!     ffffffff81442904 smp_call_function_many_cond+0x144 ([kernel.kallsyms])
//!                c9bb5 main.step (inlined)
//!                c9bb5 main.work+0x135 (/bin/app)
//!   main.go:12
//! ```
//!
//! The option `-F` chooses whether process id, CPU, period and source line (the last line above) are present. The lines of
//! frames begin with a tab.

use std::collections::BTreeMap;
use std::mem;

use super::builder::{MAX_FRAMES, StackTextBuilder, TextFrame};
use super::lines::{first_lines, is_comment, lines};
use super::{Error, StackText};
use crate::profile::{Event, Profile, Quality, Sample, Samples, Unit};

/// Whether a file with this beginning should be read as output of `perf script`.
pub fn is_perf_script(beginning: &[u8]) -> bool {
    first_lines(beginning).is_some_and(|first| first.first().is_some_and(|line| SampleLine::parse(line).is_some()))
}

/// Reads the output of `perf script`. If it has several events, reads the requested event, else the event with the most
/// samples.
pub fn read_perf_script(text: &[u8], requested: Option<&str>) -> Result<StackText, Error> {
    let mut events: BTreeMap<String, u64> = BTreeMap::new();
    for (_, line) in lines(text).filter(|(_, line)| !line.starts_with('\t')) {
        if let Some(event) = SampleLine::parse(&line).and_then(|line| line.event) {
            let count = events.entry(event.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    let event = match requested {
        Some(event) if !events.contains_key(event) => {
            return Err(Error::UnknownEvent { requested: event.to_owned(), known: events.into_keys().collect() });
        }
        Some(event) => event.to_owned(),
        // If two events have the same number of samples, the first by name.
        None => events.iter().rev().max_by_key(|(_, count)| **count).map_or_else(String::new, |(name, _)| name.clone()),
    };
    let mut reader = SampleReader::new(event);
    for (number, line) in lines(text).filter(|(_, line)| !is_comment(line)) {
        reader.read_line(number, &line)?;
    }
    reader.finish_sample();
    let others = events.iter().filter(|(name, _)| **name != reader.event);
    let other_count = others.clone().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let other_events = others.map(|(name, _)| name.clone()).collect();
    let (profile, mut quality) = reader.finish();
    quality.other_events = other_count;
    quality.complete_file = text.ends_with(b"\n");
    Ok(StackText { profile, quality, other_events, notes: Vec::new() })
}

/// The first line of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct SampleLine<'l> {
    comm: &'l str,
    /// 0 if the line has only the thread id.
    pid: u32,
    tid: u32,
    cpu: Option<u32>,
    /// Time in nanoseconds.
    time: u64,
    period: Option<u64>,
    /// The name of the event, without modifiers. `None` for a record that is not a sample.
    event: Option<&'l str>,
    /// The text of the only frame, if the sample has no callchain.
    only_frame: &'l str,
}

impl<'l> SampleLine<'l> {
    /// Parses the line. The comm can contain any text, so the fields are found from the first time that follows a thread id.
    fn parse(line: &'l str) -> Option<Self> {
        let mut colons = line.match_indices(':').map(|(at, _)| at).take_while(|at| *at < MAX_HEAD_BYTES);
        colons.find_map(|colon| Self::parse_at(line, colon))
    }

    /// Parses a line whose time ends before the colon at byte `colon`.
    fn parse_at(line: &'l str, colon: usize) -> Option<Self> {
        let (before, time) = line.get(..colon)?.rsplit_once(' ')?;
        let time = parse_seconds(time)?;
        let mut before = before.trim_end();
        let mut cpu = None;
        if let Some((rest, text)) = before.rsplit_once(' ')
            && let Some(number) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'))
        {
            cpu = Some(number.parse().ok()?);
            before = rest.trim_end();
        }
        let (comm, thread) = before.rsplit_once(' ')?;
        let (pid, tid) = match thread.split_once('/') {
            Some((pid, tid)) => (pid.parse().ok()?, tid.parse().ok()?),
            None => (0, thread.parse().ok()?),
        };
        let comm = Some(comm.trim()).filter(|comm| !comm.is_empty())?;
        let after = line.get(colon..)?.strip_prefix(':')?.trim_start();
        let (period, after) = match after.split_once(' ').map(|(number, rest)| (number.parse(), rest)) {
            Some((Ok(period), rest)) => (Some(period), rest.trim_start()),
            _ => (None, after),
        };
        let (event, rest) = after.split_once(' ').unwrap_or((after, ""));
        let event = event.strip_suffix(':').map(strip_modifiers).filter(|name| name.len() <= MAX_EVENT_BYTES);
        Some(Self { comm, pid, tid, cpu, time, period, event, only_frame: rest.trim() })
    }
}

/// Maximum size of a sample line up to the time. A comm has at most 15 bytes, and ids and times are short.
const MAX_HEAD_BYTES: usize = 200;

const MAX_EVENT_BYTES: usize = 200;

/// Parses seconds such as `945.574731`. Returns nanoseconds.
fn parse_seconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(seconds) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// Removes the modifiers after an event's name: `cycles:ppp` → `cycles`. The name of a tracepoint, such as
/// `sched:sched_switch`, stays whole.
fn strip_modifiers(event: &str) -> &str {
    match event.rsplit_once(':') {
        Some((name, modifiers)) if modifiers.chars().all(|c| "ukhIGHpPSDWe".contains(c)) => name,
        _ => event,
    }
}

/// Parses a frame: `c9bb5 main.(*T).work+0x135 (/bin/app)`. `None` if the line does not begin with an address.
fn parse_frame(line: &str) -> Option<TextFrame> {
    let (address, rest) = line.split_once(' ').unwrap_or((line, ""));
    let address = u64::from_str_radix(address, 16).ok()?;
    let (symbol, mapping) = split_mapping(rest.trim());
    let name = match symbol.rsplit_once("+0x") {
        Some((name, offset)) if offset.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => symbol,
    };
    let inlined = mapping == "inlined";
    let mapping = if inlined || mapping == "[unknown]" { "" } else { mapping };
    Some(TextFrame { name: name.to_owned(), mapping: mapping.to_owned(), address, inlined, ..TextFrame::default() })
}

/// Splits `symbol (file)` into symbol and file. The name of the file can contain parentheses too.
fn split_mapping(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    if text.ends_with(')') {
        for (at, byte) in text.bytes().enumerate().rev() {
            match byte {
                b')' => depth = depth.saturating_add(1),
                b'(' => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                let (symbol, mapping) = text.split_at(at);
                let mapping = mapping.strip_prefix('(').and_then(|mapping| mapping.strip_suffix(')'));
                return (symbol.trim_end(), mapping.unwrap_or_default());
            }
        }
    }
    (text, "")
}

/// A sample whose frames are being read.
#[derive(Default)]
struct OpenSample {
    comm: String,
    pid: u32,
    tid: u32,
    cpu: Option<u32>,
    time: u64,
    period: u64,
    /// Frames, leaf first.
    frames: Vec<TextFrame>,
}

struct SampleReader {
    /// The name of the event whose samples are read.
    event: String,
    builder: StackTextBuilder,
    /// `None` between two samples, and in a sample of another event.
    open: Option<OpenSample>,
    /// Samples with their times in nanoseconds.
    samples: Vec<(u64, Sample)>,
}

impl SampleReader {
    fn new(event_name: String) -> Self {
        let is_clock = ["cpu-clock", "task-clock"].iter().any(|clock| event_name.starts_with(clock));
        let unit = if is_clock { Unit::Nanoseconds } else { Unit::Events };
        let event = Event { name: event_name.clone(), count_name: Event::SAMPLES.to_owned(), unit, frequency: 0 };
        Self { event: event_name, builder: StackTextBuilder::new(event), open: None, samples: Vec::new() }
    }

    fn read_line(&mut self, number: usize, line: &str) -> Result<(), Error> {
        if !line.starts_with('\t')
            && let Some(head) = SampleLine::parse(line)
        {
            self.finish_sample();
            if head.event == Some(&self.event) {
                self.open = Some(OpenSample {
                    comm: head.comm.to_owned(),
                    pid: head.pid,
                    tid: head.tid,
                    cpu: head.cpu,
                    time: head.time,
                    period: head.period.unwrap_or(1),
                    frames: parse_frame(head.only_frame).into_iter().collect(),
                });
            }
            return Ok(());
        }
        let text = line.trim();
        if text.is_empty() {
            self.finish_sample();
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(frame) = parse_frame(text) {
            if open.frames.len() == MAX_FRAMES {
                return Err(Error::Deep { line: number });
            }
            open.frames.push(frame);
        } else if let Some(frame) = open.frames.last_mut()
            && let Some((file, line)) = text.rsplit_once(':')
            && let Ok(line) = line.parse()
            && line > 0
        {
            (frame.file, frame.line) = (file.to_owned(), line);
        }
        Ok(())
    }

    fn finish_sample(&mut self) {
        let Some(mut sample) = self.open.take() else { return };
        sample.frames.reverse();
        // An inlined call has the mapped file of its caller.
        let mut mapping = String::new();
        for frame in &mut sample.frames {
            if frame.inlined {
                frame.mapping.clone_from(&mapping);
            } else {
                mapping.clone_from(&frame.mapping);
            }
        }
        let task = self.builder.intern_task(&sample.comm, sample.pid, sample.tid, sample.cpu);
        let stack = self.builder.intern_stack(&mem::take(&mut sample.frames), 1);
        self.samples.push((sample.time, Sample { stack, task, count: 1, weight: sample.period }));
    }

    fn finish(mut self) -> (Profile, Quality) {
        self.samples.sort_by_key(|(time, _)| *time);
        let mut samples = Samples::with_times();
        for (time, sample) in &self.samples {
            samples.add_timed(*time, *sample);
        }
        let times = self.samples.first().zip(self.samples.last()).map(|((first, _), (last, _))| (*first, *last));
        let profile = &mut self.builder.profile;
        if let Some((first, last)) = times {
            (profile.first_time_ns, profile.duration_ns) = (first, last.saturating_sub(first));
        }
        let stacks = profile.stacks().clone();
        profile.set_samples(stacks, samples);
        self.builder.finish()
    }
}
