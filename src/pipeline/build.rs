//! Settings → an inspected binary.

use std::time::{Duration, Instant};

use super::{Error, Observer};
use crate::archive::Store;
use crate::build::{self, Artifact, BuildPlan, GoTool};
use crate::config::Config;

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// How it was built.
    pub plan: BuildPlan,
    /// With which Go.
    pub go: GoTool,
    /// What came out.
    pub artifact: Artifact,
    /// How long it took.
    pub wall: Duration,
}

/// The Go that will build, and its command, without building.
pub fn plan(config: &Config) -> Result<(BuildPlan, GoTool), Error> {
    let go = find_go(config)?;
    let plan = build::plan(config, &go)?;
    Ok((plan, go))
}

/// Go for the variant in force.
pub(super) fn find_go(config: &Config) -> Result<GoTool, build::Error> {
    let none = std::collections::BTreeMap::new();
    let env = config.variants.get(&config.build.variant).map_or(&none, |variant| &variant.env);
    GoTool::find(&config.root, &config.toolchain, env)
}

/// Builds, and inspects what came out.
pub fn build(config: &Config, observer: &dyn Observer) -> Result<Built, Error> {
    let (plan, go) = plan(config)?;
    open_archive(config)?;
    build_planned(config, plan, go, observer)
}

/// The project's archive, in whose directory binaries are built too.
pub(super) fn open_archive(config: &Config) -> Result<Store, Error> {
    Ok(Store::open(&config.archive.dir, None)?)
}

pub(super) fn build_planned(
    config: &Config,
    plan: BuildPlan,
    go: GoTool,
    observer: &dyn Observer,
) -> Result<Built, Error> {
    observer.step("Building", &format!("{} [{}] with {}", config.app.package, describe(config), go.version));
    observer.remark(&plan.to_string());
    for warning in &plan.warnings {
        observer.warn(warning);
    }
    let started = Instant::now();
    build::run(&plan, &go)?;
    let wall = started.elapsed();
    let variant = config.variants.get(&config.build.variant);
    let variant = variant.ok_or_else(|| build::Error::Name { name: config.build.variant.clone() })?;
    let artifact = Artifact::read(&plan.output, variant, &config.toolchain)?;
    Ok(Built { plan, go, artifact, wall })
}

/// A variant in a few words: `debug: -N -l`, `release`.
fn describe(config: &Config) -> String {
    let name = &config.build.variant;
    match config.variants.get(name) {
        Some(variant) if variant.gcflags.contains("-N") => format!("{name}: -N -l"),
        _ => name.clone(),
    }
}
