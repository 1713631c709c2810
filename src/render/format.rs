//! The output formats. A format is declared here, once: its name and help, its file, and its renderer.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::document::Document;
use super::{chrome_trace, firefox, flamegraph, folded, html, markdown, speedscope, summary};
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
    /// Profile for speedscope
    Speedscope,
    /// Profile for the Firefox Profiler
    Firefox,
    /// Trace for Perfetto and Chrome's tracing page
    ChromeTrace,
    /// Tables for a pull request
    Markdown,
    /// Summary with totals, hot functions and quality
    Json,
}

type Renderer = fn(&Document<'_>, &mut dyn Write) -> io::Result<()>;

impl Format {
    /// Returns the name of the format's file in a run directory, and its renderer.
    const fn declaration(self) -> (&'static str, Renderer) {
        match self {
            Self::Svg => ("flamegraph.svg", |document, out| {
                flamegraph::write(document.view, document.title, &document.subtitle(), document.drawing, out)
            }),
            Self::Html => ("report.html", html::write),
            Self::Pprof => ("profile.pb.gz", |document, out| {
                pprof::write(document.view.profile(), &[document.title, &document.subtitle()], document.sources, out)
            }),
            Self::Folded => ("profile.folded", |document, out| folded::write(document.view, out)),
            Self::Speedscope => ("profile.speedscope.json", speedscope::write),
            Self::Firefox => ("profile.firefox.json", firefox::write),
            Self::ChromeTrace => ("profile.trace.json", chrome_trace::write),
            Self::Markdown => ("report.md", markdown::write),
            Self::Json => ("summary.json", summary::write),
        }
    }

    /// Returns the name of the format's file in a run directory.
    pub const fn file_name(self) -> &'static str {
        self.declaration().0
    }

    /// Returns the format with the longest ending that the file name has. `None` if no ending fits.
    pub fn from_file_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let all =
            Self::value_variants().iter().flat_map(|format| format.endings().iter().map(move |end| (*end, *format)));
        let fitting = all.filter(|(ending, _)| name.ends_with(ending));
        fitting.max_by_key(|(ending, _)| ending.len()).map(|(_, format)| format)
    }

    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Svg => &[".svg"],
            Self::Html => &[".html", ".htm"],
            Self::Pprof => &[".pb.gz", ".pprof"],
            Self::Folded => &[".folded", ".collapsed"],
            Self::Speedscope => &[".speedscope.json"],
            Self::Firefox => &[".firefox.json"],
            Self::ChromeTrace => &[".trace.json"],
            Self::Markdown => &[".md"],
            Self::Json => &[".json"],
        }
    }

    /// Whether the format shows when samples were taken.
    pub const fn has_times(self) -> bool {
        matches!(self, Self::Html | Self::Speedscope | Self::Firefox | Self::ChromeTrace)
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
