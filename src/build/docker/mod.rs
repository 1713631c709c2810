//! Builds in a container, through the Docker engine and `bollard`. Only this module talks to the engine.
//!
//! [`DockerEngine::connect`] finds the engine as the `docker` command does. [`DockerEngine::pin`] resolves the image to
//! a digest or an id, which does not change when a tag moves. [`plan`] decides the containers and touches nothing.
//! [`DockerEngine::build`] runs them. All calls block: the async runtime of bollard has one thread and is private to
//! this module. Must not print: a [`BuildProgress`](super::BuildProgress) is notified.

mod cache;
mod container;
mod dockerfile;
mod endpoint;
mod engine;
mod error;
mod image;
mod plan;
mod probe;
mod reference;
mod running;
mod sources;
mod sweep;

pub use dockerfile::dockerfile_text;
pub use endpoint::EngineEndpoint;
pub use engine::{DockerEngine, EngineFacts, OLDEST_API_VERSION};
pub use error::{EndpointFault, Error, Request};
pub use image::PinnedImage;
pub use plan::{ContainerPlan, LocalFacts, User, plan_containers};
pub use probe::{DockerFacts, probe_docker};
pub use running::RunningContainer;
pub use sources::Sources;
