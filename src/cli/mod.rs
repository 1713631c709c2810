//! Command line: flags, output, error messages and exit codes. Must hold no stage logic, and no other module may import
//! it.

mod args;
mod benchmark_args;
mod browser;
mod cmd;
mod exit;
mod explore_args;
mod failure;
mod filter;
mod output;
mod pager;
mod record_args;
mod runs_args;
mod shared_args;
mod svg_args;
mod window_args;

use std::ffi::OsString;
use std::io::Write;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::thread;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::config::nearest;
use crate::fsio;
use crate::pipeline;
use crate::process::{
    GUARD, KEEP, guard_commands, is_setuid_or_setgid, leave_signals_to_others, report_file_size_limit, run_guard,
    run_keeper,
};
use crate::workload::{EXEC_GATE, SUPERVISE, run_exec_gate, run_supervisor};
use args::{Cli, CliCommand, Global};
use failure::Failure;
use output::Terminal;

/// Stack size in bytes for every command: the usual limit (`ulimit -s`). The main thread can have less.
const STACK_BYTES: usize = 8 << 20;

/// Runs the command line of this process and returns its exit status.
pub fn main() -> ExitCode {
    // This check comes before the helpers, because they run any program that their arguments name.
    if is_setuid_or_setgid() {
        return Failure::Setuid.report(&Terminal::new(&Global::default()));
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    // goflame's own helper processes do not parse the normal command line.
    let helper: Option<fn(&[OsString]) -> ExitCode> = match args.get(1).and_then(|command| command.to_str()) {
        Some(SUPERVISE) => Some(run_supervisor),
        Some(EXEC_GATE) => Some(run_exec_gate),
        Some(GUARD) => Some(run_guard),
        Some(KEEP) => Some(run_keeper),
        _ => None,
    };
    if let Some(helper) = helper {
        // Sets the name because the process may have been started as /proc/self/exe.
        let _ = rustix::thread::set_name(c"goflame");
        return helper(args.get(2..).unwrap_or_default());
    }
    guard_commands();
    // Helpers run on the main thread, because perf events that are opened on a process follow its main thread into the
    // program that it executes.
    match thread::Builder::new().stack_size(STACK_BYTES).spawn(move || run_command_line(&args)) {
        Ok(thread) => {
            leave_signals_to_others();
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        }
        Err(error) => Failure::Thread(error).report(&Terminal::new(&Global::default())),
    }
}

fn run_command_line(args: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return print_usage(&suggest_command(error)),
    };
    fsio::exit_on_cut_short_file(exit::INPUT);
    report_file_size_limit();
    let terminal = Terminal::new(&cli.global);
    match dispatch(cli, args, &terminal) {
        Ok(status) => status,
        Err(failure) => failure.report(&terminal),
    }
}

/// Replaces clap's suggestion for a mistyped command by the nearest command: `run` for `rnu`, where clap suggests `runs`.
fn suggest_command(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) {
        let command = Cli::command();
        let names = command.get_subcommands().map(clap::Command::get_name);
        if let Some(near) = nearest(typed, names).map(str::to_owned) {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![near]));
        }
    }
    error
}

/// Prints the error in the command line, or the help or version that the user requested.
fn print_usage(error: &clap::Error) -> ExitCode {
    if let Some(usage) = UsageError::from_clap(error) {
        Terminal::new(&Global::default()).write_error(&usage.message, &[], &usage.hints);
        return exit::USAGE.into();
    }
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        _ if error.use_stderr() => exit::USAGE.into(),
        Ok(()) => ExitCode::SUCCESS,
        // Help and version are data, so they go to standard output.
        Err(error) => Failure::Stdout(error).report(&Terminal::new(&Global::default())),
    }
}

/// An error in the command line, in the form of goflame's other errors.
struct UsageError {
    message: String,
    hints: Vec<String>,
}

impl UsageError {
    /// Splits clap's text. `None` if the text is the help that clap prints for a missing command.
    ///
    /// The first line is the error, and indented lines below it are its values. Tips, the usage and a reference to the help
    /// follow.
    fn from_clap(error: &clap::Error) -> Option<Self> {
        let text = error.render().to_string();
        let mut lines = text.strip_prefix("error: ")?.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = replace_quotes_by_backticks(lines.next()?);
        let (mut values, mut hints) = (Vec::new(), Vec::new());
        match (error.kind(), error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue)) {
            (ErrorKind::UnknownArgument, Some(ContextValue::String(typed)), _)
                if text.contains("goflame record ") && !typed.starts_with('-') =>
            {
                hints.push(format!("a command comes after `--`: `goflame record -- {typed}`"));
            }
            (ErrorKind::UnknownArgument, Some(ContextValue::String(typed)), _)
                if ["-o", "--output"].contains(&&**typed)
                    && ["goflame run ", "goflame record "].iter().any(|command| text.contains(command)) =>
            {
                hints.push(
                    "`goflame report -o x.svg` writes the newest run to a file, in the format of its name".to_owned(),
                );
            }
            (ErrorKind::ValueValidation, Some(ContextValue::String(flag)), Some(ContextValue::String(name)))
                if flag.starts_with("--pid") && name.starts_with(char::is_alphabetic) =>
            {
                hints.push(format!("`--name {name}` samples the running program with this name"));
            }
            _ => {}
        }
        for line in lines {
            if let Some(tip) = line.strip_prefix("tip: ") {
                hints.push(replace_quotes_by_backticks(tip));
            } else if let Some(usage) = line.strip_prefix("Usage: ") {
                hints.push(format!("the usage is `{usage}`"));
            } else if let Some(values) = line.strip_prefix('[').and_then(|values| values.strip_suffix(']')) {
                hints.push(values.to_owned());
            } else if line.starts_with("For more information") {
                hints.push("`--help` explains all flags and arguments".to_owned());
            } else if let Some(reason) = line.strip_prefix("error: ") {
                // An error in a regular expression shows the expression again, and then the reason.
                values = vec![reason];
            } else {
                values.push(line);
            }
        }
        let message = [&[first.as_str()], values.as_slice()].concat().join(" ");
        // Replaces a phrase of Rust's integer parser.
        Some(Self { message: message.replace("invalid digit found in string", "expected a whole number"), hints })
    }
}

/// Replaces clap's single quotes by the backticks of goflame's messages, unless the user's text adds an unpaired quote.
fn replace_quotes_by_backticks(text: &str) -> String {
    if text.matches('\'').count().is_multiple_of(2) { text.replace('\'', "`") } else { text.to_owned() }
}

fn dispatch(cli: Cli, args: &[OsString], terminal: &Terminal) -> Result<ExitCode, Failure> {
    let Cli { global, command } = cli;
    let here = std::path::Path::new(".");
    let dir = global.directory.as_deref().unwrap_or(here);
    if !dir.is_dir() {
        return Err(Failure::Directory(dir.to_owned()));
    }
    pipeline::switch_to_calling_user()?;
    let project = cmd::Project { dir, config: global.config.as_deref() };
    match command {
        CliCommand::Init(init) => cmd::init(&project, &init, terminal),
        CliCommand::Doctor(doctor) => cmd::doctor(&project, &doctor, terminal),
        CliCommand::Build(build) => cmd::build(&project, &build, terminal),
        CliCommand::Run(run) => cmd::run(&project, &run, args, terminal),
        CliCommand::Record(record) => cmd::record(&project, &record, args, terminal),
        CliCommand::Report(report) => cmd::report(&project, &report, terminal),
        CliCommand::Diff(diff) => cmd::diff(&project, &diff, terminal),
        CliCommand::Toolchain(toolchain) => cmd::toolchain(&project, &toolchain, terminal),
        CliCommand::Runs(runs) => cmd::runs(&project, &runs, terminal),
        CliCommand::Completions { shell } => cmd::completions(shell, terminal),
        CliCommand::Man { dir } => cmd::man(&project.resolve_path(dir)),
    }
}
