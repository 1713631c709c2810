//! Makes names safe to show. Symbol tables can contain characters that terminals would execute and that XML forbids.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replacement for an empty name.
const UNKNOWN_NAME: &str = "[unknown]";

/// Trims and [sanitizes](sanitize) a name. An empty name becomes `[unknown]`.
pub(super) fn clean_name(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    if name.is_empty() { Cow::Borrowed(UNKNOWN_NAME) } else { sanitize(name) }
}

/// Makes a text one line without unsafe characters. Unsafe are control characters, such as the escape that starts a terminal
/// command. Unsafe are also marks that change the writing direction, because they make a text look like another text. U+FFFE
/// and U+FFFF are unsafe because XML forbids them.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| replacement(c).is_some()) {
        Cow::Owned(text.chars().map(|c| replacement(c).unwrap_or(c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns a text as the content of an element of HTML or SVG.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Escapes the unsafe characters of a JSON text. The text keeps its meaning, and terminals and editors show the escapes.
pub(super) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && replacement(c).is_some() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Returns the replacement of an unsafe character. `None` for a safe one.
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

/// Returns the last two elements of a source file's path, and the line if it is known: `shop/cart.go:14`.
pub(super) fn format_place(file: &str, line: u32) -> String {
    let start = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    let file = clean_name(file.get(start..).unwrap_or(file));
    if line == 0 { file.into_owned() } else { format!("{file}:{line}") }
}

/// Returns the name of a frame in folded stacks: as in stackcollapse-perf.pl, `;` becomes `:`. Names with Go's shape types
/// contain `;`.
pub(super) fn folded_frame_name(name: &str) -> String {
    clean_name(name).replace(';', ":")
}

/// Returns the name of a process in folded stacks: as in stackcollapse-perf.pl, `;` becomes `:` and a space becomes `_`.
pub(super) fn folded_process_name(name: &str) -> String {
    folded_frame_name(name).replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_of_names_are_replaced() {
        assert_eq!(clean_name("main.(*T).M"), "main.(*T).M");
        assert_eq!(clean_name("a\nb\tc"), "a b c");
        assert_eq!(clean_name("a\u{1b}[31mb\0"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(clean_name("a\u{202e}b\u{ffff}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(clean_name(" \n"), "[unknown]");
    }

    #[test]
    fn unsafe_characters_of_json_are_escaped() {
        let text = serde_json::to_string_pretty(&["a\u{9b}31m\u{202e}\u{1b}", "ä\n"]).unwrap_or_default();
        let escaped = escape_json(&text);
        assert_eq!(escaped, "[\n  \"a\\u009b31m\\u202e\\u001b\",\n  \"ä\\n\"\n]");
        assert_eq!(serde_json::from_str::<[String; 2]>(&escaped).ok(), serde_json::from_str(&text).ok());
    }

    #[test]
    fn folded_names_contain_no_separator() {
        assert_eq!(
            folded_frame_name("main.F[go.shape.struct { a int; b string }]"),
            "main.F[go.shape.struct { a int: b string }]"
        );
        assert_eq!(folded_process_name("my worker;1"), "my_worker:1");
    }
}
