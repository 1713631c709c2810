//! Draws a flame graph: selects frames and colours, calls inferno, and writes its own texts into inferno's SVG.

use std::fmt::Write as _;
use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Direction, Options as InfernoOptions, TextTruncateDirection};

use super::frames::FrameTexts;
use super::measure::Measure;
use super::palette::{GROUP_COLOUR, frame_colour};
use super::tree::{DrawnTree, origin_values};
use super::{frames, legend, page};
use crate::profile::format_number;
use crate::render::drawing::{Drawing, FramePalette};
use crate::render::name;
use crate::views::View;

/// A comment in the SVG about the licences of its parts. inferno's licence (CDDL-1.0, section 3.1) demands that copies of its
/// code name the licence and the place of the source. XML forbids `--` in comments.
pub(super) const NOTICE: &str = "
The first style sheet and the first script of this file are part of inferno 0.12.8 (src/flamegraph/svg.rs and
src/flamegraph/flamegraph.js), unmodified, under the Common Development and Distribution License 1.0 (CDDL-1.0,
https://opensource.org/license/cddl-1-0). Their source is the Rust crate inferno, https://github.com/jonhoo/inferno
The legend, the second style sheet and the second script are part of goflame, under MIT or Apache-2.0.
";

/// Writes a profile as a flame graph. An empty profile gives an SVG with the text `no samples`. The subtitle is the line
/// below the title, such as `997 Hz, cpu-clock, 20 134 samples, quality good`.
///
/// The width of a frame is its cumulative weight. The root frame of every stack is its group, such as its process.
/// Functions with equal display name and origin share a frame. Siblings are sorted by name, so that two graphs of one
/// program can be compared side by side. Only the 8 000 widest frames are drawn. If there are more, the subtitle says so.
///
/// `drawing` can change the palette, the size and the direction. A reversed graph does not mark inlined calls.
pub fn write(view: &View, title: &str, subtitle: &str, drawing: &Drawing, out: &mut dyn Write) -> io::Result<()> {
    let measure = Measure::new(view);
    let svg = if measure.total() == 0 {
        page::image_without_samples(title)
    } else {
        draw(view, &measure, title, subtitle, drawing)?
    };
    out.write_all(svg.as_bytes())?;
    out.flush()
}

fn draw(view: &View, measure: &Measure<'_>, title: &str, subtitle: &str, drawing: &Drawing) -> io::Result<String> {
    let reversed = drawing.is_reversed.then(|| view.reversed());
    let drawn = reversed.as_ref().unwrap_or(view);
    let (tree, origins) = rayon::join(|| DrawnTree::new(drawn, measure, drawing), || origin_values(view, measure));
    // inferno gets keys in place of names: the same name can have several colours, and inferno changes some names.
    let mut colours = PaletteMap::default();
    colours.insert("", GROUP_COLOUR);
    for (at, (_, text, kind)) in tree.frames().enumerate() {
        colours.insert(frame_key(at), frame_colour(text, kind, drawing.palette));
    }
    let subtitle = full_subtitle(&tree, drawing.subtitle.as_deref().unwrap_or(subtitle));
    let svg = inferno_svg(title, subtitle, drawing, &mut colours, &tree.folded_lines(frame_key))?;
    let root = FrameTexts::root(&tree, measure);
    let whole = drawing.frames_width();
    let texts: Vec<_> = tree.frames().map(|frame| FrameTexts::new(drawn, frame, measure, whole)).collect();
    // Only the colours of origins need a legend.
    let legend = match drawing.palette {
        FramePalette::Go => legend::origin_entries(&origins, measure),
        _ => Vec::new(),
    };
    page::assemble(&frames::write_texts(&svg, &root, &texts)?, &legend, drawing)
}

/// Returns the key of the frame at a position. Keys sort in the order of the frames.
pub(super) fn frame_key(at: usize) -> String {
    format!("{at:05}")
}

/// Lets inferno draw folded stacks of keys, with a colour for each key.
pub(super) fn inferno_svg(
    title: &str,
    subtitle: String,
    drawing: &Drawing,
    colours: &mut PaletteMap,
    lines: &[String],
) -> io::Result<String> {
    let mut inferno = InfernoOptions::default();
    inferno.title = name::clean_name(title).into_owned();
    inferno.subtitle = Some(subtitle);
    inferno.notes = String::from(NOTICE);
    inferno.bgcolors = Some(BackgroundColor::Flat(Color::new(255, 255, 255)));
    inferno.palette_map = Some(colours);
    inferno.text_truncate_direction = TextTruncateDirection::Right;
    // The lines contain only frames that are wide enough, so inferno must not drop any.
    inferno.min_width = 0.0;
    inferno.no_sort = true;
    inferno.image_width = drawing.width.map(usize::from);
    inferno.direction = if drawing.is_inverted { Direction::Inverted } else { Direction::Straight };
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut inferno, lines.iter().map(String::as_str), &mut svg)?;
    String::from_utf8(svg).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn full_subtitle(tree: &DrawnTree, subtitle: &str) -> String {
    let mut text = if subtitle.is_empty() { String::new() } else { name::clean_name(subtitle).into_owned() };
    if tree.dropped_count() > 0 {
        let _ = write!(text, " (the {} widest frames)", format_number(tree.drawn_count() as u64));
    }
    text
}
