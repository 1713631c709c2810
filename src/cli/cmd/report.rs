//! `goflame report`.

use std::path::Path;
use std::process::ExitCode;

use super::Project;
use crate::cli::args::Report;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::Format;
use crate::pipeline::{self, Observer, Reported, Source};
use crate::render;

pub(in crate::cli) fn report(project: &Project<'_>, args: &Report, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let path = project.path(&args.source);
    let source = if path.exists() || looks_like_a_path(&args.source) {
        Source::File(path)
    } else {
        Source::Run { archive: project.archive()?, query: args.source.clone() }
    };
    let reported = pipeline::report(&source, args.title.as_deref(), terminal)?;
    for note in &reported.notes {
        terminal.warn(note);
    }
    let format = args.format.map(Format::from);
    let mut bytes = Vec::new();
    match format {
        Some(format) => reported.write(format, &mut bytes).map_err(Failure::Stdout)?,
        None => bytes = tables(&reported, terminal, args.output.is_none()).map_err(Failure::Stdout)?,
    }
    match &args.output {
        Some(output) => {
            crate::fsio::replace(&project.path(output), &bytes).map_err(Failure::File)?;
            terminal.step("Wrote", &output.display().to_string());
        }
        None => terminal.data(&bytes).map_err(Failure::Stdout)?,
    }
    verdict(&reported, terminal);
    Ok(ExitCode::SUCCESS)
}

/// Ids of runs hold no separator and no dot.
fn looks_like_a_path(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some()
}

/// The hot functions and the hot path.
pub(super) fn tables(reported: &Reported, terminal: &Terminal, for_terminal: bool) -> std::io::Result<Vec<u8>> {
    let options = render::text::Options { columns: Terminal::columns(), color: for_terminal && terminal.data_color() };
    let mut bytes = Vec::new();
    render::text::write(&reported.profile, options, &mut bytes)?;
    Ok(bytes)
}

/// How far it can be trusted, and why not further.
pub(super) fn verdict(reported: &Reported, terminal: &Terminal) {
    terminal.step("Quality", &reported.quality.summary());
    let (_, reasons) = reported.quality.verdict();
    for reason in reasons {
        terminal.warn(&reason);
    }
}
