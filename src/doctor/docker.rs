//! Checks of Docker, for projects that build in a container. No check connects to the daemon.

use super::check::{Check, Judge};
use super::finding::{Finding, Group, Status};
use super::fix::Fix;
use super::inputs::Inputs;
use crate::build::docker::{EngineFacts, OLDEST_API_VERSION};

pub(super) static CHECKS: [Check; 5] = [
    Check {
        id: "docker-reachable",
        group: Group::Docker,
        title: "Docker daemon",
        feature: "building in a container",
        why_it_matters: "The build runs in a container that the Docker daemon starts.",
        is_in_run: true,
        judge: Judge::Optional(judge_daemon_answer),
    },
    Check {
        id: "docker-api",
        group: Group::Docker,
        title: "Docker API version",
        feature: "building in a container",
        why_it_matters: "goflame speaks the daemon's API; an older daemon may refuse what it asks for.",
        is_in_run: true,
        judge: Judge::Optional(judge_api_version),
    },
    Check {
        id: "docker-image",
        group: Group::Docker,
        title: "the toolchain's image",
        feature: "building in a container",
        why_it_matters: "A missing image is pulled before the first build, which needs the network.",
        is_in_run: false,
        judge: Judge::Optional(judge_image),
    },
    Check {
        id: "docker-digest",
        group: Group::Docker,
        title: "digest of the image",
        feature: "comparable runs",
        why_it_matters: "A tag can change to another image; goflame.lock holds the digest of the image that earlier runs were built with.",
        is_in_run: true,
        judge: Judge::Optional(judge_image_digest),
    },
    Check {
        id: "docker-rootless",
        group: Group::Docker,
        title: "rootless or not",
        feature: "files of the build",
        why_it_matters: "A rootless daemon maps user ids, so the files of a build have different owners inside and outside.",
        is_in_run: false,
        judge: Judge::Optional(judge_rootless_mode),
    },
];

fn judge_daemon_answer(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let docker = inputs.docker?;
    let needed = "a daemon that answers";
    Some(match &docker.engine {
        Ok(daemon) => check.finding(Status::Ok, format!("{} at {}", daemon.version, docker.endpoint), needed),
        Err(why) => check
            .finding(Status::Failure, format!("{}: {why}", docker.endpoint), needed)
            .with_fix(Fix::root_command(inputs.facts, "systemctl start docker")),
    })
}

/// Facts about the daemon, or the skipped finding if the daemon does not answer.
fn daemon_facts<'a>(inputs: &Inputs<'a>, check: &Check) -> Option<Result<&'a EngineFacts, Finding>> {
    let skipped = || check.finding(Status::Skipped, "the daemon does not answer", "a daemon that answers");
    Some(inputs.docker?.engine.as_ref().map_err(|_| skipped()))
}

fn judge_api_version(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let (major, minor) = OLDEST_API_VERSION;
    let needed = format!("{major}.{minor} or newer");
    Some(match daemon_facts(inputs, check)? {
        Err(skipped) => skipped,
        Ok(daemon) => {
            let status = match parse_version(&daemon.api) {
                Some(found) if found < OLDEST_API_VERSION => Status::Failure,
                Some(_) => Status::Ok,
                None => Status::Warning,
            };
            check.finding(status, &daemon.api, needed)
        }
    })
}

/// Parses a version such as `1.41` into major and minor number.
fn parse_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn judge_image(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let docker = inputs.docker?;
    if docker.image.is_empty() {
        return None;
    }
    let needed = format!("{} on this machine, or a registry that has it", docker.image);
    Some(match (daemon_facts(inputs, check)?, &docker.image_digest) {
        (Err(skipped), _) => skipped,
        (Ok(_), Some(digest)) => check.finding(Status::Ok, format!("{} ({digest})", docker.image), needed),
        (Ok(_), None) => check
            .finding(Status::Warning, format!("{} is not on this machine", docker.image), needed)
            .with_fix(is_shell_safe(&docker.image).then(|| Fix::user_command(format!("docker pull {}", docker.image)))),
    })
}

/// Whether an image reference is safe in a shell command. Valid references have no other characters
/// (github.com/distribution/reference).
fn is_shell_safe(image: &str) -> bool {
    !image.starts_with('-') && image.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte))
}

fn judge_image_digest(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let docker = inputs.docker?;
    let Some(locked) = &docker.locked_digest else {
        let needed = "goflame.lock with a digest";
        return Some(check.finding(Status::Info, "no digest yet: the next build writes it", needed));
    };
    let needed = format!("{locked}, as in goflame.lock");
    Some(match (daemon_facts(inputs, check)?, &docker.image_digest) {
        (Err(skipped), _) => skipped,
        (Ok(_), Some(local)) if local == locked => check.finding(Status::Ok, local, needed),
        (Ok(_), Some(local)) if docker.has_locked_image => {
            let found = format!("{} is now {local}; builds still use the locked image", docker.image);
            check
                .finding(Status::Warning, found, needed)
                .with_fix(Some(Fix::user_command("goflame build --update-lock")))
        }
        (Ok(_), None) if docker.has_locked_image => {
            check.finding(Status::Ok, "the locked image is on this machine, without its name", needed)
        }
        // An image with a digest (`name@sha256:...`) is in a registry. An image id is valid in one engine only.
        (Ok(_), _) if locked.contains('@') => {
            check.finding(Status::Info, "the locked image is not on this machine: the next build pulls it", needed)
        }
        (Ok(_), _) => check
            .finding(Status::Failure, "the locked image is not on this machine, and in no registry", needed)
            .with_fix(Some(Fix::user_command("goflame build --update-lock"))),
    })
}

fn judge_rootless_mode(check: &'static Check, inputs: &Inputs) -> Option<Finding> {
    let needed = "either; goflame gives the files to the user";
    Some(match daemon_facts(inputs, check)? {
        Err(skipped) => skipped,
        Ok(EngineFacts { is_rootless: true, .. }) => check.finding(Status::Info, "rootless", needed),
        Ok(_) => check.finding(Status::Ok, "the daemon runs as root", needed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::docker::DockerFacts;
    use crate::doctor::tests::{docker as facts, judged};

    /// The statuses of the Docker checks, in their order.
    fn statuses(docker: &DockerFacts) -> Vec<Status> {
        let findings = judged(|inputs| inputs.docker = Some(docker));
        findings.iter().filter(|finding| finding.group == Group::Docker).map(|finding| finding.status).collect()
    }

    #[test]
    fn each_state_of_docker_has_its_status() {
        use Status::{Failure, Info, Ok, Skipped, Warning};
        let with = |change: fn(&mut DockerFacts)| {
            let mut docker = facts();
            change(&mut docker);
            statuses(&docker)
        };
        assert_eq!(with(|_| {}), [Ok, Ok, Ok, Ok, Ok]);
        let silent = with(|docker| docker.engine = Err("connection refused".into()));
        assert_eq!(silent, [Failure, Skipped, Skipped, Skipped, Skipped]);
        let set_api = |docker: &mut DockerFacts, api: &str| {
            docker.engine = Result::Ok(EngineFacts { api: api.into(), ..EngineFacts::default() });
        };
        let mut docker = facts();
        set_api(&mut docker, "1.9");
        assert_eq!(statuses(&docker)[1], Failure, "9 is less than 41");
        set_api(&mut docker, "new");
        assert_eq!(statuses(&docker)[1], Warning);
        assert_eq!(with(|docker| docker.image_digest = None)[2..4], [Warning, Ok]);
        assert_eq!(with(|docker| docker.image_digest = Some("sha256:bb".into()))[3], Warning);
        let gone = |docker: &mut DockerFacts| {
            docker.image_digest = Some("sha256:bb".into());
            docker.has_locked_image = false;
        };
        assert_eq!(with(gone)[3], Failure, "an image id is in no registry");
        docker = facts();
        gone(&mut docker);
        docker.locked_digest = Some("golang@sha256:aa".into());
        assert_eq!(statuses(&docker)[3], Info);
        assert_eq!(with(|docker| docker.locked_digest = None)[3], Info);
        assert_eq!(with(|docker| docker.image.clear()).len(), 4);
        assert!(is_shell_safe("registry:5000/golang:1.27.3@sha256:aa"));
        assert!(!is_shell_safe("golang; reboot") && !is_shell_safe("-v"));
        let rootless = |docker: &mut DockerFacts| {
            docker.engine = Result::Ok(EngineFacts { is_rootless: true, api: "1.47".into(), ..EngineFacts::default() });
        };
        assert_eq!(with(rootless)[4], Info);
    }

    #[test]
    fn a_project_without_docker_has_no_docker_findings() {
        assert!(judged(|_| {}).iter().all(|finding| finding.group != Group::Docker));
    }
}
