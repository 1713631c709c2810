//! The tables of profile.proto, as references into the bytes.
//!
//! Fields may come in any order, and the samples refer to all other tables. Therefore the samples are read last, one by
//! one ([`samples`]), and are not kept. Fields that goflame does not use are skipped.
//!
//! A table entry takes as few as two bytes in the file, but many times that in memory. Therefore every entry is charged
//! to [`MAX_MEMORY_BYTES`](super::limits::MAX_MEMORY_BYTES) before it is kept. Positions have 4 bytes: an unpacked
//! profile is smaller than 4 GiB.

use std::ops::Range;

use super::error::Error;
use super::limits::MAX_SAMPLE_TYPES;
use super::messages::{FunctionMessage, Line, LocationMessage, MappingMessage, ValueType, profile};
use super::strings::StringTable;
use super::table::{ChargedMemory, Table, to_index, to_u32};
use super::wire::RawMessage;

/// Bytes of memory per entry of each table, both here and in the [`Profile`](crate::profile::Profile) built from it.
mod entry_bytes {
    /// The range of a string, its handles, and its block in the interner. The text itself takes as many bytes as in the file.
    pub(super) const STRING: usize = 64;
    pub(super) const MAPPING: usize = 80;
    pub(super) const FUNCTION: usize = 64;
    pub(super) const LOCATION: usize = 80;
    pub(super) const LINE: usize = 24;
}

/// A profile without its samples.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    pub(super) strings: StringTable<'a>,
    /// The first [`MAX_SAMPLE_TYPES`] sample types of the file.
    pub(super) sample_types: Vec<ValueType>,
    /// Total number of sample types in the file.
    pub(super) sample_type_count: usize,
    pub(super) mappings: Table<MappingMessage>,
    pub(super) locations: Table<LocationMessage>,
    pub(super) functions: Table<FunctionMessage>,
    /// The lines of all locations.
    lines: Vec<Line>,
    pub(super) time_nanos: i64,
    pub(super) duration_nanos: i64,
    pub(super) period_type: ValueType,
    pub(super) period: i64,
    pub(super) default_sample_type: u32,
    /// Memory of the entries, at most [`MAX_MEMORY_BYTES`](super::limits::MAX_MEMORY_BYTES).
    pub(super) memory: ChargedMemory,
}

impl<'a> Tables<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut tables = Self { strings: StringTable::new(bytes), ..Self::default() };
        // Read referenced tables first. The file may have the tables in any order.
        for field in whole_message(bytes).fields() {
            let field = field?;
            if field.number == profile::STRING {
                tables.memory.charge(entry_bytes::STRING)?;
                tables.strings.push(field.message("a string")?)?;
            }
        }
        if !tables.strings.text(0).is_empty() {
            return Err(Error::Damaged { what: "the table of strings, whose first must be empty,", offset: 0 });
        }
        for field in whole_message(bytes).fields() {
            let field = field?;
            match field.number {
                profile::SAMPLE_TYPE => {
                    let value_type = ValueType::read(field.message("a sample type")?, &tables.strings)?;
                    if tables.sample_types.len() < MAX_SAMPLE_TYPES {
                        tables.sample_types.push(value_type);
                    }
                    tables.sample_type_count = tables.sample_type_count.saturating_add(1);
                }
                profile::MAPPING => {
                    let raw = field.message("a mapping")?;
                    let (id, mapping) = MappingMessage::read(raw, &tables.strings)?;
                    tables.mappings.add(raw, id, mapping, entry_bytes::MAPPING, &mut tables.memory)?;
                }
                profile::FUNCTION => {
                    let raw = field.message("a function")?;
                    let (id, function) = FunctionMessage::read(raw, &tables.strings)?;
                    tables.functions.add(raw, id, function, entry_bytes::FUNCTION, &mut tables.memory)?;
                }
                profile::TIME => tables.time_nanos = field.signed_number()?,
                profile::DURATION => tables.duration_nanos = field.signed_number()?,
                profile::PERIOD_TYPE => {
                    tables.period_type = ValueType::read(field.message("the type of the period")?, &tables.strings)?;
                }
                profile::PERIOD => tables.period = field.signed_number()?,
                profile::DEFAULT_SAMPLE_TYPE => {
                    tables.default_sample_type = tables.strings.position(whole_message(bytes), field.number()?)?;
                }
                _ => {}
            }
        }
        for field in whole_message(bytes).fields() {
            let field = field?;
            if field.number == profile::LOCATION {
                tables.add_location(field.message("a location")?)?;
            }
        }
        Ok(tables)
    }

    fn add_location(&mut self, raw: RawMessage<'_>) -> Result<(), Error> {
        let Self { mappings, functions, locations, lines, memory, .. } = self;
        let start = to_u32(lines.len())?;
        let (id, mut location) = LocationMessage::read(raw, mappings, functions, |line| {
            memory.charge(entry_bytes::LINE)?;
            lines.push(line);
            Ok(())
        })?;
        location.lines = start..to_u32(lines.len())?;
        locations.add(raw, id, location, entry_bytes::LOCATION, memory)
    }

    /// Returns the lines of a location, innermost first.
    pub(super) fn lines_of(&self, location: &LocationMessage) -> &[Line] {
        let Range { start, end } = location.lines;
        self.lines.get(to_index(start)..to_index(end)).unwrap_or_default()
    }
}

/// Returns the samples in the order of the file.
pub(super) fn samples(bytes: &[u8]) -> impl Iterator<Item = Result<RawMessage<'_>, Error>> {
    whole_message(bytes).fields().filter_map(|field| match field {
        Ok(field) => (field.number == profile::SAMPLE).then(|| field.message("a sample")),
        Err(error) => Some(Err(error)),
    })
}

fn whole_message(bytes: &[u8]) -> RawMessage<'_> {
    RawMessage { bytes, offset: 0, what: "the profile" }
}
