//! `goflame doctor`: prints the findings as a table or as JSON, and performs the repairs.

mod explain;
mod fix;
mod json;
mod script;
mod table;

use std::process::ExitCode;

use self::table::{Detail, Verdict};
use super::Project;
use crate::cli::args::DoctorArgs;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::{Config, Overrides};
use crate::doctor::{Status, Strictness, catalogue, expand_groups, is_ready, unknown_checks};
use crate::pipeline::{self, Checkup, CheckupOptions};
use crate::process::acting_account;

pub(in crate::cli) fn doctor(
    project: &Project<'_>,
    args: &DoctorArgs,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    if let Some(id) = &args.explain {
        let Some(check) = catalogue().find(|check| check.id == id) else {
            return Err(Failure::UnknownChecks(unknown_checks(std::slice::from_ref(id))));
        };
        let text = explain::explanation(check, terminal.columns());
        terminal.write_data(text.as_bytes()).map_err(Failure::Stdout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (only, skip) = (expand_groups(&args.only), expand_groups(&args.skip));
    let unknown = unknown_checks(&[only.clone(), skip.clone()].concat());
    if !unknown.is_empty() {
        return Err(Failure::UnknownChecks(unknown));
    }
    if args.undo {
        return fix::undo(args, terminal);
    }
    let overrides = Overrides { strict: args.strict.then_some(true), ..Overrides::default() };
    let (config, in_project) = project.load_settings_or_defaults(&overrides)?;
    terminal.hide_secrets(config.secrets());
    let options = CheckupOptions {
        in_project,
        binary: args.binary.as_ref().map(|binary| project.resolve_path(binary)),
        skipped_checks: skip,
        only_checks: only,
        // A user who repairs through sudo wants to profile without sudo.
        as_unprivileged: args.unprivileged || ((args.fix || args.print_script) && acting_account().is_some()),
    };
    let mut checkup = pipeline::checkup(&config, &options)?;
    if args.print_script {
        let script = script::repair_script(&checkup.plan, args.persist);
        terminal.write_data(script.as_bytes()).map_err(Failure::Stdout)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.fix && fix::fix(&checkup.plan, args, terminal)? {
        // Checks again, so that the output shows the state after the repairs.
        checkup = pipeline::checkup(&config, &options)?;
    }
    print(&checkup, &config, args, terminal)
}

fn print(checkup: &Checkup, config: &Config, args: &DoctorArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let strictness = Strictness { fails_on_warnings: config.doctor.strict, fails_on_unsteadiness: args.steady };
    let verdict = match is_ready(&checkup.findings, strictness) {
        true if checkup.findings.iter().all(|finding| finding.status == Status::Skipped) => Verdict::NothingChecked,
        true => Verdict::Ready,
        false => Verdict::NotReady,
    };
    let text = if args.json {
        json::findings_json(&checkup.findings, strictness)
    } else {
        // A user who selects checks wants to see each of them.
        let all = terminal.is_verbose() || !args.only.is_empty();
        let detail = if all { Detail::Checks } else { Detail::Groups };
        table::format_table(checkup, verdict, detail, terminal.columns(), terminal.is_data_colored())
    };
    terminal.write_data(text.as_bytes()).map_err(Failure::Stdout)?;
    Ok(if verdict == Verdict::NotReady { exit::READINESS.into() } else { ExitCode::SUCCESS })
}
