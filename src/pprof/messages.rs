//! The messages of google/pprof's proto/profile.proto, each with a function that reads it and one that writes it. Most
//! messages consist of numbers. Their field numbers are 1, 2, 3 and so on, in the order of the arrays below.
//!
//! Strings are stored as indexes into the string table; string 0 is empty. Entries of the other tables have an id in
//! the file and a position in memory. goflame writes the ids 1, 2, 3 and so on: the position plus one. Id 0 means no
//! entry.

use std::ops::Range;

use super::error::Error;
use super::strings::StringTable;
use super::table::{Reference, Table};
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
    /// Ids of the locations of the stack, leaf first.
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
    pub(super) fn read(raw: RawMessage<'_>, strings: &StringTable<'_>) -> Result<Self, Error> {
        let [kind, unit] = raw.numbers()?;
        Ok(Self { kind: strings.position(raw, kind)?, unit: strings.position(raw, unit)? })
    }

    pub(super) fn write(self, out: &mut MessageWriter) {
        out.numbers([self.kind.into(), self.unit.into()]);
    }
}

/// A label of a sample: a text, or a number if the text is empty.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LabelMessage {
    pub(super) key: u32,
    pub(super) text: u32,
    pub(super) number: i64,
    /// Unit of `number`.
    pub(super) unit: u32,
}

impl LabelMessage {
    pub(super) fn read(raw: RawMessage<'_>, strings: &StringTable<'_>) -> Result<Self, Error> {
        let [key, text, number, unit] = raw.numbers()?;
        Ok(Self {
            key: strings.position(raw, key)?,
            text: strings.position(raw, text)?,
            number: number.cast_signed(),
            unit: strings.position(raw, unit)?,
        })
    }

    pub(super) fn write(self, out: &mut MessageWriter) {
        out.numbers([self.key.into(), self.text.into(), self.number.cast_unsigned(), self.unit.into()]);
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
    /// Reads a mapping. Also returns its id in the file.
    pub(super) fn read(raw: RawMessage<'_>, strings: &StringTable<'_>) -> Result<(u64, Self), Error> {
        let [id, start, limit, file_offset, file, build_id] = raw.numbers()?;
        let (file, build_id) = (strings.position(raw, file)?, strings.position(raw, build_id)?);
        Ok((id, Self { start, limit, file_offset, file, build_id }))
    }

    /// `has_lines`: whether source lines of this mapping are in the file.
    pub(super) fn write(self, id: u64, has_lines: bool, out: &mut MessageWriter) {
        let Self { start, limit, file_offset, file, build_id } = self;
        let has_lines = has_lines.into();
        // The last four numbers say whether the file has functions, file names, line numbers and inlined calls. goflame
        // has named all frames that it can, so pprof need not read the binaries.
        out.numbers([id, start, limit, file_offset, file.into(), build_id.into(), 1, has_lines, has_lines, 1]);
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
    /// Reads a function. Also returns its id in the file.
    pub(super) fn read(raw: RawMessage<'_>, strings: &StringTable<'_>) -> Result<(u64, Self), Error> {
        let [id, name, system_name, file, start_line] = raw.numbers()?;
        let function = Self {
            name: strings.position(raw, name)?,
            system_name: strings.position(raw, system_name)?,
            file: strings.position(raw, file)?,
            start_line: u32::try_from(start_line).unwrap_or(0),
        };
        Ok((id, function))
    }

    pub(super) fn write(self, id: u64, out: &mut MessageWriter) {
        let Self { name, system_name, file, start_line } = self;
        out.numbers([id, name.into(), system_name.into(), file.into(), start_line.into()]);
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct LocationMessage {
    pub(super) mapping: Reference,
    pub(super) address: u64,
    /// Range in the lines of all locations, for [`Tables::lines_of`](super::tables::Tables::lines_of).
    pub(super) lines: Range<u32>,
}

impl LocationMessage {
    /// Field number of the location's lines, the innermost first. The last line is in the function itself, the others
    /// in calls that were inlined there.
    const LINE_FIELD: u64 = 4;

    /// Reads a location, and passes each of its lines to `add_line`. Also returns the id of the location in the file.
    pub(super) fn read(
        raw: RawMessage<'_>,
        mappings: &Table<MappingMessage>,
        functions: &Table<FunctionMessage>,
        mut add_line: impl FnMut(Line) -> Result<(), Error>,
    ) -> Result<(u64, Self), Error> {
        let [id, mapping, address] = raw.numbers()?;
        for field in raw.fields() {
            let field = field?;
            if field.number == Self::LINE_FIELD {
                add_line(Line::read(field.message("a line")?, functions)?)?;
            }
        }
        Ok((id, Self { mapping: mappings.reference(raw, "mapping", mapping)?, address, ..Self::default() }))
    }

    pub(super) fn write(&self, id: u64, lines: impl Iterator<Item = Line>, out: &mut MessageWriter) {
        out.numbers([id, self.mapping.id(), self.address]);
        for line in lines {
            out.message(Self::LINE_FIELD, |out| line.write(out));
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
        let [function, line] = raw.numbers()?;
        let function = functions.reference(raw, "function", function)?;
        Ok(Self { function, line: u32::try_from(line).unwrap_or(0) })
    }

    fn write(self, out: &mut MessageWriter) {
        out.numbers([self.function.id(), self.line.into()]);
    }
}
