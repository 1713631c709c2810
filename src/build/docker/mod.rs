//! Builds in a container: the Docker engine through `bollard`, and nobody else may talk to it.
//!
//! [`Engine::connect`] finds the engine as the `docker` command does, [`Engine::pin`] turns the image into one that no
//! tag can move, [`plan`] decides the containers without touching anything, [`Engine::build`] runs them. Everything here
//! blocks: the runtime that bollard needs has one thread and stays inside. Must not print; a [`Watch`] is told.

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
pub use engine::{Engine, EngineFacts, OLDEST_API};
pub use error::Error;
pub use image::Pinned;
pub use plan::{ContainerPlan, Local, User, plan};
pub use probe::{DockerFacts, probe};
pub use sources::Sources;

/// What happens while an engine works for us.
pub trait Watch {
    /// The container wrote this to standard output or standard error.
    fn output(&self, bytes: &[u8]);
    /// Layers of an image arrive: how many are there, of how many; and bytes, of those that are known of.
    fn pulling(&self, layers: (usize, usize), bytes: (u64, u64));
    /// The network is used, or nothing will happen for a while: a verb and what it does.
    fn stage(&self, verb: &str, text: &str);
}
