//! Adds a legend to the SVG that inferno draws.

use std::fmt::Write as _;
use std::io;

use super::palette::origin_colour;
use crate::profile::{Origin, format_percent};
use crate::render::name;

/// Height that the legend adds to the image. All lengths in this file are in pixels unless noted.
const HEIGHT: usize = 26;
/// Vertical centre of the legend, below inferno's title and subtitle.
const MIDDLE: usize = 66;
/// Height of the legend.
const LINE_HEIGHT: usize = 18;
/// Space at the left and at the right of the legend.
const MARGIN: usize = 10;
/// Side length of a swatch, which is a coloured square.
const SWATCH: usize = 11;
/// Space between a swatch and its text.
const LABEL_GAP: usize = 5;
/// Space between two entries.
const ENTRY_GAP: usize = 20;
/// Width of a character in 1/100 pixel, in a monospaced font of [`FONT_SIZE`].
const CHAR_WIDTH: usize = 665;
/// Font size of the texts.
const FONT_SIZE: usize = 11;

/// A swatch with a text.
pub(super) struct LegendEntry {
    origin: Origin,
    x: usize,
    width: usize,
    label: String,
}

/// Returns the entries from left to right, for origins with their self weights.
pub(super) fn entries(origins: &[(Origin, u64)]) -> Vec<LegendEntry> {
    let total = origins.iter().map(|(_, self_weight)| self_weight).sum();
    let mut x = MARGIN;
    let mut entries = Vec::new();
    for (origin, self_weight) in origins {
        let label = format!("{} {}", label(*origin), format_percent(*self_weight, total));
        let width = SWATCH + LABEL_GAP + label.chars().count() * CHAR_WIDTH / 100;
        entries.push(LegendEntry { origin: *origin, x, width, label });
        x += width + ENTRY_GAP;
    }
    entries
}

fn label(origin: Origin) -> &'static str {
    match origin {
        Origin::Main => "main module",
        Origin::Module => "other modules",
        Origin::Std => "standard library",
        Origin::Runtime => "runtime and GC",
        Origin::Native => "C and native",
        Origin::Kernel => "kernel",
        Origin::Unknown => "unknown",
    }
}

/// Adds the legend to inferno's SVG.
///
/// Makes the image higher by [`HEIGHT`] and moves everything below the titles down by as much. inferno's script keeps
/// working: it finds elements by id and uses vertical positions only within the frames.
pub(super) fn add(svg: &str, entries: &[LegendEntry]) -> io::Result<String> {
    let ImageSize { width, height } = ImageSize::parse(svg).ok_or_else(unexpected)?;
    let details = svg.find(r#"<text id="details""#).ok_or_else(unexpected)?;
    let (head, body) = svg.split_at(details);
    let body = body.strip_suffix("</svg>").ok_or_else(unexpected)?;
    let new_height = height + HEIGHT;
    let head = replace_once(
        head,
        &format!(r#"viewBox="0 0 {width} {height}""#),
        &format!(r#"viewBox="0 0 {width} {new_height}""#),
    )?;
    // One is the image, the other its background.
    let old = format!(r#"height="{height}""#);
    if head.matches(&old).count() != 2 {
        return Err(unexpected());
    }
    let mut out = head.replace(&old, &format!(r#"height="{new_height}""#));
    out.push_str(&draw(entries));
    let _ = write!(out, r#"<g transform="translate(0,{HEIGHT})">"#);
    out.push_str(body);
    out.push_str("</g></svg>\n");
    Ok(out)
}

/// Returns the image for a profile without samples.
pub(super) fn no_samples_image(title: &str) -> String {
    let title = escape(&name::clean(title));
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            "\n",
            r#"<svg version="1.1" width="1200" height="120" viewBox="0 0 1200 120" xmlns="http://www.w3.org/2000/svg">"#,
            r##"<rect width="100%" height="120" fill="#ffffff"/>"##,
            r#"<g font-family="monospace" text-anchor="middle">"#,
            r#"<text x="50%" y="30" font-size="17">{}</text>"#,
            r##"<text x="50%" y="72" font-size="14" fill="#666666">no samples</text>"##,
            "</g></svg>\n"
        ),
        title
    )
}

/// Returns the width of the whole legend.
pub(super) fn width(entries: &[LegendEntry]) -> usize {
    entries.last().map_or(0, |last| last.x + last.width) + MARGIN
}

fn draw(entries: &[LegendEntry]) -> String {
    let mut out = String::from("<style>#subtitle,#legend text{fill:#555555}#search{opacity:0.5}");
    let _ = write!(out, "#legend text{{font-size:{FONT_SIZE}px}}</style>");
    // A nested image, because browsers centre it and shrink it to a narrow window.
    let _ = write!(
        out,
        r#"<svg id="legend" x="0" y="{}" width="100%" height="{LINE_HEIGHT}" viewBox="0 0 {} {LINE_HEIGHT}">"#,
        MIDDLE - LINE_HEIGHT / 2,
        width(entries),
    );
    for LegendEntry { origin, x, label, .. } in entries {
        let colour = origin_colour(*origin);
        let (red, green, blue) = (colour.r, colour.g, colour.b);
        let (top, base, text) = ((LINE_HEIGHT - SWATCH) / 2, LINE_HEIGHT / 2 + 4, x + SWATCH + LABEL_GAP);
        let _ = write!(
            out,
            concat!(
                r#"<rect x="{x}" y="{top}" width="{side}" height="{side}" rx="2" fill="rgb({red},{green},{blue})"/>"#,
                r#"<text x="{text}" y="{base}">{label}</text>"#
            ),
            x = x,
            top = top,
            side = SWATCH,
            red = red,
            green = green,
            blue = blue,
            text = text,
            base = base,
            label = escape(label),
        );
    }
    out.push_str("</svg>");
    out
}

struct ImageSize {
    width: usize,
    height: usize,
}

impl ImageSize {
    /// Finds the size in the `viewBox` of an SVG.
    fn parse(svg: &str) -> Option<Self> {
        let (_, rest) = svg.split_once(r#"viewBox="0 0 "#)?;
        let (size, _) = rest.split_once('"')?;
        let (width, height) = size.split_once(' ')?;
        Some(Self { width: width.parse().ok()?, height: height.parse().ok()? })
    }
}

fn replace_once(text: &str, old: &str, new: &str) -> io::Result<String> {
    if text.matches(old).count() == 1 { Ok(text.replace(old, new)) } else { Err(unexpected()) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Error for an SVG of another version of inferno. No input file can cause it.
fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "inferno's SVG is not laid out as expected")
}
