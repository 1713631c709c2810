//! Writes ring buffers to a `perf.data` file with constant memory: records are copied unchanged.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::goroutines::{GoroutineSeen, Watch};
use super::outcome::Sampling;
use super::plan::{RecordPlan, WISHED_RING_BYTES};
use super::{Error, Settled};
use crate::perfdata::abi::record_type;
use crate::perfdata::{Attr, Event, Features, SampleId, Writer};
use crate::perfevent::{AttrFields, Rings, Spec, open};

/// Size of a record's header in bytes: type, misc, size (`struct perf_event_header`).
const RECORD_HEADER: u64 = 8;
/// Bytes reserved for the data that [`Writer::finish`] adds: a few kilobytes on a machine with many CPUs.
const RESERVE: u64 = 64 * 1024;

/// An open recording.
pub(super) struct NativeSampler {
    /// The open events. The session waits on them.
    pub(super) rings: Rings,
    writer: Option<Writer<File>>,
    path: PathBuf,
    features: Features,
    samples: u64,
    lost: u64,
    file_bytes: u64,
    goroutines: Option<Watch>,
    started: Instant,
    /// Maximum bytes of records.
    limit: u64,
    bound_reached: Option<Duration>,
}

impl NativeSampler {
    /// Opens the settled event on the waiting gate, and creates the file.
    pub(super) fn start(plan: &RecordPlan, settled: &Settled, pid: i32, features: Features) -> Result<Self, Error> {
        let rings = open(&settled.spec, pid, &plan.cpus, WISHED_RING_BYTES)?;
        let path = plan.perf_data.clone();
        let file = RecordPlan::create(&path).map_err(|source| Error::Create { path: path.clone(), source })?;
        let write_error = |source| Error::of_writer(&path, source);
        let event = event(&settled.spec, &rings);
        let mut writer = Writer::create(file, &[event]).map_err(write_error)?;
        if let (true, Some(text)) = (settled.spec.kernel, &plan.kernel_text) {
            // Without this mapping, perf and every other reader show kernel frames without names.
            let length = text.end.saturating_sub(text.start);
            writer.kernel_mmap(text.start, length, text.start, &SampleId::default()).map_err(write_error)?;
        }
        let goroutines = plan.goroutines.clone().map(Watch::new);
        Ok(Self {
            rings,
            writer: Some(writer),
            path,
            features,
            samples: 0,
            lost: 0,
            file_bytes: 0,
            goroutines,
            started: Instant::now(),
            limit: plan.max_bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(RESERVE)),
            bound_reached: None,
        })
    }

    /// Moves the contents of the ring buffers to the file. Sampling ends when the file reaches its limit, and later
    /// samples are dropped: the file contains the beginning.
    pub(super) fn drain(&mut self) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.bound_reached.is_some() {
            return Ok(());
        }
        let (limit, mut full) = (self.limit, false);
        let (samples, lost, goroutines) = (&mut self.samples, &mut self.lost, &mut self.goroutines);
        let written = self.rings.drain(|kind, misc, body| {
            let size = writer.bytes_written().saturating_add(RECORD_HEADER + body.len() as u64);
            full |= size > limit;
            // Mappings and names in the buffers of other CPUs belong to samples that are written already: they may use
            // half of the reserve.
            if full && (kind == record_type::SAMPLE || size > limit.saturating_add(RESERVE / 2)) {
                return Ok(());
            }
            *samples += u64::from(kind == record_type::SAMPLE);
            if let (record_type::SAMPLE, Some(goroutines)) = (kind, goroutines.as_mut()) {
                goroutines.note(body);
            }
            if kind == record_type::LOST {
                // `struct { u64 id; u64 lost; }` (perf_event.h).
                let count = body.get(8..16).and_then(|count| count.try_into().ok()).map_or(0, u64::from_le_bytes);
                *lost = lost.saturating_add(count);
            }
            writer.record(kind, misc, body)
        });
        if let Some(goroutines) = &mut self.goroutines {
            goroutines.look(monotonic_ns());
        }
        if full {
            self.rings.disable();
            self.bound_reached = Some(self.started.elapsed());
        }
        let finished = match written {
            Ok(drained) if drained.records == 0 => Ok(()),
            // Every buffer was read once: readers may now sort the earlier records and release them.
            Ok(_) => writer.finished_round(),
            Err(error) => Err(error),
        };
        finished.map_err(|source| {
            // The writer has failed. Its output so far stays readable, so send nothing more to it.
            self.writer = None;
            self.rings.disable();
            Error::of_writer(&self.path, source)
        })
    }

    /// Number of samples written so far.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns the sampled goroutines.
    pub(super) fn goroutines(&mut self) -> Vec<GoroutineSeen> {
        self.goroutines.take().map_or_else(Vec::new, Watch::finish)
    }

    /// Writes the remaining records and the header that completes the file.
    pub(super) fn finish(&mut self) -> Result<Sampling, Error> {
        self.rings.disable();
        self.drain()?;
        // A kernel without this counter still writes a record of each loss.
        let lost = self.rings.lost().unwrap_or(self.lost);
        if let Some(writer) = self.writer.take() {
            self.file_bytes = writer.bytes_written();
            writer.finish(&self.features).map_err(|source| Error::of_writer(&self.path, source))?;
        }
        Ok(Sampling {
            samples: self.samples,
            lost,
            ring_bytes: self.rings.ring_bytes(),
            file_bytes: self.file_bytes,
            bound_reached: self.bound_reached,
        })
    }
}

/// Returns the opened event in the form that the file describes.
pub(super) fn event(spec: &Spec, rings: &Rings) -> Event {
    Event { name: event_name(spec), attr: attr(&spec.attr(rings.ring_bytes())), ids: rings.ids() }
}

/// Returns the current time on the samples' clock (`Clock::MONOTONIC` in [`Spec`]).
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// Returns the event name in perf's notation: with `:u` if only user mode is sampled.
fn event_name(spec: &Spec) -> String {
    let name = spec.source.name();
    if spec.kernel { name.to_owned() } else { format!("{name}:u") }
}

fn attr(fields: &AttrFields) -> Attr {
    Attr {
        kind: fields.kind,
        config: fields.config,
        sample_period_or_freq: fields.frequency,
        sample_type: fields.sample_type,
        read_format: fields.read_format,
        flags: fields.flags,
        wakeup: fields.wakeup,
        sample_regs_user: fields.regs_user,
        sample_stack_user: fields.stack_user,
        clockid: fields.clock_id,
        ..Attr::default()
    }
}
