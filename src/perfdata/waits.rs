//! Converts a recording of context switches into a recording of waits, in the form of `perf record --off-cpu`. Each
//! sample is a wait of a thread. Its period is the length of the wait.

use std::collections::{HashMap, HashSet};
use std::io::{Seek, Write};

use super::abi::{event_type, flag, record_type, sample_type};
use super::attr::{Attr, Event};
use super::error::Error;
use super::feature::Features;
use super::layout::RawRecord;
use super::reader::PerfData;
use super::record::RecordKind;
use super::writer::Writer;

/// Name that perf gives to the event whose samples are waits.
const WAIT_EVENT: &str = "offcpu-time";
/// `PERF_COUNT_SW_CONTEXT_SWITCHES`.
const COUNT_SW_CONTEXT_SWITCHES: u64 = 3;
/// `PERF_COUNT_SW_BPF_OUTPUT`: the event of [`WAIT_EVENT`] in perf.
const COUNT_SW_BPF_OUTPUT: u64 = 10;
/// Size of a field in bytes.
const FIELD_BYTES: usize = 8;
/// Number of records in a round. At the mark that ends a round, readers can release the records of earlier rounds.
const ROUND_RECORDS: usize = 1 << 14;

/// Figures about the waits of a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitFigures {
    /// Number of waits that had not ended at the end of the recording.
    pub unfinished_waits: u64,
    /// Total time after preemptions, in nanoseconds: the threads could run but had no CPU.
    pub preempted_ns: u64,
    /// Total time of waits without a stack, in nanoseconds.
    pub unknown_stack_ns: u64,
    /// Start of the first wait that is left out because of the size limit, in nanoseconds of the records' clock. `None`
    /// if no wait is left out.
    pub first_omitted_ns: Option<u64>,
}

impl Event {
    /// Whether the samples of this event are waits of threads, with the length of the wait as the period.
    pub fn has_waits_as_samples(&self) -> bool {
        self.name == WAIT_EVENT && self.attr.kind == event_type::SOFTWARE && self.attr.config == COUNT_SW_BPF_OUTPUT
    }
}

/// Writes a recording of the waits. If context switches are sampled, the sample before a switch has the stack of the
/// wait. Otherwise the wait gets the stack of the thread's last sample. A wait that has not ended counts up to `end`,
/// or up to the last record if `end` is `None`. `limit` is the maximum number of bytes of records, because many waits
/// can contain a copy of the same sample.
pub fn write_waits<W: Write + Seek>(
    data: &PerfData<'_>,
    end: Option<u64>,
    limit: u64,
    out: W,
) -> Result<(W, WaitFigures), Error> {
    let attr = data.events().first().map(|event| event.attr.clone()).unwrap_or_default();
    let (waits, mut figures) = find_waits(data, samples_context_switches(&attr), end);
    let event = Event {
        name: WAIT_EVENT.to_owned(),
        attr: Attr {
            kind: event_type::SOFTWARE,
            config: COUNT_SW_BPF_OUTPUT,
            sample_period_or_freq: 1,
            flags: attr.flags & !flag::FREQ & !flag::CONTEXT_SWITCH,
            ..attr.clone()
        },
        ids: data.events().first().map(|event| event.ids.clone()).unwrap_or_default(),
    };
    let mut writer = Writer::create(out, std::slice::from_ref(&event))?;
    let mut waits = waits.iter().peekable();
    for (position, record) in data.records().flatten().enumerate() {
        if let Some(wait) = waits.next_if(|wait| wait.position == position) {
            let size = u64::try_from(wait.sample.len()).unwrap_or(u64::MAX);
            if writer.bytes_written().saturating_add(size) > limit {
                figures.first_omitted_ns = Some(wait.start);
                // The remaining records are needed only for later waits, which are left out.
                break;
            }
            write_wait(&mut writer, wait, &attr)?;
        } else if !matches!(record.kind, RecordKind::Sample(_) | RecordKind::Switch { .. })
            && let Ok(raw) = RawRecord::parse(data.record_bytes(&record), 0)
        {
            writer.record(raw.kind, raw.misc, raw.body)?;
        }
        if position.is_multiple_of(ROUND_RECORDS) {
            writer.finished_round()?;
        }
    }
    let sections = data.sections().iter().map(|(bit, section)| (*bit, section.to_vec())).collect();
    Ok((writer.finish_like(sections, &Features::default())?, figures))
}

fn samples_context_switches(attr: &Attr) -> bool {
    attr.kind == event_type::SOFTWARE && attr.config == COUNT_SW_CONTEXT_SWITCHES
}

/// A wait of a thread.
struct Wait<'d> {
    /// Position of the switch record with which the wait began.
    position: usize,
    start: u64,
    nanoseconds: u64,
    /// The sample with the stack of the wait, as a record with its header.
    sample: &'d [u8],
}

/// A thread of the recording.
#[derive(Default)]
struct Thread<'d> {
    /// The last sample.
    sample: Option<&'d [u8]>,
    /// The wait that has begun, if the thread is off its CPU.
    away: Option<BegunWait<'d>>,
}

#[derive(Clone, Copy)]
struct BegunWait<'d> {
    position: usize,
    since: u64,
    is_preempted: bool,
    sample: Option<&'d [u8]>,
}

/// Returns the waits in the order of their starts.
fn find_waits<'d>(data: &PerfData<'d>, samples_are_switches: bool, end: Option<u64>) -> (Vec<Wait<'d>>, WaitFigures) {
    let mut threads: HashMap<i32, Thread<'d>> = HashMap::new();
    // Kernel threads, and threads that have ended. Their switches are not waits.
    let mut ignored: HashSet<i32> = HashSet::new();
    let (mut waits, mut figures, mut last) = (Vec::new(), WaitFigures::default(), 0);
    for (position, record) in data.records().flatten().enumerate() {
        let time = record.time.unwrap_or(0);
        last = time.max(last);
        match &record.kind {
            RecordKind::Sample(sample) => {
                let tid = sample.tid.unwrap_or(0);
                if sample.user_regs.is_some() {
                    threads.entry(tid).or_default().sample = Some(data.record_bytes(&record));
                } else {
                    ignored.insert(tid);
                }
            }
            RecordKind::Switch { tid: Some(tid @ 1..), out, preempted, .. } if !ignored.contains(tid) => {
                let thread = threads.entry(*tid).or_default();
                if *out {
                    let sample = if samples_are_switches { thread.sample.take() } else { thread.sample };
                    // A thread with two events reports each switch twice. The sample is before both.
                    if thread.away.is_none() || !samples_are_switches || sample.is_some() {
                        thread.away = Some(BegunWait { position, since: time, is_preempted: *preempted, sample });
                    }
                } else if let Some(away) = thread.away.take() {
                    figures.add(away, time, &mut waits);
                }
            }
            RecordKind::Exit(task) => {
                threads.remove(&task.tid);
                ignored.insert(task.tid);
            }
            RecordKind::Fork(task) => {
                ignored.remove(&task.tid);
            }
            RecordKind::Comm { exec: true, tid, .. } => {
                // A thread that calls exec takes the id of the main thread, which has ended. The last sample of that id
                // has a stack of the old program.
                ignored.remove(tid);
                if let Some(thread) = threads.get_mut(tid) {
                    thread.sample = None;
                }
            }
            _ => {}
        }
    }
    for away in threads.into_values().filter_map(|thread| thread.away) {
        figures.unfinished_waits = figures.unfinished_waits.saturating_add(u64::from(!away.is_preempted));
        figures.add(away, end.unwrap_or(last), &mut waits);
    }
    waits.sort_unstable_by_key(|wait| wait.position);
    (waits, figures)
}

impl WaitFigures {
    fn add<'d>(&mut self, away: BegunWait<'d>, end: u64, waits: &mut Vec<Wait<'d>>) {
        let BegunWait { position, since, is_preempted, sample } = away;
        let nanoseconds = end.saturating_sub(since);
        match sample {
            _ if is_preempted => self.preempted_ns = self.preempted_ns.saturating_add(nanoseconds),
            None => self.unknown_stack_ns = self.unknown_stack_ns.saturating_add(nanoseconds),
            Some(sample) => waits.push(Wait { position, start: since, nanoseconds, sample }),
        }
    }
}

/// Writes the sample of a wait. Its time is the start of the wait, its period the length of the wait.
fn write_wait<W: Write + Seek>(writer: &mut Writer<W>, wait: &Wait<'_>, attr: &Attr) -> Result<(), Error> {
    let Ok(raw) = RawRecord::parse(wait.sample, 0) else { return Ok(()) };
    let mut body = raw.body.to_vec();
    for (field, value) in [(sample_type::TIME, wait.start), (sample_type::PERIOD, wait.nanoseconds)] {
        let at = attr.fields_before(field).saturating_mul(FIELD_BYTES);
        if let Some(field) = body.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *field = value.to_le_bytes();
        }
    }
    writer.record(record_type::SAMPLE, raw.misc, &body)
}
