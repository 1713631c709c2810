//! Content and alignment of the terminal report.

use std::cmp::Reverse;
use std::io::{self, Write};

use clap::ValueEnum;

use super::style::Styles;
use crate::profile::{Function, FunctionId, Profile, format_number, format_share, format_total_count};
use crate::render::amount::{AmountFormat, sample_count};
use crate::render::columns::{self, GAP};
use crate::render::name;
use crate::views::{FunctionRow, GroupRow, Top, UserCodeLine, View};

/// Layout of the terminal report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Width of the terminal in columns. Less than 20 counts as 20.
    pub columns: usize,
    /// Whether ANSI styles are written.
    pub has_color: bool,
    /// Maximum number of rows of the tables of lines and functions.
    pub rows: usize,
    /// Order of the table of functions.
    pub sort: Sort,
}

/// The weight by which functions are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Sort {
    /// By self weight: samples whose leaf is the function
    #[default]
    #[value(name = "self")]
    SelfWeight,
    /// By cumulative weight: samples with the function anywhere in the stack
    #[value(name = "cum")]
    Cumulative,
}

/// A function that returns the URL of a source file. It returns `None` if the file is not on this machine.
pub type FindSourceUrl<'a> = &'a dyn Fn(&Function) -> Option<String>;

/// Turns source places into hyperlinks (the terminal command OSC 8). The default adds no links.
#[derive(Clone, Copy, Default)]
pub struct Links<'a>(pub Option<FindSourceUrl<'a>>);

impl Links<'_> {
    /// Returns a text as a link to the source file of a function. Without links, returns the text as it is.
    pub(super) fn link(&self, function: &Function, text: &str) -> String {
        match self.0.and_then(|url_of| url_of(function)) {
            Some(url) => format!("\u{1b}]8;;{url}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\"),
            None => text.to_owned(),
        }
    }
}

/// Default number of rows of the tables of lines and functions.
pub const DEFAULT_ROWS: usize = 10;

const MAX_GROUPS: usize = 20;

/// Number of rows that a long call path keeps at the root. The middle is cut.
pub(super) const PATH_HEAD_ROWS: usize = 8;

/// Number of rows that a long call path keeps at the end.
pub(super) const PATH_TAIL_ROWS: usize = 16;

/// Minimum width of the report. Narrower terminals wrap lines.
pub(super) const MIN_COLUMNS: usize = 20;

/// Terminal columns that the numbers in the table of functions take.
const NUMBERS_WIDTH: usize = 34;

/// Minimum number of columns for names in a table that also shows source places.
const MIN_NAME_WIDTH_BESIDE_PLACE: usize = 40;

/// Minimum number of columns for names. Other columns are dropped to reach it.
pub(super) const MIN_NAME_WIDTH: usize = 24;

/// Writes the report. An empty profile gives the line `no samples`.
pub fn write(view: &View, layout: Layout, links: Links<'_>, out: &mut dyn Write) -> io::Result<()> {
    let report = TerminalReport { links, ..TerminalReport::new(view, layout) };
    out.write_all(report.text().as_bytes())?;
    out.flush()
}

/// Writes a table of the groups, the heaviest first. An empty profile gives no output.
pub fn write_groups(view: &View, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let report = TerminalReport::new(view, layout);
    let groups = view.grouping().rows(view.profile());
    let row = |group: &GroupRow| {
        let label = RowLabel::Note(name::clean_name(&group.name).into_owned());
        ReportRow { cells: report.weight_cells(group.weight), indent: String::new(), label }
    };
    let mut rows: Vec<_> = groups.iter().take(MAX_GROUPS).map(row).collect();
    if groups.len() > MAX_GROUPS {
        let weight = groups[MAX_GROUPS..].iter().fold(0_u64, |sum, group| sum.saturating_add(group.weight));
        let label = RowLabel::Note(format!("{} others", format_number((groups.len() - MAX_GROUPS) as u64)));
        rows.push(ReportRow { cells: report.weight_cells(weight), indent: String::new(), label });
    }
    if !rows.is_empty() {
        let text =
            format!("{}{}\n", report.format_title("Parts", &report.totals_text()), report.format_table(&rows, &[0]));
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

pub(super) struct TerminalReport<'a> {
    pub(super) view: &'a View,
    pub(super) profile: &'a Profile,
    pub(super) top: &'a Top,
    /// Number of samples. `None` if the weights were not sampled.
    pub(super) samples: Option<u64>,
    pub(super) amounts: AmountFormat,
    pub(super) columns: usize,
    pub(super) rows: usize,
    sort: Sort,
    pub(super) styles: Styles,
    links: Links<'a>,
}

/// A row: right-aligned cells, then an indented text.
struct ReportRow<'a> {
    cells: Vec<String>,
    indent: String,
    label: RowLabel<'a>,
}

enum RowLabel<'a> {
    /// A function, and the number of its consecutive recursive calls that this row combines.
    Function(&'a Function, usize),
    /// The source place where a function begins, and the function.
    FunctionAt(String, &'a Function),
    /// A source place, and the line of the user's code there.
    Line(String, &'a UserCodeLine),
    /// A text that is not a function name, such as a heading.
    Note(String),
}

impl<'a> TerminalReport<'a> {
    pub(super) fn new(view: &'a View, layout: Layout) -> Self {
        let (profile, top) = (view.profile(), view.top());
        let samples = sample_count(profile);
        let sample = samples.map(|count| top.total / count.max(1));
        let amounts = AmountFormat::new(profile.event.unit, top.total, sample);
        let (columns, styles) = (layout.columns.max(MIN_COLUMNS), Styles::new(layout.has_color));
        let Layout { rows, sort, .. } = layout;
        Self { view, profile, top, samples, amounts, columns, rows, sort, styles, links: Links::default() }
    }
}

impl TerminalReport<'_> {
    fn text(&self) -> String {
        if self.profile.total_count() == 0 && self.top.total == 0 {
            return "no samples\n".to_owned();
        }
        let totals = self.totals_text();
        let mut text = String::new();
        if !self.view.user_code_lines().is_empty() {
            text.push_str(&self.format_title("In your code", &totals));
            text.push_str(&self.format_table(&self.user_code_rows(), &[0]));
            text.push('\n');
        }
        // Only the first heading shows the totals.
        text.push_str(&self.format_title("Hottest functions", if text.is_empty() { &totals } else { "" }));
        text.push_str(&self.format_table(&self.function_rows(), &[0, 2]));
        if !self.top.path.is_empty() {
            text.push('\n');
            text.push_str(&self.format_title("Hottest call path", ""));
            text.push_str(&self.format_table(&self.path_rows(), &[0]));
        }
        text
    }

    /// Returns the text at the right of the first heading: count, weight and event.
    pub(super) fn totals_text(&self) -> String {
        let event = name::clean_name(&self.profile.event.name);
        let total = self.amounts.format(self.top.total);
        match format_total_count(self.profile) {
            Some(count) => format!("{}, {total} of {event}", name::sanitize(&count)),
            None => format!("{total} {event}"),
        }
    }

    /// Returns a heading, with a text at its right if there is room.
    pub(super) fn format_title(&self, title: &str, right: &str) -> String {
        let used = columns::width(title) + columns::width(right);
        let title = self.styles.bold(title);
        match self.columns.checked_sub(used) {
            Some(room) if !right.is_empty() && room >= GAP.len() => {
                format!("{title}{:room$}{}\n", "", self.styles.dim(right))
            }
            _ => format!("{title}\n"),
        }
    }

    /// Returns the heading of a section about a function: its name, its place and its weights.
    pub(super) fn function_heading(&self, id: FunctionId, self_weight: u64, cumulative: u64) -> String {
        let function = self.profile.function(id);
        let (display, file) = (self.profile.str(function.display), self.profile.str(function.file));
        let place = if file.is_empty() { String::new() } else { name::format_place(file, function.start_line) };
        let title = self.format_title(&columns::shorten(&name::clean_name(display), self.columns), &place);
        let [own, all] = [self_weight, cumulative].map(|weight| self.weight_cells(weight).join(", "));
        let weights = columns::wrap(&format!("{own} self, {all} cum"), self.columns);
        format!("{title}{}\n", weights.join("\n"))
    }

    fn function_rows(&self) -> Vec<ReportRow<'_>> {
        let mut functions: Vec<&FunctionRow> = self.top.functions.iter().collect();
        if self.sort == Sort::Cumulative {
            functions.sort_by_key(|row| Reverse(row.cumulative_weight));
        }
        let others = functions.split_off(functions.len().min(self.rows));
        let place = |row: &&FunctionRow| {
            let function = self.profile.function(row.function);
            let file = self.profile.str(function.file);
            if file.is_empty() { String::new() } else { name::format_place(file, function.start_line) }
        };
        let places: Vec<String> = functions.iter().map(place).collect();
        let column = columns::max_width(&places).min(self.columns / 3);
        let has_room = self.columns >= NUMBERS_WIDTH + column + MIN_NAME_WIDTH_BESIDE_PLACE;
        let label = if has_room { columns::align_left("begins at", column) + GAP } else { String::new() } + "function";
        let mut rows = vec![ReportRow::heading(["", "self", "", "cum"], &label)];
        for (row, place) in functions.into_iter().zip(places) {
            let function = self.profile.function(row.function);
            let mut cells = self.weight_cells(row.self_weight);
            cells.extend(self.weight_cells(row.cumulative_weight));
            let label = match columns::align_left(&columns::shorten(&place, column), column) {
                place if has_room => RowLabel::FunctionAt(place, function),
                _ => RowLabel::Function(function, 1),
            };
            rows.push(ReportRow { cells, indent: String::new(), label });
        }
        if !others.is_empty() {
            let self_weight = others.iter().fold(0_u64, |sum, row| sum.saturating_add(row.self_weight));
            let mut cells = self.weight_cells(self_weight);
            cells.extend([String::new(), String::new()]);
            let noun = if others.len() == 1 { "other function" } else { "other functions" };
            let label = RowLabel::Note(format!("{} {noun}", format_number(others.len() as u64)));
            rows.push(ReportRow { cells, indent: String::new(), label });
        }
        rows
    }

    /// Returns rows like `1.84 s  90.0 %  textlib/text.go:8  textlib.CountWords → regexp.MustCompile`.
    fn user_code_rows(&self) -> Vec<ReportRow<'_>> {
        let lines = self.view.user_code_lines();
        let lines = &lines[..lines.len().min(self.rows)];
        let file = |line: &UserCodeLine| self.profile.str(self.profile.function(line.function).file);
        let places: Vec<_> = lines.iter().map(|line| name::format_place(file(line), line.line)).collect();
        let column = columns::max_width(&places).min(self.columns / 3);
        let mut rows = vec![ReportRow::heading(["", ""], "last line of yours in each stack, and what it calls")];
        rows.extend(lines.iter().zip(places).map(|(line, place)| {
            let place = columns::align_left(&columns::shorten(&place, column), column);
            ReportRow {
                cells: self.weight_cells(line.weight),
                indent: String::new(),
                label: RowLabel::Line(place, line),
            }
        }));
        rows
    }

    pub(super) fn full_name(&self, function: FunctionId) -> String {
        name::clean_name(self.profile.str(self.profile.function(function).display)).into_owned()
    }

    /// Returns the name of a function with only the last element of its package's path.
    pub(super) fn short_name(&self, function: FunctionId) -> String {
        let display = self.profile.str(self.profile.function(function).display);
        let path = &display[..display.find(['[', '(', '{', ' ']).unwrap_or(display.len())];
        let start = path.rfind('/').map_or(0, |at| at + 1);
        name::clean_name(&display[start..]).into_owned()
    }

    fn path_rows(&self) -> Vec<ReportRow<'_>> {
        // Consecutive calls of a function to itself are one row.
        let mut calls: Vec<(&Function, u64, usize)> = Vec::new();
        for row in &self.top.path {
            let function = self.profile.function(row.function);
            match calls.last_mut() {
                Some((last, _, times)) if *last == function => *times += 1,
                _ => calls.push((function, row.weight, 1)),
            }
        }
        let row = |(function, weight, times)| {
            let label = RowLabel::Function(function, times);
            ReportRow { cells: self.weight_cells(weight), indent: String::new(), label }
        };
        let mut rows: Vec<_> = calls.into_iter().map(row).collect();
        if rows.len() > PATH_HEAD_ROWS + PATH_TAIL_ROWS + 1 {
            let cut = PATH_HEAD_ROWS..rows.len() - PATH_TAIL_ROWS;
            let label = RowLabel::Note(format!("… {} more calls …", cut.len()));
            rows.splice(cut, [ReportRow { cells: vec![String::new(); 2], indent: String::new(), label }]);
        }
        for (depth, row) in rows.iter_mut().enumerate() {
            row.indent = self.indentation(depth);
        }
        rows
    }

    /// Returns the indentation of a call, which takes at most one third of the line.
    fn indentation(&self, depth: usize) -> String {
        match depth {
            0 => String::new(),
            _ => format!("{:1$}└ ", "", (depth - 1).min(self.columns / 3)),
        }
    }

    /// Returns two cells: a weight, and its share of the total.
    pub(super) fn weight_cells(&self, weight: u64) -> Vec<String> {
        vec![self.amounts.format(weight), format_share(weight, self.top.total, self.samples)]
    }

    /// Aligns rows. If names get too little room, the columns in `droppable` are dropped, the last one first.
    fn format_table(&self, rows: &[ReportRow<'_>], droppable: &[usize]) -> String {
        let count = rows.first().map_or(0, |row| row.cells.len());
        let mut widths: Vec<usize> =
            (0..count).map(|at| columns::max_width(rows.iter().map(|row| &row.cells[at]))).collect();
        let used = |widths: &[usize]| widths.iter().filter(|width| **width > 0).map(|width| width + GAP.len()).sum();
        for at in droppable.iter().rev() {
            if self.columns.saturating_sub(used(&widths)) < MIN_NAME_WIDTH {
                widths[*at] = 0;
            }
        }
        let room = self.columns.saturating_sub(used(&widths));
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                line.extend([&columns::padding(cell, *width), &self.styled_cell(row, cell), GAP]);
            }
            line.push_str(&self.styled_label(row, room));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn styled_cell(&self, row: &ReportRow<'_>, cell: &str) -> String {
        match row.label {
            RowLabel::Function(..) | RowLabel::FunctionAt(..) | RowLabel::Line(..) => cell.to_owned(),
            RowLabel::Note(_) => self.styles.dim(cell),
        }
    }

    fn styled_label(&self, row: &ReportRow<'_>, room: usize) -> String {
        let room = room.saturating_sub(columns::width(&row.indent));
        let indent = self.styles.dim(&row.indent);
        match &row.label {
            RowLabel::Note(text) => format!("{indent}{}", self.styles.dim(&columns::shorten(text, room))),
            RowLabel::Line(place, line) => {
                let room = room.saturating_sub(columns::width(place) + GAP.len());
                let own = self.short_name(line.function);
                let callee = line.callee.map(|callee| format!(" → {}", self.short_name(callee))).unwrap_or_default();
                let names = columns::shorten(&format!("{own}{callee}"), room).into_owned();
                // Each name has the style of its origin.
                let (own, callee) = names.split_at(names.find(" → ").unwrap_or(names.len()));
                let styles = &self.styles;
                let origin = |function: FunctionId| self.profile.function(function).origin;
                let callee = line.callee.map(|id| styles.style_function(origin(id), callee)).unwrap_or_default();
                let place = self.links.link(self.profile.function(line.function), &styles.dim(place));
                format!("{place}{GAP}{}{callee}", styles.style_function(origin(line.function), own))
            }
            RowLabel::FunctionAt(place, function) => {
                let room = room.saturating_sub(columns::width(place) + GAP.len());
                let display = name::clean_name(self.profile.str(function.display));
                let name = self.styles.style_function(function.origin, &columns::shorten(&display, room));
                format!("{}{GAP}{name}", self.links.link(function, &self.styles.dim(place)))
            }
            RowLabel::Function(function, times) => {
                let suffix = if *times > 1 { format!(" × {times}") } else { String::new() };
                let display = name::clean_name(self.profile.str(function.display));
                let name = columns::shorten(&display, room.saturating_sub(columns::width(&suffix)));
                format!("{indent}{}{}", self.styles.style_function(function.origin, &name), self.styles.dim(&suffix))
            }
        }
    }
}

impl ReportRow<'_> {
    fn heading<const N: usize>(cells: [&str; N], label: &str) -> Self {
        let label = RowLabel::Note(label.to_owned());
        Self { cells: cells.map(str::to_owned).to_vec(), indent: String::new(), label }
    }
}
