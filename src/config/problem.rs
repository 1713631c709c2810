//! Problems in a text: their positions, and how they are drawn.
//!
//! Must not know what the keys mean.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Maximum number of problems that are drawn. A file that is not TOML at all would have thousands.
const MAX_DRAWN_PROBLEMS: usize = 20;

/// One problem in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The problem, as a complete sentence.
    pub message: String,
    /// The position: a range of bytes in the text.
    pub span: Range<usize>,
    /// The message drawn below the marked position.
    pub label: String,
    /// Advice.
    pub help: Option<String>,
}

/// All problems of one file, in the order of the text. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    text: String,
    pub(super) list: Vec<Problem>,
}

impl Problems {
    /// Sorts the problems of a text. `None` if there are none. `path` is shown unchanged.
    pub(super) fn new(path: &Path, text: &str, mut list: Vec<Problem>) -> Option<Self> {
        list.sort_by_key(|problem| (problem.span.start, problem.span.end));
        (!list.is_empty()).then(|| Self { path: path.to_owned(), text: text.to_owned(), list })
    }

    /// Draws the text with its problems in the style of rustc, without a newline at the end.
    pub(super) fn render(&self, color: bool) -> String {
        let renderer = renderer(color);
        let path = self.path.display().to_string();
        let mut out = String::new();
        for problem in self.list.iter().take(MAX_DRAWN_PROBLEMS) {
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(&renderer.render(&[self.draw_problem(problem, &path)]));
        }
        let left = self.list.len().saturating_sub(MAX_DRAWN_PROBLEMS);
        if left > 0 {
            let title = format!("{left} more {} in {path}", if left == 1 { "problem" } else { "problems" });
            out.push_str("\n\n");
            out.push_str(&renderer.render(&[Group::with_title(Level::ERROR.primary_title(title))]));
        }
        out
    }

    fn draw_problem<'a>(&'a self, problem: &'a Problem, path: &'a str) -> Group<'a> {
        let position = TextPosition::new(&self.text, problem.span.start);
        // A problem of several lines is shown at its first line: the rest of a long array explains nothing.
        let end = problem.span.end.saturating_sub(position.start).clamp(position.column, position.line.len());
        let end = char_start(position.line, end).max(position.column);
        let annotation = AnnotationKind::Primary.span(position.column..end).label(problem.label.as_str());
        let snippet = Snippet::source(position.line).line_start(position.line_number).path(path).annotation(annotation);
        let group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

impl fmt::Display for Problems {
    /// Writes one line: the first problem with its position, and the number of further problems.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(first) = self.list.first() {
            let position = TextPosition::new(&self.text, first.span.start);
            write!(f, ":{}:{}: {}", position.line_number, position.char_column(), first.message)?;
        }
        match self.list.len() {
            0 | 1 => Ok(()),
            2 => f.write_str(" (and 1 more problem)"),
            many => write!(f, " (and {} more problems)", many.saturating_sub(1)),
        }
    }
}

fn renderer(color: bool) -> Renderer {
    if color { Renderer::styled() } else { Renderer::plain() }
}

/// The position of a byte in a text.
pub(super) struct TextPosition<'a> {
    /// Line number, from 1.
    pub(super) line_number: usize,
    /// The line's text, without its line end and without a byte order mark.
    pub(super) line: &'a str,
    /// Byte of the text at which `line` starts.
    start: usize,
    /// Byte offset in `line`. If the byte is after the line, the length of the line.
    column: usize,
}

impl<'a> TextPosition<'a> {
    /// Returns the position of a byte. An offset beyond the end gives the end.
    pub(super) fn new(text: &'a str, offset: usize) -> Self {
        let offset = char_start(text, offset);
        let (before, after) = text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(text.len(), |newline| offset + newline);
        let line = text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mark = if start == 0 && line.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let line = line.get(mark..).unwrap_or_default();
        let start = start + mark;
        let number = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Self { line_number: number, line, start, column: offset.saturating_sub(start).min(line.len()) }
    }

    /// Column in characters, from 1.
    pub(super) fn char_column(&self) -> usize {
        self.line.get(..self.column).map_or(0, |before| before.chars().count()) + 1
    }
}

/// Returns the first byte of the character that contains byte `offset`. An offset beyond the end gives the end.
fn char_start(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1; // 0 is a boundary
    }
    offset
}

/// A list of names for a message: `a`, `b`, `c`.
pub(super) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for name in names {
        let comma = if out.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}`{name}`");
    }
    out
}
