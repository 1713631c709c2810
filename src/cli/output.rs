//! Everything that reaches the terminal: Cargo's look for people on standard error, data on standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstream::ColorChoice;
use anstyle::{AnsiColor, Effects, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{Color, Global};
use crate::doctor::{Finding, Status};
use crate::pipeline::Observer;
use crate::record::{OutputStream, Progress};

const VERB: Style = AnsiColor::Green.on_default().effects(Effects::BOLD);
const NOTE: Style = AnsiColor::Cyan.on_default().effects(Effects::BOLD);
const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// Width of the column of verbs, as in Cargo.
const VERB_WIDTH: usize = 12;

/// Columns when nobody says how wide the terminal is.
const DEFAULT_COLUMNS: usize = 100;

/// Where people read.
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
    color: Color,
    bar: ProgressBar,
    workload_stdout_to_stderr: std::sync::atomic::AtomicBool,
}

impl Terminal {
    pub(super) fn new(global: &Global) -> Self {
        match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
        .write_global();
        let bar = if global.quiet {
            ProgressBar::hidden()
        } else {
            // Draws nothing by itself when standard error is no terminal.
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
        };
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12.cyan.bold} {msg} {spinner}") {
            bar.set_style(style);
        }
        bar.set_prefix("Profiling");
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            color: global.color,
            bar,
            workload_stdout_to_stderr: false.into(),
        }
    }

    /// Standard output belongs to goflame's own data: the workload's goes to standard error.
    pub(super) fn divert_workload(&self) {
        self.workload_stdout_to_stderr.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether standard error gets colour.
    pub(super) fn color(&self) -> bool {
        self.colored(&io::stderr())
    }

    /// Whether standard output gets colour.
    pub(super) fn data_color(&self) -> bool {
        self.colored(&io::stdout())
    }

    fn colored(&self, stream: &impl anstream::stream::RawStream) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(stream) != ColorChoice::Never,
        }
    }

    /// Width of the terminal behind standard output, else a default.
    pub(super) fn columns() -> usize {
        let width = |fd: std::os::fd::BorrowedFd<'_>| {
            rustix::termios::tcgetwinsize(fd).ok().map(|size| usize::from(size.ws_col))
        };
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let stdout = io::stdout();
        columns
            .or_else(|| stdout.is_terminal().then(|| width(std::os::fd::AsFd::as_fd(&stdout))).flatten())
            .filter(|columns| *columns > 0)
            .unwrap_or(DEFAULT_COLUMNS)
    }

    /// Data, for standard output.
    pub(super) fn data(&self, bytes: &[u8]) -> io::Result<()> {
        self.bar.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        })
    }

    /// A line for people.
    fn line(&self, style: Style, verb: &str, text: &str) {
        // Standard error is where problems would be told; when it is closed, there is nobody to tell.
        self.bar.suspend(|| {
            let _ = writeln!(anstream::stderr(), "{style}{verb:>VERB_WIDTH$}{style:#} {text}");
        });
    }

    /// A finished text for people, as it is.
    pub(super) fn raw(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(anstream::stderr(), "{text}");
        });
    }

    /// An error with its causes and what to do about it.
    pub(super) fn error(&self, message: &str, causes: &[String], hints: &[String]) {
        self.bar.suspend(|| {
            let mut stderr = anstream::stderr();
            let _ = writeln!(stderr, "{ERROR}error{ERROR:#}: {message}");
            for cause in causes {
                let _ = writeln!(stderr, "  {ERROR}cause{ERROR:#}: {cause}");
            }
            for hint in hints {
                let _ = writeln!(stderr, "   {NOTE}help{NOTE:#}: {hint}");
            }
        });
    }

    /// The checks that stand in the way.
    pub(super) fn not_ready(&self, findings: &[Finding]) {
        let bad = findings.iter().filter(|finding| matches!(finding.status, Status::Failure | Status::Warning));
        for finding in bad {
            let message = format!("not ready: {}: {}", finding.id, finding.found);
            let fix = finding.fix.as_ref().map(|fix| format!("run `{}`", fix.now));
            let causes = [format!("needed is {}; {}", finding.needed, finding.why)];
            if finding.status == Status::Failure {
                self.error(&message, &causes, &fix.into_iter().collect::<Vec<_>>());
            } else {
                self.warn(&message);
            }
        }
    }

    /// The workload is done: no progress any more.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Terminal {
    fn output(&self, stream: OutputStream, bytes: &[u8]) {
        let to_stderr =
            stream == OutputStream::Stderr || self.workload_stdout_to_stderr.load(std::sync::atomic::Ordering::Relaxed);
        // What the program says is kept in its log as well, so a closed pipe here loses nothing.
        self.bar.suspend(|| {
            let _ = if to_stderr {
                io::stderr().write_all(bytes)
            } else {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            };
        });
    }

    fn tick(&self, elapsed: Duration, samples: Option<u64>) {
        let samples = samples.map_or_else(String::new, |samples| format!(", {samples} samples"));
        self.bar.set_message(format!("{:.1} s{samples}", elapsed.as_secs_f64()));
        self.bar.tick();
    }

    fn note(&self, text: &str) {
        self.line(WARNING, "Stopping", text);
    }
}

impl Observer for Terminal {
    fn step(&self, verb: &str, text: &str) {
        if verb == "Profiled" {
            self.finish();
        }
        if !self.quiet {
            self.line(VERB, verb, text);
        }
    }

    fn remark(&self, text: &str) {
        if self.verbose {
            self.line(NOTE, "Note", text);
        }
    }

    fn warn(&self, text: &str) {
        self.line(WARNING, "Warning", text);
    }
}
