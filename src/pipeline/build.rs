//! Builds the program of the settings and inspects it.

use std::time::{Duration, Instant};

use super::Error;
use super::observer::{Observer, PipelineEvent, Warning};
use super::settle::{BuildOptions, ContainerFacts, SettledBuild, settle};
use crate::archive::{FileEntry, PrivateBuildDir, Program, Store};
use crate::build::{self, Artifact, BuildPlan, GoTool, docker};
use crate::config::{Config, Kind};

/// Result of a finished build.
#[derive(Debug)]
pub struct FinishedBuild {
    /// Plan of the build.
    pub plan: BuildPlan,
    /// Commands of the build, ready to paste into a shell.
    pub command: String,
    /// Go that built the program.
    pub go: GoTool,
    /// Container of the build; `None` for a build on this machine.
    pub container: Option<ContainerFacts>,
    /// The built program, and facts from its inspection.
    pub artifact: Artifact,
    /// Duration of the build.
    pub build_duration: Duration,
    /// Text of the lock file, even if the file could not be written.
    pub lock: String,
}

/// Builds the program and inspects it.
pub fn build(config: &Config, options: BuildOptions, observer: &dyn Observer) -> Result<FinishedBuild, Error> {
    let settled = settle(config, options, observer)?;
    build_privately(config, settled, &Store::open(&config.archive.dir)?, ReusedProgram::LastProgram, observer)?
        .publish()
}

/// Program that a build may reuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReusedProgram {
    /// Program that was published last. Go skips linking if that program is up to date.
    LastProgram,
    /// No program: Go links the program again.
    Nothing,
}

/// Build whose program is still in a private directory, where no other process uses it.
#[derive(Debug)]
pub(super) struct PrivateBuild {
    built: FinishedBuild,
    place: PrivateBuildDir,
    name: String,
}

impl PrivateBuild {
    /// Copies the program into the store, from which it is started and archived.
    pub(super) fn store(&self, store: &Store) -> Result<Program, Error> {
        let artifact = &self.built.artifact;
        let entry = FileEntry { sha256: artifact.sha256.clone(), size: artifact.size };
        Ok(store.add_program(&artifact.path, &self.name, &entry)?)
    }

    /// Moves the program to its public path, where users look for it.
    pub(super) fn publish(mut self) -> Result<FinishedBuild, Error> {
        self.place.publish(&self.name)?;
        self.built.artifact.path.clone_from(&self.built.plan.output);
        Ok(self.built)
    }
}

/// Removes the caches that Docker builds of the project left on the engine, and containers of goflame processes that
/// have ended. Returns the names of the removed caches.
pub fn clean_cache(config: &Config) -> Result<Vec<String>, Error> {
    let engine = docker::DockerEngine::connect().map_err(build::Error::Docker)?;
    engine.remove_abandoned().map_err(build::Error::Docker)?;
    Ok(engine.clean_caches(config).map_err(build::Error::Docker)?)
}

/// Returns a Dockerfile with the same steps as a Docker build.
pub fn dockerfile_text(config: &Config) -> Result<String, Error> {
    let plan = build::plan_build(config, None)?;
    let image = config.image().ok_or(build::Error::Docker(docker::Error::NoImage))?;
    let lock = super::settle::load_lock(config)?.and_then(|lock| lock.docker).filter(|locked| locked.image == image);
    // Uses only a digest: an image id is unknown to other engines.
    let pinned = lock.map(|locked| locked.digest).filter(|digest| digest.contains('@'));
    Ok(docker::dockerfile_text(config, &plan, &pinned.unwrap_or(image)).map_err(build::Error::Docker)?)
}

/// Builds into a private directory below `build/` of the archive. Two goflame processes in one project therefore never
/// use each other's program.
pub(super) fn build_privately(
    config: &Config,
    settled: SettledBuild,
    store: &Store,
    reuse: ReusedProgram,
    observer: &dyn Observer,
) -> Result<PrivateBuild, Error> {
    let SettledBuild { plan, go, container, lock } = settled;
    observer.event(&PipelineEvent::Building {
        package: &config.app.package,
        variant: &config.build.variant,
        unoptimised: is_unoptimised(config),
        go: &go.version,
        in_container: container.is_some(),
    });
    let command = container.as_ref().map_or_else(|| plan.to_string(), |container| container.plan.to_string());
    observer.event(&PipelineEvent::BuildCommand(&command));
    for warning in &plan.warnings {
        observer.warning(&Warning::Build(warning));
    }
    let name = plan.output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = store.create_private_build_dir(&plan.variant)?;
    if plan.kind == Kind::Binary && reuse == ReusedProgram::LastProgram {
        place.reuse(&name)?;
    }
    let output = place.path(&name);
    let started = Instant::now();
    match &container {
        Some(container) => build::run_in_container(&plan, &output, &container.plan, &container.engine, observer)?,
        None => build::run(&plan, &output, &go, observer)?,
    }
    let build_duration = started.elapsed();
    let variant = config.variants.get(&config.build.variant);
    let variant = variant.ok_or_else(|| build::Error::Name { name: config.build.variant.clone() })?;
    let artifact = Artifact::read(&output, variant, &config.toolchain).map_err(|error| match error {
        // Publishes the program despite the error, so that users can examine it.
        build::Error::Inspect { source, .. } if place.publish(&name).is_ok() => {
            build::Error::Inspect { path: plan.output.clone(), source }
        }
        error => error,
    })?;
    let container = container.map(|container| container.facts());
    Ok(PrivateBuild {
        built: FinishedBuild { plan, command, go, container, artifact, build_duration, lock },
        place,
        name,
    })
}

/// Whether the selected variant turns off the compiler's optimisations, as `debug` does.
pub fn is_unoptimised(config: &Config) -> bool {
    config.variants.get(&config.build.variant).is_some_and(|variant| variant.gcflags.contains("-N"))
}
