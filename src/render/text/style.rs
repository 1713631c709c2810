//! ANSI styles of the terminal report.

use anstyle::{AnsiColor, Style};

use crate::profile::Origin;
use crate::views::ChangeVerdict;

/// Wraps text in ANSI styles if enabled.
pub(in crate::render) struct Styles {
    enabled: bool,
}

impl Styles {
    pub(in crate::render) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// Styles a heading.
    pub(in crate::render) fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// Styles less important text.
    pub(in crate::render) fn dim(&self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    /// Styles a function name by its origin. The main module is bold, the others have the hues of the flame graph.
    pub(in crate::render) fn style_function(&self, origin: Origin, text: &str) -> String {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        let style = match origin {
            Origin::Main => Style::new().bold(),
            Origin::Module => colour(AnsiColor::Yellow),
            Origin::Std => colour(AnsiColor::Blue),
            Origin::Runtime => colour(AnsiColor::Magenta),
            Origin::Native => colour(AnsiColor::Green),
            Origin::Vdso => colour(AnsiColor::Cyan),
            Origin::Kernel => colour(AnsiColor::Red),
            Origin::Unknown => Style::new().dimmed(),
        };
        self.paint(style, text)
    }

    /// Styles a function by the verdict on its change, with the hues of the flame graph of differences.
    pub(in crate::render) fn style_verdict(&self, verdict: ChangeVerdict, text: &str) -> String {
        let colour = match verdict {
            ChangeVerdict::Grew => AnsiColor::Red,
            ChangeVerdict::Shrank | ChangeVerdict::Gone => AnsiColor::Blue,
            ChangeVerdict::New => AnsiColor::Yellow,
            ChangeVerdict::Unclear => return text.to_owned(),
        };
        self.paint(Style::new().fg_color(Some(colour.into())), text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.enabled && !text.is_empty() {
            format!("{}{text}{}", style.render(), style.render_reset())
        } else {
            text.to_owned()
        }
    }
}
