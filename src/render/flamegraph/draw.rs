//! Puts the parts together: tree, colours, inferno, legend.

use std::fmt::Write as _;
use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color};
use inferno::flamegraph::{Options as InfernoOptions, TextTruncateDirection};

use super::legend;
use super::measure::Measure;
use super::palette::Palette;
use super::tree::Tree;
use crate::profile::grouped;
use crate::render::name;
use crate::views::View;

/// What stands around the frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The headline.
    pub title: String,
    /// The line below it, such as `997 Hz, cpu-clock, 20 134 samples, quality good`.
    pub subtitle: String,
}

/// Says in a comment of the SVG whose work each part is. XML forbids `--` in it. inferno's licence (CDDL-1.0, section 3.1)
/// demands that people who get inferno's code are told under which licence it is and where its source is.
pub(super) const NOTICE: &str = "
The first style sheet and the script of this file are part of inferno 0.12.8 (src/flamegraph/svg.rs and
src/flamegraph/flamegraph.js), unmodified, under the Common Development and Distribution License 1.0 (CDDL-1.0,
https://opensource.org/license/cddl-1-0). Their source is the Rust crate inferno, https://github.com/jonhoo/inferno
The legend and its style sheet are part of goflame, under MIT or Apache-2.0.
";

/// Writes a profile as a flame graph. An empty profile gives an SVG that says so.
///
/// A frame is as wide as the samples that pass through it; below every stack lies its process. Functions
/// with one display name and one origin are one frame. Siblings are in order of name, so that two
/// graphs of one program can be laid side by side. At most 8 000 frames are drawn, the
/// widest; if there are more, the subtitle says so.
pub fn write(view: &View, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let measure = Measure::new(view);
    let tree = Tree::new(view, &measure);
    let svg = if tree.total() == 0 { legend::empty(&options.title) } else { draw(&tree, &measure, options)? };
    out.write_all(svg.as_bytes())?;
    out.flush()
}

fn draw(tree: &Tree, measure: &Measure, options: &Options) -> io::Result<String> {
    let palette = Palette::new(tree);
    let mut colours = palette.colours(tree);
    let mut inferno = InfernoOptions::default();
    inferno.title = name::clean(&options.title).into_owned();
    inferno.subtitle = Some(subtitle(tree, options));
    inferno.notes = String::from(NOTICE);
    inferno.count_name.clone_from(&measure.unit);
    inferno.factor = measure.factor;
    inferno.bgcolors = Some(BackgroundColor::Flat(Color::new(255, 255, 255)));
    inferno.palette_map = Some(&mut colours);
    inferno.text_truncate_direction = TextTruncateDirection::Left;
    // The tree is pruned already.
    inferno.min_width = 0.0;
    // Not a flame chart, but the only way to keep inferno from sorting whole lines: as text,
    // `main.F.func1;x` comes between `main.F` and `main.F;y`, which would split `main.F` in two. A
    // chart is drawn from its last line to its first.
    inferno.flame_chart = true;
    let lines = tree.lines(|text| palette.key(text));
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut inferno, lines.iter().rev().map(String::as_str), &mut svg)?;
    let svg = String::from_utf8(svg).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    legend::add(&svg, &legend::entries(&tree.origins()))
}

fn subtitle(tree: &Tree, options: &Options) -> String {
    let mut text =
        if options.subtitle.is_empty() { String::new() } else { name::clean(&options.subtitle).into_owned() };
    if tree.dropped() > 0 {
        let _ = write!(text, " (the {} widest frames)", grouped(tree.drawn() as u64));
    }
    text
}
