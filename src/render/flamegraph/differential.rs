//! The flame graph of the differences between two profiles.
//!
//! inferno colours frames by their text, so each frame gets a unique key as its text. Afterwards, names and figures of both
//! profiles replace the keys in inferno's SVG.

use std::fmt::Write as _;
use std::io::{self, Write};

use inferno::flamegraph::color::{Color, PaletteMap};

use super::draw::{frame_key, inferno_svg};
use super::frames::{FrameTexts, pixel_width, write_texts};
use super::legend::LegendEntry;
use super::measure::MAX_EXACT_WIDTH;
use super::page;
use super::palette::shade;
use super::tree::{MAX_NAME_WIDTH, MIN_SHARE_DIVISOR, OTHERS_TEXT, depth_first_order, folded_lines, select_widest};
use crate::profile::{format_number, format_samples};
use crate::render::columns;
use crate::render::diff::document::{DiffDocument, ValueFormat, WidthSource, verdict_word};
use crate::render::drawing::Drawing;
use crate::views::{ChangeVerdict, FigureChange, NodeChange};

/// Colour of frames whose change chance can explain.
const UNCLEAR_COLOUR: Color = Color::new(228, 228, 228);

/// Colour of frames that the old profile does not have.
const NEW_COLOUR: Color = Color::new(240, 200, 60);

/// Colours of frames that grew a little, and of frames that grew much.
const GREW_COLOURS: [Color; 2] = [Color::new(253, 211, 200), Color::new(238, 97, 84)];
/// Colours of frames that shrank a little, and of frames that shrank much.
const SHRANK_COLOURS: [Color; 2] = [Color::new(205, 223, 250), Color::new(96, 152, 238)];

/// Maximum width of the list of gone functions in the legend, in characters.
const MAX_GONE_WIDTH: usize = 60;

/// Writes the flame graph. A frame is red if its cumulative weight grew, blue if it shrank, and yellow if the frame is new.
/// The larger the change relative to the frame, the deeper the colour. Frames without a change beyond chance are grey.
/// Widths are the weights of one of the profiles. Siblings are sorted by name.
pub fn write(document: &DiffDocument<'_>, out: &mut dyn Write) -> io::Result<()> {
    let graph = DiffGraph::new(document);
    if graph.widths[0] == 0 {
        out.write_all(page::image_without_samples(&document.headline()).as_bytes())?;
        return out.flush();
    }
    let mut colours = PaletteMap::default();
    colours.insert("", UNCLEAR_COLOUR);
    for (at, index) in graph.order.iter().enumerate() {
        colours.insert(frame_key(at), graph.node_colour(*index));
    }
    let drawing = Drawing::default();
    let svg = inferno_svg(&document.headline(), graph.subtitle(), &drawing, &mut colours, &graph.folded_lines())?;
    let texts: Vec<_> = graph.order.iter().map(|index| graph.frame_texts(*index)).collect();
    let svg = page::assemble(&write_texts(&svg, &graph.frame_texts(0), &texts)?, &graph.legend_entries(), &drawing)?;
    out.write_all(svg.as_bytes())?;
    out.flush()
}

/// Returns the colour of a change. The larger the difference is relative to the larger value, the deeper is the colour.
fn change_colour(change: &FigureChange) -> Color {
    let [old, new] = change.values;
    let [light, deep] = match change.verdict {
        ChangeVerdict::Unclear => return UNCLEAR_COLOUR,
        ChangeVerdict::New => return NEW_COLOUR,
        ChangeVerdict::Grew => GREW_COLOURS,
        ChangeVerdict::Shrank | ChangeVerdict::Gone => SHRANK_COLOURS,
    };
    let depth = (change.difference.value.abs() / old.max(new)).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes is a byte")]
    let mix = |light: u8, deep: u8| (f64::from(light) + (f64::from(deep) - f64::from(light)) * depth).round() as u8;
    Color::new(mix(light.r, deep.r), mix(light.g, deep.g), mix(light.b, deep.b))
}

/// The frames that are drawn.
struct DiffGraph<'a> {
    document: &'a DiffDocument<'a>,
    nodes: Vec<NodeChange>,
    /// Widths, by node.
    widths: Vec<u64>,
    /// The indexes of all nodes except the root: a caller before its callees, and siblings sorted by name.
    order: Vec<usize>,
    /// By node: its width minus the widths of its callees.
    remainders: Vec<u64>,
    /// Number of frames that are wide enough but not drawn, because there are too many.
    dropped: usize,
    values: ValueFormat,
}

impl<'a> DiffGraph<'a> {
    fn new(document: &'a DiffDocument<'a>) -> Self {
        let all = document.diff.call_tree(document.views(), MIN_SHARE_DIVISOR);
        let side = match document.width_source {
            WidthSource::Old => 0,
            WidthSource::New => 1,
        };
        let divisor = document.diff.scale.totals[side].weight.div_ceil(MAX_EXACT_WIDTH).max(1);
        let all_widths: Vec<u64> = all.iter().map(|node| node.change.amounts[side].weight / divisor).collect();
        let (drawn, _) = select_widest(&all_widths);
        let (mut nodes, mut widths) = (Vec::new(), Vec::new());
        // By index in `all`: the index in `nodes`.
        let mut positions = vec![0; all.len()];
        for (at, node) in all.iter().enumerate().filter(|(at, _)| *at == 0 || drawn.contains(at) && all_widths[*at] > 0)
        {
            positions[at] = nodes.len();
            nodes.push(NodeChange { parent: positions[node.parent], ..*node });
            widths.push(all_widths[at]);
        }
        let dropped = all_widths.iter().filter(|width| **width > 0).count().saturating_sub(nodes.len());
        let mut remainders = widths.clone();
        for (at, node) in nodes.iter().enumerate().skip(1) {
            remainders[node.parent] = remainders[node.parent].saturating_sub(widths[at]);
        }
        // One frame replaces all that are not drawn, so that percentages stay percentages of the total.
        let others = std::mem::take(&mut remainders[0]);
        if others > 0 {
            nodes.push(NodeChange { parent: 0, ..nodes[0] });
            widths.push(others);
            remainders.push(others);
        }
        let mut graph =
            Self { document, nodes, widths, order: Vec::new(), remainders, dropped, values: document.value_format() };
        graph.order = depth_first_order(&graph.parents(), |at| graph.node_name(at));
        graph
    }

    fn parents(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.parent).collect()
    }

    fn subtitle(&self) -> String {
        let mut text = self.document.summary();
        if self.dropped > 0 {
            let _ = write!(text, " (the {} widest frames)", format_number(self.order.len() as u64));
        }
        text
    }

    fn node_name(&self, at: usize) -> String {
        match self.nodes[at].function {
            Some(function) => columns::shorten(&self.document.function_name(function), MAX_NAME_WIDTH).into_owned(),
            None if at == 0 => "all".to_owned(),
            None => OTHERS_TEXT.to_owned(),
        }
    }

    fn folded_lines(&self) -> Vec<String> {
        folded_lines(&self.parents(), &self.order, |at| self.remainders[at], frame_key)
    }

    fn node_colour(&self, at: usize) -> Color {
        match self.nodes[at].change.verdict {
            // Neighbours without a clear change differ a little in their shade.
            ChangeVerdict::Unclear => shade(UNCLEAR_COLOUR, &self.node_name(at)),
            _ => change_colour(&self.nodes[at].change),
        }
    }

    /// Returns the name and the figures of a frame.
    fn frame_texts(&self, at: usize) -> FrameTexts {
        let NodeChange { function, change, .. } = &self.nodes[at];
        let is_go = function.is_some_and(|function| self.document.diff.matching.functions[function].origin.is_go());
        let figures = if function.is_none() && at > 0 {
            "frames that are not drawn".to_owned()
        } else {
            self.format_figures(change)
        };
        let pixels = pixel_width(self.widths[at], self.widths[0], Drawing::default().frames_width());
        FrameTexts::with_figures(&self.node_name(at), &figures, is_go, pixels)
    }

    fn format_figures(&self, change: &FigureChange) -> String {
        let [old, new] = change.values.map(|value| self.values.format_value(value));
        let word = match verdict_word(change) {
            "" => format!("no change{}", self.document.beyond_chance_words()),
            word => word.to_owned(),
        };
        let difference = self.values.format_difference(change);
        let difference =
            if difference.is_empty() { difference } else { format!(": {difference} {}", self.values.unit()) };
        let [old_count, new_count] = change.amounts.map(|amount| amount.count);
        let samples = if self.document.diff.scale.is_sampled {
            format!("; {} and {}", format_samples(old_count), format_samples(new_count))
        } else {
            String::new()
        };
        format!("{old} → {new}{difference}, {word}{samples}")
    }

    fn legend_entries(&self) -> Vec<LegendEntry> {
        let entry = |colour, label: &str, tooltip: &str| LegendEntry {
            colour,
            label: label.to_owned(),
            tooltip: format!("{label}: {tooltip}"),
        };
        let [old, new] = self.document.labels;
        let unclear = format!("no change{}", self.document.beyond_chance_words());
        let mut entries = vec![
            entry(GREW_COLOURS[1], "grew", "the frame with all that it calls; the deeper, the more"),
            entry(SHRANK_COLOURS[1], "shrank", "the frame with all that it calls; the deeper, the more"),
            entry(NEW_COLOUR, "new", &format!("the {old} profile does not have the frame")),
            entry(UNCLEAR_COLOUR, &unclear, "chance can explain the difference"),
        ];
        let gone = self.document.gone_functions();
        if !gone.is_empty() {
            let names: Vec<_> = gone.iter().map(|row| self.document.function_name(row.function)).collect();
            let label = format!(
                "{} gone: {}",
                format_number(gone.len() as u64),
                columns::shorten(&names.join(", "), MAX_GONE_WIDTH)
            );
            entries.push(entry(SHRANK_COLOURS[1], &label, &format!("the {new} profile does not have these functions")));
        }
        entries
    }
}
