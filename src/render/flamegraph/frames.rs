//! Labels and tooltips of frames.

use std::fmt::Write as _;
use std::io;

use super::measure::Measure;
use super::svg::unexpected_svg;
use super::tree::{DrawnNode, DrawnTree, FrameKind, INLINED_SUFFIX};
use crate::render::columns;
use crate::render::name::{self, escape};
use crate::views::View;

/// Width of a character of a label in 1/100 pixel, in a monospaced font of 12 pixels.
const CHAR_WIDTH: usize = 725;

/// The texts of a frame.
pub(super) struct FrameTexts {
    /// The name, and in parentheses the place in the source and the figures. The scripts cut off the last parentheses to get
    /// the name.
    tooltip: String,
    /// Text that a viewer without scripts shows. In browsers, the script fits it to the window.
    label: String,
    /// Whether the name begins with a Go package.
    is_go: bool,
}

impl FrameTexts {
    /// Returns the texts of the root frame, which contains all samples.
    pub(super) fn root(tree: &DrawnTree, measure: &Measure<'_>) -> Self {
        let label = "all".to_owned();
        Self { tooltip: format!("{label} ({})", measure.describe_value(tree.total())), label, is_go: false }
    }

    /// Returns the texts of a frame with a name, figures and a width in pixels. `figures` must not contain parentheses.
    pub(super) fn with_figures(text: &str, figures: &str, is_go: bool, pixels: usize) -> Self {
        let tooltip = format!("{text} ({figures})");
        let label = fit(text, is_go, pixels.saturating_sub(3) * 100 / CHAR_WIDTH);
        Self { tooltip, label, is_go }
    }

    /// Returns the texts of a frame. The root frame is `root_width` pixels wide.
    pub(super) fn new(
        view: &View,
        frame: (&DrawnNode, &str, FrameKind),
        measure: &Measure<'_>,
        root_width: usize,
    ) -> Self {
        let (node, text, kind) = frame;
        let profile = view.profile();
        let file = node.frame.map(|frame| (profile.str(profile.function(frame.function).file), frame.line));
        let place = match file {
            Some((file, line)) if !file.is_empty() => format!("{}, ", name::format_place(file, line).replace('(', "[")),
            _ => String::new(),
        };
        let figures = format!("{place}{}", measure.describe_value(node.cumulative).replace('(', "["));
        let is_go = matches!(kind, FrameKind::Function(origin) if origin.is_go());
        Self::with_figures(text, &figures, is_go, pixel_width(node.cumulative, measure.total(), root_width))
    }
}

/// Returns the width of a frame in pixels. The root frame has the value `total` and is `root_width` pixels wide.
pub(super) fn pixel_width(value: u64, total: u64, root_width: usize) -> usize {
    let pixels = u128::from(value) * root_width as u128 / u128::from(total).max(1);
    usize::try_from(pixels).unwrap_or(usize::MAX / 1000).min(root_width)
}

/// Minimum number of characters that remain of a cut name.
const MIN_CUT_NAME: usize = 3;

/// Shortens a name to at most `limit` columns: `net/http.(*conn).serve`, `http.(*conn).serve`, `(*conn).serve`, `serve`,
/// `ser..`. The function `fit` of `page.js` does the same.
pub(super) fn fit(name: &str, is_go: bool, limit: usize) -> String {
    let plain = name.strip_suffix(INLINED_SUFFIX).unwrap_or(name);
    let (mut after_path, mut after_package, mut after_receiver) = (0, 0, 0);
    if is_go {
        let path = &plain[..plain.find(['[', '(', '{', ' ']).unwrap_or(plain.len())];
        after_path = path.rfind('/').map_or(0, |at| at + 1);
        after_package = path[after_path..].find('.').map_or(after_path, |at| after_path + at + 1);
        let receiver = plain[after_package..].strip_prefix("(*").and_then(|tail| tail.find(")."));
        after_receiver = receiver.map_or(after_package, |at| after_package + at + "(*).".len());
    }
    let forms = [name, &name[after_path..], &plain[after_path..], &plain[after_package..], &plain[after_receiver..]];
    if let Some(form) = forms.into_iter().find(|form| columns::width(form) <= limit) {
        return form.to_owned();
    }
    match limit.checked_sub("..".len()) {
        Some(MIN_CUT_NAME..) => plain[after_receiver..].chars().take(limit - 2).chain("..".chars()).collect(),
        _ => String::new(),
    }
}

/// Replaces the keys in inferno's frames by texts: `texts[7]` belongs to the frame with the key `00007`.
pub(super) fn write_texts(svg: &str, root: &FrameTexts, texts: &[FrameTexts]) -> io::Result<String> {
    let mut parts = svg.split("<g><title>");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let frame = InfernoFrame::parse(part).ok_or_else(unexpected_svg)?;
        let texts = match frame.key {
            "all" => root,
            key => key.parse::<usize>().ok().and_then(|at| texts.get(at)).ok_or_else(unexpected_svg)?,
        };
        let class = if texts.is_go { r#" class="go""# } else { "" };
        let (tooltip, label) = (escape(&texts.tooltip), escape(&texts.label));
        let InfernoFrame { rect, text, tail, .. } = frame;
        let _ = write!(out, "<g{class}><title>{tooltip}</title>{rect}<text {text}>{label}</text>{tail}");
    }
    Ok(out)
}

/// The parts of a frame in inferno's SVG.
struct InfernoFrame<'s> {
    /// The key that inferno got in place of a name.
    key: &'s str,
    rect: &'s str,
    /// The attributes of the text element.
    text: &'s str,
    /// Everything after the text element.
    tail: &'s str,
}

impl<'s> InfernoFrame<'s> {
    /// Parses `KEY (3 samples, 30.00%)</title><rect …/><text …>KEY</text>…`.
    fn parse(part: &'s str) -> Option<Self> {
        let (title, after_title) = part.split_once("</title>")?;
        let (key, _) = title.split_once(" (")?;
        let (rect, after_rect) = after_title.split_once("<text ")?;
        let (text, label) = after_rect.split_once('>')?;
        let (_, tail) = label.split_once("</text>")?;
        Some(Self { key, rect, text, tail })
    }
}
