//! `goflame diff`.

use std::io::Write;
use std::process::ExitCode;

use super::Project;
use super::report::{STANDARD_INPUT, find_source, print_selection, refuse_other_formats, table_layout};
use crate::cli::args::DiffArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::pipeline::{self, DiffOptions, ReportOptions};
use crate::render::diff::{DiffFormat, write_text};
use crate::render::text::Sort;
use crate::views::Normalize;

pub(in crate::cli) fn diff(project: &Project<'_>, args: &DiffArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    if args.old == STANDARD_INPUT && args.new == STANDARD_INPUT {
        return Err(Failure::InputTwice);
    }
    let format = args.format.or(args.json.then_some(DiffFormat::Json));
    let format = format.or_else(|| DiffFormat::from_file_name(args.output.as_deref()?));
    if format.is_none() {
        refuse_other_formats(args.output.as_deref())?;
    }
    let options = DiffOptions {
        report: ReportOptions {
            sample_type: args.sample_type.as_deref(),
            event: args.event.as_deref(),
            profile: args.profile,
            filters: args.filter.filters()?,
            keep_times: true,
            ..ReportOptions::default()
        },
        normalize: args.normalize,
        units: args.units,
    };
    let mut compared = if args.variants {
        pipeline::diff_variants(&project.archive_dir()?, &options, terminal)?
    } else {
        let sources = [find_source(project, &args.old)?, find_source(project, &args.new)?];
        pipeline::diff(sources.each_ref(), &options, terminal)?
    };
    if args.tables.sort == Sort::Cumulative {
        compared.diff.sort_by(|row| [&row.cumulative, &row.self_weight]);
    }
    for side in &compared.sides {
        print_selection(side, options.report.filters.time.as_ref(), terminal);
        for note in &side.notes {
            terminal.warn(&format!("{}: {note}", side.name));
        }
        for reason in side.quality.assess().reasons {
            terminal.warn(&format!("{}: {reason}", side.name));
        }
    }
    for note in &compared.notes {
        terminal.warn(note);
    }
    let [old, new] = compared.diff.scale.totals.map(|total| total.weight);
    if !args.variants && args.normalize == Normalize::Share && args.units.is_none() && old.abs_diff(new) > old / 10 {
        terminal.report_step(
            "Note",
            "the totals differ by more than 10 %; `--normalize time` compares amounts in place of shares",
        );
    }
    let document = compared.document(args.title.as_deref(), args.width);
    let layout = table_layout(&args.tables, terminal, args.output.is_none());
    let write = |out: &mut dyn Write| match format {
        Some(format) => format.write(&document, args.tables.rows, out),
        None => write_text(&document, layout, out),
    };
    match &args.output {
        Some(output) => {
            crate::fsio::replace_with(&project.resolve_path(output), write).map_err(Failure::File)?;
            terminal.report_step("Wrote", &output.display().to_string());
        }
        None => terminal.write_data_with(write).map_err(Failure::Stdout)?,
    }
    if format.is_some() {
        terminal.report_step("Compared", &document.summary());
    }
    Ok(ExitCode::SUCCESS)
}
