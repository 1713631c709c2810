//! Writer of `perf.data` files: streams records to the output, in constant memory.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use super::abi::{RECORD_HEADER, feature, misc, record_type};
use super::attr::{Attr, Event};
use super::compress;
use super::cpu_mode::CpuMode;
use super::error::Error;
use super::feature::{Features, pad_with_nuls};
use super::layout::RecordLayout;
use super::record::{Mmap, SampleId, TaskEvent};

/// Size of the file header in bytes.
const HEADER_BYTES: u64 = 104;
/// Size of an attribute and of the section of its ids, in bytes.
const ATTR_ENTRY_BYTES: u64 = 128;
/// Number of bytes that are collected before a write, to save system calls.
const BUFFER_BYTES: usize = 256 * 1024;
/// Number of bytes of records that are compressed before a write: some pieces for each core.
const COMPRESSED_BUFFER_BYTES: usize = 1024 * 1024;
/// `PROT_READ | PROT_EXEC`, `PROT_READ` and `MAP_PRIVATE` of `mmap(2)`.
const PROT_READ_EXEC: u32 = 5;
const PROT_READ: u32 = 1;
const MAP_PRIVATE: u32 = 2;

/// Writes a `perf.data` file that `perf` can also open.
///
/// Until [`Writer::finish`], the size of the data section in the header is 0. That marks a recording that was
/// killed. After a failed write every further call fails, and the records written before remain readable as such a
/// recording.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    events: Vec<Event>,
    /// Number of bytes of ids between the header and the attributes.
    id_bytes: u64,
    buffer: Vec<u8>,
    /// Number of bytes written to `out`.
    flushed: u64,
    /// Byte counts of the compression. `None` if records are not compressed.
    compression: Option<CompressedBytes>,
    failed: Option<io::ErrorKind>,
}

/// Number of bytes of the records so far, before and after compression.
#[derive(Debug, Clone, Copy, Default)]
struct CompressedBytes {
    before: u64,
    after: u64,
}

/// The bitmap of features in the header.
#[derive(Debug, Clone, Copy, Default)]
struct FeatureBits([u8; 32]);

impl FeatureBits {
    fn set(&mut self, bit: u32) {
        if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| self.0.get_mut(at)) {
            *byte |= 1_u8.wrapping_shl(bit % 8);
        }
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the header and the attributes to the start of `out`.
    ///
    /// If there are several events, all must sample `IDENTIFIER`, or all `ID` at the same offset. Otherwise the error
    /// is [`Unsupported::MixedIds`](super::Unsupported::MixedIds).
    pub fn create(out: W, events: &[Event]) -> Result<Self, Error> {
        RecordLayout::new(events.to_vec()).map_err(Error::Unsupported)?;
        let ids: Vec<u8> = events.iter().flat_map(|event| &event.ids).flat_map(|id| id.to_le_bytes()).collect();
        let mut writer = Self {
            out,
            events: events.to_vec(),
            id_bytes: len_of(&ids),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            flushed: 0,
            compression: None,
            failed: None,
        };
        writer.out.rewind().map_err(Error::Write)?;
        writer.buffer = writer.header(0, FeatureBits::default());
        writer.buffer.extend(ids);
        let mut ids_at = HEADER_BYTES;
        for event in events {
            let size = u64::try_from(event.ids.len()).unwrap_or(u64::MAX).saturating_mul(8);
            writer.buffer.extend(event.attr.encode());
            writer.buffer.extend(ids_at.to_le_bytes());
            writer.buffer.extend(size.to_le_bytes());
            ids_at = ids_at.saturating_add(size);
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Compresses the records from now on, as `perf record -z` does.
    #[must_use]
    pub fn with_compression(self) -> Self {
        Self { compression: Some(CompressedBytes::default()), ..self }
    }

    /// Appends a record. `body` holds the bytes after the header, as they are in the kernel's ring buffer.
    pub fn record(&mut self, kind: u32, misc: u16, body: &[u8]) -> Result<(), Error> {
        self.check_not_failed()?;
        let size = body.len().saturating_add(RECORD_HEADER);
        let short = u16::try_from(size).map_err(|_| Error::RecordTooLarge { kind, size })?;
        self.buffer.extend(kind.to_le_bytes());
        self.buffer.extend(misc.to_le_bytes());
        self.buffer.extend(short.to_le_bytes());
        self.buffer.extend(body);
        let capacity = if self.compression.is_some() { COMPRESSED_BUFFER_BYTES } else { BUFFER_BYTES };
        if self.buffer.len() < capacity { Ok(()) } else { self.flush() }
    }

    /// Writes the mark that ends a round, and flushes. Call this whenever each ring buffer has been drained once. It
    /// promises that no record after the next mark is older than the records before this mark.
    pub fn finished_round(&mut self) -> Result<(), Error> {
        self.record(record_type::FINISHED_ROUND, 0, &[])?;
        self.flush()
    }

    /// Appends the mapping of the kernel's text, without which perf cannot name kernel frames. `pgoff` is the address
    /// of the symbol `_text` (`machine__create_kernel_maps` in `tools/perf/util/machine.c`).
    pub fn kernel_mmap(&mut self, start: u64, len: u64, pgoff: u64, id: &SampleId) -> Result<(), Error> {
        let path = b"[kernel.kallsyms]_text";
        let map = Mmap { pid: -1, start, len, pgoff, path, is_executable: true, ..Mmap::default() };
        self.mmap(CpuMode::Kernel, &map, id)
    }

    /// Appends a mapping: as MMAP2 if it has an inode or a build id, else as MMAP.
    pub fn mmap(&mut self, mode: CpuMode, map: &Mmap<'_>, id: &SampleId) -> Result<(), Error> {
        let mut bits = mode.to_misc();
        let mut body = Vec::new();
        body.extend(map.pid.to_le_bytes());
        body.extend(map.tid.to_le_bytes());
        for word in [map.start, map.len, map.pgoff] {
            body.extend(word.to_le_bytes());
        }
        let file = if let Some(build_id) = map.build_id {
            bits |= misc::MMAP_BUILD_ID;
            Some(encode_build_id(build_id))
        } else {
            map.inode.map(|inode| {
                let mut file = inode.major.to_le_bytes().to_vec();
                file.extend(inode.minor.to_le_bytes());
                file.extend(inode.inode.to_le_bytes());
                file.extend(inode.generation.to_le_bytes());
                file
            })
        };
        let kind = if let Some(file) = file {
            body.extend(file);
            body.extend((if map.is_executable { PROT_READ_EXEC } else { PROT_READ }).to_le_bytes());
            body.extend(MAP_PRIVATE.to_le_bytes());
            record_type::MMAP2
        } else {
            bits |= if map.is_executable { 0 } else { misc::MMAP_DATA };
            record_type::MMAP
        };
        body.extend(pad_with_nuls(map.path, 8));
        self.record_with_sample_id(kind, bits, body, id)
    }

    /// Appends the name of a thread. `exec` says that the name comes from an exec, which removed the earlier mappings.
    pub fn comm(&mut self, pid: i32, tid: i32, exec: bool, name: &[u8], id: &SampleId) -> Result<(), Error> {
        let mut body = pid.to_le_bytes().to_vec();
        body.extend(tid.to_le_bytes());
        body.extend(pad_with_nuls(name, 8));
        let bits = CpuMode::User.to_misc() | if exec { misc::COMM_EXEC } else { 0 };
        self.record_with_sample_id(record_type::COMM, bits, body, id)
    }

    /// Appends the start of a thread or process.
    pub fn fork(&mut self, task: &TaskEvent, id: &SampleId) -> Result<(), Error> {
        let mut body = Vec::new();
        for number in [task.pid, task.ppid, task.tid, task.ptid] {
            body.extend(number.to_le_bytes());
        }
        body.extend(task.time.to_le_bytes());
        self.record_with_sample_id(record_type::FORK, 0, body, id)
    }

    fn record_with_sample_id(&mut self, kind: u32, misc: u16, mut body: Vec<u8>, id: &SampleId) -> Result<(), Error> {
        if let Some(event) = self.events.first() {
            id.encode(&event.attr, &mut body);
        }
        self.record(kind, misc, &body)
    }

    /// Size of the file so far, in bytes, including buffered bytes.
    pub fn bytes_written(&self) -> u64 {
        self.flushed.saturating_add(len_of(&self.buffer))
    }

    /// Writes all buffered bytes to the output.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.check_not_failed()?;
        if let Some(bytes) = &mut self.compression {
            bytes.before = bytes.before.saturating_add(len_of(&self.buffer));
            self.buffer = compress::compress(&self.buffer);
            bytes.after = bytes.after.saturating_add(len_of(&self.buffer));
        }
        if let Err(error) = self.out.write_all(&self.buffer).and_then(|()| self.out.flush()) {
            self.failed = Some(error.kind());
            return Err(Error::Write(error));
        }
        self.flushed = self.bytes_written();
        self.buffer.clear();
        Ok(())
    }

    /// Completes the file. Returns `out`, positioned at its end.
    pub fn finish(self, features: &Features) -> Result<W, Error> {
        let sections = features.sections(&self.events).into_iter().collect();
        self.finish_with(sections)
    }

    /// Completes a rewritten copy of a recording. `others` are the [sections](super::PerfData::sections) of the
    /// original. A section of `features` replaces the original section with the same number.
    pub fn finish_like(self, others: Vec<(u32, Vec<u8>)>, features: &Features) -> Result<W, Error> {
        let mut sections: BTreeMap<u32, Vec<u8>> = others.into_iter().collect();
        sections.extend(features.sections(&self.events));
        self.finish_with(sections)
    }

    /// Completes the file with these sections and their numbers.
    fn finish_with(mut self, mut sections: BTreeMap<u32, Vec<u8>>) -> Result<W, Error> {
        // Adds a record, so that the data section is never empty: a size of 0 would mean "killed".
        self.finished_round()?;
        let data_end = self.flushed;
        if let Some(CompressedBytes { before, after }) = self.compression {
            let ratio = before.checked_div(after).and_then(|ratio| u32::try_from(ratio).ok()).unwrap_or(1);
            sections.insert(feature::COMPRESSED, compress::compression_section(ratio));
        }
        let table = u64::try_from(sections.len()).unwrap_or(u64::MAX).saturating_mul(16);
        let (mut bits, mut offset) = (FeatureBits::default(), data_end.saturating_add(table));
        let (mut head, mut tail) = (Vec::new(), Vec::<u8>::new());
        for (bit, section) in &sections {
            bits.set(*bit);
            head.extend(offset.to_le_bytes());
            head.extend(len_of(section).to_le_bytes());
            offset = offset.saturating_add(len_of(section));
            tail.extend(section);
        }
        head.extend(tail);
        // In three steps, so that a full disk or a kill loses at most the features and never records.
        self.write_at(0, &self.header(data_end, FeatureBits::default()))?;
        self.write_at(data_end, &head)?;
        self.write_at(0, &self.header(data_end, bits))?;
        self.out.seek(SeekFrom::End(0)).map_err(Error::Write)?;
        Ok(self.out)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.out.seek(SeekFrom::Start(offset)).map_err(Error::Write)?;
        self.out.write_all(bytes).map_err(Error::Write)?;
        self.out.flush().map_err(Error::Write)
    }

    /// `struct perf_file_header`. A `data_end` of 0 means that the file is not finished.
    fn header(&self, data_end: u64, FeatureBits(feature_bits): FeatureBits) -> Vec<u8> {
        let attrs_at = HEADER_BYTES.saturating_add(self.id_bytes);
        let attrs_size = u64::try_from(self.events.len()).unwrap_or(u64::MAX).saturating_mul(ATTR_ENTRY_BYTES);
        let data_at = attrs_at.saturating_add(attrs_size);
        let mut out = b"PERFILE2".to_vec();
        for word in
            [HEADER_BYTES, ATTR_ENTRY_BYTES, attrs_at, attrs_size, data_at, data_end.saturating_sub(data_at), 0, 0]
        {
            out.extend(word.to_le_bytes());
        }
        out.extend(feature_bits);
        out
    }

    fn check_not_failed(&self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), |kind| Err(Error::Write(kind.into())))
    }
}

/// The build id fields of an MMAP2 record: length, three reserved bytes, 20 bytes of build id.
fn encode_build_id(id: &[u8]) -> Vec<u8> {
    let id = id.get(..20).unwrap_or(id);
    let mut file = vec![u8::try_from(id.len()).unwrap_or(20), 0, 0, 0];
    file.extend(id);
    file.resize(24, 0);
    file
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

const _: () = assert!(Attr::ENCODED_LEN == 112, "ATTR_ENTRY_BYTES is 112 bytes of attribute and 16 bytes of section");
