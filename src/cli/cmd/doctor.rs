//! `goflame doctor`: the findings as a table for people, or as JSON.

use std::fmt::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Effects, Style};
use serde_json::json;

use super::Project;
use crate::cli::args::Doctor;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::Overrides;
use crate::doctor::{Finding, Status, Verdict, summary_line};
use crate::pipeline;

/// Version of the shape of `--json`.
const SCHEMA: u32 = 1;

pub(in crate::cli) fn doctor(project: &Project<'_>, args: &Doctor, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let overrides = Overrides { strict: args.strict.then_some(true), ..Overrides::default() };
    let (config, in_project) = project.settings_or_defaults(&overrides)?;
    let go = pipeline::find_go(&config);
    let ready = pipeline::readiness(&config, in_project.then_some(&go), None);
    let verdict = ready.verdict(config.doctor.strict);
    let text = if args.json {
        let value = json!({ "schema": SCHEMA, "ready": verdict == Verdict::Ready, "findings": ready.findings });
        format!("{value:#}\n")
    } else {
        table(&ready.findings, terminal.data_color())
    };
    terminal.data(text.as_bytes()).map_err(Failure::Stdout)?;
    Ok(match verdict {
        Verdict::Ready => ExitCode::SUCCESS,
        Verdict::NotReady => exit::READINESS.into(),
    })
}

/// One line a finding, with what to do under those that need it.
fn table(findings: &[Finding], color: bool) -> String {
    let width = findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (word, style) = word(finding.status);
        let style = if color { style } else { Style::new() };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{style}{word:>7}{style:#}  {id:<width$}  {found}", id = finding.id, found = finding.found);
        if matches!(finding.status, Status::Warning | Status::Failure) {
            let _ = writeln!(text, "         {:width$}  needed: {}", "", finding.needed);
            let _ = writeln!(text, "         {:width$}  {}", "", finding.why);
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "         {:width$}  fix: {}", "", fix.now);
            }
        }
    }
    let _ = writeln!(text, "\n{}", summary_line(findings));
    text
}

fn word(status: Status) -> (&'static str, Style) {
    match status {
        Status::Ok => ("ok", AnsiColor::Green.on_default()),
        Status::Info => ("note", AnsiColor::Cyan.on_default()),
        Status::Warning => ("warning", AnsiColor::Yellow.on_default().effects(Effects::BOLD)),
        Status::Failure => ("failure", AnsiColor::Red.on_default().effects(Effects::BOLD)),
        Status::Skipped => ("skipped", Style::new().effects(Effects::DIMMED)),
    }
}
