//! Checks of Docker, for projects that build in a container. Only facts come in: nothing here talks to a daemon.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::Inputs;

pub(super) static CHECKS: [Check; 5] = [
    Check {
        id: "docker-reachable",
        group: Group::Docker,
        title: "Docker daemon",
        feature: "building in a container",
        why: "The build runs in a container that the Docker daemon starts.",
        in_run: true,
        judge: Judge::Asked(reachable),
    },
    Check {
        id: "docker-api",
        group: Group::Docker,
        title: "Docker API version",
        feature: "building in a container",
        why: "goflame speaks the daemon's API; an older daemon may refuse what it asks for.",
        in_run: true,
        judge: Judge::Asked(api),
    },
    Check {
        id: "docker-image",
        group: Group::Docker,
        title: "the toolchain's image",
        feature: "building in a container",
        why: "An image that is not there is fetched before the first build, which needs the network.",
        in_run: false,
        judge: Judge::Asked(image),
    },
    Check {
        id: "docker-digest",
        group: Group::Docker,
        title: "digest of the image",
        feature: "comparable runs",
        why: "A tag can come to name another image; goflame.lock holds the digest that the runs so far were built with.",
        in_run: true,
        judge: Judge::Asked(digest),
    },
    Check {
        id: "docker-rootless",
        group: Group::Docker,
        title: "rootless or not",
        feature: "files of the build",
        why: "A rootless daemon maps users, so what a build leaves behind belongs to another id inside and outside.",
        in_run: false,
        judge: Judge::Asked(rootless),
    },
];

/// What Docker says of itself, as far as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerFacts {
    /// Where the daemon listens, as people know it (`unix:///var/run/docker.sock`).
    pub endpoint: String,
    /// The daemon's version, or why it does not answer.
    pub daemon: Result<Daemon, String>,
    /// The oldest API version that goflame can work with, such as `1.41`.
    pub least_api: String,
    /// `[toolchain] image`; empty: none is asked for.
    pub image: String,
    /// The digest that its name stands for on this machine; `None`: it is not here.
    pub local_digest: Option<String>,
    /// The digest, or the id of an image that is in no registry, in goflame.lock; `None`: nothing is locked yet.
    pub locked_digest: Option<String>,
    /// Whether the engine has the locked image, whatever its name stands for.
    pub locked_present: bool,
}

/// A daemon that answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Daemon {
    /// Such as `27.3.1`.
    pub version: String,
    /// The newest API version that it speaks, such as `1.47`.
    pub api: String,
    /// Whether it runs without root.
    pub rootless: bool,
}

fn reachable(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let docker = inputs.docker?;
    let needed = "a daemon that answers";
    Some(match &docker.daemon {
        Ok(daemon) => check.finds(Status::Ok, format!("{} at {}", daemon.version, docker.endpoint), needed),
        Err(why) => check
            .finds(Status::Failure, format!("{}: {why}", docker.endpoint), needed)
            .repaired_by(Fix::as_root(inputs.facts, "systemctl start docker")),
    })
}

/// A daemon that answers; without one, the other checks have nothing to judge.
fn daemon<'a>(inputs: &Inputs<'a>, check: &Check) -> Option<Result<&'a Daemon, Finding>> {
    let silent = || check.finds(Status::Skipped, "the daemon does not answer", "a daemon that answers");
    Some(inputs.docker?.daemon.as_ref().map_err(|_| silent()))
}

fn api(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let least = inputs.docker?.least_api.as_str();
    let needed = format!("{least} or newer");
    Some(match daemon(inputs, check)? {
        Err(silent) => silent,
        Ok(daemon) => {
            let status = match (version(&daemon.api), version(least)) {
                (Some(have), Some(least)) if have < least => Status::Failure,
                (Some(_), Some(_)) => Status::Ok,
                _ => Status::Warning,
            };
            check.finds(status, &daemon.api, needed)
        }
    })
}

/// `1.41` as numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn image(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let docker = inputs.docker?;
    if docker.image.is_empty() {
        return None;
    }
    let needed = format!("{} on this machine, or a registry that has it", docker.image);
    Some(match (daemon(inputs, check)?, &docker.local_digest) {
        (Err(silent), _) => silent,
        (Ok(_), Some(digest)) => check.finds(Status::Ok, format!("{} ({digest})", docker.image), needed),
        (Ok(_), None) => check
            .finds(Status::Warning, format!("{} is not here", docker.image), needed)
            .repaired_by(is_plain(&docker.image).then(|| Fix::command(format!("docker pull {}", docker.image)))),
    })
}

/// Whether a reference can stand in a command that people paste: the names of images need no other characters
/// (github.com/distribution/reference).
fn is_plain(image: &str) -> bool {
    !image.starts_with('-') && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

fn digest(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let docker = inputs.docker?;
    let Some(locked) = &docker.locked_digest else {
        let needed = "goflame.lock with a digest";
        return Some(check.finds(Status::Info, "nothing is locked yet: the next build writes it", needed));
    };
    let needed = format!("{locked}, as in goflame.lock");
    Some(match (daemon(inputs, check)?, &docker.local_digest) {
        (Err(silent), _) => silent,
        (Ok(_), Some(local)) if local == locked => check.finds(Status::Ok, local, needed),
        (Ok(_), Some(local)) if docker.locked_present => {
            let found = format!("{} is {local} by now; builds go on with the locked one", docker.image);
            check.finds(Status::Warning, found, needed).repaired_by(Some(Fix::command("goflame build --update-lock")))
        }
        (Ok(_), None) if docker.locked_present => check.finds(Status::Ok, "here, without its name", needed),
        // Only a registry can be asked for an image by its digest; an id means something to one engine alone.
        (Ok(_), _) if locked.contains('@') => check.finds(Status::Info, "not here: the next build pulls it", needed),
        (Ok(_), _) => check
            .finds(Status::Failure, "not here, and in no registry", needed)
            .repaired_by(Some(Fix::command("goflame build --update-lock"))),
    })
}

fn rootless(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "either; goflame hands the files to their user";
    Some(match daemon(inputs, check)? {
        Err(silent) => silent,
        Ok(Daemon { rootless: true, .. }) => check.finds(Status::Info, "rootless", needed),
        Ok(_) => check.finds(Status::Ok, "the daemon runs as root", needed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{docker as facts, judged};

    /// The statuses of the five, in their order.
    fn statuses(docker: &DockerFacts) -> Vec<Status> {
        let findings = judged(|inputs| inputs.docker = Some(docker));
        findings.iter().filter(|finding| finding.group == Group::Docker).map(|finding| finding.status).collect()
    }

    #[test]
    fn each_state_of_docker() {
        use Status::{Failure, Info, Ok, Skipped, Warning};
        let with = |change: fn(&mut DockerFacts)| {
            let mut docker = facts();
            change(&mut docker);
            statuses(&docker)
        };
        assert_eq!(with(|_| {}), [Ok, Ok, Ok, Ok, Ok]);
        let silent = with(|docker| docker.daemon = Err("connection refused".into()));
        assert_eq!(silent, [Failure, Skipped, Skipped, Skipped, Skipped]);
        let set_api = |docker: &mut DockerFacts, api: &str| {
            docker.daemon = Result::Ok(Daemon { api: api.into(), ..Daemon::default() });
        };
        let mut docker = facts();
        set_api(&mut docker, "1.9");
        assert_eq!(statuses(&docker)[1], Failure, "9 is less than 41");
        set_api(&mut docker, "new");
        assert_eq!(statuses(&docker)[1], Warning);
        assert_eq!(with(|docker| docker.local_digest = None)[2..4], [Warning, Ok]);
        assert_eq!(with(|docker| docker.local_digest = Some("sha256:bb".into()))[3], Warning);
        let gone = |docker: &mut DockerFacts| {
            docker.local_digest = Some("sha256:bb".into());
            docker.locked_present = false;
        };
        assert_eq!(with(gone)[3], Failure, "an id is in no registry");
        docker = facts();
        gone(&mut docker);
        docker.locked_digest = Some("golang@sha256:aa".into());
        assert_eq!(statuses(&docker)[3], Info);
        assert_eq!(with(|docker| docker.locked_digest = None)[3], Info);
        assert_eq!(with(|docker| docker.image.clear()).len(), 4);
        assert!(is_plain("registry:5000/golang:1.27.3@sha256:aa") && !is_plain("golang; reboot") && !is_plain("-v"));
        let rootless = |docker: &mut DockerFacts| {
            docker.daemon = Result::Ok(Daemon { rootless: true, api: "1.47".into(), ..Daemon::default() });
        };
        assert_eq!(with(rootless)[4], Info);
    }

    #[test]
    fn no_docker_no_findings() {
        assert!(judged(|_| {}).iter().all(|finding| finding.group != Group::Docker));
    }
}
