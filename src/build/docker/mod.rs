//! Builds in a container, through the Docker engine and `bollard`. Only this module talks to the engine.
//!
//! [`DockerEngine::connect`] finds the engine as the `docker` command does. [`DockerEngine::pin`] resolves the image to a
//! digest or an id, which a tag cannot move. [`plan`] decides the containers and touches nothing.
//! [`DockerEngine::build`] runs them. All calls block: bollard's runtime has one thread and stays inside. Must not print:
//! a [`BuildProgress`] is notified.

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
mod sources;
mod sweep;

pub use dockerfile::dockerfile;
pub use endpoint::Endpoint;
pub use engine::{DockerEngine, EngineFacts, OLDEST_API};
pub use error::{EndpointFault, Error, Request};
pub use image::Pinned;
pub use plan::{ContainerPlan, LocalFacts, User, plan};
pub use probe::{DockerFacts, probe};
pub use sources::Sources;

/// Receiver of progress while an engine works.
pub trait BuildProgress {
    /// The container wrote these bytes to standard output or standard error.
    fn output(&self, bytes: &[u8]);
    /// Progress of an image pull: layers done and total, then bytes done and total. Bytes count only layers with a
    /// known size.
    fn pulling(&self, layers: (usize, usize), bytes: (u64, u64));
    /// The network is in use, or a wait begins. Arguments: a verb and its object.
    fn stage(&self, verb: &str, text: &str);
}
