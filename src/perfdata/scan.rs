//! One pass over the records: indexes the kernel's records by offset and time, and reads the records that perf itself
//! writes about the file.

use std::ops::Range;

use rayon::prelude::*;

use crate::bytes::Cursor;

use super::abi::record_type;
use super::attr::{Attr, Event};
use super::error::{Damage, Error, Unsupported};
use super::feature::{self, Features};
use super::index::{Entry, Index, likely_start};
use super::layout::{NoRecord, RawRecord, RecordLayout};

/// Minimum number of bytes per core. With fewer bytes, another core costs more time than it saves.
const MIN_PART_BYTES: usize = 8 << 20;

/// `PERF_EVENT_UPDATE__NAME`.
const UPDATE_NAME: u64 = 2;

/// State and result of a pass.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) layout: RecordLayout,
    pub(super) features: Features,
    pub(super) event_names: Vec<String>,
    pub(super) index: Index,
    /// The damage that ended the pass before the end of the records.
    pub(super) damage: Option<Damage>,
    /// Whether attributes come as records, because the header has none.
    attrs_in_stream: bool,
}

impl Scan {
    pub(super) fn new(layout: RecordLayout) -> Self {
        Self { attrs_in_stream: layout.events().is_empty(), layout, ..Self::default() }
    }

    /// Indexes the records from `start` to the end of `bytes` and sorts the index by time. `cut_is_end` says that the
    /// recorder was killed, so a cut record is not damage. `release` is called with ranges that are not needed again.
    ///
    /// The start of a record is certain only after the record before it was read. To use all cores, each further core
    /// starts at an offset that looks like the start of a record. Its result is used only if the cores before it arrive
    /// at the same offset.
    pub(super) fn run(
        &mut self,
        bytes: &[u8],
        start: usize,
        cut_is_end: bool,
        release: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<(), Error> {
        let starts = self.likely_starts(bytes, start);
        self.run_with_further_starts(bytes, start, &starts, cut_is_end, release)
    }

    /// Like [`Scan::run`]. Further cores start at the offsets `further_starts`, which are in the order of the file and
    /// can be wrong.
    fn run_with_further_starts(
        &mut self,
        bytes: &[u8],
        start: usize,
        further_starts: &[usize],
        cut_is_end: bool,
        release: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<(), Error> {
        let limits = further_starts.iter().skip(1).copied().chain([bytes.len()]);
        let parts: Vec<Range<usize>> =
            further_starts.iter().copied().zip(limits).map(|(start, limit)| start..limit).collect();
        let first = start..further_starts.first().copied().unwrap_or(bytes.len());
        self.index = Index::with_room_for(first.len());
        let (at, ahead) = if parts.is_empty() {
            (self.advance(bytes, first, cut_is_end, release), Vec::new())
        } else {
            // A copy is enough: in a file, perf's own records change the layout only in the names of events.
            let layout = self.layout.clone();
            let walk = |part: Range<usize>| {
                let mut index = Index::with_room_for(part.len());
                let end = index.walk(&layout, bytes, part.clone(), release);
                (part.start..end, index)
            };
            rayon::join(
                || self.advance(bytes, first, cut_is_end, release),
                || parts.into_par_iter().with_max_len(1).map(walk).collect(),
            )
        };
        let mut at = at?;
        let mut ahead = ahead.into_iter().peekable();
        while at < bytes.len() {
            while ahead.next_if(|(part, _)| part.start < at).is_some() {}
            if let Some((part, index)) = ahead.next_if(|(part, _)| part.start == at) {
                self.index.append(index);
                at = part.end;
            }
            let limit = ahead.peek().map_or(bytes.len(), |(part, _)| part.start);
            at = self.advance(bytes, at..limit, cut_is_end, release)?;
        }
        // A stable sort would not be faster for a few sorted sequences, and would need twice the memory.
        self.index.records.par_sort_unstable_by_key(Entry::sort_key);
        Ok(())
    }

    /// Offsets at which further cores start, in the order of the file.
    fn likely_starts(&self, bytes: &[u8], start: usize) -> Vec<usize> {
        // In a stream, the layout of a record depends on the records before it.
        if self.attrs_in_stream {
            return Vec::new();
        }
        let length = bytes.len().saturating_sub(start);
        let parts = (length / MIN_PART_BYTES).min(rayon::current_num_threads());
        let start_of = |part: usize| {
            let offset = length.checked_div(parts)?.checked_mul(part)?.checked_next_multiple_of(8)?;
            likely_start(bytes, start.checked_add(offset)?)
        };
        (1..parts).filter_map(start_of).collect()
    }

    /// Reads records from the start of `range` until a record ends at or after the end of `range`. Returns that offset,
    /// or the end of `bytes` if no more records can be read.
    fn advance(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        cut_is_end: bool,
        release: &dyn Fn(Range<usize>),
    ) -> Result<usize, Error> {
        let mut at = range.start;
        while at < range.end {
            at = self.index.walk(&self.layout, bytes, at..range.end, release);
            if at >= range.end {
                break;
            }
            let next = match RawRecord::parse(bytes, at) {
                Ok(raw) => self.read_perf_record(&raw, bytes)?,
                Err(reason) => Err(reason),
            };
            match next {
                Ok(next) => at = next,
                Err(reason) => {
                    if !(cut_is_end && reason == NoRecord::Cut) {
                        self.damage = Some(Damage { what: "a record", offset: at });
                    }
                    return Ok(bytes.len());
                }
            }
        }
        Ok(at)
    }

    /// Reads a record that perf itself wrote. Returns the offset of the next record.
    fn read_perf_record(&mut self, raw: &RawRecord<'_>, bytes: &[u8]) -> Result<Result<usize, NoRecord>, Error> {
        let content = match raw.kind {
            record_type::COMPRESSED | record_type::COMPRESSED2 => {
                return Err(Error::Unsupported(Unsupported::Compressed));
            }
            record_type::AUXTRACE | record_type::HEADER_TRACING_DATA => return Ok(end_with_payload(raw, bytes)),
            record_type::HEADER_ATTR if self.attrs_in_stream => match parse_event(raw.body) {
                Some(event) => self.layout.push(event).map(Some).map_err(Error::Unsupported)?,
                None => None,
            },
            record_type::HEADER_FEATURE => self.read_feature_record(raw.body),
            record_type::HEADER_BUILD_ID => {
                feature::parse_build_id(raw.misc, raw.body).map(|id| self.features.build_ids.push(id))
            }
            record_type::EVENT_UPDATE => self.read_event_update(raw.body),
            _ => Some(()),
        };
        Ok(content.map(|()| raw.end).ok_or(NoRecord::Bad))
    }

    fn read_feature_record(&mut self, body: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(body);
        // A number outside the bitmap marks the end of the features and has no content.
        if let Ok(bit) = u32::try_from(cursor.u64()?) {
            self.read_feature(bit, cursor.unread());
        }
        Some(())
    }

    /// Reads a feature section. If it is damaged, only this feature is missing.
    pub(super) fn read_feature(&mut self, bit: u32, bytes: &[u8]) {
        let _ = self.features.read(bit, bytes, &mut self.event_names);
    }

    fn read_event_update(&mut self, body: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(body);
        let (kind, id) = (cursor.u64()?, cursor.u64()?);
        if kind == UPDATE_NAME
            && let Some(event) = self.layout.event_by_id_mut(id)
        {
            let name = cursor.cstr().unwrap_or(cursor.unread());
            event.name = String::from_utf8_lossy(name).into_owned();
        }
        Some(())
    }
}

/// The offset of the next record: after `raw` and its payload, if it has one.
pub(super) fn end_with_payload(raw: &RawRecord<'_>, bytes: &[u8]) -> Result<usize, NoRecord> {
    let mut body = Cursor::new(raw.body);
    let payload = match raw.kind {
        record_type::AUXTRACE => body.u64(),
        record_type::HEADER_TRACING_DATA => body.u32().map(u64::from),
        _ => Some(0),
    };
    let payload = payload.ok_or(NoRecord::Bad)?;
    let end = usize::try_from(payload).ok().and_then(|payload| raw.end.checked_add(payload));
    end.filter(|end| *end <= bytes.len()).ok_or(NoRecord::Cut)
}

/// Reads the body of a `HEADER_ATTR` record: an attribute, then ids up to the end.
fn parse_event(body: &[u8]) -> Option<Event> {
    let (attr, size) = Attr::decode(body)?;
    let ids = parse_ids(body.get(size..)?);
    Some(Event { name: String::new(), attr, ids })
}

/// Reads event ids of 8 bytes each.
pub(super) fn parse_ids(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).filter_map(|word| Cursor::new(word).u64()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

    use super::{RecordLayout, Scan, record_type};
    use crate::perfdata::index::Entry;
    use crate::perfdata::tests::{native_event, native_sample};

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(body.len() + 8).expect("a short record");
        [&kind.to_le_bytes()[..], &[0, 0], &size.to_le_bytes(), body].concat()
    }

    /// Records of all kinds: out of order, without a time, of perf itself, and payload that looks like records.
    fn records() -> Vec<u8> {
        let sample = |time| record(record_type::SAMPLE, &native_sample(1, time, 0, &[0x40_1000, 0x40_2000]));
        let mut bytes = Vec::new();
        for at in 0..40 {
            bytes.extend(match at % 8 {
                1 => record(record_type::MMAP, &[0; 8]),
                3 => record(record_type::FINISHED_ROUND, &[]),
                5 if at > 20 => record(record_type::EVENT_UPDATE, &[0; 24]),
                6 => {
                    let fake = [sample(7), sample(8)].concat();
                    let size = u64::try_from(fake.len()).expect("short");
                    [record(record_type::AUXTRACE, &size.to_le_bytes()), fake].concat()
                }
                _ => sample(1000 + at % 5 * 100),
            });
        }
        bytes
    }

    fn scanned(bytes: &[u8], further_starts: &[usize]) -> (Vec<Entry>, Vec<usize>, Option<usize>) {
        let mut scan = Scan::new(RecordLayout::new(vec![native_event("cycles", 0, &[1])]).expect("a layout"));
        scan.run_with_further_starts(bytes, 0, further_starts, false, &|_| ()).expect("records");
        (scan.index.records, scan.index.maps, scan.damage.map(|damage| damage.offset))
    }

    #[test]
    fn right_and_wrong_further_starts_give_the_same_index() {
        let mut bytes = records();
        for damaged in [false, true] {
            if damaged {
                let size_field = bytes.len() / 2 / 8 * 8 + 6;
                bytes[size_field..size_field + 2].fill(0);
            }
            let expected = scanned(&bytes, &[]);
            assert!(expected.0.len() > 10 && expected.1.len() > 1, "{} records", expected.0.len());
            for start in (8..bytes.len()).step_by(8) {
                assert_eq!(scanned(&bytes, &[start]), expected, "from {start} too");
                let further = [start / 16 * 8 + 8, start + 8];
                assert_eq!(scanned(&bytes, &further), expected, "from {further:?} too");
            }
        }
    }
}
