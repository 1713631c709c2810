//! Layout of records: finds the event and the sample id of a record.

use std::collections::HashMap;

use crate::bytes::Cursor;

use super::abi::{record_type, sample_type};
use super::attr::{Attr, Event, SAMPLE_ID_FIELDS};
use super::error::Unsupported;

/// The bytes of one record, with its header decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRecord<'a> {
    /// Offset of the record in the file, in bytes.
    pub(super) offset: usize,
    /// Offset of the byte after the record. The next record starts there, unless the record has a payload.
    pub(super) end: usize,
    pub(super) kind: u32,
    pub(super) misc: u16,
    /// The bytes after the header.
    pub(super) body: &'a [u8],
}

/// Why there is no record at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRecord {
    /// The bytes end inside the record.
    Cut,
    /// The size field is smaller than the header, or the content is damaged.
    Bad,
}

impl<'a> RawRecord<'a> {
    /// Reads the record at `offset` of `bytes`.
    pub(super) fn parse(bytes: &'a [u8], offset: usize) -> Result<Self, NoRecord> {
        let cut = NoRecord::Cut;
        let mut cursor = Cursor::from_offset(bytes, offset).ok_or(cut)?;
        let kind = cursor.u32().ok_or(cut)?;
        let misc = cursor.u16().ok_or(cut)?;
        let size = usize::from(cursor.u16().ok_or(cut)?);
        let body = cursor.take(size.checked_sub(8).ok_or(NoRecord::Bad)?).ok_or(cut)?;
        Ok(Self { offset, end: offset.checked_add(size).ok_or(cut)?, kind, misc, body })
    }
}

/// Position of the event id in the records of an event. It must be the same for all events of a file
/// (`evlist__valid_sample_type` in `tools/perf/util/evlist.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IdPosition {
    /// Offset of the event id from the start of a sample's body, in bytes.
    in_sample: Option<usize>,
    /// Distance of the event id from the end of any record other than a sample, in bytes.
    from_end: Option<usize>,
}

impl IdPosition {
    fn from_attr(attr: &Attr) -> Self {
        let bytes = |bits: &[u64]| attr.field_count(bits).checked_mul(8);
        let (in_sample, from_end) = if attr.has(sample_type::IDENTIFIER) {
            (Some(0), Some(8))
        } else if attr.has(sample_type::ID) {
            (
                attr.fields_before(sample_type::ID).checked_mul(8),
                bytes(&[sample_type::ID, sample_type::STREAM_ID, sample_type::CPU]),
            )
        } else {
            (None, None)
        };
        Self { in_sample, from_end: from_end.filter(|_| attr.sample_id_all()) }
    }
}

/// The events of a file, and how to find the event of a record.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordLayout {
    events: Vec<Event>,
    by_id: HashMap<u64, usize>,
    id_position: Option<IdPosition>,
}

impl RecordLayout {
    pub(super) fn new(events: Vec<Event>) -> Result<Self, Unsupported> {
        let mut layout = Self::default();
        for event in events {
            layout.push(event)?;
        }
        Ok(layout)
    }

    pub(super) fn push(&mut self, event: Event) -> Result<(), Unsupported> {
        let position = IdPosition::from_attr(&event.attr);
        if self.id_position.is_some_and(|first| first != position || first.in_sample.is_none()) {
            return Err(Unsupported::MixedIds);
        }
        self.id_position = Some(position);
        self.by_id.extend(event.ids.iter().map(|id| (*id, self.events.len())));
        self.events.push(event);
        Ok(())
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn event_by_id_mut(&mut self, id: u64) -> Option<&mut Event> {
        self.events.get_mut(*self.by_id.get(&id)?)
    }

    /// Gives names to the events that have none yet. `names` has the order of the events. An event without a name in
    /// `names` gets its [default name](Attr::default_name).
    pub(super) fn name_events(&mut self, names: Vec<String>) {
        let mut names = names.into_iter();
        for event in &mut self.events {
            let name = names.next().filter(|name| !name.is_empty());
            if event.name.is_empty() {
                event.name = name.unwrap_or_else(|| event.attr.default_name());
            }
        }
    }

    /// The index and the attribute of a record's event. `None` for a sample of an unknown event. Any other record of an
    /// unknown event is read as a record of the first event: its content does not depend on the event.
    pub(super) fn event_of_record(&self, raw: &RawRecord<'_>) -> Option<(usize, &Attr)> {
        let index = match (self.events.len(), self.event_id(raw)) {
            // As in perf: a single event owns all records. The records that perf makes itself have the id 0 and belong
            // to the first event.
            (1, _) | (_, Some(0)) => 0,
            (_, id) => match id.and_then(|id| self.by_id.get(&id)) {
                Some(index) => *index,
                None if raw.kind == record_type::SAMPLE => return None,
                None => 0,
            },
        };
        Some((index, &self.events.get(index)?.attr))
    }

    fn event_id(&self, raw: &RawRecord<'_>) -> Option<u64> {
        let position = self.id_position?;
        let offset = if raw.kind == record_type::SAMPLE {
            position.in_sample?
        } else {
            raw.body.len().checked_sub(position.from_end?)?
        };
        Cursor::from_offset(raw.body, offset)?.u64()
    }

    /// The time of a record, without decoding its other fields.
    pub(super) fn time_of_record(&self, raw: &RawRecord<'_>) -> Option<u64> {
        let (_, attr) = self.event_of_record(raw)?;
        decode_time(raw.kind, raw.body, attr)
    }
}

/// Decodes the time in the body of a record. `None` if the record has no time or is too short.
pub fn decode_time(kind: u32, body: &[u8], attr: &Attr) -> Option<u64> {
    if !attr.has(sample_type::TIME) {
        return None;
    }
    let (bytes, before) = if kind == record_type::SAMPLE {
        (body, attr.field_count(&[sample_type::IDENTIFIER, sample_type::IP, sample_type::TID]))
    } else {
        (split_sample_id(body, attr)?.1, attr.field_count(&[sample_type::TID]))
    };
    Cursor::from_offset(bytes, before.checked_mul(8)?)?.u64()
}

/// Splits the body of a record other than a sample into its fields and its sample id. The sample id is empty if the
/// event has no `sample_id_all`.
pub(super) fn split_sample_id<'a>(body: &'a [u8], attr: &Attr) -> Option<(&'a [u8], &'a [u8])> {
    let words = if attr.sample_id_all() { attr.field_count(&SAMPLE_ID_FIELDS) } else { 0 };
    body.split_at_checked(body.len().checked_sub(words.checked_mul(8)?)?)
}
