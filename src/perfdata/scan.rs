//! One pass over the records: finds where each starts and when it happened, and takes in what perf's own
//! records say about the file.

use std::ops::Range;

use rayon::prelude::*;

use crate::bytes::Cursor;

use super::abi::record_type;
use super::attr::{Attr, Event};
use super::error::{Damage, Error, Unsupported};
use super::feature::{self, Features};
use super::index::{Entry, Index, likely_start};
use super::layout::{Frame, Layout, NoFrame};

/// A core is not worth its while for less than so many bytes.
const LARGE: usize = 8 << 20;

/// `PERF_EVENT_UPDATE__NAME`.
const UPDATE_NAME: u64 = 2;

/// What a pass has gathered.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) layout: Layout,
    pub(super) features: Features,
    pub(super) event_names: Vec<String>,
    pub(super) unread_features: Vec<u32>,
    pub(super) index: Index,
    /// What ended the pass before the end of the records.
    pub(super) damage: Option<Damage>,
    /// Attributes come as records, since the header has none.
    attrs_in_stream: bool,
}

impl Scan {
    pub(super) fn new(layout: Layout) -> Self {
        Self { attrs_in_stream: layout.events().is_empty(), layout, ..Self::default() }
    }

    /// Walks over the records from `start` to the end of `bytes` and sorts their index. `cut_is_end`: the
    /// recording was killed, and a cut record is where it stopped. `passed` is told of what lies far behind.
    ///
    /// Only reading a record tells where the next one starts. Where there are cores to spare they begin further on, at
    /// what looks like a record, and what they find counts if those before come to the same place.
    pub(super) fn run(
        &mut self,
        bytes: &[u8],
        start: usize,
        cut_is_end: bool,
        passed: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<(), Error> {
        let starts = self.likely_starts(bytes, start);
        self.run_from(bytes, start, &starts, cut_is_end, passed)
    }

    /// As [`Scan::run`], from further starts too, in the order of the file.
    fn run_from(
        &mut self,
        bytes: &[u8],
        start: usize,
        further: &[usize],
        cut_is_end: bool,
        passed: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<(), Error> {
        let limits = further.iter().skip(1).copied().chain([bytes.len()]);
        let parts: Vec<Range<usize>> = further.iter().copied().zip(limits).map(|(start, limit)| start..limit).collect();
        let first = start..further.first().copied().unwrap_or(bytes.len());
        self.index = Index::of(first.len());
        let (at, ahead) = if parts.is_empty() {
            (self.advance(bytes, first, cut_is_end, passed), Vec::new())
        } else {
            // Nothing that perf's own records change of it matters here.
            let layout = self.layout.clone();
            let walk = |part: Range<usize>| {
                let mut index = Index::of(part.len());
                let end = index.walk(&layout, bytes, part.clone(), passed);
                (part.start..end, index)
            };
            rayon::join(
                || self.advance(bytes, first, cut_is_end, passed),
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
            at = self.advance(bytes, at..limit, cut_is_end, passed)?;
        }
        // Not the stable sort: it is no quicker for what is a few sorted runs, and wants as much memory again.
        self.index.records.par_sort_unstable_by_key(Entry::order);
        Ok(())
    }

    /// Where to begin further on, in the order of the file.
    fn likely_starts(&self, bytes: &[u8], start: usize) -> Vec<usize> {
        // In a stream, records say what those after them look like.
        if self.attrs_in_stream {
            return Vec::new();
        }
        let length = bytes.len().saturating_sub(start);
        let parts = (length / LARGE).min(rayon::current_num_threads());
        let start_of = |part: usize| {
            let place = length.checked_div(parts)?.checked_mul(part)?.checked_next_multiple_of(8)?;
            likely_start(bytes, start.checked_add(place)?)
        };
        (1..parts).filter_map(start_of).collect()
    }

    /// Takes in records from the start of `range` to its end, or behind it. Tells where it has come to: to the end of `bytes`
    /// if there is nothing more to be read.
    fn advance(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        cut_is_end: bool,
        passed: &dyn Fn(Range<usize>),
    ) -> Result<usize, Error> {
        let mut at = range.start;
        while at < range.end {
            at = self.index.walk(&self.layout, bytes, at..range.end, passed);
            if at >= range.end {
                break;
            }
            let next = match Frame::at(bytes, at) {
                Ok(frame) => self.perf_record(&frame, bytes)?,
                Err(reason) => Err(reason),
            };
            match next {
                Ok(next) => at = next,
                Err(reason) => {
                    if !(cut_is_end && reason == NoFrame::Cut) {
                        self.damage = Some(Damage { what: "a record", offset: at });
                    }
                    return Ok(bytes.len());
                }
            }
        }
        Ok(at)
    }

    /// Takes in a record of perf's own and tells where the next one starts.
    fn perf_record(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<Result<usize, NoFrame>, Error> {
        let understood = match frame.kind {
            record_type::COMPRESSED | record_type::COMPRESSED2 => {
                return Err(Error::Unsupported(Unsupported::Compressed));
            }
            record_type::AUXTRACE => {
                let payload = Cursor::new(frame.body).u64();
                return Ok(end_of_payload(frame, payload, bytes));
            }
            record_type::HEADER_TRACING_DATA => {
                let payload = Cursor::new(frame.body).u32().map(u64::from);
                return Ok(end_of_payload(frame, payload, bytes));
            }
            record_type::HEADER_ATTR if self.attrs_in_stream => match event(frame.body) {
                Some(event) => self.layout.push(event).map(Some).map_err(Error::Unsupported)?,
                None => None,
            },
            record_type::HEADER_FEATURE => self.feature(frame.body),
            record_type::HEADER_BUILD_ID => {
                feature::build_id(frame.misc, frame.body).map(|id| self.features.build_ids.push(id))
            }
            record_type::EVENT_UPDATE => self.event_update(frame.body),
            _ => Some(()),
        };
        Ok(understood.map(|()| frame.end).ok_or(NoFrame::Bad))
    }

    fn feature(&mut self, body: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(body);
        // A number outside the bitmap marks the end of the features and holds nothing.
        if let Ok(bit) = u32::try_from(cursor.u64()?) {
            self.read_feature(bit, cursor.rest());
        }
        Some(())
    }

    /// Reads a feature section. A damaged one costs that feature, not the file.
    pub(super) fn read_feature(&mut self, bit: u32, bytes: &[u8]) {
        if self.features.read(bit, bytes, &mut self.event_names).is_none() {
            self.unread_features.push(bit);
        }
    }

    fn event_update(&mut self, body: &[u8]) -> Option<()> {
        let mut cursor = Cursor::new(body);
        let (kind, id) = (cursor.u64()?, cursor.u64()?);
        if kind == UPDATE_NAME
            && let Some(event) = self.layout.event_by_id_mut(id)
        {
            let name = cursor.cstr().unwrap_or(cursor.rest());
            event.name = String::from_utf8_lossy(name).into_owned();
        }
        Some(())
    }
}

/// Where the record after one stands that is followed by `payload` bytes.
fn end_of_payload(frame: &Frame<'_>, payload: Option<u64>, bytes: &[u8]) -> Result<usize, NoFrame> {
    let payload = payload.ok_or(NoFrame::Bad)?;
    let end = usize::try_from(payload).ok().and_then(|payload| frame.end.checked_add(payload));
    end.filter(|end| *end <= bytes.len()).ok_or(NoFrame::Cut)
}

/// The body of a `HEADER_ATTR` record: an attribute, and ids up to the end.
fn event(body: &[u8]) -> Option<Event> {
    let (attr, size) = Attr::decode(body)?;
    let ids = ids(body.get(size..)?);
    Some(Event { name: String::new(), attr, ids })
}

/// Ids, 8 bytes each.
pub(super) fn ids(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).filter_map(|word| Cursor::new(word).u64()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

    use super::{Layout, Scan, record_type};
    use crate::perfdata::index::Entry;
    use crate::perfdata::tests::{native_event, native_sample};

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(body.len() + 8).expect("a short record");
        [&kind.to_le_bytes()[..], &[0, 0], &size.to_le_bytes(), body].concat()
    }

    /// Records of all kinds: out of order, without a time, perf's own, and what looks like records and is none.
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

    fn scanned(bytes: &[u8], further: &[usize]) -> (Vec<Entry>, Vec<usize>, Option<usize>) {
        let mut scan = Scan::new(Layout::new(vec![native_event("cycles", 0, &[1])]).expect("a layout"));
        scan.run_from(bytes, 0, further, false, &|_| ()).expect("records");
        (scan.index.records, scan.index.maps, scan.damage.map(|damage| damage.offset))
    }

    #[test]
    fn further_starts_change_nothing_right_or_wrong() {
        let mut bytes = records();
        for damaged in [false, true] {
            if damaged {
                let size_of_one = bytes.len() / 2 / 8 * 8 + 6;
                bytes[size_of_one..size_of_one + 2].fill(0);
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
