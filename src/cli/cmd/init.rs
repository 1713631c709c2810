//! `goflame init`.

use std::process::ExitCode;

use super::Project;
use crate::cli::args::InitArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::pipeline;

pub(in crate::cli) fn init(project: &Project<'_>, args: &InitArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let path = project.resolve_path("goflame.toml");
    if path.exists() && !args.force {
        return Err(Failure::Exists(path));
    }
    let initial = pipeline::initial_settings(project.dir, terminal)?;
    crate::fsio::replace(&path, initial.text.as_bytes()).map_err(Failure::File)?;
    if initial.packages.is_empty() {
        terminal.warn("no main package and no benchmark was found here: set `package` in [app]");
    }
    for package in &initial.packages {
        terminal.report_step("Found", package);
    }
    let chosen = initial.chosen_package.map(|chosen| format!(" for {chosen}")).unwrap_or_default();
    terminal.report_step("Wrote", &format!("{}{chosen}; next: `goflame run`", path.display()));
    Ok(ExitCode::SUCCESS)
}
