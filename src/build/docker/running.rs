//! Containers that run already.

use bollard::query_parameters::InspectContainerOptions;

use super::endpoint::Address;
use super::engine::is_missing;
use super::error::Request;
use super::{DockerEngine, Error};

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningContainer {
    /// Full id. The control group of the container's processes has this id in its name.
    pub id: String,
    /// Process id of the container's first process, as seen outside of the container.
    pub first_process: i32,
}

impl DockerEngine {
    /// Finds a running container by its name, its id or the beginning of its id.
    pub fn running_container(&self, name: &str) -> Result<RunningContainer, Error> {
        if matches!(self.endpoint.address, Address::Tcp(_)) {
            return Err(Error::OtherMachine { endpoint: self.endpoint.to_string() });
        }
        let found = self.block_on(self.docker.inspect_container(name, None::<InspectContainerOptions>));
        let found = found.map_err(|error| match error {
            missing if is_missing(&missing) => Error::NoContainer { name: name.to_owned() },
            other => Request::InspectContainer.into_error(other),
        })?;
        let state = found.state.unwrap_or_default();
        let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
        if let (Some(id), Some(first_process)) = (found.id, pid) {
            return Ok(RunningContainer { id, first_process });
        }
        let status = state.status.map_or_else(|| "not running".to_owned(), |status| status.to_string());
        Err(Error::NotRunning { name: name.to_owned(), status })
    }
}
