//! The output formats. A format is declared here, once: its name and help, its file, and its renderer.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::{flamegraph, folded, summary};
use crate::pprof::{self, SourceDirs};
use crate::profile::{Quality, format_total_count};
use crate::views::View;

/// An output format. Users name it in flags and in `goflame.toml`, and its comment is its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    /// Flame graph for a browser
    Svg,
    /// Profile for `go tool pprof`
    Pprof,
    /// One line for each stack, with its count
    Folded,
    /// Summary with totals, hot functions and quality
    Json,
}

/// The content of an output.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The profile, filtered and grouped.
    pub view: &'a View,
    /// Its quality.
    pub quality: &'a Quality,
    /// The headline, such as the name of the app and its variant.
    pub title: &'a str,
    /// Directories of the program's source files.
    pub sources: &'a SourceDirs,
}

type Renderer = fn(&Document<'_>, &mut dyn Write) -> io::Result<()>;

impl Format {
    /// Names of formats that a later version will have.
    pub const LATER: [&'static str; 1] = ["html"];

    /// The name of its file in a run directory, and its renderer.
    const fn declaration(self) -> (&'static str, Renderer) {
        match self {
            Self::Svg => ("flamegraph.svg", |document, out| {
                flamegraph::write(document.view, document.title, &document.subtitle(), out)
            }),
            Self::Pprof => ("profile.pb.gz", |document, out| {
                pprof::write(document.view.profile(), &[document.title, &document.subtitle()], document.sources, out)
            }),
            Self::Folded => ("profile.folded", |document, out| folded::write(document.view, out)),
            Self::Json => {
                ("summary.json", |document, out| summary::write(document.view, document.quality, document.title, out))
            }
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

impl Document<'_> {
    /// The line below the title: the event, the number of samples, the quality, and what is missing.
    fn subtitle(&self) -> String {
        let profile = self.view.profile();
        let mut parts = vec![profile.event.name.clone()];
        if profile.event.frequency > 0 {
            parts.push(format!("{} Hz", profile.event.frequency));
        }
        parts.extend(format_total_count(profile));
        parts.push(format!("quality {}", self.quality.assess().grade));
        parts.extend(self.quality.unseen_cpu());
        parts.extend(self.quality.size_bound.map(|bound| bound.to_string()));
        parts.join(", ")
    }
}
