//! Text in the columns of a terminal. A width is a number of terminal columns: `世` has two, a combining accent none.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Space between two columns of a table.
pub const GAP: &str = "  ";

/// Returns the width of a text. A control character counts as one.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// Returns the blanks that a text lacks to a width.
pub fn padding(text: &str, to: usize) -> String {
    " ".repeat(to.saturating_sub(width(text)))
}

/// Aligns a text at the left of a column.
pub fn left(text: &str, column: usize) -> String {
    format!("{text}{}", padding(text, column))
}

/// Aligns a text at the right of a column.
pub fn right(text: &str, column: usize) -> String {
    format!("{}{text}", padding(text, column))
}

/// Returns the width of a column with these texts.
pub fn widest<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> usize {
    texts.into_iter().map(|text| width(text.as_ref())).max().unwrap_or(0)
}

/// Lays out rows, one a line, with all columns aligned at the left. `least` holds the minimum width of each column.
pub fn table<const N: usize>(rows: &[[String; N]], least: [usize; N]) -> String {
    // The last column has no blanks after it.
    let mut widths = [0; N];
    for (at, column) in widths.iter_mut().enumerate().take(N.saturating_sub(1)) {
        *column = widest(rows.iter().map(|row| &row[at])).max(least[at]);
    }
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, column)| left(cell, column)).collect();
        format!("{}\n", cells.join(GAP).trim_end())
    };
    rows.iter().map(line).collect()
}

/// Breaks a text at blanks into lines of at most `limit`. A word that is longer than a line is cut.
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
        assert_eq!((left("世", 3), right("世", 3)), ("世 ".to_owned(), " 世".to_owned()));
        assert_eq!(right("wider", 3), "wider");
    }

    #[test]
    fn texts_are_wrapped_at_blanks_and_long_words_are_cut() {
        assert_eq!(wrap("one two three four five", 16), ["one two three", "four five"]);
        assert_eq!(wrap("a 0123456789abcdef0123 b", 16), ["a", "0123456789abcdef", "0123 b"]);
        assert_eq!(wrap("世界世界 世界", 5), ["世界", "世界", "世界"]);
        assert_eq!(wrap("世", 0), ["世"]);
        assert_eq!(wrap("", 16), [""]);
    }
}
