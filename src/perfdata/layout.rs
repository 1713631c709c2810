//! Which event a record belongs to, and where its sample id lies.

use std::collections::HashMap;

use crate::bytes::Cursor;

use super::abi::{record_type, sample_type};
use super::attr::{Attr, Event, SAMPLE_ID_FIELDS};
use super::error::Unsupported;

/// One record's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Where it starts in the file.
    pub(super) offset: usize,
    /// Where the next one starts.
    pub(super) end: usize,
    pub(super) kind: u32,
    pub(super) misc: u16,
    /// What follows its header.
    pub(super) body: &'a [u8],
}

/// Why there is no record at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// The bytes end inside it.
    Cut,
    /// Its size is less than its header's.
    Bad,
}

impl<'a> Frame<'a> {
    /// The record at `offset` of `bytes`.
    pub(super) fn at(bytes: &'a [u8], offset: usize) -> Result<Self, NoFrame> {
        let cut = NoFrame::Cut;
        let mut cursor = Cursor::at(bytes, offset).ok_or(cut)?;
        let kind = cursor.u32().ok_or(cut)?;
        let misc = cursor.u16().ok_or(cut)?;
        let size = usize::from(cursor.u16().ok_or(cut)?);
        let body = cursor.take(size.checked_sub(8).ok_or(NoFrame::Bad)?).ok_or(cut)?;
        Ok(Self { offset, end: offset.checked_add(size).ok_or(cut)?, kind, misc, body })
    }
}

/// Where the records of an event hold its id. The events of one file must agree (`evlist__valid_sample_type`
/// in `tools/perf/util/evlist.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IdPlace {
    /// From the start of a sample's body, in bytes.
    in_sample: Option<usize>,
    /// From the end of any other record, in bytes.
    from_end: Option<usize>,
}

impl IdPlace {
    fn of(attr: &Attr) -> Self {
        let bytes = |bits: &[u64]| attr.words(bits).checked_mul(8);
        let (in_sample, from_end) = if attr.samples(sample_type::IDENTIFIER) {
            (Some(0), Some(8))
        } else if attr.samples(sample_type::ID) {
            (
                bytes(&[sample_type::IP, sample_type::TID, sample_type::TIME, sample_type::ADDR]),
                bytes(&[sample_type::ID, sample_type::STREAM_ID, sample_type::CPU]),
            )
        } else {
            (None, None)
        };
        Self { in_sample, from_end: from_end.filter(|_| attr.sample_id_all()) }
    }
}

/// The events of a file and how to tell their records apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    events: Vec<Event>,
    by_id: HashMap<u64, usize>,
    place: Option<IdPlace>,
}

impl Layout {
    pub(super) fn new(events: Vec<Event>) -> Result<Self, Unsupported> {
        let mut layout = Self::default();
        for event in events {
            layout.push(event)?;
        }
        Ok(layout)
    }

    pub(super) fn push(&mut self, event: Event) -> Result<(), Unsupported> {
        let place = IdPlace::of(&event.attr);
        if self.place.is_some_and(|first| first != place || first.in_sample.is_none()) {
            return Err(Unsupported::MixedIds);
        }
        self.place = Some(place);
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

    /// Gives names to the events that have none: those of the file, in its order, else perf's own.
    pub(super) fn name_events(&mut self, names: Vec<String>) {
        let mut names = names.into_iter();
        for event in &mut self.events {
            let name = names.next().filter(|name| !name.is_empty());
            if event.name.is_empty() {
                event.name = name.unwrap_or_else(|| event.attr.default_name());
            }
        }
    }

    /// The event of a record: its index and attribute. `None` for a sample of an unknown event; any other
    /// record is then read as the first event's, for it says the same whichever event it came by.
    pub(super) fn event_of(&self, frame: &Frame<'_>) -> Option<(usize, &Attr)> {
        let index = match (self.events.len(), self.id_of(frame)) {
            // perf takes the only event, and takes the first for the id 0 of records that it makes up.
            (1, _) | (_, Some(0)) => 0,
            (_, id) => match id.and_then(|id| self.by_id.get(&id)) {
                Some(index) => *index,
                None if frame.kind == record_type::SAMPLE => return None,
                None => 0,
            },
        };
        Some((index, &self.events.get(index)?.attr))
    }

    fn id_of(&self, frame: &Frame<'_>) -> Option<u64> {
        let place = self.place?;
        let at = if frame.kind == record_type::SAMPLE {
            place.in_sample?
        } else {
            frame.body.len().checked_sub(place.from_end?)?
        };
        Cursor::at(frame.body, at)?.u64()
    }

    /// Time of a record, found without reading the rest of it.
    pub(super) fn time_of(&self, frame: &Frame<'_>) -> Option<u64> {
        let (_, attr) = self.event_of(frame)?;
        if !attr.samples(sample_type::TIME) {
            return None;
        }
        let (bytes, before) = if frame.kind == record_type::SAMPLE {
            (frame.body, attr.words(&[sample_type::IDENTIFIER, sample_type::IP, sample_type::TID]))
        } else {
            (split_sample_id(frame.body, attr)?.1, attr.words(&[sample_type::TID]))
        };
        Cursor::at(bytes, before.checked_mul(8)?)?.u64()
    }
}

/// Splits a record that is no sample into its own fields and its sample id, which is empty when the event has
/// no `sample_id_all`.
pub(super) fn split_sample_id<'a>(body: &'a [u8], attr: &Attr) -> Option<(&'a [u8], &'a [u8])> {
    let words = if attr.sample_id_all() { attr.words(&SAMPLE_ID_FIELDS) } else { 0 };
    body.split_at_checked(body.len().checked_sub(words.checked_mul(8)?)?)
}
