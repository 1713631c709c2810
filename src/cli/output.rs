//! Terminal output: messages in Cargo's style on standard error, data on standard output.

mod events;
mod message;
mod screen;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Effects, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::stdio::{stderr, stdout};

pub(super) use events::{format_megabytes, format_run_counts};

use super::args::{Color, Global};
use super::pager;
use crate::doctor::{Finding, Fix, Status};
use crate::fsio;
use crate::redact::Secrets;
use crate::render::sanitize;
use message::break_lines;
use screen::Screen;

const VERB_STYLE: Style = AnsiColor::Green.on_default().effects(Effects::BOLD);
const NOTE_STYLE: Style = AnsiColor::Cyan.on_default().effects(Effects::BOLD);
const WARNING_STYLE: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
const ERROR_STYLE: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// Width of the verb column, as in Cargo.
const VERB_COLUMNS: usize = 12;

/// Width of `cause: ` and `help: ` below an error.
const CAUSE_COLUMNS: usize = 9;

/// Number of columns if the width of the terminal is unknown.
const DEFAULT_COLUMNS: usize = 100;

/// Returns the URL of a file: `file://HOST/PATH`. The host tells the terminal whether the file is on another machine.
pub(super) fn file_url(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut url = format!("file://{host}");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(url, "%{byte:02X}")),
        }
    }
    url
}

/// Terminal of the user.
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
    color: Color,
    bar: ProgressBar,
    workload_stdout_to_stderr: AtomicBool,
    data_to_stderr: AtomicBool,
    /// The first error from writing the workload's standard output.
    stdout_error: Mutex<Option<io::Error>>,
    /// Whether standard output and standard error are both terminals, which then share one cursor.
    one_screen: bool,
    stdout_screen: Mutex<Screen>,
    stderr_screen: Mutex<Screen>,
    /// Whether the workload is being stopped.
    stopping: AtomicBool,
    /// Secrets to mask in all messages.
    secrets: OnceLock<Secrets>,
}

impl Terminal {
    pub(super) fn new(global: &Global) -> Self {
        match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
        .write_global();
        // indicatif draws nothing if standard error is not a terminal.
        let target = if global.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let mut bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12.cyan.bold} {wide_msg}") {
            bar = bar.with_style(style);
        }
        // Hides the bar until the first tick.
        bar.finish_and_clear();
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            color: global.color,
            bar,
            workload_stdout_to_stderr: false.into(),
            data_to_stderr: false.into(),
            stdout_error: Mutex::default(),
            one_screen: io::stdout().is_terminal() && io::stderr().is_terminal(),
            stdout_screen: Mutex::default(),
            stderr_screen: Mutex::default(),
            stopping: false.into(),
            secrets: OnceLock::new(),
        }
    }

    /// Sets the secrets to mask from now on: the secrets that the settings define, and the default secrets.
    pub(super) fn hide_secrets(&self, secrets: Secrets) {
        // The error (already set) cannot occur, because settings are loaded once.
        let _ = self.secrets.set(secrets);
    }

    fn mask_secrets(&self, text: &str) -> String {
        self.secrets.get().unwrap_or(&Secrets::default()).mask_text(text)
    }

    /// Makes a text from any source safe for a terminal and masks its secrets.
    fn make_safe(&self, text: &str) -> String {
        sanitize(&self.mask_secrets(text)).into_owned()
    }

    /// Sends the workload's standard output to standard error: standard output is for goflame's own data.
    pub(super) fn divert_workload(&self) {
        self.workload_stdout_to_stderr.store(true, Relaxed);
    }

    /// Leaves standard output to the workload, unless it is a terminal: sends goflame's own data to standard error.
    pub(super) fn leave_stdout_to_workload(&self) {
        self.data_to_stderr.store(!io::stdout().is_terminal(), Relaxed);
    }

    /// Whether `--verbose` was given.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether output on standard error is coloured.
    pub(super) fn is_colored(&self) -> bool {
        self.is_stream_colored(&io::stderr())
    }

    pub(super) fn is_data_colored(&self) -> bool {
        if self.data_to_stderr.load(Relaxed) {
            self.is_stream_colored(&io::stderr())
        } else {
            self.is_stream_colored(&io::stdout())
        }
    }

    fn is_stream_colored(&self, stream: &impl anstream::stream::RawStream) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(stream) != ColorChoice::Never,
        }
    }

    /// Width of data in columns: the known width, else a default.
    pub(super) fn columns(&self) -> usize {
        self.known_columns().unwrap_or(DEFAULT_COLUMNS)
    }

    /// Width of data in columns: `COLUMNS`, else the width of the terminal that shows it. `None` for a pipe or a file.
    pub(super) fn known_columns(&self) -> Option<usize> {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let shown_on = if self.data_to_stderr.load(Relaxed) { stderr() } else { stdout() };
        columns.or_else(|| terminal_width(shown_on)).filter(|columns| *columns > 0)
    }

    /// Writes data: see [`Terminal::write_data_with`].
    pub(super) fn write_data(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_data_with(|out| out.write_all(bytes))
    }

    /// Writes data of any length to standard output.
    ///
    /// If standard output is left to the workload, writes to standard error instead. In this case, also returns an
    /// earlier error from writing the workload's output.
    pub(super) fn write_data_with(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        if self.data_to_stderr.load(Relaxed) {
            self.write_message(|mut stderr| write(&mut stderr));
            return lock(&self.stdout_error).take().map_or(Ok(()), Err);
        }
        let mut screen = lock(self.screen(false));
        self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(screen.end_line(self.one_screen))?;
            write(&mut stdout)?;
            stdout.flush()
        })
    }

    /// Writes a text to standard output: with the pager if `paged` and the text is longer than the terminal. The
    /// argument of `text` tells whether hyperlinks are allowed; some pagers do not know them.
    pub(super) fn write_paged(&self, text: impl Fn(bool) -> io::Result<Vec<u8>>, paged: bool) -> io::Result<()> {
        let whole = text(self.has_data_links())?;
        let lines = whole.split(|byte| *byte == b'\n').count();
        let is_long = io::stdout().is_terminal() && terminal_height(stdout()).is_some_and(|height| lines > height);
        if paged && is_long && pager::show_in_pager(&text(false)?) {
            return Ok(());
        }
        self.write_data(&whole)
    }

    /// State of the terminal that shows a stream. A writer locks the state first and the progress bar second.
    fn screen(&self, stderr: bool) -> &Mutex<Screen> {
        if stderr || self.one_screen { &self.stderr_screen } else { &self.stdout_screen }
    }

    /// Writes a message to standard error, starting on a new line.
    fn write_message(&self, write: impl FnOnce(anstream::Stderr) -> io::Result<()>) {
        let mut screen = lock(self.screen(true));
        self.bar.suspend(|| {
            let mut stderr = anstream::stderr();
            let end = screen.end_line(io::stderr().is_terminal());
            // Errors are ignored: they would have to be reported on standard error, which is the stream that failed.
            let _ = stderr.write_all(end).and_then(|()| write(stderr));
        });
    }

    /// Writes a message with a verb to standard error.
    fn write_line(&self, style: Style, verb: &str, text: &str) {
        let text = fit_lines(&self.make_safe(text), VERB_COLUMNS + 1);
        self.write_message(|mut stderr| writeln!(stderr, "{style}{verb:>VERB_COLUMNS$}{style:#} {text}"));
    }

    /// Writes a command with a verb to standard error: on one line, so that it can be copied.
    fn write_command(&self, style: Style, verb: &str, command: &str) {
        let command = self.make_safe(command);
        self.write_message(|mut stderr| writeln!(stderr, "{style}{verb:>VERB_COLUMNS$}{style:#} {command}"));
    }

    /// Reports that something is done. `verb` follows Cargo's style: `Built`, `Wrote`.
    pub(super) fn report_step(&self, verb: &str, text: &str) {
        if !self.quiet {
            self.write_line(VERB_STYLE, verb, text);
        }
    }

    /// Reports that a command starts.
    fn report_start(&self, verb: &str, command: &str) {
        if !self.quiet {
            self.write_command(VERB_STYLE, verb, command);
        }
    }

    /// Reports that a file was written. Its path is a hyperlink where the terminal has them.
    pub(super) fn report_written_file(&self, path: &Path) {
        if self.quiet {
            return;
        }
        let shown = fsio::relative_to_cwd(path).display().to_string();
        let text = self.make_safe(&shown);
        // A link must not contain a secret that the text masks.
        let has_links = io::stderr().is_terminal() && self.is_colored() && may_get_hyperlinks();
        let url = (text == shown && has_links).then(|| file_url(path));
        self.write_message(|mut stderr| {
            write!(stderr, "{VERB_STYLE}{:>VERB_COLUMNS$}{VERB_STYLE:#} ", "Wrote")?;
            match url {
                Some(url) => writeln!(stderr, "\u{1b}]8;;{url}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\"),
                None => writeln!(stderr, "{text}"),
            }
        });
    }

    /// Whether data can contain hyperlinks. `--color never` and `NO_COLOR` ask for plain text.
    pub(super) fn has_data_links(&self) -> bool {
        io::stdout().is_terminal() && self.is_data_colored() && may_get_hyperlinks()
    }

    /// Reports a useful fact that is not a problem. Only with `--verbose`.
    fn report_fact(&self, text: &str) {
        if self.verbose {
            self.write_line(NOTE_STYLE, "Note", text);
        }
    }

    /// Reports a problem.
    pub(super) fn warn(&self, text: &str) {
        self.write_line(WARNING_STYLE, "Warning", text);
    }

    /// Writes a finished text to standard error. Only secrets are masked.
    pub(super) fn write_raw(&self, text: &str) {
        self.write_message(|mut stderr| writeln!(stderr, "{}", self.mask_secrets(text)));
    }

    /// Writes an error with its causes and advice.
    pub(super) fn write_error(&self, message: &str, causes: &[String], hints: &[String]) {
        self.write_message(|mut stderr| {
            writeln!(
                stderr,
                "{ERROR_STYLE}error{ERROR_STYLE:#}: {}",
                fit_lines(&self.make_safe(message), "error: ".len())
            )?;
            for cause in causes {
                // Messages of other programs may have several lines.
                let cause: Vec<_> = cause.lines().map(|line| fit_lines(&self.make_safe(line), CAUSE_COLUMNS)).collect();
                let cause = cause.join(&format!("\n{:CAUSE_COLUMNS$}", ""));
                writeln!(stderr, "  {ERROR_STYLE}cause{ERROR_STYLE:#}: {cause}")?;
            }
            for hint in hints {
                writeln!(
                    stderr,
                    "   {NOTE_STYLE}help{NOTE_STYLE:#}: {}",
                    fit_lines(&self.make_safe(hint), CAUSE_COLUMNS)
                )?;
            }
            Ok(())
        });
    }

    /// Asks on standard error and reads the answer from standard input. `None` if standard input is not a terminal.
    pub(super) fn confirm(&self, question: &str) -> Option<bool> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        self.write_message(|mut stderr| {
            write!(stderr, "{NOTE_STYLE}{:>VERB_COLUMNS$}{NOTE_STYLE:#} {question} [y/N] ", "Question")?;
            stderr.flush()
        });
        let mut answer = String::new();
        let read = stdin.read_line(&mut answer);
        Some(read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Writes the checks that prevent a run: the failures. If there are none, the warnings that count as failures.
    pub(super) fn report_not_ready(&self, findings: &[Finding]) {
        let failed = findings.iter().any(|finding| finding.status == Status::Failure);
        for finding in findings.iter().filter(|finding| finding.is_bad()) {
            let message = format!("not ready: {}: {}", finding.id, finding.found);
            if failed && finding.status == Status::Warning {
                self.warn(&message);
                continue;
            }
            let causes = [format!("needed is {}; {}", finding.needed, finding.why)];
            let repair: Vec<_> = finding.fix.iter().map(describe_repair).collect();
            self.write_error(&message, &causes, &repair);
        }
    }

    /// Shows the first of these texts that fits into the progress line, or the beginning of the last one.
    fn show_progress(&self, verb: &'static str, texts: &[String]) {
        // While output is being written, which may block, the progress line must not block its caller.
        let Ok(screen) = self.screen(true).try_lock() else { return };
        if !screen.has_room() {
            return;
        }
        let room = terminal_width(stderr()).unwrap_or(DEFAULT_COLUMNS).saturating_sub(VERB_COLUMNS + 1);
        let text = texts.iter().find(|text| text.chars().count() <= room).or(texts.last());
        self.bar.set_prefix(verb);
        self.bar.set_message(text.cloned().unwrap_or_default());
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.tick();
    }

    pub(super) fn remove_progress(&self) {
        self.bar.finish_and_clear();
    }
}

/// Breaks a message at the width of the terminal that shows standard error. Leaves it on one line for files and pipes.
fn fit_lines(message: &str, indent: usize) -> String {
    terminal_width(stderr()).map_or_else(|| message.to_owned(), |columns| break_lines(message, indent, columns))
}

/// Whether hyperlinks (OSC 8) may be written to the terminal. Terminals without hyperlinks ignore the sequence, but `dumb`
/// and `linux` may show it.
fn may_get_hyperlinks() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term != "dumb" && term != "linux")
}

/// Height in lines of a terminal. `None` for anything else.
fn terminal_height(terminal: BorrowedFd<'_>) -> Option<usize> {
    rustix::termios::tcgetwinsize(terminal).ok().map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0)
}

/// Width in columns of a terminal. `None` for anything else.
fn terminal_width(terminal: BorrowedFd<'_>) -> Option<usize> {
    rustix::termios::tcgetwinsize(terminal).ok().map(|size| usize::from(size.ws_col))
}

/// Locks a value that stays valid if a thread panics.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names the command of a repair, and where to run it.
fn describe_repair(fix: &Fix) -> String {
    let place = if fix.on_host { " on the host" } else { "" };
    format!("run{place} `{}`", fix.command_now())
}
