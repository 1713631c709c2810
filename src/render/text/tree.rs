//! The call tree and the hottest call paths as text.

use std::io::{self, Write};

use super::report::{Layout, TerminalReport};
use crate::profile::{FunctionId, Origin, format_number, format_share};
use crate::render::columns::{self, GAP};
use crate::render::name;
use crate::views::{HotPath, Outline, OutlineNode, OutlineRow, View};

/// Separates a call from the call that it makes.
const ARROW: &str = " → ";

const ARROW_WIDTH: usize = 3;

/// Width of the longest bar in columns.
const BAR_WIDTH: usize = 8;

/// Narrower terminals show no bars.
const MIN_COLUMNS_FOR_BARS: usize = 60;

/// Narrower terminals show no column of self weight.
const MIN_COLUMNS_FOR_SELF: usize = 50;

/// The ends of bars: 0 to 7 eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

const MAX_CALLER_LINES: usize = 3;

const NO_SAMPLES: &str = "no samples\n";

/// The calls of one line. Each call makes the next one.
struct Chain<'o> {
    rows: &'o [OutlineRow],
    /// By level of the tree, down to this chain: whether the chain at that level is the last callee of its caller.
    is_last_by_level: Vec<bool>,
}

/// Writes the call tree. A call whose samples are all in a single callee shares the line of this callee.
pub fn write_tree(
    view: &View,
    outline: &Outline,
    min_share: f64,
    layout: Layout,
    out: &mut dyn Write,
) -> io::Result<()> {
    let report = TerminalReport::new(view, layout);
    if report.top.total == 0 {
        return out.write_all(NO_SAMPLES.as_bytes());
    }
    let mut text = report.format_title("Call tree", &report.totals_text());
    let share = |weight| format_share(weight, report.top.total, report.samples);
    let shares = outline.rows.iter().flat_map(|row| [share(row.cumulative), share(row.self_weight)]);
    let width = columns::max_width(shares).max(4);
    let (has_bar, has_self) = (report.columns >= MIN_COLUMNS_FOR_BARS, report.columns >= MIN_COLUMNS_FOR_SELF);
    let head = |cumulative: &str, bar: &str, own: &str| {
        let mut cells = columns::align_right(cumulative, width) + GAP;
        if has_bar {
            cells.push_str(&(columns::align_left(bar, BAR_WIDTH) + GAP));
        }
        if has_self {
            cells.push_str(&(columns::align_right(own, width) + GAP));
        }
        cells
    };
    let heading = head("cum", "", "self") + "function";
    text.push_str(&(report.styles.dim(&heading) + "\n"));
    for chain in divide_into_chains(&outline.rows) {
        let (Some(first), Some(last)) = (chain.rows.first(), chain.rows.last()) else { continue };
        let own = if last.self_weight > 0 { share(last.self_weight) } else { String::new() };
        let head = head(&share(first.cumulative), &draw_bar(first.cumulative, report.top.total), &own);
        let room = report.columns.saturating_sub(columns::width(&head));
        let guides = draw_guides(&chain.is_last_by_level, report.columns / 3);
        let names = join_calls(&report, chain.rows, room.saturating_sub(columns::width(&guides)));
        let line = format!("{head}{}{names}", report.styles.dim(&guides));
        text.extend([line.trim_end(), "\n"]);
    }
    if outline.left_out_rows > 0 {
        let noun = if outline.left_out_rows == 1 { "row is" } else { "rows are" };
        let count = format_number(outline.left_out_rows as u64);
        let note = format!("{count} {noun} below {min_share} % and left out; `--min-share` takes another limit");
        for line in columns::wrap(&note, report.columns) {
            text.push_str(&(report.styles.dim(&line) + "\n"));
        }
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Divides the rows into chains. A chain continues with a callee that has all samples of its caller.
fn divide_into_chains(rows: &[OutlineRow]) -> Vec<Chain<'_>> {
    let is_function = |row: &OutlineRow| matches!(row.node, OutlineNode::Function(_));
    let continues = |caller: &OutlineRow, callee: &OutlineRow| {
        callee.depth > caller.depth && callee.cumulative == caller.cumulative && is_function(caller)
    };
    // The chains above the current one: the depth of the last row, and whether the chain is the last callee of its caller.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut chains = Vec::new();
    for rows in rows.chunk_by(continues) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        while open.pop_if(|(depth, _)| *depth >= first.depth).is_some() {}
        open.push((last.depth, first.is_last));
        chains.push(Chain { rows, is_last_by_level: open.iter().skip(1).map(|(_, is_last)| *is_last).collect() });
    }
    chains
}

/// Returns the lines of the tree in front of a call, in at most `limit` columns.
fn draw_guides(is_last_by_level: &[bool], limit: usize) -> String {
    let levels = is_last_by_level.len();
    let left_out = levels.saturating_sub((limit / 2).max(2));
    let shown = is_last_by_level.iter().enumerate().skip(left_out);
    let shown = shown.map(|(at, is_last)| match (at + 1 == levels, is_last) {
        (true, true) => "└ ",
        (true, false) => "├ ",
        _ if left_out > 0 && at == left_out => "… ",
        (false, true) => "  ",
        (false, false) => "│ ",
    });
    shown.collect()
}

fn draw_bar(weight: u64, total: u64) -> String {
    let eighths = (u128::from(weight) * 8 * BAR_WIDTH as u128).div_ceil(u128::from(total.max(1)));
    let eighths = usize::try_from(eighths).unwrap_or(0).min(8 * BAR_WIDTH);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// A name and the origin that decides its style. The name is cut before it is styled.
struct Word {
    text: String,
    origin: Option<Origin>,
}

/// Returns the names of a chain of calls with arrows between them. If there is too little room, the names lose the
/// directories of their packages. If that is not enough, the middle of the chain is left out, then its beginning.
fn join_calls(report: &TerminalReport<'_>, rows: &[OutlineRow], room: usize) -> String {
    let chain: Vec<(OutlineNode, usize)> =
        rows.chunk_by(|one, other| one.node == other.node).map(|calls| (calls[0].node, calls.len())).collect();
    let words = |is_short| chain.iter().map(move |(node, times)| call_word(report, *node, *times, is_short));
    // N words have N - 1 arrows between them.
    let fits = |words: &[Word]| {
        let width = words.iter().map(|word| columns::width(&word.text) + ARROW_WIDTH).sum::<usize>();
        width <= room + ARROW_WIDTH
    };
    let gap = || Word { text: "…".to_owned(), origin: None };
    let mut shown: Vec<Word> = words(false).collect();
    if !fits(&shown) {
        shown = words(true).collect();
    }
    if !fits(&shown) && shown.len() > 2 {
        shown.splice(1..shown.len() - 1, [gap()]);
    }
    if !fits(&shown) && shown.len() > 1 {
        shown.splice(..shown.len() - 1, [gap()]);
    }
    if !fits(&shown)
        && let Some(last) = shown.last_mut()
    {
        let before = if chain.len() > 1 { 1 + ARROW_WIDTH } else { 0 };
        last.text = columns::shorten(&last.text, room.saturating_sub(before)).into_owned();
    }
    let painted = shown.iter().map(|word| match word.origin {
        Some(origin) => report.styles.style_function(origin, &word.text),
        None => report.styles.dim(&word.text),
    });
    painted.collect::<Vec<_>>().join(&report.styles.dim(ARROW))
}

/// Returns the name of a node, with the number of consecutive calls to itself if there are several.
fn call_word(report: &TerminalReport<'_>, node: OutlineNode, times: usize, is_short: bool) -> Word {
    let (name, origin) = match node {
        OutlineNode::Function(id) => {
            let name = if is_short { report.short_name(id) } else { report.full_name(id) };
            (name, Some(report.profile.function(id).origin))
        }
        OutlineNode::Group(at) => {
            let name = report.view.grouping().names().nth(at).unwrap_or_default();
            (name::clean_name(name).into_owned(), None)
        }
    };
    let text = if times > 1 { format!("{name} × {times}") } else { name };
    Word { text, origin }
}

/// Writes the hottest call paths. Each begins with its leaf, and the callers are below it.
pub fn write_paths(view: &View, paths: &[HotPath], layout: Layout, out: &mut dyn Write) -> io::Result<()> {
    let report = TerminalReport::new(view, layout);
    if report.top.total == 0 {
        return out.write_all(NO_SAMPLES.as_bytes());
    }
    let mut text = report.format_title("Hottest call paths", &report.totals_text());
    let cells: Vec<Vec<String>> = paths.iter().map(|path| report.weight_cells(path.weight)).collect();
    let widths = [0, 1].map(|at| columns::max_width(cells.iter().map(|cells| &cells[at])));
    for (path, cells) in paths.iter().zip(&cells) {
        let cells = format!(
            "{}{GAP}{}{GAP}",
            columns::align_right(&cells[0], widths[0]),
            columns::align_right(&cells[1], widths[1])
        );
        let indent = columns::width(&cells).min(report.columns / 4);
        let room = report.columns.saturating_sub(columns::width(&cells));
        let chain: Vec<(FunctionId, usize)> =
            path.functions.chunk_by(|one, other| one == other).map(|calls| (calls[0], calls.len())).rev().collect();
        let Some(((leaf, times), callers)) = chain.split_first() else { continue };
        let leaf = shortened_word(&report, *leaf, *times, room);
        let leaf = report.styles.style_function(leaf.origin.unwrap_or(Origin::Unknown), &leaf.text);
        text.extend([&cells, leaf.as_str(), "\n"]);
        let room = report.columns.saturating_sub(indent);
        let callers: Vec<String> = callers
            .iter()
            .map(|(id, times)| shortened_word(&report, *id, *times, room.saturating_sub(2)).text)
            .collect();
        for line in caller_lines(&callers, room) {
            text.extend([&" ".repeat(indent), report.styles.dim(&line).as_str(), "\n"]);
        }
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Returns the name of a function in at most `room` columns. A long name loses the directories of its package, then its
/// middle.
fn shortened_word(report: &TerminalReport<'_>, id: FunctionId, times: usize, room: usize) -> Word {
    let names = [false, true].map(|is_short| call_word(report, OutlineNode::Function(id), times, is_short));
    let [full, short] = names;
    if columns::width(&full.text) <= room {
        return full;
    }
    Word { text: columns::shorten(&short.text, room).into_owned(), ..short }
}

/// Breaks the callers of a path, the nearest first, into lines. If there are too many, the last line says how many are
/// missing.
fn caller_lines(callers: &[String], limit: usize) -> Vec<String> {
    let mut lines = fill_lines(callers.iter().map(|caller| format!("← {caller}")), limit);
    if lines.len() > MAX_CALLER_LINES {
        // Shows as many callers as have room in front of the note.
        let shown = (0..callers.len()).rev().find_map(|shown| {
            let words = callers[..shown].iter().map(|caller| format!("← {caller}"));
            let rest = format!("← … {} more", callers.len() - shown);
            Some(fill_lines(words.chain([rest]), limit)).filter(|lines| lines.len() <= MAX_CALLER_LINES)
        });
        lines = shown.unwrap_or_default();
    }
    lines
}

/// Joins words to lines of at most `limit` columns. A longer word has a line of its own.
fn fill_lines(words: impl Iterator<Item = String>, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if columns::width(line) + 1 + columns::width(&word) <= limit => line.extend([" ", &word]),
            _ => lines.push(word),
        }
    }
    lines
}
