//! Settings → an inspected binary.

use std::time::{Duration, Instant};

use super::settle::{BuildOptions, InContainer, Settled, settle};
use super::{Error, Observer};
use crate::archive::{BuildPlace, FileEntry, Program, Store};
use crate::build::{self, Artifact, BuildPlan, GoTool, docker};
use crate::config::{Config, Kind};

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// How it was built.
    pub plan: BuildPlan,
    /// The commands, for a shell.
    pub command: String,
    /// With which Go.
    pub go: GoTool,
    /// In which container; `None`: on this machine.
    pub container: Option<InContainer>,
    /// What came out.
    pub artifact: Artifact,
    /// How long it took.
    pub wall: Duration,
    /// The text of the lock file.
    pub lock: String,
}

/// Builds, and inspects what came out.
pub fn build(config: &Config, options: BuildOptions, observer: &dyn Observer) -> Result<Built, Error> {
    let settled = settle(config, options, observer)?;
    build_privately(config, settled, &open_archive(config)?, Reuse::LastProgram, observer)?.publish()
}

/// What a build may start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    /// The program that was published last; Go saves the linking where it is up to date.
    LastProgram,
    /// Nothing: the program is to be made anew.
    Nothing,
}

/// A build that no other process knows of yet: its program lies in a private directory.
#[derive(Debug)]
pub(super) struct PrivateBuild {
    built: Built,
    place: BuildPlace,
    name: String,
}

impl PrivateBuild {
    /// Puts the program into the store, to be started and archived.
    pub(super) fn store(&self, store: &Store) -> Result<Program, Error> {
        let artifact = &self.built.artifact;
        let entry = FileEntry { sha256: artifact.sha256.clone(), size: artifact.size };
        Ok(store.add_program(&artifact.path, &self.name, &entry)?)
    }

    /// Moves the program to where people look for it.
    pub(super) fn publish(mut self) -> Result<Built, Error> {
        self.place.publish(&self.name)?;
        self.built.artifact.path.clone_from(&self.built.plan.output);
        Ok(self.built)
    }
}

/// Removes the caches that Docker builds of the project left on the engine. Returns the names of those there were.
pub fn clean_cache(config: &Config) -> Result<Vec<String>, Error> {
    let engine = docker::Engine::connect().map_err(build::Error::Docker)?;
    engine.sweep().map_err(build::Error::Docker)?;
    Ok(engine.clean_caches(config).map_err(build::Error::Docker)?)
}

/// A Dockerfile with the same steps as a Docker build.
pub fn dockerfile(config: &Config) -> Result<String, Error> {
    let plan = build::plan(config, &GoTool::in_image())?;
    let image = config.image().ok_or(build::Error::Docker(docker::Error::NoImage))?;
    let lock = super::settle::load_lock(config)?.and_then(|lock| lock.docker).filter(|locked| locked.image == image);
    // An id means nothing to other engines.
    let pinned = lock.map(|locked| locked.digest).filter(|digest| digest.contains('@'));
    Ok(docker::dockerfile(config, &plan, &pinned.unwrap_or(image)).map_err(build::Error::Docker)?)
}

/// The project's archive, in whose directory binaries are built too.
pub(super) fn open_archive(config: &Config) -> Result<Store, Error> {
    Ok(Store::open(&config.archive.dir)?)
}

/// Builds into a directory of its own below `build/` of the archive, so that two goflame processes in one project never
/// take each other's program for their own.
pub(super) fn build_privately(
    config: &Config,
    settled: Settled,
    store: &Store,
    reuse: Reuse,
    observer: &dyn Observer,
) -> Result<PrivateBuild, Error> {
    let Settled { plan, go, container, lock } = settled;
    let place = if container.is_some() { " in a container" } else { "" };
    observer.step("Building", &format!("{} [{}] with {}{place}", config.app.package, describe(config), go.version));
    let command = container.as_ref().map_or_else(|| plan.to_string(), |container| container.plan.to_string());
    observer.remark(&command);
    for warning in &plan.warnings {
        observer.warn(warning);
    }
    let name = plan.output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = store.build_place(&plan.variant)?;
    if plan.kind == Kind::Binary && reuse == Reuse::LastProgram {
        place.reuse(&name)?;
    }
    let output = place.path(&name);
    let started = Instant::now();
    match &container {
        Some(container) => build::run_in_container(&plan, &output, &container.plan, &container.engine, observer)?,
        None => build::run(&plan, &output, &go)?,
    }
    let wall = started.elapsed();
    let variant = config.variants.get(&config.build.variant);
    let variant = variant.ok_or_else(|| build::Error::Name { name: config.build.variant.clone() })?;
    let artifact = Artifact::read(&output, variant, &config.toolchain).map_err(|error| match error {
        // It is published all the same, so that people can look at what the error names.
        build::Error::Inspect { source, .. } if place.publish(&name).is_ok() => {
            build::Error::Inspect { path: plan.output.clone(), source }
        }
        error => error,
    })?;
    let container = container.map(|container| container.record());
    Ok(PrivateBuild { built: Built { plan, command, go, container, artifact, wall, lock }, place, name })
}

/// A variant in a few words: `debug: -N -l`, `release`.
fn describe(config: &Config) -> String {
    let name = &config.build.variant;
    match config.variants.get(name) {
        Some(variant) if variant.gcflags.contains("-N") => format!("{name}: -N -l"),
        _ => name.clone(),
    }
}
