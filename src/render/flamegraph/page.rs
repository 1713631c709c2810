//! Adds to inferno's SVG what inferno cannot draw: the legend, a style sheet for bright and dark backgrounds, and a script
//! that fits the texts to the window.

use std::fmt::Write as _;
use std::io;

use super::legend::{self, LegendEntry};
use super::svg::unexpected_svg;
use crate::render::drawing::Drawing;
use crate::render::name::{self, escape};

/// Top of the legend in pixels, below inferno's title and subtitle.
const LEGEND_TOP: usize = 57;
/// Bottom of the titles in inferno's image, in pixels from the top. The second value is for inverted graphs, in which
/// the line that describes a frame follows the titles.
const TITLES_BOTTOM: [usize; 2] = [60, 50];

const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");

/// Adds legend, style and script to inferno's SVG.
///
/// Makes the image higher by the height of the legend, and moves everything below the titles down by the same amount.
/// inferno's script keeps working: it finds elements by id and uses vertical positions only within the frames.
pub(super) fn assemble(svg: &str, entries: &[LegendEntry], drawing: &Drawing) -> io::Result<String> {
    let width = drawing.image_width();
    let height = image_height(svg, width).ok_or_else(unexpected_svg)?;
    let legend = legend::draw(entries, LEGEND_TOP, width);
    let titles = TITLES_BOTTOM[usize::from(drawing.is_inverted)];
    let shift = LEGEND_TOP + legend.height - titles;
    let InfernoSvg { head, details, buttons, frames } = InfernoSvg::parse(svg).ok_or_else(unexpected_svg)?;
    let new_height = height + shift;
    let view_box = format!(r#"viewBox="0 0 {width} {height}""#);
    let image = format!(r#"height="{height}" onload"#);
    let backdrop = format!(r#"height="{height}" fill="url(#background)""#);
    let head = replace_once(head, &view_box, &format!(r#"viewBox="0 0 {width} {new_height}""#))?;
    let head = replace_once(&head, &image, &format!(r#"height="{new_height}" onload"#))?;
    let head = replace_once(&head, &backdrop, r##"height="100%" fill="#ffffff" id="backdrop""##)?;
    let mut out = replace_once(&head, "</script>", &format!("</script><style>{STYLE}</style>"))?;
    out.push_str(buttons);
    out.push_str(&legend.svg);
    let _ = write!(out, r#"<g id="body" transform="translate(0,{shift})">{details}{frames}</g>"#);
    let _ =
        write!(out, "<script><![CDATA[\nvar inner_height = {height}, titles_height = {titles};\n{SCRIPT}]]></script>");
    out.push_str("</svg>\n");
    Ok(out)
}

/// The parts of inferno's SVG.
struct InfernoSvg<'s> {
    /// Everything up to the subtitle.
    head: &'s str,
    /// The line that describes the frame under the pointer.
    details: &'s str,
    /// The buttons in the line of the title.
    buttons: &'s str,
    /// The result of a search, and the frames.
    frames: &'s str,
}

impl<'s> InfernoSvg<'s> {
    fn parse(svg: &'s str) -> Option<Self> {
        let svg = svg.strip_suffix("</svg>")?;
        let [details, buttons, frames] =
            [r#"<text id="details""#, r#"<text id="unzoom""#, r#"<text id="matched""#].map(|start| svg.find(start));
        let (details, buttons, frames) = (details?, buttons?, frames?);
        Some(Self {
            head: &svg[..details],
            details: svg.get(details..buttons)?,
            buttons: svg.get(buttons..frames)?,
            frames: &svg[frames..],
        })
    }
}

/// Returns the image for a profile without samples.
pub(super) fn image_without_samples(title: &str) -> String {
    let title = escape(&name::clean_name(title));
    let mut svg = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = write!(
        svg,
        concat!(
            r#"<svg version="1.1" width="1200" height="120" viewBox="0 0 1200 120" xmlns="http://www.w3.org/2000/svg">"#,
            r##"<style>{}</style><rect id="backdrop" width="100%" height="100%" fill="#ffffff"/>"##,
            r#"<g font-family="monospace" text-anchor="middle">"#,
            r#"<text id="title" x="50%" y="30" font-size="17">{}</text>"#,
            r#"<text id="subtitle" x="50%" y="72" font-size="14">no samples</text>"#,
            "</g></svg>\n"
        ),
        STYLE, title
    );
    svg
}

/// Finds the height in the `viewBox` of an SVG.
fn image_height(svg: &str, width: usize) -> Option<usize> {
    let (_, rest) = svg.split_once(&format!(r#"viewBox="0 0 {width} "#))?;
    rest.split_once('"')?.0.parse().ok()
}

fn replace_once(text: &str, old: &str, new: &str) -> io::Result<String> {
    if text.matches(old).count() == 1 { Ok(text.replace(old, new)) } else { Err(unexpected_svg()) }
}
