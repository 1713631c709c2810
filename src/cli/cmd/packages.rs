//! The packages that `run` and `build` work on, with their settings.

use super::Project;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::{BenchmarkChoice, Config, Kind, Overrides};
use crate::pipeline::{self, BuildOptions, ChosenPackages, PackageRequest};

/// Options of the search for packages, which decide whether it can use the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackageSearch {
    pub(super) build: BuildOptions,
    /// Whether the command only prints a plan.
    pub(super) plan_only: bool,
}

impl Project<'_> {
    /// Loads the settings of each package that a command works on: the package of `goflame.toml`, PACKAGE, or what is
    /// found here.
    pub(super) fn load_selected_packages(
        &self,
        package: Option<&str>,
        overrides: &Overrides,
        search: PackageSearch,
        terminal: &Terminal,
    ) -> Result<Vec<Config>, Failure> {
        let (own, from_file) = self.load_settings_or_defaults(overrides)?;
        terminal.hide_secrets(own.secrets());
        let pattern = package.is_some_and(|package| package.contains("..."));
        let benchmarks = overrides.benchmarks != BenchmarkChoice::default() || pattern && own.app.kind == Kind::Bench;
        let kind = benchmarks.then_some(Kind::Bench);
        let with = Overrides { package: package.filter(|_| !pattern).map(str::to_owned), kind, ..overrides.clone() };
        let (config, _) = self.load_settings_or_defaults(&with)?;
        let dropped = config.workload.args != own.workload.args || config.workload.stdin != own.workload.stdin;
        if from_file && dropped {
            terminal.report_step(
                "Note",
                "args and stdin in [workload] belong to the app of goflame.toml, and are not used",
            );
        }
        if from_file && !pattern && config.app.package == own.app.package {
            return Ok(vec![config]);
        }
        let PackageSearch { build, plan_only } = search;
        let request = PackageRequest { dir: self.dir, package, benchmarks, build, plan_only };
        let ChosenPackages { packages, skipped } = pipeline::choose_packages(&config, &request, terminal)?;
        if !from_file {
            let (package, kind) = &packages[0];
            let what = match (kind, &packages[..]) {
                (_, [_, _, ..]) => format!("the benchmarks of {} packages", packages.len()),
                (Kind::Binary, _) => format!("main package {package}"),
                (Kind::Bench, _) => format!("the benchmarks in {package}"),
            };
            terminal.report_step(
                "Note",
                &format!("no goflame.toml was found: {what}, with default settings; `goflame init` writes one"),
            );
        }
        if !skipped.is_empty() {
            let packages = if skipped.len() == 1 { "package" } else { "packages" };
            let text = format!("{} {packages} without benchmarks: {}", skipped.len(), skipped.join(", "));
            terminal.report_step("Skipped", &text);
        }
        let load = |(package, kind)| {
            let chosen = Overrides { package: Some(package), kind: Some(kind), ..overrides.clone() };
            Ok(self.load_settings_or_defaults(&chosen)?.0)
        };
        packages.into_iter().map(load).collect()
    }
}
