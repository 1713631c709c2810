//! Read-only facts about the engine and the image, for readiness checks.

use super::endpoint::{DockerEnvironment, find_endpoint};
use super::reference::Reference;
use super::{DockerEngine, EngineFacts};
use crate::config::{Config, LockFile};
use crate::process::describe_with_causes;

/// State of Docker builds, as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerFacts {
    /// Address of the engine and its source, for example `unix:///var/run/docker.sock`. Empty if it is unknown.
    pub endpoint: String,
    /// Facts about the engine, or the error why it cannot be used, with its causes.
    pub engine: Result<EngineFacts, String>,
    /// Image that the settings request. Empty if there is none.
    pub image: String,
    /// Digest or id of the requested image on the engine. `None` if the image is not there.
    pub image_digest: Option<String>,
    /// Digest or id that goflame.lock pins the image to. `None` if it is not pinned yet.
    pub locked_digest: Option<String>,
    /// Whether the pinned image is on the engine.
    pub has_locked_image: bool,
}

/// Asks the engine for the facts. Changes nothing. A missing engine is a valid result.
pub fn probe_docker(config: &Config, lock: Option<&LockFile>) -> DockerFacts {
    let image = config.image().unwrap_or_default();
    let locked = lock.and_then(|lock| lock.docker.as_ref()).filter(|locked| locked.image == image);
    let reference = Reference::parse(&image);
    let engine = DockerEngine::connect();
    let (digest, has_locked_image) = match &engine {
        Ok(engine) => (
            if image.is_empty() { None } else { engine.resolve_digest(&image, &reference).unwrap_or_default() },
            locked.is_some_and(|locked| engine.has_image(&locked.digest).unwrap_or_default()),
        ),
        Err(_) => (None, false),
    };
    DockerFacts {
        endpoint: find_endpoint(&DockerEnvironment::from_process())
            .map(|endpoint| endpoint.to_string())
            .unwrap_or_default(),
        engine: engine.map(|engine| engine.facts().clone()).map_err(|error| describe_with_causes(&error)),
        image_digest: digest,
        locked_digest: locked.map(|locked| locked.digest.clone()),
        has_locked_image,
        image,
    }
}
