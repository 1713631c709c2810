//! `goflame record`.

use std::ffi::OsString;
use std::process::ExitCode;

use super::Project;
use super::report::print_quality;
use super::run::{
    explain_few_samples, format_result, ignore_closed_pipe, not_latest_note, printed_reason, recording_overrides,
    show_flame_graph, show_waits,
};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::cli::record_args::{RecordArgs, TargetArgs};
use crate::config::Overrides;
use crate::fsio;
use crate::pipeline::{self, Error, RecordTarget, RunOptions};
use crate::profile::FEW_SAMPLES;
use crate::record::kubernetes_hint;
use crate::workload::Ending;

pub(in crate::cli) fn record(
    project: &Project<'_>,
    args: &RecordArgs,
    command: &[OsString],
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let overrides = Overrides { archive_dir: args.archive_dir.clone(), ..recording_overrides(&args.recording) };
    let (config, _) = project.load_settings_or_defaults(&overrides)?;
    terminal.hide_secrets(config.secrets());
    if args.json {
        terminal.divert_workload();
    }
    let options = RunOptions {
        command: command.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        ..RunOptions::default()
    };
    let target = record_target(&args.target, project);
    if !args.json && matches!(target, RecordTarget::Command { .. }) {
        terminal.leave_stdout_to_workload();
    }
    let outcome = pipeline::record(&config, &target, args.duration, &options, terminal);
    terminal.remove_progress();
    if let (Err(Error::NotReady(_)), Some(hint)) = (&outcome, kubernetes_hint()) {
        terminal.warn(&hint);
    }
    let outcome = outcome?;
    let samples = outcome.reported.view.profile().total_count();
    let text = format_result(&outcome, args.json, &args.recording.tables, terminal)?;
    // A write error is reported last, because the run is archived anyway and its directory must still be printed.
    let printed = terminal.write_data(&text);
    if samples < FEW_SAMPLES {
        terminal.warn(&explain_few_samples(&outcome));
    } else {
        print_quality(&outcome.reported, printed_reason(&outcome.findings), terminal);
    }
    show_waits(&outcome, terminal);
    let dir = fsio::relative_to_cwd(&outcome.dir);
    terminal.report_step("Archived", &format!("{}{}", dir.display(), not_latest_note(&outcome)));
    show_flame_graph(&outcome, args.recording.open, terminal);
    ignore_closed_pipe(printed)?;
    Ok(match outcome.ending {
        // To a script, a recording without samples must not look like a success.
        _ if samples == 0 => exit::RECORD,
        _ if outcome.workload.failed => exit::WORKLOAD,
        Ending::Interrupted(signal) => exit::code_of_signal(signal),
        Ending::ByItself | Ending::TimedOut | Ending::StillRuns | Ending::Stopped => 0,
    }
    .into())
}

fn record_target(args: &TargetArgs, project: &Project<'_>) -> RecordTarget {
    match (&args.name, &args.container) {
        (Some(name), _) => RecordTarget::Name(name.clone()),
        (_, Some(container)) => RecordTarget::Container(container.clone()),
        _ if args.all_cpus => RecordTarget::WholeMachine,
        _ if !args.pid.is_empty() => RecordTarget::Pids(args.pid.clone()),
        _ => RecordTarget::Command { words: args.command.clone(), dir: project.dir.to_owned() },
    }
}
