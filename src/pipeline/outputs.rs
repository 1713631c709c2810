//! The files that are made of a profile, for a run and for a report alike.

use std::io::{self, Write};

use crate::config::Format;
use crate::profile::{Profile, Quality, format_total_count};
use crate::render;
use crate::views::View;

/// What the outputs say about where the profile comes from.
#[derive(Debug, Clone)]
pub(super) struct Caption {
    pub(super) title: String,
    pub(super) subtitle: String,
}

/// The file that people look at first.
pub const FLAME_GRAPH: &str = "flamegraph.svg";

/// The name of a format's file in a run directory.
pub(super) fn file_name(format: Format) -> &'static str {
    match format {
        Format::Svg => FLAME_GRAPH,
        Format::Pprof => "profile.pb.gz",
        Format::Folded => "profile.folded",
        Format::Json => "summary.json",
    }
}

/// Writes one format.
pub(super) fn write(
    format: Format,
    view: &View,
    quality: &Quality,
    caption: &Caption,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Svg => {
            let options =
                render::flamegraph::Options { title: caption.title.clone(), subtitle: caption.subtitle.clone() };
            render::flamegraph::write(view, &options, out)
        }
        Format::Pprof => render::pprof::write(
            view.profile(),
            &render::pprof::Options { comments: vec![caption.title.clone(), caption.subtitle.clone()] },
            out,
        ),
        Format::Folded => render::folded::write(view, out),
        Format::Json => render::summary::write(view, quality, &caption.title, out),
    }
}

/// One line under the title: what was sampled, how much, and how well.
pub(super) fn subtitle(profile: &Profile, quality: &Quality) -> String {
    let mut parts = vec![profile.event.name.clone()];
    if profile.event.frequency > 0 {
        parts.push(format!("{} Hz", profile.event.frequency));
    }
    parts.extend(format_total_count(profile));
    parts.push(format!("quality {}", quality.assess().grade));
    parts.extend(quality.size_bound.map(|bound| bound.to_string()));
    parts.join(", ")
}
