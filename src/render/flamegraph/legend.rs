//! The legend: the colour of each origin, and how much time is in and below its code.

use std::fmt::Write as _;

use inferno::flamegraph::color::Color;

use super::measure::Measure;
use super::palette::origin_colour;
use super::tree::OriginValues;
use crate::profile::Origin;
use crate::render::drawing::SIDE_MARGIN;
use crate::render::name::escape;

/// Height of a row. All lengths in this file are in pixels unless noted.
const ROW_HEIGHT: usize = 18;
/// Side length of a swatch, which is a coloured square.
const SWATCH_SIZE: usize = 11;
/// Space between a swatch and its text.
const LABEL_GAP: usize = 5;
const ENTRY_GAP: usize = 20;
/// Width of a character in 1/100 pixel, in a monospaced font of 11 pixels, the size in `page.css`.
const CHAR_WIDTH: usize = 665;

/// A swatch with a text.
pub(super) struct LegendEntry {
    pub(super) colour: Color,
    pub(super) label: String,
    pub(super) tooltip: String,
}

/// Returns one entry for each origin, with its shares.
pub(super) fn origin_entries(origins: &[OriginValues], measure: &Measure<'_>) -> Vec<LegendEntry> {
    let entry = |share: &OriginValues| {
        let OriginValues { origin, self_value, cumulative } = *share;
        let (name, below, own) =
            (origin_name(origin), measure.format_share(cumulative), measure.format_share(self_value));
        LegendEntry {
            colour: origin_colour(origin),
            label: format!("{name} {below}, self {own}"),
            tooltip: format!("{name}: {below} in it and in code that it calls, {own} in it alone"),
        }
    };
    origins.iter().map(entry).collect()
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Main => "main module",
        Origin::Module => "other modules",
        Origin::Std => "standard library",
        Origin::Runtime => "runtime and GC",
        Origin::Native => "C and native",
        Origin::Vdso => "vdso",
        Origin::Kernel => "kernel",
        Origin::Unknown => "unknown",
    }
}

/// The legend as SVG.
pub(super) struct Legend {
    pub(super) svg: String,
    pub(super) height: usize,
}

/// Draws the legend in rows that begin at the vertical position `top`. In a browser, the function `lay_out_legend` of
/// `page.js` moves the entries again to fit the window.
pub(super) fn draw(entries: &[LegendEntry], top: usize, image_width: usize) -> Legend {
    let mut svg = String::from(r#"<g id="legend">"#);
    let (mut x, mut y) = (SIDE_MARGIN, top);
    for LegendEntry { colour, label, tooltip } in entries {
        let width = SWATCH_SIZE + LABEL_GAP + label.chars().count() * CHAR_WIDTH / 100;
        if x > SIDE_MARGIN && x + width > image_width - SIDE_MARGIN {
            (x, y) = (SIDE_MARGIN, y + ROW_HEIGHT);
        }
        let (red, green, blue) = (colour.r, colour.g, colour.b);
        let (square, base, text) = ((ROW_HEIGHT - SWATCH_SIZE) / 2, ROW_HEIGHT / 2 + 4, SWATCH_SIZE + LABEL_GAP);
        let (label, tooltip) = (escape(label), escape(tooltip));
        // Writing to a string cannot fail.
        let _ = write!(svg, r#"<g transform="translate({x},{y})"><title>{tooltip}</title>"#);
        let size = format!(r#"width="{SWATCH_SIZE}" height="{SWATCH_SIZE}" rx="2""#);
        let _ = write!(svg, r#"<rect y="{square}" {size} fill="rgb({red},{green},{blue})"/>"#);
        let _ = write!(svg, r#"<text x="{text}" y="{base}">{label}</text></g>"#);
        x += width + ENTRY_GAP;
    }
    svg.push_str("</g>");
    Legend { svg, height: y + ROW_HEIGHT - top }
}
