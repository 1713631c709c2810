//! `goflame build`.

use std::process::ExitCode;

use super::Project;
use super::packages::PackageSearch;
use crate::cli::args::BuildArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::{Config, Overrides};
use crate::pipeline::{self, BuildOptions, VerifiedBuild};

pub(in crate::cli) fn build(project: &Project<'_>, args: &BuildArgs, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let overrides = Overrides {
        variant: args.variant.name(),
        docker: args.builder.in_docker(),
        mounts: args.builder.mount.clone(),
        ..Overrides::default()
    };
    let options = BuildOptions { update_lock: args.update_lock, ..args.builder.options() };
    if args.clean_cache {
        let (config, _) = project.load_settings_or_defaults(&overrides)?;
        terminal.hide_secrets(config.secrets());
        return clean_cache(&config, terminal);
    }
    let search = PackageSearch { build: options, plan_only: args.plan_only || args.print_dockerfile };
    let selected = project.load_selected_packages(args.package.package.as_deref(), &overrides, search, terminal)?;
    for config in &selected {
        build_package(config, args, options, terminal)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn build_package(config: &Config, args: &BuildArgs, options: BuildOptions, terminal: &Terminal) -> Result<(), Failure> {
    if args.plan_only {
        let (_, plan) = pipeline::plan_build(config, options)?;
        return super::print_plan(&format!("{plan}\n"), terminal);
    }
    if args.print_dockerfile {
        return terminal.write_data(pipeline::dockerfile_text(config)?.as_bytes()).map_err(Failure::Stdout);
    }
    if let Some(verify) = args.verify {
        let verified = pipeline::verify(config, verify, options, terminal);
        terminal.remove_progress();
        print_verified(&verified?, terminal);
        return Ok(());
    }
    let built = pipeline::build(config, options, terminal);
    terminal.remove_progress();
    let built = built?;
    for mismatch in &built.artifact.mismatches {
        terminal.warn(&format!(
            "{}: asked {}, found {}; {}",
            mismatch.id, mismatch.requested, mismatch.found, mismatch.why_it_matters
        ));
    }
    let artifact = &built.artifact;
    terminal.report_step(
        "Built",
        &format!(
            "{} with {} in {:.1} s",
            crate::fsio::relative_to_cwd(&artifact.path).display(),
            built.go.version,
            built.build_duration.as_secs_f64()
        ),
    );
    terminal.report_step("Inspected", &format!("{}, sha256 {}", artifact.facts.optimisation, artifact.sha256));
    Ok(())
}

fn print_verified(verified: &VerifiedBuild, terminal: &Terminal) {
    let artifact = &verified.built.artifact;
    let shown = crate::fsio::relative_to_cwd(&artifact.path).display();
    terminal.report_step("Verified", &format!("{shown}: {}, the same {} bytes", verified.comparison, artifact.size));
    terminal.report_step("Sha256", &artifact.sha256);
    terminal.report_step("Wrote", &crate::fsio::relative_to_cwd(&verified.record_path).display().to_string());
}

fn clean_cache(config: &Config, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let removed = pipeline::clean_cache(config)?;
    if removed.is_empty() {
        terminal.report_step("Found", "no caches of this project on the Docker engine");
    }
    for name in removed {
        terminal.report_step("Removed", &format!("the volume {name}"));
    }
    Ok(ExitCode::SUCCESS)
}
