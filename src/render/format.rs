//! The output formats. A format is declared here, once: its name and help, its file, and its renderer.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::document::Document;
use super::{flamegraph, folded, html, summary};
use crate::pprof;

/// An output format. Users name it in flags and in `goflame.toml`, and its comment is its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// Flame graph for a browser
    Svg,
    /// Page to explore a profile in a browser
    Html,
    /// Profile for `go tool pprof`
    Pprof,
    /// One line for each stack, with its count
    Folded,
    /// Summary with totals, hot functions and quality
    Json,
}

type Renderer = fn(&Document<'_>, &mut dyn Write) -> io::Result<()>;

impl Format {
    /// The name of its file in a run directory, and its renderer.
    const fn declaration(self) -> (&'static str, Renderer) {
        match self {
            Self::Svg => ("flamegraph.svg", |document, out| {
                flamegraph::write(document.view, document.title, &document.subtitle(), out)
            }),
            Self::Html => ("report.html", html::write),
            Self::Pprof => ("profile.pb.gz", |document, out| {
                pprof::write(document.view.profile(), &[document.title, &document.subtitle()], document.sources, out)
            }),
            Self::Folded => ("profile.folded", |document, out| folded::write(document.view, out)),
            Self::Json => ("summary.json", summary::write),
        }
    }

    /// The name of its file in a run directory.
    pub const fn file_name(self) -> &'static str {
        self.declaration().0
    }

    /// The format of a file with this name. `None` if its ending belongs to no format.
    pub fn from_file_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let has_ending = |format: &&Self| format.endings().iter().any(|ending| name.ends_with(ending));
        Self::value_variants().iter().find(has_ending).copied()
    }

    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Svg => &[".svg"],
            Self::Html => &[".html", ".htm"],
            Self::Pprof => &[".pb.gz", ".pprof"],
            Self::Folded => &[".folded", ".collapsed"],
            Self::Json => &[".json"],
        }
    }

    /// Whether a terminal cannot show the format.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Pprof)
    }

    /// Writes a document in this format.
    pub fn write(self, document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
        (self.declaration().1)(document, out)
    }
}
