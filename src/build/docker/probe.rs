//! Read-only facts about the engine and the image, for readiness checks.

use super::endpoint::{Environment, find};
use super::reference::Reference;
use super::{Engine, EngineFacts, Error};
use crate::config::{Config, Lock};

/// State of Docker builds, as plain values.
#[derive(Debug)]
pub struct DockerFacts {
    /// Address of the engine and its source. Empty if even the address is unknown.
    pub endpoint: String,
    /// The engine, or the reason why it cannot be used.
    pub engine: Result<EngineFacts, Error>,
    /// Image that the settings request. Empty if there is none.
    pub image: String,
    /// Digest or id of that image on the engine. `None` if the image is not there.
    pub digest: Option<String>,
    /// Digest or id that goflame.lock pins the image to. `None` if it is not pinned yet.
    pub locked: Option<String>,
    /// Whether the pinned image is on the engine.
    pub locked_present: bool,
}

/// Asks the engine. Only reads. A missing engine is a valid result.
pub fn probe(config: &Config, lock: Option<&Lock>) -> DockerFacts {
    let image = config.image().unwrap_or_default();
    let locked = lock.and_then(|lock| lock.docker.as_ref()).filter(|locked| locked.image == image);
    let reference = Reference::parse(&image);
    let engine = Engine::connect();
    let (digest, locked_present) = match &engine {
        Ok(engine) => (
            if image.is_empty() { None } else { engine.stands_for(&image, &reference).unwrap_or_default() },
            locked.is_some_and(|locked| engine.has(&locked.digest).unwrap_or_default()),
        ),
        Err(_) => (None, false),
    };
    DockerFacts {
        endpoint: find(&Environment::of_process()).map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        engine: engine.map(|engine| engine.facts().clone()),
        digest,
        locked: locked.map(|locked| locked.digest.clone()),
        locked_present,
        image,
    }
}
