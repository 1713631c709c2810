//! The styles of the terminal report, or none.

use anstyle::{AnsiColor, Style};

use crate::profile::Origin;

/// Wraps text in ANSI styles, if they are wanted.
pub(super) struct Styles {
    enabled: bool,
}

impl Styles {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// Headings.
    pub(super) fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// What is read last.
    pub(super) fn dim(&self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    /// The name of a function: that of the main module stands out, in the hues of the flame graph.
    pub(super) fn function(&self, origin: Origin, text: &str) -> String {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        let style = match origin {
            Origin::Main => Style::new().bold(),
            Origin::Module => colour(AnsiColor::Yellow),
            Origin::Std => colour(AnsiColor::Blue),
            Origin::Runtime => colour(AnsiColor::Magenta),
            Origin::Native => colour(AnsiColor::Green),
            Origin::Kernel => colour(AnsiColor::Red),
            Origin::Unknown => Style::new().dimmed(),
        };
        self.paint(style, text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.enabled && !text.is_empty() {
            format!("{}{text}{}", style.render(), style.render_reset())
        } else {
            text.to_owned()
        }
    }
}
