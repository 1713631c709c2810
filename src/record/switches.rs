//! Records context switches with an additional event, in a separate file. The waits of threads are computed from this
//! file.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use super::event::{ChosenEvent, event_name, file_attr};
use super::raw_sample::{RawSample, read_lost_count};
use super::recording::OffCpuFigures;
use crate::fsio::{FileError, MappedFile, create_private, replace_file};
use crate::perfdata::abi::{RECORD_HEADER, record_type};
use crate::perfdata::{self, Attr, Event, Features, PerfData, WaitFigures, Writer, write_waits};
use crate::perfevent::{self, MIN_RING_BYTES, Rings, Source, Spec, Target, monotonic_ns, probe};
use crate::process::describe_with_causes;

/// Bytes reserved for the data that [`Writer::finish`] adds (a few kilobytes on a machine with many CPUs), and for the
/// mappings and names that the main recording still writes after its size limit.
pub(super) const RESERVED_BYTES: u64 = 64 * 1024;

/// Maximum bytes of the file if waits repeat the last sample of their thread. A thread can wait 100 000 times between
/// two samples.
const MAX_BYTES_OF_LAST_SAMPLES: u64 = 1 << 30;

/// How waits are recorded.
#[derive(Debug, Clone)]
pub struct OffCpuPlan {
    /// Output file.
    path: PathBuf,
    /// The event of context switches.
    spec: Spec,
    /// Maximum bytes of user stack in a sample.
    stack: u32,
}

impl OffCpuPlan {
    /// Plans samples of context switches with `stack` bytes of user stack. If the kernel forbids these samples, plans
    /// records of context switches.
    pub fn new(path: PathBuf, event: &ChosenEvent, stack: u32, cpus: &[u32]) -> Self {
        let sampled = event.spec.switch_spec(Source::ContextSwitches, stack);
        let spec = match probe(&sampled, cpus, MIN_RING_BYTES) {
            Err(error) if error.is_denied() => event.spec.switch_spec(Source::Dummy, 0),
            _ => sampled,
        };
        Self { path, spec, stack }
    }

    /// Opens the event on a target. Returns the ids of the opened events.
    pub(super) fn open(&self, rings: &mut Rings, target: Target<'_>) -> Result<Vec<u64>, perfevent::Error> {
        rings.add_switches(&self.spec, target)
    }
}

/// The file of context switches while it is written.
pub(super) struct SwitchFile {
    path: PathBuf,
    writer: Writer<File>,
    /// Attribute of the samples in the file.
    attr: Attr,
    /// Ids of the events of context switches.
    ids: HashSet<u64>,
    /// Whether the events of context switches have samples. Otherwise, the file contains the samples of the main
    /// recording's event.
    has_samples: bool,
    /// Maximum bytes of user stack in a sample.
    stack: usize,
    /// Buffer for the body of a shortened sample, reused for each sample.
    shortened: Vec<u8>,
    max_bytes: u64,
    /// When the file was created, in nanoseconds on the clock of the records.
    created_ns: u64,
    /// When the file reached its size limit, in nanoseconds on the clock of the records.
    full_ns: Option<u64>,
    /// The first error. After an error, nothing is written.
    failed: Option<perfdata::Error>,
    /// Records that the kernel reported as lost.
    lost: u64,
}

impl SwitchFile {
    /// Creates the file. `sampled` is the event of the main recording.
    pub(super) fn create(
        plan: &OffCpuPlan,
        rings: &Rings,
        sampled: &Event,
        max_bytes: Option<u64>,
    ) -> Result<Self, Error> {
        let OffCpuPlan { path, spec, stack } = plan;
        let has_samples = spec.source == Source::ContextSwitches;
        let ids = rings.switch_ids();
        let event = if has_samples {
            let attr = file_attr(&spec.attr(Target::CallingThread, rings.ring_bytes()));
            Event { name: event_name(spec), attr, ids: ids.clone() }
        } else {
            sampled.clone()
        };
        let largest = if has_samples { u64::MAX } else { MAX_BYTES_OF_LAST_SAMPLES };
        let writer = Writer::create(create_private(path)?, std::slice::from_ref(&event));
        Ok(Self {
            path: path.clone(),
            writer: writer.map_err(|source| Error::from_writer(path, source))?,
            attr: event.attr,
            ids: ids.into_iter().collect(),
            has_samples,
            stack: *stack as usize,
            shortened: Vec::new(),
            max_bytes: max_bytes.map_or(largest, |bytes| bytes.min(largest)),
            created_ns: monotonic_ns(),
            full_ns: None,
            failed: None,
            lost: 0,
        })
    }

    pub(super) fn attr(&self) -> &Attr {
        &self.attr
    }

    /// Writes records that the kernel does not send. An error ends this file, but not the recording.
    pub(super) fn write_extra_records(&mut self, write: impl FnOnce(&mut Writer<File>) -> Result<(), perfdata::Error>) {
        if self.failed.is_none() && self.full_ns.is_none() {
            self.failed = write(&mut self.writer).err();
        }
    }

    /// Whether a record comes from an event of context switches.
    pub(super) fn is_switch_record(&self, kind: u32, body: &[u8]) -> bool {
        // The id is the first field of samples and LOST records (perf_event.h, with the fields of `Spec`). Other
        // records end with it.
        let id = match kind {
            record_type::SWITCH | record_type::SWITCH_CPU_WIDE => return true,
            record_type::SAMPLE | record_type::LOST => body.first_chunk(),
            record_type::LOST_SAMPLES | record_type::THROTTLE | record_type::UNTHROTTLE => body.last_chunk(),
            _ => None,
        };
        id.is_some_and(|id| self.ids.contains(&u64::from_le_bytes(*id)))
    }

    /// Writes a record. Skips records that waits do not need, and all records once the file has reached its limit. An
    /// error ends this file, but not the recording.
    pub(super) fn write(&mut self, is_switch_record: bool, kind: u32, misc: u16, body: &[u8]) {
        let is_needed = is_switch_record
            || !matches!(kind, record_type::LOST) && (kind != record_type::SAMPLE || !self.has_samples);
        if !is_needed || self.full_ns.is_some() || self.failed.is_some() {
            return;
        }
        if is_switch_record && kind == record_type::LOST {
            self.lost = self.lost.saturating_add(read_lost_count(body));
        }
        // Samples of context switches already have the planned size.
        let sampled =
            (kind == record_type::SAMPLE && !is_switch_record).then(|| RawSample::decode(body, &self.attr)).flatten();
        let short_body = sampled.and_then(|sampled| sampled.shorten(body, self.stack, &mut self.shortened));
        let body = short_body.unwrap_or(body);
        let size = self.writer.bytes_written().saturating_add((RECORD_HEADER + body.len()) as u64);
        if size > record_limit(self.max_bytes) {
            self.full_ns = Some(monotonic_ns());
        } else {
            self.failed = self.writer.record(kind, misc, body).err();
        }
    }

    /// Completes the file and converts it to a recording of waits. `end` is when sampling ended, on the clock of the
    /// records. `lost` is the number of lost records that the kernel counted. The error is one line of text.
    pub(super) fn finish(self, features: &Features, end: u64, lost: Option<u64>) -> Result<OffCpuFigures, String> {
        let Self { path, writer, has_samples, max_bytes, created_ns, full_ns, failed, .. } = self;
        failed.map_or_else(|| writer.finish(features), Err).map_err(|error| error_line(&path, error))?;
        let waits = replace_by_waits(&path, full_ns.is_none().then_some(end), record_limit(max_bytes))?;
        let reached = waits.first_omitted_ns.or(full_ns);
        let size_bound = reached.map(|time| (max_bytes, Duration::from_nanos(time.saturating_sub(created_ns))));
        let lost = lost.unwrap_or(0).max(self.lost);
        Ok(OffCpuFigures { waits, lost, size_bound, from_last_samples: !has_samples })
    }
}

/// Maximum bytes of records in a file of at most `max_bytes`.
fn record_limit(max_bytes: u64) -> u64 {
    max_bytes.saturating_sub(RESERVED_BYTES)
}

fn replace_by_waits(path: &Path, end: Option<u64>, limit: u64) -> Result<WaitFigures, String> {
    let switches =
        MappedFile::open(path).map_err(|source| describe_with_causes(&FileError::new("read", path, source)))?;
    let data = PerfData::parse(switches.as_ref()).map_err(|error| error_line(path, error))?;
    let mut figures = WaitFigures::default();
    let replaced = replace_file(path, |file| {
        let written = write_waits(&data, end, limit, file).map_err(|error| match error {
            perfdata::Error::Write(source) => source,
            other => io::Error::other(other),
        });
        figures = written.map_err(|source| FileError::new("write", path, source))?.1;
        Ok(())
    });
    replaced.map_err(|error| describe_with_causes(&error))?;
    Ok(figures)
}

/// The error with its causes, in one line.
fn error_line(path: &Path, error: perfdata::Error) -> String {
    match error {
        perfdata::Error::Write(source) => describe_with_causes(&FileError::new("write", path, source)),
        other => describe_with_causes(&other),
    }
}
