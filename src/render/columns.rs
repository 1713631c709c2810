//! Text in the columns of a terminal. A width is a number of terminal columns: `世` has two, a combining accent none.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Space between two columns of a table.
pub const GAP: &str = "  ";

/// Returns the width of a text in terminal columns. A control character counts as one column.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// Returns the spaces that fill a text up to the width of a column.
pub fn padding(text: &str, column: usize) -> String {
    " ".repeat(column.saturating_sub(width(text)))
}

/// Aligns a text at the left of a column of this width.
pub fn align_left(text: &str, column: usize) -> String {
    format!("{text}{}", padding(text, column))
}

/// Aligns a text at the right of a column of this width.
pub fn align_right(text: &str, column: usize) -> String {
    format!("{}{text}", padding(text, column))
}

/// Returns the width of the widest text.
pub fn max_width<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> usize {
    texts.into_iter().map(|text| width(text.as_ref())).max().unwrap_or(0)
}

/// Formats a table with one line for each row and all columns aligned at the left. `min_widths` are the minimum widths of the
/// columns.
pub fn table<const N: usize>(rows: &[[String; N]], min_widths: [usize; N]) -> String {
    // The last column needs no width: no spaces follow it.
    let mut widths = [0; N];
    for (at, column) in widths.iter_mut().enumerate().take(N.saturating_sub(1)) {
        *column = max_width(rows.iter().map(|row| &row[at])).max(min_widths[at]);
    }
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, column)| align_left(cell, column)).collect();
        format!("{}\n", cells.join(GAP).trim_end())
    };
    rows.iter().map(line).collect()
}

/// Indentation of the second and later lines of a table row.
pub const INDENT: &str = "      ";

/// Formats a table whose rows can be wider than `limit`. All rows are broken into lines before the same cells, so that the
/// columns stay aligned. A column without texts takes no room. Returns the lines of each row.
pub fn wrapped_table<const N: usize>(rows: &[[String; N]], limit: usize) -> Vec<String> {
    let widest_cell = limit.saturating_sub(INDENT.len()).max(1);
    let widths: [usize; N] =
        std::array::from_fn(|column| max_width(rows.iter().map(|row| &row[column])).min(widest_cell));
    let (mut starts, mut used) = (vec![0], 0);
    for (column, width) in widths.into_iter().enumerate().filter(|(_, width)| *width > 0) {
        let gap = if used == 0 { 0 } else { GAP.len() };
        if used > 0 && used + gap + width > limit {
            starts.push(column);
            used = INDENT.len() + width;
        } else {
            used += gap + width;
        }
    }
    let line = |row: &[String; N], cells: std::ops::Range<usize>| {
        let indent = if cells.start == 0 { "" } else { INDENT };
        let texts = cells
            .filter(|column| widths[*column] > 0)
            .map(|column| align_left(&shorten(&row[column], widths[column]), widths[column]));
        let text = texts.collect::<Vec<_>>().join(GAP);
        let text = text.trim_end();
        if text.is_empty() { String::new() } else { format!("{indent}{text}\n") }
    };
    let ends = || starts.iter().skip(1).copied().chain([N]);
    rows.iter()
        .map(|row| starts.iter().copied().zip(ends()).map(|(start, end)| line(row, start..end)).collect())
        .collect()
}

/// Breaks a text at spaces into lines of at most `limit` columns. A word that is longer than a line is cut.
pub fn wrap(text: &str, limit: usize) -> Vec<String> {
    // A wide character fits into any line.
    let limit = limit.max(2);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for mut word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > limit {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        while width(word) > limit {
            let fitting = count_fitting(word.chars(), limit);
            let cut = word.char_indices().nth(fitting).map_or(word.len(), |(at, _)| at);
            let (head, rest) = word.split_at(cut);
            lines.push(head.to_owned());
            word = rest;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Shortens a text to at most `limit` columns. `…` replaces the middle. Two thirds of the remaining columns are for the end:
/// Go names begin with a package path and end with the name of the function.
pub fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if width(text) <= limit {
        return Cow::Borrowed(text);
    }
    let Some(room) = limit.checked_sub(1) else { return Cow::Borrowed("") };
    let head = count_fitting(text.chars(), room / 3);
    let tail = count_fitting(text.chars().rev(), room - room / 3);
    let mut short: String = text.chars().take(head).collect();
    short.push('…');
    short.extend(text.chars().skip(text.chars().count() - tail));
    Cow::Owned(short)
}

/// Returns the number of leading characters that fit into `limit` columns.
fn count_fitting(chars: impl Iterator<Item = char>, limit: usize) -> usize {
    chars
        .scan(0, |used, c| {
            *used += char_width(c);
            Some(*used)
        })
        .take_while(|used| *used <= limit)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_names_keep_both_ends() {
        let name = "github.com/acme/very/long/path.(*Server).Handle";
        assert_eq!(shorten(name, 47), name);
        assert_eq!(shorten(name, 30), "github.co…ath.(*Server).Handle");
        assert_eq!(shorten(name, 1), "…");
        assert_eq!(shorten(name, 0), "");
    }

    #[test]
    fn shortened_text_never_exceeds_its_limit() {
        for name in ["main.世界世界世界世界", "plain.name.of.a.function", "é́é́é́é́é́é́é́é́"] {
            for limit in 0..30 {
                let short = shorten(name, limit);
                assert!(width(&short) <= limit, "{short} is wider than {limit}");
            }
        }
    }

    #[test]
    fn columns_fit_the_widest_text() {
        let row = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
        let rows = [row("a", "1"), row("世界", "2"), row("e\u{301}", "3")];
        assert_eq!(table(&rows, [0, 0]), "a     1\n世界  2\ne\u{301}     3\n");
        assert_eq!(table(&rows[..1], [3, 0]), "a    1\n");
        assert_eq!((align_left("世", 3), align_right("世", 3)), ("世 ".to_owned(), " 世".to_owned()));
        assert_eq!(align_right("wider", 3), "wider");
    }

    #[test]
    fn wide_rows_continue_on_lines_that_match_the_lines_of_the_heading() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        let rows = [row(["A", "B", "C", "D"]), row(["aaaa", "bbbb", "", ""]), row(["a", "b", "cccc", "dddd"])];
        assert_eq!(
            wrapped_table(&rows, 16),
            ["A     B     C\n      D\n", "aaaa  bbbb\n", "a     b     cccc\n      dddd\n"]
        );
        assert_eq!(wrapped_table(&rows, 22)[2], "a     b     cccc  dddd\n");
        assert_eq!(wrapped_table(&[row(["a", "", "b", ""])], 22), ["a  b\n"]);
        for limit in 0..30 {
            for line in wrapped_table(&rows, limit).iter().flat_map(|row| row.lines()) {
                assert!(width(line) <= limit.max(INDENT.len() + 1), "{limit}: {line:?}");
            }
        }
    }

    #[test]
    fn texts_are_wrapped_at_spaces_and_long_words_are_cut() {
        assert_eq!(wrap("one two three four five", 16), ["one two three", "four five"]);
        assert_eq!(wrap("a 0123456789abcdef0123 b", 16), ["a", "0123456789abcdef", "0123 b"]);
        assert_eq!(wrap("世界世界 世界", 5), ["世界", "世界", "世界"]);
        assert_eq!(wrap("世", 0), ["世"]);
        assert_eq!(wrap("", 16), [""]);
    }
}
