//! Names as they may be shown: symbol tables may hold anything, terminals and XML may not.

use std::borrow::Cow;

/// What stands for a frame whose name is empty.
const UNKNOWN: &str = "[unknown]";

/// A name without characters that act instead of showing: control characters, among them the escape
/// that starts a terminal command; marks that turn the writing direction, so that text seems to say
/// what it does not; and U+FFFE and U+FFFF, which XML forbids. An empty name becomes `[unknown]`.
pub(super) fn clean(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    if name.is_empty() { Cow::Borrowed(UNKNOWN) } else { sanitize(name) }
}

/// One line of text without the characters that [`clean`] takes out of names.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| replacement(c).is_some()) {
        Cow::Owned(text.chars().map(|c| replacement(c).unwrap_or(c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn replacement(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
            Some(char::REPLACEMENT_CHARACTER)
        }
        _ if c.is_control() => Some(char::REPLACEMENT_CHARACTER),
        _ => None,
    }
}

/// A frame's name for folded stacks: a `;`, which Go's shape types hold, becomes `:` as in
/// stackcollapse-perf.pl.
pub(super) fn folded_frame(name: &str) -> String {
    clean(name).replace(';', ":")
}

/// A process's name for folded stacks: as a frame's, and without spaces, as in stackcollapse-perf.pl.
pub(super) fn folded_process(name: &str) -> String {
    folded_frame(name).replace(' ', "_")
}

/// The terminal columns that a text takes, at most: characters beyond the alphabets are counted as two
/// columns wide, which some are not, since text that is too narrow does less harm than text that wraps.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

fn char_columns(c: char) -> usize {
    match c {
        // General punctuation, arrows, mathematics, box drawing.
        '\u{2000}'..'\u{2e80}' => 1,
        '\u{1100}'.. => 2,
        _ => 1,
    }
}

/// A text in at most `limit` columns, with `…` for what was left out of its middle. Two thirds of what
/// is kept are the end: Go names begin with the path of a package and end with what they name.
pub(super) fn shorten(text: &str, limit: usize) -> Cow<'_, str> {
    if columns(text) <= limit {
        return Cow::Borrowed(text);
    }
    let Some(room) = limit.checked_sub(1) else { return Cow::Borrowed("") };
    let head = take_columns(text.chars(), room / 3);
    let tail = take_columns(text.chars().rev(), room - room / 3);
    let mut short: String = text.chars().take(head).collect();
    short.push('…');
    short.extend(text.chars().skip(text.chars().count() - tail));
    Cow::Owned(short)
}

/// How many of the characters fit into so many columns.
fn take_columns(chars: impl Iterator<Item = char>, limit: usize) -> usize {
    chars
        .scan(0, |used, c| {
            *used += char_columns(c);
            Some(*used)
        })
        .take_while(|used| *used <= limit)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_act_are_disarmed() {
        assert_eq!(clean("main.(*T).M"), "main.(*T).M");
        assert_eq!(clean("a\nb\tc"), "a b c");
        assert_eq!(clean("a\u{1b}[31mb\0"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(clean("a\u{202e}b\u{ffff}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(clean(" \n"), "[unknown]");
    }

    #[test]
    fn folded_names_hold_no_separator() {
        assert_eq!(
            folded_frame("main.F[go.shape.struct { a int; b string }]"),
            "main.F[go.shape.struct { a int: b string }]"
        );
        assert_eq!(folded_process("my worker;1"), "my_worker:1");
    }

    #[test]
    fn middle_is_left_out_and_the_end_is_kept() {
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
                assert!(columns(&short) <= limit, "{short} is wider than {limit}");
            }
        }
    }
}
