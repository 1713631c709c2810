//! Tracks the state of the terminal after the workload's output. Before its next line, goflame may have to write a newline
//! or reset colours.

/// First byte of a control sequence.
const ESCAPE: u8 = 0x1b;

/// State of a terminal after the workload's output.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Whether the cursor is on a line that has not ended.
    open_line: bool,
    /// Whether colours or other attributes are switched on.
    styled: bool,
    /// Whether the workload has moved the cursor to other lines. It then draws on the whole screen.
    drawn: bool,
    sequence: Sequence,
}

/// Position in a control sequence (ECMA-48).
#[derive(Debug, Default)]
enum Sequence {
    #[default]
    Outside,
    /// After the escape.
    Escape,
    /// In the parameters of a sequence that `ESC [` begins. Holds the parameters.
    Parameters(Vec<u8>),
    /// In a text for the terminal, such as a hyperlink or a title. The value tells whether the last byte was an escape.
    Text(bool),
}

impl Screen {
    /// Updates the state after output of the workload. A control sequence can be split between two calls.
    pub(super) fn track_output(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sequence = self.next(*byte);
        }
    }

    fn next(&mut self, byte: u8) -> Sequence {
        match (std::mem::take(&mut self.sequence), byte) {
            (Sequence::Outside, ESCAPE) => return Sequence::Escape,
            (Sequence::Outside, b'\n') => self.open_line = false,
            (Sequence::Escape, b'[') => return Sequence::Parameters(Vec::new()),
            (Sequence::Escape, b']' | b'P' | b'_' | b'^' | b'X') => return Sequence::Text(false),
            (Sequence::Escape, _) => self.drawn = true,
            (Sequence::Parameters(parameters), 0x40..=0x7e) => self.apply_control_sequence(&parameters, byte),
            (Sequence::Parameters(mut parameters), _) => {
                // A longer sequence is not a control sequence.
                if parameters.len() < 64 {
                    parameters.push(byte);
                    return Sequence::Parameters(parameters);
                }
            }
            // The bell and the return to the start of a line leave the line as it is. A text ends with a bell or a `ESC \`.
            (Sequence::Outside, 0x07 | b'\r') | (Sequence::Text(_), 0x07) | (Sequence::Text(true), b'\\') => {}
            (Sequence::Outside, _) => self.open_line = true,
            (Sequence::Text(_), _) => return Sequence::Text(byte == ESCAPE),
        }
        Sequence::Outside
    }

    /// Updates the state after a control sequence with these parameters and this last byte.
    fn apply_control_sequence(&mut self, parameters: &[u8], last: u8) {
        match last {
            b'm' => self.styled = is_styled(parameters, self.styled),
            // These sequences move the cursor within the line.
            b'C' | b'D' | b'G' => self.open_line = true,
            // These sequences switch to the alternate screen.
            b'h' if [&b"?1049"[..], b"?1047", b"?47"].contains(&parameters) => self.drawn = true,
            // These sequences erase a part of the line, set modes such as the visibility of the cursor, or ask the
            // terminal.
            b'K' | b'h' | b'l' | b'n' | b'c' | b'q' | b'u' | b't' => {}
            _ => self.drawn = true,
        }
    }

    /// Whether goflame's progress line has a line for itself.
    pub(super) fn has_room(&self) -> bool {
        !(self.open_line || self.styled || self.drawn)
    }

    /// Returns the bytes that put the cursor on a new line without colours, as far as they are needed. Colours exist on a
    /// terminal only.
    pub(super) fn end_line(&mut self, is_terminal: bool) -> &'static [u8] {
        let styled = std::mem::take(&mut self.styled) && is_terminal;
        let open_line = std::mem::take(&mut self.open_line);
        match (styled, open_line) {
            (true, true) => b"\x1b[0m\n",
            (true, false) => b"\x1b[0m",
            (false, true) => b"\n",
            (false, false) => b"",
        }
    }
}

/// Whether attributes are switched on after a sequence with these parameters (SGR). `styled` is the state before the
/// sequence.
fn is_styled(parameters: &[u8], mut styled: bool) -> bool {
    for parameter in parameters.split(|byte| *byte == b';') {
        match parameter {
            b"" | b"0" => styled = false,
            // After these parameters, the numbers of a colour follow.
            b"38" | b"48" | b"58" => return true,
            // These parameters switch one attribute off.
            b"22" | b"23" | b"24" | b"25" | b"27" | b"28" | b"29" | b"39" | b"49" | b"59" => {}
            _ => styled = true,
        }
    }
    styled
}

#[cfg(test)]
mod tests {
    use super::Screen;

    fn screen_after(output: &str) -> Screen {
        let mut screen = Screen::default();
        // Sequences are recognised across writes.
        output.as_bytes().iter().for_each(|byte| screen.track_output(&[*byte]));
        screen
    }

    #[test]
    fn the_progress_line_waits_for_a_new_line_without_colours() {
        for output in [
            "",
            "a\n",
            "\x1b[31ma\x1b[0m\n",
            "\x1b[31ma\n\x1b[m",
            "\x1b[1;31ma\x1b[0;22m\n",
            "\r50 %\r\x1b[K100 %\n",
            "a\n\x1b[?25h",
        ] {
            assert!(screen_after(output).has_room(), "{output:?}");
        }
        for output in [
            "a",
            "\r50 %",
            "a\n\x1b[1;31m",
            "\x1b[38;5;0ma\n",
            "a\n\x1b[3C",
            "\x1b[31m\x1b[0mb",
            "a\n\x1b]0;title\x07b",
        ] {
            assert!(!screen_after(output).has_room(), "{output:?}");
        }
        assert!(screen_after("\x1b]8;;http://a\x1b\\").has_room(), "a hyperlink takes no room");
    }

    #[test]
    fn the_progress_line_leaves_the_screen_to_a_workload_that_draws_on_it() {
        for output in ["a\nb\n\x1b[2Ac\nd\n", "\x1b[?1049h\n", "\x1b[H\x1b[2J\n", "\x1b7\n", "a\n\x1bM\n"] {
            assert!(!screen_after(output).has_room(), "{output:?}");
        }
    }

    #[test]
    fn a_message_begins_on_a_new_line_without_colours() {
        assert_eq!(screen_after("a\n").end_line(true), b"");
        assert_eq!(screen_after("a").end_line(true), b"\n");
        assert_eq!(screen_after("\x1b[31ma").end_line(true), b"\x1b[0m\n");
        assert_eq!(screen_after("\x1b[31ma").end_line(false), b"\n");
        let mut screen = screen_after("\x1b[31ma");
        screen.end_line(true);
        assert!(screen.has_room());
    }
}
