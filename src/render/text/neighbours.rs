//! The callers and callees of functions as text.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::report::{Layout, MIN_NAME_WIDTH, TerminalReport};
use crate::profile::{FunctionId, Origin, format_number, format_share};
use crate::render::columns::{self, GAP};
use crate::render::name;
use crate::views::{Neighbours, View};

/// A line in the list of a function's callers or callees.
struct CallLine {
    weight: u64,
    name: String,
    /// Origin of the function. `None` for a line that is not a function.
    origin: Option<Origin>,
}

/// Writes the callers and callees of functions, each with its weight and its share of the function's cumulative weight.
pub fn write_neighbours(view: &View, functions: &[Neighbours], layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let report = TerminalReport::new(view, layout);
    for (at, one) in functions.iter().enumerate() {
        let separator = if at > 0 { "\n" } else { "" };
        out.write_all(format!("{separator}{}", function_section(&report, one)).as_bytes())?;
    }
    out.flush()
}

fn function_section(report: &TerminalReport<'_>, neighbours: &Neighbours) -> String {
    let mut text = report.function_heading(neighbours.function, neighbours.self_weight, neighbours.cumulative);
    let line = |(id, weight): &(FunctionId, u64)| {
        let function = report.profile.function(*id);
        let name = name::clean_name(report.profile.str(function.display)).into_owned();
        CallLine { weight: *weight, name, origin: Some(function.origin) }
    };
    let note = |weight, text: &str| CallLine { weight, name: text.to_owned(), origin: None };
    let outwards = ("called by", &neighbours.callers, note(neighbours.root_weight, "nothing: it is the root"));
    let inwards = ("calls", &neighbours.callees, note(neighbours.self_weight, "the function itself"));
    for (title, functions, rest) in [outwards, inwards] {
        let mut lines: Vec<CallLine> = functions.iter().map(line).collect();
        lines.extend(Some(rest).filter(|rest| rest.weight > 0));
        lines.sort_by_key(|line| Reverse(line.weight));
        text.push_str(&["\n", &report.styles.dim(title), "\n"].concat());
        text.push_str(&format_calls(report, lines, neighbours.cumulative));
    }
    text
}

/// Formats a list of calls. Shares are relative to `function_weight`, the function's cumulative weight.
fn format_calls(report: &TerminalReport<'_>, mut lines: Vec<CallLine>, function_weight: u64) -> String {
    if lines.len() > report.rows + 1 {
        let others = lines.split_off(report.rows);
        let weight = others.iter().fold(0_u64, |sum, line| sum.saturating_add(line.weight));
        let name = format!("{} others", format_number(others.len() as u64));
        lines.push(CallLine { weight, name, origin: None });
    }
    let share = |weight| format_share(weight, function_weight, report.samples);
    let cells: Vec<[String; 2]> =
        lines.iter().map(|line| [report.amounts.format(line.weight), share(line.weight)]).collect();
    let mut widths = [0, 1].map(|at: usize| columns::max_width(cells.iter().map(|cells| &cells[at])) + GAP.len());
    if report.columns < widths.iter().sum::<usize>() + MIN_NAME_WIDTH {
        widths[0] = 0;
    }
    let room = report.columns.saturating_sub(widths.iter().sum());
    let mut text = String::new();
    for (line, cells) in lines.iter().zip(cells) {
        let name = columns::shorten(&line.name, room);
        let name = match line.origin {
            Some(origin) => report.styles.style_function(origin, &name),
            None => report.styles.dim(&name),
        };
        for (cell, width) in cells.iter().zip(widths).filter(|(_, width)| *width > 0) {
            text.extend([&columns::align_right(cell, width - GAP.len()), GAP]);
        }
        text.extend([name.as_str(), "\n"]);
    }
    text
}
