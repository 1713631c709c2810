//! The differences as tables for a terminal.

use std::io::{self, Write};

use super::debug_only::{self, DEBUG_ONLY_HEADING};
use super::document::{DiffDocument, ValueFormat, format_others, verdict_word};
use crate::profile::format_number;
use crate::render::columns::{self, GAP};
use crate::render::text::{Layout, Styles};
use crate::views::{ChangeVerdict, FigureChange, FunctionChange};

/// Minimum number of columns for names. Other columns are dropped to reach it.
const MIN_NAME_WIDTH: usize = 24;

/// Minimum width. Narrower terminals wrap lines.
const MIN_COLUMNS: usize = 40;

/// Columns that a narrow terminal drops, in this order: cumulative values, self values, the change of cumulative values, the
/// verdict.
const DROPPED_COLUMNS: [&[usize]; 4] = [&[4, 5], &[1, 2], &[6], &[0]];

/// A column of values, the column of their changes, and the heading of the changes if the values are dropped.
const CHANGE_COLUMNS: [(usize, usize, &str); 2] = [(1, 3, "self change"), (4, 6, "cum change")];

/// A row of the table of functions: cells that are aligned at the right, then a name.
struct Row {
    cells: [String; 7],
    name: String,
    is_dim: bool,
    verdict: ChangeVerdict,
}

/// Writes the result in one line, the two profiles, the changed functions, the gone functions, and the functions that were
/// matched under different names.
pub fn write(document: &DiffDocument<'_>, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let styles = Styles::new(layout.has_color);
    let width = layout.columns.max(MIN_COLUMNS);
    writeln!(out, "{}", styles.bold(&document.summary()))?;
    let longest = columns::max_width(document.labels.iter());
    for (side, label) in document.labels.into_iter().enumerate() {
        let indent = longest + GAP.len();
        let lines = columns::wrap(&document.description(side), width.saturating_sub(indent));
        let description = lines.join(&format!("\n{:indent$}", ""));
        writeln!(out, "{}{GAP}{description}", styles.dim(&columns::align_left(label, longest)))?;
    }
    for line in document.work.into_iter().flat_map(|work| columns::wrap(work, width)) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for line in columns::wrap(&document.explanation(), width) {
        writeln!(out, "{}", styles.dim(&line))?;
    }
    out.write_all(format_table(function_rows(document, layout.rows), width, &styles).as_bytes())?;
    let others = others_line(document, layout.rows);
    if !others.is_empty() {
        writeln!(out, "{}", styles.dim(&others))?;
    }
    let values = document.value_format();
    let gone = document.gone_functions().into_iter().map(|row| {
        format!("{}{GAP}{}", values.format_value(row.cumulative.values[0]), document.function_name(row.function))
    });
    let renamed = document.renamed_functions().into_iter().map(|[old, new]| format!("{old} → {new}"));
    let debug_only = debug_only::entries(document)
        .into_iter()
        .map(|entry| format!("{}{GAP}{}\n{GAP}{}", entry.shares, document.function_name(entry.function), entry.reason));
    let lists = [
        (DEBUG_ONLY_HEADING, debug_only.collect()),
        ("Gone, with what they called", gone.collect::<Vec<_>>()),
        ("Matched under different names", renamed.collect()),
    ];
    for (title, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        writeln!(out, "\n{}", styles.bold(title))?;
        for line in lines.iter().take(layout.rows).flat_map(|entry| entry.lines()) {
            writeln!(out, "{}", columns::shorten(line, width))?;
        }
        if lines.len() > layout.rows {
            writeln!(out, "{}", styles.dim(&format_others(lines.len() - layout.rows)))?;
        }
    }
    out.flush()
}

fn function_rows(document: &DiffDocument<'_>, count: usize) -> Vec<Row> {
    let values = document.value_format();
    let functions = &document.diff.functions;
    let [old, new] = document.labels;
    let [own, cumulative] = ["self", "cum"].map(|kind| format!("{kind} {old}"));
    let heading = ["", &own, new, "change", &cumulative, new, "change"].map(str::to_owned);
    let mut rows =
        vec![Row { cells: heading, name: "function".to_owned(), is_dim: true, verdict: ChangeVerdict::Unclear }];
    rows.extend(functions.iter().take(count).map(|row| self::function_row(document, &values, row)));
    rows
}

/// Returns a line about the functions that the table leaves out.
fn others_line(document: &DiffDocument<'_>, count: usize) -> String {
    let functions = &document.diff.functions;
    let others = &functions[count.min(functions.len())..];
    let changed = others.iter().filter(|row| row.self_weight.is_clear() || row.cumulative.is_clear()).count();
    match (others.len(), changed) {
        (0, _) => String::new(),
        (1, 0) => format!("1 other function, not changed{}", document.beyond_chance_words()),
        (others, 0) => {
            format!("{} other functions, not changed{}", format_number(others as u64), document.beyond_chance_words())
        }
        (others, changed) => {
            format!(
                "{} other functions, {} of them changed",
                format_number(others as u64),
                format_number(changed as u64)
            )
        }
    }
}

fn function_row(document: &DiffDocument<'_>, values: &ValueFormat, row: &FunctionChange) -> Row {
    let shown = if row.self_weight.is_clear() { &row.self_weight } else { &row.cumulative };
    let cells = |change: &FigureChange| {
        let [old, new] = change.values.map(|value| values.format_cell(value));
        [old, new, values.format_difference(change)]
    };
    let ([old, new, change], [cumulative_old, cumulative_new, cumulative_change]) =
        (cells(&row.self_weight), cells(&row.cumulative));
    Row {
        cells: [
            verdict_word(shown).to_owned(),
            old,
            new,
            mark_unclear(change, &row.self_weight),
            cumulative_old,
            cumulative_new,
            mark_unclear(cumulative_change, &row.cumulative),
        ],
        name: document.function_name(row.function),
        is_dim: !shown.is_clear(),
        verdict: shown.verdict,
    }
}

/// Puts `~` before a difference that chance can explain.
fn mark_unclear(difference: String, change: &FigureChange) -> String {
    if change.is_clear() || difference.is_empty() || change.margin() == 0.0 {
        difference
    } else {
        format!("~ {difference}")
    }
}

fn format_table(mut rows: Vec<Row>, width: usize, styles: &Styles) -> String {
    let mut widths: [usize; 7] = std::array::from_fn(|at| columns::max_width(rows.iter().map(|row| &row.cells[at])));
    let used = |widths: &[usize; 7]| widths.iter().filter(|width| **width > 0).map(|width| width + GAP.len()).sum();
    for dropped in DROPPED_COLUMNS {
        if width.saturating_sub(used(&widths)) < MIN_NAME_WIDTH {
            for at in dropped {
                widths[*at] = 0;
            }
        }
    }
    for (values, change, name) in CHANGE_COLUMNS {
        if let Some(heading) = rows.first_mut().filter(|_| widths[values] == 0 && widths[change] > 0) {
            name.clone_into(&mut heading.cells[change]);
            widths[change] = widths[change].max(name.len());
        }
    }
    let room = width.saturating_sub(used(&widths));
    let line = |row: &Row| {
        let mut cells = String::new();
        for (at, (cell, width)) in row.cells.iter().zip(widths).enumerate().filter(|(_, (_, width))| *width > 0) {
            // The first column is the verdict, a word. All others are numbers.
            let cell = if at == 0 { columns::align_left(cell, width) } else { columns::align_right(cell, width) };
            cells.push_str(&cell);
            cells.push_str(GAP);
        }
        let line = format!("{cells}{}", columns::shorten(&row.name, room));
        let line = line.trim_end();
        if row.is_dim { styles.dim(line) } else { styles.style_verdict(row.verdict, line) }
    };
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    // Adds the end of the last line.
    lines.push(String::new());
    lines.join("\n")
}
