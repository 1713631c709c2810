//! The flame graph, an SVG that a browser can zoom and search.
//!
//! `inferno` draws it. This module decides what is drawn ([`tree`]), in which colours ([`palette`]), and
//! adds the legend ([`legend`]), which inferno does not have.

mod legend;
mod palette;
mod tree;

use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color};
use inferno::flamegraph::{Options as InfernoOptions, TextTruncateDirection};

use self::palette::Palette;
use self::tree::Tree;
use super::name;
use crate::profile::{Profile, Unit};

/// What stands around the frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The headline.
    pub title: String,
    /// The line below it, such as `997 Hz, cpu-clock, 20 134 samples, quality good`.
    pub subtitle: String,
    /// Kept in a comment of the SVG, a line each, for whoever opens the file as text.
    pub notes: Vec<String>,
}

/// Writes a profile as a flame graph. An empty profile gives an SVG that says so.
///
/// A frame is as wide as the samples that pass through it; below every stack lies its process. Functions
/// with one display name and one origin are one frame. Siblings are in order of name, so that two
/// graphs of one program can be laid side by side. At most [`tree::MAX_FRAMES`] frames are drawn, the
/// widest; if there are more, the subtitle says so.
pub fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let measure = Measure::of(profile);
    let tree = Tree::of(profile, &measure);
    let svg = if tree.total() == 0 { legend::empty(&options.title) } else { draw(&tree, &measure, options)? };
    out.write_all(svg.as_bytes())?;
    out.flush()
}

fn draw(tree: &Tree, measure: &Measure, options: &Options) -> io::Result<String> {
    let palette = Palette::of(tree);
    let mut colours = palette.colours(tree);
    let mut inferno = InfernoOptions::default();
    inferno.title = name::clean(&options.title).into_owned();
    inferno.subtitle = Some(subtitle(tree, options));
    inferno.notes = notes(options);
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
        text.push_str(&format!(" (the {} widest frames)", crate::profile::grouped(tree.drawn() as u64)));
    }
    text
}

/// A comment ends at the first `--`.
fn notes(options: &Options) -> String {
    options.notes.iter().map(|note| name::clean(note).replace('-', "\u{2010}")).collect::<Vec<_>>().join("\n")
}

/// What the width of a frame counts.
struct Measure {
    /// The name of the unit that a frame's tooltip shows.
    unit: String,
    /// What a width is multiplied by to show it in that unit.
    factor: f64,
    /// Whether samples are counted, instead of their weights summed up.
    count: bool,
    /// What a sample's figure is divided by, so that the sum of all stays exact in a browser.
    divisor: u64,
}

/// Browsers compute with floating point numbers, which are exact up to here.
const EXACT: u128 = 1 << 53;

impl Measure {
    /// Samples where all stand for the same time, as those of a clock mostly do, since numbers of
    /// samples tell how certain a width is. Otherwise the time, or the events.
    fn of(profile: &Profile) -> Self {
        let period = profile.samples().first().map_or(0, |sample| sample.weight / sample.count.max(1));
        let even = profile.samples().iter().all(|sample| sample.count.checked_mul(period) == Some(sample.weight));
        let (unit, factor, count) = match profile.event.unit {
            _ if profile.total_weight() == 0 => ("samples", 1.0, true),
            Unit::Nanoseconds if even => ("samples", 1.0, true),
            Unit::Nanoseconds => ("µs", 1e-3, false),
            Unit::Events => (profile.event.name.as_str(), 1.0, false),
        };
        let mut measure = Self { unit: name::clean(unit).into_owned(), factor, count, divisor: 1 };
        let total: u128 = profile.samples().iter().map(|sample| u128::from(measure.figure(sample))).sum();
        measure.divisor = u64::try_from(total.div_ceil(EXACT)).unwrap_or(u64::MAX).max(1);
        measure.factor *= measure.divisor as f64;
        measure
    }

    fn figure(&self, sample: &crate::profile::Sample) -> u64 {
        if self.count { sample.count } else { sample.weight }
    }

    /// The width of a sample.
    fn width(&self, sample: &crate::profile::Sample) -> u64 {
        self.figure(sample) / self.divisor
    }
}
