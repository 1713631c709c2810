//! Packs the data of a page: texts as JSON, and columns of numbers, gzipped together.
//!
//! ```text
//! u32                     length of the JSON, little-endian
//! JSON                    texts; `columns` lists the name and the number of values of each column
//! columns                 one after the other; a value is an unsigned LEB128 number
//! ```

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::bytes::push_varint;
use crate::profile::position;
use crate::render::sanitize;

/// Columns of numbers.
#[derive(Default)]
pub(super) struct Columns {
    /// Name and number of values of each column.
    pub(super) names_and_lengths: Vec<(String, usize)>,
    pub(super) bytes: Vec<u8>,
}

impl Columns {
    pub(super) fn add(&mut self, name: impl Into<String>, values: impl ExactSizeIterator<Item = u64>) {
        self.names_and_lengths.push((name.into(), values.len()));
        for value in values {
            push_varint(&mut self.bytes, value);
        }
    }
}

/// Returns the gzipped data of a page: its texts, and the bytes of its columns.
pub(super) fn pack_columns(texts: &impl Serialize, columns: &[u8]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(texts)?;
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(&position(json.len()).to_le_bytes())?;
    zipped.write_all(&json)?;
    zipped.write_all(columns)?;
    zipped.finish()
}

/// Returns a text without characters that reorder it or that cannot be shown.
pub(super) fn sanitize_to_string(text: &str) -> String {
    sanitize(text).into_owned()
}
