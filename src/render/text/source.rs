//! Annotated source as text.

use std::io::{self, Write};

use super::report::{Layout, TerminalReport};
use crate::profile::format_share;
use crate::render::columns::{self, GAP};
use crate::render::name;
use crate::render::source::{AnnotatedFunction, SourceText, wanted_lines};
use crate::views::{LineWeights, View};

const TAB_WIDTH: usize = 4;

/// Narrower terminals show shares in place of amounts.
const MIN_COLUMNS_FOR_AMOUNTS: usize = 70;

/// A line with at least 1/5 of the function's cumulative weight is marked.
const HOT_LINE_DIVISOR: u64 = 5;

/// Writes functions with the self and cumulative weight of each line.
pub fn write_source(
    view: &View,
    functions: &[AnnotatedFunction],
    layout: Layout,
    out: &mut dyn Write,
) -> io::Result<()> {
    let report = TerminalReport::new(view, layout);
    for (at, one) in functions.iter().enumerate() {
        let separator = if at > 0 { "\n" } else { "" };
        out.write_all(format!("{separator}{}", function_section(&report, one)).as_bytes())?;
    }
    out.flush()
}

fn function_section(report: &TerminalReport<'_>, annotated: &AnnotatedFunction) -> String {
    let weights = &annotated.weights;
    let mut text = report.function_heading(weights.function, weights.self_weight, weights.cumulative);
    let notes = match &annotated.source {
        SourceText::Found { path, doubt, .. } => vec![Some(name::sanitize(path).into_owned()), doubt.clone()],
        SourceText::Absent { reason } => vec![Some(reason.clone())],
    };
    for note in notes.into_iter().flatten() {
        for line in columns::wrap(&name::sanitize(&note), report.columns) {
            text.push_str(&(report.styles.dim(&line) + "\n"));
        }
    }
    text.push('\n');
    let start = report.profile.function(weights.function).start_line;
    let wanted = match &annotated.source {
        SourceText::Found { .. } => wanted_lines(weights, start),
        // Without the text, only lines with weight are of interest.
        SourceText::Absent { .. } => weights.lines.keys().copied().filter(|line| *line > 0).collect(),
    };
    let cell = |weight: u64| match weight {
        0 => String::new(),
        _ if report.columns < MIN_COLUMNS_FOR_AMOUNTS => format_share(weight, report.top.total, report.samples),
        _ => report.amounts.format(weight),
    };
    let of_line = |line: u32| weights.lines.get(&line).copied().unwrap_or_default();
    let unknown = of_line(0);
    let cells = weights.lines.values().flat_map(|line| [cell(line.self_weight), cell(line.cumulative)]);
    let width = columns::max_width(cells).max("self".len());
    let digits = wanted.last().map_or(0, |line| line.to_string().len()).max("line".len());
    let row = |LineWeights { self_weight, cumulative }: LineWeights, number: &str, line: &str| {
        let cells =
            [columns::align_right(&cell(self_weight), width), columns::align_right(&cell(cumulative), width)].join(GAP);
        let head = format!("{cells}{GAP}{}{GAP}", columns::align_right(number, digits));
        let room = report.columns.saturating_sub(columns::width(&head));
        let line = cut_end(&expand_tabs(line), room);
        let is_hot = cumulative >= weights.cumulative.div_ceil(HOT_LINE_DIVISOR) && cumulative > 0;
        let line = match cumulative {
            0 => report.styles.dim(&line),
            _ if is_hot => report.styles.bold(&line),
            _ => line,
        };
        format!("{}\n", format!("{head}{line}").trim_end())
    };
    let heading =
        [columns::align_right("self", width), columns::align_right("cum", width), columns::align_right("line", digits)];
    text.push_str(&(report.styles.dim(&heading.join(GAP)) + "\n"));
    let has_text = matches!(annotated.source, SourceText::Found { .. });
    let mut last = None;
    for line in wanted {
        if has_text && last.is_some_and(|last| line > last + 1) {
            text.push_str(&(report.styles.dim(&columns::align_right("…", 2 * width + digits + 2 * GAP.len())) + "\n"));
        }
        last = Some(line);
        let content = annotated.source.line_text(line);
        // The context of the last line can reach beyond the end of the file.
        if content.is_some() || of_line(line).cumulative > 0 {
            text.push_str(&row(of_line(line), &line.to_string(), content.unwrap_or_default()));
        }
    }
    if unknown.cumulative > 0 {
        text.push_str(&row(unknown, "?", "unknown lines"));
    }
    text
}

fn expand_tabs(line: &str) -> String {
    let mut text = String::new();
    for c in line.trim_end().chars() {
        match c {
            '\t' => text.push_str(&" ".repeat(TAB_WIDTH - columns::width(&text) % TAB_WIDTH)),
            c => text.push(c),
        }
    }
    name::sanitize(&text).into_owned()
}

/// Cuts the end of a line that is wider than `limit` columns.
fn cut_end(line: &str, limit: usize) -> String {
    if columns::width(line) <= limit {
        return line.to_owned();
    }
    let mut text = String::new();
    for c in line.chars() {
        text.push(c);
        if columns::width(&text) >= limit {
            text.pop();
            break;
        }
    }
    if limit > 0 {
        text.push('…');
    }
    text
}
