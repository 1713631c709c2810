//! The messages of google/pprof's proto/profile.proto, each with its field numbers, its reading and its writing.
//!
//! A text is a position in the table of strings, whose first is empty. An entry of another table has an id in the file and
//! a position in memory. goflame writes the ids 1, 2, 3 and so on, which are the positions plus one. Id 0 means no entry.

use std::num::NonZero;
use std::ops::Range;

use super::error::Error;
use super::tables::{Table, Tables};
use super::wire::{MessageWriter, RawMessage};

/// Field numbers of the whole profile.
pub(super) mod profile {
    pub(in crate::pprof) const SAMPLE_TYPE: u64 = 1;
    pub(in crate::pprof) const SAMPLE: u64 = 2;
    pub(in crate::pprof) const MAPPING: u64 = 3;
    pub(in crate::pprof) const LOCATION: u64 = 4;
    pub(in crate::pprof) const FUNCTION: u64 = 5;
    pub(in crate::pprof) const STRING: u64 = 6;
    pub(in crate::pprof) const TIME: u64 = 9;
    pub(in crate::pprof) const DURATION: u64 = 10;
    pub(in crate::pprof) const PERIOD_TYPE: u64 = 11;
    pub(in crate::pprof) const PERIOD: u64 = 12;
    pub(in crate::pprof) const COMMENT: u64 = 13;
    pub(in crate::pprof) const DEFAULT_SAMPLE_TYPE: u64 = 14;

    /// Whether the profile has a field with this number and this encoding (0: a number, 2: bytes).
    pub(in crate::pprof) fn is_field(number: u64, encoding: u64) -> bool {
        match number {
            SAMPLE_TYPE..=STRING | PERIOD_TYPE => encoding == 2,
            7..=DURATION | PERIOD | DEFAULT_SAMPLE_TYPE | 15 => encoding == 0,
            // Comments: numbers, packed or one by one.
            COMMENT => encoding == 0 || encoding == 2,
            _ => false,
        }
    }
}

/// Field numbers of a sample.
pub(super) mod sample {
    /// Leaf first.
    pub(in crate::pprof) const LOCATION: u64 = 1;
    pub(in crate::pprof) const VALUE: u64 = 2;
    pub(in crate::pprof) const LABEL: u64 = 3;
}

/// A sample type and its unit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ValueType {
    pub(super) kind: u32,
    pub(super) unit: u32,
}

impl ValueType {
    pub(super) fn read(raw: RawMessage<'_>, tables: &Tables<'_>) -> Result<Self, Error> {
        let mut value_type = Self::default();
        for field in raw.fields() {
            let field = field?;
            match field.number {
                1 => value_type.kind = tables.string(raw, field.number()?)?,
                2 => value_type.unit = tables.string(raw, field.number()?)?,
                _ => {}
            }
        }
        Ok(value_type)
    }

    pub(super) fn write(self, out: &mut MessageWriter) {
        out.number(1, self.kind.into());
        out.number(2, self.unit.into());
    }
}

/// A label of a sample: a text, or a number if the text is empty.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LabelMessage {
    pub(super) key: u32,
    pub(super) text: u32,
    pub(super) number: i64,
}

impl LabelMessage {
    pub(super) fn read(raw: RawMessage<'_>, tables: &Tables<'_>) -> Result<Self, Error> {
        let mut label = Self::default();
        for field in raw.fields() {
            let field = field?;
            match field.number {
                1 => label.key = tables.string(raw, field.number()?)?,
                2 => label.text = tables.string(raw, field.number()?)?,
                3 => label.number = field.signed()?,
                _ => {}
            }
        }
        Ok(label)
    }

    pub(super) fn write(self, out: &mut MessageWriter) {
        out.number(1, self.key.into());
        out.number(2, self.text.into());
        out.number(3, self.number.cast_unsigned());
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MappingMessage {
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) file_offset: u64,
    pub(super) file: u32,
    pub(super) build_id: u32,
}

impl MappingMessage {
    /// Also returns the id.
    pub(super) fn read(raw: RawMessage<'_>, tables: &Tables<'_>) -> Result<(u64, Self), Error> {
        let (mut id, mut mapping) = (0, Self::default());
        for field in raw.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => mapping.start = field.number()?,
                3 => mapping.limit = field.number()?,
                4 => mapping.file_offset = field.number()?,
                5 => mapping.file = tables.string(raw, field.number()?)?,
                6 => mapping.build_id = tables.string(raw, field.number()?)?,
                _ => {}
            }
        }
        Ok((id, mapping))
    }

    /// `has_lines`: whether source lines of this mapping are in the file.
    pub(super) fn write(self, id: u64, has_lines: bool, out: &mut MessageWriter) {
        out.number(1, id);
        out.number(2, self.start);
        out.number(3, self.limit);
        out.number(4, self.file_offset);
        out.number(5, self.file.into());
        out.number(6, self.build_id.into());
        // Flags for functions, file names, line numbers and inlined calls. goflame has named all frames that it can, so
        // pprof need not read the binaries.
        out.number(7, 1);
        out.number(8, has_lines.into());
        out.number(9, has_lines.into());
        out.number(10, 1);
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FunctionMessage {
    /// `go build -pgo` reads the linker's name from here, not from `system_name`.
    pub(super) name: u32,
    pub(super) system_name: u32,
    pub(super) file: u32,
    /// Line number. 0 if unknown.
    pub(super) start_line: u32,
}

impl FunctionMessage {
    /// Also returns the id.
    pub(super) fn read(raw: RawMessage<'_>, tables: &Tables<'_>) -> Result<(u64, Self), Error> {
        let (mut id, mut function) = (0, Self::default());
        for field in raw.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => function.name = tables.string(raw, field.number()?)?,
                3 => function.system_name = tables.string(raw, field.number()?)?,
                4 => function.file = tables.string(raw, field.number()?)?,
                5 => function.start_line = u32::try_from(field.signed()?).unwrap_or(0),
                _ => {}
            }
        }
        Ok((id, function))
    }

    pub(super) fn write(self, id: u64, out: &mut MessageWriter) {
        out.number(1, id);
        out.number(2, self.name.into());
        out.number(3, self.system_name.into());
        out.number(4, self.file.into());
        out.number(5, self.start_line.into());
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct LocationMessage {
    pub(super) mapping: Reference,
    pub(super) address: u64,
    /// Range in the lines of all locations, for [`Tables::lines_of`].
    pub(super) lines: Range<u32>,
}

impl LocationMessage {
    /// Hands each line to `add_line`. Also returns the id.
    pub(super) fn read(
        raw: RawMessage<'_>,
        mappings: &Table<MappingMessage>,
        functions: &Table<FunctionMessage>,
        mut add_line: impl FnMut(Line) -> Result<(), Error>,
    ) -> Result<(u64, Self), Error> {
        let (mut id, mut location) = (0, Self::default());
        for field in raw.fields() {
            let field = field?;
            match field.number {
                1 => id = field.number()?,
                2 => location.mapping = mappings.reference(raw, "mapping", field.number()?)?,
                3 => location.address = field.number()?,
                4 => add_line(Line::read(field.message("a line")?, functions)?)?,
                _ => {}
            }
        }
        Ok((id, location))
    }

    /// Writes the location with these lines, the innermost first. The last line is in the function itself, the others in
    /// calls that were inlined there.
    pub(super) fn write(&self, id: u64, lines: impl Iterator<Item = Line>, out: &mut MessageWriter) {
        out.number(1, id);
        out.number(2, self.mapping.id());
        out.number(3, self.address);
        for line in lines {
            out.message(4, |out| line.write(out));
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) function: Reference,
    /// Line number. 0 if unknown.
    pub(super) line: u32,
}

impl Line {
    fn read(raw: RawMessage<'_>, functions: &Table<FunctionMessage>) -> Result<Self, Error> {
        let mut line = Self::default();
        for field in raw.fields() {
            let field = field?;
            match field.number {
                1 => line.function = functions.reference(raw, "function", field.number()?)?,
                2 => line.line = u32::try_from(field.signed()?).unwrap_or(0),
                _ => {}
            }
        }
        Ok(line)
    }

    fn write(self, out: &mut MessageWriter) {
        out.number(1, self.function.id());
        out.number(2, self.line.into());
    }
}

/// A reference to an entry of a table, or to none, in 4 bytes: the position plus one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reference(Option<NonZero<u32>>);

impl Reference {
    pub(super) fn new(position: Option<u32>) -> Self {
        Self(position.and_then(|position| NonZero::new(position.checked_add(1)?)))
    }

    /// Returns the position of the entry.
    pub(super) fn position(self) -> Option<u32> {
        self.0.and_then(|one_more| one_more.get().checked_sub(1))
    }

    /// Returns the id that goflame writes for the entry.
    fn id(self) -> u64 {
        self.0.map_or(0, |id| id.get().into())
    }
}
