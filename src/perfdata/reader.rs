//! Reading a whole file.

use std::ops::Range;
use std::slice;

use crate::bytes::Cursor;

use super::attr::{Attr, Event};
use super::decode;
use super::error::{Damage, Error, Unsupported};
use super::feature::Features;
use super::index::Entry;
use super::layout::{Frame, Layout};
use super::record::{Mmap, Record, RecordKind};
use super::scan::{Scan, ids};

/// Header of a file, with the bitmap of features; one without ends 32 bytes earlier.
const FILE_HEADER: u64 = 104;
/// Header of a stream (`perf record -o -`).
const PIPE_HEADER: u64 = 16;
/// Bytes of a `perf_file_section`.
const SECTION: usize = 16;

/// A `perf.data` file: its events, what it says about itself, and its records.
///
/// Parsing walks over all records once, to index them by time: 16 bytes per record, next to the file's own.
#[derive(Debug)]
pub struct PerfData<'a> {
    /// The file up to the end of its records.
    bytes: &'a [u8],
    scan: Scan,
    complete: bool,
}

impl<'a> PerfData<'a> {
    /// Reads the header, the features, and where the records are. Files and streams are both read.
    ///
    /// Fails when the bytes are no `perf.data`, or of an unsupported kind, or end before the records begin.
    /// Damage further on is an error of [`Records`], after the records that can be read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::parse_passing(bytes, &|_| ())
    }

    /// As [`PerfData::parse`]; says which bytes it has passed and will not look at again before the records are read.
    pub fn parse_passing(bytes: &'a [u8], passed: &(dyn Fn(Range<usize>) + Sync)) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        match cursor.take(8) {
            Some(b"PERFILE2") => {}
            Some(b"2ELIFREP" | b"ELIFFREP") => return Err(Error::Unsupported(Unsupported::BigEndian)),
            Some(b"PERFFILE") => return Err(Error::Unsupported(Unsupported::OldFormat)),
            _ => return Err(Error::NotPerfData),
        }
        match cursor.u64().ok_or(header_damaged())? {
            PIPE_HEADER => Self::parse_pipe(bytes, 16, passed),
            FILE_HEADER => Self::parse_file(bytes, &FileHeader::read(cursor).ok_or(header_damaged())?, passed),
            size => Err(Error::Unsupported(Unsupported::HeaderSize(size))),
        }
    }

    fn parse_pipe(bytes: &'a [u8], start: usize, passed: &(dyn Fn(Range<usize>) + Sync)) -> Result<Self, Error> {
        let mut scan = Scan::new(Layout::default());
        scan.run(bytes, start, false, passed)?;
        Ok(Self::new(bytes, scan, true))
    }

    fn parse_file(bytes: &'a [u8], header: &FileHeader, passed: &(dyn Fn(Range<usize>) + Sync)) -> Result<Self, Error> {
        let damaged = |what, offset: u64| Error::Damaged { what, offset };
        let attrs = header.attrs(bytes).ok_or(damaged("the attribute section", header.attrs.offset))?;
        let mut scan = Scan::new(Layout::new(attrs).map_err(Error::Unsupported)?);
        let start = usize::try_from(header.data.offset).ok().filter(|start| *start <= bytes.len());
        let start = start.ok_or(damaged("the data section", header.data.offset))?;
        // perf patches the size in at the end, as our writer does: 0 tells that the recording was killed.
        // The bits of the features are then set by perf all the same, but no section was written.
        let complete = header.data.size != 0;
        let end = usize::try_from(header.data.size).ok().and_then(|size| start.checked_add(size));
        let records = end.filter(|_| complete).and_then(|end| bytes.get(..end)).unwrap_or(bytes);
        scan.run(records, start, !complete, passed)?;
        if complete {
            if end.is_none_or(|end| end > bytes.len()) && scan.damage.is_none() {
                scan.damage = Some(Damage { what: "the data section", offset: bytes.len() });
            }
            let mut table = end.and_then(|end| Cursor::at(bytes, end)).unwrap_or(Cursor::new(&[]));
            for bit in header.features() {
                match Section::read(&mut table).and_then(|section| section.of(bytes)) {
                    Some(section) => scan.read_feature(bit, section),
                    None => scan.unread_features.push(bit),
                }
            }
        }
        Ok(Self::new(records, scan, complete))
    }

    fn new(bytes: &'a [u8], mut scan: Scan, complete: bool) -> Self {
        let names = std::mem::take(&mut scan.event_names);
        scan.layout.name_events(names);
        Self { bytes, scan, complete }
    }

    /// The events, in the order that [`Sample::event`](super::Sample::event) counts.
    pub fn events(&self) -> &[Event] {
        self.scan.layout.events()
    }

    /// What the file says about its recording.
    pub fn features(&self) -> &Features {
        &self.scan.features
    }

    /// Features that are damaged or lie outside the file, as [`feature`](super::abi::feature) numbers.
    /// [`PerfData::features`] lacks them.
    pub fn unread_features(&self) -> &[u32] {
        &self.scan.unread_features
    }

    /// Whether the recorder finished the file. If not (it was killed, or the disk was full) everything up to
    /// the end of the bytes is read, a record that is cut there is left out, and there are no features. A
    /// stream cannot tell and counts as complete.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The kernel's records in the order of time. Records of equal time keep the order of the file; a record
    /// without time follows its predecessor in the file; time 0, which recorders give to records that they
    /// make up, comes first. perf's own records, type 64 and up, are not handed out.
    ///
    /// At a damaged record reading stops: every record that stands before it in the file comes out, then an
    /// error that names its offset, then nothing more.
    pub fn records(&self) -> Records<'_, 'a> {
        self.records_of(0..self.record_count())
    }

    /// Gives back the memory of the index of records. From then on there are none.
    pub fn forget_records(&mut self) {
        self.scan.index.records = Vec::new();
    }

    /// The number of records, damaged ones included.
    pub fn record_count(&self) -> usize {
        self.scan.index.records.len()
    }

    /// Those of [`PerfData::records`] at these positions.
    pub fn records_of(&self, positions: Range<usize>) -> Records<'_, 'a> {
        let entries = self.scan.index.records.get(positions).unwrap_or_default().iter();
        Records { file: self, entries, samples: true, damage: self.scan.damage }
    }

    /// Those of [`PerfData::records`] before a position that are no samples.
    pub fn others_before(&self, position: usize) -> Records<'_, 'a> {
        Records { samples: false, ..self.records_of(0..position) }
    }

    /// What was mapped, in the order of the file; damaged records are left out.
    pub fn mappings(&self) -> impl Iterator<Item = Mmap<'a>> {
        self.scan.index.maps.iter().filter_map(|offset| {
            let frame = Frame::at(self.bytes, *offset).ok()?;
            match decode::record(&frame, &self.scan.layout)?.kind {
                RecordKind::Mmap(mmap) => Some(mmap),
                _ => None,
            }
        })
    }
}

/// See [`PerfData::records`].
#[derive(Debug)]
pub struct Records<'p, 'a> {
    file: &'p PerfData<'a>,
    entries: slice::Iter<'p, Entry>,
    /// Whether samples are handed out.
    samples: bool,
    /// The first damage in the order of the file, among the records seen so far.
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
            let frame = Frame::at(self.file.bytes, offset).ok();
            match frame.and_then(|frame| decode::record(&frame, &self.file.scan.layout)) {
                Some(record) => return Some(Ok(record)),
                None => self.damage = Some(Damage { what: "a record", offset }),
            }
        }
        self.damage.take().map(|damage| Err(damage.into()))
    }
}

impl std::iter::FusedIterator for Records<'_, '_> {}

fn header_damaged() -> Error {
    Error::Damaged { what: "the header", offset: 0 }
}

/// `struct perf_file_section`.
#[derive(Debug, Clone, Copy)]
struct Section {
    offset: u64,
    size: u64,
}

impl Section {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { offset: cursor.u64()?, size: cursor.u64()? })
    }

    fn of<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        Cursor::at(bytes, usize::try_from(self.offset).ok()?)?.take_u64(self.size)
    }
}

/// `struct perf_file_header` behind its magic number and size.
#[derive(Debug)]
struct FileHeader {
    attr_size: u64,
    attrs: Section,
    data: Section,
    feature_bits: [u64; 4],
}

impl FileHeader {
    fn read(mut cursor: Cursor<'_>) -> Option<Self> {
        let attr_size = cursor.u64()?;
        let attrs = Section::read(&mut cursor)?;
        let data = Section::read(&mut cursor)?;
        let _event_types = Section::read(&mut cursor)?;
        let feature_bits = [cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?];
        Some(Self { attr_size, attrs, data, feature_bits })
    }

    /// Numbers of the features, in the order of their sections.
    fn features(&self) -> impl Iterator<Item = u32> {
        let bits = self.feature_bits;
        (0_u32..).zip(bits).flat_map(|(word, bits)| {
            (0_u32..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word.saturating_mul(64) | bit)
        })
    }

    /// The attribute section: attributes of `attr_size` bytes, which includes the section of their ids.
    fn attrs(&self, bytes: &[u8]) -> Option<Vec<Event>> {
        let size = usize::try_from(self.attr_size).ok()?;
        let attr_size = size.checked_sub(SECTION).filter(|size| *size > 0)?;
        // Sections of ids must not overlap, or a small file could ask for any amount of memory.
        let mut id_budget = bytes.len();
        let mut events = Vec::new();
        let attrs = self.attrs.of(bytes)?.chunks_exact(size);
        if !attrs.remainder().is_empty() {
            return None;
        }
        for bytes_of_one in attrs {
            let (attr, section) = bytes_of_one.split_at_checked(attr_size)?;
            let section = Section::read(&mut Cursor::new(section))?.of(bytes)?;
            id_budget = id_budget.checked_sub(section.len())?;
            events.push(Event { name: String::new(), attr: Attr::decode(attr)?.0, ids: ids(section) });
        }
        Some(events)
    }
}
