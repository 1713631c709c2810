//! The tables of profile.proto, as references into the bytes.
//!
//! Fields may come in any order, and the samples refer to all other tables. Therefore the samples are read last, one by
//! one ([`samples`]), and are not kept. Fields that goflame does not use are skipped.
//!
//! A table entry takes as few as two bytes in the file, but many times that in memory. Therefore every entry is charged
//! to [`MOST_MEMORY`] before it is kept. Positions have 4 bytes: an unpacked profile is smaller than 4 GiB.

use std::collections::HashMap;
use std::num::NonZero;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::error::Error;
use super::wire::Piece;

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

/// Whether profile.proto has a field with this number and this encoding (0: a number, 2: bytes).
pub(super) fn is_field(number: u64, encoding: u64) -> bool {
    match number {
        1..=6 | 11 => encoding == 2,
        7..=10 | 12 | 14 | 15 => encoding == 0,
        // Comments: numbers, packed or one by one.
        13 => encoding == 0 || encoding == 2,
        _ => false,
    }
}

/// A profile without its samples.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// The first [`MOST_SAMPLE_TYPES`].
    pub(super) sample_types: Vec<ValueType>,
    /// Total number of sample types in the file.
    pub(super) sample_type_count: usize,
    pub(super) mappings: Table<Mapping>,
    pub(super) locations: Table<Location>,
    pub(super) functions: Table<Function>,
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
    fn add(&mut self, piece: Piece<'_>, id: u64, item: T, cost: usize, memory: &mut Memory) -> Result<(), Error> {
        if id == 0 || self.position(id).is_some() {
            return Err(Error::Id { what: piece.what, offset: piece.offset, id });
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

    /// Returns the entry at a position.
    pub(super) fn at(&self, position: u32) -> Option<&T> {
        self.items.get(index(position))
    }
}

/// Converts a position to an index.
pub(super) fn index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// A sample type and its unit, as positions in the string table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ValueType {
    pub(super) kind: u32,
    pub(super) unit: u32,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) file_offset: u64,
    pub(super) file: u32,
    pub(super) build_id: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Location {
    mapping: Optional,
    pub(super) address: u64,
    /// Range in [`Message::lines`], innermost first.
    lines: Range<u32>,
}

impl Location {
    /// Returns the position of its mapping.
    pub(super) fn mapping(&self) -> Option<u32> {
        self.mapping.get()
    }
}

/// An optional position in 4 bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Optional(Option<NonZero<u32>>);

impl Optional {
    fn new(position: Option<u32>) -> Self {
        Self(position.and_then(|position| NonZero::new(position.checked_add(1)?)))
    }

    fn get(self) -> Option<u32> {
        self.0.and_then(|one_more| one_more.get().checked_sub(1))
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    function: Optional,
    /// Line number. 0 if unknown.
    pub(super) line: u32,
}

impl Line {
    /// Returns the position of its function.
    pub(super) fn function(self) -> Option<u32> {
        self.function.get()
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Function {
    pub(super) name: u32,
    pub(super) system_name: u32,
    pub(super) file: u32,
    /// Line number. 0 if unknown.
    pub(super) start_line: u32,
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut message = Self { bytes, ..Self::default() };
        // Read referenced tables first, in whatever order the file has them.
        for field in whole(bytes).fields() {
            let field = field?;
            if field.number == 6 {
                let string = field.message("a string")?;
                let end = string.offset.saturating_add(string.bytes.len());
                message.memory.charge(cost::STRING)?;
                message.strings.push((narrow(string.offset)?, narrow(end)?));
            }
        }
        if !message.text(0).is_empty() {
            return Err(Error::Damaged { what: "the table of strings, whose first must be empty,", offset: 0 });
        }
        for field in whole(bytes).fields() {
            let field = field?;
            match field.number {
                1 => {
                    let value_type = message.value_type(field.message("a sample type")?)?;
                    if message.sample_types.len() < MOST_SAMPLE_TYPES {
                        message.sample_types.push(value_type);
                    }
                    message.sample_type_count = message.sample_type_count.saturating_add(1);
                }
                3 => message.mapping(field.message("a mapping")?)?,
                5 => message.function(field.message("a function")?)?,
                9 => message.time_nanos = field.signed()?,
                10 => message.duration_nanos = field.signed()?,
                11 => message.period_type = message.value_type(field.message("the type of the period")?)?,
                12 => message.period = field.signed()?,
                14 => message.default_sample_type = message.string(whole(bytes), field.number()?)?,
                _ => {}
            }
        }
        for field in whole(bytes).fields() {
            let field = field?;
            if field.number == 4 {
                message.location(field.message("a location")?)?;
            }
        }
        Ok(message)
    }

    fn value_type(&self, piece: Piece<'_>) -> Result<ValueType, Error> {
        let mut value_type = ValueType::default();
        for field in piece.fields() {
            let field = field?;
            match field.number {
                1 => value_type.kind = self.string(piece, field.number()?)?,
                2 => value_type.unit = self.string(piece, field.number()?)?,
                _ => {}
            }
        }
        Ok(value_type)
    }

    fn mapping(&mut self, piece: Piece<'_>) -> Result<(), Error> {
        let (mut id, mut mapping) = (0, Mapping::default());
        for field in piece.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => mapping.start = field.number()?,
                3 => mapping.limit = field.number()?,
                4 => mapping.file_offset = field.number()?,
                5 => mapping.file = self.string(piece, field.number()?)?,
                6 => mapping.build_id = self.string(piece, field.number()?)?,
                _ => {}
            }
        }
        self.mappings.add(piece, id, mapping, cost::MAPPING, &mut self.memory)
    }

    fn function(&mut self, piece: Piece<'_>) -> Result<(), Error> {
        let (mut id, mut function) = (0, Function::default());
        for field in piece.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => function.name = self.string(piece, field.number()?)?,
                3 => function.system_name = self.string(piece, field.number()?)?,
                4 => function.file = self.string(piece, field.number()?)?,
                5 => function.start_line = u32::try_from(field.signed()?).unwrap_or(0),
                _ => {}
            }
        }
        self.functions.add(piece, id, function, cost::FUNCTION, &mut self.memory)
    }

    fn location(&mut self, piece: Piece<'_>) -> Result<(), Error> {
        let start = self.lines.len();
        let (mut id, mut location) = (0, Location::default());
        for field in piece.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => {
                    let mapping = reference(&self.mappings, piece, "mapping", field.number()?)?;
                    location.mapping = Optional::new(mapping);
                }
                3 => location.address = field.number()?,
                4 => {
                    let mut line = Line::default();
                    for part in field.message("a line")?.fields() {
                        let part = part?;
                        match part.number {
                            1 => {
                                let function = reference(&self.functions, piece, "function", part.number()?)?;
                                line.function = Optional::new(function);
                            }
                            2 => line.line = u32::try_from(part.signed()?).unwrap_or(0),
                            _ => {}
                        }
                    }
                    self.memory.charge(cost::LINE)?;
                    self.lines.push(line);
                }
                _ => {}
            }
        }
        location.lines = narrow(start)?..narrow(self.lines.len())?;
        self.locations.add(piece, id, location, cost::LOCATION, &mut self.memory)
    }

    /// Returns the position of a text in the string table.
    pub(super) fn string(&self, piece: Piece<'_>, at: u64) -> Result<u32, Error> {
        let position = u32::try_from(at).ok().filter(|position| index(*position) < self.strings.len());
        // In a file without texts, index 0 is the empty text.
        let position = position.or((at == 0).then_some(0));
        position.ok_or(Error::Dangling { what: piece.what, offset: piece.offset, target: "string", id: at })
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
    pub(super) fn lines_of(&self, location: &Location) -> &[Line] {
        let Range { start, end } = location.lines;
        self.lines.get(index(start)..index(end)).unwrap_or_default()
    }
}

/// Returns the samples in the order of the file.
pub(super) fn samples(bytes: &[u8]) -> impl Iterator<Item = Result<Piece<'_>, Error>> {
    whole(bytes).fields().filter_map(|field| match field {
        Ok(field) => (field.number == 2).then(|| field.message("a sample")),
        Err(error) => Some(Err(error)),
    })
}

/// Converts an offset or a position to 4 bytes.
fn narrow(at: usize) -> Result<u32, Error> {
    u32::try_from(at).map_err(|_| Error::TooManyEntries)
}

fn whole(bytes: &[u8]) -> Piece<'_> {
    Piece { bytes, offset: 0, what: "the profile" }
}

/// Returns the position of the entry that `piece` refers to. `None` for the id 0, which means no entry.
fn reference<T>(table: &Table<T>, piece: Piece<'_>, target: &'static str, id: u64) -> Result<Option<u32>, Error> {
    match table.position(id) {
        None if id > 0 => Err(Error::Dangling { what: piece.what, offset: piece.offset, target, id }),
        position => Ok(position),
    }
}
