//! The table of strings of a profile.

use super::error::Error;
use super::table::{to_index, to_u32};
use super::wire::RawMessage;

/// The texts of a profile, as references into its bytes. The first text is empty.
#[derive(Debug, Default)]
pub(super) struct StringTable<'a> {
    bytes: &'a [u8],
    /// Range of each text in `bytes`.
    ranges: Vec<(u32, u32)>,
}

impl<'a> StringTable<'a> {
    /// Returns a table without texts. `bytes` is the whole profile.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, ranges: Vec::new() }
    }

    /// Adds a text of the profile.
    pub(super) fn push(&mut self, text: RawMessage<'_>) -> Result<(), Error> {
        let end = text.offset.saturating_add(text.bytes.len());
        self.ranges.push((to_u32(text.offset)?, to_u32(end)?));
        Ok(())
    }

    /// Checks the index `at`, by which `raw` refers to a text, and returns it as a position.
    pub(super) fn position(&self, raw: RawMessage<'_>, at: u64) -> Result<u32, Error> {
        let position = u32::try_from(at).ok().filter(|position| to_index(*position) < self.ranges.len());
        // In a file without texts, index 0 is the empty text.
        let position = position.or((at == 0).then_some(0));
        position.ok_or(Error::DanglingReference { what: raw.what, offset: raw.offset, target: "string", id: at })
    }

    /// Returns the text at a position.
    pub(super) fn text(&self, position: u32) -> &'a [u8] {
        let range = self.ranges.get(to_index(position)).map(|(start, end)| to_index(*start)..to_index(*end));
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.ranges.len()
    }
}
