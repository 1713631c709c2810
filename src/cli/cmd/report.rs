//! `goflame report`.

use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::Project;
use super::explore::ExploreView;
use crate::cli::args::ReportArgs;
use crate::cli::failure::Failure;
use crate::cli::output::{Terminal, file_url};
use crate::cli::shared_args::TableArgs;
use crate::config::Overrides;
use crate::endpoint::Endpoint;
use crate::pipeline::{self, ReportOptions, ReportSource, Reported, SourceReader, SourceScope};
use crate::profile::{Function, FunctionId, format_samples};
use crate::render::source::AnnotatedFunction;
use crate::render::text::Links;
use crate::render::{self, Format};

/// Argument that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// Maximum number of sample types or events that a message names besides the one shown.
const MAX_LISTED: usize = 20;

pub(in crate::cli) fn report(
    project: &Project<'_>,
    args: &ReportArgs,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let named = args.output.as_deref().and_then(Format::from_file_name);
    let format = match (args.format.or(args.explore.json.then_some(Format::Json)).or(named), &args.output) {
        // A view is text or JSON.
        (Some(format), Some(output)) if args.explore.has_view() && format != Format::Json => {
            return Err(Failure::NoSuchFormat { file: output.display().to_string() });
        }
        (format, _) => format,
    };
    if format.is_none() {
        refuse_other_formats(args.output.as_deref())?;
    }
    if let Some(flag) = args.svg.first_given_flag().filter(|_| format != Some(Format::Svg)) {
        return Err(Failure::OnlyForSvg { flag });
    }
    if let Some(format) = format.filter(|format| format.is_binary())
        && args.output.is_none()
        && io::stdout().is_terminal()
    {
        return Err(Failure::BinaryOnTerminal { file: format.file_name() });
    }
    let source = find_source(project, &args.source)?;
    let by = &args.by;
    let wanted = ReportOptions {
        title: args.title.as_deref(),
        drawing: args.svg.drawing(),
        sample_type: args.sample_type.as_deref(),
        event: args.event.as_deref(),
        profile: args.profile,
        filters: args.filter.filters()?,
        grouping: by.clone().unwrap_or_default(),
        keep_times: format.is_some_and(Format::has_times),
    };
    let mut reported = pipeline::report(&source, &wanted, terminal)?;
    print_selection(&reported, wanted.filters.time.as_ref(), terminal);
    for note in &reported.notes {
        terminal.warn(note);
    }
    if !wanted.filters.is_empty() && reported.view.profile().total_count() == 0 {
        terminal.warn("the filters leave no sample");
    }
    if format == Some(Format::Html) && !args.explore.no_source {
        reported.annotated = read_hot_source(project, &reported);
    }
    let read_source = |reported: &Reported, functions: &[FunctionId]| read_listed_source(project, reported, functions);
    let explored = ExploreView::new(&reported, &args.explore, args.tables.rows, format.is_some(), &read_source)?;
    // Streams the output, because the stacks as text can be many times larger than the recording.
    let write_format = |format: Format, out: &mut dyn Write| match &explored {
        Some(explored) => explored.write_json(&reported.view, out),
        None => reported.write(format, out),
    };
    let for_terminal = args.output.is_none();
    let text = |links: bool| {
        let layout = table_layout(&args.tables, terminal, for_terminal);
        let mut bytes = Vec::new();
        if let Some(explored) = &explored {
            explored.write_text(&reported.view, layout, &mut bytes)?;
            return Ok(bytes);
        }
        if by.is_some() {
            render::text::write_groups(&reported.view, layout, &mut bytes)?;
        }
        bytes.append(&mut format_tables(&reported, &args.tables, terminal, for_terminal, links)?);
        Ok(bytes)
    };
    match (&args.output, format) {
        (Some(output), format) => {
            let write = |out: &mut dyn Write| match format {
                Some(format) => write_format(format, out),
                None => out.write_all(&text(false)?),
            };
            crate::fsio::replace_with(&project.resolve_path(output), write).map_err(Failure::File)?;
            terminal.report_step("Wrote", &output.display().to_string());
        }
        (None, Some(format)) => terminal.write_data_with(|out| write_format(format, out)).map_err(Failure::Stdout)?,
        (None, None) => terminal.write_paged(text, !args.explore.no_pager).map_err(Failure::Stdout)?,
    }
    if let Some(note) = explored.as_ref().and_then(ExploreView::hidden_functions_note) {
        terminal.report_step("Note", &note);
    }
    print_quality(&reported, None, terminal);
    // Skips the destructor: the process ends soon, and its memory is then freed at once.
    std::mem::forget(reported);
    Ok(ExitCode::SUCCESS)
}

/// Returns the source of hot functions for the page. Empty if the settings turn it off or cannot be read.
fn read_hot_source(project: &Project<'_>, reported: &Reported) -> Vec<AnnotatedFunction> {
    match project.load_settings_or_defaults(&Overrides::default()) {
        Ok((config, _)) if config.report.source => {
            let (view, secrets) = (&reported.view, config.secrets());
            SourceReader::new(view.profile(), &reported.built, project.dir, SourceScope::KnownModules, &secrets)
                .annotate_hot_functions(view)
        }
        _ => Vec::new(),
    }
}

/// Returns the source of functions for the terminal.
fn read_listed_source(project: &Project<'_>, reported: &Reported, functions: &[FunctionId]) -> Vec<AnnotatedFunction> {
    let settings = project.load_settings_or_defaults(&Overrides::default());
    let secrets = settings.map(|(config, _)| config.secrets()).unwrap_or_default();
    let profile = reported.view.profile();
    SourceReader::new(profile, &reported.built, project.dir, SourceScope::AllFiles, &secrets).annotate(functions)
}

/// Reports which sample type, event or time range is shown, if the file has others.
pub(super) fn print_selection(reported: &Reported, time: Option<&Range<u64>>, terminal: &Terminal) {
    if let Some(types) = reported.sample_types.as_ref().filter(|types| !types.others.is_empty()) {
        terminal.report_step(
            "Showing",
            &format!("{}; `--sample-type` takes {} too", types.shown, list_names(&types.others)),
        );
    }
    if let Some(time) = time {
        let profile = reported.view.profile();
        let [from, to] = [time.start, time.start.saturating_add(profile.duration_ns)].map(Duration::from_nanos);
        let samples = format_samples(profile.total_count());
        terminal.report_step(
            "Showing",
            &format!("{samples} between {:.3} s and {:.3} s", from.as_secs_f64(), to.as_secs_f64()),
        );
    }
    if !reported.other_events.is_empty() {
        let shown = &reported.view.profile().event.name;
        terminal
            .report_step("Showing", &format!("{shown}; `--event` takes {} too", list_names(&reported.other_events)));
    }
}

/// Joins names, and counts those after the first [`MAX_LISTED`].
fn list_names(names: &[String]) -> String {
    let listed = names.get(..MAX_LISTED).unwrap_or(names).join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => listed,
        unlisted => format!("{listed} and {unlisted} more"),
    }
}

/// Returns the profile that the user named: a file, a run, or standard input.
pub(super) fn find_source(project: &Project<'_>, text: &str) -> Result<ReportSource, Failure> {
    if Endpoint::is_url(text) {
        return Endpoint::parse(text).map(ReportSource::Endpoint).map_err(Failure::Endpoint);
    }
    let path = project.resolve_path(text);
    if text == STANDARD_INPUT {
        return if io::stdin().is_terminal() {
            Err(Failure::NoInput)
        } else {
            Ok(ReportSource::File("/dev/stdin".into()))
        };
    }
    // Accepts a broken link too: reading it reports the reason.
    if path.symlink_metadata().is_ok() || looks_like_a_path(text) {
        return Ok(ReportSource::File(path));
    }
    Ok(ReportSource::Run { archive: project.archive_dir()?, query: text.to_owned() })
}

/// File name endings that are refused if they name no output format of the command. `.HTML`, for example, names none.
const REFUSED_ENDINGS: [&str; 9] = ["png", "jpg", "jpeg", "gif", "webp", "pdf", "html", "htm", "xml"];

/// Fails if the name of an output promises another format than the text that goflame would write.
pub(super) fn refuse_other_formats(output: Option<&Path>) -> Result<(), Failure> {
    let Some(output) = output else { return Ok(()) };
    let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    if REFUSED_ENDINGS.contains(&ending.as_str()) {
        return Err(Failure::NoSuchFormat { file: output.display().to_string() });
    }
    Ok(())
}

/// Whether a text names a file, not a run: ids of runs contain no `/` and no dot.
fn looks_like_a_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some()
}

/// Formats all tables of a report. If part of the CPU time was not seen, the last line says so.
pub(super) fn format_tables(
    reported: &Reported,
    args: &TableArgs,
    terminal: &Terminal,
    for_terminal: bool,
    links: bool,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = format_measurements(reported, args, terminal, for_terminal)?;
    let url = |function: &Function| reported.source_path(function).map(|path| file_url(&path));
    let links = Links(links.then_some(&url));
    render::text::write(&reported.view, table_layout(args, terminal, for_terminal), links, &mut bytes)?;
    render::text::write_findings(&reported.findings, table_layout(args, terminal, for_terminal), &mut bytes)?;
    if let Some(seen) = reported.quality.unseen_cpu() {
        writeln!(bytes, "\n{seen}")?;
    }
    Ok(bytes)
}

/// Formats the window of a server with the figures of its load, and the results of the benchmarks.
pub(super) fn format_measurements(
    reported: &Reported,
    args: &TableArgs,
    terminal: &Terminal,
    for_terminal: bool,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(window) = reported.server().describe() {
        writeln!(bytes, "{window}\n")?;
    }
    render::text::write_benchmarks(&reported.benchmarks, table_layout(args, terminal, for_terminal), &mut bytes)?;
    Ok(bytes)
}

pub(super) fn table_layout(args: &TableArgs, terminal: &Terminal, for_terminal: bool) -> render::text::Layout {
    let has_color = for_terminal && terminal.is_data_colored();
    render::text::Layout { columns: terminal.columns(), has_color, rows: args.rows, sort: args.sort }
}

/// Prints the quality of the profile and the reasons that limit it, except a reason that was printed before.
pub(super) fn print_quality(reported: &Reported, printed: Option<&str>, terminal: &Terminal) {
    let summary = reported.quality.summary();
    terminal.report_step("Quality", &summary);
    // Without samples, the summary ends with the reason.
    let is_new = |reason: &String| !summary.ends_with(reason) && printed != Some(reason);
    for reason in reported.quality.assess().reasons.into_iter().filter(is_new) {
        terminal.warn(&reason);
    }
}

#[cfg(test)]
mod tests {
    use super::list_names;

    #[test]
    fn a_message_names_at_most_20_sample_types() {
        let names: Vec<String> = (1..=999).map(|number| format!("t{number}")).collect();
        assert_eq!(list_names(&names[..3]), "t1, t2, t3");
        assert!(list_names(&names[..20]).ends_with(", t19, t20"));
        assert!(list_names(&names[..21]).ends_with(", t20 and 1 more"));
        assert!(list_names(&names).ends_with(", t20 and 979 more"));
    }
}
