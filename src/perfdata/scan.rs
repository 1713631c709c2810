//! One pass over the records: finds where each starts and when it happened, and takes in what perf's own
//! records say about the file.

use std::ops::Range;

use crate::bytes::Cursor;

use super::abi::record_type;
use super::attr::{Attr, Event};
use super::error::{Damage, Error, Unsupported};
use super::feature::{self, Features};
use super::layout::{Frame, Layout, NoFrame};

/// After so many bytes the reader says that it has passed them.
pub(super) const STRIDE: usize = 4 << 20;

/// For the records of so many bytes there is room for [`ROOM`] entries from the beginning.
const LARGE: usize = 8 << 20;

/// So many entries are no memory before they are there, and are given back to the system as soon as they are gone, which
/// allocators do with little of what is smaller.
const ROOM: usize = (40 << 20) / size_of::<Entry>();

/// `PERF_EVENT_UPDATE__NAME`.
const UPDATE_NAME: u64 = 2;

/// A record and its place in time. 16 bytes, the only memory that grows with the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Time to sort by: the record's own, or that of its predecessor in the file when it has none.
    time: u64,
    /// Where the record starts in the file, times two, and one more for a sample. Also keeps records of equal time in
    /// the order of the file.
    place: u64,
}

impl Entry {
    fn new(time: u64, frame: &Frame<'_>) -> Self {
        // No file is so large that this shifts anything out.
        let place = u64::try_from(frame.offset).unwrap_or(u64::MAX) << 1 | u64::from(frame.kind == record_type::SAMPLE);
        Self { time, place }
    }

    /// Where the record starts in the file.
    pub(super) fn offset(self) -> usize {
        usize::try_from(self.place >> 1).unwrap_or(usize::MAX)
    }

    pub(super) fn is_sample(self) -> bool {
        self.place & 1 == 1
    }
}

/// What a pass has gathered.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) layout: Layout,
    pub(super) features: Features,
    pub(super) event_names: Vec<String>,
    pub(super) unread_features: Vec<u32>,
    pub(super) index: Vec<Entry>,
    /// Where the records of mapped files start.
    pub(super) maps: Vec<usize>,
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
    /// recording was killed, and a cut record is where it stopped. `passed` is told of what lies behind.
    pub(super) fn run(
        &mut self,
        bytes: &[u8],
        start: usize,
        cut_is_end: bool,
        passed: &dyn Fn(Range<usize>),
    ) -> Result<(), Error> {
        if bytes.len() > LARGE {
            self.index.reserve(ROOM);
        }
        let (mut at, mut time, mut behind) = (start, 0, 0);
        while at < bytes.len() {
            if at.saturating_sub(behind) >= STRIDE {
                passed(behind..at);
                behind = at;
            }
            let next = match Frame::at(bytes, at) {
                Ok(frame) if frame.kind < record_type::USER_START => {
                    // perf takes both 0 and the highest number for "no time"; 0 sorts first by itself.
                    time = self.layout.time_of(&frame).filter(|time| *time != u64::MAX).unwrap_or(time);
                    self.index.push(Entry::new(time, &frame));
                    if matches!(frame.kind, record_type::MMAP | record_type::MMAP2) {
                        self.maps.push(at);
                    }
                    Ok(frame.end)
                }
                Ok(frame) => self.perf_record(&frame, bytes)?,
                Err(reason) => Err(reason),
            };
            match next {
                Ok(next) => at = next,
                Err(NoFrame::Cut) if cut_is_end => break,
                Err(_) => {
                    self.damage = Some(Damage { what: "a record", offset: at });
                    break;
                }
            }
        }
        passed(behind..bytes.len());
        // In place: the stable sort is no quicker for what is a few sorted runs, and wants as much memory again.
        self.index.sort_unstable();
        Ok(())
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
            // The order is found by sorting, so FINISHED_ROUND tells nothing; nor do the others.
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
