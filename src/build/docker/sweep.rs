//! Removal of containers that outlived the goflame process that created them. A Docker label names the owner of each
//! container.

use std::collections::HashMap;
use std::fs;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};

use super::error::Request;
use super::{DockerEngine, Error};

/// Docker label with the owner of a container.
pub(super) const OWNER_LABEL: &str = "goflame.owner";
/// Docker label with the project of a container or of a volume.
pub(super) const PROJECT_LABEL: &str = "goflame.project";

/// Globally unique id of a process: machine, boot, process id, and start time in clock ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    machine: String,
    boot: String,
    process: u32,
    started: String,
}

impl Owner {
    /// Returns the id of this process.
    pub(super) fn current() -> Self {
        let process = std::process::id();
        Self {
            machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: boot_id(),
            process,
            started: process_start_time(process).unwrap_or_default(),
        }
    }

    pub(super) fn label(&self) -> String {
        format!("{}/{}/{}/{}", self.machine, self.boot, self.process, self.started)
    }

    fn parse(label: &str) -> Option<Self> {
        let mut parts = label.split('/');
        let owner = Self {
            machine: parts.next()?.to_owned(),
            boot: parts.next()?.to_owned(),
            process: parts.next()?.parse().ok()?,
            started: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(owner)
    }

    /// Whether the process has certainly ended. `this` is the id of goflame's own process. `false` for a process of
    /// another machine, whose state is unknown.
    fn has_ended(&self, this: &Self) -> bool {
        self.machine == this.machine
            && (self.boot != this.boot || process_start_time(self.process).as_ref() != Some(&self.started))
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Start time: field 22 of `/proc/PID/stat` (`proc_pid_stat(5)`). The second field, a name, may contain anything, but
/// ends with the last `)`.
fn process_start_time(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

impl DockerEngine {
    /// Tries to remove the containers whose goflame process has ended. Returns the number of these containers.
    pub fn remove_abandoned(&self) -> Result<usize, Error> {
        let filters = HashMap::from([("label", vec![OWNER_LABEL])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = self
            .block_on(self.docker.list_containers(Some(options)))
            .map_err(|source| Request::ListContainers.into_error(source))?;
        let this = Owner::current();
        let mut removed = 0;
        for container in found {
            let label = container.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
            let owner = label.and_then(|label| Owner::parse(label));
            if let (Some(id), true) = (&container.id, owner.is_some_and(|owner| owner.has_ended(&this))) {
                self.block_on(self.remove(id));
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Stops and removes a container with its anonymous volumes. Ignores errors: the container may already be removed,
    /// or another process may be removing it. If the engine does not respond, an earlier request has reported that.
    pub(super) async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let _ = self.docker.remove_container(id, Some(options)).await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_gone_only_if_its_process_has_ended() {
        let this = Owner::current();
        assert_eq!(Owner::parse(&this.label()).unwrap(), this);
        assert!(!this.has_ended(&this));
        assert!(Owner { started: "1".into(), ..this.clone() }.has_ended(&this), "another process of the same id");
        assert!(Owner { boot: "x".into(), ..this.clone() }.has_ended(&this));
        assert!(!Owner { machine: "x".into(), boot: "x".into(), ..this.clone() }.has_ended(&this));
        for label in ["", "a/b/c/d", "a/b/1", "a/b/1/2/3"] {
            assert_eq!(Owner::parse(label), None);
        }
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let other = Owner { process: child.id(), started: process_start_time(child.id()).unwrap(), ..this.clone() };
        child.wait().unwrap();
        assert!(other.has_ended(&this));
    }
}
