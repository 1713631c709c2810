//! `goflame runs export`, `import` and `index`.

use std::path::Path;
use std::process::ExitCode;

use crate::archive::{Run, Store};
use crate::cli::browser::open_in_browser;
use crate::cli::failure::Failure;
use crate::cli::output::{Terminal, format_megabytes};
use crate::config::Config;
use crate::fsio;
use crate::pipeline::{self, ExportOptions, LeftOutFile};

pub(super) fn export(
    config: &Config,
    store: &Store,
    run: &Run,
    output: &Path,
    options: ExportOptions,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    let exported = pipeline::export(run, store, &config.secrets(), options, output, terminal)?;
    let size = std::fs::metadata(output).map_or(0, |metadata| metadata.len());
    terminal.report_step(
        "Exported",
        &format!("{} files of run {}, {}", exported.file_count, run.id(), format_megabytes(size)),
    );
    report_left_out(&exported.left_out, terminal);
    if options.with_all_files {
        terminal.warn(
            "everything is in it, also the program, its output and values of its environment: share it with care",
        );
    } else {
        if exported.masked_variables > 0 {
            let count = exported.masked_variables;
            let variables = if count == 1 { "variable" } else { "variables" };
            terminal.report_step("Left out", &format!("the values of {count} environment {variables}"));
        }
        if options.with_binary {
            terminal.warn("the programs are in it, with all that is built into them");
        }
    }
    terminal.report_written_file(output);
    Ok(ExitCode::SUCCESS)
}

/// Prints which files of the run are not in an export. One line for each reason.
fn report_left_out(left_out: &[LeftOutFile], terminal: &Terminal) {
    let mut reasons: Vec<&str> = left_out.iter().map(|file| file.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        let files: Vec<_> =
            left_out.iter().filter(|file| file.reason == reason).map(|file| file.file.as_str()).collect();
        terminal.report_step("Left out", &format!("{}: {reason}", files.join(", ")));
    }
}

pub(super) fn import(config: &Config, file: &Path, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let (run, left_out) = pipeline::import(&config.archive.dir, file)?;
    terminal.report_step("Verified", &format!("{} files of run {}", run.files().len(), run.id()));
    report_left_out(&left_out, terminal);
    terminal
        .report_step("Imported", &format!("{}; it is the newest run now", fsio::relative_to_cwd(run.dir()).display()));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn index(store: &Store, open: bool, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let path = pipeline::write_index(store)?;
    terminal.report_written_file(&path);
    if open {
        open_in_browser(&path, "the page", terminal);
    }
    Ok(ExitCode::SUCCESS)
}
