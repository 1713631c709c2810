//! Output files of a profile, for a run and for a report.

use std::io::{self, Write};

use crate::config::Format;
use crate::profile::{Profile, Quality, format_total_count};
use crate::render;
use crate::views::View;

/// Title and subtitle of the outputs.
#[derive(Debug, Clone)]
pub(super) struct Caption {
    pub(super) title: String,
    pub(super) subtitle: String,
}

/// Name of the file that users open first.
pub const FLAME_GRAPH: &str = "flamegraph.svg";

/// Returns the file name of a format in a run directory.
pub(super) fn file_name(format: Format) -> &'static str {
    match format {
        Format::Svg => FLAME_GRAPH,
        Format::Pprof => "profile.pb.gz",
        Format::Folded => "profile.folded",
        Format::Json => "summary.json",
    }
}

/// Writes the profile in one format.
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

/// Line below the title: the event, the number of samples and the quality.
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
