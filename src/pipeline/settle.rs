//! Settles the inputs of a build: derives the toolchain, the plan and the new lock from the settings and the lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{Error, LockDifference};
use super::observer::{Observer, Pins, PipelineEvent, Warning};
use crate::archive::Store;
use crate::build::docker::{self, ContainerPlan, DockerEngine, EngineFacts, Sources, User};
use crate::build::{self, BuildPlan, GoTool};
use crate::config::{Config, LockFile, Toolchain, lock_path};
use crate::fsio;

/// Whether a build may use the network and change the lock file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Fail if the lock file would change.
    pub locked: bool,
    /// Fetch nothing from the network.
    pub offline: bool,
    /// Write the lock file anew and ignore its pins.
    pub update_lock: bool,
}

/// Build that is settled but not started.
#[derive(Debug)]
pub(super) struct SettledBuild {
    /// Build plan.
    pub plan: BuildPlan,
    /// Go toolchain of the build.
    pub go: GoTool,
    /// Containers of the build; `None` for a build on this machine.
    pub container: Option<ContainerBuild>,
    /// The text of the lock file.
    pub lock: String,
}

/// Docker engine and the plan for its containers.
#[derive(Debug)]
pub(super) struct ContainerBuild {
    /// Docker engine.
    pub engine: DockerEngine,
    /// Plan for the containers.
    pub plan: ContainerPlan,
    /// Name of the image.
    pub image: String,
}

/// Facts about a build in a container, for the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Name of the image.
    pub image: String,
    /// Digest or id of the image.
    pub digest: String,
    /// Docker engine.
    pub engine: EngineFacts,
    /// User and group that the build ran as.
    pub user: User,
}

impl ContainerBuild {
    /// Returns the facts for the manifest.
    pub(super) fn facts(&self) -> ContainerFacts {
        ContainerFacts {
            image: self.image.clone(),
            digest: self.plan.image.clone(),
            engine: self.engine.facts().clone(),
            user: self.plan.user,
        }
    }
}

/// Finds Go on this machine for the selected variant. The version comes from the settings. If they pin none, it comes
/// from the lock, and if the lock has none, from go.mod. `observer` is told about a download before it begins.
pub fn find_go(config: &Config, lock: Option<&LockFile>, observer: &dyn Observer) -> Result<GoTool, build::Error> {
    let none = BTreeMap::new();
    let env = config.variants.get(&config.build.variant).map_or(&none, |variant| &variant.env);
    let downloading =
        |version: &str| observer.show_stage("Downloading", &format!("{version}, which this project asks for"));
    find_go_with_lock(config, lock, env, |toolchain| GoTool::find(&config.go_dir, toolchain, env, &downloading))
}

/// Returns the Go that `find` selects for the settings. If the settings leave the version open, the version in the lock
/// is used.
fn find_go_with_lock(
    config: &Config,
    lock: Option<&LockFile>,
    env: &BTreeMap<String, String>,
    find: impl Fn(&Toolchain) -> Result<GoTool, build::Error>,
) -> Result<GoTool, build::Error> {
    let found = find(&config.toolchain);
    let Some(locked) = lock.and_then(|lock| lock.native_go.as_ref()) else { return found };
    // Settings that choose a version take precedence over the lock; the lock is updated from them.
    if !config.toolchain.go.is_empty() || env.contains_key("GOTOOLCHAIN") {
        return found;
    }
    if found.as_ref().is_ok_and(|go| build::release_number(&go.version).as_ref() == Some(locked)) {
        return found;
    }
    let pin = Toolchain { go: locked.clone(), ..config.toolchain.clone() };
    find(&pin).map_err(build::Error::pinned_by_lock)
}

/// Finds Go as [`find_go`] does, but never downloads it. For checks and dry runs.
pub(super) fn find_go_offline(config: &Config, lock: Option<&LockFile>) -> Result<GoTool, build::Error> {
    let none = BTreeMap::new();
    let env = config.variants.get(&config.build.variant).map_or(&none, |variant| &variant.env);
    find_go_with_lock(config, lock, env, |toolchain| GoTool::find_offline(&config.go_dir, toolchain, env))
}

/// Loads the project's lock file without changing it.
pub fn load_lock(config: &Config) -> Result<Option<LockFile>, Error> {
    Ok(read_lock(config)?.map(|read| read.lock))
}

/// Lock file, as it was read.
#[derive(Debug, Clone)]
struct ReadLock {
    /// Content, with secrets as digests. Earlier versions of goflame wrote secrets in plain text.
    lock: LockFile,
    /// Whether the file contains secrets in plain text.
    has_secrets: bool,
}

fn read_lock(config: &Config) -> Result<Option<ReadLock>, Error> {
    let Some(file) = &config.file else { return Ok(None) };
    let read = LockFile::load(fsio::relative_to_cwd(&lock_path(file)))?;
    Ok(read.map(|read| {
        let lock = read.clone().with_hashed_secrets(&config.secrets().with_digests_once());
        ReadLock { has_secrets: read != lock, lock }
    }))
}

/// The Go of the build, and the lock file that selected it.
#[derive(Debug)]
pub(super) struct ResolvedGo {
    /// Go of this machine; `None` for a build in a container: only the container can report its Go.
    pub(super) go: Option<GoTool>,
    lock: Option<ReadLock>,
}

impl ResolvedGo {
    /// Returns the lock whose pins the build must use. `None` without a lock file, and with `--update-lock`.
    fn lock_in_effect(&self, options: BuildOptions) -> Option<&LockFile> {
        self.lock.as_ref().filter(|_| !options.update_lock).map(|read| &read.lock)
    }
}

/// Finds the Go of the build, and reads the lock file.
pub(super) fn resolve_go(config: &Config, options: BuildOptions, observer: &dyn Observer) -> Result<ResolvedGo, Error> {
    let lock = match read_lock(config) {
        // The file will be replaced, so errors in it do not matter.
        Err(_) if options.update_lock => None,
        read => read?,
    };
    let mut resolved = ResolvedGo { go: None, lock };
    if !config.build.docker {
        resolved.go = Some(find_go(&with_offline_go(config, options), resolved.lock_in_effect(options), observer)?);
    }
    Ok(resolved)
}

/// Returns the build plan and its text as shell lines. Asks no engine and writes nothing.
pub fn plan_build(config: &Config, options: BuildOptions) -> Result<(BuildPlan, String), Error> {
    let lock = if options.update_lock { None } else { load_lock(config)? };
    if !config.build.docker {
        let config = &with_offline_go(config, options);
        let go = find_go_offline(config, lock.as_ref())?;
        let plan = build::plan_build(&with_locked_go(config, &go, lock.as_ref()), Some(&go))?;
        let text = plan.to_string();
        return Ok((plan, text));
    }
    let image = config.image().ok_or(build::Error::Docker(docker::Error::NoImage))?;
    let locked = lock.and_then(|lock| lock.docker).filter(|locked| locked.image == image);
    let plan = build::plan_build(config, None)?;
    let user = User::calling_user();
    let image = locked.map_or(image, |locked| locked.digest);
    let text = plan_containers(config, &plan, &image, user, options)?.to_string();
    Ok((plan, text))
}

/// Settles everything that a build needs. Writes the lock file if its content changes.
pub(super) fn settle(config: &Config, options: BuildOptions, observer: &dyn Observer) -> Result<SettledBuild, Error> {
    settle_with_go(config, options, &resolve_go(config, options, observer)?, observer)
}

/// Settles a build as [`settle`] does, with a Go that [`resolve_go`] found before.
pub(super) fn settle_with_go(
    config: &Config,
    options: BuildOptions,
    resolved: &ResolvedGo,
    observer: &dyn Observer,
) -> Result<SettledBuild, Error> {
    let pins = resolved.lock_in_effect(options);
    let (plan, go, container, moved) = if let Some(go) = &resolved.go {
        let config = &with_offline_go(config, options);
        let plan = build::plan_build(&with_locked_go(config, go, pins), Some(go))?;
        (plan, go.clone(), None, None)
    } else {
        let (plan, go, container, moved) = settle_in_container(config, pins, options, observer)?;
        (plan, go, Some(container), moved)
    };
    // With `--update-lock` the pins of the old lock are not used, but the difference is still computed against it.
    let before = resolved.lock.as_ref();
    let digest = container.as_ref().map(|container| container.plan.image.as_str());
    let lock = build::updated_lock(config, before.map(|read| &read.lock), &go, digest);
    if let (Some(moved), Some(container)) = (moved, &container) {
        let mut would_be = lock.clone();
        if let Some(locked) = &mut would_be.docker {
            locked.digest.clone_from(&moved);
        }
        if options.locked {
            return Err(lock_change_error(config, &lock.difference(&would_be)));
        }
        let image = &container.image;
        observer.warning(&Warning::ImageMoved { image, now: &moved });
    }
    // Fails before anything is written if the directory cannot be an archive.
    Store::open(&config.archive.dir)?;
    write_lock(config, before, &lock, options, pins_of(&go, container.as_ref()), observer)?;
    Ok(SettledBuild { plan, go, container, lock: lock.text() })
}

/// Returns the settings with `GOPROXY=off` for Go if `--offline` was given.
fn with_offline_go(config: &Config, options: BuildOptions) -> Config {
    let mut config = config.clone();
    if options.offline
        && let Some(variant) = config.variants.get_mut(&config.build.variant)
    {
        variant.env.insert("GOPROXY".to_owned(), "off".to_owned());
    }
    config
}

/// Returns the settings with the lock's Go version pinned, if Go does not select that version by itself.
fn with_locked_go(config: &Config, go: &GoTool, lock: Option<&LockFile>) -> Config {
    let mut config = config.clone();
    if config.toolchain.go.is_empty()
        && let Some(locked) = lock.and_then(|lock| lock.native_go.as_ref())
        && go.gotoolchain == format!("go{locked}")
    {
        config.toolchain.go.clone_from(locked);
    }
    config
}

pub(super) fn plan_containers(
    config: &Config,
    plan: &BuildPlan,
    image: &str,
    user: User,
    options: BuildOptions,
) -> Result<ContainerPlan, Error> {
    let history = config.variants.get(&config.build.variant).is_some_and(|variant| variant.buildvcs);
    let sources = Sources::find(&config.go_dir, history);
    let env_names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let local = docker::LocalFacts { user, env_names: &env_names, memory: machine_memory_bytes() };
    let plan = docker::plan_containers(config, plan, &sources, image, &local, options.offline);
    Ok(plan.map_err(build::Error::Docker)?)
}

/// Main memory of this machine in bytes.
fn machine_memory_bytes() -> Option<u64> {
    let machine = rustix::system::sysinfo();
    machine.totalram.checked_mul(machine.mem_unit.into())
}

fn settle_in_container(
    config: &Config,
    lock: Option<&LockFile>,
    options: BuildOptions,
    observer: &dyn Observer,
) -> Result<(BuildPlan, GoTool, ContainerBuild, Option<String>), Error> {
    let name = config.image().ok_or(build::Error::Docker(docker::Error::NoImage))?;
    let engine = DockerEngine::connect().map_err(build::Error::Docker)?;
    let left = engine.remove_abandoned().map_err(build::Error::Docker)?;
    if left > 0 {
        observer.event(&PipelineEvent::ContainersSwept { count: left });
    }
    let locked = lock.and_then(|lock| lock.docker.as_ref());
    if options.locked && locked.is_none_or(|locked| locked.image != name) {
        // Fails before any image is pulled.
        let old = locked.map(|locked| format!("- docker.image = {:?}", locked.image));
        let difference: Vec<_> = old.into_iter().chain([format!("+ docker.image = {name:?}")]).collect();
        return Err(lock_change_error(config, &difference));
    }
    let pinned = engine.pin(&name, locked, options.offline, observer).map_err(build::Error::Docker)?;
    let first = build::plan_build(config, None)?;
    let plan = plan_containers(config, &first, &pinned.digest, engine.user(), options)?;
    let go = engine.go_tool(&plan).map_err(build::Error::Docker)?;
    let pin = &config.toolchain.go;
    if !pin.is_empty() && build::release_number(&go.version).as_ref() != Some(pin) {
        let other = docker::Error::OtherGo { pin: pin.clone(), image: name, found: go.version };
        return Err(build::Error::Docker(other).into());
    }
    let build_plan = build::plan_build(config, Some(&go))?;
    Ok((build_plan, go, ContainerBuild { engine, plan, image: name }, pinned.current_digest))
}

fn write_lock(
    config: &Config,
    before: Option<&ReadLock>,
    lock: &LockFile,
    options: BuildOptions,
    pins: Pins<'_>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let Some(path) = config.file.as_deref().map(lock_path) else { return Ok(()) };
    let name = file_name(&path);
    let difference = before.map_or_else(|| LockFile::default().difference(lock), |before| before.lock.difference(lock));
    let has_secrets = before.is_some_and(|before| before.has_secrets);
    if has_secrets {
        observer.warning(&Warning::SecretsInLock { lock: &name });
    }
    if difference.is_empty() && before.is_some() && (options.locked || !has_secrets) {
        observer.event(&PipelineEvent::LockUnchanged { lock: &name, pins });
        return Ok(());
    }
    if options.locked {
        return Err(lock_change_error(config, &difference));
    }
    // A read-only checkout can still be built, but no lock file is written.
    match fsio::replace(&path, lock.text().as_bytes()) {
        Ok(()) => observer.event(&PipelineEvent::LockWritten { lock: &name, pins }),
        Err(error) => observer.warning(&Warning::LockNotWritten { lock: &name, reason: &error.source }),
    }
    Ok(())
}

fn lock_change_error(config: &Config, difference: &[String]) -> Error {
    let path = config.file.as_deref().map_or_else(|| PathBuf::from("goflame.lock"), lock_path);
    Error::Locked { missing: !path.exists(), name: file_name(&path), difference: LockDifference(difference.to_vec()) }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The toolchain and image that the lock pins.
fn pins_of<'p>(go: &'p GoTool, container: Option<&'p ContainerBuild>) -> Pins<'p> {
    let image = container.map(|container| (container.image.as_str(), container.plan.image.as_str()));
    Pins { go: &go.version, image }
}
