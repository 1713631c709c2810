//! Copies the records of ring buffers to a `perf.data` file, with constant memory. Stack copies are shortened where
//! less is needed.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::before_exec::ExecFilter;
use super::code_files::CodeFileWatch;
use super::copies::FramePointerCode;
use super::error::Error;
use super::existing::write_existing;
use super::goroutine_watches::{GoroutineResults, GoroutineWatches};
use super::mapped_files::MappedFiles;
use super::plan::SamplingPlan;
use super::priority::HighPriority;
use super::raw_sample::{RawSample, read_lost_count};
use super::recording::{PerThreadReason, Recording, SamplingFigures};
use super::switches::{RESERVED_BYTES, SwitchFile};
use super::tasks::OpenedEvent;
use super::thread_events::EventOwners;
use crate::fsio::create_private;
use crate::perfdata::abi::{RECORD_HEADER, record_type};
use crate::perfdata::{self, Attr, CpuCount, Features, SampleId, Writer, decode_mapping};
use crate::perfevent::{Rings, monotonic_ns};
use crate::process::{descendants_of, run_with_own_rights};

/// goflame's own sampler during a recording.
pub(super) struct NativeSampler {
    /// Ring buffers of the open events. The session waits for their records.
    pub(super) rings: Rings,
    exec_filter: Option<ExecFilter>,
    tasks: &'static str,
    per_thread_reason: Option<PerThreadReason>,
    owners: EventOwners,
    writer: Writer<File>,
    /// Attribute of the sampled event. It defines the fields of a sample.
    attr: Attr,
    path: PathBuf,
    features: Features,
    samples: u64,
    lost: u64,
    goroutines: GoroutineWatches,
    code_files: CodeFileWatch,
    mapped_files: MappedFiles,
    frame_pointer_code: FramePointerCode,
    switches: Option<SwitchFile>,
    /// When sampling ended, in nanoseconds on the clock of the records.
    ended_ns: Option<u64>,
    /// Buffer for the body of a shortened sample, reused for each sample.
    shortened: Vec<u8>,
    started: Instant,
    /// Maximum bytes of records in the file.
    max_record_bytes: u64,
    time_until_limit: Option<Duration>,
    _priority: HighPriority,
}

impl NativeSampler {
    /// Creates the file for the opened event. Writes the kernel mapping, and the names and mappings of existing
    /// processes.
    pub(super) fn start(plan: &SamplingPlan, opened: OpenedEvent) -> Result<Self, Error> {
        let OpenedEvent { rings, event, exec_filter, tasks, per_thread_reason, owners, processes } = opened;
        let path = plan.perf_data.clone();
        let mut code_files = CodeFileWatch::new(plan.oldest_code_file);
        let mut mapped_files = MappedFiles::new();
        let limit = plan.max_bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(RESERVED_BYTES));
        let create_switches = |off_cpu| SwitchFile::create(off_cpu, &rings, &event, plan.max_bytes);
        let mut switches = plan.off_cpu.as_ref().map(create_switches).transpose()?;
        let writer = Writer::create(create_private(&path)?, std::slice::from_ref(&event));
        let mut writer = writer.map_err(|source| Error::from_writer(&path, source))?;
        let mut write = |writer: &mut Writer<File>| {
            write_kernel_mapping(writer, plan)?;
            write_processes(writer, &processes, &mut code_files, &mut mapped_files)
        };
        write(&mut writer).map_err(|source| Error::from_writer(&path, source))?;
        if let Some(file) = &mut switches {
            file.write_extra_records(write);
        }
        let cpus = u32::try_from(rings.cpu_count()).unwrap_or(u32::MAX);
        let nr_cpus = Some(CpuCount { available: cpus, online: cpus });
        Ok(Self {
            rings,
            exec_filter,
            tasks,
            per_thread_reason,
            owners,
            writer,
            attr: event.attr,
            path,
            features: Features { nr_cpus, ..plan.features.clone() },
            samples: 0,
            lost: 0,
            goroutines: GoroutineWatches::new(&plan.goroutines),
            code_files,
            mapped_files,
            frame_pointer_code: plan.frame_pointer_code.clone(),
            shortened: Vec::new(),
            started: Instant::now(),
            switches,
            ended_ns: None,
            max_record_bytes: limit,
            time_until_limit: None,
            _priority: HighPriority::request(),
        })
    }

    /// Starts sampling a running program. `parent` is the process that started the program.
    pub(super) fn begin_sampling(&mut self, parent: i32) -> Result<(), Error> {
        // Sampling starts before the mappings are read. So each mapping is in `/proc`, or has a record, or both.
        self.rings.enable()?;
        let processes = descendants_of(&[parent], &[]).into_iter().map(Pid::as_raw).collect();
        let (code_files, mapped_files) = (&mut self.code_files, &mut self.mapped_files);
        let mut write = |writer: &mut Writer<File>| write_processes(writer, &processes, code_files, mapped_files);
        write(&mut self.writer).map_err(|source| Error::from_writer(&self.path, source))?;
        if let Some(file) = &mut self.switches {
            file.write_extra_records(write);
        }
        Ok(())
    }

    /// Stops sampling. Records in the ring buffers can still be drained.
    pub(super) fn stop(&mut self) {
        self.ended_ns.get_or_insert_with(monotonic_ns);
        self.rings.disable();
    }

    /// Moves the contents of the ring buffers to the file. When the file reaches its limit, sampling stops and later
    /// samples are dropped. Must not be called after an error.
    pub(super) fn drain_rings(&mut self) -> Result<(), Error> {
        if self.time_until_limit.is_some() {
            return Ok(());
        }
        let (writer, limit, mut full) = (&mut self.writer, self.max_record_bytes, false);
        let (samples, lost, goroutines) = (&mut self.samples, &mut self.lost, &mut self.goroutines);
        let code_files = &mut self.code_files;
        let mapped_files = &mut self.mapped_files;
        let (attr, code, shortened) = (&self.attr, &self.frame_pointer_code, &mut self.shortened);
        let (owners, switches) = (&mut self.owners, &mut self.switches);
        let mut write = |kind, misc, full_body: &[u8]| {
            if owners.is_duplicate_sample(kind, full_body) {
                return Ok(());
            }
            let of_switches = switches.as_ref().filter(|file| file.is_switch_record(kind, full_body));
            let attr = of_switches.map_or(attr, SwitchFile::attr);
            let is_switch_record = of_switches.is_some();
            let registers = (kind == record_type::SAMPLE).then(|| RawSample::decode(full_body, attr)).flatten();
            let short_body = registers.as_ref().and_then(|registers| code.shorten(registers, full_body, shortened));
            let body = short_body.unwrap_or(full_body);
            match &registers {
                Some(registers) => goroutines.note_sample(registers),
                None => goroutines.close_ended_process(kind, misc, body),
            }
            if let Some(file) = switches {
                file.write(is_switch_record, kind, misc, body);
            }
            if is_switch_record {
                return Ok(());
            }
            let size = writer.bytes_written().saturating_add((RECORD_HEADER + body.len()) as u64);
            full |= size > limit;
            // Records of mappings and names can belong to samples that are already written. So they can use half of the
            // reserve.
            if full && (kind == record_type::SAMPLE || size > limit.saturating_add(RESERVED_BYTES / 2)) {
                return Ok(());
            }
            *samples += u64::from(kind == record_type::SAMPLE);
            if let Some(mapping) = decode_mapping(kind, misc, full_body) {
                code_files.add_mapping(&mapping);
                mapped_files.open_new(&mapping);
            }
            if kind == record_type::LOST {
                *lost = lost.saturating_add(read_lost_count(body));
            }
            writer.record(kind, misc, body)
        };
        let written = match &mut self.exec_filter {
            None => self.rings.drain(write),
            Some(exec_filter) => {
                let drained = self.rings.drain(|kind, misc, body| {
                    exec_filter.push(kind, misc, body);
                    Ok(())
                });
                let Some(held) = exec_filter.take_since_exec(attr) else { return Ok(()) };
                self.exec_filter = None;
                let written = held.into_iter().try_for_each(|record| write(record.kind, record.misc, &record.body));
                written.and(drained)
            }
        };
        let now = monotonic_ns();
        self.goroutines.read_noted(now);
        self.code_files.open_new_files(now);
        if full {
            self.stop();
            self.time_until_limit = Some(self.started.elapsed());
        }
        let finished = match written {
            Ok(drained) if drained.records == 0 => Ok(()),
            // Every buffer was read once. This mark tells readers that they can sort and release the records before the
            // last mark.
            Ok(_) => {
                if let Some(file) = &mut self.switches {
                    file.write_extra_records(Writer::finished_round);
                }
                self.writer.finished_round()
            }
            Err(error) => Err(error),
        };
        finished.map_err(|source| {
            self.rings.disable();
            Error::from_writer(&self.path, source)
        })
    }

    /// Time until running goroutines are read again. `None` if goroutines are not read.
    pub(super) fn goroutine_interval(&self) -> Option<Duration> {
        self.goroutines.interval()
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Writes the remaining records and completes the header of the file.
    pub(super) fn finish(mut self) -> Result<Recording, Error> {
        self.stop();
        self.drain_rings()?;
        // Old kernels do not have this counter. They still write a record of each loss.
        let lost = self.rings.lost_records().unwrap_or(self.lost);
        self.writer.finish(&self.features).map_err(|source| Error::from_writer(&self.path, source))?;
        let ended = self.ended_ns.unwrap_or_default();
        let lost_switches = self.rings.lost_switches();
        let off_cpu = self.switches.map(|file| file.finish(&self.features, ended, lost_switches));
        let GoroutineResults { readings, unread_reasons } = self.goroutines.finish();
        Ok(Recording {
            figures: Some(SamplingFigures {
                samples: self.samples,
                lost,
                ring_bytes: self.rings.ring_bytes(),
                time_until_limit: self.time_until_limit,
            }),
            goroutines: readings.goroutines,
            unread_goroutines: unread_reasons,
            labels: readings.labels,
            left_stacks: readings.left_stacks,
            code_files: Some(self.code_files.finish(readings.registered_functions)),
            tasks: self.tasks,
            per_thread_reason: self.per_thread_reason,
            mapped_files: self.mapped_files.finish(),
            off_cpu,
        })
    }
}

/// Writes the thread names and code mappings that these processes already have.
fn write_processes(
    writer: &mut Writer<File>,
    processes: &BTreeSet<i32>,
    code_files: &mut CodeFileWatch,
    mapped_files: &mut MappedFiles,
) -> Result<(), perfdata::Error> {
    run_with_own_rights(|| {
        write_existing(writer, processes, |mapping| {
            code_files.add_mapping(mapping);
            mapped_files.open_new(mapping);
        })
    })
}

/// Writes the mapping of the kernel's code, for which the kernel sends no record. Without this mapping, readers such as
/// perf show kernel frames without names.
fn write_kernel_mapping(writer: &mut Writer<File>, plan: &SamplingPlan) -> Result<(), perfdata::Error> {
    match &plan.kernel_text {
        Some(text) if plan.event.spec.kernel => {
            let length = text.end.saturating_sub(text.start);
            writer.kernel_mmap(text.start, length, text.start, &SampleId::default())
        }
        _ => Ok(()),
    }
}
