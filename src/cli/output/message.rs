//! Breaks messages into the lines of a terminal.

use crate::render::columns::width;

/// Minimum number of columns for the text of a message. A narrower terminal breaks the lines itself.
const MIN_TEXT_COLUMNS: usize = 20;

/// Breaks a message into lines of at most `columns`, where `indent` columns of each line hold something else. Does not cut
/// words and texts in backticks, because people copy paths and commands.
pub(super) fn break_lines(text: &str, indent: usize, columns: usize) -> String {
    let room = columns.saturating_sub(indent);
    if room < MIN_TEXT_COLUMNS {
        return text.to_owned();
    }
    let mut in_backticks = false;
    let words = text.split_inclusive(|letter| {
        in_backticks ^= letter == '`';
        letter == ' ' && !in_backticks
    });
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in words {
        if !line.is_empty() && width(&line) + width(word.trim_end()) > room {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::break_lines;

    #[test]
    fn lines_break_at_blanks_but_not_in_commands() {
        assert_eq!(break_lines("one two three four five six", 4, 24), "one two three four\n    five six");
        let command = "run `goflame doctor --fix --persist` now";
        assert_eq!(break_lines(command, 0, 20), "run\n`goflame doctor --fix --persist`\nnow");
        let path = ".goflame/runs/20261130-205153-cli-5807 is new";
        assert_eq!(break_lines(path, 0, 20), ".goflame/runs/20261130-205153-cli-5807\nis new");
        assert_eq!(break_lines("an odd ` is kept", 0, 20), "an odd ` is kept");
        assert_eq!(break_lines(command, 13, 30), command);
        assert_eq!(break_lines("", 0, 20), "");
    }
}
