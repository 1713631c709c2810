//! The tables of profile.proto, as references into the bytes.
//!
//! Fields may come in any order, and the samples refer to everything else: they are read last, one by one ([`samples`]), and
//! not kept. Fields that goflame does not use are skipped.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::error::Error;
use super::wire::Piece;

/// Whether profile.proto has a field of this number that is encoded so (0: a number, 2: bytes).
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
    pub(super) sample_types: Vec<ValueType>,
    pub(super) mappings: Table<Mapping>,
    pub(super) locations: Table<Location>,
    pub(super) functions: Table<Function>,
    /// The lines of all locations.
    pub(super) lines: Vec<Line>,
    pub(super) strings: Vec<&'a [u8]>,
    pub(super) time_nanos: i64,
    pub(super) duration_nanos: i64,
    pub(super) period_type: ValueType,
    pub(super) period: i64,
    pub(super) default_sample_type: usize,
}

/// What has an id.
#[derive(Debug)]
pub(super) struct Table<T> {
    pub(super) items: Vec<T>,
    positions: HashMap<u64, usize, RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), positions: HashMap::default() }
    }
}

impl<T> Table<T> {
    fn add(&mut self, piece: Piece<'_>, id: u64, item: T) -> Result<(), Error> {
        let known = self.positions.insert(id, self.items.len());
        if id == 0 || known.is_some() {
            return Err(Error::Id { what: piece.what, offset: piece.offset, id });
        }
        self.items.push(item);
        Ok(())
    }

    /// The position of what has this id.
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        self.positions.get(&id).copied()
    }
}

/// Two texts, as positions in the string table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ValueType {
    pub(super) kind: usize,
    pub(super) unit: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) file_offset: u64,
    pub(super) file: usize,
    pub(super) build_id: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Location {
    /// The position of its mapping.
    pub(super) mapping: Option<usize>,
    pub(super) address: u64,
    /// Innermost first, in [`Message::lines`].
    pub(super) lines: Range<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    /// The position of its function.
    pub(super) function: Option<usize>,
    pub(super) line: i64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Function {
    pub(super) name: usize,
    pub(super) system_name: usize,
    pub(super) file: usize,
    pub(super) start_line: i64,
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut message = Self::default();
        // What is referred to comes first, wherever it stands in the file.
        for field in whole(bytes).fields() {
            let field = field?;
            if field.number == 6 {
                message.strings.push(field.text()?);
            }
        }
        if message.strings.first().is_some_and(|first| !first.is_empty()) {
            return Err(Error::Damaged { what: "the table of strings, whose first must be empty,", offset: 0 });
        }
        for field in whole(bytes).fields() {
            let field = field?;
            match field.number {
                1 => {
                    let value_type = message.value_type(field.message("a sample type")?)?;
                    message.sample_types.push(value_type);
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
        self.mappings.add(piece, id, mapping)
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
                5 => function.start_line = field.signed()?,
                _ => {}
            }
        }
        self.functions.add(piece, id, function)
    }

    fn location(&mut self, piece: Piece<'_>) -> Result<(), Error> {
        let start = self.lines.len();
        let (mut id, mut location) = (0, Location::default());
        for field in piece.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => location.mapping = reference(&self.mappings, piece, "mapping", field.number()?)?,
                3 => location.address = field.number()?,
                4 => {
                    let mut line = Line::default();
                    for part in field.message("a line")?.fields() {
                        let part = part?;
                        match part.number {
                            1 => line.function = reference(&self.functions, piece, "function", part.number()?)?,
                            2 => line.line = part.signed()?,
                            _ => {}
                        }
                    }
                    self.lines.push(line);
                }
                _ => {}
            }
        }
        location.lines = start..self.lines.len();
        self.locations.add(piece, id, location)
    }

    /// The position of a text in the string table.
    pub(super) fn string(&self, piece: Piece<'_>, at: u64) -> Result<usize, Error> {
        let position = usize::try_from(at).ok().filter(|position| *position < self.strings.len());
        // Without any text, all are the empty one.
        let position = position.or((at == 0).then_some(0));
        position.ok_or(Error::Dangling { what: piece.what, offset: piece.offset, target: "string", id: at })
    }

    /// The text at a position.
    pub(super) fn text(&self, position: usize) -> &'a [u8] {
        self.strings.get(position).copied().unwrap_or_default()
    }
}

/// The samples, in the order of the file.
pub(super) fn samples(bytes: &[u8]) -> impl Iterator<Item = Result<Piece<'_>, Error>> {
    whole(bytes).fields().filter_map(|field| match field {
        Ok(field) => (field.number == 2).then(|| field.message("a sample")),
        Err(error) => Some(Err(error)),
    })
}

fn whole(bytes: &[u8]) -> Piece<'_> {
    Piece { bytes, offset: 0, what: "the profile" }
}

/// The position of what `piece` refers to; `None` for the id 0, which stands for nothing.
fn reference<T>(table: &Table<T>, piece: Piece<'_>, target: &'static str, id: u64) -> Result<Option<usize>, Error> {
    match table.position(id) {
        None if id > 0 => Err(Error::Dangling { what: piece.what, offset: piece.offset, target, id }),
        position => Ok(position),
    }
}
