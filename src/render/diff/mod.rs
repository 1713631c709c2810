//! The differences between two profiles, as a table for a terminal, as Markdown and as JSON. The flame graph of the
//! differences is in [`flamegraph`], and their page in [`html`].

pub(in crate::render) mod debug_only;
pub(in crate::render) mod document;
mod json;
mod markdown;
mod text;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

pub use document::{DiffDocument, WidthSource};
pub use text::write as write_text;

use super::{flamegraph, html};

/// An output format of the differences. The comment of a value is its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Flame graph for a browser: red grew, blue shrank, yellow is new
    Svg,
    /// Page to explore the differences in a browser: the same flame graph, and the functions by their changes
    Html,
    /// Table for a pull request
    Markdown,
    /// Figures for programs
    Json,
}

impl DiffFormat {
    /// Returns the format of a file by the ending of its name. `None` if no format has this ending.
    pub fn from_file_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "svg" => Some(Self::Svg),
            "html" => Some(Self::Html),
            "md" => Some(Self::Markdown),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Writes the differences in this format. `rows` is the maximum length of lists for people.
    pub fn write(self, document: &DiffDocument<'_>, rows: usize, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Svg => flamegraph::write_diff(document, out),
            Self::Html => html::write_diff(document, out),
            Self::Markdown => markdown::write(document, rows, out),
            Self::Json => json::write(document, out),
        }
    }
}
