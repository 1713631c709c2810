//! What the report says and how it is aligned.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::amount::Amounts;
use super::style::Styles;
use crate::profile::{Function, Profile, counted, grouped, percent};
use crate::render::name;
use crate::views::{GroupRow, Top, View};

/// How the report is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Width of the terminal. Less than 20 counts as 20.
    pub columns: usize,
    /// Whether ANSI styles are written.
    pub color: bool,
}

/// How many functions are listed.
pub const FUNCTIONS: usize = 10;

/// How many groups are listed.
const GROUPS: usize = 20;

/// Longer paths are cut in the middle: so many rows from the root and from the end are shown.
pub(super) const PATH_ENDS: (usize, usize) = (8, 16);

/// Nothing sensible fits in less.
pub(super) const MIN_COLUMNS: usize = 20;

/// Names that get less room than this are worse than a missing column.
const MIN_NAME: usize = 24;

/// Between two columns.
const GAP: &str = "  ";

/// Writes the report. An empty profile gives a line that says so.
pub fn write(view: &View, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let report = Report::new(view, options);
    out.write_all(report.text().as_bytes())?;
    out.flush()
}

/// Writes a table of the groups of a profile, the heaviest first. An empty profile gives none.
pub fn write_groups(view: &View, options: Options, out: &mut dyn Write) -> io::Result<()> {
    let report = Report::new(view, options);
    let groups = view.grouping().rows(view.profile());
    let row = |group: &GroupRow| {
        let label = Label::Note(name::clean(&group.name).into_owned());
        Row { cells: report.weight(group.weight), indent: String::new(), label }
    };
    let mut rows: Vec<_> = groups.iter().take(GROUPS).map(row).collect();
    if groups.len() > GROUPS {
        let weight = groups[GROUPS..].iter().fold(0_u64, |sum, group| sum.saturating_add(group.weight));
        let label = Label::Note(format!("{} others", grouped((groups.len() - GROUPS) as u64)));
        rows.push(Row { cells: report.weight(weight), indent: String::new(), label });
    }
    if !rows.is_empty() {
        let text = format!("{}{}\n", report.title("Parts", &report.facts()), report.table(&rows, &[0]));
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

struct Report<'a> {
    profile: &'a Profile,
    top: &'a Top,
    amounts: Amounts,
    columns: usize,
    styles: Styles,
}

/// A row: the cells before the name, right-aligned, and the name with what precedes it.
struct Row<'a> {
    cells: Vec<String>,
    indent: String,
    label: Label<'a>,
}

enum Label<'a> {
    /// A function, and how often in a row it calls itself.
    Function(&'a Function, usize),
    /// A heading of the column of names.
    Heading(&'static str),
    /// A remark in place of a function.
    Note(String),
}

impl<'a> Report<'a> {
    fn new(view: &'a View, options: Options) -> Self {
        let (profile, top) = (view.profile(), view.top());
        let amounts = Amounts::of(profile.event.unit, top.total);
        let (columns, styles) = (options.columns.max(MIN_COLUMNS), Styles::new(options.color));
        Self { profile, top, amounts, columns, styles }
    }
}

impl Report<'_> {
    fn text(&self) -> String {
        if self.profile.total_count() == 0 && self.top.total == 0 {
            return "no samples\n".to_owned();
        }
        let mut text = self.title("Hottest functions", &self.facts());
        text.push_str(&self.table(&self.functions(), &[0, 2]));
        if !self.top.path.is_empty() {
            text.push('\n');
            text.push_str(&self.title("Hottest call path", ""));
            text.push_str(&self.table(&self.path(), &[0]));
        }
        text
    }

    /// What was counted, which stands at the right of the first heading where there is room.
    fn facts(&self) -> String {
        let measured = name::clean(&self.profile.event.name);
        let total = self.amounts.format(self.top.total);
        match counted(self.profile) {
            Some(counted) => format!("{}, {total} of {measured}", name::sanitize(&counted)),
            None => format!("{total} {measured}"),
        }
    }

    fn title(&self, title: &str, facts: &str) -> String {
        let used = name::columns(title) + name::columns(facts);
        let title = self.styles.bold(title);
        match self.columns.checked_sub(used) {
            Some(room) if !facts.is_empty() && room >= GAP.len() => {
                format!("{title}{:room$}{}\n", "", self.styles.dim(facts))
            }
            _ => format!("{title}\n"),
        }
    }

    fn functions(&self) -> Vec<Row<'_>> {
        let mut rows = vec![Row::heading(["", "self", "", "cum"], "function")];
        for row in self.top.functions.iter().take(FUNCTIONS) {
            let function = self.profile.function(row.function);
            let mut cells = self.weight(row.self_weight);
            cells.extend(self.weight(row.cumulative_weight));
            rows.push(Row { cells, indent: String::new(), label: Label::Function(function, 1) });
        }
        let others = &self.top.functions[self.top.functions.len().min(FUNCTIONS)..];
        if !others.is_empty() {
            let own = others.iter().fold(0_u64, |sum, row| sum.saturating_add(row.self_weight));
            let mut cells = self.weight(own);
            cells.extend([String::new(), String::new()]);
            let what = if others.len() == 1 { "other function" } else { "other functions" };
            let label = Label::Note(format!("{} {what}", grouped(others.len() as u64)));
            rows.push(Row { cells, indent: String::new(), label });
        }
        rows
    }

    fn path(&self) -> Vec<Row<'_>> {
        // A function that calls itself is one row.
        let mut calls: Vec<(&Function, u64, usize)> = Vec::new();
        for row in &self.top.path {
            let function = self.profile.function(row.function);
            match calls.last_mut() {
                Some((before, _, times)) if *before == function => *times += 1,
                _ => calls.push((function, row.weight, 1)),
            }
        }
        let row = |(function, weight, times)| {
            let label = Label::Function(function, times);
            Row { cells: self.weight(weight), indent: String::new(), label }
        };
        let mut rows: Vec<_> = calls.into_iter().map(row).collect();
        let (first, last) = PATH_ENDS;
        if rows.len() > first + last + 1 {
            let cut = first..rows.len() - last;
            let label = Label::Note(format!("… {} more calls …", cut.len()));
            rows.splice(cut, [Row { cells: vec![String::new(); 2], indent: String::new(), label }]);
        }
        for (depth, row) in rows.iter_mut().enumerate() {
            row.indent = self.indent(depth);
        }
        rows
    }

    /// What precedes the name of a call: deep ones stay within a third of the line.
    fn indent(&self, depth: usize) -> String {
        match depth {
            0 => String::new(),
            _ => format!("{:1$}└ ", "", (depth - 1).min(self.columns / 3)),
        }
    }

    fn weight(&self, weight: u64) -> Vec<String> {
        vec![self.amounts.format(weight), percent(weight, self.top.total)]
    }

    /// Aligns rows. Columns listed in `spare` are left out, the last first, when names get too little room.
    fn table(&self, rows: &[Row<'_>], spare: &[usize]) -> String {
        let count = rows.first().map_or(0, |row| row.cells.len());
        let mut widths: Vec<usize> =
            (0..count).map(|at| rows.iter().map(|row| name::columns(&row.cells[at])).max().unwrap_or(0)).collect();
        let used = |widths: &[usize]| widths.iter().filter(|width| **width > 0).map(|width| width + GAP.len()).sum();
        for at in spare.iter().rev() {
            if self.columns.saturating_sub(used(&widths)) < MIN_NAME {
                widths[*at] = 0;
            }
        }
        let room = self.columns.saturating_sub(used(&widths));
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                let pad = width.saturating_sub(name::columns(cell));
                let _ = write!(line, "{:pad$}{}{GAP}", "", self.cell(row, cell));
            }
            line.push_str(&self.label(row, room));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn cell(&self, row: &Row<'_>, cell: &str) -> String {
        match row.label {
            Label::Function(..) => cell.to_owned(),
            _ => self.styles.dim(cell),
        }
    }

    fn label(&self, row: &Row<'_>, room: usize) -> String {
        let room = room.saturating_sub(name::columns(&row.indent));
        let indent = self.styles.dim(&row.indent);
        match &row.label {
            Label::Heading(text) => format!("{indent}{}", self.styles.dim(&name::shorten(text, room))),
            Label::Note(text) => format!("{indent}{}", self.styles.dim(&name::shorten(text, room))),
            Label::Function(function, times) => {
                let suffix = if *times > 1 { format!(" × {times}") } else { String::new() };
                let display = name::clean(self.profile.str(function.display));
                let name = name::shorten(&display, room.saturating_sub(name::columns(&suffix)));
                format!("{indent}{}{}", self.styles.function(function.origin, &name), self.styles.dim(&suffix))
            }
        }
    }
}

impl Row<'_> {
    fn heading(cells: [&str; 4], label: &'static str) -> Self {
        Self { cells: cells.map(str::to_owned).to_vec(), indent: String::new(), label: Label::Heading(label) }
    }
}
