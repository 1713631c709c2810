//! The lines of a text.

use std::borrow::Cow;

/// Returns the lines with their numbers from 1, without line ends. Bytes that are not UTF-8 are replaced.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    (1..).zip(lines.map(String::from_utf8_lossy))
}

/// Returns the first whole lines of a text that are neither empty nor comments. `None` if one of these lines has
/// control characters, because the file is not a text then.
pub(super) fn first_lines(beginning: &[u8]) -> Option<Vec<Cow<'_, str>>> {
    /// Number of lines from which the kind of a text is detected.
    const MAX_DETECTION_LINES: usize = 10;
    // The last line can be cut off.
    let whole = match beginning.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if beginning.len() >= super::DETECTED_BYTES => beginning.get(..end)?,
        _ => beginning,
    };
    let with_content = lines(whole).map(|(_, line)| line).filter(|line| !line.trim().is_empty() && !is_comment(line));
    let first: Vec<_> = with_content.take(MAX_DETECTION_LINES).collect();
    let is_text = |line: &Cow<'_, str>| !line.chars().any(|c| c.is_control() && c != '\t');
    first.iter().all(is_text).then_some(first)
}

/// Whether a line is a comment, such as the lines of `perf script --header`. `# 5` is not a comment, but a process `#` with
/// the weight 5.
pub(super) fn is_comment(line: &str) -> bool {
    line == "#" || line.strip_prefix("# ").is_some_and(|text| text.parse::<u64>().is_err())
}
