//! Reader of `perf.data` files and streams.

use std::ops::Range;
use std::slice;

use crate::bytes::Cursor;

use super::abi;
use super::attr::{Attr, Event};
use super::decode;
use super::error::{Damage, Error, Unsupported};
use super::feature::{self, Features};
use super::index::Entry;
use super::layout::{RawRecord, RecordLayout};
use super::record::{Mmap, Record, RecordKind};
use super::scan::{Scan, parse_ids};

/// Size of the header of a file in bytes, including the bitmap of features (32 bytes).
const FILE_HEADER_BYTES: u64 = 104;
/// Size of the header of a stream (`perf record -o -`) in bytes.
const PIPE_HEADER_BYTES: u64 = 16;
/// Byte range of the header field with the size of all records.
pub(super) const HEADER_DATA_SIZE: Range<usize> = 48..56;
/// Size of a `perf_file_section` in bytes.
const SECTION_BYTES: usize = 16;

/// A `perf.data` file: its events, its metadata and its records.
///
/// Parsing reads all records once, to index them by time. The index takes 16 bytes per record, in addition to the
/// file itself.
#[derive(Debug)]
pub struct PerfData<'a> {
    /// The file up to the end of its records.
    bytes: &'a [u8],
    scan: Scan,
    /// The feature sections of a file, with their numbers.
    sections: Vec<(u32, &'a [u8])>,
    is_complete: bool,
}

impl<'a> PerfData<'a> {
    /// Reads the header and the features, and indexes the records, of a file or a stream.
    ///
    /// Fails if the bytes are not `perf.data`, have an unsupported form, or end before the first record. Damage after
    /// the first record is not an error here: [`Records`] returns that error after the readable records.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::parse_releasing(bytes, &|_| ())
    }

    /// Like [`PerfData::parse`]. Calls `release` with ranges of bytes that are not needed again until the records are
    /// read, so that the caller can release their memory.
    pub fn parse_releasing(bytes: &'a [u8], release: &(dyn Fn(Range<usize>) + Sync)) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        match cursor.take(8) {
            Some(b"PERFILE2") => {}
            Some(b"2ELIFREP" | b"ELIFFREP") => return Err(Error::Unsupported(Unsupported::BigEndian)),
            Some(b"PERFFILE") => return Err(Error::Unsupported(Unsupported::OldFormat)),
            _ => return Err(Error::NotPerfData),
        }
        match cursor.u64().ok_or(damaged_header_error())? {
            PIPE_HEADER_BYTES => Self::parse_pipe(bytes, 16, release),
            FILE_HEADER_BYTES => {
                Self::parse_file(bytes, &FileHeader::read(cursor).ok_or(damaged_header_error())?, release)
            }
            size => Err(Error::Unsupported(Unsupported::HeaderSize(size))),
        }
    }

    fn parse_pipe(bytes: &'a [u8], start: usize, release: &(dyn Fn(Range<usize>) + Sync)) -> Result<Self, Error> {
        let mut scan = Scan::new(RecordLayout::default());
        scan.run(bytes, start, false, release)?;
        Ok(Self::new(bytes, scan, Vec::new(), true))
    }

    fn parse_file(
        bytes: &'a [u8],
        header: &FileHeader,
        release: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<Self, Error> {
        let damaged = |what, offset: u64| Error::Damaged { what, offset };
        let attrs = header.read_attrs(bytes).ok_or(damaged("the attribute section", header.attrs.offset))?;
        let mut scan = Scan::new(RecordLayout::new(attrs).map_err(Error::Unsupported)?);
        let start = usize::try_from(header.data.offset).ok().filter(|start| *start <= bytes.len());
        let start = start.ok_or(damaged("the data section", header.data.offset))?;
        // perf and goflame write the size of the data section when the recording ends, so 0 means that the recorder was
        // killed. Then perf has already set the bits of the features, but has not written their sections.
        let complete = header.data.size != 0;
        let end = usize::try_from(header.data.size).ok().and_then(|size| start.checked_add(size));
        let records = end.filter(|_| complete).and_then(|end| bytes.get(..end)).unwrap_or(bytes);
        scan.run(records, start, !complete, release)?;
        let mut sections = Vec::new();
        if complete {
            if end.is_none_or(|end| end > bytes.len()) && scan.damage.is_none() {
                scan.damage = Some(Damage { what: "the data section", offset: bytes.len() });
            }
            let mut table = end.and_then(|end| Cursor::from_offset(bytes, end)).unwrap_or(Cursor::new(&[]));
            for bit in header.features() {
                if let Some(section) = FileSection::read(&mut table).and_then(|section| section.slice(bytes)) {
                    scan.read_feature(bit, section);
                    sections.push((bit, section));
                }
            }
        }
        Ok(Self::new(records, scan, sections, complete))
    }

    fn new(bytes: &'a [u8], mut scan: Scan, sections: Vec<(u32, &'a [u8])>, is_complete: bool) -> Self {
        let names = std::mem::take(&mut scan.event_names);
        scan.layout.name_events(names);
        Self { bytes, scan, sections, is_complete }
    }

    /// The events. [`Sample::event`](super::Sample::event) is an index into this slice.
    pub fn events(&self) -> &[Event] {
        self.scan.layout.events()
    }

    /// Metadata of the recording. Lacks features whose section is damaged or outside of the file.
    pub fn features(&self) -> &Features {
        &self.scan.features
    }

    /// The feature sections of a file, with their numbers. Empty for a stream.
    pub fn sections(&self) -> &[(u32, &'a [u8])] {
        &self.sections
    }

    /// The bytes of a record, with its header. Empty if the file has no record there.
    pub fn record_bytes(&self, record: &Record<'_>) -> &'a [u8] {
        let at = usize::try_from(record.offset).unwrap_or(usize::MAX);
        let end = RawRecord::parse(self.bytes, at).map_or(at, |raw| raw.end);
        self.bytes.get(at..end).unwrap_or_default()
    }

    /// Whether the recorder finished the file. An unfinished file (the recorder was killed, or the disk was full) has
    /// no features, and its last record is left out if it is cut. A stream always counts as finished, because its
    /// format has no mark for the end.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The kernel's records, sorted by time. Records of equal time keep the order of the file. A record without time
    /// follows its predecessor in the file. Records that perf makes itself have the time 0, and come first. Records of
    /// type 64 and above, which only perf writes, are left out.
    ///
    /// A damaged record ends reading: the iterator returns all records before it in the file, then an error with its
    /// offset, then nothing more.
    pub fn records(&self) -> Records<'_, 'a> {
        self.records_in(0..self.record_count())
    }

    /// Releases the memory of the record index. Afterwards the file has no records.
    pub fn release_records(&mut self) {
        self.scan.index.records = Vec::new();
    }

    /// The number of records, including damaged ones.
    pub fn record_count(&self) -> usize {
        self.scan.index.records.len()
    }

    /// The records at these positions of [`PerfData::records`].
    pub fn records_in(&self, positions: Range<usize>) -> Records<'_, 'a> {
        let entries = self.scan.index.records.get(positions).unwrap_or_default().iter();
        Records { file: self, entries, samples: true, damage: self.scan.damage }
    }

    /// The records before this position of [`PerfData::records`] that are not samples.
    pub fn non_samples_before(&self, position: usize) -> Records<'_, 'a> {
        Records { samples: false, ..self.records_in(0..position) }
    }

    /// All mappings, in the order of the file. Damaged records are left out.
    pub fn mappings(&self) -> impl Iterator<Item = Mmap<'a>> {
        self.scan.index.maps.iter().filter_map(|offset| {
            let raw = RawRecord::parse(self.bytes, *offset).ok()?;
            match decode::decode_record(&raw, &self.scan.layout)?.kind {
                RecordKind::Mmap(mmap) => Some(mmap),
                _ => None,
            }
        })
    }
}

/// Iterator of [`PerfData::records`].
#[derive(Debug)]
pub struct Records<'p, 'a> {
    file: &'p PerfData<'a>,
    entries: slice::Iter<'p, Entry>,
    /// Whether the iterator returns samples too.
    samples: bool,
    /// The damage with the lowest offset so far.
    damage: Option<Damage>,
}

impl<'a> Iterator for Records<'_, 'a> {
    type Item = Result<Record<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        for entry in self.entries.by_ref() {
            let offset = entry.offset();
            if !self.samples && entry.is_sample() || self.damage.is_some_and(|damage| offset >= damage.offset) {
                continue;
            }
            let raw = RawRecord::parse(self.file.bytes, offset).ok();
            match raw.and_then(|raw| decode::decode_record(&raw, &self.file.scan.layout)) {
                Some(record) => return Some(Ok(record)),
                None => self.damage = Some(Damage { what: "a record", offset }),
            }
        }
        self.damage.take().map(|damage| Err(damage.into()))
    }
}

impl std::iter::FusedIterator for Records<'_, '_> {}

fn damaged_header_error() -> Error {
    Error::Damaged { what: "the header", offset: 0 }
}

/// Masks the command line in a file. Returns the offset of its section and the section's new bytes, with the words that
/// `mask` returns. The size of the section does not change, so words that are too long are cut. `None` if the file has
/// no such section or is damaged, and for a stream.
pub fn mask_cmdline(bytes: &[u8], mask: impl Fn(&[String]) -> Vec<String>) -> Option<(u64, Vec<u8>)> {
    let mut cursor = Cursor::from_offset(bytes, 8)?;
    if cursor.u64()? != FILE_HEADER_BYTES {
        return None;
    }
    let header = FileHeader::read(cursor)?;
    let end = header.data.offset.checked_add(header.data.size)?;
    let mut table = Cursor::from_offset(bytes, usize::try_from(end).ok()?)?;
    for bit in header.features() {
        let section = FileSection::read(&mut table)?;
        if bit == abi::feature::CMDLINE {
            return Some((section.offset, feature::replace_cmdline(section.slice(bytes)?, mask)?));
        }
    }
    None
}

/// `struct perf_file_section`.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSection {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl FileSection {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { offset: cursor.u64()?, size: cursor.u64()? })
    }

    fn slice<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        Cursor::from_offset(bytes, usize::try_from(self.offset).ok()?)?.take_u64(self.size)
    }
}

/// `struct perf_file_header` after its magic number and size.
#[derive(Debug)]
pub(super) struct FileHeader {
    attr_size: u64,
    attrs: FileSection,
    pub(super) data: FileSection,
    feature_bits: [u64; 4],
}

impl FileHeader {
    pub(super) fn read(mut cursor: Cursor<'_>) -> Option<Self> {
        let attr_size = cursor.u64()?;
        let attrs = FileSection::read(&mut cursor)?;
        let data = FileSection::read(&mut cursor)?;
        let _event_types = FileSection::read(&mut cursor)?;
        let feature_bits = [cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?];
        Some(Self { attr_size, attrs, data, feature_bits })
    }

    /// The feature numbers, in the order of their sections.
    pub(super) fn features(&self) -> impl Iterator<Item = u32> {
        let bits = self.feature_bits;
        (0_u32..).zip(bits).flat_map(|(word, bits)| {
            (0_u32..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word.saturating_mul(64) | bit)
        })
    }

    /// Reads the attribute section. Its entries have `attr_size` bytes: an attribute and the section of its ids.
    fn read_attrs(&self, bytes: &[u8]) -> Option<Vec<Event>> {
        let size = usize::try_from(self.attr_size).ok()?;
        let attr_size = size.checked_sub(SECTION_BYTES).filter(|size| *size > 0)?;
        // All sections of ids together must not be larger than the file. Otherwise, a small file with overlapping
        // sections could request any amount of memory.
        let mut id_budget = bytes.len();
        let mut events = Vec::new();
        let attrs = self.attrs.slice(bytes)?.chunks_exact(size);
        if !attrs.remainder().is_empty() {
            return None;
        }
        for entry in attrs {
            let (attr, section) = entry.split_at_checked(attr_size)?;
            let section = FileSection::read(&mut Cursor::new(section))?.slice(bytes)?;
            id_budget = id_budget.checked_sub(section.len())?;
            events.push(Event { name: String::new(), attr: Attr::decode(attr)?.0, ids: parse_ids(section) });
        }
        Some(events)
    }
}
