//! `goflame build`.

use std::process::ExitCode;

use super::Project;
use crate::cli::args::Build;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::Overrides;
use crate::pipeline::{self, Observer};

pub(in crate::cli) fn build(project: &Project<'_>, args: &Build, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let config = project.settings(&Overrides { variant: args.variant.name(), ..Overrides::default() })?;
    if args.plan_only {
        let (plan, _) = pipeline::plan(&config)?;
        terminal.data(format!("{plan}\n").as_bytes()).map_err(Failure::Stdout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let built = pipeline::build(&config, terminal)?;
    for mismatch in &built.artifact.mismatches {
        terminal
            .warn(&format!("{}: asked {}, found {}; {}", mismatch.id, mismatch.asked, mismatch.found, mismatch.why));
    }
    let artifact = &built.artifact;
    terminal.step(
        "Built",
        &format!(
            "{} with {} in {:.1} s",
            crate::fsio::shown(&artifact.path).display(),
            built.go.version,
            built.wall.as_secs_f64()
        ),
    );
    terminal.step("Inspected", &format!("{}, sha256 {}", artifact.facts.optimisation, artifact.sha256));
    Ok(ExitCode::SUCCESS)
}
