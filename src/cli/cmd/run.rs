//! `goflame run`.

use std::ffi::OsString;
use std::process::ExitCode;

use serde_json::json;

use super::Project;
use super::report::{tables, verdict};
use crate::cli::args::RunArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::{Config, Overrides};
use crate::fsio;
use crate::pipeline::{self, RunOptions, RunOutcome};
use crate::process::quote_command;
use crate::render::Format;
use crate::workload::Ending;

pub(in crate::cli) fn run(
    project: &Project<'_>,
    args: &RunArgs,
    command: &[OsString],
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let config = project.settings(&overrides(args))?;
    terminal.hide(config.secrets());
    if args.plan_only {
        return dry_run(&config, args, terminal);
    }
    if args.json {
        terminal.divert_workload();
    }
    let options = RunOptions {
        command: command.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        build: args.builder.options(),
    };
    let started = std::time::Instant::now();
    let outcome = pipeline::run(&config, &options, terminal);
    terminal.finish();
    let outcome = outcome?;
    let text = if args.json {
        summary(&outcome).into_bytes()
    } else {
        tables(&outcome.reported, terminal, true).map_err(Failure::Stdout)?
    };
    // A write error is reported last: the run is archived in any case, and its directory is still to be printed.
    let printed = terminal.data(&text);
    verdict(&outcome.reported, terminal);
    if pipeline::is_unoptimised(&config) {
        terminal.step("Note", "debug builds (-N -l) cost CPU unevenly: use --release to rank hot spots");
    }
    let dir = fsio::shown(&outcome.dir);
    terminal.step("Archived", &dir.display().to_string());
    let flame_graph = Format::Svg.file_name();
    if outcome.files.iter().any(|file| file == flame_graph) {
        terminal.step("Wrote", &dir.join(flame_graph).display().to_string());
    }
    terminal.step("Finished", &format!("{} in {:.1} s", outcome.files.join(", "), started.elapsed().as_secs_f64()));
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(Failure::Stdout(error)),
        _ => {}
    }
    let workload = if args.propagate_status { outcome.status.exit_code() } else { 0 };
    Ok(match outcome.ending {
        Ending::Interrupted(signal) if workload == 0 => exit::ended_by(signal),
        _ => workload,
    }
    .into())
}

fn overrides(args: &RunArgs) -> Overrides {
    Overrides {
        variant: args.variant.name(),
        docker: args.builder.in_docker(),
        mounts: args.builder.mount.clone(),
        frequency: args.frequency,
        engine: args.engine,
        event: args.event,
        kernel: args.kernel,
        stack: args.stack,
        args: (!args.workload_args.is_empty()).then(|| args.workload_args.clone()),
        formats: args.format.clone(),
        title: args.title.clone(),
        ..Overrides::default()
    }
}

/// Prints the commands of the build and of the workload.
fn dry_run(config: &Config, args: &RunArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let (plan, build) = pipeline::plan(config, args.builder.options())?;
    let workload = crate::build::workload_argv(config, &plan.output);
    let line = quote_command(&config.secrets().args(&workload));
    let dir = quote_command(&[&config.workload.dir]);
    super::print_plan(&format!("{build}\ncd {dir} && {line}\n"), terminal)?;
    Ok(ExitCode::SUCCESS)
}

/// Output of `--json`: paths and results. `summary.json` in the run directory has the figures of the profile.
fn summary(outcome: &RunOutcome) -> String {
    let assessment = outcome.reported.quality.assess();
    let value = json!({
        "schema": 1,
        "id": outcome.id,
        "dir": outcome.dir,
        "files": outcome.files,
        "workload": outcome.workload,
        "quality": { "grade": assessment.grade, "reasons": assessment.reasons, "figures": outcome.reported.quality },
    });
    format!("{value:#}\n")
}
