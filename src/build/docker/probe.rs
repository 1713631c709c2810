//! What can be told about the engine and the image without changing anything: for readiness checks.

use super::endpoint::{Environment, find};
use super::reference::Reference;
use super::{Engine, EngineFacts, Error};
use crate::config::{Config, Lock};

/// The state of Docker builds, as plain values.
#[derive(Debug)]
pub struct DockerFacts {
    /// The engine's address and who named it; empty when even that cannot be found out.
    pub endpoint: String,
    /// The engine, or why it cannot be used.
    pub engine: Result<EngineFacts, Error>,
    /// The image that the settings ask for; empty: none.
    pub image: String,
    /// What the image's name stands for on the engine; `None`: it is not there.
    pub digest: Option<String>,
    /// What goflame.lock pins the image to; `None`: nothing yet.
    pub locked: Option<String>,
    /// Whether the pinned image is on the engine.
    pub locked_present: bool,
}

/// Asks the engine. Reads only; an engine that is absent is an answer.
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
