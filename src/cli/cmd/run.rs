//! `goflame run`.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::Project;
use super::packages::PackageSearch;
use super::report::{format_measurements, format_tables, print_quality};
use crate::build::find_replaced_flag;
use crate::cli::args::RunArgs;
use crate::cli::browser::open_in_browser;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::cli::shared_args::{RecordingArgs, TableArgs};
use crate::config::{Config, Kind, Overrides};
use crate::doctor::{Finding, Status};
use crate::fsio;
use crate::pipeline::{self, RunOptions, RunOutcome, WorkloadResult};
use crate::process::quote_command;
use crate::profile::{FEW_SAMPLES, NO_KERNEL_TIME, format_number, format_samples};
use crate::render::{Format, sanitize};
use crate::workload::Ending;

pub(in crate::cli) fn run(
    project: &Project<'_>,
    args: &RunArgs,
    command: &[OsString],
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    if let Some(flag) = find_replaced_flag(&args.workload_args, &args.benchmarks.benchmark_choice()) {
        terminal.warn(&format!("`{flag}` after `--` is not used: the option of goflame before it replaces it"));
    }
    let search = PackageSearch { build: args.builder.options(), plan_only: args.plan_only };
    let selected =
        project.load_selected_packages(args.package.package.as_deref(), &overrides(args), search, terminal)?;
    if let [config] = &selected[..] {
        return Ok(run_package(config, args, command, terminal)?.into());
    }
    // Like `go test`, continues after a package that failed.
    let mut codes = Vec::new();
    for config in &selected {
        let code = run_package(config, args, command, terminal).unwrap_or_else(|failure| {
            failure.report(terminal);
            failure.code()
        });
        codes.push(code);
        // A signal that ended this run must also prevent the other runs.
        if code > exit::code_of_signal(0) {
            break;
        }
    }
    if args.plan_only {
        return Ok(ExitCode::SUCCESS);
    }
    let failed = codes.iter().filter(|code| **code != 0).count();
    let text = format!("{} of {} packages, {failed} failed", codes.len(), selected.len());
    terminal.report_step("Profiled", &format!("{text}; `goflame runs list` shows their runs"));
    Ok(codes.into_iter().find(|code| *code != 0).unwrap_or_default().into())
}

/// Runs one package, and returns the exit code.
fn run_package(config: &Config, args: &RunArgs, command: &[OsString], terminal: &Terminal) -> Result<u8, Failure> {
    if args.plan_only {
        return print_dry_run(config, args, terminal).map(|()| 0);
    }
    if args.json {
        terminal.divert_workload();
    } else {
        terminal.leave_stdout_to_workload();
    }
    let options = RunOptions {
        command: command.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        ignore_failure: args.ignore_failure,
        build: args.builder.options(),
    };
    let started = std::time::Instant::now();
    let outcome = pipeline::run(config, &options, terminal);
    terminal.remove_progress();
    let outcome = outcome?;
    let has_few_samples = outcome.reported.view.profile().total_count() < FEW_SAMPLES;
    let text = format_result(&outcome, args.json, &args.recording.tables, terminal)?;
    if config.app.kind == Kind::Bench && outcome.reported.benchmarks.is_empty() && !outcome.workload.failed {
        let pattern = config.workload.benchmarks.names.as_ref();
        let advice = pattern.map(|names| format!(": `{names}` must match a name such as BenchmarkSort"));
        terminal.warn(&format!("no benchmark gave a result{}", advice.unwrap_or_default()));
    }
    // A write error is reported last, because the run is archived anyway and its directory must still be printed.
    let printed = terminal.write_data(&text);
    if has_few_samples {
        terminal.warn(&explain_few_samples(&outcome));
        // The samples may be few because the CPU time was not seen.
        if let Some(unseen) = outcome.reported.quality.unseen_cpu_with_cause() {
            terminal.warn(&unseen);
        }
    } else {
        print_quality(&outcome.reported, printed_reason(&outcome.findings), terminal);
    }
    let has_benchmarks = !outcome.reported.benchmarks.is_empty();
    if (!has_few_samples || has_benchmarks) && pipeline::is_unoptimised(config) {
        let purpose = if has_benchmarks { "for times that count" } else { "to rank hot spots" };
        terminal.report_step("Note", &format!("debug builds (-N -l) cost CPU unevenly: use --release {purpose}"));
    }
    show_waits(&outcome, terminal);
    let dir = fsio::relative_to_cwd(&outcome.dir);
    terminal.report_step("Archived", &format!("{}{}", dir.display(), not_latest_note(&outcome)));
    terminal
        .report_step("Finished", &format!("{} in {:.1} s", outcome.files.join(", "), started.elapsed().as_secs_f64()));
    show_flame_graph(&outcome, args.recording.open, terminal);
    ignore_closed_pipe(printed)?;
    let workload = match outcome.workload.failed {
        // A server that goflame stopped after its window has not failed.
        _ if args.propagate_status && outcome.ending != Ending::Stopped => outcome.status.exit_code(),
        true => exit::WORKLOAD,
        false => 0,
    };
    Ok(match outcome.ending {
        Ending::Interrupted(signal) if workload == 0 => exit::code_of_signal(signal),
        _ => workload,
    })
}

/// The result for standard output: JSON or tables. With few samples, only the tables of measurements.
pub(super) fn format_result(
    outcome: &RunOutcome,
    json: bool,
    args: &TableArgs,
    terminal: &Terminal,
) -> Result<Vec<u8>, Failure> {
    let reported = &outcome.reported;
    let text = match reported.view.profile().total_count() {
        _ if json => return Ok(summary_json(outcome).into_bytes()),
        ..FEW_SAMPLES => format_measurements(reported, args, terminal, true),
        _ => format_tables(reported, args, terminal, true, terminal.has_data_links()),
    };
    text.map_err(Failure::Stdout)
}

/// Fails if standard output could not be written. A closed pipe does not change the status of a run.
pub(super) fn ignore_closed_pipe(printed: io::Result<()>) -> Result<(), Failure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Stdout(error)),
        _ => Ok(()),
    }
}

/// Returns the reason for a lower quality that a readiness check has printed already.
pub(super) fn printed_reason(findings: &[Finding]) -> Option<&'static str> {
    let is_printed = |finding: &Finding| finding.id == "perf-event-paranoid" && finding.status == Status::Warning;
    findings.iter().any(is_printed).then_some(NO_KERNEL_TIME)
}

/// Reports how long threads waited, and where they waited most, if waiting time was recorded.
pub(super) fn show_waits(outcome: &RunOutcome, terminal: &Terminal) {
    let Some(time) = &outcome.reported.off_cpu else { return };
    let waits = time.headline.as_ref().map_or_else(
        || "no thread waited".to_owned(),
        |headline| format!("{headline}; `goflame report {} --profile off-cpu` shows where", outcome.id),
    );
    terminal.report_step("Off-CPU", &waits);
    if time.from_last_samples {
        terminal
            .report_step("", "without the right to sample context switches, idle threads cannot be told from waits");
    }
    if time.lost > 0 {
        let lost = format_number(time.lost);
        terminal.warn(&format!("{lost} records of context switches were lost: waiting times may be wrong"));
    }
    if let Some(note) = time.bound_note() {
        terminal.warn(&note);
    }
}

/// Returns a note for a run that does not become `latest`, else an empty text.
pub(super) fn not_latest_note(outcome: &RunOutcome) -> &'static str {
    if outcome.workload.failed { "; `latest` is still the run before" } else { "" }
}

/// Prints the path of the flame graph as the last line of a run, and opens the flame graph if `open`.
pub(super) fn show_flame_graph(outcome: &RunOutcome, open: bool, terminal: &Terminal) {
    let flame_graph = outcome.files.iter().find(|file| *file == Format::Svg.file_name());
    let flame_graph = flame_graph.map(|file| outcome.dir.join(file));
    if let Some(flame_graph) = &flame_graph {
        terminal.report_written_file(flame_graph);
    }
    match flame_graph {
        Some(flame_graph) if open => open_in_browser(&flame_graph, "the flame graph", terminal),
        None if open => {
            terminal.warn("there is no flame graph to open: add `svg` to formats in [report], or to --format");
        }
        _ => {}
    }
}

/// Says why there are few samples: how little CPU time the workload used, and the reason on its standard error.
pub(super) fn explain_few_samples(outcome: &RunOutcome) -> String {
    let WorkloadResult { user_seconds, system_seconds, wall_seconds, .. } = &outcome.workload;
    let samples = format_samples(outcome.reported.view.profile().total_count());
    let text = format!(
        "{samples}: too few for tables; the workload used {:.3} s of CPU in {wall_seconds:.1} s",
        user_seconds + system_seconds
    );
    let log = outcome.dir.join("stderr.log");
    let clean = |line: &str| sanitize(anstream::adapter::strip_str(line).to_string().trim()).into_owned();
    match (flag_error(&log), fsio::last_lines(&log, 1).ok().and_then(|mut lines| lines.pop())) {
        (Some(line), _) => format!("{text}, and said on stderr: {}", clean(&line)),
        (None, Some(line)) => format!("{text}, and its last line on stderr was: {}", clean(&line)),
        (None, None) => text,
    }
}

/// The error of Go's package `flag`, which writes the usage of the program after this line.
fn flag_error(log: &Path) -> Option<String> {
    const ERRORS: [&str; 4] =
        ["flag provided but not defined: ", "flag needs an argument: ", "invalid value ", "invalid boolean value "];
    let line = fsio::first_line(log).ok().flatten()?;
    ERRORS.iter().any(|error| line.starts_with(error)).then_some(line)
}

fn overrides(args: &RunArgs) -> Overrides {
    Overrides {
        variant: args.variant.name(),
        docker: args.builder.in_docker(),
        mounts: args.builder.mount.clone(),
        args: (!args.workload_args.is_empty()).then(|| args.workload_args.clone()),
        benchmarks: args.benchmarks.benchmark_choice(),
        warmup: args.window.warmup,
        duration: args.window.duration,
        ..recording_overrides(&args.recording)
    }
}

/// Settings from the flags that every recording has.
pub(super) fn recording_overrides(args: &RecordingArgs) -> Overrides {
    Overrides {
        frequency: args.frequency,
        engine: args.engine,
        event: args.event,
        kernel: args.kernel,
        stack: args.stack,
        off_cpu: args.off_cpu.then_some(true),
        formats: args.format.clone(),
        title: args.title.clone(),
        ..Overrides::default()
    }
}

/// Prints the commands of the build and of the workload.
fn print_dry_run(config: &Config, args: &RunArgs, terminal: &Terminal) -> Result<(), Failure> {
    let (plan, build) = pipeline::plan_build(config, args.builder.options())?;
    let workload = crate::build::workload_argv(config, &plan.output);
    let line = quote_command(&config.secrets().mask_args(&workload));
    let dir = quote_command(&[&config.workload.dir]);
    super::print_plan(&format!("{build}\ncd {dir} && {line}\n"), terminal)
}

/// Output of `--json`: paths and results. `summary.json` in the run directory has the figures of the profile.
fn summary_json(outcome: &RunOutcome) -> String {
    let assessment = outcome.reported.quality.assess();
    let value = json!({
        "schema": 1,
        "id": outcome.id,
        "dir": outcome.dir,
        "files": outcome.files,
        "workload": outcome.workload,
        "benchmarks": outcome.reported.benchmarks,
        "quality": { "grade": assessment.grade, "reasons": assessment.reasons, "figures": outcome.reported.quality },
    });
    format!("{value:#}\n")
}
