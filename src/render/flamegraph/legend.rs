//! The legend, put into the SVG that inferno has drawn.

use std::fmt::Write as _;
use std::io;

use super::palette::origin_colour;
use crate::profile::{Origin, percent};
use crate::render::name;

/// How far the frames move down to make room for the legend.
const HEIGHT: usize = 26;
/// The middle of the legend's line, below inferno's title and subtitle.
const MIDDLE: usize = 66;
/// Height of the legend's line.
const LINE: usize = 18;
/// Left and right of the legend.
const MARGIN: usize = 10;
/// Side of a swatch.
const SWATCH: usize = 11;
/// Between a swatch and its label.
const LABEL_GAP: usize = 5;
/// Between two entries.
const ENTRY_GAP: usize = 20;
/// Width of a character in hundredths of a pixel, in a monospaced font of [`FONT_SIZE`].
const CHAR: usize = 665;
/// Size of the labels.
const FONT_SIZE: usize = 11;

/// A swatch and its label, at its place.
pub(super) struct Entry {
    origin: Origin,
    x: usize,
    width: usize,
    label: String,
}

/// The entries from left to right, for origins with the widths of the samples that end in them.
pub(super) fn entries(origins: &[(Origin, u64)]) -> Vec<Entry> {
    let total = origins.iter().map(|(_, width)| width).sum();
    let mut x = MARGIN;
    let mut entries = Vec::new();
    for (origin, width) in origins {
        let label = format!("{} {}", label(*origin), percent(*width, total));
        let width = SWATCH + LABEL_GAP + label.chars().count() * CHAR / 100;
        entries.push(Entry { origin: *origin, x, width, label });
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

/// Adds the legend to inferno's SVG and makes room for it.
///
/// Everything that inferno draws after the titles is moved down by as much as the image gets higher.
/// Its script finds the elements by id and keeps no vertical positions but those inside the frames.
pub(super) fn add(svg: &str, entries: &[Entry]) -> io::Result<String> {
    let (width, height) = size(svg).ok_or_else(unexpected)?;
    let (head, body) = split_before(svg, r#"<text id="details""#)?;
    let body = body.strip_suffix("</svg>").ok_or_else(unexpected)?;
    let higher = height + HEIGHT;
    let head = replace_once(
        head,
        &format!(r#"viewBox="0 0 {width} {height}""#),
        &format!(r#"viewBox="0 0 {width} {higher}""#),
    )?;
    // The image and its background.
    let old = format!(r#"height="{height}""#);
    if head.matches(&old).count() != 2 {
        return Err(unexpected());
    }
    let mut out = head.replace(&old, &format!(r#"height="{higher}""#));
    out.push_str(&draw(entries));
    let _ = write!(out, r#"<g transform="translate(0,{HEIGHT})">"#);
    out.push_str(body);
    out.push_str("</g></svg>\n");
    Ok(out)
}

/// An image for a profile without samples.
pub(super) fn empty(title: &str) -> String {
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

/// The width of the whole legend.
pub(super) fn width(entries: &[Entry]) -> usize {
    entries.last().map_or(0, |last| last.x + last.width) + MARGIN
}

fn draw(entries: &[Entry]) -> String {
    let mut out = String::from("<style>#subtitle,#legend text{fill:#555555}#search{opacity:0.5}");
    let _ = write!(out, "#legend text{{font-size:{FONT_SIZE}px}}</style>");
    // A nested image of its own: centred, and made smaller where the window is narrower.
    let _ = write!(
        out,
        r#"<svg id="legend" x="0" y="{}" width="100%" height="{LINE}" viewBox="0 0 {} {LINE}">"#,
        MIDDLE - LINE / 2,
        width(entries),
    );
    for Entry { origin, x, label, .. } in entries {
        let colour = origin_colour(*origin);
        let (red, green, blue) = (colour.r, colour.g, colour.b);
        let (top, base, text) = ((LINE - SWATCH) / 2, LINE / 2 + 4, x + SWATCH + LABEL_GAP);
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

/// Width and height of an image.
fn size(svg: &str) -> Option<(usize, usize)> {
    let (_, rest) = svg.split_once(r#"viewBox="0 0 "#)?;
    let (size, _) = rest.split_once('"')?;
    let (width, height) = size.split_once(' ')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

fn split_before<'a>(text: &'a str, mark: &str) -> io::Result<(&'a str, &'a str)> {
    let at = text.find(mark).ok_or_else(unexpected)?;
    Ok(text.split_at(at))
}

fn replace_once(text: &str, old: &str, new: &str) -> io::Result<String> {
    if text.matches(old).count() == 1 { Ok(text.replace(old, new)) } else { Err(unexpected()) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Only another version of inferno can cause this.
fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "inferno's SVG is not laid out as expected")
}
