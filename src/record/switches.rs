//! Records of when threads leave their CPU and come back: the events beside the sampled one, and a file of their own, from
//! which the waits of threads are computed.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::event::{ChosenEvent, attr, event_name};
use super::raw_sample::lost_records;
use super::recording::OffCpuFigures;
use crate::fsio::{FileError, MappedFile, create_private, replace_file};
use crate::perfdata::abi::{RECORD_HEADER, record_type};
use crate::perfdata::{self, Attr, Event, Features, PerfData, WaitFigures, Writer, write_waits};
use crate::perfevent::{self, MIN_RING_BYTES, Rings, Source, Spec, Target, probe};

/// The plan for the time that threads are off the CPU.
#[derive(Debug, Clone)]
pub struct OffCpuPlan {
    /// Output file.
    path: PathBuf,
    /// The event beside the sampled one.
    spec: Spec,
}

impl OffCpuPlan {
    /// Plans samples of context switches with `stack` bytes of user stack, or, where the kernel forbids these, records of
    /// context switches.
    pub fn new(path: PathBuf, event: &ChosenEvent, stack: u32, cpus: &[u32]) -> Self {
        let sampled = event.spec.of_switches(Source::ContextSwitches, stack);
        let spec = match probe(&sampled, cpus, MIN_RING_BYTES) {
            Err(error) if error.is_denied() => event.spec.of_switches(Source::Dummy, 0),
            _ => sampled,
        };
        Self { path, spec }
    }

    /// Opens the event on a target. Returns the ids.
    pub(super) fn open(&self, rings: &mut Rings, target: Target<'_>) -> Result<Vec<u64>, perfevent::Error> {
        rings.add_switches(&self.spec, target)
    }
}

/// The file of context switches, while it is written.
pub(super) struct SwitchFile {
    path: PathBuf,
    writer: Writer<File>,
    /// Attribute of the samples in the file.
    attr: Attr,
    /// Ids of the events of context switches.
    ids: HashSet<u64>,
    /// Whether these events have samples. The file takes the samples of the other event if not.
    has_samples: bool,
    limit: u64,
    is_full: bool,
    /// Records that the kernel reported as lost, and those beyond the limit.
    lost: u64,
}

impl SwitchFile {
    /// Creates the file. `sampled` is the other event.
    pub(super) fn create(plan: &OffCpuPlan, rings: &Rings, sampled: &Event, limit: u64) -> Result<Self, Error> {
        let OffCpuPlan { path, spec } = plan;
        let has_samples = spec.source == Source::ContextSwitches;
        let ids = rings.switch_ids();
        let event = if has_samples {
            let attr = attr(&spec.attr(Target::CallingThread, rings.ring_bytes()));
            Event { name: event_name(spec), attr, ids: ids.clone() }
        } else {
            sampled.clone()
        };
        let writer = Writer::create(create_private(path)?, std::slice::from_ref(&event));
        Ok(Self {
            path: path.clone(),
            writer: writer.map_err(|source| Error::from_writer(path, source))?,
            attr: event.attr,
            ids: ids.into_iter().collect(),
            has_samples,
            limit,
            is_full: false,
            lost: 0,
        })
    }

    /// The attribute of the samples in the file.
    pub(super) fn attr(&self) -> &Attr {
        &self.attr
    }

    /// The path and the writer, for records that are synthesised.
    pub(super) fn writer(&mut self) -> (&Path, &mut Writer<File>) {
        (&self.path, &mut self.writer)
    }

    /// Whether a record is of an event of context switches.
    pub(super) fn is_own(&self, kind: u32, body: &[u8]) -> bool {
        // `struct { u64 id; … }` (perf_event.h, with the fields of `Spec`), and the id at the end of all other records.
        let id = match kind {
            record_type::SWITCH | record_type::SWITCH_CPU_WIDE => return true,
            record_type::SAMPLE | record_type::LOST => body.first_chunk(),
            record_type::LOST_SAMPLES | record_type::THROTTLE | record_type::UNTHROTTLE => body.last_chunk(),
            _ => None,
        };
        id.is_some_and(|id| self.ids.contains(&u64::from_le_bytes(*id)))
    }

    /// Writes a record, unless it is a sample of the other event that is not needed, or the file has reached its limit.
    pub(super) fn write(&mut self, kind: u32, misc: u16, body: &[u8]) -> Result<(), perfdata::Error> {
        let is_own = self.is_own(kind, body);
        let is_needed =
            is_own || !matches!(kind, record_type::LOST) && (kind != record_type::SAMPLE || !self.has_samples);
        if !is_needed {
            return Ok(());
        }
        let size = self.writer.bytes_written().saturating_add((RECORD_HEADER + body.len()) as u64);
        self.is_full |= size > self.limit;
        if is_own && kind == record_type::LOST {
            self.lost = self.lost.saturating_add(lost_records(body));
        }
        if self.is_full {
            self.lost = self.lost.saturating_add(u64::from(is_own));
            return Ok(());
        }
        self.writer.record(kind, misc, body)
    }

    /// Marks the end of a round of reading all buffers.
    pub(super) fn finished_round(&mut self) -> Result<(), perfdata::Error> {
        self.writer.finished_round()
    }

    /// Completes the file, and makes a recording of waits of it. `end` is when sampling ended, on the clock of the records.
    /// `lost` is the number of lost records that the kernel counted.
    pub(super) fn finish(self, features: &Features, end: u64, lost: Option<u64>) -> Result<OffCpuFigures, Error> {
        let Self { path, writer, has_samples, is_full, .. } = self;
        writer.finish(features).map_err(|source| Error::from_writer(&path, source))?;
        let end = (!is_full).then_some(end);
        let waits = replace_by_waits(&path, end)?;
        Ok(OffCpuFigures { waits, lost: lost.unwrap_or(0).max(self.lost), from_last_samples: !has_samples })
    }
}

fn replace_by_waits(path: &Path, end: Option<u64>) -> Result<WaitFigures, Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let switches = MappedFile::open(path).map_err(failed)?;
    let data = PerfData::parse(switches.as_ref()).map_err(|source| Error::from_writer(path, source))?;
    let mut figures = WaitFigures::default();
    let replaced = replace_file(path, |file| {
        let written = write_waits(&data, end, file).map_err(|error| match error {
            perfdata::Error::Write(source) => source,
            other => io::Error::other(other),
        });
        figures = written.map_err(|source| FileError::new("write", path, source))?.1;
        Ok(())
    });
    replaced.map_err(|error| failed(io::Error::other(error)))?;
    Ok(figures)
}
