//! A profile as Markdown, for a comment on a pull request: the facts of the run, the quality, the lines of the user's code,
//! the hottest functions and the hottest call path.
//!
//! Names are written as code, so Markdown and HTML in names have no effect. The text is shorter than GitHub's limit of 65,536
//! characters.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::amount::{AmountFormat, sample_count};
use super::document::Document;
use super::{columns, name};
use crate::profile::{Assessment, FunctionId, Profile, format_number, format_share};
use crate::views::Top;

/// Maximum width of a text in columns. Longer texts are shortened in the middle.
const MAX_TEXT_WIDTH: usize = 160;

/// Maximum length of the text in bytes. It is below GitHub's limit, so that other text has room around it.
const MAX_BYTES: usize = 60_000;

const MAX_TABLE_ROWS: usize = 20;

/// Maximum number of items in each list: facts, reasons, notes.
const MAX_LIST_ITEMS: usize = 20;

/// Number of calls that a long call path keeps at its root and at its leaf. The middle is cut.
const PATH_END_LENGTHS: [usize; 2] = [8, 16];

/// Writes the profile.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut page = MarkdownPage::default();
    let Assessment { grade, reasons } = document.quality.assess();
    page.write_line(&format!("### {}", code(document.title)));
    page.write_line("");
    page.write_line(&escape(&document.subtitle()));
    let facts = document.facts.iter().map(|(name, value)| format!("{}: {}", escape(name), code(value)));
    page.write_list("", facts);
    page.write_list(&format!("Quality {grade}:"), reasons.iter().map(|reason| code(reason)));
    page.write_list("Notes:", document.notes.iter().map(|note| code(note)));
    let figures = MarkdownFigures::new(document);
    if figures.top.total == 0 {
        page.write_line("\nNo samples.");
    } else {
        write_user_code_lines(&figures, document, &mut page);
        write_functions(&figures, &mut page);
        write_path(&figures, &mut page);
    }
    out.write_all(page.text.as_bytes())?;
    out.flush()
}

/// Formats the weights of a profile.
struct MarkdownFigures<'a> {
    profile: &'a Profile,
    top: &'a Top,
    amounts: AmountFormat,
    samples: Option<u64>,
}

impl<'a> MarkdownFigures<'a> {
    fn new(document: &Document<'a>) -> Self {
        let (profile, top) = (document.view.profile(), document.view.top());
        let samples = sample_count(profile);
        let amounts = AmountFormat::new(profile.event.unit, top.total, samples.map(|count| top.total / count.max(1)));
        Self { profile, top, amounts, samples }
    }

    /// Returns two cells: a weight and its share.
    fn weight_cells(&self, weight: u64) -> String {
        let share = format_share(weight, self.top.total, self.samples);
        format!("{} | {}", escape(&self.amounts.format(weight)), escape(&share))
    }

    fn function_code(&self, id: FunctionId) -> String {
        code(self.profile.str(self.profile.function(id).display))
    }
}

fn write_user_code_lines(figures: &MarkdownFigures<'_>, document: &Document<'_>, page: &mut MarkdownPage) {
    let lines = document.view.user_code_lines();
    if lines.is_empty() {
        return;
    }
    page.write_line("\n**In your code** (the last line of yours in each stack, and what it calls)\n");
    page.write_line("| | | line | function |");
    page.write_line("| ---: | ---: | --- | --- |");
    for line in lines.iter().take(MAX_TABLE_ROWS) {
        let place = name::format_place(figures.profile.str(figures.profile.function(line.function).file), line.line);
        let callee = line.callee.map(|callee| format!(" → {}", figures.function_code(callee))).unwrap_or_default();
        let function = figures.function_code(line.function);
        page.write_line(&format!("| {} | {} | {function}{callee} |", figures.weight_cells(line.weight), code(&place)));
    }
    page.write_omitted_count(lines.len(), "line");
}

fn write_functions(figures: &MarkdownFigures<'_>, page: &mut MarkdownPage) {
    page.write_line("\n**Hottest functions**\n");
    page.write_line("| self | | cumulative | | function |");
    page.write_line("| ---: | ---: | ---: | ---: | --- |");
    let functions = &figures.top.functions;
    for row in functions.iter().take(MAX_TABLE_ROWS) {
        let (own, cumulative) = (figures.weight_cells(row.self_weight), figures.weight_cells(row.cumulative_weight));
        page.write_line(&format!("| {own} | {cumulative} | {} |", figures.function_code(row.function)));
    }
    page.write_omitted_count(functions.len(), "function");
}

fn write_path(figures: &MarkdownFigures<'_>, page: &mut MarkdownPage) {
    let path = &figures.top.path;
    if path.is_empty() {
        return;
    }
    page.write_line("\n**Hottest call path**\n");
    page.write_line("| cumulative | | calls |");
    page.write_line("| ---: | ---: | --- |");
    let [head, tail] = PATH_END_LENGTHS;
    let cut = head..path.len().saturating_sub(tail).max(head);
    for (at, step) in path.iter().enumerate() {
        if at == cut.start && cut.len() > 1 {
            page.write_line(&format!("| | | … {} more calls … |", cut.len()));
        }
        if cut.len() < 2 || !cut.contains(&at) {
            page.write_line(&format!(
                "| {} | {} |",
                figures.weight_cells(step.weight),
                figures.function_code(step.function)
            ));
        }
    }
}

/// A text of at most [`MAX_BYTES`], which ends at the end of a line.
#[derive(Default)]
struct MarkdownPage {
    text: String,
    is_full: bool,
}

impl MarkdownPage {
    fn write_line(&mut self, line: &str) {
        self.is_full |= self.text.len() + line.len() > MAX_BYTES;
        if !self.is_full {
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{line}");
        }
    }

    fn write_list(&mut self, title: &str, items: impl ExactSizeIterator<Item = String>) {
        let hidden = items.len().saturating_sub(MAX_LIST_ITEMS);
        if items.len() > 0 {
            self.write_line(&if title.is_empty() { String::new() } else { format!("\n{title}\n") });
        }
        for item in items.take(MAX_LIST_ITEMS) {
            self.write_line(&format!("- {item}"));
        }
        if hidden > 0 {
            self.write_line(&format!("- … and {hidden} more"));
        }
    }

    /// Writes how many rows a table leaves out.
    fn write_omitted_count(&mut self, rows: usize, noun: &str) {
        let others = rows.saturating_sub(MAX_TABLE_ROWS);
        if others > 0 {
            let plural = if others == 1 { "" } else { "s" };
            self.write_line(&format!("\n{} other {noun}{plural}", format_number(others as u64)));
        }
    }
}

/// Returns a text as code, so that Markdown and HTML in it have no effect. `|` is escaped: it ends a table cell even in code.
pub(super) fn code(text: &str) -> String {
    let text = columns::shorten(text, MAX_TEXT_WIDTH);
    let mut code = String::from("`");
    for char in name::clean_name(&text).chars() {
        match char {
            '`' => code.push('\''),
            '|' => {
                // Two backslashes would be an escaped backslash, and the bar would end the cell.
                code.truncate(code.trim_end_matches('\\').len());
                code.push_str("\\|");
            }
            _ => code.push(char),
        }
    }
    code.push('`');
    code
}

/// Escapes the characters of a text that Markdown or HTML would interpret.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for char in name::sanitize(text).chars() {
        if char.is_ascii_punctuation() && !matches!(char, '.' | ',' | ';' | ':' | '%' | '+' | '-' | '/') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{code, escape};

    #[test]
    fn hostile_names_stay_in_their_table_cell() {
        assert_eq!(code("a|b"), r"`a\|b`");
        assert_eq!(code(r"a\\|b\"), r"`a\|b\`");
        assert_eq!(code("`</code><script>"), "`'</code><script>`");
        assert_eq!(code("a\nb\u{202e}"), "`a b\u{fffd}`");
        assert_eq!(code(""), "`[unknown]`");
        assert_eq!(escape("<b> *x*"), r"\<b\> \*x\*");
    }
}
