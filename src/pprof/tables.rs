//! The tables of profile.proto, as references into the bytes.
//!
//! Fields may come in any order, and the samples refer to all other tables. Therefore the samples are read last, one by
//! one ([`samples`]), and are not kept. Fields that goflame does not use are skipped.
//!
//! A table entry takes as few as two bytes in the file, but many times that in memory. Therefore every entry is charged
//! to [`MOST_MEMORY`] before it is kept. Positions have 4 bytes: an unpacked profile is smaller than 4 GiB.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::error::Error;
use super::messages::{FunctionMessage, Line, LocationMessage, MappingMessage, Reference, ValueType, profile};
use super::wire::RawMessage;

/// Maximum memory for the entries of all tables, in bytes. Enough for a million locations with one function and one
/// name each, or for 3 million locations with fewer functions. Together with the unpacked bytes of a small file this is
/// less than 512 MiB.
pub(super) const MOST_MEMORY: usize = 256 << 20;

/// Bytes of memory per entry of each table, both here and in the [`Profile`](crate::profile::Profile) built from it.
mod cost {
    /// Its range here, its handles, and its interner block. The text itself takes as many bytes as in the file.
    pub(super) const STRING: usize = 64;
    pub(super) const MAPPING: usize = 80;
    pub(super) const FUNCTION: usize = 64;
    pub(super) const LOCATION: usize = 80;
    pub(super) const LINE: usize = 24;
    /// An id that is not the previous id plus one: a slot of a hash table while the table grows.
    pub(super) const SCATTERED_ID: usize = 48;
}

/// Maximum number of sample types that are kept. perf and Go have some dozens of events. Further ones are only counted.
pub(super) const MOST_SAMPLE_TYPES: usize = 1000;

/// A profile without its samples.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    bytes: &'a [u8],
    /// The first [`MOST_SAMPLE_TYPES`].
    pub(super) sample_types: Vec<ValueType>,
    /// Total number of sample types in the file.
    pub(super) sample_type_count: usize,
    pub(super) mappings: Table<MappingMessage>,
    pub(super) locations: Table<LocationMessage>,
    pub(super) functions: Table<FunctionMessage>,
    /// The lines of all locations.
    lines: Vec<Line>,
    /// Range of each string in `bytes`.
    strings: Vec<(u32, u32)>,
    pub(super) time_nanos: i64,
    pub(super) duration_nanos: i64,
    pub(super) period_type: ValueType,
    pub(super) period: i64,
    pub(super) default_sample_type: u32,
    /// See [`MOST_MEMORY`].
    memory: Memory,
}

/// Memory charged for table entries, in bytes.
#[derive(Debug, Default)]
struct Memory(usize);

impl Memory {
    fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MOST_MEMORY { Err(Error::TooManyEntries) } else { Ok(()) }
    }
}

/// Table of entries with ids.
#[derive(Debug)]
pub(super) struct Table<T> {
    pub(super) items: Vec<T>,
    /// Number of entries at the start whose ids are 1, 2, 3 and so on, as Go and pprof write them.
    in_order: u32,
    /// Positions of the other entries, by id.
    scattered: HashMap<u64, u32, RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), in_order: 0, scattered: HashMap::default() }
    }
}

impl<T> Table<T> {
    /// Adds an entry. `cost` is its memory in bytes, without its id.
    fn add(&mut self, raw: RawMessage<'_>, id: u64, item: T, cost: usize, memory: &mut Memory) -> Result<(), Error> {
        if id == 0 || self.position(id).is_some() {
            return Err(Error::Id { what: raw.what, offset: raw.offset, id });
        }
        memory.charge(cost)?;
        let position = u32::try_from(self.items.len()).map_err(|_| Error::TooManyEntries)?;
        let next = position.saturating_add(1);
        if position == self.in_order && id == u64::from(next) {
            self.in_order = next;
        } else {
            memory.charge(cost::SCATTERED_ID)?;
            self.scattered.insert(id, position);
        }
        self.items.push(item);
        Ok(())
    }

    /// Returns the position of the entry with this id.
    pub(super) fn position(&self, id: u64) -> Option<u32> {
        match u32::try_from(id) {
            Ok(id @ 1..) if id <= self.in_order => id.checked_sub(1),
            _ => self.scattered.get(&id).copied(),
        }
    }

    /// Returns a reference of `raw` to the entry with this id. The id 0 means no entry.
    pub(super) fn reference(&self, raw: RawMessage<'_>, target: &'static str, id: u64) -> Result<Reference, Error> {
        match self.position(id) {
            None if id > 0 => Err(Error::Dangling { what: raw.what, offset: raw.offset, target, id }),
            position => Ok(Reference::new(position)),
        }
    }

    /// Returns the entry at a position.
    pub(super) fn at(&self, position: u32) -> Option<&T> {
        self.items.get(index(position))
    }
}

/// Converts a position to an index.
pub(super) fn index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

impl<'a> Tables<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut tables = Self { bytes, ..Self::default() };
        // Read referenced tables first, in whatever order the file has them.
        for field in whole(bytes).fields() {
            let field = field?;
            if field.number == profile::STRING {
                let string = field.message("a string")?;
                let end = string.offset.saturating_add(string.bytes.len());
                tables.memory.charge(cost::STRING)?;
                tables.strings.push((narrow(string.offset)?, narrow(end)?));
            }
        }
        if !tables.text(0).is_empty() {
            return Err(Error::Damaged { what: "the table of strings, whose first must be empty,", offset: 0 });
        }
        for field in whole(bytes).fields() {
            let field = field?;
            match field.number {
                profile::SAMPLE_TYPE => {
                    let value_type = ValueType::read(field.message("a sample type")?, &tables)?;
                    if tables.sample_types.len() < MOST_SAMPLE_TYPES {
                        tables.sample_types.push(value_type);
                    }
                    tables.sample_type_count = tables.sample_type_count.saturating_add(1);
                }
                profile::MAPPING => {
                    let raw = field.message("a mapping")?;
                    let (id, mapping) = MappingMessage::read(raw, &tables)?;
                    tables.mappings.add(raw, id, mapping, cost::MAPPING, &mut tables.memory)?;
                }
                profile::FUNCTION => {
                    let raw = field.message("a function")?;
                    let (id, function) = FunctionMessage::read(raw, &tables)?;
                    tables.functions.add(raw, id, function, cost::FUNCTION, &mut tables.memory)?;
                }
                profile::TIME => tables.time_nanos = field.signed()?,
                profile::DURATION => tables.duration_nanos = field.signed()?,
                profile::PERIOD_TYPE => {
                    tables.period_type = ValueType::read(field.message("the type of the period")?, &tables)?;
                }
                profile::PERIOD => tables.period = field.signed()?,
                profile::DEFAULT_SAMPLE_TYPE => {
                    tables.default_sample_type = tables.string(whole(bytes), field.number()?)?;
                }
                _ => {}
            }
        }
        for field in whole(bytes).fields() {
            let field = field?;
            if field.number == profile::LOCATION {
                tables.add_location(field.message("a location")?)?;
            }
        }
        Ok(tables)
    }

    fn add_location(&mut self, raw: RawMessage<'_>) -> Result<(), Error> {
        let Self { mappings, functions, locations, lines, memory, .. } = self;
        let start = narrow(lines.len())?;
        let (id, mut location) = LocationMessage::read(raw, mappings, functions, |line| {
            memory.charge(cost::LINE)?;
            lines.push(line);
            Ok(())
        })?;
        location.lines = start..narrow(lines.len())?;
        locations.add(raw, id, location, cost::LOCATION, memory)
    }

    /// Returns the position of a text in the string table.
    pub(super) fn string(&self, raw: RawMessage<'_>, at: u64) -> Result<u32, Error> {
        let position = u32::try_from(at).ok().filter(|position| index(*position) < self.strings.len());
        // In a file without texts, index 0 is the empty text.
        let position = position.or((at == 0).then_some(0));
        position.ok_or(Error::Dangling { what: raw.what, offset: raw.offset, target: "string", id: at })
    }

    /// Returns the text at a position.
    pub(super) fn text(&self, position: u32) -> &'a [u8] {
        let range = self.strings.get(index(position)).map(|(start, end)| index(*start)..index(*end));
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// The number of strings.
    pub(super) fn string_count(&self) -> usize {
        self.strings.len()
    }

    /// Returns the lines of a location, innermost first.
    pub(super) fn lines_of(&self, location: &LocationMessage) -> &[Line] {
        let Range { start, end } = location.lines;
        self.lines.get(index(start)..index(end)).unwrap_or_default()
    }
}

/// Returns the samples in the order of the file.
pub(super) fn samples(bytes: &[u8]) -> impl Iterator<Item = Result<RawMessage<'_>, Error>> {
    whole(bytes).fields().filter_map(|field| match field {
        Ok(field) => (field.number == profile::SAMPLE).then(|| field.message("a sample")),
        Err(error) => Some(Err(error)),
    })
}

/// Converts an offset or a position to 4 bytes.
fn narrow(at: usize) -> Result<u32, Error> {
    u32::try_from(at).map_err(|_| Error::TooManyEntries)
}

fn whole(bytes: &[u8]) -> RawMessage<'_> {
    RawMessage { bytes, offset: 0, what: "the profile" }
}
