//! Draws a flame graph: selects frames and colours, calls inferno, and adds the legend.

use std::fmt::Write as _;
use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color};
use inferno::flamegraph::{Options as InfernoOptions, TextTruncateDirection};

use super::legend;
use super::measure::Measure;
use super::palette::Palette;
use super::tree::DrawnTree;
use crate::profile::format_number;
use crate::render::name;
use crate::views::View;

/// A comment of the SVG with the authors of its parts. inferno's licence (CDDL-1.0, section 3.1) demands that whoever gets
/// inferno's code is told its licence and where its source is. XML forbids `--` in comments.
pub(super) const NOTICE: &str = "
The first style sheet and the script of this file are part of inferno 0.12.8 (src/flamegraph/svg.rs and
src/flamegraph/flamegraph.js), unmodified, under the Common Development and Distribution License 1.0 (CDDL-1.0,
https://opensource.org/license/cddl-1-0). Their source is the Rust crate inferno, https://github.com/jonhoo/inferno
The legend and its style sheet are part of goflame, under MIT or Apache-2.0.
";

/// Writes a profile as a flame graph. An empty profile gives an SVG with the text `no samples`. The subtitle is the line
/// below the title, such as `997 Hz, cpu-clock, 20 134 samples, quality good`.
///
/// The width of a frame is its cumulative weight. The root frame of every stack is its group, such as its process.
/// Functions with equal display name and origin share a frame. Siblings are sorted by name, so that two graphs of one
/// program can be compared side by side. Only the 8 000 widest frames are drawn. If there are more, the subtitle says so.
pub fn write(view: &View, title: &str, subtitle: &str, out: &mut dyn Write) -> io::Result<()> {
    let measure = Measure::new(view);
    let tree = DrawnTree::new(view, &measure);
    let svg = if tree.total() == 0 { legend::no_samples_image(title) } else { draw(&tree, &measure, title, subtitle)? };
    out.write_all(svg.as_bytes())?;
    out.flush()
}

fn draw(tree: &DrawnTree, measure: &Measure, title: &str, subtitle: &str) -> io::Result<String> {
    let palette = Palette::new(tree);
    let mut colours = palette.colours(tree);
    let mut inferno = InfernoOptions::default();
    inferno.title = name::clean(title).into_owned();
    inferno.subtitle = Some(full_subtitle(tree, subtitle));
    inferno.notes = String::from(NOTICE);
    inferno.count_name.clone_from(&measure.unit);
    inferno.factor = measure.factor;
    inferno.bgcolors = Some(BackgroundColor::Flat(Color::new(255, 255, 255)));
    inferno.palette_map = Some(&mut colours);
    inferno.text_truncate_direction = TextTruncateDirection::Left;
    // `DrawnTree` has no narrow frames.
    inferno.min_width = 0.0;
    // This is not a flame chart, but inferno sorts the lines of any other graph. Sorted as text, `main.F.func1;x` comes
    // between `main.F` and `main.F;y`, which would split `main.F` in two. inferno draws a chart from the last line to the
    // first.
    inferno.flame_chart = true;
    let lines = tree.lines(|text| palette.key(text));
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut inferno, lines.iter().rev().map(String::as_str), &mut svg)?;
    let svg = String::from_utf8(svg).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    legend::add(&svg, &legend::entries(&tree.origins()))
}

fn full_subtitle(tree: &DrawnTree, subtitle: &str) -> String {
    let mut text = if subtitle.is_empty() { String::new() } else { name::clean(subtitle).into_owned() };
    if tree.dropped() > 0 {
        let _ = write!(text, " (the {} widest frames)", format_number(tree.drawn() as u64));
    }
    text
}
